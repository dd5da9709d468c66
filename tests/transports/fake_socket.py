"""Connections without sockets: a service, and transports whose peer reads and sends when told to."""

import asyncio
from typing import Any

from tidings.metrics import Metrics
from tidings.rsocket import Limits, tcp_envelope
from tidings.transports.doorkeeper import Doorkeeper
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_tcp import RSocketTcp
from tidings.transports.rsocket_wire import RSocketWire
from tidings.transports.rsocket_ws import RSocketWebSocket
from tidings.transports.settings import ConnectionLimits
from transports.stage import Clock, Gate, Handlers, rows

PEER = ("192.0.2.1", 1)


class Transport(asyncio.Transport):
    """A socket whose peer reads when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.buffered = 0
        self.high = 1 << 30
        self.full = False
        self.reading = True
        self.over = False
        self.half_closes = False
        self.written = bytearray()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: Any) -> None:
        if self.over:
            return
        self.buffered += len(data)
        self.written += data
        if self.buffered > self.high and not self.full:
            self.full = True
            self.protocol.pause_writing()

    def drained(self) -> None:
        self.buffered = 0
        if self.full and not self.over:
            self.full = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.over

    def can_write_eof(self) -> bool:
        return self.half_closes

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class Around:
    """What is around the connections: a service whose clock stands still until told."""

    def __init__(
        self,
        limits: Limits = Limits(),
        connections: ConnectionLimits = ConnectionLimits(),
        handlers: Handlers | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.gate = Gate()
        self.handlers = handlers or Handlers()
        self.metrics = Metrics()
        self.service = RSocketService(
            rows(self.handlers),
            self.gate,
            self.metrics,
            limits,
            connections,
            clock=self.clock.monotonic,
            wall_ms=self.clock.wall_ms,
        )
        self.doorkeeper = Doorkeeper(connections, self.metrics)

    def tcp(self) -> Transport:
        """A connection over TCP."""
        return self._connected(RSocketTcp)

    def websocket(self) -> Transport:
        """A WebSocket after its handshake."""
        return self._connected(RSocketWebSocket)

    def _connected(self, kind: type[RSocketTcp] | type[RSocketWebSocket]) -> Transport:
        visit = self.doorkeeper.enter(PEER)
        assert visit is not None
        transport = Transport()
        protocol: RSocketWire = kind(self.service, visit)
        transport.protocol = protocol
        protocol.connection_made(transport)
        return transport


def enveloped(frame: bytes) -> bytes:
    """A frame as it is sent over TCP."""
    return tcp_envelope(len(frame)) + frame


async def turns(count: int) -> None:
    """Let the loop go round so often; there is no socket to wait for."""
    for _ in range(count):
        await asyncio.sleep(0)
