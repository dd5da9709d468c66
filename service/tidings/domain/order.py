"""First come, first served, also while something has to be looked up.

Who writes into a room that nobody has asked about for a while waits until the store has said who may. The next one may
find the answer in memory and would be first. So as long as anybody of the same line waits, the others wait behind.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

D = TypeVar("D")
R = TypeVar("R")


class Line:
    """Those who wait."""

    __slots__ = ("length", "turn")

    def __init__(self) -> None:
        self.turn = asyncio.Lock()  # hands itself on in the order of arrival
        self.length = 0


class Order:
    """Lines by key. A line is there only while somebody waits, so there are never more than requests under way."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[object, Line] = {}

    async def keep(
        self,
        key: object,
        known: bool,
        draft: Awaitable[D],
        append: Callable[[D], Coroutine[Any, Any, R]],
    ) -> R:
        """`append(await draft)`: appends of one key are begun in the order of the calls.

        `known`: the draft will not have to wait, so it needs no line if there is none.
        """
        line = self._lines.get(key)
        if line is None:
            if known:
                return await append(await draft)
            line = self._lines[key] = Line()
        line.length += 1
        try:
            async with line.turn:
                appending = asyncio.ensure_future(append(await draft))
                # The next one may go when this one has been begun, not when it is durable.
                await asyncio.sleep(0)
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[key]
        return await appending
