"""The thread that writes: whatever has gathered becomes one transaction, one fsync, and one wake of the loop.

    loop                                     this thread
    submit → queue, once a round ──────────→ takes all that is there (it waits for the first only)
                                             each request by `rules`, then COMMIT
    listener, then futures, in order ←────── one call_soon_threadsafe

Alone, a request is committed at once; under load a batch is what came while the last commit ran, so it grows by itself.
Then the answers of a commit leave when the next one has been worked out and SQLite is about to write it: until that
moment both threads would want the interpreter, and from then on the loop has it to itself.

What a maintainer must not break:

* Nothing is answered before COMMIT has returned, and nothing is told to the listener.
* A request that is refused has written nothing (`rules` looks before it writes), so the others go on. One that breaks
  in the middle takes its transaction with it; then each request of the batch gets a transaction of its own.
* A full disk fails a batch, and the next one is tried. Any other error of the disk ends writing for good
  (`faults.is_fatal`): nothing is acknowledged that might not be there.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from tidings.contract import v1
from tidings.contract.errors import Failure, resource_exhausted, unavailable
from tidings.domain.ports import Committed, Written
from tidings.log import log
from tidings.stores import rules
from tidings.stores.checkpoints import Checkpoints
from tidings.stores.faults import failure_of, is_busy, is_fatal, is_full
from tidings.stores.limits import StoreLimits
from tidings.stores.listening import tell
from tidings.stores.readers import settle
from tidings.stores.rules import Journal
from tidings.stores.sql_tables import Repeated, SqlTables

T = TypeVar("T")

RETRY_MS = 1_000
REQUEST_BYTES = 256  # what a request weighs beside its event
SMALL_BYTES = 2_048  # up to here a request is not counted for its actor: `user_requests_max` of them are 4 MiB


class Request:
    """Something to be written, and who waits for it."""

    __slots__ = ("actor", "change", "future", "weight_bytes")

    def __init__(
        self, change: Callable[[SqlTables, Journal], Any], future: "asyncio.Future[Any]", actor: str, weight_bytes: int
    ) -> None:
        self.change = change
        self.future = future
        self.actor = actor  # whose limit it counts against, besides everybody's; empty for the service itself
        self.weight_bytes = weight_bytes

    def perform(self, tables: SqlTables, journal: Journal) -> Any:
        """Write, without committing."""
        return self.change(tables, journal)


class Append(Request):
    """An event to be appended: nearly all requests are, and a closure for each would cost more."""

    __slots__ = ("draft", "moderates")

    def __init__(self, draft: v1.Event, moderates: bool, future: "asyncio.Future[Any]") -> None:
        self.draft = draft
        self.moderates = moderates
        self.actor = draft.actor
        self.future = future
        self.weight_bytes = REQUEST_BYTES + draft.ByteSize()

    def perform(self, tables: SqlTables, journal: Journal) -> Written:
        """Write, without committing."""
        return rules.append(tables, journal, self.draft, self.moderates)


Answers = list[tuple[Request, Any]]


class Writer:
    """Commits requests in the order in which they came."""

    def __init__(
        self,
        connection: apsw.Connection,
        copier: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        limits: StoreLimits,
        committed: Callable[[Journal], None],
        check: Callable[[], None],
    ) -> None:
        """`committed` is told of each commit in this thread, before anybody else hears of it: the search index.

        `check` is called in this thread before each commit and raises `FilesLost` when its file is no longer there.
        """
        self._connection = connection
        self._loop = loop
        self._limits = limits
        self._committed = committed
        self._check = check
        self._tables = SqlTables(connection, limits.cached_rooms_max, limits.cached_consents_max)
        self._checkpoints = Checkpoints(
            connection, copier, limits.wal_pages, self._copying_failed, limits.erase_seconds_max
        )
        # What a round of the loop wants written is handed over at its end, all at once: a thread that is woken for the
        # first of many requests takes the interpreter from the others, and commits less at a time.
        self._submitted: list[Request] = []
        self._requests: queue.SimpleQueue[list[Request] | None] = queue.SimpleQueue()
        # What waits, counted on the loop; whether writing has ended, and why.
        self._waiting = 0
        self._waiting_bytes = 0
        self._waiting_bytes_of: dict[str, int] = {}  # by actor, of requests that are not small
        self._closed = False
        self._failed = False
        self._error: Exception | None = None
        self.listener: Committed | None = None
        self._report: Callable[[Exception], None] | None = None
        self.observe: Callable[[float], None] | None = None
        # Of the thread: what was too much for one commit; what was committed and not told yet.
        self._left_over: list[Request] = []
        self._undelivered: tuple[Answers, Journal, float] | None = None
        self._thread = threading.Thread(target=self._run, name="tidings-writer", daemon=True)
        self._thread.start()

    # on the loop

    def append(self, draft: v1.Event, moderates: bool) -> "asyncio.Future[Written]":
        """The event's place in the log, once it is durable."""
        future: asyncio.Future[Written] = self._loop.create_future()
        self._submit(Append(draft, moderates, future))
        return future

    def write(
        self, change: Callable[[SqlTables, Journal], T], *, actor: str = "", names: int = 0
    ) -> "asyncio.Future[T]":
        """What `change` answers, once what it wrote is durable; it waits with so many `names` of users."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._submit(Request(change, future, actor, REQUEST_BYTES * (1 + names)))
        return future

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """Called on the loop when writing has ended; soon, if that was before."""
        self._report = report
        if self._error is not None:
            self._loop.call_soon(report, self._error)

    def close(self) -> None:
        """No more requests; those that wait are still carried out."""
        self._closed = True
        self._hand_over()
        self._requests.put(None)

    def join(self) -> None:
        """Blocks until all is written and copied, and the thread is gone. The connection is closed by its owner."""
        self._thread.join()

    def _submit(self, request: Request) -> None:
        refusal = self._refusal(request)
        if refusal is not None:
            request.future.set_exception(refusal)
            return
        self._waiting += 1
        self._waiting_bytes += request.weight_bytes
        if request.weight_bytes > SMALL_BYTES:
            waiting = self._waiting_bytes_of
            waiting[request.actor] = waiting.get(request.actor, 0) + request.weight_bytes
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        self._submitted.append(request)

    def _hand_over(self) -> None:
        if self._submitted:
            self._requests.put(self._submitted)
            self._submitted = []

    def _refusal(self, request: Request) -> Failure | None:
        limits = self._limits
        if self._closed:
            return unavailable("the service is stopping; connect again")
        if self._error is not None:
            return _ended()
        if self._waiting >= limits.waiting_writes_max or self._waiting_bytes >= limits.waiting_bytes_max:
            return resource_exhausted(
                f"{self._waiting} writes of {self._waiting_bytes} bytes wait for the disk already "
                "(waiting_writes_max, waiting_bytes_max); try again",
                retry_after_ms=RETRY_MS,
            )
        if request.weight_bytes <= SMALL_BYTES or not request.actor:
            return None
        waiting_bytes = self._waiting_bytes_of.get(request.actor, 0)
        if waiting_bytes >= limits.user_waiting_bytes_max:
            return resource_exhausted(
                f"{waiting_bytes} bytes of {request.actor} wait for the disk already (user_waiting_bytes_max); "
                "try again",
                retry_after_ms=RETRY_MS,
            )
        return None

    def _answer(self, answers: Answers, journal: Journal, seconds: float) -> None:
        """One commit is done: first the listener hears of it, then those who asked, both in order."""
        if self.observe is not None:
            self.observe(seconds)
        self._settle(answers, journal)

    def _settle(self, answers: Answers, journal: Journal) -> None:
        tell(self._loop, self.listener, journal)
        self._waiting -= len(answers)
        for request, answer in answers:
            self._waiting_bytes -= request.weight_bytes
            if request.weight_bytes > SMALL_BYTES:
                left = self._waiting_bytes_of[request.actor] - request.weight_bytes
                if left:
                    self._waiting_bytes_of[request.actor] = left
                else:
                    del self._waiting_bytes_of[request.actor]
            settle(request.future, answer)

    def _copying_failed(self) -> None:
        """In the copying thread: have a commit, though nobody wants one, so that its end is heard of soon."""
        self._loop.call_soon_threadsafe(self.commit_nothing)

    def commit_nothing(self) -> None:
        """Have a commit, so that what is wrong with the files is found out. On the loop."""
        if not self._closed and self._error is None:
            self.write(lambda tables, journal: None).cancel()  # nobody waits for it

    def _give_up(self, error: Exception) -> None:
        self._error = error
        if self._report is not None:
            self._report(error)

    # in the thread

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._gather()
            if not batch:
                continue
            if self._failed:
                self._refuse(batch, _ended())
                continue
            try:
                self._commit(batch)
            except Exception as error:  # a fault of this file; nobody may wait for ever because of it
                self._end(error)
                self._refuse(batch, _ended())
        self._deliver()
        self._checkpoints.stop()
        self._finish()

    def _gather(self) -> tuple[list[Request], bool]:
        """All that waits, up to the largest commit; False when the end was among it."""
        most = self._limits.commit_writes_max
        batch, self._left_over = self._left_over, []
        requests = [] if batch else self._next()
        try:
            while requests is not None:
                batch += requests
                if len(batch) > most:
                    batch, self._left_over = batch[:most], batch[most:]
                    return batch, True
                requests = self._requests.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _next(self) -> list[Request] | None:
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            self._deliver()
            return self._requests.get()

    def _commit(self, batch: Sequence[Request], *, careful: bool = False) -> None:
        self._tables.careful = careful
        began = time.perf_counter()
        try:
            self._check()
            answers, journal = self._transaction(batch)
        except Exception as error:
            self._undone(batch, self._rolled_back(error))
            return
        self._committed(journal)
        self._undelivered = (answers, journal, time.perf_counter() - began)
        if journal.replaces_text:
            self._checkpoints.erase()
        try:
            self._checkpoints.after_commit()
        except Exception as error:
            if not is_full(error):
                self._end(error)

    def _transaction(self, batch: Sequence[Request]) -> tuple[Answers, Journal]:
        journal = Journal()
        tables = self._tables
        answers: Answers = []
        for request in batch:
            try:
                answers.append((request, request.perform(tables, journal)))
            except Failure as refused:
                answers.append((request, refused))
        self._deliver()
        tables.commit()
        return answers, journal

    def _rolled_back(self, error: Exception) -> Exception:
        """Take the transaction back; the error that counts."""
        self._tables.forget()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except Exception as second:
            return OSError(f"the database can neither go on nor back: {second}")
        return error

    def _undone(self, batch: Sequence[Request], error: Exception) -> None:
        """The transaction did not happen, and nobody was answered yet: try again, or say so."""
        if isinstance(error, Repeated):
            self._commit(batch, careful=True)
        elif is_fatal(error):
            self._end(error)
            self._refuse(batch, _ended())
        elif is_full(error) or is_busy(error) or len(batch) == 1:
            self._refuse(batch, failure_of(error))
        else:
            log.error("one of several writes broke; each is tried alone", writes=len(batch), exc_info=error)
            for request in batch:
                if self._failed:
                    self._refuse([request], _ended())
                else:
                    self._commit([request], careful=True)

    def _deliver(self) -> None:
        """Let the loop have the answers of the last commit."""
        delivery, self._undelivered = self._undelivered, None
        if delivery is not None:
            self._loop.call_soon_threadsafe(self._answer, *delivery)

    def _refuse(self, batch: Sequence[Request], failure: Failure) -> None:
        self._deliver()
        self._loop.call_soon_threadsafe(self._settle, [(request, failure) for request in batch], Journal())

    def _end(self, error: Exception) -> None:
        """Writing is over, reading goes on."""
        self._failed = True
        log.critical("nothing more can be written", exc_info=error)
        self._deliver()
        # What may not be on the disk must not be copied into the database either, not even at the end.
        self._checkpoints.end()
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._loop.call_soon_threadsafe(self._give_up, error)

    def _finish(self) -> None:
        """Leave everything in the database, unless what the WAL holds is unknown."""
        if self._failed:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            log.error("the WAL stays beside the database", exc_info=error)


def _ended() -> Failure:
    return unavailable(
        "the service can no longer write to its disk; its operator finds the reason at /health and in its log"
    )
