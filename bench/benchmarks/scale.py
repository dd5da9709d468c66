"""The same work at a tenth and at ten times its size, where the machine allows: curves, whose slopes tell more.

Fewer and shorter loads than in the rows themselves, since a curve shows a direction. Where ten times does not fit (a
process has about 20,000 sockets here), the last point is what fits.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench import long_log
from bench.benchmarks.benchmark import BARE, TIDINGS, Benchmark, Measurement, Samples
from bench.benchmarks.fanout import UNIT
from bench.run import BenchmarkRun
from bench.servers import Server

SECONDS = 0.6
RARE, COMMON = "rare word", "common word"
Loads = Mapping[str, tuple[str, dict[str, object]]]  # figure → scenario and its parameters


@dataclass(frozen=True, slots=True)
class Curve:
    """A row of `scale-*`. `works` yields the loads of one size, each with its duration where it has one."""

    name: str
    description: str
    title: str  # of one size
    unit: str
    sizes: tuple[int, ...]
    quick: int  # the only size in the smoke run
    loads: Callable[[int, float], Loads]
    repetitions_max: int = 3
    restarts_service: bool = False  # a new service for each load, where the last one would be remembered
    data: Callable[[int], Path] | None = None  # the service's data for a size
    settings: tuple[tuple[str, object], ...] = ()
    key: str = "value"

    def measure(self, run: BenchmarkRun) -> Iterator[Measurement]:
        """One line for each size."""
        for size in (self.quick,) if run.quick else self.sizes:
            works = self.loads(size, run.seconds if run.quick else SECONDS)
            samples = Samples()
            with ExitStack() as stack:
                kept = None if self.restarts_service else stack.enter_context(self._service(run, size))
                bare = stack.enter_context(run.servers((BARE,)))[BARE] if BARE in works else None
                for _ in range(min(run.repetitions, self.repetitions_max)):
                    for name, (scenario, parameters) in works.items():
                        with self._service(run, size) if kept is None else nullcontext(kept) as service:
                            server = bare if name == BARE else service
                            samples.add(name, run.load(scenario, server, **parameters), self.key)
            title = self.title.format(size)
            subject = next(iter(works))
            yield Measurement(
                title, self.unit, samples.values, errors=tuple(samples.errors), size=size, subject=subject
            )

    def _service(self, run: BenchmarkRun, size: int) -> AbstractContextManager[Server]:
        return run.tidings(self.data(size) if self.data else None, **dict(self.settings))

    @property
    def benchmark(self) -> Benchmark:
        """As the table wants it."""
        return Benchmark(self.name, self.description, self.measure, is_curve=True)


def fanout(readers: int, seconds: float) -> Loads:
    """One room; the peer that does nothing else beside it."""
    work: dict[str, object] = {"readers": readers, "burst": 10, "seconds": seconds}
    return {TIDINGS: ("fanout", work), BARE: ("fanout", work)}


def single(readers: int, seconds: float) -> Loads:
    """One message at a time."""
    return {TIDINGS: ("fanout", {"readers": readers, "burst": 1, "seconds": seconds})}


def rooms(count: int, seconds: float) -> Loads:
    """Rooms of ten."""
    return {TIDINGS: ("fanout", {"readers": 10, "rooms": count, "seconds": seconds})}


def stopped(readers: int, seconds: float) -> Loads:
    """With one that takes nothing, and without."""
    work: dict[str, object] = {"readers": readers - 1, "burst": 10, "seconds": seconds}
    return {"one stopped": ("fanout", work | {"stopped": 1}), "all read": ("fanout", work)}


def ping(connections: int, seconds: float) -> Loads:
    """Sixteen in flight on each."""
    work = {"connections": connections, "in_flight": 16, "seconds": seconds, "route": "session.ping"}
    return {TIDINGS: ("calls", work), BARE: ("calls", work)}


def in_flight(count: int, seconds: float) -> Loads:
    """On each of ten connections."""
    work = {"connections": 10, "in_flight": count, "seconds": seconds, "route": "session.ping"}
    return {TIDINGS: ("calls", work), BARE: ("calls", work)}


def send(connections: int, seconds: float) -> Loads:
    """Thirty-two in flight on each, five rooms."""
    work = {"connections": connections, "in_flight": 32, "rooms": 5, "seconds": seconds, "route": "chat.send"}
    return {TIDINGS: ("calls", work)}


def send_rooms(count: int, seconds: float) -> Loads:
    """Fifty connections."""
    work = {"connections": 50, "in_flight": 32, "rooms": count, "seconds": seconds, "route": "chat.send"}
    return {TIDINGS: ("calls", work)}


def page(events: int, seconds: float) -> Loads:
    """The oldest one."""
    return {TIDINGS: ("pages", {"room": long_log.ROOM, "before": 51, "seconds": seconds / 2})}


def read(events: int, seconds: float) -> Loads:
    """All of it."""
    return {TIDINGS: ("read", {"room": long_log.ROOM, "events": events, "credit": 256})}


def search(events: int, seconds: float) -> Loads:
    """A word of five messages, and one of every sixth."""
    return {
        name: ("search", {"room": long_log.ROOM, "query": word, "results_min": 1, "seconds": seconds / 2})
        for name, word in ((RARE, long_log.RARE), (COMMON, long_log.COMMON))
    }


def presence(users: int, seconds: float) -> Loads:
    """A fiftieth as many watchers, of fifty users each."""
    watchers = max(2, users // 50)
    return {TIDINGS: ("presence", {"users": users, "watched": 50, "watchers": watchers, "rounds": 1})}


def start(run: BenchmarkRun) -> Iterator[Measurement]:
    """Over the length of the log: what was written is not read."""
    for events in (20_000,) if run.quick else (10_000, 100_000, 1_000_000):
        samples = Samples()
        for _ in range(min(run.repetitions, 3)):
            with run.tidings(long_log.log_directory(events)) as server:
                samples.add(TIDINGS, {"value": server.started_seconds})
        yield Measurement(f"{events:,} events", "s", samples.values, size=events)


READERS, LOGS = (100, 1_000, 8_000), (10_000, 100_000, 1_000_000)
BENCHMARKS = (
    Curve(
        "scale-fanout",
        "fan-out in bursts of 10 over the readers of one room",
        *("{:,} readers", UNIT, READERS, 10, fanout),
        repetitions_max=2,
    ).benchmark,
    Curve(
        "scale-single",
        "fan-out, one message at a time, over the readers of one room",
        *("{:,} readers", UNIT, READERS, 10, single),
        repetitions_max=1,
    ).benchmark,
    Curve(
        "scale-rooms",
        "fan-out, sends spread, over rooms of 10 readers",
        *("{:,} rooms", UNIT, (100, 1_000, 1_600), 2, rooms),
        repetitions_max=1,
    ).benchmark,
    Curve(
        "scale-stopped",
        "fan-out with one stopped reader and without, over the readers of one room",
        *("{:,} readers", UNIT, READERS, 10, stopped),
        repetitions_max=2,
    ).benchmark,
    Curve(
        "scale-ping",
        "session.ping, 16 in flight on each, over connections",
        *("{:,} connections", "answers/s", (1, 10, 100), 2, ping),
    ).benchmark,
    Curve(
        "scale-in-flight",
        "session.ping, 10 connections, over what is in flight on each",
        *("{:,} in flight on each", "answers/s", (2, 16, 160), 2, in_flight),
    ).benchmark,
    Curve(
        "scale-send",
        "chat.send, durable, 32 in flight on each, 5 rooms, over connections",
        *("{:,} connections", "messages/s", (5, 50, 500), 5, send),
    ).benchmark,
    Curve(
        "scale-send-rooms",
        "chat.send, durable, 50 connections × 32 in flight, over rooms",
        *("{:,} rooms", "messages/s", (5, 50, 500, 5_000), 5, send_rooms),
    ).benchmark,
    Curve(
        "scale-delivery",
        "send → delivered at half of the maximum, p99, over the readers of the room",
        *("{:,} readers", "ms", (10, 100, 1_000), 5, lambda n, s: {"p99": ("paced", {"readers": n, "seconds": s})}),
        key="p99",
    ).benchmark,
    Curve(
        "scale-page",
        "history.page of the 50 oldest events over the length of the log",
        *("{:,} events", "ms", LOGS, 20_000, page),
        data=long_log.log_directory,
    ).benchmark,
    Curve(
        "scale-read",
        "history.read of the whole log over its length",
        *("{:,} events", "events/s", LOGS, 20_000, read),
        repetitions_max=1,
        data=long_log.log_directory,
    ).benchmark,
    Curve(
        "scale-search",
        "history.search until the first page of results, over the messages searched",
        *("{:,} messages", "ms", LOGS, 20_000, search),
        data=long_log.log_directory,
    ).benchmark,
    Curve(
        "scale-idle",
        "memory of idle, subscribed connections over their number",
        *("{:,} connections", "KiB each", (1_000, 10_000, 17_000), 50),
        lambda n, _: {TIDINGS: ("idle", {"connections": n})},
        repetitions_max=1,
        restarts_service=True,
    ).benchmark,
    Curve(
        "scale-reconnect",
        "reconnecting at once, until all are live, over the number of clients",
        *("{:,} clients", "s", (500, 5_000, 15_000), 50),
        lambda n, _: {TIDINGS: ("reconnect", {"clients": n, "missed": 20})},
        repetitions_max=1,
        restarts_service=True,
    ).benchmark,
    Curve(
        "scale-presence",
        "users come and go, a watcher of 50 for every 50 of them, over their number",
        *("{:,} users", "ms of processor time", (500, 5_000, 15_000), 100, presence),
        repetitions_max=1,
        settings=(("domain__grace_seconds", 0.2),),
    ).benchmark,
    Benchmark("scale-start", "start to listening over the length of the log in the data folder", start, is_curve=True),
)
