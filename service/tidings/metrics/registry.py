"""What the service counts about itself.

On hot paths a count is a plain integer in a slot; Prometheus' objects are made when somebody asks. This file knows no
transport and no store: they count here, or hand in a probe that is called at each scrape.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# One fsync on a good disk is 0.3 ms; beyond 10 s nobody waits any more.
LATENCY_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class RouteCounters:
    """How the requests of one route ended. `ok` is counted in place, the rest by name of the code."""

    __slots__ = ("errors", "ok")

    def __init__(self) -> None:
        self.ok = 0
        self.errors: Counter[str] = Counter()


class LatencyHistogram:
    """A histogram of seconds."""

    __slots__ = ("_buckets", "count", "sum_seconds")

    def __init__(self) -> None:
        self._buckets = [0] * (len(LATENCY_SECONDS) + 1)
        self.count = 0
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self._buckets[bisect_left(LATENCY_SECONDS, seconds)] += 1
        self.count += 1
        self.sum_seconds += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """(upper bound, how many took at most so long), the last bound being +Inf."""
        bounds = [*(str(bound) for bound in LATENCY_SECONDS), "+Inf"]
        total, rows = 0, []
        for bound, count in zip(bounds, self._buckets, strict=True):
            total += count
            rows.append((bound, float(total)))
        return rows


class CallbackMetric(NamedTuple):
    """A number, or one per label value, that is asked for at each scrape. `is_counter`: it is a counter."""

    name: str
    help: str
    read: Callable[[], float | dict[str, float]]
    label: str = ""
    is_counter: bool = False


class Metrics:
    """The counts of one service."""

    __slots__ = (
        "by_route",
        "bytes_in",
        "bytes_out",
        "callbacks",
        "commit_latency",
        "connections_closed",
        "connections_opened",
        "connections_refused",
        "http_responses",
        "loop_lag_seconds",
        "loop_lag_seconds_max",
        "started_at",
    )

    def __init__(self) -> None:
        self.started_at = time.time()
        self.bytes_in = 0
        self.bytes_out = 0
        self.loop_lag_seconds = 0.0
        self.loop_lag_seconds_max = 0.0
        self.commit_latency = LatencyHistogram()
        self.connections_opened: Counter[str] = Counter()
        self.connections_refused: Counter[str] = Counter()
        self.connections_closed: Counter[str] = Counter()
        self.http_responses: Counter[str] = Counter()
        self.by_route: dict[str, RouteCounters] = {}
        self.callbacks: dict[str, CallbackMetric] = {}

    def route_counters(self, route: str) -> RouteCounters:
        """Where the requests of a route are counted. Only for routes of the contract: each is kept for good."""
        return self.by_route.setdefault(route, RouteCounters())

    def observe_commit(self, seconds: float) -> None:
        """A transaction of the store took so long, its fsync included."""
        self.commit_latency.observe(seconds)

    def observe_loop_lag(self, seconds: float) -> None:
        """A callback of the event loop ran so much later than asked."""
        self.loop_lag_seconds = seconds
        self.loop_lag_seconds_max = max(self.loop_lag_seconds_max, seconds)

    def register_callback(
        self,
        name: str,
        help: str,
        read: Callable[[], float | dict[str, float]],
        *,
        label: str = "",
        is_counter: bool = False,
    ) -> None:
        """Ask `read` at each scrape; with `label` it gives a number for each value of the label.

        A second probe of the same name replaces the first.
        """
        self.callbacks[name] = CallbackMetric(name, help, read, label, is_counter)

    def render(self) -> bytes:
        """Everything, in Prometheus' text format (`CONTENT_TYPE`)."""
        from tidings.metrics import prometheus

        return prometheus.render(self)
