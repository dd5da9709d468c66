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
from tidings.metrics.registry import Metrics
from tidings.server.addresses import ListenAddresses
from tidings.server.settings import ListenerSettings
from tidings.transports.http.health import Health

if TYPE_CHECKING:
    from types import ModuleType

    from aiohttp import web


class DeferredHttpServer:
    """What serves HTTP: loaded behind the open port, until it is closed. Made in the event loop that it serves in.

    `protocol_factory` makes a protocol for each connection, once aiohttp is loaded; cancelled where it never will be.
    """

    def __init__(
        self, settings: ListenerSettings, health: Health, metrics: Metrics, addresses: Callable[[], ListenAddresses]
    ) -> None:
        self._arguments = settings, health, metrics, addresses
        self._runner: web.AppRunner | None = None
        self._load_task: asyncio.Task[None] | None = None
        self.protocol_factory: asyncio.Future[Callable[[], asyncio.Protocol]]
        self.protocol_factory = asyncio.get_running_loop().create_future()

    def load(self) -> None:
        """Begin to load it, when the loop has nothing else to do."""
        self._load_task = asyncio.get_running_loop().create_task(self._load())

    async def _load(self) -> None:
        try:
            module = await asyncio.to_thread(import_server)
            self._runner, factory = await module.start_http(*self._arguments)
        except Exception:
            log.exception("HTTP cannot be served; RSocket can")
            self.protocol_factory.cancel()
        else:
            self.protocol_factory.set_result(factory)

    async def close(self) -> None:
        """Close its connections; who still waits for it is told that it will not come."""
        if self._load_task is not None:
            self._load_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._load_task
        self.protocol_factory.cancel()
        if self._runner is not None:
            await self._runner.cleanup()


def import_server() -> "ModuleType":
    """The module that has all of it."""
    from tidings.transports.http import server

    return server
