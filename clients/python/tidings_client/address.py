"""Where a service is: ws://, wss://, tcp:// or tls:// (TCP under TLS)."""

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from tidings.contract.errors import invalid_argument

WEBSOCKET_SCHEMES: Final = frozenset({"ws", "wss"})
SECURE_SCHEMES: Final = frozenset({"wss", "tls"})
SCHEMES: Final = frozenset({"ws", "wss", "tcp", "tls"})
WEBSOCKET_PATH_DEFAULT: Final = "/rsocket"


SCHEME_WITH_TLS_TOGGLED: Final = {"ws": "wss", "wss": "ws", "tcp": "tls", "tls": "tcp"}  # the same with TLS, or without


class Address(NamedTuple):
    """A service's address. `url` is as it was given, with the path `/rsocket` where a WebSocket had none."""

    url: str
    host: str
    port: int
    is_websocket: bool
    is_secure: bool

    def tls_hint(self) -> str:
        """What to try where the other side seems to have TLS and this address has none, or the reverse."""
        scheme = self.url.partition(":")[0]
        has = "no TLS" if self.is_secure else "TLS"
        return f"if the service has {has}, write {SCHEME_WITH_TLS_TOGGLED[scheme]}:// instead of {scheme}://"

    def port_hint(self) -> str:
        """What to look at where the other side seems to be the port of the other transport."""
        other, scheme = ("RSocket over TCP", "tcp") if self.is_websocket else ("HTTP and WebSocket", "ws")
        if self.is_secure:
            scheme = SCHEME_WITH_TLS_TOGGLED[scheme]
        return f"it looks like the port for {other} ({scheme}://): ws:// is 7878, tcp:// is 7879 unless configured"


def parse_address(url: str) -> Address:
    """The address that `url` says; INVALID_ARGUMENT with the reason when it says none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise invalid_argument(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise invalid_argument(
            f"{url!r} is not an address; write ws://host:port/rsocket, wss://…, tcp://host:port or tls://…"
        )
    websocket = parts.scheme in WEBSOCKET_SCHEMES
    secure = parts.scheme in SECURE_SCHEMES
    if port is None:
        if not websocket:
            raise invalid_argument(f"{url!r} says no port; write {parts.scheme}://{parts.hostname}:PORT")
        port = 443 if secure else 80
    if websocket and parts.path in ("", "/"):
        url = parts._replace(path=WEBSOCKET_PATH_DEFAULT).geturl()
    return Address(url, parts.hostname, port, websocket, secure)
