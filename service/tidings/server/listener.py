"""Opens the ports, and decides which protocol each connection speaks.

One port serves HTTP and WebSocket. A connection begins as a `HttpPortProtocol`, which reads the head of the first
request (bounded in bytes and in time) and then hands the transport on: to a WebSocket protocol, if it asks for one at
our path, else to aiohttp, which gets every byte from the first. RSocket over TCP has a port of its own. Which protocols
these are comes with the `AcceptContext`; no transport is imported here.
"""

import asyncio
import errno
import os
import socket
import ssl
from pathlib import Path

from tidings.server.addresses import ListenAddresses
from tidings.server.http_port import AcceptContext, HttpPortProtocol, TcpPortProtocol
from tidings.server.settings import ConnectionLimits, ListenerSettings, TlsSettings, is_unspecified
from tidings.server.tls import TlsServer


class ListenError(Exception):
    """A port could not be opened; one line that names the option to change."""


class Listener:
    """The ports of one service. `http_port` and `tcp_port` are known after `start`; tcp_port is 0 without TCP."""

    def __init__(self, settings: ListenerSettings) -> None:
        self.settings = settings
        self.http_port = 0
        self.tcp_port = 0
        self._servers: list[asyncio.Server | TlsServer] = []
        self._tls: ssl.SSLContext | None = None

    def load_tls(self) -> None:
        """Read the certificate, before anything is opened. Raises ListenError."""
        self._tls = _tls_context(self.settings.tls)

    async def start(self, context: AcceptContext) -> None:
        """Open the ports. Raises ListenError; nothing is left open then."""
        settings = self.settings
        try:
            self.http_port = await self._open_port(
                settings.http.host, settings.http.port, "--port (http.port)", HttpPortProtocol, context
            )
            if settings.tcp.enabled:
                self.tcp_port = await self._open_port(
                    settings.tcp_host, settings.tcp.port, "--tcp-port (tcp.port)", TcpPortProtocol, context
                )
        except ListenError:
            self.close()
            raise

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
            server = await context.loop.create_server(
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

    def close(self) -> None:
        """Close the ports; connections stay. Idempotent."""
        for server in self._servers:
            server.close()
        self._servers.clear()


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
