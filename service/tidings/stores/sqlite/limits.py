"""The limits of the SQLite store, with their reasons."""

from dataclasses import dataclass

from tidings.domain.ports.store import PAGE_BYTES_MAX, READ_BYTES_MAX


@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """Each field has its unit in its name and its reason as a comment, which `tidings config` prints."""

    # Writes that wait; more are rejected with RESOURCE_EXHAUSTED. At 20,000 a second, 3 seconds of work.
    pending_writes_max: int = 65_536
    # The same in bytes: a thousand messages of the greatest length.
    pending_write_bytes_max: int = 67_108_864
    # The same for one user, an eighth, so that the writes of other users are still accepted.
    user_pending_write_bytes_max: int = 8_388_608
    # Writes of one commit: larger commits are no cheaper per write, and each of their writes waits longer.
    commit_writes_max: int = 2_048
    # Reads that wait for a thread; each holds a request in memory.
    pending_reads_max: int = 16_384
    # Threads that read. More than two only help with more than two cores.
    reader_threads: int = 2
    # One page of the log for a reader that is behind: a few milliseconds of one thread.
    read_bytes_max: int = READ_BYTES_MAX
    # One reply of history.page: a hundred messages of the greatest length, below the limit of one frame.
    page_bytes_max: int = PAGE_BYTES_MAX
    # Rooms whose heads the writer caches: about 0.5 KiB each.
    cached_rooms_max: int = 20_000
    # Authors cached by the writer as having consented to being seen in a room: about 0.2 KiB each. A full cache is
    # cleared, and each author is looked up once.
    cached_consents_max: int = 65_536
    # SQLite's page cache of the writer; the ends of the logs of busy rooms should fit.
    writer_cache_bytes: int = 67_108_864
    # The same for each reader thread. Small, since the kernel caches the files as well: reading a log of a million
    # events fills it, and the service may grow by less than 32 MiB then.
    reader_cache_bytes: int = 12_582_912
    # The WAL is copied into the database at the latest when it has this many pages of 4 KiB. Copying rarely avoids
    # copying pages that many commits change: with 500 rooms, 8,000 pages write 1.6 times as fast as SQLite's 1,000.
    wal_pages_max: int = 8_000
    # How long deleted and edited texts may stay in the write-ahead logs of both files. Each erasure costs a copy of the
    # log.
    erase_seconds_max: float = 60.0
    # How often to check that the files are still where they were opened. Each commit also checks the database.
    file_check_interval_seconds: float = 2.0
    # Events that the search index may lag behind while more are written: a search then waits about a second.
    unindexed_events_max: int = 50_000
    # How long nothing is written before the index catches up without a search.
    index_delay_seconds: float = 0.2


DEFAULT_LIMITS = SqliteLimits()
