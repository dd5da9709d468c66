"""First come, first served, also while something has to be looked up.

Who writes into a room that nobody has asked about for a while waits until the store has said who may. The next one may
find the answer in memory and would be first. So as long as anybody of the same line waits, the others wait behind.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

D = TypeVar("D")
R = TypeVar("R")

Begun = asyncio.Future[None]


class Order:
    """Lines by key. A line is there only while somebody waits, so there are never more than requests under way."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        # Whether the last one of each line has begun to append.
        self._last: dict[object, Begun] = {}

    def is_free(self, key: object) -> bool:
        """Whether nobody of this key waits: whoever has nothing to look up may go ahead."""
        return key not in self._last

    def keep(
        self, key: object, look_up: Callable[[], Awaitable[D]], append: Callable[[D], Awaitable[R]]
    ) -> asyncio.Future[R]:
        """`append(await look_up())`, behind those of the same key who came before: their appends have begun by then,
        and need not be durable. The place in the line is taken at once."""
        loop = asyncio.get_running_loop()
        begun: Begun = loop.create_future()
        appended = loop.create_task(_in_line(self._last.get(key), look_up, append, begun))
        # Refused, cancelled even before it came to anything: the next one may go.
        appended.add_done_callback(lambda _: _set(begun))
        self._last[key] = begun
        begun.add_done_callback(partial(self._drop, key))
        return appended

    def _drop(self, key: object, begun: Begun) -> None:
        if self._last.get(key) is begun:
            del self._last[key]


async def _in_line(
    before: Begun | None, look_up: Callable[[], Awaitable[D]], append: Callable[[D], Awaitable[R]], begun: Begun
) -> R:
    if before is not None:
        await asyncio.wait((before,))
    appending = asyncio.ensure_future(append(await look_up()))
    _set(begun)
    return await appending


def _set(begun: Begun) -> None:
    if not begun.done():
        begun.set_result(None)
