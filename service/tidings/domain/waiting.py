"""Waiting without a task: what will be made of an answer that is not there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def then(answer: Awaitable[A], make: Callable[[A], B]) -> asyncio.Future[B]:
    """What `make` makes of the answer. An error stays what it is; who stops waiting stops nothing."""
    coming = answer if isinstance(answer, asyncio.Future) else asyncio.ensure_future(answer)
    made: asyncio.Future[B] = coming.get_loop().create_future()
    coming.add_done_callback(partial(hand_on, made, make))
    return made


def hand_on(waiting: asyncio.Future[B], make: Callable[[A], B], came: asyncio.Future[A]) -> None:
    """Give what `make` makes of the answer that came, or its error, to whoever still waits."""
    error = None if came.cancelled() else came.exception()
    if waiting.done():
        return
    if came.cancelled():
        waiting.cancel()
    elif error is not None:
        waiting.set_exception(error)
    else:
        try:
            waiting.set_result(make(came.result()))
        except Exception as fault:
            waiting.set_exception(fault)


def same(answer: Any) -> Any:
    """An answer as it came."""
    return answer
