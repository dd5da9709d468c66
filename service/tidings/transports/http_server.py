"""aiohttp behind the port: it gets the connections that are no WebSocket's, with every byte from the first.

Its protocol is used as it is but for three things. It tells the `Doorway` what the connection is at, which keeps the
time: aiohttp has one limit for idle connections and for heads that never end, and none for answers that nobody takes.
Errors are answered in our form. And nothing is logged but through `tidings.log`: aiohttp logs tracebacks, which hold
the bytes that a peer sent.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from tidings.log import log
from tidings.metrics import Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.doorway import Doorway
from tidings.transports.head import COMMON_HEADERS, Refusal
from tidings.transports.health import Health
from tidings.transports.http import application, crashed, refusal_of, refused
from tidings.transports.http_upgrade import upgrade
from tidings.transports.page import PIECE_BYTES
from tidings.transports.settings import ListenerSettings

LINGERING_SECONDS: Final = 1.0  # what still comes of a body that nobody wants is read for so long
HEADERS_MAX: Final = 100  # of a request; browsers send 20


async def open_http(
    settings: ListenerSettings, health: Health, metrics: Metrics, addresses: Callable[[], Addresses]
) -> tuple[web.AppRunner, Callable[[], asyncio.Protocol]]:
    """(to close it, what makes a protocol for each connection)."""
    limits = settings.connections
    runner = web.AppRunner(
        application(settings, health, metrics, addresses, upgrade),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=limits.close_seconds,
    )
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None
    options = {
        "access_log": None,
        "keepalive_timeout": max(limits.idle_seconds, limits.proxy_idle_seconds) + 1,  # the doorway's are exact
        "lingering_time": LINGERING_SECONDS,
        "max_line_size": limits.head_bytes_max,
        "max_field_size": limits.head_bytes_max,
        "max_headers": HEADERS_MAX,
    }
    return runner, lambda: HttpConnection(server, metrics, limits.head_bytes_max, loop=loop, **options)


class HttpConnection(web.RequestHandler):
    """One connection of aiohttp's server. `_request_count` is of requests that were read, well-formed or not."""

    __slots__ = ("_answered", "_doorway", "_head_bytes", "_head_bytes_max", "_metrics")

    def __init__(self, manager: web.Server, metrics: Metrics, head_bytes_max: int, **options: Any) -> None:
        super().__init__(manager, **options)
        self._metrics = metrics
        self._head_bytes_max = head_bytes_max
        self._head_bytes = 0  # of a head that has no end yet
        self._answered = 0
        self._doorway: Doorway

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handed on by a doorway, which is the transport's protocol."""
        self._doorway = cast(Doorway, cast(asyncio.Transport, transport).get_protocol())
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=PIECE_BYTES)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        read, asked = self._request_count, self._request_count > self._answered
        super().data_received(data)
        if self._request_count > read:
            self._head_bytes = 0
            if not asked:
                self._doorway.asks()
        elif not asked and data:
            if not self._head_bytes:
                self._doorway.begins()
            self._head_bytes += len(data)
            if self._head_bytes > self._head_bytes_max:
                self._doorway.refuse_head(self._head_bytes_max)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer comes by here: errors get our form, all the common headers, and each is counted."""
        if isinstance(resp, web.HTTPException):
            resp = refused(refusal_of(resp), request)
        for name, value in COMMON_HEADERS.items():
            resp.headers.setdefault(name, value)
        self._metrics.http_responses[str(resp.status)] += 1
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._answered += 1
            if self._answered >= self._request_count:
                self._doorway.rests()
            else:
                self._doorway.asks()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read (the message has the peer's bytes in it) or what a handler raised."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already; no other can be sent")
        if isinstance(exc, Refusal):
            return refused(exc, request)
        if isinstance(exc, LineTooLong) or (isinstance(exc, BadHttpMessage) and "Too many" in exc.message):
            most = f"{self._head_bytes_max} bytes and {HEADERS_MAX} headers"
            return refused(Refusal(431, f"the head of a request has {most} at most"), request)
        if status >= 500:
            return refused(crashed(exc or RuntimeError()), request)
        return refused(Refusal(status, "this is not a well-formed request of HTTP/1.1"), request)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Where aiohttp gives up on a connection."""
        error = kw.get("exc_info")
        log.error("an HTTP connection failed", exc_info=error if isinstance(error, BaseException) else None)
