"""Threads that read. Each has a connection of its own, so that nobody waits for the one who writes."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from tidings.contract.errors import resource_exhausted, unavailable
from tidings.stores.condition import Condition
from tidings.stores.faults import failure_of

T = TypeVar("T")

RETRY_MS = 500

_Job = tuple[Callable[[apsw.Connection], Any], "asyncio.Future[Any]"]


class Readers:
    """Answers looks at the database, oldest first."""

    def __init__(
        self,
        connections: Sequence[apsw.Connection],
        loop: asyncio.AbstractEventLoop,
        waiting_max: int,
        condition: Condition,
    ) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting = 0
        self._waiting_max = waiting_max
        self._condition = condition
        self._closed = False
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name=f"tidings-reader-{number}", daemon=True)
            for number, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, look: Callable[[apsw.Connection], T]) -> T:
        """What `look` finds; it runs in one of the threads. Raises `Failure` only."""
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        if self._waiting >= self._waiting_max:
            raise resource_exhausted(
                f"{self._waiting_max} reads are waiting already (waiting_reads_max); try again", retry_after_ms=RETRY_MS
            )
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting += 1
        self._jobs.put((look, future))
        return await future

    def close(self) -> None:
        """No more looks; those that wait are still answered. To be called on the loop, once."""
        self._closed = True
        for _ in self._threads:
            self._jobs.put(None)

    def join(self) -> None:
        """Blocks until the threads are gone."""
        for thread in self._threads:
            thread.join()

    def _run(self, connection: apsw.Connection) -> None:
        while (job := self._jobs.get()) is not None:
            look, future = job
            answer: Any = None
            # Who asks and gives up, again and again, must not fill the line with work that is not wanted any more.
            if not future.cancelled():
                try:
                    answer = look(connection)
                except Exception as error:
                    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
                        self._condition.note(
                            "tidings.sqlite", f"a part of the database cannot be read ({error}); restore a backup"
                        )
                    answer = failure_of(error)
            self._loop.call_soon_threadsafe(self._settle, future, answer)
        connection.close()

    def _settle(self, future: "asyncio.Future[Any]", answer: Any) -> None:
        self._waiting -= 1
        settle(future, answer)


def settle(future: "asyncio.Future[Any]", answer: Any) -> None:
    """Give the answer, or raise it, to whoever still waits for it."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
