"""The thread that updates the full-text index from the logs.

It works when nothing is written, when it lags far behind, and at once for rooms that are searched: `wait_until_indexed`
returns when everything that was committed there before the call can be found. It never blocks the writer: index and
logs are different files.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import apsw

from tidings.contract.errors import ApiError, unavailable
from tidings.log import log
from tidings.stores.change_set import ChangeSet
from tidings.stores.sqlite.connections import BUSY_TIMEOUT_MS
from tidings.stores.sqlite.corrupt_events import CorruptEvents
from tidings.stores.sqlite.errors import is_full, translate_store_error
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.sqlite.reader_pool import resolve_future
from tidings.stores.sqlite.search.index_file import IndexPosition, find_lagging_rooms, index_room, remove_index

CHUNK_EVENTS = 500  # one transaction: about 20 ms, which a search in another room may wait
CHUNK_BYTES = 262_144  # the same for long texts
FULL_RETRY_SECONDS = 5.0
ERASE_BUSY_MS = 100  # to wait for running searches
ERASE_RETRY_SECONDS = 0.5


class CatchUpRequest(NamedTuple):
    """A search that waits until these rooms are indexed."""

    rooms: set[int]
    future: "asyncio.Future[None]"


class Indexer:
    """Indexes the commits that `on_commit` passes to it, in its own thread."""

    def __init__(
        self,
        connection: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        limits: SqliteLimits,
        corrupt_events: CorruptEvents,
        problems: StoreProblems,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._limits = limits
        self._on_corrupt_event = lambda event_id: corrupt_events.on_corrupt_event(connection, event_id)
        self._problems = problems
        # Commits are queued without waking the thread, which would take the interpreter's lock while callers wait for
        # the results. It polls while it has work, and is woken only when it is idle.
        self._commits: deque[ChangeSet] = deque()
        self._is_idle = False
        self._messages: queue.SimpleQueue[CatchUpRequest | bool] = queue.SimpleQueue()
        # Of the thread: lagging rooms with their heads, about how many events those lack, the waiting searches.
        self._lagging_rooms: dict[int, IndexPosition] = {}
        self._unindexed_events = 0
        self._catch_up_requests: list[CatchUpRequest] = []
        # When to try again after the disk was full.
        self._resume_at = 0.0
        # When deleted and replaced texts must be erased from the index and its WAL, on the monotonic clock; 0: there
        # are none. The rooms with such texts. Once after the start, for texts left by a crash.
        self._erase_at = time.monotonic() + limits.erase_seconds_max
        self._rooms_to_erase: set[int] = set()
        # The rooms to index before the WAL is erased, once that is due. Texts replaced meanwhile wait for the next
        # time, so a constant stream of edits cannot delay it. None: not due.
        self._rooms_before_erase: set[int] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tidings-indexer", daemon=True)
        self._thread.start()

    def on_commit(self, change_set: ChangeSet) -> None:
        """Queue a commit. From any thread, before its results are sent."""
        if change_set.rooms:
            self._commits.append(change_set)
            if self._is_idle:
                self._is_idle = False
                self._messages.put(True)

    async def wait_until_indexed(self, rooms: Iterable[int]) -> None:
        """Return when everything committed in these rooms before the call is indexed. UNAVAILABLE after `close`."""
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        future: asyncio.Future[None] = self._loop.create_future()
        self._messages.put(CatchUpRequest(set(rooms), future))
        await future

    def close(self) -> None:
        """Stop; the rest is indexed after the next start. Call it once, on the loop."""
        self._closed = True
        self._messages.put(False)

    def join(self) -> None:
        """Block until the thread has ended."""
        self._thread.join()

    # --- in the thread

    def _run(self) -> None:
        try:
            self._lagging_rooms = find_lagging_rooms(self._connection)
            self._rooms_to_erase = set(self._lagging_rooms)
            self._unindexed_events = sum(head.seq for head in self._lagging_rooms.values())
            while self._wait_for_work():
                self._index_chunk()
            self._truncate_wal()
        except Exception as error:
            log.error("the search index failed", exc_info=error)
            self._problems.report(
                "search.sqlite",
                "the search index failed and was removed, so searching has stopped; the next start rebuilds it: "
                "restart the service",
            )
            path = Path(self._connection.filename)
            self._connection.close()
            remove_index(path)
            self._reject_until_closed(
                unavailable(
                    "the search index has failed; search works again once the operator has restarted the service"
                )
            )
        else:
            self._connection.close()

    def _wait_for_work(self) -> bool:
        """Wait for messages and commits until there is work; False after `close`."""
        while True:
            try:
                message = self._messages.get(timeout=self._wait_seconds())
            except queue.Empty:
                if not self._drain_commits():
                    return True
                continue
            self._drain_commits()
            if isinstance(message, CatchUpRequest):
                self._catch_up_requests.append(message)
            elif not message:
                self._reject_waiting(unavailable("the service is stopping; connect again"))
                return False

    def _wait_seconds(self) -> float | None:
        """How long to wait for messages before working; None: until one arrives."""
        if self._resume_at:
            return max(0.0, self._resume_at - time.monotonic())
        if self._catch_up_requests or self._unindexed_events > self._limits.unindexed_events_max:
            return 0.0
        seconds = max(0.0, self._erase_at - time.monotonic()) if self._erase_at else None
        if self._lagging_rooms:
            idle = self._limits.index_delay_seconds
            return idle if seconds is None else min(seconds, idle)
        self._is_idle = True
        # A commit queued before the line above did not wake the thread.
        return 0.0 if self._commits else seconds

    def _drain_commits(self) -> bool:
        """Take the queued commits; True if there were any and the work can wait."""
        has_drained = False
        while self._commits:
            change_set = self._commits.popleft()
            for room, events, _, _ in change_set.rooms.values():
                if events:  # else only members changed
                    self._lagging_rooms[room.number] = IndexPosition(room.epoch, events[-1].seq)
                self._unindexed_events += len(events)
            if change_set.has_replaced_text:
                self._rooms_to_erase.update(room.number for room, *_ in change_set.rooms.values())
                self._erase_at = self._erase_at or time.monotonic() + self._limits.erase_seconds_max
            has_drained = True
        return (
            has_drained and self._unindexed_events <= self._limits.unindexed_events_max and not self._catch_up_requests
        )

    def _index_chunk(self) -> None:
        """Index one chunk: first of rooms that searches wait for, then of rooms to erase."""
        self._resume_at = 0.0
        self._catch_up_requests = [
            request for request in self._catch_up_requests if not self._resolve_if_indexed(request)
        ]
        number = next((number for request in self._catch_up_requests for number in request.rooms), None)
        if number is None and self._erase_at and self._erase_at <= time.monotonic():
            if self._rooms_before_erase is None:
                self._rooms_before_erase, self._rooms_to_erase = (
                    self._rooms_to_erase & self._lagging_rooms.keys(),
                    set(),
                )
            number = next(iter(self._rooms_before_erase), None)
            if number is None:
                self._erase_wal()
                return
        if number is None:
            number = next(iter(self._lagging_rooms), None)
        if number is None:
            return
        try:
            result = index_room(
                self._connection, number, self._lagging_rooms[number], CHUNK_EVENTS, CHUNK_BYTES, self._on_corrupt_event
            )
        except apsw.Error as error:
            if not is_full(error):
                raise
            self._on_disk_full()
            return
        self._unindexed_events = max(0, self._unindexed_events - result.events)
        if result.is_complete:
            del self._lagging_rooms[number]
            if self._rooms_before_erase:
                self._rooms_before_erase.discard(number)
            if not self._lagging_rooms:
                self._unindexed_events = 0
        self._catch_up_requests = [
            request for request in self._catch_up_requests if not self._resolve_if_indexed(request)
        ]

    def _erase_wal(self) -> None:
        """Erase the index's WAL; retried later while a search reads an old page, or while the disk is full."""
        seconds = self._truncate_wal()
        if seconds:
            self._erase_at = time.monotonic() + seconds
        else:
            self._rooms_before_erase = None
            self._erase_at = time.monotonic() + self._limits.erase_seconds_max if self._rooms_to_erase else 0.0

    def _truncate_wal(self) -> float:
        """Copy the WAL into the index and truncate it; returns the seconds until the next attempt, 0 when done."""
        self._connection.set_busy_timeout(ERASE_BUSY_MS)
        try:
            self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return ERASE_RETRY_SECONDS
        except apsw.Error as error:
            if not is_full(error):
                raise
            log.error("the disk is full: the WAL could not be copied into the search index")
            return FULL_RETRY_SECONDS
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        return 0.0

    def _resolve_if_indexed(self, request: CatchUpRequest) -> bool:
        request.rooms.intersection_update(self._lagging_rooms)
        if not request.rooms:
            self._loop.call_soon_threadsafe(resolve_future, request.future, None)
        return not request.rooms

    def _on_disk_full(self) -> None:
        log.error("the disk is full: new messages cannot be indexed and are not found by a search")
        self._resume_at = time.monotonic() + FULL_RETRY_SECONDS
        self._reject_waiting(translate_store_error(apsw.FullError()))

    def _reject_waiting(self, failure: ApiError) -> None:
        for request in self._catch_up_requests:
            self._loop.call_soon_threadsafe(resolve_future, request.future, failure)
        self._catch_up_requests = []

    def _reject_until_closed(self, failure: ApiError) -> None:
        """The index has failed: reject requests until `close`."""
        self._reject_waiting(failure)
        while message := self._messages.get():
            if isinstance(message, CatchUpRequest):
                self._loop.call_soon_threadsafe(resolve_future, message.future, failure)
