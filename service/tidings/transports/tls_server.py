"""Accepts connections that begin with TLS, and counts them from then on.

asyncio's own server tells of a connection when its handshake is over. Who opened connections and sent nothing took
files of the process without limit, and counted for no address.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from tidings.log import log
from tidings.transports.doorkeeper import Visit
from tidings.transports.doorway import Reception

PAUSE_SECONDS: Final = 1.0  # before the next accept where the system has no file for one


class TlsServer:
    """One port. `protocol` makes what a connection speaks behind its handshake, with the place that it has already."""

    def __init__(
        self,
        listening: socket.socket,
        context: ssl.SSLContext,
        reception: Reception,
        protocol: Callable[[Visit], asyncio.Protocol],
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._context = context
        self._reception = reception
        self._protocol = protocol
        self._loop = reception.service.loop
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and end the handshakes. Idempotent."""
        self._accepting.cancel()
        for handshake in list(self._handshakes):
            handshake.cancel()
        self._listening.close()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, peername = await self._loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            visit = self._reception.enter(peername)
            if visit is None:
                accepted.close()
                continue
            handshake = self._loop.create_task(self._shake(accepted, visit))
            visit.make_way = handshake.cancel
            self._handshakes.add(handshake)
            handshake.add_done_callback(partial(self._done, accepted, visit))

    def _done(self, accepted: socket.socket, visit: Visit, handshake: asyncio.Task[None]) -> None:
        """Give up what a handshake had that was ended, even if that was before it began."""
        self._handshakes.discard(handshake)
        error = None if handshake.cancelled() else handshake.exception()
        if error is not None:
            log.error("a TLS handshake failed", exc_info=error)
        if handshake.cancelled() or error is not None:
            visit.ended()
            accepted.close()

    async def _shake(self, accepted: socket.socket, visit: Visit) -> None:
        limits = self._reception.service.connections
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(visit),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=limits.head_seconds,
                ssl_shutdown_timeout=limits.close_seconds,
            )
        except OSError:  # no TLS, none that we speak, too late, or gone
            visit.ended()
