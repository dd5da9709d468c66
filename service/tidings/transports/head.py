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

from tidings.transports.negotiation import prefers_text
from tidings.transports.proxies import TrustedProxies

COMMON_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "Tidings",  # else aiohttp tells its version, and Python's
}
_REQUEST_LINE: Final = re.compile(rb"[A-Z]{1,20} [^\s]+")
END: Final = b"\r\n\r\n"
_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_UNPRINTED: Final = frozenset(range(32)) - {9} | {127}


class Refusal(Exception):
    """The request is answered with an error, and the connection closed."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})

    def response(self, head: "Head | None" = None) -> bytes:
        """It, whole, as the asker wants it; `head` is what was asked, if that could be read."""
        status = HTTPStatus(self.status)
        accept = head.lines("accept") if head is not None else []
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


def too_long(data: bytes | bytearray, bytes_max: int) -> Refusal:
    """Of a head that begins so and is longer than it may be."""
    if _REQUEST_LINE.fullmatch(data):
        return Refusal(414, f"the address of a request has fewer than {bytes_max} bytes (head_bytes_max)")
    return Refusal(431, f"the head of a request has {bytes_max} bytes at most (head_bytes_max)")


def error_body(status: HTTPStatus, text: str, accept: Iterable[str] = ()) -> tuple[str, bytes]:
    """(Content-Type, body) of an error, always the same: status, name and a sentence.

    JSON, or plain text for those who rather read a text (`accept`: the lines of their Accept header), as browsers do.
    """
    if prefers_text(accept):
        return "text/plain; charset=utf-8", f"{status.value} {status.phrase}: {text}\n".encode()
    return "application/json", json.dumps(
        {"status": status.value, "error": status.phrase, "text": text}
    ).encode() + b"\n"


class Head:
    """Method, path and header lines; names in lower case."""

    def __init__(self, method: str, target: str, headers: dict[str, list[str]]) -> None:
        self.method = method
        self.path = target.partition("?")[0]
        self._headers = headers

    def one(self, name: str) -> str | None:
        """A header that may come once; Refusal if it comes more often."""
        values = self._headers.get(name, [])
        if len(values) > 1:
            raise Refusal(400, f"more than one {name}")
        return values[0] if values else None

    def lines(self, name: str) -> list[str]:
        """All lines of that name, in order."""
        return self._headers.get(name, [])

    def client(self, peer: str, proxies: TrustedProxies) -> str:
        """The address of the client, where the connection comes from `peer`."""
        return proxies.client(peer, self.lines("forwarded"), self.lines("x-forwarded-for"))

    def items(self, name: str) -> list[str]:
        """The members of a list, over all lines of that name."""
        members = (member.strip() for line in self._headers.get(name, []) for member in line.split(","))
        return [member for member in members if member]

    def has_body(self) -> bool:
        """Whether anything but the head belongs to the request."""
        return "transfer-encoding" in self._headers or (self.one("content-length") or "0").strip("0") != ""

    def asks_for_websocket(self) -> bool:
        """Whether it wants to become one. (Firefox says `Connection: keep-alive, Upgrade`.)"""
        return "websocket" in (member.lower() for member in self.items("upgrade")) and "upgrade" in (
            member.lower() for member in self.items("connection")
        )


def read_head(data: bytes) -> Head | None:
    """A head that ends with an empty line; None where it is not a well-formed one of HTTP/1.1."""
    first, *lines = data.removesuffix(END).split(b"\r\n")
    parts = first.split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1" or not parts[1].startswith(b"/"):
        return None
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or not _TOKEN.issuperset(name) or not _UNPRINTED.isdisjoint(value):
            return None
        headers.append((name, value.strip(b" \t")))
    return head_of(parts[0].decode("latin-1"), parts[1].decode("latin-1"), headers)


def head_of(method: str, target: str, lines: Iterable[tuple[bytes, bytes]]) -> Head:
    """A head that somebody has read already."""
    headers: dict[str, list[str]] = {}
    for name, value in lines:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return Head(method, target, headers)
