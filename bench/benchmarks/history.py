"""Reading a long log. It is written once, through the store, and kept for later runs."""

from collections.abc import Iterator

from bench import long_log
from bench.benchmarks.benchmark import BARE, TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun
from bench.servers import PEERS

MIB = 1024 * 1024


def log_events(run: BenchmarkRun) -> int:
    """How long the log is."""
    return run.pick_size(1_000_000, 20_000)


def page_latency(run: BenchmarkRun) -> Iterator[Measurement]:
    """The same page at three depths."""
    events = log_events(run)
    depths = {"newest": None, "middle": events // 2, "oldest": 51}
    samples = Samples()
    with run.tidings(long_log.log_directory(events)) as server:
        for _ in range(run.repetitions):
            for name, before in depths.items():
                work = {"room": long_log.ROOM, "before": before, "seconds": run.seconds / 4}
                samples.add(name, run.load("pages", server, **work))
    title = f"history.page of 50 in a room of {events:,} events"
    yield Measurement(
        title, "ms", samples.values, (Target("≤", 1.3, "newest"),), errors=tuple(samples.errors), subject="oldest"
    )


def full_read(run: BenchmarkRun) -> Iterator[Measurement]:
    """All events as a stream."""
    events = log_events(run)
    path = long_log.log_directory(events)
    samples = Samples()
    grown: list[float] = []
    work = {"room": long_log.ROOM, "events": events, "credit": 256}
    for _ in range(run.repetitions):
        # A new service each time, since memory is rarely returned; one page is read before memory is looked at.
        with run.tidings(path) as server:
            run.load("pages", server, room=long_log.ROOM, before=None, seconds=0.1)
            server.reset_peak()
            before = server.resident_bytes()
            samples.add(TIDINGS, run.load("read", server, **work))
            grown.append((server.resident_bytes_max() - before) / MIB)
        with PEERS["bare-history"].running(str(path / "tidings.sqlite")) as bare:
            samples.add(BARE, run.load("read", bare, **work))
    title = f"history.read of {events:,} events, request(256)"
    yield Measurement(title, "events/s", samples.values, (Target("≥", 0.5, BARE),), errors=tuple(samples.errors))
    yield Measurement("history.read, what the service's memory grows by", "MiB", {TIDINGS: grown}, (Target("≤", 32),))


def search_latency(run: BenchmarkRun) -> Iterator[Measurement]:
    """Rare and common words, in two scripts."""
    events = log_events(run)
    with run.tidings(long_log.log_directory(events)) as server:
        for query, kind, ms_max, results_min in (
            (long_log.RARE, "rare, Latin", 20, long_log.RARE_MESSAGES),
            (long_log.RARE_CJK, "rare, Chinese", 20, long_log.RARE_MESSAGES),
            (long_log.COMMON, "common, Latin", 100, 20),
            (long_log.COMMON_CJK, "common, Chinese", 100, 20),
        ):
            samples = Samples()
            for _ in range(run.repetitions):
                work = {"room": long_log.ROOM, "query": query, "results_min": results_min, "seconds": run.seconds / 4}
                samples.add(TIDINGS, run.load("search", server, **work))
            title = f"history.search, one word among {events:,} messages, {kind}"
            yield Measurement(title, "ms", samples.values, (Target("≤", ms_max),), errors=tuple(samples.errors))


BENCHMARKS = (
    Benchmark(
        "history-page",
        "a page costs the same wherever it is in the log",
        page_latency,
    ),
    Benchmark(
        "history-read",
        "the reader grants 256 and then 128 for every 128 that came; every sequence number is checked",
        full_read,
        known_cause="Rows are turned into items and frames in Python while the bare program only copies bytes. Memory "
        "grows by the readers' cache of SQLite (12 MiB), the pages on their way, and the socket's buffers, once.",
    ),
    Benchmark(
        "history-search",
        "median until the first page of results is here",
        search_latency,
    ),
)
