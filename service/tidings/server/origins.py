"""Which web pages may open a WebSocket: the Origin header (RFC 6454)."""

import re
from typing import Final

from tidings.server.request_head import HttpError
from tidings.server.settings import ListenerSettings, host_of, is_loopback

_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]{1,30}://(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::[0-9]{1,5})?"
)


def loggable_origin(origin: str) -> str:
    """An origin as the log tells it; what is none is not told."""
    return origin if origin == "null" or _ORIGIN.fullmatch(origin) else "(no origin)"


def check_origin(origin: str | None, host: str | None, settings: ListenerSettings) -> None:
    """Refusal(403) for a web page that may not connect.

    Programs send no Origin. A page's must be in the list, letter for letter, or be the `host` that was asked for: then
    it is the page that this service serves at /. In development, where a name is enough, that would let in names that
    an attacker points at this machine; pages of this machine are let in instead. `null` (a file, a sandboxed frame) is
    nobody.
    """
    if origin is None or origin in settings.http.origins:
        return
    scheme, separator, authority = origin.partition("://")
    if separator and scheme in {"http", "https"}:
        own = authority.lower() == (host or "").lower() and authority != ""
        if is_loopback(host_of(authority)) if settings.dev else own:
            return
    raise HttpError(403, f"pages of {ascii(origin[:200])[1:-1]} may not connect; add the origin to http.origins")
