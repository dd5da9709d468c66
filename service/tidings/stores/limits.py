"""What a store on disk keeps within bounds, and why."""

from dataclasses import dataclass

from tidings.domain.ports import PAGE_BYTES_MAX, READ_BYTES_MAX


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Each with its unit in its name and its reason beside it."""

    # Beyond these, writing is refused with RESOURCE_EXHAUSTED: at 20,000 a second, 3 seconds of work.
    writes_waiting_max: int = 65_536
    writes_waiting_bytes_max: int = 67_108_864
    # One commit: larger ones save nothing any more and make everybody in them wait for the last.
    commit_writes_max: int = 2_048
    # Calls that wait for a reader; each holds a request in memory.
    reads_waiting_max: int = 16_384
    # Threads that read beside the one that writes. More only help with more cores than two.
    readers: int = 2
    read_bytes_max: int = READ_BYTES_MAX
    page_bytes_max: int = PAGE_BYTES_MAX
    # Rooms whose heads the writer knows without looking: about 0.5 KiB each.
    rooms_cached_max: int = 20_000
    # Pages of SQLite's cache for the one who writes, and for each who reads.
    writer_cache_bytes: int = 67_108_864
    reader_cache_bytes: int = 16_777_216
    # The WAL is copied into the database when it has grown to this many pages of 4 KiB. Copying seldom spares pages
    # that many commits change: at 500 rooms 8,000 pages write 1.6 times as fast as SQLite's 1,000.
    wal_pages: int = 8_000
    # Events that may be missing in the search index while more are written: a search then waits for about a second.
    unindexed_events_max: int = 50_000
    # How long nothing is written before the index catches up without being asked.
    index_idle_seconds: float = 0.2


DEFAULTS = StoreLimits()
