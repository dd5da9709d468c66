"""A WebSocket that is asked for where aiohttp has read already, on a connection that was used for something else."""

import asyncio
from typing import Any, cast

from aiohttp import HttpVersion11, web

from tidings.server.http_port import HttpPortProtocol
from tidings.server.request_head import HttpError, build_request_head
from tidings.transports.http.application import error_response


async def upgrade_to_websocket(request: web.Request) -> web.StreamResponse:
    """aiohttp's handler of RSocket's path: gets a request that is no handshake, or comes on a used connection."""
    head = build_request_head(request.method, request.rel_url.raw_path, request.raw_headers)
    port_protocol = request.transport.get_protocol() if request.transport is not None else None
    if (
        not isinstance(port_protocol, HttpPortProtocol)
        or not head.is_websocket_upgrade()
        or request.version < HttpVersion11
    ):
        return error_response(HttpError(426, "RSocket over WebSocket is here", {"Upgrade": "websocket"}), request)
    try:
        protocol = port_protocol.upgrade(head)
    except HttpError as error:
        return error_response(error, request)
    assert port_protocol.closed is not None
    request.protocol.keep_alive(False)
    request.protocol.set_parser(cast(Any, _TailParser(protocol)))
    await port_protocol.closed
    return web.Response(status=101)


class _TailParser:
    """Gets from aiohttp what had come behind the handshake already; nothing else comes that way."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Some more of it."""
        self._protocol.data_received(bytes(data))
        return False, b""

    def feed_eof(self) -> None:
        """There is no more."""
