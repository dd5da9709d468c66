"""Limits concurrent store reads per user."""

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

# background, context, read, on_done, is_wanted, the arguments of `start`. A tuple, since there may be thousands.
_QueuedRead = tuple[
    BackgroundTasks, CallContext, Callable[[], Awaitable[Any]], Callable[[Any], None], Callable[[], bool]
]


class _SessionQueue:
    """Reads of one session that have no task yet, and the number of those that have one."""

    __slots__ = ("pending", "running")

    def __init__(self) -> None:
        self.running = 0
        self.pending: deque[_QueuedRead] = deque()


class UserReadLimiter:
    """A limit of concurrent reads for each user, over all connections, in front of the store's reader threads.

    The threads serve reads in order. With the limit, the reads of other users wait behind a few reads of one user, and
    not behind the thousands that one client can request at once. No read starts while the transport of the caller
    accepts no data, since a result cannot be held back.

    Reads with `bytes_max` may have large results. Fewer of them run at a time, and each reserves that much on the
    user's memory account until it is done.
    """

    __slots__ = ("_large_reads_max", "_queues", "_reads_max", "_semaphores")

    def __init__(self, limits: DomainLimits) -> None:
        self._reads_max = limits.user_reads_max
        self._large_reads_max = limits.user_large_reads_max
        self._queues: dict[str, _SessionQueue] = {}  # by session, while a read of it runs
        # A semaphore exists while a read holds it or waits for it.
        self._semaphores: WeakValueDictionary[tuple[str, bool], asyncio.Semaphore] = WeakValueDictionary()

    async def wait(self, context: CallContext, read: Callable[[], Awaitable[T]], *, bytes_max: int = 0) -> T:
        """The result of `read`, which starts below the user's limit and when the transport is writable."""
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
            # Not within the semaphore: the user's other connections need it as well.
            await writable

    def start(
        self,
        background: BackgroundTasks,
        context: CallContext,
        read: Callable[[], Awaitable[T]],
        on_done: Callable[[T | Exception], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        """Like `wait`, for synchronous callers: `on_done` gets the result or the error.

        Nothing is read, and `on_done` is not called, if `is_wanted()` is false when the turn comes. Only as many reads
        as the limit permits have a task: a peer may have thousands of streams that read, and a waiting task holds 24
        objects that the garbage collector visits.
        """
        session = context.session.id
        queue = self._queues.get(session)
        if queue is None:
            queue = self._queues[session] = _SessionQueue()

        queue.pending.append((background, context, read, on_done, is_wanted))
        self._start_next(session, queue)

    def _start_next(self, session: str, queue: _SessionQueue) -> None:
        while queue.pending and queue.running < self._reads_max:
            background, context, read, on_done, is_wanted = queue.pending.popleft()
            if is_wanted():
                queue.running += 1
                background.start(self.wait(context, read), partial(self._on_read, session, queue, on_done))
        if not queue.running:
            self._queues.pop(session, None)

    def _on_read(self, session: str, queue: _SessionQueue, on_done: Callable[[Any], None], result: Any) -> None:
        queue.running -= 1
        self._start_next(session, queue)
        on_done(result)
