"""What the service counts about itself.

On hot paths a count is a plain integer in a slot; Prometheus' objects are made when somebody asks. This file knows no
transport and no store: they count here, or hand in a probe that is called at each scrape.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# One fsync on a good disk is 0.3 ms; beyond 10 s nobody waits any more.
LATENCY_SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)


class Outcomes:
    """How the requests of one route ended. `ok` is counted in place, the rest by name of the code."""

    __slots__ = ("failed", "ok")

    def __init__(self) -> None:
        self.ok = 0
        self.failed: Counter[str] = Counter()


class Latency:
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


class Probe(NamedTuple):
    """A number, or one per label value, that is asked for at each scrape. `grows`: it is a counter."""

    name: str
    help: str
    read: Callable[[], float | dict[str, float]]
    label: str = ""
    grows: bool = False


class Metrics:
    """The counts of one service."""

    __slots__ = (
        "_outcomes",
        "_probes",
        "_registry",
        "bytes_in",
        "bytes_out",
        "commit",
        "connections_opened",
        "ended",
        "http_responses",
        "loop_lag_seconds",
        "loop_lag_seconds_max",
        "refused",
        "started_at",
    )

    def __init__(self) -> None:
        self.started_at = time.time()
        self.bytes_in = 0
        self.bytes_out = 0
        self.loop_lag_seconds = 0.0
        self.loop_lag_seconds_max = 0.0
        self.commit = Latency()
        self.connections_opened: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.http_responses: Counter[str] = Counter()
        self._outcomes: dict[str, Outcomes] = {}
        self._probes: dict[str, Probe] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Families(self._families))

    def outcomes(self, route: str) -> Outcomes:
        """Where the requests of a route are counted. Only for routes of the contract: each is kept for good."""
        return self._outcomes.setdefault(route, Outcomes())

    def observe_commit(self, seconds: float) -> None:
        """A transaction of the store took so long, its fsync included."""
        self.commit.observe(seconds)

    def observe_loop_lag(self, seconds: float) -> None:
        """A callback of the event loop ran so much later than asked."""
        self.loop_lag_seconds = seconds
        self.loop_lag_seconds_max = max(self.loop_lag_seconds_max, seconds)

    def probe(
        self,
        name: str,
        help: str,
        read: Callable[[], float | dict[str, float]],
        *,
        label: str = "",
        grows: bool = False,
    ) -> None:
        """Ask `read` at each scrape; with `label` it gives a number for each value of the label.

        A second probe of the same name replaces the first.
        """
        self._probes[name] = Probe(name, help, read, label, grows)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _families(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "tidings_start_time_seconds", "When the process started, Unix seconds.", value=self.started_at
        )
        yield _by(
            CounterMetricFamily,
            "tidings_connections_opened",
            "Connections that were let in since the start, by transport.",
            "transport",
            self.connections_opened,
        )
        yield _by(
            CounterMetricFamily,
            "tidings_connections_refused",
            "Connections that were turned away, by reason: a limit, the Origin, the head, the SETUP, the credentials.",
            "reason",
            self.refused,
        )
        yield _by(
            CounterMetricFamily,
            "tidings_connections_ended",
            "Connections that the service ended though the peer was there, by reason: stalled, or the error's name.",
            "reason",
            self.ended,
        )
        yield _by(
            CounterMetricFamily,
            "tidings_http_responses",
            "Answers to HTTP requests, by status.",
            "status",
            self.http_responses,
        )
        yield CounterMetricFamily(
            "tidings_bytes_in", "Bytes of RSocket connections, received, envelopes included.", value=self.bytes_in
        )
        yield CounterMetricFamily(
            "tidings_bytes_out", "Bytes of RSocket connections, written, envelopes included.", value=self.bytes_out
        )
        requests = CounterMetricFamily(
            "tidings_requests",
            "Requests that came to an end, by route and outcome: ok, cancelled, or the name of the error.",
            labels=["route", "outcome"],
        )
        for route, outcomes in self._outcomes.items():
            requests.add_metric([route, "ok"], outcomes.ok)
            for outcome, count in outcomes.failed.items():
                requests.add_metric([route, outcome], count)
        yield requests
        yield HistogramMetricFamily(
            "tidings_commit_seconds",
            "How long a transaction took, until it was durable.",
            buckets=self.commit.cumulative(),
            sum_value=self.commit.sum_seconds,
        )
        yield GaugeMetricFamily(
            "tidings_loop_lag_seconds", "How late the event loop was when last measured.", value=self.loop_lag_seconds
        )
        yield GaugeMetricFamily(
            "tidings_loop_lag_seconds_max",
            "How late the event loop was at worst since the start.",
            value=self.loop_lag_seconds_max,
        )
        for probe in self._probes.values():
            yield _probed(probe)


class _Families(Collector):
    """What prometheus_client wants to see: somebody with `collect`."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families()

    def describe(self) -> Iterable[Metric]:
        return ()


def _by(
    family: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    help: str,
    label: str,
    counts: dict[str, int],
) -> Metric:
    metric = family(name, help, labels=[label])
    for value, count in sorted(counts.items()):
        metric.add_metric([value], count)
    return metric


def _probed(probe: Probe) -> Metric:
    family = CounterMetricFamily if probe.grows else GaugeMetricFamily
    value = probe.read()
    if not isinstance(value, dict):
        return family(probe.name, probe.help, value=value)
    metric = family(probe.name, probe.help, labels=[probe.label])
    for label, number in sorted(value.items()):
        metric.add_metric([label], number)
    return metric
