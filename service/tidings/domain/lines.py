"""Who reads much waits for himself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

from tidings.contract.call import Call
from tidings.domain.limits import DomainLimits

T = TypeVar("T")


class Lines:
    """Lines for each user, over all connections, in front of the store's readers.

    They answer in the order of asking. So a user has only a few reads with them at a time, and everybody else's come
    behind these few and not behind the thousands that one client can ask for at once. And nothing is read for a peer
    that does not take what it has: answers cannot be held back once they are there.

    Reads with `bytes_max` may have large answers. Fewer of them are made at a time, and each holds so much of the
    user's account until it is answered.
    """

    __slots__ = ("_lines", "_pages_max", "_reads_max")

    def __init__(self, limits: DomainLimits) -> None:
        self._reads_max = limits.user_reads_max
        self._pages_max = limits.user_pages_max
        # A line is there as long as somebody stands in it.
        self._lines: WeakValueDictionary[tuple[str, bool], asyncio.Semaphore] = WeakValueDictionary()

    async def wait(self, call: Call, read: Callable[[], Awaitable[T]], *, bytes_max: int = 0) -> T:
        """What `read` answers, when it is this user's turn and the peer takes answers."""
        key = (call.user, bytes_max > 0)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = asyncio.Semaphore(self._pages_max if bytes_max else self._reads_max)
        memory = call.memory
        while True:
            async with line:
                full = call.session.full()
                if full is None:
                    memory.hold(bytes_max)
                    try:
                        return await read()
                    finally:
                        memory.release(bytes_max)
            # Not in the line: it is the user's other connections' as well.
            await full
