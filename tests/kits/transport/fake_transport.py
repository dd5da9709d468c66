"""Connections without sockets: a service, and transports whose peer reads and sends when told to."""

import asyncio
from typing import Any

from kits.transport.harness import FakeAuthenticator, FakeClock, Handlers, method_table
from tidings.dispatch.dispatcher import Dispatcher
from tidings.metrics.registry import Metrics
from tidings.protocols.rsocket import Limits, tcp_length_prefix
from tidings.server.connection_limiter import ConnectionLimiter
from tidings.server.settings import ConnectionLimits
from tidings.transports.rsocket.protocol import RSocketProtocol
from tidings.transports.rsocket.server import RSocketServer
from tidings.transports.rsocket.tcp import RSocketTcpProtocol
from tidings.transports.rsocket.websocket import RSocketWebSocketProtocol

PEER = ("192.0.2.1", 1)


class FakeTransport(asyncio.Transport):
    """A socket whose peer reads when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.buffered = 0
        self.high = 1 << 30
        self.is_full = False
        self.reading_enabled = True
        self.is_closed = False
        self.supports_eof = False
        self.written = bytearray()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: Any) -> None:
        if self.is_closed:
            return
        self.buffered += len(data)
        self.written += data
        if self.buffered > self.high and not self.is_full:
            self.is_full = True
            self.protocol.pause_writing()

    def drain(self) -> None:
        self.buffered = 0
        if self.is_full and not self.is_closed:
            self.is_full = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading_enabled = False

    def resume_reading(self) -> None:
        self.reading_enabled = True

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return self.supports_eof

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


class InProcessServer:
    """What is around the connections: a service whose clock stands still until told."""

    def __init__(
        self,
        limits: Limits = Limits(),
        connections: ConnectionLimits = ConnectionLimits(),
        handlers: Handlers | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.authenticator = FakeAuthenticator()
        self.handlers = handlers or Handlers()
        self.metrics = Metrics()
        self.dispatcher = Dispatcher(
            method_table(self.handlers),
            self.authenticator,
            self.authenticator,
            self.metrics,
            connections,
            clock=self.clock.monotonic,
            now_ms=self.clock.now_ms,
        )
        self.rsocket_server = RSocketServer(self.dispatcher, limits)
        self.connection_limiter = ConnectionLimiter(connections, self.metrics)

    def tcp(self) -> FakeTransport:
        """A connection over TCP."""
        return self._connected(RSocketTcpProtocol)

    def websocket(self) -> FakeTransport:
        """A WebSocket after its handshake."""
        return self._connected(RSocketWebSocketProtocol)

    def _connected(self, kind: type[RSocketTcpProtocol] | type[RSocketWebSocketProtocol]) -> FakeTransport:
        slot = self.connection_limiter.acquire(PEER)
        assert slot is not None
        transport = FakeTransport()
        protocol: RSocketProtocol = kind(self.rsocket_server, slot)
        transport.protocol = protocol
        protocol.connection_made(transport)
        return transport


def length_prefixed(frame: bytes) -> bytes:
    """A frame as it is sent over TCP."""
    return tcp_length_prefix(len(frame)) + frame


async def run_loop(count: int) -> None:
    """Let the loop go round so often; there is no socket to wait for."""
    for _ in range(count):
        await asyncio.sleep(0)
