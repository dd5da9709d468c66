"""aiohttp behind the port: it gets the connections that are no WebSocket's, with every byte from the first.

Its protocol is used as it is but for four things. It tells the `HttpPortProtocol` what the connection is at, which
keeps the
time: aiohttp has one limit for idle connections and for heads that never end, and none for answers that nobody takes.
Errors are answered in our form. And nothing is logged but through `tidings.log`: aiohttp logs tracebacks, which hold
the bytes that a peer sent. And its parser stops at the first request that it refuses, and few requests are read ahead
(`_BoundedParser`), so that a connection holds little of what its peer sends.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo

from tidings.log import log
from tidings.metrics.registry import Metrics
from tidings.server.addresses import ListenAddresses
from tidings.server.http_port import HttpPortProtocol
from tidings.server.request_head import COMMON_HEADERS, HttpError
from tidings.server.settings import ListenerSettings
from tidings.transports.http.application import create_app, error_response, http_error_from, internal_error
from tidings.transports.http.health import Health
from tidings.transports.http.static_page import BODY_CHUNK_BYTES
from tidings.transports.http.upgrade import upgrade_to_websocket

LINGER_SECONDS: Final = 1.0  # what still comes of a body that nobody wants is read for so long
HEADERS_MAX: Final = 100  # of a request; browsers send 20
REQUESTS_QUEUED_MAX: Final = 4  # of a connection, read and not begun; browsers send none before they have the answer
READ_BUFFER_BYTES: Final = 16_384  # of a body that is not read, before its connection is paused; nothing here takes one


async def start_http(
    settings: ListenerSettings, health: Health, metrics: Metrics, addresses: Callable[[], ListenAddresses]
) -> tuple[web.AppRunner, Callable[[], asyncio.Protocol]]:
    """(to close it, what makes a protocol for each connection)."""
    limits = settings.connections
    runner = web.AppRunner(
        create_app(settings, health, metrics, addresses, upgrade_to_websocket),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=limits.close_seconds,
    )
    await runner.setup()
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None
    options = {
        "access_log": None,
        "keepalive_timeout": max(limits.http_idle_seconds, limits.http_proxy_idle_seconds)
        + 1,  # the port protocol's are exact
        "lingering_time": LINGER_SECONDS,
        "read_bufsize": READ_BUFFER_BYTES,
        "max_line_size": limits.http_head_bytes_max,
        "max_field_size": limits.http_head_bytes_max,
        "max_headers": HEADERS_MAX,
    }
    return runner, lambda: HttpConnection(server, metrics, limits.http_head_bytes_max, loop=loop, **options)


class HttpConnection(web.RequestHandler):
    """One connection of aiohttp's server. `_request_count` is of requests that were read, well-formed or not."""

    __slots__ = ("_head_bytes", "_head_bytes_max", "_metrics", "_port_protocol", "_response_count")

    def __init__(self, manager: web.Server, metrics: Metrics, head_bytes_max: int, **options: Any) -> None:
        super().__init__(manager, **options)
        self._parser = cast(Any, _BoundedParser(self, head_bytes_max, options["loop"]))
        self._max_msg_queue_size = REQUESTS_QUEUED_MAX
        self._msg_queue_resume_size = REQUESTS_QUEUED_MAX // 2
        self._metrics = metrics
        self._head_bytes_max = head_bytes_max
        self._head_bytes = 0  # of a head that has no end yet
        self._response_count = 0
        self._port_protocol: HttpPortProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Handed on by a port protocol, which is the transport's protocol."""
        self._port_protocol = cast(HttpPortProtocol, cast(asyncio.Transport, transport).get_protocol())
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=BODY_CHUNK_BYTES)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        count_before, had_request = self._request_count, self._request_count > self._response_count
        super().data_received(data)
        parser = cast("_BoundedParser | None", self._parser)
        if parser is not None and parser.has_failed:
            self._port_protocol.discard_input()
        if self._request_count > count_before:
            self._head_bytes = 0
            if not had_request:
                self._port_protocol.on_request()
        elif not had_request and data:
            if not self._head_bytes:
                self._port_protocol.on_head_started()
            self._head_bytes += len(data)
            if self._head_bytes > self._head_bytes_max:
                self._port_protocol.reject_head(self._head_bytes_max)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer comes by here: errors get our form, all the common headers, and each is counted."""
        if isinstance(resp, web.HTTPException):
            resp = error_response(http_error_from(resp), request)
        for name, value in COMMON_HEADERS.items():
            resp.headers.setdefault(name, value)
        self._metrics.http_responses[str(resp.status)] += 1
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._response_count += 1
            if not resp.keep_alive:
                self._port_protocol.discard_input()
            if self._response_count >= self._request_count:
                self._port_protocol.on_idle()
            else:
                self._port_protocol.on_request()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read (`_BoundedParser`) or what a handler raised."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already; no other can be sent")
        if isinstance(exc, HttpError):
            return error_response(exc, request)
        return error_response(internal_error(exc or RuntimeError()), request)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Where aiohttp gives up on a connection."""
        error = kw.get("exc_info")
        log.error("an HTTP connection failed", exc_info=error if isinstance(error, BaseException) else None)


class _BoundedParser:
    """aiohttp's parser, which keeps nothing of a request that it refuses, and reads nothing after it.

    aiohttp keeps each of the parser's exceptions for the answer, with its traceback: that is a reference cycle, which
    holds the bytes that were read (up to 256 KB) until the next full garbage collection. The message of the exception
    has the peer's bytes in it as well. So an exception becomes a `HttpError` here, which is never raised.
    """

    def __init__(self, protocol: web.RequestHandler, head_bytes_max: int, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpRequestParser(
            protocol,
            loop,
            READ_BUFFER_BYTES,
            max_line_size=head_bytes_max,
            max_field_size=head_bytes_max,
            max_headers=HEADERS_MAX,
            payload_exception=RequestPayloadError,
            max_msg_queue_size=REQUESTS_QUEUED_MAX,
        )
        self._head_bytes_max = head_bytes_max
        self._head_too_long = HttpError(
            431,
            f"the head of a request has {head_bytes_max} bytes (http_head_bytes_max) and {HEADERS_MAX} headers at most",
        )
        self.has_failed = False
        self.pause_reading = self._parser.pause_reading
        self.message_consumed = self._parser.message_consumed
        self.set_upgraded = self._parser.set_upgraded

    def feed_data(self, data: bytes) -> tuple[list[Any], bool, bytes]:
        """(requests with their bodies, whether one asks for another protocol, what came behind that)."""
        if self.has_failed:
            return [], False, b""
        try:
            requests, upgraded, tail = self._parser.feed_data(data)
        except HttpProcessingError as error:
            return [self._error_request(self._http_error_from(error))], False, b""
        for number, (request, _) in enumerate(requests):
            # aiohttp limits each line; the whole is limited only where it comes in more than one piece.
            if _head_bytes(request.path, request.raw_headers) > self._head_bytes_max:
                return [*requests[:number], self._error_request(self._head_too_long)], False, b""
        return list(requests), upgraded, tail

    def _error_request(self, error: HttpError) -> tuple[Any, Any]:
        """What stands for a request that cannot be read, in aiohttp's form."""
        self.has_failed = True
        return _ErrInfo(status=error.status, exc=error, message=""), EMPTY_PAYLOAD

    def _http_error_from(self, error: HttpProcessingError) -> HttpError:
        if isinstance(error, LineTooLong) or (isinstance(error, BadHttpMessage) and "Too many" in error.message):
            return self._head_too_long
        return HttpError(400, "this is not a well-formed request of HTTP/1.1")


def _head_bytes(path: str, lines: Iterable[tuple[bytes, bytes]]) -> int:
    """The size of a head, without its method, its version and optional spaces."""
    return len(path) + sum(len(name) + len(value) + len(": \r\n") for name, value in lines)
