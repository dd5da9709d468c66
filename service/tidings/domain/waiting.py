"""Waiting without a task: what will be made of an answer that is not there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def then(answer: Awaitable[A], make: Callable[[A], B]) -> asyncio.Future[B]:
    """What `make` makes of the answer. An error stays what it is; who stops waiting stops nothing."""
    coming = asyncio.ensure_future(answer)
    made: asyncio.Future[B] = coming.get_loop().create_future()

    def come(coming: asyncio.Future[A]) -> None:
        error = None if coming.cancelled() else coming.exception()
        if made.done():
            return
        if coming.cancelled():
            made.cancel()
        elif error is not None:
            made.set_exception(error)
        else:
            try:
                made.set_result(make(coming.result()))
            except Exception as fault:
                made.set_exception(fault)

    coming.add_done_callback(come)
    return made
