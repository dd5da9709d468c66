"""The thread that keeps the index of words up with the logs.

It follows when nothing else is written, or when it has fallen far behind, or at once in the rooms that somebody
searches: `caught_up` comes back when everything that was committed there before the call can be found. It never holds
up the one who writes: index and logs are different files.
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

from tidings.contract.errors import Failure, unavailable
from tidings.log import log
from tidings.stores.condition import Condition
from tidings.stores.damage import Damage
from tidings.stores.faults import failure_of, is_full
from tidings.stores.index_file import Reached, index_room, remove_index, unindexed
from tidings.stores.limits import StoreLimits
from tidings.stores.readers import settle
from tidings.stores.rules import Journal
from tidings.stores.schema import BUSY_MS

CHUNK_EVENTS = 500  # one transaction: about 20 ms, which is what a search in another room may have to wait
CHUNK_BYTES = 262_144  # the same for long texts
FULL_PAUSE_SECONDS = 5.0
ERASE_BUSY_MS = 100  # to wait for searches that have begun
ERASE_RETRY_SECONDS = 0.5


class Wanted(NamedTuple):
    """Somebody waits until these rooms are indexed."""

    rooms: set[int]
    future: "asyncio.Future[None]"


class Indexer:
    """Follows the commits that it is told of."""

    def __init__(
        self,
        connection: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        limits: StoreLimits,
        damage: Damage,
        condition: Condition,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._limits = limits
        self._damaged = lambda event_id: damage.found(connection, event_id)
        self._condition = condition
        # What was committed is laid down without waking the thread, which would take the interpreter's lock from those
        # who wait for the commit; it looks by itself while there is something to do, and is woken only from a sleep.
        self._journals: deque[Journal] = deque()
        self._asleep = False
        self._messages: queue.SimpleQueue[Wanted | bool] = queue.SimpleQueue()
        # Of the thread: rooms that are behind with the heads to reach, how many events that is about, who waits.
        self._behind: dict[int, Reached] = {}
        self._missing = 0
        self._wanted: list[Wanted] = []
        # After the disk was full: when to try again.
        self._resume_at = 0.0
        # When texts that were deleted or replaced must have left the index and its WAL, on the monotonic clock; 0: none
        # were. In which rooms. Once after the start, for what a crash left behind.
        self._erase_at = time.monotonic() + limits.erase_seconds_max
        self._replaced: set[int] = set()
        # Rooms to be indexed before the files are erased, once that is due; what is replaced meanwhile waits for the
        # next time, so that a constant stream of edits cannot put it off. None: it is not due.
        self._erasing: set[int] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="tidings-indexer", daemon=True)
        self._thread.start()

    def committed(self, journal: Journal) -> None:
        """There is more in these rooms. From any thread, before anybody hears of the commit."""
        if journal.rooms:
            self._journals.append(journal)
            if self._asleep:
                self._asleep = False
                self._messages.put(True)

    async def caught_up(self, rooms: Iterable[int]) -> None:
        """Comes back when all that was committed in these rooms can be found."""
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        future: asyncio.Future[None] = self._loop.create_future()
        self._messages.put(Wanted(set(rooms), future))
        await future

    def close(self) -> None:
        """What is not indexed yet will be after the next start. To be called on the loop, once."""
        self._closed = True
        self._messages.put(False)

    def join(self) -> None:
        """Blocks until the thread is gone."""
        self._thread.join()

    # in the thread

    def _run(self) -> None:
        try:
            self._behind = unindexed(self._connection)
            self._replaced = set(self._behind)
            self._missing = sum(head.seq for head in self._behind.values())
            while self._listen():
                self._work()
            self._empty_wal()
        except Exception as error:
            log.error("the search index failed", exc_info=error)
            self._condition.note(
                "search.sqlite",
                "searching has stopped, since the search index failed; it was removed, and the next start rebuilds it: "
                "restart the service",
            )
            path = Path(self._connection.filename)
            self._connection.close()
            remove_index(path)
            self._refuse(unavailable("search is out of order until the service is restarted by its operator"))
        else:
            self._connection.close()

    def _listen(self) -> bool:
        """Take in what came; come back when there is work, or never: False at the end."""
        while True:
            try:
                message = self._messages.get(timeout=self._pause())
            except queue.Empty:
                if not self._note():
                    return True
                continue
            self._note()
            if isinstance(message, Wanted):
                self._wanted.append(message)
            elif not message:
                self._refuse_waiting(unavailable("the service is stopping; connect again"))
                return False

    def _pause(self) -> float | None:
        """How long to listen before working."""
        if self._resume_at:
            return max(0.0, self._resume_at - time.monotonic())
        if self._wanted or self._missing > self._limits.unindexed_events_max:
            return 0.0
        seconds = max(0.0, self._erase_at - time.monotonic()) if self._erase_at else None
        if self._behind:
            idle = self._limits.index_idle_seconds
            return idle if seconds is None else min(seconds, idle)
        self._asleep = True
        # Whatever was laid down before the line above did not wake anybody.
        return 0.0 if self._journals else seconds

    def _note(self) -> bool:
        """Take in what was committed; whether there was anything, and not so much that work must begin."""
        noted = False
        while self._journals:
            journal = self._journals.popleft()
            for room, events, _, _ in journal.rooms.values():
                if events:  # else members changed and nothing else
                    self._behind[room.number] = Reached(room.epoch, events[-1].seq)
                self._missing += len(events)
            if journal.replaces_text:
                self._replaced.update(room.number for room, *_ in journal.rooms.values())
                self._erase_at = self._erase_at or time.monotonic() + self._limits.erase_seconds_max
            noted = True
        return noted and self._missing <= self._limits.unindexed_events_max and not self._wanted

    def _work(self) -> None:
        """One chunk, first where somebody waits for it."""
        self._resume_at = 0.0
        self._wanted = [wanted for wanted in self._wanted if not self._is_answered(wanted)]
        number = next((number for wanted in self._wanted for number in wanted.rooms), None)
        if number is None and self._erase_at and self._erase_at <= time.monotonic():
            if self._erasing is None:
                self._erasing, self._replaced = self._replaced & self._behind.keys(), set()
            number = next(iter(self._erasing), None)
            if number is None:
                self._erase()
                return
        if number is None:
            number = next(iter(self._behind), None)
        if number is None:
            return
        try:
            done = index_room(self._connection, number, self._behind[number], CHUNK_EVENTS, CHUNK_BYTES, self._damaged)
        except apsw.Error as error:
            if not is_full(error):
                raise
            self._wait_for_space()
            return
        self._missing = max(0, self._missing - done.events)
        if done.complete:
            del self._behind[number]
            if self._erasing:
                self._erasing.discard(number)
            if not self._behind:
                self._missing = 0
        self._wanted = [wanted for wanted in self._wanted if not self._is_answered(wanted)]

    def _erase(self) -> None:
        """Empty the index's WAL; later, when a search reads an old page just then, or the disk is full."""
        seconds = self._empty_wal()
        if seconds:
            self._erase_at = time.monotonic() + seconds
        else:
            self._erasing = None
            self._erase_at = time.monotonic() + self._limits.erase_seconds_max if self._replaced else 0.0

    def _empty_wal(self) -> float:
        """Copy the WAL into the index's file and cut it off; in how many seconds to try again, 0 when it is done."""
        self._connection.set_busy_timeout(ERASE_BUSY_MS)
        try:
            self._connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return ERASE_RETRY_SECONDS
        except apsw.Error as error:
            if not is_full(error):
                raise
            log.error("the disk is full: the WAL could not be copied into the search index")
            return FULL_PAUSE_SECONDS
        finally:
            self._connection.set_busy_timeout(BUSY_MS)
        return 0.0

    def _is_answered(self, wanted: Wanted) -> bool:
        wanted.rooms.intersection_update(self._behind)
        if not wanted.rooms:
            self._loop.call_soon_threadsafe(settle, wanted.future, None)
        return not wanted.rooms

    def _wait_for_space(self) -> None:
        log.error("the disk is full: new messages cannot be found by their words")
        self._resume_at = time.monotonic() + FULL_PAUSE_SECONDS
        self._refuse_waiting(failure_of(apsw.FullError()))

    def _refuse_waiting(self, failure: Failure) -> None:
        for wanted in self._wanted:
            self._loop.call_soon_threadsafe(settle, wanted.future, failure)
        self._wanted = []

    def _refuse(self, failure: Failure) -> None:
        """Nothing can be indexed any more: say so until the end."""
        self._refuse_waiting(failure)
        while message := self._messages.get():
            if isinstance(message, Wanted):
                self._loop.call_soon_threadsafe(settle, message.future, failure)
