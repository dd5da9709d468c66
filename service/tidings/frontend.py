"""The dispatcher, the transports, and the ports in front of them, as one thing that starts, drains and closes.

Only this file and `app` know which transports there are: the ports get factories (`AcceptContext`).
"""

import time
from collections.abc import Callable, Sequence
from functools import partial

from tidings import __version__
from tidings.contract.context import Authenticator, SessionRegistry
from tidings.contract.methods import MethodTable
from tidings.dispatch.dispatcher import Dispatcher
from tidings.metrics.registry import Metrics
from tidings.server.addresses import ListenAddresses
from tidings.server.connection_limiter import ConnectionLimiter
from tidings.server.http_port import AcceptContext
from tidings.server.listener import Listener
from tidings.server.proxies import TrustedProxies
from tidings.server.settings import ListenerSettings, TlsSettings
from tidings.transports.http.deferred import DeferredHttpServer
from tidings.transports.http.health import Health
from tidings.transports.rsocket.server import RSocketServer
from tidings.transports.rsocket.tcp import RSocketTcpProtocol
from tidings.transports.rsocket.websocket import accept_upgrade


class Frontend:
    """All that clients connect to. `dispatcher`, `rsocket_server` and `connection_limiter` are made by `start`."""

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
        self._draining = False
        self.settings = settings
        self.health = Health(__version__, health or self._default_status, problems)
        self.listener = Listener(settings)
        self.dispatcher: Dispatcher
        self.rsocket_server: RSocketServer
        self.connection_limiter: ConnectionLimiter
        self._http_server: DeferredHttpServer | None = None

    async def start(self) -> None:
        """Listen. Raises ListenError; nothing is left open then."""
        settings = self.settings
        self.listener.load_tls()
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
        http_server = self._http_server = DeferredHttpServer(settings, self.health, self._metrics, self.addresses)
        context = AcceptContext(
            settings,
            TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header),
            self.connection_limiter,
            self._metrics,
            self.dispatcher.loop,
            self._clock,
            self.rsocket_server.timer_wheel,
            partial(RSocketTcpProtocol, self.rsocket_server),
            partial(accept_upgrade, self.rsocket_server),
            http_server.protocol_factory,
        )
        try:
            await self.listener.start(context)
        except BaseException:
            await self.close()
            raise
        http_server.load()

    def _default_status(self) -> str:
        """The status in /health where the application gives none."""
        return "draining" if self._draining else "ok"

    @property
    def http_port(self) -> int:
        """The port of HTTP and WebSocket."""
        return self.listener.http_port

    @property
    def tcp_port(self) -> int:
        """The port of RSocket over TCP; 0 without TCP."""
        return self.listener.tcp_port

    def addresses(self) -> ListenAddresses:
        """Where it listens, as a client on this machine would write it."""
        return self.listener.addresses()

    def reload(self, tls: TlsSettings) -> None:
        """Use these certificate files from the next connection on. Raises ListenError, and nothing changes then."""
        self.listener.reload(tls)

    async def drain(self, seconds: float) -> bool:
        """Refuse new sessions and finish pending requests; whether all connections closed in time.

        The ports stay open so that /health can report `draining`; `close` shuts them.
        """
        self._draining = True
        return await self.dispatcher.drain(seconds)

    async def close(self) -> None:
        """Close everything. Idempotent."""
        http_server, self._http_server = self._http_server, None
        if http_server is None:
            return
        self.listener.close()
        await self.dispatcher.close()
        await http_server.close()
