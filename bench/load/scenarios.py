"""All loads, by name."""

from collections.abc import Callable, Coroutine
from typing import Any

from bench.load.calls import calls
from bench.load.fanout import fanout
from bench.load.history import pages, read, search
from bench.load.large import large
from bench.load.many_connections import idle, reconnect
from bench.load.paced import paced
from bench.load.presence import presence
from bench.load.sequential import sequential_pings, sequential_sends

SCENARIOS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "sequential_pings": sequential_pings,
    "sequential_sends": sequential_sends,
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
