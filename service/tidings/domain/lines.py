"""Who reads much waits for himself."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from tidings.contract.call import Call
from tidings.domain.errands import Errands
from tidings.domain.limits import DomainLimits

T = TypeVar("T")

# errands, call, read, done, wanted, as `Lines.run` got them. A tuple, since there may be thousands.
_Read = tuple[Errands, Call, Callable[[], Awaitable[Any]], Callable[[Any], None], Callable[[], bool]]


class _Queue:
    """Reads of one session that no task waits for, and how many of them have one."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[_Read] = deque()


class Lines:
    """Lines for each user, over all connections, in front of the store's readers.

    They answer in the order of asking. So a user has only a few reads with them at a time, and everybody else's come
    behind these few and not behind the thousands that one client can ask for at once. And nothing is read for a peer
    that does not take what it has: answers cannot be held back once they are there.

    Reads with `bytes_max` may have large answers. Fewer of them are made at a time, and each holds so much of the
    user's account until it is answered.
    """

    __slots__ = ("_lines", "_pages_max", "_queues", "_reads_max")

    def __init__(self, limits: DomainLimits) -> None:
        self._reads_max = limits.user_reads_max
        self._pages_max = limits.user_pages_max
        self._queues: dict[str, _Queue] = {}  # of a session, while something of it is read
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

    def run(
        self,
        errands: Errands,
        call: Call,
        read: Callable[[], Awaitable[T]],
        done: Callable[[T | Exception], None],
        wanted: Callable[[], bool],
    ) -> None:
        """Like `wait`, for `done`, where nobody can wait. Not read, and `done` not called, when it is `wanted` no more.

        Only as many as the line lets through are tasks at a time: a peer may have thousands of streams that read, and
        a task that waits holds 24 objects, for the collector as well.
        """
        session = call.session.id
        queue = self._queues.get(session)
        if queue is None:
            queue = self._queues[session] = _Queue()

        queue.waiting.append((errands, call, read, done, wanted))
        self._begin_next(session, queue)

    def _begin_next(self, session: str, queue: _Queue) -> None:
        while queue.waiting and queue.running < self._reads_max:
            errands, call, read, done, wanted = queue.waiting.popleft()
            if wanted():
                queue.running += 1
                errands.run(self.wait(call, read), partial(self._came, session, queue, done))
        if not queue.running:
            self._queues.pop(session, None)

    def _came(self, session: str, queue: _Queue, done: Callable[[Any], None], answer: Any) -> None:
        queue.running -= 1
        self._begin_next(session, queue)
        done(answer)
