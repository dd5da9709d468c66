"""Coroutines whose steps are measured, and that begin at once.

A task runs a coroutine in steps, from one wait to the next, in rounds of the loop that nobody chooses. So that whoever
asked for the work is charged for it, each step is measured. And what begins in a step of the scheduler should be done
there as far as it goes, so that it is part of that step; `begin` does that. (It is what `asyncio.eager_task_factory`
of Python 3.12 does; as there, `asyncio.current_task` is not the coroutine's before it has waited once.)
"""

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, TypeVar

R = TypeVar("R")

NOT_STARTED: Final = object()


class MeasuredCoroutine(Coroutine[Any, Any, R]):
    """A coroutine for a task. `charge` gets the seconds that each step took.

    `awaited` is what the coroutine waits for, when it was begun already.
    """

    __slots__ = ("_charge", "_clock", "_coroutine", "_first_awaited")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, R],
        clock: Callable[[], float],
        charge: Callable[[float], None],
        first_awaited: object = NOT_STARTED,
    ) -> None:
        self._coroutine = coroutine
        self._clock = clock
        self._charge = charge
        self._first_awaited = first_awaited

    def send(self, value: Any, /) -> Any:
        """One step; what it waits for."""
        awaited, self._first_awaited = self._first_awaited, NOT_STARTED
        if awaited is not NOT_STARTED:
            return awaited
        started_at = self._clock()
        try:
            return self._coroutine.send(value)
        finally:
            self._charge(self._clock() - started_at)

    def throw(self, error: Any, value: BaseException | object = None, traceback: TracebackType | None = None, /) -> Any:
        """One step that begins with an error, as the end of a cancelled task."""
        self._first_awaited = NOT_STARTED
        started_at = self._clock()
        try:
            return self._coroutine.throw(error)
        finally:
            del error  # its traceback refers to this frame: a cycle for the collector
            self._charge(self._clock() - started_at)

    def close(self) -> None:
        """End it where it waits."""
        self._coroutine.close()

    def __await__(self) -> Any:
        """It is a task's, and awaited by none else."""
        raise NotImplementedError


def start_measured(
    coroutine: Coroutine[Any, Any, R], clock: Callable[[], float], charge: Callable[[float], None]
) -> MeasuredCoroutine[R] | None:
    """Run a coroutine until it waits; the rest of it, for a task. None: it has ended, and its result was None."""
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return MeasuredCoroutine(coroutine, clock, charge, awaited)
