"""First in, first out per key, also while an entry waits for the store.

Appending needs access data that is usually cached and sometimes has to be loaded. Without a queue, an entry that finds
its data cached would overtake an earlier entry of the same key that is still loading. So while the first entry of a key
loads, later ones of that key queue behind it. When it has loaded, all entries behind it that need no loading are
appended in the same callback: appending one for each callback would never catch up while the user keeps writing.
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
    """Queues by key. A queue exists only while an entry loads, so there are never more entries than open requests.

    `find` returns what is needed to append a draft if it is cached, else None; then `load` is called. `append` starts
    the append synchronously and returns a future of its result, for which later entries do not wait. An exception of
    any of them is raised by `submit` if the draft was not queued, else set on its future.
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
        # The first entry of each queue is loading.
        self._queues: dict[object, PendingQueue[R, D]] = {}

    def submit(self, key: object, draft: D) -> asyncio.Future[R]:
        """Append the draft after earlier ones of the same key have begun to append; these need not be durable.

        Cancelling the future before its turn removes the draft from the queue.
        """
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
            pass  # cancelled
        elif loading.cancelled():
            result.cancel()
        elif error is not None:
            result.set_exception(error)
        else:
            self._start_append(draft, result, loading.result())
        self._advance(key, queue)

    def _advance(self, key: object, queue: PendingQueue[R, D]) -> None:
        """Append the queued drafts in order, until one has to load."""
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
    """Remove an entry whose future is done or cancelled."""
    queue.pop(result, None)
