"""What RSocket over TCP and over WebSocket have in common: a socket, a session, and how the two part."""

import asyncio
from typing import cast

from tidings.rsocket import Envelope, ErrorCode
from tidings.transports.doorkeeper import Visit
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_session import RSocketSession


class RSocketWire(asyncio.Protocol):
    """The protocol of one connection. A subclass cuts the bytes into frames (`data_received`) and says farewell."""

    __slots__ = ("service", "session", "transport", "visit", "write")

    NAME = ""

    def __init__(self, service: RSocketService, visit: Visit, envelope: Envelope) -> None:
        self.service = service
        self.visit = visit
        visit.make_way = self.abort
        self.session = RSocketSession(service, self, self.NAME, envelope)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ours."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=self.service.connections.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self.visit.ended()
        self.session.lost()

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        self.session.socket_full()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        self.session.socket_free()

    # What the session asks (see `Wire` there); `write` is the transport's own.

    def buffered_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def admitted(self) -> None:
        self.visit.admitted()

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        # Closing while bytes of the peer lie unread would reset the connection, and the peer might never see why it
        # ended. So only our half is closed; what still comes is dropped until the peer has closed its own.
        self.resume_reading()
        half_close(self.transport)

    def abort(self) -> None:
        self.transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """Send EOF behind what is written and go on reading; where that cannot be (TLS), close."""
    if not transport.can_write_eof():
        transport.close()
        return
    try:
        transport.write_eof()
    except OSError:
        # The peer has reset the connection and the loop has not come to tell us yet.
        transport.abort()
