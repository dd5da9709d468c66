"""RSocket over TCP: frames behind a 24-bit length."""

from typing import Final

from tidings.rsocket import ErrorCode, FrameSplitter, ProtocolError, State, tcp_envelope
from tidings.transports.doorkeeper import Visit
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_wire import RSocketWire
from tidings.transports.websocket import CHUNK_BYTES

# How a client begins that expects TLS. As RSocket it would be a first frame of 1.4 MB, far beyond what one may have.
TLS_HELLO: Final = b"\x16\x03"


class RSocketTcp(RSocketWire):
    """One connection. A half-closed connection is a closed one: a client that has sent EOF gets nothing more."""

    __slots__ = ("_splitter",)

    NAME = "tcp"

    def __init__(self, service: RSocketService, visit: Visit) -> None:
        super().__init__(service, visit, tcp_envelope)
        limits = service.connections
        self._splitter = FrameSplitter(service.limits.frame_bytes_max, limits.first_message_bytes_max, CHUNK_BYTES)

    def _take(self, data: bytes, now: float) -> bool:
        session, splitter = self.session, self._splitter
        connection = session.connection
        if connection.closing:
            splitter.drop()
            self._count_unfinished(0)
            return False
        if connection.state is State.FIRST and data.startswith(TLS_HELLO) and not splitter.held_bytes:
            session.broken("this port has no TLS; connect with tcp:// instead of tls://")
            return False
        try:
            frames = splitter.feed(data)
        except ProtocolError as error:
            # A SETUP that came whole in the same piece is not looked at, but the limit is that of a frame behind it.
            first = splitter.bytes_max < self.service.limits.frame_bytes_max
            settings = "first_message_bytes_max" if first else "request_bytes_max and metadata_bytes_max"
            session.broken(f"{error}; a frame has {splitter.bytes_max} bytes at most ({settings})")
            return False
        if frames and self._unfinished_bytes:  # what is complete now is not held twice
            self._count_unfinished(splitter.held_bytes + connection.reassembly.held_bytes)
        if frames or session.held:
            session.received(frames, now)
        if self._unfinished_bytes or splitter.rest or connection.runs:
            self._count_unfinished(splitter.held_bytes + connection.reassembly.held_bytes)
        if session.held and session.unserved:
            return True
        return splitter.behind

    def _keep(self, data: bytes) -> None:
        if not self.session.connection.closing:
            self._splitter.keep(data)

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        """Nothing of what came is looked at any more, so it is not held until the peer has closed its end."""
        self._splitter.drop()
        super().farewell(reason)

    def _unread(self) -> bool:
        return self._splitter.behind or self.session.unserved
