"""The part of the port that speaks HTTP, loaded when the port is open already.

aiohttp and what it imports take 0.18 s, largely to read the machine's certificates, which a server never asks for. Who
speaks RSocket needs none of it, so the service listens before it is there. It is loaded at once then, and not with the
first request, whose sender would wait for it; and in a thread, so that connections go on meanwhile: an answer waits for
the interpreter's lock, 5 to 20 ms, and not for the whole. Who speaks HTTP before it is there waits until it is.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tidings.log import log
from tidings.metrics import Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.health import Health
from tidings.transports.settings import ListenerSettings

if TYPE_CHECKING:
    from types import ModuleType

    from aiohttp import web


class LateHttp:
    """What serves HTTP: loaded behind the open port, until it is closed. Made in the event loop that it serves in.

    `protocols` makes a protocol for each connection, once aiohttp is loaded; cancelled where it never will be.
    """

    def __init__(
        self, settings: ListenerSettings, health: Health, metrics: Metrics, addresses: Callable[[], Addresses]
    ) -> None:
        self._told = settings, health, metrics, addresses
        self._runner: web.AppRunner | None = None
        self._loading: asyncio.Task[None] | None = None
        self.protocols: asyncio.Future[Callable[[], asyncio.Protocol]]
        self.protocols = asyncio.get_running_loop().create_future()

    def load(self) -> None:
        """Begin to load it, when the loop has nothing else to do."""
        self._loading = asyncio.get_running_loop().create_task(self._load())

    async def _load(self) -> None:
        try:
            module = await asyncio.to_thread(loaded)
            self._runner, protocols = await module.open_http(*self._told)
        except Exception:
            log.exception("HTTP cannot be served; RSocket can")
            self.protocols.cancel()
        else:
            self.protocols.set_result(protocols)

    async def close(self) -> None:
        """Close its connections; who still waits for it is told that it will not come."""
        if self._loading is not None:
            self._loading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loading
        self.protocols.cancel()
        if self._runner is not None:
            await self._runner.cleanup()


def loaded() -> "ModuleType":
    """The module that has all of it."""
    from tidings.transports import http_server

    return http_server
