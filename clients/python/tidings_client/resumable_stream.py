"""A stream that outlives its connections: what a feed and a conversation have in common.

It has no task. It begins its stream when there is a link, room in the window and something to ask for, and after a
failure that passes it does so again by a timer. Everything it changes, it changes before it calls out.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from google.protobuf.message import Message

from tidings.protocols.rsocket import Stream
from tidings_client.backoff import Backoff
from tidings_client.connection import ClientConnection
from tidings_client.errors import (
    WATCH_RETRY_CODES,
    ApiError,
    ConnectionLostError,
    RequestRejectedError,
    retry_after_seconds,
    should_retry,
)
from tidings_client.flow_window import FlowWindow
from tidings_client.reconnector import Reconnector

ItemT = TypeVar("ItemT", bound=Message)


class ResumableStream(ABC, Generic[ItemT]):
    """Items that arrived and were not taken, and the stream that more of them come from.

    `over`: no items will come any more; `failure` says why. None: everything was sent, or the consumer ended it.
    """

    def __init__(self, reconnector: Reconnector, window: FlowWindow) -> None:
        self._reconnector = reconnector
        self._codec = reconnector.settings.codec
        self._window = window
        self._buffer: deque[tuple[ItemT, int]] = deque()
        self._changed = asyncio.Event()
        self._backoff = Backoff(reconnector.settings.backoff)
        self._stream: Stream | None = None
        self._connection: ClientConnection | None = None
        self._open_timer: asyncio.TimerHandle | None = None
        self.is_started = False
        self.is_closed = False
        self.failure: ApiError | None = None

    @abstractmethod
    def _open(self) -> None:
        """Open the stream, if there is none, none is due, and it can be."""

    @abstractmethod
    def on_closed(self, failure: ApiError) -> None:
        """See `keeper.Follower`."""

    # --- the consumer's side ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to ask. Idempotent."""
        if not self.is_started:
            self.is_started = True
            self._reconnector.add_observer(self)

    def pop_item(self) -> ItemT | None:
        """The next item if one is here; room for another one in the window."""
        if not self._buffer:
            return None
        item, size = self._buffer.popleft()
        self._window.on_consumed(size)
        self._refill()
        return item

    async def wait_for_item(self) -> None:
        """Wait until there is an item, or the end."""
        while not self._buffer and not self.is_closed:
            self._changed.clear()
            await self._changed.wait()

    def end(self, failure: ApiError | None) -> None:
        """Over, here and on the service. Idempotent."""
        if self.is_closed:
            return
        self.is_closed, self.failure = True, failure
        stream, connection = self._stream, self._connection
        self._stream = self._connection = None
        self._cancel_timer()
        self._reconnector.remove_observer(self)
        self._changed.set()
        self._release()
        if stream is not None and connection is not None:
            connection.cancel(stream)

    def _release(self) -> None:
        """It is over: let go of what else there is."""

    # --- the keeper's and the stream's side -------------------------------------------------------------------------

    def on_connected(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._backoff.reset()
        self._cancel_timer()
        self._open()

    def on_error(self, error: ApiError | ConnectionLostError | RequestRejectedError) -> None:
        self._on_stream_lost()
        if isinstance(error, ConnectionLostError):
            # The keeper will say when there is another link.
            self._connection = None
        elif isinstance(error, RequestRejectedError) or should_retry(error, WATCH_RETRY_CODES):
            self._open_later(0.0 if isinstance(error, RequestRejectedError) else retry_after_seconds(error) or 0.0)
        else:
            self.end(error)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        if self._stream is None:
            self._open()
        elif self._connection is not None:
            n = self._window.refill()
            if n:
                self._connection.request_n(self._stream, n)

    def _on_stream_lost(self) -> None:
        """The stream is no more."""
        self._stream = None
        self._window.on_stream_ended()

    def _is_closed_or_opening(self) -> bool:
        return self.is_closed or self._stream is not None or self._open_timer is not None

    def _open_later(self, min_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._open_timer = loop.call_later(self._backoff.next_delay_seconds(min_seconds), self._on_open_timer)

    def _on_open_timer(self) -> None:
        self._open_timer = None
        self._open()

    def _cancel_timer(self) -> None:
        if self._open_timer is not None:
            self._open_timer.cancel()
            self._open_timer = None
