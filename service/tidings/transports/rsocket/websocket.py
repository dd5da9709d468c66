"""RSocket over WebSocket: one frame is one binary message.

The listener has read the head of the request and agreed to the upgrade (`accept`); from then on the transport is this
protocol's own. Out go bytes that have the header of WebSocket on them already: frames that many readers share are
written as they are, and many frames are one write.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from hashlib import sha1
from typing import Final

from tidings.protocols.rsocket import ErrorCode
from tidings.protocols.rsocket.rate import FixedWindowLimiter
from tidings.server.connection_limiter import ConnectionSlot
from tidings.server.request_head import HttpError, RequestHead
from tidings.transports.rsocket.protocol import RSocketProtocol
from tidings.transports.rsocket.server import RSocketServer
from tidings.transports.websocket import frames
from tidings.transports.websocket.deflate import NegotiatedDeflate

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUBPROTOCOL: Final = "rsocket"

CLOSE_CODES: Final = {
    ErrorCode.INVALID_SETUP: frames.PROTOCOL_ERROR,
    ErrorCode.UNSUPPORTED_SETUP: frames.PROTOCOL_ERROR,
    ErrorCode.REJECTED_SETUP: frames.POLICY_VIOLATION,
    ErrorCode.REJECTED_RESUME: frames.POLICY_VIOLATION,
    ErrorCode.CONNECTION_ERROR: frames.PROTOCOL_ERROR,
    ErrorCode.CONNECTION_CLOSE: frames.GOING_AWAY,
}


def accept_handshake(head: RequestHead, negotiated: NegotiatedDeflate | None) -> bytes:
    """The 101 response to a client's handshake. Raises Refusal where it is none (RFC 6455, section 4.2.1)."""
    version = head.get("sec-websocket-version")
    if version != "13":
        raise HttpError(426, "WebSocket version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    key = head.get("sec-websocket-key") or ""
    try:
        is_valid_key = len(b64decode(key, validate=True)) == 16
    except (NotBase64, ValueError):
        is_valid_key = False
    if not is_valid_key:
        raise HttpError(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    if head.has_body():
        raise HttpError(400, "a WebSocket handshake has no body")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {b64encode(sha1(key.encode() + _GUID).digest()).decode()}",
    ]
    # A browser that offered subprotocols fails the handshake if none of them is selected.
    offered = head.get_list("sec-websocket-protocol")
    if offered:
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL if SUBPROTOCOL in offered else offered[0]}")
    if negotiated is not None:
        lines.append(f"Sec-WebSocket-Extensions: {negotiated.extension_header}")
    return "\r\n".join((*lines, "", "")).encode()


def accept_upgrade(
    server: RSocketServer, head: RequestHead
) -> "tuple[bytes, Callable[[ConnectionSlot], RSocketWebSocketProtocol]]":
    """The response to a handshake, and what makes the protocol that follows. Raises HttpError."""
    negotiated = server.deflate_negotiator.negotiate(head.get_list("sec-websocket-extensions"))
    return accept_handshake(head, negotiated), lambda slot: RSocketWebSocketProtocol(server, slot, negotiated)


class RSocketWebSocketProtocol(RSocketProtocol):
    """One connection after its handshake."""

    __slots__ = ("_control_frame_limiter", "_is_close_sent", "_reader")

    TRANSPORT_NAME = "websocket"

    def __init__(
        self, server: RSocketServer, slot: ConnectionSlot, negotiated: NegotiatedDeflate | None = None
    ) -> None:
        super().__init__(server, slot, frames.frame_header)
        limits = server.connection_limits
        inflated_bytes_max = 0
        if negotiated is not None:
            self.connection.deflater = negotiated.deflater
            inflated_bytes_max = limits.inflated_bytes_max
        self._reader = frames.MessageReader(
            server.limits.frame_bytes_max, limits.first_message_bytes_max, inflated_bytes_max
        )
        self._control_frame_limiter: FixedWindowLimiter | None = None  # made with the first one: most clients send none
        self._is_close_sent = False

    def _process_chunk(self, data: bytes, now: float) -> bool:
        reader, connection = self._reader, self.connection
        messages = reader.feed(data)
        if reader.control_frame_count:
            self._limit_control_frames(now)
        if messages and self._incomplete_bytes:  # what is complete now is not held twice
            self._account_incomplete(reader.held_bytes + connection.engine.reassembler.held_bytes)
        if (messages or connection.deferred_frames) and not connection.engine.closing:
            connection.on_frames(messages, now)
        if reader.pending_pong is not None and connection.engine.writable:
            self._send_pong()
        if reader.close_info is not None:
            connection.flush()
            self._on_input_closed(reader.close_info)
            return False
        if self._incomplete_bytes or reader.partial or reader.fragments or connection.engine.partial_payloads:
            self._account_incomplete(reader.held_bytes + connection.engine.reassembler.held_bytes)
        if connection.deferred_frames and connection.has_deferred_frames:
            return True
        return reader.has_buffered_input

    def _buffer(self, data: bytes) -> None:
        if self._reader.close_info is None:
            self._reader.append(data)

    def _has_buffered_input(self) -> bool:
        return self._reader.has_buffered_input or self.connection.has_deferred_frames

    def _limit_control_frames(self, now: float) -> None:
        """End the connection when it brings too many frames that ask for nothing."""
        reader, limit = self._reader, self.server.connection_limits.control_frames_per_second_max
        count, reader.control_frame_count = reader.control_frame_count, 0
        if self._control_frame_limiter is None:
            self._control_frame_limiter = FixedWindowLimiter(limit)
        if reader.close_info is None and not self._control_frame_limiter.acquire(now, count):
            self.server.metrics.connections_refused["control_frames_per_second_max"] += 1
            reader.fail(
                frames.POLICY_VIOLATION,
                f"more than {limit} pings, pongs and empty pieces a second (control_frames_per_second_max)",
            )

    def resume_writing(self) -> None:
        """The transport holds little again."""
        self._send_pong()
        super().resume_writing()

    def _send_pong(self) -> None:
        pong, self._reader.pending_pong = self._reader.pending_pong, None
        if pong is not None and not self._is_close_sent:
            self.write(frames.pong_frame(pong))

    def _on_input_closed(self, close: frames.CloseInfo) -> None:
        """The peer has closed, or broken the rules; either way there is no more to read."""
        if not close.is_remote:
            if not self.connection.engine.closing:
                self.connection.on_protocol_error(close.reason)
            return
        if not self._is_close_sent:
            self._is_close_sent = True
            self.write(frames.close_frame(close.code))
        self.transport.close()

    def close_gracefully(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """CLOSE with the reason; rsocket-js shows it where it sees only the end of the connection."""
        if self._is_close_sent:
            return
        self._is_closing = self._is_close_sent = True
        code, text = frames.NORMAL, ""
        if reason is not None:
            code, text = CLOSE_CODES[reason[0]], reason[1]
            if text.startswith("UNAUTHENTICATED"):
                code = frames.UNAUTHENTICATED
        if self._reader.close_info is not None:
            # What the peer sends is not readable any more, so its CLOSE will not be seen either.
            self.write(frames.close_frame(self._reader.close_info.code, text))
            super().close_gracefully(reason)
        else:
            self.write(frames.close_frame(code, text))
            self.resume_reading()
