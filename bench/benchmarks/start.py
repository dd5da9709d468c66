"""Starting."""

from collections.abc import Iterator

from bench.benchmarks.benchmark import BARE, TIDINGS, Benchmark, Measurement, Target
from bench.run import BenchmarkRun


def start(run: BenchmarkRun) -> Iterator[Measurement]:
    """From the command to listening; the first one warms the disk's cache and is not counted."""
    values: dict[str, list[float]] = {TIDINGS: [], BARE: []}
    for number in range(run.repetitions + 1):
        with run.servers((TIDINGS, BARE)) as servers:
            for name, server in servers.items():
                if number:
                    values[name].append(server.started_seconds)
    yield Measurement("start to listening, warm", "s", values, (Target("≤", 0.7),))


BENCHMARKS = (
    Benchmark(
        "start",
        "a new data folder each time; bare is a listening Python program with uvloop and Protobuf",
        start,
        known_cause="Most of it is imports; the largest is typer's, 0.2 s.",
    ),
)
