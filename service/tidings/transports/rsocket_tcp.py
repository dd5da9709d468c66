"""RSocket over TCP: frames behind a 24-bit length."""

from typing import Final

from tidings.rsocket import FrameSplitter, ProtocolError, State, tcp_envelope
from tidings.transports.doorkeeper import Visit
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_wire import RSocketWire

# How a client begins that expects TLS. As RSocket it would be a first frame of 1.4 MB, far beyond what one may have.
TLS_HELLO: Final = b"\x16\x03"


class RSocketTcp(RSocketWire):
    """One connection. A half-closed connection is a closed one: a client that has sent EOF gets nothing more."""

    __slots__ = ("_splitter",)

    NAME = "tcp"

    def __init__(self, service: RSocketService, visit: Visit) -> None:
        super().__init__(service, visit, tcp_envelope)
        self._splitter = FrameSplitter(service.limits.frame_bytes_max)

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        session = self.session
        self.service.metrics.bytes_in += len(data)
        connection = session.connection
        if connection.closing:
            return
        if connection.state is State.FIRST and data.startswith(TLS_HELLO) and not self._splitter.held_bytes:
            session.broken("this port has no TLS; connect with tcp:// instead of tls://")
            return
        try:
            frames = self._splitter.feed(data)
        except ProtocolError as error:
            session.broken(str(error))
            return
        if frames:
            session.received(frames)
        elif (
            connection.state is State.FIRST
            and self._splitter.held_bytes > self.service.connections.first_message_bytes_max
        ):
            session.broken(f"the first frame has {self.service.connections.first_message_bytes_max} bytes at most")
