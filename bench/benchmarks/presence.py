"""People come and go."""

from collections.abc import Iterator

from bench.benchmarks.benchmark import Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun

NO_WATCHERS, BASELINE, TWICE_THE_CHANGES, TWICE_THE_WATCHERS = (
    "unwatched",
    "baseline",
    "twice as often",
    "twice the watchers",
)
GROWTH_MAX = 2.2  # double, and what a noisy machine adds


def presence(run: BenchmarkRun) -> Iterator[Measurement]:
    """Processor time; doubled once in changes, once in watchers."""
    users = run.pick_size(5_000, 200)
    watchers = run.pick_size(100, 4)
    once = {"users": users, "watched": 50, "watchers": watchers, "rounds": 1}
    kinds = {
        BASELINE: once,
        TWICE_THE_CHANGES: once | {"rounds": 2},
        TWICE_THE_WATCHERS: once | {"watchers": watchers * 2},
        NO_WATCHERS: once | {"watchers": 0},
    }
    samples = Samples()
    with run.tidings(domain__grace_seconds=0.2) as server:
        for _ in range(run.repetitions):
            for name, work in kinds.items():
                samples.add(name, run.load("presence", server, **work))
    yield Measurement(
        f"presence, {users:,} users come and go, {watchers} watchers of 50 users each",
        "ms of processor time",
        samples.values,
        (Target("≤", GROWTH_MAX, BASELINE, TWICE_THE_CHANGES), Target("≤", GROWTH_MAX, BASELINE, TWICE_THE_WATCHERS)),
        errors=tuple(samples.errors),
        subject=BASELINE,
    )


BENCHMARKS = (
    Benchmark(
        "presence",
        "the cost grows with changes × interested watchers; most of it is connecting itself",
        presence,
    ),
)
