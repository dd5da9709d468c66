"""What `async for` runs over: a watch, and how each kind of it goes on after a break."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from tidings.contract import v1
from tidings_client.errors import ApiError
from tidings_client.watch_stream import WatchStream

OutputT = TypeVar("OutputT")


class Watch(AsyncIterator[OutputT], Generic[OutputT]):
    """Something that goes on happening, as an async iterator. Made by `room.watch()` and its kin.

        async for event in client.rooms["general"].watch(after=cursor):
            print(event.actor, event.posted.text)

    It begins with the first item asked for, or at once with `async with`. It survives lost connections and restarts of
    the service, and goes on with the next item: nothing is missing, nothing comes twice. Items are asked for as they
    are taken, 64 ahead at most: a loop that is slow slows the service, a loop that stops stops it.

    Leaving the loop ends the watch on the service as soon as nobody holds the object any more; with
    `async with` (or `aclose()`) it ends there and then. A watch that is kept may be iterated further.
    """

    def __init__(
        self, stream: WatchStream[Any], select: Callable[[Any], OutputT | None], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._stream = stream
        self._select = select
        self._loop = loop
        self._cursor: v1.Cursor | None = None
        self._live = False

    @property
    def cursor(self) -> v1.Cursor | None:
        """Behind the last item taken: hand it in as `after` another day, and the watch goes on there."""
        return self._cursor

    @property
    def live(self) -> bool:
        """Everything there was has been taken; what follows is happening now."""
        return self._live

    def __aiter__(self) -> "Watch[OutputT]":
        return self

    async def __anext__(self) -> OutputT:
        """The next item. Raises Failure for what a new connection does not heal."""
        feed = self._stream
        feed.start()
        while True:
            item = feed.pop_item()
            if item is not None:
                if item.HasField("cursor"):
                    self._cursor = item.cursor
                self._live = self._live or item.HasField("live")
                selected = self._select(item)
                if selected is not None:
                    return selected
            elif feed.is_closed:
                if feed.failure is not None:
                    raise ApiError(feed.failure.code, feed.failure.text, cursor=feed.failure.cursor)
                raise StopAsyncIteration
            else:
                await feed.wait_for_item()

    async def wait_started(self) -> None:
        """Wait until the service has begun to answer: what happens from then on will be seen.

        Worth it without `after`, where the watch begins with what happens from now on. Raises Failure.
        """
        self._stream.start()
        await self._stream.wait_for_response()
        if self._stream.failure is not None:
            raise ApiError(self._stream.failure.code, self._stream.failure.text)

    async def aclose(self) -> None:
        """End it here and on the service. Idempotent."""
        self._stream.close()

    async def __aenter__(self) -> "Watch[OutputT]":
        self._stream.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __del__(self) -> None:
        # `async for … break` leaves nothing but this. The collector may run anywhere, the feed only on its loop.
        if self._stream.is_started and not self._stream.is_closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stream.close)
