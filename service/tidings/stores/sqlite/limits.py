"""What a store on disk keeps within bounds, and why."""

from dataclasses import dataclass

from tidings.domain.ports.store import PAGE_BYTES_MAX, READ_BYTES_MAX


@dataclass(frozen=True, slots=True)
class SqliteLimits:
    """Each with its unit in its name and its reason beside it."""

    # Beyond it, writing is refused with RESOURCE_EXHAUSTED: at 20,000 a second, 3 seconds of work.
    pending_writes_max: int = 65_536
    # The same in bytes: a thousand of the longest messages.
    pending_write_bytes_max: int = 67_108_864
    # The same of one user, an eighth: everybody else still gets theirs written.
    user_pending_write_bytes_max: int = 8_388_608
    # One commit: larger ones save nothing any more and make everybody in them wait for the last.
    commit_writes_max: int = 2_048
    # Calls that wait for a reader; each holds a request in memory.
    pending_reads_max: int = 16_384
    # Threads that read beside the one that writes. More only help with more cores than two.
    reader_threads: int = 2
    # A page of the log for a reader who is behind: some milliseconds of one thread.
    read_bytes_max: int = READ_BYTES_MAX
    # An answer of history.page: a hundred of the longest messages, and below what one frame may carry.
    page_bytes_max: int = PAGE_BYTES_MAX
    # Rooms whose heads the writer knows without looking: about 0.5 KiB each.
    cached_rooms_max: int = 20_000
    # Authors of whom the writer knows that they consented to being seen in a room: about 0.2 KiB each. When there are
    # more it begins again, and looks once for each.
    cached_consents_max: int = 65_536
    # SQLite's cache of the one who writes; the ends of the logs of busy rooms should fit.
    writer_cache_bytes: int = 67_108_864
    # The same for each who reads. The kernel keeps the files as well, so this is small: reading a log of a million
    # events once fills it, and the service is to grow by less than 32 MiB then.
    reader_cache_bytes: int = 12_582_912
    # The WAL is copied into the database at the latest when it has grown to this many pages of 4 KiB. Copying seldom
    # spares pages that many commits change: at 500 rooms 8,000 pages write 1.6 times as fast as SQLite's 1,000.
    wal_pages_max: int = 8_000
    # How long deleted and edited texts may stay in the write-ahead logs of both files, which hold the last changes.
    # Each time costs a copy of what there is.
    erase_seconds_max: float = 60.0
    # How often to look whether the files are still where they were opened. Each commit looks for its own file, too.
    file_check_interval_seconds: float = 2.0
    # Events that may be missing in the search index while more are written: a search then waits for about a second.
    unindexed_events_max: int = 50_000
    # How long nothing is written before the index catches up without being asked.
    index_delay_seconds: float = 0.2


DEFAULT_LIMITS = SqliteLimits()
