"""First come, first served, also while something has to be looked up.

Who writes into a room that nobody has asked about for a while waits until the store has said who may. The next one may
find the answer in memory and would be first. So as long as anybody of the same line waits, the others wait behind; and
once the first has its answer, all behind it who need none go in the same turn: a line that moved one place a turn would
not end while its user went on writing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from tidings.domain.common.futures import chain_future, passthrough

D = TypeVar("D")
S = TypeVar("S")
R = TypeVar("R")

PendingQueue = dict[asyncio.Future[R], D]


class KeyedFifo(Generic[D, S, R]):
    """Lines by key. A line is there only while somebody waits, so there are never more than requests under way.

    `find` says at once what has to be known before a draft is appended, or None; then `load` is asked. `append`
    takes the draft's place in the log and comes back; its answer may come later, and nobody in the line waits for that.
    What any of them raises, `submit` raises where nobody waits; else it is the answer.
    """

    __slots__ = ("_append", "_find", "_load", "_queues")

    def __init__(
        self,
        find: Callable[[D], S | None],
        load: Callable[[D], Awaitable[S]],
        append: Callable[[D, S], asyncio.Future[R]],
    ) -> None:
        self._find = find
        self._load = load
        self._append = append
        # Of each line, the first is being looked up, as long as the line is there.
        self._queues: dict[object, PendingQueue[R, D]] = {}

    def submit(self, key: object, draft: D) -> asyncio.Future[R]:
        """Append behind those of the same key who came before; their appends have begun by then, and need not be
        durable. The place in the line is taken at once; who gives up the answer before it is their turn leaves it."""
        queue = self._queues.get(key)
        if queue is not None:
            result = self._enqueue(queue, draft)
            result.add_done_callback(partial(_discard, queue))
            return result
        found = self._find(draft)
        if found is not None:
            return self._append(draft, found)
        queue = self._queues[key] = {}
        result = self._enqueue(queue, draft)
        self._load_first(key, queue, result)
        return result

    def _enqueue(self, queue: PendingQueue[R, D], draft: D) -> asyncio.Future[R]:
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        queue[result] = draft
        return result

    def _load_first(self, key: object, queue: PendingQueue[R, D], result: asyncio.Future[R]) -> None:
        loading = asyncio.ensure_future(self._load(queue[result]))
        result.add_done_callback(lambda _: loading.cancel())
        loading.add_done_callback(partial(self._on_loaded, key, queue, result))

    def _on_loaded(
        self, key: object, queue: PendingQueue[R, D], result: asyncio.Future[R], loading: asyncio.Future[S]
    ) -> None:
        draft = queue.pop(result, None)
        error = None if loading.cancelled() else loading.exception()
        if result.done() or draft is None:
            pass  # nobody waits for it any more
        elif loading.cancelled():
            result.cancel()
        elif error is not None:
            result.set_exception(error)
        else:
            self._start_append(draft, result, loading.result())
        self._advance(key, queue)

    def _advance(self, key: object, queue: PendingQueue[R, D]) -> None:
        """Append for one after the other, until something has to be looked up."""
        for result, draft in list(queue.items()):
            if not result.done():
                try:
                    found = self._find(draft)
                except Exception as error:
                    result.set_exception(error)
                else:
                    if found is None:
                        self._load_first(key, queue, result)
                        return
                    self._start_append(draft, result, found)
            queue.pop(result, None)
        del self._queues[key]

    def _start_append(self, draft: D, result: asyncio.Future[R], found: S) -> None:
        try:
            appended = self._append(draft, found)
        except Exception as error:
            result.set_exception(error)
        else:
            appended.add_done_callback(partial(chain_future, result, passthrough))


def _discard(queue: PendingQueue[R, D], result: asyncio.Future[R]) -> None:
    """Somebody has an answer, or gave it up: nothing of theirs stays in the line."""
    queue.pop(result, None)
