"""What the port says to those who speak HTTP: a page, whether all is well, the metrics. Everything else is 404."""

import base64
import hashlib
import html
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tidings.metrics import CONTENT_TYPE, Metrics
from tidings.transports.head import Refusal, error_body
from tidings.transports.health import OK, Health
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


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the service is, as the page shows it."""

    ws: str
    tcp: str


def application(
    settings: ListenerSettings,
    health: Health,
    metrics: Metrics,
    addresses: Callable[[], Addresses],
    upgrade: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.Application:
    """The handlers of the port. `upgrade` answers a request at RSocket's path."""
    page = Page()

    async def index(request: web.Request) -> web.Response:
        return web.Response(
            text=page.show(addresses(), health),
            content_type="text/html",
            headers={"Content-Security-Policy": page.policy},
        )

    async def tell_health(request: web.Request) -> web.Response:
        told = {"status": health.status, "version": health.version, "uptime_seconds": health.uptime_seconds}
        return web.json_response(told, status=200 if told["status"] == OK else 503)

    async def tell_metrics(request: web.Request) -> web.Response:
        if not _may_read_metrics(request, settings.http.metrics):
            raise web.HTTPForbidden(text=f"http.metrics is {settings.http.metrics}: /metrics is not for this address")
        return web.Response(body=metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(middlewares=[_framed(metrics)], client_max_size=BODY_BYTES_MAX)
    app.router.add_get("/", index)
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
        response.headers.update(COMMON_HEADERS)
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


class Page:
    """The page at /. Its style is in it, and the policy allows that style and nothing else."""

    def __init__(self) -> None:
        self._source = (Path(__file__).parents[1] / "web" / "index.html").read_text(encoding="utf-8")
        style = self._source.partition("<style>")[2].partition("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def show(self, addresses: Addresses, health: Health) -> str:
        """The page, filled in."""
        shown = self._source
        for name, value in {
            "ws": addresses.ws,
            "tcp": addresses.tcp,
            "version": health.version,
            "status": health.status,
        }.items():
            shown = shown.replace("{{" + name + "}}", html.escape(value))
        return shown
