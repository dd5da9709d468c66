"""The counts of a service in Prometheus' text format.

Imported when somebody asks: the library is a twentieth of a start, and nobody may ever ask.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tidings.metrics.registry import CallbackMetric, Metrics


def render(metrics: Metrics) -> bytes:
    """Everything, now."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_MetricsCollector(metrics))
    return generate_latest(registry)


class _MetricsCollector(Collector):
    """What prometheus_client wants to see: somebody with `collect`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return _collect_families(self._metrics)

    def describe(self) -> Iterable[Metric]:
        return ()


def _collect_families(metrics: Metrics) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "tidings_start_time_seconds", "When the process started, Unix seconds.", value=metrics.started_at
    )
    yield _labelled_family(
        CounterMetricFamily,
        "tidings_connections_opened",
        "Connections that were let in since the start, by transport.",
        "transport",
        metrics.connections_opened,
    )
    yield _labelled_family(
        CounterMetricFamily,
        "tidings_connections_refused",
        "Connections that were turned away, by reason: a limit, the Origin, the head, the SETUP, the credentials.",
        "reason",
        metrics.connections_refused,
    )
    yield _labelled_family(
        CounterMetricFamily,
        "tidings_connections_closed",
        "Connections that the service ended though the peer was there, by reason: stalled, or the error's name.",
        "reason",
        metrics.connections_closed,
    )
    yield _labelled_family(
        CounterMetricFamily,
        "tidings_http_responses",
        "Answers to HTTP requests, by status.",
        "status",
        metrics.http_responses,
    )
    yield CounterMetricFamily(
        "tidings_bytes_in", "Bytes of RSocket connections, received, envelopes included.", value=metrics.bytes_in
    )
    yield CounterMetricFamily(
        "tidings_bytes_out", "Bytes of RSocket connections, written, envelopes included.", value=metrics.bytes_out
    )
    requests = CounterMetricFamily(
        "tidings_requests",
        "Requests that came to an end, by route and outcome: ok, cancelled, or the name of the error.",
        labels=["route", "outcome"],
    )
    for route, outcomes in metrics.by_route.items():
        requests.add_metric([route, "ok"], outcomes.ok)
        for outcome, count in outcomes.errors.items():
            requests.add_metric([route, outcome], count)
    yield requests
    yield HistogramMetricFamily(
        "tidings_commit_seconds",
        "How long a transaction took, until it was durable.",
        buckets=metrics.commit_latency.cumulative(),
        sum_value=metrics.commit_latency.sum_seconds,
    )
    yield GaugeMetricFamily(
        "tidings_loop_lag_seconds", "How late the event loop was when last measured.", value=metrics.loop_lag_seconds
    )
    yield GaugeMetricFamily(
        "tidings_loop_lag_seconds_max",
        "How late the event loop was at worst since the start.",
        value=metrics.loop_lag_seconds_max,
    )
    for probe in metrics.callbacks.values():
        yield _callback_family(probe)


def _labelled_family(
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


def _callback_family(probe: CallbackMetric) -> Metric:
    family = CounterMetricFamily if probe.is_counter else GaugeMetricFamily
    value = probe.read()
    if not isinstance(value, dict):
        return family(probe.name, probe.help, value=value)
    metric = family(probe.name, probe.help, labels=[probe.label])
    for label, number in sorted(value.items()):
        metric.add_metric([label], number)
    return metric
