"""Fan-out: one message to all readers of a room. Every load checks that each reader got everything once, in order."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.benchmarks.benchmark import BARE, RSOCKET_JS, RSOCKET_PY, TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import BenchmarkRun
from bench.servers import PEERS, Server

ALL_SERVERS = (TIDINGS, RSOCKET_PY, RSOCKET_JS, BARE)
UNIT = "deliveries/s"


def one_room_bursts(run: BenchmarkRun) -> Iterator[Measurement]:
    """One room, bursts of 10."""
    readers = run.pick_size(1_000, 50)
    yield compare_servers(
        run,
        f"fan-out, 1 room, {readers:,} readers, bursts of 10",
        ALL_SERVERS,
        (Target("≥", 20, RSOCKET_PY), Target("≥", 7, RSOCKET_JS), Target("≥", 0.6, BARE)),
        readers=readers,
        burst=10,
    )


def one_room_single(run: BenchmarkRun) -> Iterator[Measurement]:
    """One room, one message at a time."""
    readers = run.pick_size(1_000, 50)
    title = f"fan-out, 1 room, {readers:,} readers, one message at a time"
    names = (TIDINGS, BARE) if run.quick else ALL_SERVERS
    yield compare_servers(run, title, names, (Target("≥", 0.8, BARE),), readers=readers, burst=1)


def many_rooms(run: BenchmarkRun) -> Iterator[Measurement]:
    """Many small rooms."""
    rooms = run.pick_size(1_000, 20)
    title = f"fan-out, {rooms:,} rooms of 10 readers, sends spread"
    yield compare_servers(run, title, (TIDINGS, BARE), (Target("≥", 0.5, BARE),), readers=10, rooms=rooms)


def compare_servers(
    run: BenchmarkRun, title: str, names: tuple[str, ...], targets: tuple[Target, ...], **work: int
) -> Measurement:
    """The same work for each server, turn by turn."""
    samples = Samples()
    with run.servers(names) as servers:
        for _ in range(run.repetitions):
            for name, server in servers.items():
                samples.add(name, run.load("fanout", server, seconds=run.seconds, **work))
    return Measurement(title, UNIT, samples.values, targets, samples.processor_note, errors=tuple(samples.errors))


def stalled_reader(run: BenchmarkRun) -> Iterator[Measurement]:
    """One reader that takes nothing."""
    readers = run.pick_size(1_000, 50)
    work = {"readers": readers - 1, "burst": 10, "seconds": run.seconds}
    samples = Samples()
    with run.tidings() as server:
        for _ in range(run.repetitions):
            samples.add("all read", run.load("fanout", server, **work))
            samples.add("one stopped", run.load("fanout", server, stopped=1, **work))
    title = f"fan-out, one stopped reader among {readers:,}: what the others get"
    yield Measurement(
        title,
        UNIT,
        samples.values,
        (Target("≥", 0.95, "all read"),),
        samples.processor_note,
        errors=tuple(samples.errors),
        subject="one stopped",
    )


def over_tls(run: BenchmarkRun) -> Iterator[Measurement]:
    """TLS beside plain."""
    readers = run.pick_size(1_000, 50)
    work = {"readers": readers, "burst": 10, "seconds": run.seconds}
    samples = Samples()
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder, ExitStack() as stack:
        certificate = self_signed(Path(folder))
        servers: dict[str, tuple[Server, bool]] = {
            "TLS": (stack.enter_context(run.tidings(tls__certificate=certificate)), True),
            "plain": (stack.enter_context(run.tidings()), False),
            "bare TLS": (stack.enter_context(PEERS[BARE].running("--tls", str(certificate))), True),
        }
        for _ in range(run.repetitions):
            for name, (server, tls) in servers.items():
                samples.add(name, run.load("fanout", server, tls=tls, **work))
    title = f"fan-out over TLS, 1 room, {readers:,} readers, bursts of 10"
    yield Measurement(title, UNIT, samples.values, (), samples.processor_note, tuple(samples.errors), subject="TLS")


def self_signed(folder: Path) -> Path:
    """A certificate with its key, both in one file."""
    path = folder / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "1", "-subj", "/CN=localhost", "-keyout", str(path), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    with path.open("ab") as both:
        both.write((folder / "certificate.pem").read_bytes())
    return path


BENCHMARKS = (
    Benchmark(
        "fanout",
        "bursts of 10 to one room; the next burst begins when the last one has reached all readers",
        one_room_bursts,
        known_cause="The kernel's write to each socket, which the bare program pays as well, is more than half of a "
        "delivery's processor time; and each burst waits for its commit, which no peer does.",
    ),
    Benchmark(
        "fanout-single",
        "the same with single messages: the kernel's time for each write is most of it",
        one_room_single,
        known_cause="Of 13 to 16 µs of processor time for each delivery, 10 to 12 are the kernel's and the loop's for "
        "one write of one small packet, as for the bare program. The rest is the walk over the readers (cursor, "
        "credit, connection, transport), which takes 1.2 µs where everything is in the processor's caches; that a "
        "thousand readers do not fit there is the likely reason for the other 2, but this machine has no counters to "
        "show it. And between two messages the core rests for 2 of 17 ms (the commit, two changes of threads, the "
        "client), bare for 1 of 12.",
    ),
    Benchmark(
        "fanout-rooms",
        "messages go to 50 rooms at a time, one to each",
        many_rooms,
        known_cause="A message has ten readers here, so that what `send` measures (taking it in, its part of a "
        "commit, the answer) weighs as much as its deliveries do; the bare program takes it in with a copy.",
    ),
    Benchmark(
        "fanout-stopped",
        "a reader with full credit and a full socket must not slow down the other readers",
        stalled_reader,
    ),
    Benchmark("fanout-tls", "the same work as `fanout`, encrypted", over_tls),
)
