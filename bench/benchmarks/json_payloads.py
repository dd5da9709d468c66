"""The same calls with JSON payloads, beside the same service with `google.protobuf.json_format`.

Two lines each: the pace, and what one answer takes of the server's processor time. On two cores the load may need as
much of its own core as the service of the other; then the pace is the load's, and the second line is the one that tells
the two encodings apart.
"""

from collections.abc import Iterator

from bench.benchmarks.benchmark import JSON_FORMAT, TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun


def pings(run: BenchmarkRun) -> Iterator[Measurement]:
    """Answers a second."""
    samples = Samples()
    work = {"connections": 10, "in_flight": 16, "seconds": run.seconds, "route": "session.ping", "json": True}
    with run.servers((TIDINGS, JSON_FORMAT)) as servers:
        for _ in range(run.repetitions):
            for name, server in servers.items():
                samples.add(name, run.load("calls", server, **work))
    title = "session.ping in JSON, 10 connections × 16 in flight"
    yield from _lines(title, "answers/s", samples, times=2)


def sends(run: BenchmarkRun) -> Iterator[Measurement]:
    """Messages a second; a new service each time, so that both begin with an empty log."""
    samples = Samples()
    work = {"connections": 50, "in_flight": 32, "route": "chat.send", "rooms": 5, "seconds": run.seconds, "json": True}
    for _ in range(run.repetitions):
        for name in (TIDINGS, JSON_FORMAT):
            with run.servers((name,)) as servers:
                samples.add(name, run.load("calls", servers[name], **work))
    title = "chat.send in JSON, durable, 50 connections × 32 in flight, 5 rooms"
    yield from _lines(title, "messages/s", samples, times=1.4)


def _lines(title: str, unit: str, samples: Samples, times: float) -> Iterator[Measurement]:
    """So many times the pace, or so many times less of the processor."""
    yield Measurement(title, unit, samples.values, (Target("≥", times, JSON_FORMAT),), errors=tuple(samples.errors))
    if samples.cpu_us.keys() >= {TIDINGS, JSON_FORMAT}:  # not where the kernel does not tell it
        less = Target("≤", round(1 / times, 2), JSON_FORMAT)
        yield Measurement(f"{title}: processor time of the server for each", "µs", samples.cpu_us, (less,))


BENCHMARKS = (
    Benchmark(
        "json-ping",
        "as ping, each request and each answer an empty JSON object",
        pings,
        known_cause=(
            "the load, which reads and writes the same frames and has one core as the service has: it takes all of it. "
            "The line about processor time is not limited so."
        ),
    ),
    Benchmark(
        "json-send",
        "as send, with JSON requests and answers",
        sends,
        known_cause=(
            "the store, whose thread does the same for both and takes turns with the event loop for the interpreter's "
            "lock, and the load. The line about processor time is not limited so."
        ),
    ),
)
