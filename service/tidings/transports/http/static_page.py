"""The chat page: what is in `tidings/web`, as a browser gets it.

`clients/demo` builds these files; each is read when the first browser asks for it. A browser keeps them and asks each
time whether they are still the same (`no-cache` with an ETag): an unchanged page costs a few answers without a body,
and a new version of the service is never shown with an old page.

Nothing but the page's own scripts runs in it, whatever people write: the policy is in `CONTENT_SECURITY_POLICY`, and
the one value the server writes into the page is escaped.
"""

import gzip
import hashlib
import html
import json
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final

from aiohttp import web

from tidings.server.addresses import ListenAddresses
from tidings.server.content_negotiation import IDENTITY, accepted_codings
from tidings.server.request_head import HttpError
from tidings.transports.http.health import Health

WEB_FOLDER: Final = Path(__file__).parents[2] / "web"
INDEX: Final = "index.html"
BODY_CHUNK_BYTES: Final = 16_384  # of a body, in the buffer of a socket; with 256 of one address 4 MB
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
COMPRESSIBLE: Final = frozenset({".html", ".js", ".css", ".svg", ".webmanifest"})  # a PNG is packed already
# Scripts, styles, workers and connections of this origin; images that the page makes itself; no frames, no forms, no
# plug-ins, and no text that becomes code: a script's address must have passed the page's one policy.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default"
)


def select_coding(request: web.Request, *, is_compressible: bool = True) -> str:
    """`identity` or `gzip`, by the request's Accept-Encoding. Refusal(406) where it takes neither.

    Without `packs` gzip would make nothing smaller, and is used only where nothing else is taken.
    """
    accepted = accepted_codings(request.headers.getall("Accept-Encoding", None))
    if not accepted:
        raise HttpError(406, "this is sent as it is or with gzip, and Accept-Encoding refuses both")
    return accepted[0] if is_compressible or IDENTITY not in accepted else IDENTITY


class Asset:
    """One file, as it is sent. Its two forms, as it is and with gzip, have an ETag each."""

    def __init__(self, body: bytes, suffix: str) -> None:
        self.body = body
        self._content_type = CONTENT_TYPES[suffix]
        self._is_compressible = suffix in COMPRESSIBLE
        self._digest = hashlib.sha256(body).hexdigest()[:32]

    @cached_property
    def gzipped(self) -> bytes:
        """With gzip; always the same bytes."""
        return gzip.compress(self.body, 9, mtime=0)

    def respond(self, request: web.Request) -> web.StreamResponse:
        """The file, or 304 for who has it. Range is ignored, as it may be: the files are small."""
        coding = select_coding(request, is_compressible=self._is_compressible)
        etag = self._digest if coding == IDENTITY else f"{self._digest}-{coding}"
        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Cache-Control": "no-cache",
            "ETag": f'"{etag}"',
            "Vary": "Accept-Encoding",
        }
        if any(known.value in (etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self._content_type
        if coding == IDENTITY:
            return ChunkedResponse(self.body, headers)
        return ChunkedResponse(self.gzipped, headers | {"Content-Encoding": coding})


class ChunkedResponse(web.StreamResponse):
    """An answer whose body is handed to the socket a piece at a time, and shared until then.

    A client that does not take it holds a piece, and not a copy of the whole: 1,000 of them held 614 MB.
    """

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self._body_view = memoryview(body)
        self.content_length = len(body)

    async def write_eof(self, data: bytes = b"") -> None:
        """The body, as fast as it is taken."""
        request = self._req
        if request is not None and request.method != "HEAD":
            for begin in range(0, len(self._body_view), BODY_CHUNK_BYTES):
                await self.write(self._body_view[begin : begin + BODY_CHUNK_BYTES])
                await request.writer.drain()
        await super().write_eof()


class StaticPage:
    """The handlers of the page's files."""

    def __init__(self, dev: bool, path: str, health: Health, addresses: Callable[[], ListenAddresses]) -> None:
        self._dev = dev
        self._path = path
        self._health = health
        self._addresses = addresses
        self._assets: dict[str, tuple[int, Asset]] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """`/`, and each file by its name. What is not in the folder now is nowhere."""
        router.add_get("/", self._index)
        for file in sorted(WEB_FOLDER.iterdir()):
            if file.suffix in CONTENT_TYPES and file.name != INDEX:
                router.add_get(f"/{file.name}", self._file)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        source = self._asset(INDEX).body.decode()
        return Asset(self.render(source).encode(), ".html").respond(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request.path[1:]).respond(request)

    def _asset(self, name: str) -> Asset:
        # Read when the first browser asks, a millisecond; and again when a new build is there, which is when somebody
        # works on the page.
        file = WEB_FOLDER / name
        changed_ns = file.stat().st_mtime_ns
        cached = self._assets.get(name)
        if cached is None or cached[0] != changed_ns:
            cached = self._assets[name] = changed_ns, Asset(file.read_bytes(), file.suffix)
        return cached[1]

    def render(self, source: str) -> str:
        """The page with what this service is written into it, escaped for text and attributes."""
        addresses = self._addresses()
        config = {
            "isDev": self._dev,
            "path": self._path,
            "version": self._health.version,
            "ws": addresses.ws,
            "tcp": addresses.tcp,
        }
        values = {
            "config": json.dumps(config),
            "ws": addresses.ws,
            "tcp": addresses.tcp,
            "version": self._health.version,
            "status": self._health.status,
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda found: html.escape(values[found[1]]), source)
