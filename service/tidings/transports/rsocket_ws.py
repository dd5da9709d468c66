"""RSocket over WebSocket: one frame is one binary message.

The listener has read the head of the request and agreed to the upgrade (`accept`); from then on the transport is this
protocol's own. Out go bytes that have the header of WebSocket on them already: frames that many readers share are
written as they are, and many frames are one write.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from hashlib import sha1
from typing import Final

from tidings.rsocket import ErrorCode
from tidings.rsocket.limits import PerSecond
from tidings.transports import websocket
from tidings.transports.deflate import Agreement
from tidings.transports.doorkeeper import Visit
from tidings.transports.head import Head, Refusal
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_wire import RSocketWire

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUBPROTOCOL: Final = "rsocket"

CLOSE_CODES: Final = {
    ErrorCode.INVALID_SETUP: websocket.PROTOCOL_ERROR,
    ErrorCode.UNSUPPORTED_SETUP: websocket.PROTOCOL_ERROR,
    ErrorCode.REJECTED_SETUP: websocket.POLICY_VIOLATION,
    ErrorCode.REJECTED_RESUME: websocket.POLICY_VIOLATION,
    ErrorCode.CONNECTION_ERROR: websocket.PROTOCOL_ERROR,
    ErrorCode.CONNECTION_CLOSE: websocket.GOING_AWAY,
}


def accept(head: Head, agreement: Agreement | None) -> bytes:
    """The 101 response to a client's handshake. Raises Refusal where it is none (RFC 6455, section 4.2.1)."""
    version = head.one("sec-websocket-version")
    if version != "13":
        raise Refusal(426, "WebSocket version 13 is spoken here", {"Sec-WebSocket-Version": "13"})
    key = head.one("sec-websocket-key") or ""
    try:
        whole = len(b64decode(key, validate=True)) == 16
    except (NotBase64, ValueError):
        whole = False
    if not whole:
        raise Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    if head.has_body():
        raise Refusal(400, "a WebSocket handshake has no body")
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {b64encode(sha1(key.encode() + _GUID).digest()).decode()}",
    ]
    # A browser that offered subprotocols fails the handshake if none of them is selected.
    offered = head.items("sec-websocket-protocol")
    if offered:
        lines.append(f"Sec-WebSocket-Protocol: {SUBPROTOCOL if SUBPROTOCOL in offered else offered[0]}")
    if agreement is not None:
        lines.append(f"Sec-WebSocket-Extensions: {agreement.answer}")
    return "\r\n".join((*lines, "", "")).encode()


class RSocketWebSocket(RSocketWire):
    """One connection after its handshake."""

    __slots__ = ("_close_sent", "_control_frames", "_reader")

    NAME = "websocket"

    def __init__(self, service: RSocketService, visit: Visit, agreement: Agreement | None = None) -> None:
        super().__init__(service, visit, websocket.server_envelope)
        limits = service.connections
        inflated_bytes_max = 0
        if agreement is not None:
            self.session.deflater = agreement.deflater
            inflated_bytes_max = limits.inflated_bytes_max
        self._reader = websocket.MessageReader(
            service.limits.frame_bytes_max, limits.first_message_bytes_max, inflated_bytes_max
        )
        self._control_frames: PerSecond | None = None  # made with the first one: most clients send none
        self._close_sent = False

    def _take(self, data: bytes, now: float) -> bool:
        reader, session = self._reader, self.session
        messages = reader.feed(data)
        if reader.control_frames:
            self._count_control_frames(now)
        if messages and self._unfinished_bytes:  # what is complete now is not held twice
            self._count_unfinished(reader.held_bytes + session.connection.reassembly.held_bytes)
        if (messages or session.held) and not session.connection.closing:
            session.received(messages, now)
        if reader.pong is not None and session.connection.writable:
            self._answer_ping()
        if reader.ending is not None:
            session.flush()
            self._end(reader.ending)
            return False
        if self._unfinished_bytes or reader.rest or reader.pieces or session.connection.runs:
            self._count_unfinished(reader.held_bytes + session.connection.reassembly.held_bytes)
        if session.held and session.unserved:
            return True
        return reader.behind

    def _keep(self, data: bytes) -> None:
        if self._reader.ending is None:
            self._reader.keep(data)

    def _unread(self) -> bool:
        return self._reader.behind or self.session.unserved

    def _count_control_frames(self, now: float) -> None:
        """End the connection when it brings too many frames that ask for nothing."""
        reader, most = self._reader, self.service.connections.control_frames_per_second_max
        count, reader.control_frames = reader.control_frames, 0
        if self._control_frames is None:
            self._control_frames = PerSecond(most)
        if reader.ending is None and not self._control_frames.take(now, count):
            self.service.metrics.refused["control_frames_per_second_max"] += 1
            reader.end(
                websocket.POLICY_VIOLATION,
                f"more than {most} pings, pongs and empty pieces a second (control_frames_per_second_max)",
            )

    def resume_writing(self) -> None:
        """The transport holds little again."""
        self._answer_ping()
        super().resume_writing()

    def _answer_ping(self) -> None:
        pong, self._reader.pong = self._reader.pong, None
        if pong is not None and not self._close_sent:
            self.write(websocket.pong_frame(pong))

    def _end(self, ending: websocket.Ending) -> None:
        """The peer has closed, or broken the rules; either way there is no more to read."""
        if not ending.remote:
            if not self.session.connection.closing:
                self.session.broken(ending.text)
            return
        if not self._close_sent:
            self._close_sent = True
            self.write(websocket.close_frame(ending.code))
        self.transport.close()

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """CLOSE with the reason; rsocket-js shows it where it sees only the end of the connection."""
        if self._close_sent:
            return
        self._parted = self._close_sent = True
        code, text = websocket.NORMAL, ""
        if reason is not None:
            code, text = CLOSE_CODES[reason[0]], reason[1]
            if text.startswith("UNAUTHENTICATED"):
                code = websocket.UNAUTHENTICATED
        if self._reader.ending is not None:
            # What the peer sends is not readable any more, so its CLOSE will not be seen either.
            self.write(websocket.close_frame(self._reader.ending.code, text))
            super().farewell(reason)
        else:
            self.write(websocket.close_frame(code, text))
            self.resume_reading()
