"""Very many connections."""

from collections.abc import Iterator

from bench.benchmarks.benchmark import TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun


def idle(run: BenchmarkRun) -> Iterator[Measurement]:
    """Memory; a new service each time, since memory is rarely returned."""
    connections = run.pick_size(10_000, 500)
    samples = Samples()
    for _ in range(run.repetitions):
        with run.tidings() as server:
            samples.add(TIDINGS, run.load("idle", server, connections=connections))
    title = f"memory of each of {connections:,} idle, subscribed connections"
    yield Measurement(title, "KiB", samples.values, (Target("≤", 12),))


def reconnect(run: BenchmarkRun) -> Iterator[Measurement]:
    """All clients at once."""
    clients = run.pick_size(5_000, 200)
    samples = Samples()
    for _ in range(run.repetitions):
        with run.tidings() as server:
            samples.add(TIDINGS, run.load("reconnect", server, clients=clients, missed=20))
    title = f"{clients:,} clients reconnect at once and resume: until all are live"
    yield Measurement(title, "s", samples.values, (Target("≤", 5),), errors=tuple(samples.errors))


BENCHMARKS = (
    Benchmark(
        "idle",
        "growth of the service's resident memory, divided by the connections",
        idle,
    ),
    Benchmark(
        "reconnect",
        "rooms of 100 readers; each has missed 20 messages and must get them once, in order",
        reconnect,
        known_cause="Accepting, the handshake, SETUP and the first watch take about 0.3 ms of processor time each, and "
        "one core does all of them.",
    ),
)
