"""The writer thread: all waiting requests become one transaction, one fsync, and one wake-up of the loop.

    loop                                     writer thread
    submit → queue, once a round ──────────→ takes all requests that wait (blocks for the first only)
                                             executes each by `mutations`, then COMMIT
    listener, then futures, in order ←────── one call_soon_threadsafe

Without load a request is committed at once. Under load a batch is the requests that arrived during the last commit, so
batches grow with the load. The results of a commit are sent when the next batch has been executed and SQLite is about
to write it: before, both threads would compete for the interpreter; during the write the loop has it alone.

Invariants:

* No result is sent, and no listener called, before COMMIT has returned.
* A rejected request has written nothing (`mutations` checks before it writes), so the others continue. A request that
  fails in the middle rolls back its transaction; then each request of the batch gets its own transaction.
* A full disk fails a batch, and the next one is tried. Any other error of the disk ends writing for good
  (`errors.is_fatal`): nothing is acknowledged that might be lost.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from tidings.contract import v1
from tidings.contract.errors import ApiError, resource_exhausted, unavailable
from tidings.domain.ports.store import AppendResult, CommitListener
from tidings.log import log
from tidings.stores import mutations
from tidings.stores.change_set import ChangeSet, notify_commit
from tidings.stores.sqlite.checkpointer import Checkpointer
from tidings.stores.sqlite.errors import is_busy, is_fatal, is_full, translate_store_error
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.reader_pool import resolve_future
from tidings.stores.sqlite.tables import DuplicateKeyError, SqliteTables

T = TypeVar("T")

RETRY_MS = 1_000
REQUEST_OVERHEAD_BYTES = 256  # memory of a request beside its event
# Requests up to this size are not counted for their user: `user_requests_max` of them are 4 MiB.
SMALL_REQUEST_BYTES_MAX = 2_048


class WriteRequest:
    """A change to execute, and the future of its result."""

    __slots__ = ("actor", "change", "future", "size_bytes")

    def __init__(
        self,
        change: Callable[[SqliteTables, ChangeSet], Any],
        future: "asyncio.Future[Any]",
        actor: str,
        size_bytes: int,
    ) -> None:
        self.change = change
        self.future = future
        self.actor = actor  # the user whose limit it counts against; empty for the service itself
        self.size_bytes = size_bytes

    def execute(self, tables: SqliteTables, change_set: ChangeSet) -> Any:
        """Execute the change without committing it."""
        return self.change(tables, change_set)


class AppendRequest(WriteRequest):
    """An event to append. Nearly all requests are of this kind; a closure for each would cost more."""

    __slots__ = ("can_moderate", "draft")

    def __init__(self, draft: v1.Event, can_moderate: bool, future: "asyncio.Future[Any]") -> None:
        self.draft = draft
        self.can_moderate = can_moderate
        self.actor = draft.actor
        self.future = future
        self.size_bytes = REQUEST_OVERHEAD_BYTES + draft.ByteSize()

    def execute(self, tables: SqliteTables, change_set: ChangeSet) -> AppendResult:
        """Execute the change without committing it."""
        return mutations.append(tables, change_set, self.draft, self.can_moderate)


Results = list[tuple[WriteRequest, Any]]


class Writer:
    """Commits requests in the order of their submission."""

    def __init__(
        self,
        connection: apsw.Connection,
        checkpoint_connection: apsw.Connection,
        loop: asyncio.AbstractEventLoop,
        limits: SqliteLimits,
        on_commit: Callable[[ChangeSet], None],
        check_files: Callable[[], None],
    ) -> None:
        """`on_commit` is called in the writer thread after each commit, before its results are sent: the search index.

        `check_files` is called in the writer thread before each commit; it raises `DatabaseLostError` when the database
        file was removed.
        """
        self._connection = connection
        self._loop = loop
        self._limits = limits
        self._on_commit = on_commit
        self._check_files = check_files
        self._tables = SqliteTables(connection, limits.cached_rooms_max, limits.cached_consents_max)
        self._checkpointer = Checkpointer(
            connection, checkpoint_connection, limits.wal_pages_max, self._on_checkpoint_error, limits.erase_seconds_max
        )
        # The requests of one round of the loop are passed to the thread together: a thread woken for the first of many
        # requests would take the interpreter from the others and commit less at a time.
        self._submitted: list[WriteRequest] = []
        self._queue: queue.SimpleQueue[list[WriteRequest] | None] = queue.SimpleQueue()
        # The requests that wait, counted on the loop; whether writing has ended, and the error.
        self._pending = 0
        self._pending_bytes = 0
        self._pending_bytes_by_user: dict[str, int] = {}  # by actor, of requests above SMALL_REQUEST_BYTES_MAX
        self._closed = False
        self._failed = False
        self._error: Exception | None = None
        self.commit_listener: CommitListener | None = None
        self._failure_callback: Callable[[Exception], None] | None = None
        self.on_transaction: Callable[[float], None] | None = None
        # Of the thread: requests beyond the largest commit; results of a commit that were not sent yet.
        self._deferred: list[WriteRequest] = []
        self._unsent_results: tuple[Results, ChangeSet, float] | None = None
        self._thread = threading.Thread(target=self._run, name="tidings-writer", daemon=True)
        self._thread.start()

    # --- on the loop

    def append(self, draft: v1.Event, can_moderate: bool) -> "asyncio.Future[AppendResult]":
        """The result of `RoomLog.append`, once it is durable."""
        future: asyncio.Future[AppendResult] = self._loop.create_future()
        self._submit(AppendRequest(draft, can_moderate, future))
        return future

    def write(
        self, change: Callable[[SqliteTables, ChangeSet], T], *, actor: str = "", user_count: int = 0
    ) -> "asyncio.Future[T]":
        """The result of `change`, once it is durable. `user_count`: user names that the request holds, for its size."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._submit(WriteRequest(change, future, actor, REQUEST_OVERHEAD_BYTES * (1 + user_count)))
        return future

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """`report` is called on the loop when writing has ended; soon, if it has ended already."""
        self._failure_callback = report
        if self._error is not None:
            self._loop.call_soon(report, self._error)

    def close(self) -> None:
        """Accept no more requests; those that wait are still executed."""
        self._closed = True
        self._flush_submitted()
        self._queue.put(None)

    def join(self) -> None:
        """Block until the thread has written and copied everything and ended. Its owner closes the connection."""
        self._thread.join()

    def _submit(self, request: WriteRequest) -> None:
        rejection = self._rejection(request)
        if rejection is not None:
            request.future.set_exception(rejection)
            return
        self._pending += 1
        self._pending_bytes += request.size_bytes
        if request.size_bytes > SMALL_REQUEST_BYTES_MAX:
            pending_bytes = self._pending_bytes_by_user
            pending_bytes[request.actor] = pending_bytes.get(request.actor, 0) + request.size_bytes
        if not self._submitted:
            self._loop.call_soon(self._flush_submitted)
        self._submitted.append(request)

    def _flush_submitted(self) -> None:
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _rejection(self, request: WriteRequest) -> ApiError | None:
        limits = self._limits
        if self._closed:
            return unavailable("the service is stopping; connect again")
        if self._error is not None:
            return _writing_stopped()
        if self._pending >= limits.pending_writes_max or self._pending_bytes >= limits.pending_write_bytes_max:
            return resource_exhausted(
                f"{self._pending} writes of {self._pending_bytes} bytes wait for the disk already "
                "(pending_writes_max, pending_write_bytes_max); try again",
                retry_after_ms=RETRY_MS,
            )
        if request.size_bytes <= SMALL_REQUEST_BYTES_MAX or not request.actor:
            return None
        pending_bytes = self._pending_bytes_by_user.get(request.actor, 0)
        if pending_bytes >= limits.user_pending_write_bytes_max:
            return resource_exhausted(
                f"{pending_bytes} bytes of {request.actor} wait for the disk already (user_pending_write_bytes_max); "
                "try again",
                retry_after_ms=RETRY_MS,
            )
        return None

    def _on_transaction_done(self, results: Results, change_set: ChangeSet, seconds: float) -> None:
        """On the loop, after a commit: call the listener, then set the results, both in order."""
        if self.on_transaction is not None:
            self.on_transaction(seconds)
        self._resolve(results, change_set)

    def _resolve(self, results: Results, change_set: ChangeSet) -> None:
        notify_commit(self._loop, self.commit_listener, change_set)
        self._pending -= len(results)
        for request, result in results:
            self._pending_bytes -= request.size_bytes
            if request.size_bytes > SMALL_REQUEST_BYTES_MAX:
                remaining = self._pending_bytes_by_user[request.actor] - request.size_bytes
                if remaining:
                    self._pending_bytes_by_user[request.actor] = remaining
                else:
                    del self._pending_bytes_by_user[request.actor]
            resolve_future(request.future, result)

    def _on_checkpoint_error(self) -> None:
        """In the checkpoint thread: cause a commit, so that the writer sees the error."""
        self._loop.call_soon_threadsafe(self.commit_empty)

    def commit_empty(self) -> None:
        """Submit an empty commit, which fails if the files are lost. Call it on the loop."""
        if not self._closed and self._error is None:
            self.write(lambda tables, change_set: None).cancel()  # its result is not needed

    def _on_writing_failed(self, error: Exception) -> None:
        self._error = error
        if self._failure_callback is not None:
            self._failure_callback(error)

    # --- in the thread

    def _run(self) -> None:
        is_running = True
        while is_running:
            batch, is_running = self._collect_batch()
            if not batch:
                continue
            if self._failed:
                self._reject(batch, _writing_stopped())
                continue
            try:
                self._commit(batch)
            except Exception as error:  # an error in this module; no caller may wait forever
                self._stop_writing(error)
                self._reject(batch, _writing_stopped())
        self._send_results()
        self._checkpointer.stop()
        self._final_checkpoint()

    def _collect_batch(self) -> tuple[list[WriteRequest], bool]:
        """The waiting requests, up to `commit_writes_max`; and False once `close` was called."""
        batch_max = self._limits.commit_writes_max
        batch, self._deferred = self._deferred, []
        requests = [] if batch else self._next_requests()
        try:
            while requests is not None:
                batch += requests
                if len(batch) > batch_max:
                    batch, self._deferred = batch[:batch_max], batch[batch_max:]
                    return batch, True
                requests = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _next_requests(self) -> list[WriteRequest] | None:
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            self._send_results()
            return self._queue.get()

    def _commit(self, batch: Sequence[WriteRequest], *, check_duplicates: bool = False) -> None:
        self._tables.check_duplicates = check_duplicates
        started_at = time.perf_counter()
        try:
            self._check_files()
            results, change_set = self._run_transaction(batch)
        except Exception as error:
            self._on_rollback(batch, self._roll_back(error))
            return
        self._on_commit(change_set)
        self._unsent_results = (results, change_set, time.perf_counter() - started_at)
        if change_set.has_replaced_text:
            self._checkpointer.schedule_erase()
        try:
            self._checkpointer.after_commit()
        except Exception as error:
            if not is_full(error):
                self._stop_writing(error)

    def _run_transaction(self, batch: Sequence[WriteRequest]) -> tuple[Results, ChangeSet]:
        change_set = ChangeSet()
        tables = self._tables
        results: Results = []
        for request in batch:
            try:
                results.append((request, request.execute(tables, change_set)))
            except ApiError as rejection:
                results.append((request, rejection))
        self._send_results()
        tables.commit()
        return results, change_set

    def _roll_back(self, error: Exception) -> Exception:
        """Roll back the transaction; returns the error, or that of the rollback."""
        self._tables.clear_cache()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except Exception as rollback_error:
            return OSError(f"the transaction could not be rolled back: {rollback_error}")
        return error

    def _on_rollback(self, batch: Sequence[WriteRequest], error: Exception) -> None:
        """The transaction was rolled back and no result was sent: try again, or reject the requests."""
        if isinstance(error, DuplicateKeyError):
            self._commit(batch, check_duplicates=True)
        elif is_fatal(error):
            self._stop_writing(error)
            self._reject(batch, _writing_stopped())
        elif is_full(error) or is_busy(error) or len(batch) == 1:
            self._reject(batch, translate_store_error(error))
        else:
            log.error(
                "a write failed unexpectedly; each write of its batch is tried alone", writes=len(batch), exc_info=error
            )
            for request in batch:
                if self._failed:
                    self._reject([request], _writing_stopped())
                else:
                    self._commit([request], check_duplicates=True)

    def _send_results(self) -> None:
        """Send the results of the last commit to the loop."""
        delivery, self._unsent_results = self._unsent_results, None
        if delivery is not None:
            self._loop.call_soon_threadsafe(self._on_transaction_done, *delivery)

    def _reject(self, batch: Sequence[WriteRequest], failure: ApiError) -> None:
        self._send_results()
        self._loop.call_soon_threadsafe(self._resolve, [(request, failure) for request in batch], ChangeSet())

    def _stop_writing(self, error: Exception) -> None:
        """End writing; reading continues."""
        self._failed = True
        log.critical("nothing more can be written", exc_info=error)
        self._send_results()
        # The WAL may not be on the disk, so it must not be copied into the database, not even when it is closed.
        self._checkpointer.disable()
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._loop.call_soon_threadsafe(self._on_writing_failed, error)

    def _final_checkpoint(self) -> None:
        """Copy the WAL into the database, unless its content is unknown."""
        if self._failed:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            log.error("the WAL could not be copied into the database and stays beside it", exc_info=error)


def _writing_stopped() -> ApiError:
    return unavailable(
        "the service can no longer write to its disk; its operator finds the reason at /health and in its log"
    )
