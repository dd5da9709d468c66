"""Background tasks started from synchronous code: a read for the hub, a timestamp to store."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

ErrorReporter = Callable[[BaseException, str], None]
"""report(error, where): reports a fault of the service to its operator."""


class BackgroundTasks:
    """The running tasks. It holds a reference to each, so that the garbage collector does not remove it."""

    __slots__ = ("_report", "_tasks")

    def __init__(self, report: ErrorReporter) -> None:
        self._report = report
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, awaitable: Awaitable[T], on_done: Callable[[T | Exception], None]) -> None:
        """Run the awaitable; `on_done` gets its result or exception on the loop. Not called after a cancellation."""

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
        """Run the coroutine; a failure is reported."""
        self.start(coroutine, lambda result: self._report(result, where) if result is not None else None)

    async def join(self) -> None:
        """Wait for all tasks, and for the tasks that they start."""
        while self._tasks:
            await asyncio.wait(self._tasks)
