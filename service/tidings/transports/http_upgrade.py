"""A WebSocket that is asked for where aiohttp has read already, on a connection that was used for something else."""

import asyncio
from typing import Any, cast

from aiohttp import HttpVersion11, web

from tidings.transports.doorway import Doorway
from tidings.transports.head import Refusal, head_of
from tidings.transports.http import refused


async def upgrade(request: web.Request) -> web.StreamResponse:
    """aiohttp's handler of RSocket's path: gets a request that is no handshake, or comes on a used connection."""
    head = head_of(request.method, request.rel_url.raw_path, request.raw_headers)
    doorway = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(doorway, Doorway) or not head.asks_for_websocket() or request.version < HttpVersion11:
        return refused(Refusal(426, "RSocket over WebSocket is here", {"Upgrade": "websocket"}), request)
    try:
        protocol = doorway.upgrade(head)
    except Refusal as refusal:
        return refused(refusal, request)
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
