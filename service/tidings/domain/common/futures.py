"""Futures derived from other futures, without a task."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_future(source: Awaitable[A], transform: Callable[[A], B]) -> asyncio.Future[B]:
    """A future of `transform(result)`. Errors are passed on; cancelling it does not cancel the source."""
    source_future = source if isinstance(source, asyncio.Future) else asyncio.ensure_future(source)
    result: asyncio.Future[B] = source_future.get_loop().create_future()
    source_future.add_done_callback(partial(chain_future, result, transform))
    return result


def chain_future(target: asyncio.Future[B], transform: Callable[[A], B], source: asyncio.Future[A]) -> None:
    """Set `transform(result)` or the error of a source that is done, unless the target is done already."""
    error = None if source.cancelled() else source.exception()
    if target.done():
        return
    if source.cancelled():
        target.cancel()
    elif error is not None:
        target.set_exception(error)
    else:
        try:
            target.set_result(transform(source.result()))
        except Exception as fault:
            target.set_exception(fault)


def passthrough(value: Any) -> Any:
    """The identity, as a `transform`."""
    return value
