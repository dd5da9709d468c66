"""Work that is begun from where nobody can wait: a read for the hub, a timestamp to be written."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ErrorReporter = Callable[[BaseException, str], None]
"""report(error, where): somebody shall look at a fault of the service."""


class BackgroundTasks:
    """What is on its way. Each holds a reference, so that none is lost to the garbage collector."""

    __slots__ = ("_report", "_tasks")

    def __init__(self, report: ErrorReporter) -> None:
        self._report = report
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, awaitable: Awaitable[T], on_done: Callable[[T | Exception], None]) -> None:
        """Do the work; `on_done` gets its answer or its exception on the loop, or nothing if the loop ends before."""

        def on_task_done(task: asyncio.Future[T]) -> None:
            self._tasks.discard(task)
            if task.cancelled():
                return
            error = task.exception()
            if error is None:
                on_done(task.result())
            elif isinstance(error, Exception):
                on_done(error)

        task = asyncio.ensure_future(awaitable)
        self._tasks.add(task)
        task.add_done_callback(on_task_done)

    def spawn(self, coroutine: Coroutine[Any, Any, None], where: str) -> None:
        """Do the work; a failure is reported, since nobody waits for it."""
        self.start(coroutine, lambda result: self._report(result, where) if result is not None else None)

    async def join(self) -> None:
        """Wait until everything begun is done, and what that began."""
        while self._tasks:
            await asyncio.wait(self._tasks)
