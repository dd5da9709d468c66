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

from tidings.rsocket import (
    Connection,
    ErrorCode,
    Limits,
    LocalProtocolError,
    Setup,
    Stream,
    facts,
    metadata,
    tcp_envelope,
)
from tidings_client.address import Address
from tidings_client.errors import Failure, Lost, Refused, answered_with
from tidings_client.wires import Wire, open_wire

T = TypeVar("T")

# How long a closing link may take to write what it still holds.
CLOSE_SECONDS: Final = 2.0


class Receiver(Protocol):
    """Who is told what happens on a stream. Called on the loop, in order; must neither raise nor wait."""

    def item(self, data: bytes) -> None:
        """One item came."""

    def completed(self) -> None:
        """No more items come."""

    def failed(self, error: Failure | Lost | Refused) -> None:
        """The stream is over."""

    def credited(self) -> None:
        """A channel may send more (or, if `stream.sending_closed`, nothing more)."""


class Answer:
    """The receiver of a call."""

    __slots__ = ("future",)

    def __init__(self, future: "asyncio.Future[bytes]") -> None:
        self.future = future

    def item(self, data: bytes) -> None:
        if not self.future.done():
            self.future.set_result(data)

    def completed(self) -> None:
        # A reply that is an empty message may come as the end alone.
        self.item(b"")

    def failed(self, error: Failure | Lost | Refused) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def credited(self) -> None:
        """A call sends nothing after its request."""


class Link:
    """One connection from SETUP to its end. Made by `open_link`."""

    def __init__(self, setup: Setup, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(
            server=False, now=self._loop.time(), limits=limits, setup=setup, envelope=tcp_envelope
        )
        self._wire: Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        self._flush_is_due = False
        self._reason = ""
        self._wire_gone = asyncio.Event()
        self._routes: dict[str, bytes] = {}
        self.lost: Lost | None = None
        self.ended: asyncio.Future[Lost] = self._loop.create_future()
        # Called the moment the link ends, before anybody else runs.
        self.on_end: Callable[[Lost], None] | None = None

    @property
    def congested(self) -> bool:
        """The socket does not take what is sent; what need not be sent should not."""
        return self._connection.congested

    # --- requests ---------------------------------------------------------------------------------------------------

    async def call(self, route: str, data: bytes) -> bytes:
        """The answer. Raises Failure, Lost or Refused. Cancelling it cancels the request."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        stream = self._ask(
            lambda: self._connection.request_response(data, self._metadata(route), context=Answer(future))
        )
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(stream)
            raise

    def tell(self, route: str, data: bytes) -> None:
        """Fire and forget. Raises Lost or Refused if it was not even queued."""
        self._ask(lambda: self._connection.fire_and_forget(data, self._metadata(route)))

    def watch(self, route: str, n: int, data: bytes, receiver: Receiver) -> Stream:
        """A stream with a first credit of `n`. Raises Lost or Refused."""
        return self._ask(lambda: self._connection.request_stream(n, data, self._metadata(route), context=receiver))

    def channel(self, route: str, n: int, data: bytes, receiver: Receiver) -> Stream:
        """A channel with its first item. Raises Lost or Refused."""
        return self._ask(lambda: self._connection.request_channel(n, data, self._metadata(route), context=receiver))

    def request(self, stream: Stream, n: int) -> None:
        """Grant a stream `n` more."""
        stream.request(n)
        self._flush_soon()

    def send(self, stream: Stream, data: bytes) -> None:
        """One item on a channel; only while `stream.sendable()`."""
        stream.next(data)
        self._flush_soon()

    def cancel(self, stream: Stream) -> None:
        """End a stream from this side; it is told nothing afterwards."""
        stream.context = None
        stream.cancel()
        self._flush_soon()

    def close_soon(self) -> None:
        """End it from this side: what is queued is written, then the socket closes."""
        if self.lost is not None:
            return
        self._flush()
        self._handle(self._connection.transport_lost(self._loop.time()))
        self._close_wire()

    async def close(self) -> None:
        """End it and wait until the socket is gone."""
        self.close_soon()
        await self._wire_gone.wait()

    # --- what the wire says -----------------------------------------------------------------------------------------

    def wire_up(self, wire: Wire) -> None:
        self._wire = wire
        if self.lost is not None:
            # Given up while the socket was being opened.
            wire.abort()
            return
        self._flush()

    def frames_received(self, frames: Sequence[bytes]) -> None:
        now = self._loop.time()
        for frame in frames:
            self._handle(self._connection.receive(frame, now))
        self._flush_soon()

    def wire_writable(self, writable: bool) -> None:
        self._connection.writable = writable
        if writable:
            for stream in list(self._connection.streams.values()):
                if stream.context is not None:
                    stream.context.credited()
            self._flush_soon()

    def wire_broken(self, text: str) -> None:
        self._connection.close(ErrorCode.CONNECTION_ERROR, text)
        self._flush()

    def wire_lost(self, text: str) -> None:
        self._wire = None
        self._reason = text
        self._handle(self._connection.transport_lost(self._loop.time()))
        if self._abort is not None:
            self._abort.cancel()
        self._wire_gone.set()

    # --- what the engine says ---------------------------------------------------------------------------------------

    def _handle(self, happened: Sequence[facts.Fact]) -> None:
        for fact in happened:
            match fact:
                case facts.PayloadReceived(stream, _, data, complete):
                    if stream.context is not None:
                        stream.context.item(data)
                    # It may have ended the stream on the item.
                    if complete and stream.context is not None:
                        stream.context.completed()
                case facts.CreditGranted(stream, _) | facts.Cancelled(stream):
                    if stream.context is not None:
                        stream.context.credited()
                case facts.Completed(stream):
                    if stream.context is not None:
                        stream.context.completed()
                case facts.Failed(stream, code, text):
                    if stream.context is not None:
                        stream.context.failed(answered_with(code, self._why(code, text)))
                case facts.RequestReceived(stream):
                    if not stream.closed:
                        stream.fail(ErrorCode.REJECTED, "this client answers no requests")
                case facts.ConnectionEnded(code, text):
                    self._end(Lost(code, self._why(code, text)))

    def _end(self, lost: Lost) -> None:
        self.lost = lost
        if self._timer is not None:
            self._timer.cancel()
        if self.on_end is not None:
            self.on_end(lost)
        if not self.ended.done():
            self.ended.set_result(lost)

    def _why(self, code: int, text: str) -> str:
        # A peer that closed its WebSocket with a reason said more than that the socket is gone.
        return self._reason if self._reason and code == ErrorCode.CONNECTION_ERROR else text

    # --- out --------------------------------------------------------------------------------------------------------

    def _ask(self, make: Callable[[], T]) -> T:
        if self.lost is not None:
            raise Lost(self.lost.code, self.lost.text)
        try:
            made = make()
        except LocalProtocolError as refused:
            raise Refused(str(refused)) from None
        self._flush_soon()
        return made

    def _metadata(self, route: str) -> bytes:
        written = self._routes.get(route)
        if written is None:
            written = self._routes[route] = metadata.write_composite(
                [metadata.Entry(metadata.ROUTING, metadata.write_route(route))]
            )
        return written

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._wire is None:
            return
        if self._connection.writable or self._connection.closing:
            chunks = self._connection.outgoing()
            if chunks:
                self._wire.send(chunks)
        if self._connection.closing:
            self._close_wire()
        self._set_timer()

    def _close_wire(self) -> None:
        if self._wire is not None and self._abort is None:
            self._wire.close()
            # A peer that reads nothing would keep the socket open for as long as it likes.
            self._abort = self._loop.call_later(CLOSE_SECONDS, self._wire.abort)

    def _set_timer(self) -> None:
        # A deadline only moves back by what is received, so a timer that is too early is all that can happen.
        deadline = self._connection.deadline()
        if deadline is None or self.lost is not None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._handle(self._connection.tick(self._loop.time()))
        self._flush()


async def open_link(
    address: Address, setup: Setup, *, ssl: tls.SSLContext | None, seconds: float, limits: Limits | None = None
) -> Link:
    """A link whose SETUP is on its way. Raises OSError or picows.WSError when nobody is there.

    Whether the service accepts the SETUP shows in its first answer: RSocket has no other sign of it.
    """
    link = Link(setup, limits or Limits())
    try:
        await open_wire(address, link, ssl=ssl, seconds=seconds)
    except BaseException:
        link.close_soon()
        raise
    return link
