"""One connection: the engine, a wire, and the event loop between them.

The engine decides, the wire carries, the link moves bytes and tells each stream's receiver what happened. Frames are
written once per turn of the loop, however many calls made them. When the link ends, every receiver is told first and
`ended` is resolved last; after that nothing happens on it. A link is never repaired: the keeper opens another one.

The rule: nothing here waits. A task that is cancelled therefore finds either no change or a whole one.
"""

import asyncio
import ssl as tls
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from tidings.protocols.rsocket import (
    Connection,
    ErrorCode,
    Limits,
    LocalProtocolError,
    Setup,
    Stream,
    events,
    metadata,
    tcp_length_prefix,
)
from tidings_client.address import Address
from tidings_client.errors import ApiError, ConnectionLostError, RequestRejectedError, classify_error
from tidings_client.transports import Transport, open_transport

T = TypeVar("T")

# How long a closing link may take to write what it still holds.
CLOSE_SECONDS: Final = 2.0


class StreamObserver(Protocol):
    """Who is told what happens on a stream. Called on the loop, in order; must neither raise nor wait."""

    def on_next(self, data: bytes) -> None:
        """One item came."""

    def on_completed(self) -> None:
        """No more items come."""

    def on_error(self, error: ApiError | ConnectionLostError | RequestRejectedError) -> None:
        """The stream is over."""

    def on_credit(self) -> None:
        """A channel may send more (or, if `stream.sending_closed`, nothing more)."""


class CallObserver:
    """The receiver of a call."""

    __slots__ = ("future",)

    def __init__(self, future: "asyncio.Future[bytes]") -> None:
        self.future = future

    def on_next(self, data: bytes) -> None:
        if not self.future.done():
            self.future.set_result(data)

    def on_completed(self) -> None:
        # A reply that is an empty message may come as the end alone.
        self.on_next(b"")

    def on_error(self, error: ApiError | ConnectionLostError | RequestRejectedError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def on_credit(self) -> None:
        """A call sends nothing after its request."""


class ClientConnection:
    """One connection from SETUP to its end. Made by `open_link`."""

    def __init__(self, setup: Setup, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = Connection(
            server=False, now=self._loop.time(), limits=limits, setup=setup, transport_header=tcp_length_prefix
        )
        self._transport: Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._is_flush_scheduled = False
        self._close_reason = ""
        self._transport_closed = asyncio.Event()
        self._route_metadata_cache: dict[str, bytes] = {}
        self.lost_error: ConnectionLostError | None = None
        self.closed: asyncio.Future[ConnectionLostError] = self._loop.create_future()
        # Called the moment the link ends, before anybody else runs.
        self.on_lost: Callable[[ConnectionLostError], None] | None = None

    @property
    def is_congested(self) -> bool:
        """The socket does not take what is sent; what need not be sent should not."""
        return self._engine.congested

    # --- requests ---------------------------------------------------------------------------------------------------

    async def request_response(self, route: str, data: bytes) -> bytes:
        """The answer. Raises Failure, Lost or Refused. Cancelling it cancels the request."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        stream = self._start_request(
            lambda: self._engine.request_response(data, self._route_metadata(route), context=CallObserver(future))
        )
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(stream)
            raise

    def fire_and_forget(self, route: str, data: bytes) -> None:
        """Fire and forget. Raises Lost or Refused if it was not even queued."""
        self._start_request(lambda: self._engine.fire_and_forget(data, self._route_metadata(route)))

    def request_stream(self, route: str, n: int, data: bytes, observer: StreamObserver) -> Stream:
        """A stream with a first credit of `n`. Raises Lost or Refused."""
        return self._start_request(
            lambda: self._engine.request_stream(n, data, self._route_metadata(route), context=observer)
        )

    def request_channel(self, route: str, n: int, data: bytes, observer: StreamObserver) -> Stream:
        """A channel with its first item. Raises Lost or Refused."""
        return self._start_request(
            lambda: self._engine.request_channel(n, data, self._route_metadata(route), context=observer)
        )

    def request_n(self, stream: Stream, n: int) -> None:
        """Grant a stream `n` more."""
        stream.request(n)
        self._schedule_flush()

    def send(self, stream: Stream, data: bytes) -> None:
        """One item on a channel; only while `stream.available_credit()`."""
        stream.next(data)
        self._schedule_flush()

    def cancel(self, stream: Stream) -> None:
        """End a stream from this side; it is told nothing afterwards."""
        stream.context = None
        stream.cancel()
        self._schedule_flush()

    def close_soon(self) -> None:
        """End it from this side: what is queued is written, then the socket closes."""
        if self.lost_error is not None:
            return
        self._flush()
        self._handle_events(self._engine.transport_lost(self._loop.time()))
        self._close_transport()

    async def close(self) -> None:
        """End it and wait until the socket is gone."""
        self.close_soon()
        await self._transport_closed.wait()

    # --- what the wire says -----------------------------------------------------------------------------------------

    def on_transport_open(self, transport: Transport) -> None:
        self._transport = transport
        if self.lost_error is not None:
            # Given up while the socket was being opened.
            transport.abort()
            return
        self._flush()

    def on_frames(self, frames: Sequence[bytes]) -> None:
        now = self._loop.time()
        for frame in frames:
            self._handle_events(self._engine.receive(frame, now))
        self._schedule_flush()

    def on_writable_changed(self, is_writable: bool) -> None:
        self._engine.writable = is_writable
        if is_writable:
            for stream in list(self._engine.streams.values()):
                if stream.context is not None:
                    stream.context.on_credit()
            self._schedule_flush()

    def on_protocol_error(self, text: str) -> None:
        self._engine.close(ErrorCode.CONNECTION_ERROR, text)
        self._flush()

    def on_transport_lost(self, text: str) -> None:
        self._transport = None
        self._close_reason = text
        self._handle_events(self._engine.transport_lost(self._loop.time()))
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._transport_closed.set()

    # --- what the engine says ---------------------------------------------------------------------------------------

    def _handle_events(self, pending: Sequence[events.ProtocolEvent]) -> None:
        for event in pending:
            match event:
                case events.PayloadReceived(stream, _, data, complete):
                    if stream.context is not None:
                        stream.context.on_next(data)
                    # It may have ended the stream on the item.
                    if complete and stream.context is not None:
                        stream.context.on_completed()
                case events.CreditGranted(stream, _) | events.Cancelled(stream):
                    if stream.context is not None:
                        stream.context.on_credit()
                case events.Completed(stream):
                    if stream.context is not None:
                        stream.context.on_completed()
                case events.Failed(stream, code, text):
                    if stream.context is not None:
                        stream.context.on_error(classify_error(code, self._error_text(code, text)))
                case events.RequestReceived(stream):
                    if not stream.closed:
                        stream.fail(ErrorCode.REJECTED, "this client answers no requests")
                case events.ConnectionTerminated(code, text):
                    self._on_lost(ConnectionLostError(code, self._error_text(code, text)))

    def _on_lost(self, lost_error: ConnectionLostError) -> None:
        self.lost_error = lost_error
        if self._timer is not None:
            self._timer.cancel()
        if self.on_lost is not None:
            self.on_lost(lost_error)
        if not self.closed.done():
            self.closed.set_result(lost_error)

    def _error_text(self, code: int, text: str) -> str:
        # A peer that closed its WebSocket with a reason said more than that the socket is gone.
        return self._close_reason if self._close_reason and code == ErrorCode.CONNECTION_ERROR else text

    # --- out --------------------------------------------------------------------------------------------------------

    def _start_request(self, start: Callable[[], T]) -> T:
        if self.lost_error is not None:
            raise ConnectionLostError(self.lost_error.code, self.lost_error.text)
        try:
            request = start()
        except LocalProtocolError as refused:
            raise RequestRejectedError(str(refused)) from None
        self._schedule_flush()
        return request

    def _route_metadata(self, route: str) -> bytes:
        encoded = self._route_metadata_cache.get(route)
        if encoded is None:
            encoded = self._route_metadata_cache[route] = metadata.write_composite(
                [metadata.Entry(metadata.ROUTING, metadata.write_route(route))]
            )
        return encoded

    def _schedule_flush(self) -> None:
        if not self._is_flush_scheduled:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        if self._transport is None:
            return
        if self._engine.writable or self._engine.closing:
            chunks = self._engine.outgoing()
            if chunks:
                self._transport.send(chunks)
        if self._engine.closing:
            self._close_transport()
        self._set_timer()

    def _close_transport(self) -> None:
        if self._transport is not None and self._abort_timer is None:
            self._transport.close()
            # A peer that reads nothing would keep the socket open for as long as it likes.
            self._abort_timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def _set_timer(self) -> None:
        # A deadline only moves back by what is received, so a timer that is too early is all that can happen.
        deadline = self._engine.deadline()
        if deadline is None or self.lost_error is not None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._handle_events(self._engine.tick(self._loop.time()))
        self._flush()


async def open_connection(
    address: Address, setup: Setup, *, ssl: tls.SSLContext | None, seconds: float, limits: Limits | None = None
) -> ClientConnection:
    """A link whose SETUP is on its way. Raises OSError or picows.WSError when nobody is there.

    Whether the service accepts the SETUP shows in its first answer: RSocket has no other sign of it.
    """
    connection = ClientConnection(setup, limits or Limits())
    try:
        await open_transport(address, connection, ssl=ssl, seconds=seconds)
    except BaseException:
        connection.close_soon()
        raise
    return connection
