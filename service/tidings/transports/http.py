"""What the port says to those who speak HTTP: the chat page, whether all is well, the metrics. All else is 404.

Every error is ours (`head.error_body`), whoever noticed it: a handler, aiohttp's router, or its parser.
"""

import contextlib
import gzip
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tidings.log import log
from tidings.metrics import CONTENT_TYPE, Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.head import Refusal, error_body
from tidings.transports.health import DEGRADED, OK, Health
from tidings.transports.negotiation import GZIP
from tidings.transports.page import Page, coding_for
from tidings.transports.proxies import TrustedProxies
from tidings.transports.settings import ListenerSettings, host_of, is_loopback

FORWARDING: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
BODY_BYTES_MAX: Final = 1_024  # nothing here takes a body
NOTHING_HERE: Final = "nothing is here; see / for what there is"


def application(
    settings: ListenerSettings,
    health: Health,
    metrics: Metrics,
    addresses: Callable[[], Addresses],
    upgrade: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.Application:
    """The handlers of the port. `upgrade` answers a request at RSocket's path."""
    proxies = TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header)

    async def tell_health(request: web.Request) -> web.Response:
        status = health.status
        told: dict[str, object] = {"status": status, "version": health.version, "uptime_seconds": health.uptime_seconds}
        if status == DEGRADED:
            # The reasons name rooms and files, so they are for those who may see the metrics.
            with contextlib.suppress(Refusal):
                check_metrics_reader(request, settings.http.metrics, proxies)
                told["reasons"] = health.troubles
        return web.json_response(told, status=200 if status in (OK, DEGRADED) else 503)

    async def tell_metrics(request: web.Request) -> web.Response:
        check_metrics_reader(request, settings.http.metrics, proxies)
        headers = {"Content-Type": CONTENT_TYPE, "Vary": "Accept-Encoding"}
        body = metrics.page()
        if coding_for(request) == GZIP:
            body, headers["Content-Encoding"] = gzip.compress(body, 1), GZIP
        return web.Response(body=body, headers=headers)

    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_bodiless])
    Page(settings.dev, settings.http.path, health, addresses).add_to(app.router)
    app.router.add_get("/health", tell_health)
    app.router.add_get("/metrics", tell_metrics)
    app.router.add_get(settings.http.path, upgrade)
    return app


@web.middleware
async def _bodiless(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a body that is more than a mistake; a small one is read and dropped."""
    if request.body_exists and not 0 <= (request.content_length or -1) <= BODY_BYTES_MAX:
        raise Refusal(413, f"nothing here takes a body, and none of more than {BODY_BYTES_MAX} bytes is read")
    return await handler(request)


def check_metrics_reader(request: web.Request, who: str, proxies: TrustedProxies) -> None:
    """Refusal(403) for whom /metrics is not for (`http.metrics`).

    With `loopback` the client must be on this machine and know it: Host is a name of this machine, so that no page can
    read the metrics through a name that its owner points here. A proxy that is not trusted is nobody of this machine.
    """
    if who == "anyone":
        return
    if who == "loopback":
        peer = request.remote or ""
        untrusted = [name for name in FORWARDING if name in request.headers and not proxies.trust(peer)]
        forwarded, x_forwarded_for = (request.headers.getall(name, []) for name in FORWARDING[:2])
        if untrusted:
            raise Refusal(403, f"{untrusted[0]} comes from an address that is not in http.trusted_proxies")
        named = any(name in request.headers for name in FORWARDING)
        if named and not proxies.known(peer, forwarded, x_forwarded_for):
            raise Refusal(403, "http.forwarded_header does not say which client this proxy asks for")
        if is_loopback(proxies.client(peer, forwarded, x_forwarded_for)):
            if is_loopback(host_of(request.headers.get("Host", ""))):
                return
            raise Refusal(403, "http.metrics is loopback: ask this machine for /metrics as localhost or 127.0.0.1")
    raise Refusal(403, f"http.metrics is {who}: /metrics is not for this address")


def refused(refusal: Refusal, request: web.BaseRequest) -> web.Response:
    """A refusal as aiohttp answers it."""
    status = HTTPStatus(refusal.status)
    # The request that stands for one that could not be read has a plain dictionary of headers, which is empty.
    accept = request.headers.getall("Accept", []) if request.headers else []
    content_type, body = error_body(status, str(refusal), accept)
    response = web.Response(status=status, body=body, headers=refusal.headers | {"Content-Type": content_type})
    if status not in KEPT_OPEN:
        response.force_close()
    return response


# Errors of which the connection may go on: the request was whole, and only what it asked for is wrong.
KEPT_OPEN: Final = frozenset((HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED))


def refusal_of(error: web.HTTPException) -> Refusal:
    """What aiohttp refuses, in our words."""
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Location"}}
    text = HTTPStatus(error.status).description or "this is not served here"
    if error.status == HTTPStatus.NOT_FOUND:
        text = NOTHING_HERE
    elif isinstance(error, web.HTTPMethodNotAllowed):
        text = f"this method is not understood here; use {', '.join(sorted(error.allowed_methods))}"
    elif error.status == HTTPStatus.EXPECTATION_FAILED:
        text = "the only expectation that can be met is 100-continue"
    return Refusal(error.status, text, headers)


def crashed(error: BaseException) -> Refusal:
    """What is told of a fault of ours; the log has where it was, under the same id."""
    correlation = secrets.token_hex(6)
    log.error("an HTTP request failed", correlation=correlation, exc_info=error)
    return Refusal(500, f"the service failed; if you report it, quote {correlation}")
