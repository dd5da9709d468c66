"""Threads that read the database. Each has its own connection, so reads do not wait for the writer."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from tidings.contract.errors import resource_exhausted, unavailable
from tidings.stores.sqlite.errors import translate_store_error
from tidings.stores.sqlite.problems import StoreProblems

T = TypeVar("T")

RETRY_MS = 500

_Job = tuple[Callable[[apsw.Connection], Any], "asyncio.Future[Any]"]


class ReaderPool:
    """Runs queries in its threads, oldest first."""

    def __init__(
        self,
        connections: Sequence[apsw.Connection],
        loop: asyncio.AbstractEventLoop,
        pending_max: int,
        problems: StoreProblems,
    ) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pending = 0
        self._pending_max = pending_max
        self._problems = problems
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name=f"tidings-reader-{number}", daemon=True)
            for number, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    async def read(self, query: Callable[[apsw.Connection], T]) -> T:
        """Run `query` in one of the threads and return its result. Raises `ApiError` only.

        RESOURCE_EXHAUSTED when `pending_reads_max` reads wait, UNAVAILABLE after `close`.
        """
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        if self._pending >= self._pending_max:
            raise resource_exhausted(
                f"{self._pending_max} reads wait already (pending_reads_max); try again later", retry_after_ms=RETRY_MS
            )
        future: asyncio.Future[T] = self._loop.create_future()
        self._pending += 1
        self._jobs.put((query, future))
        return await future

    def close(self) -> None:
        """Accept no more reads; those that wait are still executed. Call it once, on the loop."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def join(self) -> None:
        """Block until the threads have ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, connection: apsw.Connection) -> None:
        while (job := self._jobs.get()) is not None:
            query, future = job
            result: Any = None
            # A caller that cancels reads repeatedly must not fill the queue with work.
            if not future.cancelled():
                try:
                    result = query(connection)
                except Exception as error:
                    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                        self._problems.report(
                            "tidings.sqlite", f"a part of the database cannot be read ({error}); restore a backup"
                        )
                    result = translate_store_error(error)
            self._loop.call_soon_threadsafe(self._finish, future, result)
        connection.close()

    def _finish(self, future: "asyncio.Future[Any]", result: Any) -> None:
        self._pending -= 1
        resolve_future(future, result)


def resolve_future(future: "asyncio.Future[Any]", result: Any) -> None:
    """Set the result, or the exception, of a future that is not done or cancelled."""
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
