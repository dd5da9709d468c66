"""Who reads much waits for himself."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from tidings.contract.context import CallContext
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.limits.limits import DomainLimits

T = TypeVar("T")

# errands, call, read, done, wanted, as `Lines.run` got them. A tuple, since there may be thousands.
_QueuedRead = tuple[
    BackgroundTasks, CallContext, Callable[[], Awaitable[Any]], Callable[[Any], None], Callable[[], bool]
]


class _SessionQueue:
    """Reads of one session that no task waits for, and how many of them have one."""

    __slots__ = ("pending", "running")

    def __init__(self) -> None:
        self.running = 0
        self.pending: deque[_QueuedRead] = deque()


class UserReadLimiter:
    """Lines for each user, over all connections, in front of the store's readers.

    They answer in the order of asking. So a user has only a few reads with them at a time, and everybody else's come
    behind these few and not behind the thousands that one client can ask for at once. And nothing is read for a peer
    that does not take what it has: answers cannot be held back once they are there.

    Reads with `bytes_max` may have large answers. Fewer of them are made at a time, and each holds so much of the
    user's account until it is answered.
    """

    __slots__ = ("_large_reads_max", "_queues", "_reads_max", "_semaphores")

    def __init__(self, limits: DomainLimits) -> None:
        self._reads_max = limits.user_reads_max
        self._large_reads_max = limits.user_large_reads_max
        self._queues: dict[str, _SessionQueue] = {}  # of a session, while something of it is read
        # A line is there as long as somebody stands in it.
        self._semaphores: WeakValueDictionary[tuple[str, bool], asyncio.Semaphore] = WeakValueDictionary()

    async def wait(self, context: CallContext, read: Callable[[], Awaitable[T]], *, bytes_max: int = 0) -> T:
        """What `read` answers, when it is this user's turn and the peer takes answers."""
        key = (context.user, bytes_max > 0)
        semaphore = self._semaphores.get(key)
        if semaphore is None:
            semaphore = self._semaphores[key] = asyncio.Semaphore(
                self._large_reads_max if bytes_max else self._reads_max
            )
        memory = context.memory
        while True:
            async with semaphore:
                writable = context.session.until_writable()
                if writable is None:
                    memory.reserve(bytes_max)
                    try:
                        return await read()
                    finally:
                        memory.release(bytes_max)
            # Not in the line: it is the user's other connections' as well.
            await writable

    def start(
        self,
        background: BackgroundTasks,
        context: CallContext,
        read: Callable[[], Awaitable[T]],
        on_done: Callable[[T | Exception], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Like `wait`, for `on_done`, where nobody can wait. Not read, and `on_done` not called, when it is
        `is_wanted` no more.

        Only as many as the line lets through are tasks at a time: a peer may have thousands of streams that read, and
        a task that waits holds 24 objects, for the collector as well.
        """
        session = context.session.id
        queue = self._queues.get(session)
        if queue is None:
            queue = self._queues[session] = _SessionQueue()

        queue.pending.append((background, context, read, on_done, is_wanted))
        self._start_next(session, queue)

    def _start_next(self, session: str, queue: _SessionQueue) -> None:
        while queue.pending and queue.running < self._reads_max:
            errands, context, read, done, wanted = queue.pending.popleft()
            if wanted():
                queue.running += 1
                errands.start(self.wait(context, read), partial(self._on_read, session, queue, done))
        if not queue.running:
            self._queues.pop(session, None)

    def _on_read(self, session: str, queue: _SessionQueue, done: Callable[[Any], None], result: Any) -> None:
        queue.running -= 1
        self._start_next(session, queue)
        done(result)
