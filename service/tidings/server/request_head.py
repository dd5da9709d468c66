"""The head of an HTTP request, read just far enough to know whose connection it is.

Strict where the request asks for a WebSocket, since then it is ours. Any other head is handed on as it came, byte for
byte: there is one reader of HTTP in the house, and it is not this one, so no two can disagree about where a
request ends.
"""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

from tidings.server.content_negotiation import prefers_text
from tidings.server.proxies import TrustedProxies

COMMON_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Tidings",  # else aiohttp tells its version, and Python's
}
_REQUEST_LINE: Final = re.compile(rb"[A-Z]{1,20} [^\s]+")
HEAD_END: Final = b"\r\n\r\n"
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_CONTROL_CHARACTERS: Final = frozenset(range(32)) - {9} | {127}


class HttpError(Exception):
    """The request is answered with an error, and the connection closed."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})

    def to_response(self, head: "RequestHead | None" = None) -> bytes:
        """It, whole, as the asker wants it; `head` is what was asked, if that could be read."""
        status = HTTPStatus(self.status)
        accept = head.get_all("accept") if head is not None else []
        content_type, body = error_body(status, str(self), accept)
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            "Connection": "close",
            **COMMON_HEADERS,
            **self.headers,
        }
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        answer = "\r\n".join((*lines, "", "")).encode()
        return answer if head is not None and head.method == "HEAD" else answer + body


def head_too_long(data: bytes | bytearray, bytes_max: int) -> HttpError:
    """Of a head that begins so and is longer than it may be."""
    if _REQUEST_LINE.fullmatch(data):
        return HttpError(414, f"the address of a request has fewer than {bytes_max} bytes (http_head_bytes_max)")
    return HttpError(431, f"the head of a request has {bytes_max} bytes at most (http_head_bytes_max)")


def error_body(status: HTTPStatus, text: str, accept: Iterable[str] = ()) -> tuple[str, bytes]:
    """(Content-Type, body) of an error, always the same: status, name and a sentence.

    JSON, or plain text for those who rather read a text (`accept`: the lines of their Accept header), as browsers do.
    """
    if prefers_text(accept):
        return "text/plain; charset=utf-8", f"{status.value} {status.phrase}: {text}\n".encode()
    return "application/json", json.dumps(
        {"status": status.value, "error": status.phrase, "text": text}
    ).encode() + b"\n"


class RequestHead:
    """Method, path and header lines; names in lower case."""

    def __init__(self, method: str, target: str, headers: dict[str, list[str]]) -> None:
        self.method = method
        self.path = target.partition("?")[0]
        self._headers = headers

    def get(self, name: str) -> str | None:
        """A header that may come once; Refusal if it comes more often."""
        values = self._headers.get(name, [])
        if len(values) > 1:
            raise HttpError(400, f"more than one {name}")
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """All lines of that name, in order."""
        return self._headers.get(name, [])

    def client_address(self, peer: str, proxies: TrustedProxies) -> str:
        """The address of the client, where the connection comes from `peer`."""
        return proxies.client_address(peer, self.get_all("forwarded"), self.get_all("x-forwarded-for"))

    def get_list(self, name: str) -> list[str]:
        """The members of a list, over all lines of that name."""
        members = (member.strip() for line in self._headers.get(name, []) for member in line.split(","))
        return [member for member in members if member]

    def has_body(self) -> bool:
        """Whether anything but the head belongs to the request."""
        return "transfer-encoding" in self._headers or (self.get("content-length") or "0").strip("0") != ""

    def is_websocket_upgrade(self) -> bool:
        """Whether it wants to become one. (Firefox says `Connection: keep-alive, Upgrade`.)"""
        return "websocket" in (member.lower() for member in self.get_list("upgrade")) and "upgrade" in (
            member.lower() for member in self.get_list("connection")
        )


def parse_request_head(data: bytes) -> RequestHead | None:
    """A head that ends with an empty line; None where it is not a well-formed one of HTTP/1.1."""
    first, *lines = data.removesuffix(HEAD_END).split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1" or not parts[1].startswith(b"/"):
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name) or not _CONTROL_CHARACTERS.isdisjoint(value):
            return None
        headers.append((name, value.strip(b" \t")))
    return build_request_head(parts[0].decode("latin-1"), parts[1].decode("latin-1"), headers)


def build_request_head(method: str, target: str, lines: Iterable[tuple[bytes, bytes]]) -> RequestHead:
    """A head that somebody has read already."""
    headers: dict[str, list[str]] = {}
    for name, value in lines:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return RequestHead(method, target, headers)
