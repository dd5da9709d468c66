"""What the port says to those who speak HTTP: the chat page, whether all is well, the metrics. All else is 404.

Every error is ours (`request_head.error_body`), whoever noticed it: a handler, aiohttp's router, or its parser.
"""

import contextlib
import gzip
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tidings.log import log
from tidings.metrics.registry import CONTENT_TYPE, Metrics
from tidings.server.addresses import ListenAddresses
from tidings.server.content_negotiation import GZIP
from tidings.server.proxies import TrustedProxies
from tidings.server.request_head import HttpError, error_body
from tidings.server.settings import ListenerSettings, host_of, is_loopback
from tidings.transports.http.health import DEGRADED, OK, Health
from tidings.transports.http.static_page import StaticPage, select_coding

FORWARDING_HEADERS: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
BODY_BYTES_MAX: Final = 1_024  # nothing here takes a body
NOT_FOUND_TEXT: Final = "nothing is here; see / for what there is"


def create_app(
    settings: ListenerSettings,
    health: Health,
    metrics: Metrics,
    addresses: Callable[[], ListenAddresses],
    upgrade: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.Application:
    """The handlers of the port. `upgrade` answers a request at RSocket's path."""
    proxies = TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header)

    async def get_health(request: web.Request) -> web.Response:
        status = health.status
        fields: dict[str, object] = {
            "status": status,
            "version": health.version,
            "uptime_seconds": health.uptime_seconds,
        }
        if status == DEGRADED:
            # The reasons name rooms and files, so they are for those who may see the metrics.
            with contextlib.suppress(HttpError):
                check_metrics_access(request, settings.http.metrics_access, proxies)
                fields["reasons"] = health.problems
        return web.json_response(fields, status=200 if status in (OK, DEGRADED) else 503)

    async def get_metrics(request: web.Request) -> web.Response:
        check_metrics_access(request, settings.http.metrics_access, proxies)
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        body = metrics.render()
        if select_coding(request) == GZIP:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), GZIP
        return web.Response(body=body, headers=headers)

    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_reject_bodies])
    StaticPage(settings.dev, settings.http.path, health, addresses).add_routes(app.router)
    app.router.add_get("/health", get_health)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_get(settings.http.path, upgrade)
    return app


@web.middleware
async def _reject_bodies(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a body that is more than a mistake; a small one is read and dropped."""
    if request.body_exists and not 0 <= (request.content_length or -1) <= BODY_BYTES_MAX:
        raise HttpError(413, f"nothing here takes a body, and none of more than {BODY_BYTES_MAX} bytes is read")
    return await handler(request)


def check_metrics_access(request: web.Request, access: str, proxies: TrustedProxies) -> None:
    """Refusal(403) for whom /metrics is not for (`http.metrics_access`).

    With `loopback` the client must be on this machine and know it: Host is a name of this machine, so that no page can
    read the metrics through a name that its owner points here. A proxy that is not trusted is nobody of this machine.
    """
    if access == "anyone":
        return
    if access == "loopback":
        peer = request.remote or ""
        untrusted = [name for name in FORWARDING_HEADERS if name in request.headers and not proxies.is_trusted(peer)]
        forwarded, x_forwarded_for = (request.headers.getall(name, []) for name in FORWARDING_HEADERS[:2])
        if untrusted:
            raise HttpError(403, f"{untrusted[0]} comes from an address that is not in http.trusted_proxies")
        is_forwarded = any(name in request.headers for name in FORWARDING_HEADERS)
        if is_forwarded and not proxies.is_client_certain(peer, forwarded, x_forwarded_for):
            raise HttpError(403, "http.forwarded_header does not say which client this proxy asks for")
        if is_loopback(proxies.client_address(peer, forwarded, x_forwarded_for)):
            if is_loopback(host_of(request.headers.get("Host", ""))):
                return
            raise HttpError(
                403, "http.metrics_access is loopback: ask this machine for /metrics as localhost or 127.0.0.1"
            )
    raise HttpError(403, f"http.metrics_access is {access}: /metrics is not for this address")


def error_response(error: HttpError, request: web.BaseRequest) -> web.Response:
    """A refusal as aiohttp answers it."""
    status = HTTPStatus(error.status)
    # The request that stands for one that could not be read has a plain dictionary of headers, which is empty.
    accept = request.headers.getall("Accept", []) if request.headers else []
    content_type, body = error_body(status, str(error), accept)
    response = web.Response(status=status, body=body, headers=error.headers | {"Content-Type": content_type})
    if status not in KEEP_ALIVE_STATUSES:
        response.force_close()
    return response


# Errors of which the connection may go on: the request was whole, and only what it asked for is wrong.
KEEP_ALIVE_STATUSES: Final = frozenset((HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED))


def http_error_from(error: web.HTTPException) -> HttpError:
    """What aiohttp refuses, in our words."""
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Location"}}
    text = HTTPStatus(error.status).description or "this is not served here"
    if error.status == HTTPStatus.NOT_FOUND:
        text = NOT_FOUND_TEXT
    elif isinstance(error, web.HTTPMethodNotAllowed):
        text = f"this method is not understood here; use {', '.join(sorted(error.allowed_methods))}"
    elif error.status == HTTPStatus.EXPECTATION_FAILED:
        text = "the only expectation that can be met is 100-continue"
    return HttpError(error.status, text, headers)


def internal_error(error: BaseException) -> HttpError:
    """What is told of a fault of ours; the log has where it was, under the same id."""
    correlation = secrets.token_hex(6)
    log.error("an HTTP request failed", correlation=correlation, exc_info=error)
    return HttpError(500, f"the service failed; if you report it, quote {correlation}")
