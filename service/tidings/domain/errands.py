"""Work that is begun from where nobody can wait: a read for the hub, a timestamp to be written."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Report = Callable[[BaseException, str], None]
"""report(error, where): somebody shall look at a fault of the service."""


class Errands:
    """What is on its way. Each holds a reference, so that none is lost to the garbage collector."""

    __slots__ = ("_report", "_tasks")

    def __init__(self, report: Report) -> None:
        self._report = report
        self._tasks: set[asyncio.Future[Any]] = set()

    def run(self, work: Awaitable[T], done: Callable[[T | Exception], None]) -> None:
        """Do the work; `done` gets its answer or its exception on the loop, or nothing if the loop ends before."""

        def finished(task: asyncio.Future[T]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                done(task.result())
            elif isinstance(error, Exception):
                done(error)

        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(finished)

    def spawn(self, work: Coroutine[Any, Any, None], where: str) -> None:
        """Do the work; a failure is reported, since nobody waits for it."""
        self.run(work, lambda answer: self._report(answer, where) if answer is not None else None)

    async def finish(self) -> None:
        """Wait until everything begun is done, and what that began."""
        while self._tasks:
            await asyncio.wait(self._tasks)
