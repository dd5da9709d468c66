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
from tidings.server.connection_limiter import ConnectionSlot
from tidings.server.http_port import AcceptContext

ACCEPT_RETRY_SECONDS: Final = 1.0  # before the next accept where the system has no file for one


class TlsServer:
    """One port. `protocol` makes what a connection speaks behind its handshake, with the place that it has already."""

    def __init__(
        self,
        listen_socket: socket.socket,
        context: ssl.SSLContext,
        accept_context: AcceptContext,
        make_protocol: Callable[[ConnectionSlot], asyncio.Protocol],
    ) -> None:
        listen_socket.setblocking(False)
        self._listen_socket = listen_socket
        self._context = context
        self._accept_context = accept_context
        self._make_protocol = make_protocol
        self._loop = accept_context.loop
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accept_task = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and end the handshakes. Idempotent."""
        self._accept_task.cancel()
        for handshake in list(self._handshakes):
            handshake.cancel()
        self._listen_socket.close()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, peername = await self._loop.sock_accept(self._listen_socket)
            except OSError:
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)
                continue
            slot = self._accept_context.acquire_slot(peername)
            if slot is None:
                accepted.close()
                continue
            handshake = self._loop.create_task(self._handshake(accepted, slot))
            slot.on_evict = handshake.cancel
            self._handshakes.add(handshake)
            handshake.add_done_callback(partial(self._on_handshake_done, accepted, slot))

    def _on_handshake_done(self, accepted: socket.socket, slot: ConnectionSlot, handshake: asyncio.Task[None]) -> None:
        """Give up what a handshake had that was ended, even if that was before it began."""
        self._handshakes.discard(handshake)
        error = None if handshake.cancelled() else handshake.exception()
        if error is not None:
            log.error("a TLS handshake failed", exc_info=error)
        if handshake.cancelled() or error is not None:
            slot.release()
            accepted.close()

    async def _handshake(self, accepted: socket.socket, slot: ConnectionSlot) -> None:
        limits = self._accept_context.settings.connections
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make_protocol(slot),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=limits.http_head_seconds,
                ssl_shutdown_timeout=limits.close_seconds,
            )
        except OSError:  # no TLS, none that we speak, too late, or gone
            slot.release()
