"""The two sockets a connection can have: WebSocket and TCP, each with or without TLS.

A wire knows nothing of RSocket but where a frame begins and ends. It hands whole frames up, takes chunks of frames with
their 24-bit lengths down (`tidings.protocols.rsocket.tcp_envelope`), and says when it is gone.
"""

import asyncio
import ssl as tls
from collections.abc import Sequence
from typing import Final, Protocol, cast

import picows

from tidings.protocols.rsocket import LengthFieldDecoder, RemoteProtocolError
from tidings_client.address import Address

# The largest frame of RSocket, on every transport.
FRAME_BYTES_MAX: Final = 16_777_215
LENGTH_BYTES: Final = 3
# How an HTTP server answers. As RSocket it would be a first frame of 4.7 MB; a service's first answer is a small one.
HTTP_RESPONSE_PREFIX: Final = b"HTTP/1."
HTTP_SERVER_TEXT: Final = "an HTTP server answered"


class TransportObserver(Protocol):
    """Who is told what happens on a wire. Called on the event loop."""

    def on_transport_open(self, transport: "Transport") -> None:
        """The wire can be written to."""

    def on_frames(self, frames: Sequence[bytes]) -> None:
        """Whole frames, without lengths."""

    def on_writable_changed(self, is_writable: bool) -> None:
        """Whether the socket takes bytes."""

    def on_protocol_error(self, text: str) -> None:
        """The peer sent what cannot be read."""

    def on_transport_lost(self, text: str) -> None:
        """The wire is gone; `text` is what the peer or the system said, or empty. The last call."""


class Transport(Protocol):
    """One open socket."""

    def send(self, chunks: Sequence[bytes]) -> None:
        """Write frames, each behind its 24-bit length; a chunk holds one or several."""

    def close(self) -> None:
        """Write what is still to be written, then close."""

    def abort(self) -> None:
        """Close now."""


async def open_transport(
    address: Address, observer: TransportObserver, *, ssl: tls.SSLContext | None, seconds: float
) -> None:
    """Connect; `owner.wire_up` has been called when this returns.

    Raises OSError, or picows.WSError if there is something else than a WebSocket. TLS follows the address; `ssl`
    replaces the default context.
    """
    if address.is_websocket:
        _, listener = await picows.ws_connect(
            lambda: WebSocketTransport(observer),
            address.url,
            ssl_context=ssl,
            websocket_handshake_timeout=seconds,
            max_frame_size=FRAME_BYTES_MAX,
            # The event loop's own TLS is what everybody else on this loop relies on.
            use_aiofastnet=False,
        )
        # The stubs say that there is one; there is none if the socket closed in the middle of the handshake.
        if cast("picows.WSListener | None", listener) is None:
            raise ConnectionResetError("the connection was closed during the WebSocket handshake")
        return
    loop = asyncio.get_running_loop()
    context = (ssl or tls.create_default_context()) if address.is_secure else None
    await loop.create_connection(lambda: TcpTransport(observer), address.host, address.port, ssl=context)


class TcpTransport(asyncio.Protocol):
    """RSocket over TCP: each frame behind its length."""

    def __init__(self, observer: TransportObserver) -> None:
        self._observer = observer
        self._decoder = LengthFieldDecoder()
        self._transport: asyncio.Transport | None = None
        self._is_first_read = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._observer.on_transport_open(self)

    def data_received(self, data: bytes) -> None:
        if self._is_first_read:
            self._is_first_read = False
            if data.startswith(HTTP_RESPONSE_PREFIX):
                self._observer.on_protocol_error(HTTP_SERVER_TEXT)
                return
        try:
            frames = self._decoder.feed(data)
        except RemoteProtocolError as broken:
            self._observer.on_protocol_error(str(broken))
        else:
            self._observer.on_frames(frames)

    def pause_writing(self) -> None:
        self._observer.on_writable_changed(False)

    def resume_writing(self) -> None:
        self._observer.on_writable_changed(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._observer.on_transport_lost(str(exc) if exc else "")

    def send(self, chunks: Sequence[bytes]) -> None:
        # A transport whose socket has failed is closing before it tells of its end; asyncio would log each write to it.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(chunks))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class WebSocketTransport(picows.WSListener):
    """RSocket over WebSocket: one frame, one binary message. Text is ignored (checklist item 87)."""

    def __init__(self, observer: TransportObserver) -> None:
        self._observer = observer
        self._transport: picows.WSTransport | None = None
        # A message that comes in several WebSocket frames.
        self._message = bytearray()
        self._is_binary = False
        self._close_reason = ""

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport
        self._observer.on_transport_open(self)

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        match frame.msg_type:
            case picows.WSMsgType.BINARY if frame.fin:
                self._observer.on_frames((frame.get_payload_as_bytes(),))
            case picows.WSMsgType.BINARY | picows.WSMsgType.TEXT:
                self._is_binary = frame.msg_type is picows.WSMsgType.BINARY
                if not frame.fin:
                    self._message[:] = frame.get_payload_as_bytes()
            case picows.WSMsgType.CONTINUATION:
                self._on_continuation(frame)
            case picows.WSMsgType.CLOSE:
                self._close_reason = frame.get_close_reason() or ""
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            case _:
                pass

    def _on_continuation(self, frame: picows.WSFrame) -> None:
        self._message += frame.get_payload_as_bytes()
        if len(self._message) > FRAME_BYTES_MAX:
            self._message.clear()
            # What still comes of it is nothing.
            self._is_binary = False
            self._observer.on_protocol_error("a message exceeds 16,777,215 bytes")
        elif frame.fin:
            message = bytes(self._message)
            self._message.clear()
            if self._is_binary:
                self._observer.on_frames((message,))

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self._transport = None
        self._observer.on_transport_lost(self._close_reason)

    def pause_writing(self) -> None:
        self._observer.on_writable_changed(False)

    def resume_writing(self) -> None:
        self._observer.on_writable_changed(True)

    def send(self, chunks: Sequence[bytes]) -> None:
        transport = self._transport
        if transport is None or transport.underlying_transport.is_closing():
            return
        for chunk in chunks:
            at = 0
            while at < len(chunk):
                begin = at + LENGTH_BYTES
                at = begin + int.from_bytes(chunk[at:begin], "big")
                transport.send(picows.WSMsgType.BINARY, chunk[begin:at])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(graceful=False)
