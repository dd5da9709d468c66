"""All loads, by name."""

from collections.abc import Callable, Coroutine
from typing import Any

from bench.load.alone import alone, alone_send
from bench.load.calls import calls
from bench.load.crowds import idle, reconnect
from bench.load.fanout import fanout
from bench.load.large import large
from bench.load.paced import paced
from bench.load.presence import presence
from bench.load.reading import pages, read, search

SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "alone": alone,
    "alone_send": alone_send,
    "calls": calls,
    "fanout": fanout,
    "idle": idle,
    "large": large,
    "pages": pages,
    "paced": paced,
    "presence": presence,
    "read": read,
    "reconnect": reconnect,
    "search": search,
}
