"""The chat page: what is in `tidings/web`, as a browser gets it.

`clients/demo` builds these files; each is read when the first browser asks for it. A browser keeps them and asks each
time whether they are still the same (`no-cache` with an ETag): an unchanged page costs a few answers without a body,
and a new version of the service is never shown with an old page.

Nothing but the page's own scripts runs in it, whatever people write: the policy is in `POLICY`, and the one value the
server writes into the page is escaped.
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

from tidings.transports.addresses import Addresses
from tidings.transports.head import Refusal
from tidings.transports.health import Health
from tidings.transports.negotiation import IDENTITY, codings

FOLDER: Final = Path(__file__).parents[1] / "web"
INDEX: Final = "index.html"
PIECE_BYTES: Final = 16_384  # of a body, in the buffer of a socket; with 256 of one address 4 MB
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
PACKED: Final = frozenset({".html", ".js", ".css", ".svg", ".webmanifest"})  # a PNG is packed already
# Scripts, styles, workers and connections of this origin; images that the page makes itself; no frames, no forms, no
# plug-ins, and no text that becomes code: a script's address must have passed the page's one policy.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; worker-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types default"
)


def coding_for(request: web.Request, *, packs: bool = True) -> str:
    """`identity` or `gzip`, by the request's Accept-Encoding. Refusal(406) where it takes neither.

    Without `packs` gzip would make nothing smaller, and is used only where nothing else is taken.
    """
    taken = codings(request.headers.getall("Accept-Encoding", None))
    if not taken:
        raise Refusal(406, "this is sent as it is or with gzip, and Accept-Encoding refuses both")
    return taken[0] if packs or IDENTITY not in taken else IDENTITY


class Asset:
    """One file, as it is sent. Its two forms, as it is and with gzip, have an ETag each."""

    def __init__(self, body: bytes, suffix: str) -> None:
        self.body = body
        self._type = TYPES[suffix]
        self._packs = suffix in PACKED
        self._digest = hashlib.sha256(body).hexdigest()[:32]

    @cached_property
    def packed(self) -> bytes:
        """With gzip; always the same bytes."""
        return gzip.compress(self.body, 9, mtime=0)

    def answer(self, request: web.Request) -> web.StreamResponse:
        """The file, or 304 for who has it. Range is ignored, as it may be: the files are small."""
        coding = coding_for(request, packs=self._packs)
        etag = self._digest if coding == IDENTITY else f"{self._digest}-{coding}"
        headers = {
            "Content-Security-Policy": POLICY,
            "Cache-Control": "no-cache",
            "ETag": f'"{etag}"',
            "Vary": "Accept-Encoding",
        }
        if any(known.value in (etag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self._type
        if coding == IDENTITY:
            return Pieces(self.body, headers)
        return Pieces(self.packed, headers | {"Content-Encoding": coding})


class Pieces(web.StreamResponse):
    """An answer whose body is handed to the socket a piece at a time, and shared until then.

    A client that does not take it holds a piece, and not a copy of the whole: 1,000 of them held 614 MB.
    """

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        super().__init__(headers=headers)
        self._whole = memoryview(body)
        self.content_length = len(body)

    async def write_eof(self, data: bytes = b"") -> None:
        """The body, as fast as it is taken."""
        request = self._req
        if request is not None and request.method != "HEAD":
            for begin in range(0, len(self._whole), PIECE_BYTES):
                await self.write(self._whole[begin : begin + PIECE_BYTES])
                await request.writer.drain()
        await super().write_eof()


class Page:
    """The handlers of the page's files."""

    def __init__(self, dev: bool, path: str, health: Health, addresses: Callable[[], Addresses]) -> None:
        self._dev = dev
        self._path = path
        self._health = health
        self._addresses = addresses
        self._assets: dict[str, tuple[int, Asset]] = {}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """`/`, and each file by its name. What is not in the folder now is nowhere."""
        router.add_get("/", self._index)
        for file in sorted(FOLDER.iterdir()):
            if file.suffix in TYPES and file.name != INDEX:
                router.add_get(f"/{file.name}", self._file)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        source = self._asset(INDEX).body.decode()
        return Asset(self.fill(source).encode(), ".html").answer(request)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return self._asset(request.path[1:]).answer(request)

    def _asset(self, name: str) -> Asset:
        # Read when the first browser asks, a millisecond; and again when a new build is there, which is when somebody
        # works on the page.
        file = FOLDER / name
        changed_ns = file.stat().st_mtime_ns
        known = self._assets.get(name)
        if known is None or known[0] != changed_ns:
            known = self._assets[name] = changed_ns, Asset(file.read_bytes(), file.suffix)
        return known[1]

    def fill(self, source: str) -> str:
        """The page with what this service is written into it, escaped for text and attributes."""
        addresses = self._addresses()
        told = {"dev": self._dev, "path": self._path, "version": self._health.version}
        values = {
            "told": json.dumps(told | {"ws": addresses.ws, "tcp": addresses.tcp}),
            "ws": addresses.ws,
            "tcp": addresses.tcp,
            "version": self._health.version,
            "status": self._health.status,
        }
        return re.sub(r"\{\{(\w+)\}\}", lambda found: html.escape(values[found[1]]), source)
