"""Opens the ports, and decides whose each connection is.

One port serves HTTP and RSocket over WebSocket. A connection begins as a `Doorway`, which reads the head of the first
request (bounded in bytes and in time) and then hands the transport on: to RSocket, if it asks for a WebSocket at
our path, else to aiohttp, which gets every byte from the first. RSocket over TCP has a port of its own.
"""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from aiohttp import web

from tidings import __version__
from tidings.contract.call import Gate
from tidings.contract.table import Table
from tidings.metrics import Metrics
from tidings.transports.doorkeeper import Doorkeeper, Visit
from tidings.transports.head import END, Head, Refusal, head_of, read_head
from tidings.transports.health import Health
from tidings.transports.http import Addresses, application, refused
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_tcp import RSocketTcp
from tidings.transports.rsocket_ws import RSocketWebSocket, accept
from tidings.transports.settings import ListenerSettings, is_loopback

log = structlog.get_logger()

HTTP_KEEPALIVE_SECONDS: Final = 75.0  # longer than the 60 s of most proxies, so that they are the ones to close


class ListenError(Exception):
    """A port could not be opened; one line that names the option to change."""


class Listener:
    """The ports of one service. `http_port` and `tcp_port` are known after `start`; tcp_port is 0 without TCP."""

    def __init__(
        self,
        table: Table,
        gate: Gate,
        settings: ListenerSettings,
        metrics: Metrics,
        *,
        health: Callable[[], str] | None = None,
    ) -> None:
        self._table = table
        self._gate = gate
        self._metrics = metrics
        self.settings = settings
        self._draining = False
        self.health = Health(__version__, health or self._status)
        self.http_port = 0
        self.tcp_port = 0
        self.service: RSocketService
        self.doorkeeper: Doorkeeper
        self.http: Callable[[], asyncio.Protocol]
        self._runner: web.AppRunner | None = None
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        """Listen. Raises ListenError; nothing is left open then."""
        settings = self.settings
        tls = _tls_context(settings)
        self.service = RSocketService(self._table, self._gate, self._metrics, settings.rsocket, settings.connections)
        self.doorkeeper = Doorkeeper(settings.connections, self._metrics, lambda: self.service.draining)
        app = application(settings, self.health, self._metrics, self.addresses, _upgrade)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=HTTP_KEEPALIVE_SECONDS,
            lingering_time=1.0,
            shutdown_timeout=settings.connections.close_seconds,
        )
        await self._runner.setup()
        self.http = cast(Callable[[], asyncio.Protocol], self._runner.server)
        try:
            self.http_port = await self._open(
                settings.http.host, settings.http.port, "http.port (--port)", lambda: Doorway(self), tls
            )
            if settings.tcp.enabled:
                self.tcp_port = await self._open(
                    settings.tcp_host, settings.tcp.port, "tcp.port (--tcp-port)", lambda: TcpDoorway(self), tls
                )
        except ListenError:
            await self.close()
            raise

    def _status(self) -> str:
        """What /health says where the application says nothing else."""
        return "draining" if self._draining else "ok"

    async def _open(
        self,
        host: str,
        port: int,
        option: str,
        factory: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> int:
        limits = self.settings.connections
        listening = _listen(host, port, option, limits.backlog_connections, limits.unsent_bytes)
        seconds = limits.head_seconds if tls is not None else None
        server = await self.service.loop.create_server(
            factory, sock=listening, ssl=tls, backlog=limits.backlog_connections, ssl_handshake_timeout=seconds
        )
        self._servers.append(server)
        return int(listening.getsockname()[1])

    def addresses(self) -> Addresses:
        """Where it listens, as somebody on this machine would write it."""
        secure = "s" if self.settings.tls.certificate else ""
        http, tcp = _shown(self.settings.http.host), _shown(self.settings.tcp_host)
        return Addresses(
            ws=f"ws{secure}://{http}:{self.http_port}{self.settings.http.path}",
            tcp=f"tcp{'+tls' if secure else ''}://{tcp}:{self.tcp_port}" if self.tcp_port else "not offered",
            http=f"http{secure}://{http}:{self.http_port}/",
        )

    async def drain(self, seconds: float) -> bool:
        """Take nothing new, let what was asked be answered; whether all were gone in time.

        The ports stay open so that /health can say why nothing is taken; `close` shuts them.
        """
        self._draining = True
        return await self.service.drain(seconds)

    async def close(self) -> None:
        """Close everything. Idempotent."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.service.close()
        await runner.cleanup()


def _listen(host: str, port: int, option: str, backlog: int, unsent_bytes: int) -> socket.socket:
    """A bound socket whose connections inherit what is set here."""
    shown = f"{_shown(host)}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ListenError(f"the host {host!r} is unknown ({error}); set another with --host") from error
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, unsent_bytes)
        listening.bind(address)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"{shown} is in use by another program; choose another port: {option}") from error
        raise ListenError(f"cannot listen on {shown} ({os.strerror(error.errno or 0)}); set {option}") from error
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls_context(settings: ListenerSettings) -> ssl.SSLContext | None:
    tls = settings.tls
    if not tls.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key or None)
    except (OSError, ssl.SSLError) as error:
        raise ListenError(f"cannot use tls.certificate {tls.certificate} with its key: {error}") from error
    return context


class TcpDoorway(asyncio.Protocol):
    """A connection to the TCP port: it is RSocket's if there is room for it."""

    __slots__ = ("_listener",)

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        transport = cast(asyncio.Transport, transport)
        visit = self._listener.doorkeeper.enter(transport.get_extra_info("peername"))
        if visit is None:
            transport.abort()
            return
        protocol = RSocketTcp(self._listener.service, visit)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class Doorway(asyncio.Protocol):
    """A connection to the HTTP port.

    It reads the head of the first request. If that asks for our WebSocket, the transport becomes the WebSocket's own
    and the doorway is done. Else it stays, and passes everything on to aiohttp; so a client that asks for a WebSocket
    later, on a connection it has used for something else (aiohttp's client does, and proxies that keep connections),
    can still get one: then everything is passed on to that.
    """

    __slots__ = ("_data", "_listener", "_next", "_transport", "_visit", "ended", "slot")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._data = bytearray()
        self._next: list[asyncio.Protocol] = []  # the last one hears what comes; all hear of the end
        self._visit: Visit | None = None
        self._transport: asyncio.Transport
        self.ended: asyncio.Future[None] | None = None
        self.slot = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        self._transport = cast(asyncio.Transport, transport)
        self._visit = self._listener.doorkeeper.enter(transport.get_extra_info("peername"))
        if self._visit is None:
            self._transport.abort()
            return
        service = self._listener.service
        service.deadlines.put(self, service.clock() + service.connections.head_seconds)

    def due(self, now: float) -> None:
        """The head did not come in time."""
        self._refuse(Refusal(408, "the head of the request did not come in time"))

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        if self._next:
            self._next[-1].data_received(data)
            return
        begin = max(0, len(self._data) - len(END) + 1)
        self._data += data
        end = self._data.find(END, begin) + len(END)
        head_bytes_max = self._listener.settings.connections.head_bytes_max
        if end < len(END) and len(self._data) <= head_bytes_max:
            return
        if end < len(END) or end > head_bytes_max:
            self._refuse(Refusal(431, f"the head of a request has {head_bytes_max} bytes at most"))
            return
        self._listener.service.deadlines.put(self, None)
        head = read_head(bytes(self._data[:end]))
        if head is not None and head.path == self._listener.settings.http.path and head.asks_for_websocket():
            try:
                protocol = self._websocket(head)
            except Refusal as refusal:
                self._refuse(refusal)
                return
            self._transport.set_protocol(protocol)
            rest = bytes(self._data[end:])
        else:
            protocol = self._listener.http()
            protocol.connection_made(self._transport)
            self._next.append(protocol)
            rest = bytes(self._data)
        self._data.clear()
        if rest:
            protocol.data_received(rest)

    def _websocket(self, head: Head) -> asyncio.Protocol:
        """Agree to the upgrade. Raises Refusal."""
        listener = self._listener
        try:
            if head.method != "GET":
                raise Refusal(405, "a WebSocket handshake is a GET", {"Allow": "GET"})
            check_origin(head.one("origin"), listener.settings)
            response = accept(head)
        except Refusal as refusal:
            listener.service.metrics.refused["origin" if refusal.status == 403 else "handshake"] += 1
            raise
        assert self._visit is not None
        protocol = RSocketWebSocket(listener.service, self._visit)
        self._visit = None
        protocol.connection_made(self._transport)
        self._transport.write(response)
        return protocol

    def upgrade(self, head: Head) -> asyncio.Protocol:
        """Become a WebSocket after all: everything goes to the protocol returned. Raises Refusal."""
        protocol = self._websocket(head)
        self._next.append(protocol)
        self.ended = self._listener.service.loop.create_future()
        return protocol

    def _refuse(self, refusal: Refusal) -> None:
        service = self._listener.service
        service.metrics.http_responses[str(refusal.status)] += 1
        self._data.clear()
        self._next.append(_Deaf())
        self._transport.write(refusal.response())
        # What the peer still sends is read and dropped for a moment: a connection closed over unread bytes is reset,
        # and the reset can overtake the answer.
        if self._transport.can_write_eof():
            self._transport.write_eof()
            service.deadlines.put(_Abort(self._transport), service.clock() + service.connections.close_seconds)
        else:
            self._transport.close()

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        if self._next:
            self._next[-1].pause_writing()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        if self._next:
            self._next[-1].resume_writing()

    def eof_received(self) -> bool | None:
        """The peer has closed its half."""
        return self._next[-1].eof_received() if self._next else None

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._listener.service.deadlines.put(self, None)
        if self._visit is not None:
            self._visit.ended()
        for protocol in self._next:
            protocol.connection_lost(exc)
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)


async def _upgrade(request: web.Request) -> web.StreamResponse:
    """aiohttp's handler of RSocket's path: gets a request that is no handshake, or comes on a used connection."""
    head = head_of(request.method, request.rel_url.raw_path, request.raw_headers)
    doorway = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(doorway, Doorway) or not head.asks_for_websocket():
        return refused(Refusal(426, "RSocket over WebSocket is here", {"Upgrade": "websocket"}))
    try:
        protocol = doorway.upgrade(head)
    except Refusal as refusal:
        return refused(refusal)
    assert doorway.ended is not None
    request.protocol.keep_alive(False)
    request.protocol.set_parser(cast(Any, _Tail(protocol)))
    await doorway.ended
    return web.Response(status=101)


class _Tail:
    """Gets from aiohttp what had come behind the handshake already; nothing else comes that way."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Some more of it."""
        self._protocol.data_received(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """There is no more."""


class _Deaf(asyncio.Protocol):
    """Hears nothing any more."""


class _Abort:
    """Closes a transport when its time has come, if nobody did before."""

    __slots__ = ("_transport", "slot")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.slot = 0

    def due(self, now: float) -> None:
        self._transport.abort()


def check_origin(origin: str | None, settings: ListenerSettings) -> None:
    """Refusal(403) for a web page that may not connect.

    Programs send no Origin. A page's must be in the list, letter for letter; in development, pages of this machine are
    let in as well. `null` (a file, a sandboxed frame) is nobody.
    """
    if origin is None or origin in settings.http.origins:
        return
    if settings.dev:
        scheme, separator, authority = origin.partition("://")
        if separator and scheme in {"http", "https"} and is_loopback(_host_of(authority)):
            return
    raise Refusal(403, f"pages of {origin[:200]} may not connect; add the origin to http.origins")


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]
