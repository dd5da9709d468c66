"""Opens the ports, and decides whose each connection is.

One port serves HTTP and RSocket over WebSocket. A connection begins as a `HttpPortProtocol`, which reads the head of
the first
request (bounded in bytes and in time) and then hands the transport on: to RSocket, if it asks for a WebSocket at
our path, else to aiohttp (`http.deferred`), which gets every byte from the first. RSocket over TCP has a port of its
own.
"""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tidings import __version__
from tidings.contract.context import Authenticator, SessionRegistry
from tidings.contract.methods import MethodTable
from tidings.dispatch.dispatcher import Dispatcher
from tidings.metrics.registry import Metrics
from tidings.server.addresses import ListenAddresses
from tidings.server.connection_limiter import ConnectionLimiter
from tidings.server.http_port import AcceptContext, HttpPortProtocol, TcpPortProtocol
from tidings.server.proxies import TrustedProxies
from tidings.server.settings import ConnectionLimits, ListenerSettings, TlsSettings, is_unspecified
from tidings.server.tls import TlsServer
from tidings.transports.http.deferred import DeferredHttpServer
from tidings.transports.http.health import Health
from tidings.transports.rsocket.server import RSocketServer


class ListenError(Exception):
    """A port could not be opened; one line that names the option to change."""


class Listener:
    """The ports of one service. `http_port` and `tcp_port` are known after `start`; tcp_port is 0 without TCP."""

    def __init__(
        self,
        methods: MethodTable,
        authenticator: Authenticator,
        session_registry: SessionRegistry,
        settings: ListenerSettings,
        metrics: Metrics,
        *,
        health: Callable[[], str] | None = None,
        problems: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._methods = methods
        self._authenticator = authenticator
        self._session_registry = session_registry
        self._metrics = metrics
        self._clock = clock
        self._now_ms = now_ms
        self.settings = settings
        self._draining = False
        self.health = Health(__version__, health or self._default_status, problems)
        self.http_port = 0
        self.tcp_port = 0
        self.dispatcher: Dispatcher
        self.rsocket_server: RSocketServer
        self.connection_limiter: ConnectionLimiter
        self._http_server: DeferredHttpServer | None = None
        self._servers: list[asyncio.Server | TlsServer] = []
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Listen. Raises ListenError; nothing is left open then."""
        settings = self.settings
        self._tls = _tls_context(settings.tls)
        self.dispatcher = Dispatcher(
            self._methods,
            self._authenticator,
            self._session_registry,
            self._metrics,
            settings.connections,
            clock=self._clock,
            now_ms=self._now_ms,
        )
        self.rsocket_server = RSocketServer(self.dispatcher, settings.rsocket)
        self.connection_limiter = ConnectionLimiter(settings.connections, self._metrics, self._clock)
        self._http_server = DeferredHttpServer(settings, self.health, self._metrics, self.addresses)
        proxies = TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header)
        context = AcceptContext(
            settings, proxies, self.connection_limiter, self.rsocket_server, self._http_server.protocol_factory
        )
        try:
            self.http_port = await self._open_port(
                settings.http.host, settings.http.port, "--port (http.port)", HttpPortProtocol, context
            )
            if settings.tcp.enabled:
                self.tcp_port = await self._open_port(
                    settings.tcp_host, settings.tcp.port, "--tcp-port (tcp.port)", TcpPortProtocol, context
                )
        except ListenError:
            await self.close()
            raise
        self._http_server.load()

    def _default_status(self) -> str:
        """What /health says where the application says nothing else."""
        return "draining" if self._draining else "ok"

    async def _open_port(
        self,
        host: str,
        port: int,
        option: str,
        protocol: type[HttpPortProtocol] | type[TcpPortProtocol],
        context: AcceptContext,
    ) -> int:
        limits = self.settings.connections
        listen_socket = _bind_socket(host, port, option, limits)
        port = int(listen_socket.getsockname()[1])
        server: asyncio.Server | TlsServer
        if self._tls is not None:
            server = TlsServer(listen_socket, self._tls, context, lambda slot: protocol(context, slot))
        else:
            server = await self.rsocket_server.loop.create_server(
                lambda: protocol(context), sock=listen_socket, backlog=limits.backlog_connections
            )
        self._servers.append(server)
        return port

    def addresses(self) -> ListenAddresses:
        """Where it listens, as somebody on this machine would write it."""
        secure = bool(self.settings.tls.certificate)
        http, tcp = _display_host(self.settings.http.host), _display_host(self.settings.tcp_host)
        return ListenAddresses(
            ws=f"{'wss' if secure else 'ws'}://{http}:{self.http_port}{self.settings.http.path}",
            tcp=f"{'tls' if secure else 'tcp'}://{tcp}:{self.tcp_port}" if self.tcp_port else "not offered",
        )

    def reload(self, tls: TlsSettings) -> None:
        """Use these certificate files from the next connection on. ListenError, and nothing changes, if they are wrong.

        Whether there is TLS at all stays as it is.
        """
        if self._tls is not None and tls.certificate:
            _load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls)  # the pair fits, or nothing is touched
            _load_certificate(self._tls, tls)

    async def drain(self, seconds: float) -> bool:
        """Take nothing new, let what was asked be answered; whether all were gone in time.

        The ports stay open so that /health can say why nothing is taken; `close` shuts them.
        """
        self._draining = True
        return await self.dispatcher.drain(seconds)

    async def close(self) -> None:
        """Close everything. Idempotent."""
        http, self._http_server = self._http_server, None
        if http is None:
            return
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.dispatcher.close()
        await http.close()


def _bind_socket(host: str, port: int, option: str, limits: ConnectionLimits) -> socket.socket:
    """A bound socket whose connections inherit what is set here."""
    shown_address = f"{_bracketed(host)}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise ListenError(f"the host {host!r} is unknown ({error}); set another with --host") from error
    listen_socket = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listen_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listen_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            listen_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.kernel_unsent_bytes)
        listen_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.receive_buffer_bytes)
        listen_socket.bind(address)
        listen_socket.listen(limits.backlog_connections)
    except OSError as error:
        listen_socket.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"{shown_address} is in use by another program; choose another with {option}") from error
        raise ListenError(
            f"cannot listen on {shown_address} ({os.strerror(error.errno or 0)}); choose another with {option}"
        ) from error
    return listen_socket


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _display_host(host: str) -> str:
    return "localhost" if is_unspecified(host) else _bracketed(host)


def _tls_context(tls: TlsSettings) -> ssl.SSLContext | None:
    if not tls.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_certificate(context, tls)
    return context


def _load_certificate(context: ssl.SSLContext, tls: TlsSettings) -> None:
    for setting, file in (("tls.certificate", tls.certificate), ("tls.key", tls.key or tls.certificate)):
        try:
            Path(file).open("rb").close()  # OpenSSL does not say which of the two it could not open
        except OSError as error:
            raise ListenError(f"cannot read {setting} {file}: {os.strerror(error.errno or 0)}") from error
    try:
        context.load_cert_chain(tls.certificate, tls.key or None)
    except (OSError, ssl.SSLError) as error:
        raise ListenError(f"cannot use tls.certificate {tls.certificate} with its key: {error}") from error
