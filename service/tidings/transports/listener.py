"""Opens the ports, and decides whose each connection is.

One port serves HTTP and RSocket over WebSocket. A connection begins as a `Doorway`, which reads the head of the first
request (bounded in bytes and in time) and then hands the transport on: to RSocket, if it asks for a WebSocket at
our path, else to aiohttp (`late_http`), which gets every byte from the first. RSocket over TCP has a port of its own.
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
from tidings.contract.call import Gate
from tidings.contract.table import Table
from tidings.metrics import Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.doorkeeper import Doorkeeper
from tidings.transports.doorway import Doorway, Reception, TcpDoorway
from tidings.transports.health import Health
from tidings.transports.late_http import LateHttp
from tidings.transports.proxies import TrustedProxies
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.settings import ConnectionLimits, ListenerSettings, TlsSettings, is_everywhere
from tidings.transports.tls_server import TlsServer


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
        troubles: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._table = table
        self._gate = gate
        self._metrics = metrics
        self._clock = clock
        self._wall_ms = wall_ms
        self.settings = settings
        self._draining = False
        self.health = Health(__version__, health or self._status, troubles)
        self.http_port = 0
        self.tcp_port = 0
        self.service: RSocketService
        self.doorkeeper: Doorkeeper
        self._http: LateHttp | None = None
        self._servers: list[asyncio.Server | TlsServer] = []
        self._tls: ssl.SSLContext | None = None

    async def start(self) -> None:
        """Listen. Raises ListenError; nothing is left open then."""
        settings = self.settings
        self._tls = _tls_context(settings.tls)
        self.service = RSocketService(
            self._table,
            self._gate,
            self._metrics,
            settings.rsocket,
            settings.connections,
            clock=self._clock,
            wall_ms=self._wall_ms,
        )
        self.doorkeeper = Doorkeeper(settings.connections, self._metrics, self._clock)
        self._http = LateHttp(settings, self.health, self._metrics, self.addresses)
        proxies = TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header)
        reception = Reception(settings, proxies, self.doorkeeper, self.service, self._http.protocols)
        try:
            self.http_port = await self._open(
                settings.http.host, settings.http.port, "--port (http.port)", Doorway, reception
            )
            if settings.tcp.enabled:
                self.tcp_port = await self._open(
                    settings.tcp_host, settings.tcp.port, "--tcp-port (tcp.port)", TcpDoorway, reception
                )
        except ListenError:
            await self.close()
            raise
        self._http.load()

    def _status(self) -> str:
        """What /health says where the application says nothing else."""
        return "draining" if self._draining else "ok"

    async def _open(
        self,
        host: str,
        port: int,
        option: str,
        doorway: type[Doorway] | type[TcpDoorway],
        reception: Reception,
    ) -> int:
        limits = self.settings.connections
        listening = _listen(host, port, option, limits)
        port = int(listening.getsockname()[1])
        server: asyncio.Server | TlsServer
        if self._tls is not None:
            server = TlsServer(listening, self._tls, reception, lambda visit: doorway(reception, visit))
        else:
            server = await self.service.loop.create_server(
                lambda: doorway(reception), sock=listening, backlog=limits.backlog_connections
            )
        self._servers.append(server)
        return port

    def addresses(self) -> Addresses:
        """Where it listens, as somebody on this machine would write it."""
        secure = bool(self.settings.tls.certificate)
        http, tcp = _reached(self.settings.http.host), _reached(self.settings.tcp_host)
        return Addresses(
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
        return await self.service.drain(seconds)

    async def close(self) -> None:
        """Close everything. Idempotent."""
        http, self._http = self._http, None
        if http is None:
            return
        for server in self._servers:
            server.close()
        self._servers.clear()
        await self.service.close()
        await http.close()


def _listen(host: str, port: int, option: str, limits: ConnectionLimits) -> socket.socket:
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
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, limits.unsent_bytes)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.receive_buffer_bytes)
        listening.bind(address)
        listening.listen(limits.backlog_connections)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise ListenError(f"{shown} is in use by another program; choose another with {option}") from error
        raise ListenError(
            f"cannot listen on {shown} ({os.strerror(error.errno or 0)}); choose another with {option}"
        ) from error
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _reached(host: str) -> str:
    return "localhost" if is_everywhere(host) else _shown(host)


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
