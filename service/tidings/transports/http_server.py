"""aiohttp behind the port: it gets the connections that are no WebSocket's, with every byte from the first."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from tidings.metrics import Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.health import Health
from tidings.transports.http import application
from tidings.transports.http_upgrade import upgrade
from tidings.transports.settings import ListenerSettings

HTTP_KEEPALIVE_SECONDS: Final = 75.0  # longer than the 60 s of most proxies, so that they are the ones to close


async def open_http(
    settings: ListenerSettings, health: Health, metrics: Metrics, addresses: Callable[[], Addresses]
) -> web.AppRunner:
    """Ready to serve: its `server` makes a protocol for each connection."""
    runner = web.AppRunner(
        application(settings, health, metrics, addresses, upgrade),
        access_log=None,
        handle_signals=False,
        keepalive_timeout=HTTP_KEEPALIVE_SECONDS,
        lingering_time=1.0,
        shutdown_timeout=settings.connections.close_seconds,
    )
    await runner.setup()
    return runner
