"""Work that is begun from where nobody can wait: a read for the hub, a timestamp to be written."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Report = Callable[[BaseException, str], None]
"""report(error, where): somebody shall look at a fault of the service."""


class Errands:
    """The tasks that are on their way. Each holds a reference, so that none is lost to the garbage collector."""

    __slots__ = ("_report", "_tasks")

    def __init__(self, report: Report) -> None:
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, T], done: Callable[[T | Exception], None]) -> None:
        """Do the work; `done` gets its answer or its exception on the loop, or nothing if all is closed before."""

        async def errand() -> None:
            answer: T | Exception
            try:
                answer = await work
            except Exception as error:
                answer = error
            done(answer)

        self._start(errand())

    def spawn(self, work: Coroutine[Any, Any, None], where: str) -> None:
        """Do the work; a failure is reported, since nobody waits for it."""

        async def errand() -> None:
            try:
                await work
            except Exception as error:
                self._report(error, where)

        self._start(errand())

    def _start(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until everything begun is done, and what that began."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
