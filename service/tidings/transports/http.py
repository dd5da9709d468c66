"""What the port says to those who speak HTTP: the chat page, whether all is well, the metrics. All else is 404."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tidings.metrics import CONTENT_TYPE, Metrics
from tidings.transports.addresses import Addresses
from tidings.transports.head import Refusal, error_body
from tidings.transports.health import OK, Health
from tidings.transports.page import Page
from tidings.transports.settings import ListenerSettings, is_loopback

# Headers by which a proxy says that the request is somebody else's.
FORWARDING: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
BODY_BYTES_MAX: Final = 1_024  # nothing here takes a body
COMMON_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Tidings",  # else aiohttp tells its version, and Python's
}


def application(
    settings: ListenerSettings,
    health: Health,
    metrics: Metrics,
    addresses: Callable[[], Addresses],
    upgrade: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.Application:
    """The handlers of the port. `upgrade` answers a request at RSocket's path."""

    async def tell_health(request: web.Request) -> web.Response:
        told = {"status": health.status, "version": health.version, "uptime_seconds": health.uptime_seconds}
        return web.json_response(told, status=200 if told["status"] == OK else 503)

    async def tell_metrics(request: web.Request) -> web.Response:
        if not _may_read_metrics(request, settings.http.metrics):
            raise web.HTTPForbidden(text=f"http.metrics is {settings.http.metrics}: /metrics is not for this address")
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(middlewares=[_framed(metrics)], client_max_size=BODY_BYTES_MAX)
    Page(settings.dev, settings.http.path, health, addresses).add_to(app.router)
    app.router.add_get("/health", tell_health)
    app.router.add_get("/metrics", tell_metrics)
    app.router.add_get(settings.http.path, upgrade)
    return app


def _framed(metrics: Metrics) -> Middleware:
    """Every answer with the common headers, every error as JSON, all of them counted."""

    @web.middleware
    async def framed(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _error(error)
        for name, value in COMMON_HEADERS.items():
            response.headers.setdefault(name, value)
        metrics.http_responses[str(response.status)] += 1
        return response

    return framed


def refused(refusal: Refusal) -> web.Response:
    """A refusal as aiohttp answers it."""
    status = HTTPStatus(refusal.status)
    body = error_body(status, str(refusal))
    response = web.Response(status=status, body=body, content_type="application/json", headers=refusal.headers)
    response.force_close()
    return response


def _error(error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    text = error.text or ""
    if status is HTTPStatus.NOT_FOUND:
        text = "nothing is here; see / for what there is"
    elif isinstance(error, web.HTTPMethodNotAllowed):
        text = f"{error.method} is not understood here; use {', '.join(sorted(error.allowed_methods))}"
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Location"}}
    return web.Response(status=status, body=error_body(status, text), content_type="application/json", headers=headers)


def _may_read_metrics(request: web.Request, who: str) -> bool:
    if who == "loopback":
        return is_loopback(request.remote or "") and not any(name in request.headers for name in FORWARDING)
    return who == "anyone"
