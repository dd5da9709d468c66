"""Who reads much waits for himself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from tidings.contract.call import Call

T = TypeVar("T")


class Lines:
    """One line for each user, over all connections, in front of the store's readers.

    They answer in the order of asking. So a user has only a few reads with them at a time, and everybody else's come
    behind these few and not behind the thousands that one client can ask for at once. And nothing is read for a peer
    that does not take what it has: answers cannot be held back once they are there.
    """

    __slots__ = ("_at_once_max", "_lines")

    def __init__(self, at_once_max: int) -> None:
        self._at_once_max = at_once_max
        # A line is there as long as somebody stands in it.
        self._lines: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def wait(self, call: Call, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` answers, when it is this user's turn and the peer takes answers."""
        user = call.user
        line = self._lines.get(user)
        if line is None:
            line = self._lines[user] = asyncio.Semaphore(self._at_once_max)
        while True:
            async with line:
                full = call.session.full()
                if full is None:
                    return await read()
            # Not in the line: it is the user's other connections' as well.
            await full
