"""Large messages, compressed once for all readers: what it saves on the wire, and what it costs."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench.benchmarks.benchmark import BARE, Benchmark, Measurement, Samples, Target
from bench.benchmarks.fanout import self_signed
from bench.run import BenchmarkRun
from bench.servers import PEERS, Server

SHARED, PLAIN, BARE_PLAIN, BARE_PER_READER = "shared", "not compressed", "bare, not compressed", "bare, each by itself"
PER_SECOND = 8  # a bare server that compresses for each of 1,000 readers comes to about ten a second


def compression(run: BenchmarkRun) -> Iterator[Measurement]:
    """English and Chinese prose, and English over TLS."""
    readers, messages = run.pick_size(1_000, 20), run.pick_size(6, 2)
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder, ExitStack() as stack:
        certificate = self_signed(Path(folder))
        service = stack.enter_context(run.tidings())
        encrypted = stack.enter_context(run.tidings(tls__certificate=certificate))
        bare = stack.enter_context(PEERS[BARE].running())
        each = stack.enter_context(PEERS[BARE].running("--deflate"))
        plain_ends = {
            SHARED: (service, True),
            PLAIN: (service, False),
            BARE_PLAIN: (bare, False),
            BARE_PER_READER: (each, True),
        }
        tls_ends = {SHARED: (encrypted, True), PLAIN: (encrypted, False)}
        for title, language, ends, tls in (
            ("English", "english", plain_ends, False),
            ("Chinese", "chinese", {name: plain_ends[name] for name in (SHARED, PLAIN)}, False),
            ("English over TLS", "english", tls_ends, True),
        ):
            work = {"readers": readers, "messages": messages, "per_second": PER_SECOND, "tls": tls}
            yield from lines(run, title, ends, {"language": language, **work})


def lines(
    run: BenchmarkRun, title: str, ends: dict[str, tuple[Server, bool]], work: dict[str, object]
) -> Iterator[Measurement]:
    """Bytes and time of one delivery, turn by turn."""
    sizes, times = Samples(), Samples()
    inflating = 0.0
    for _ in range(run.repetitions):
        for name, (server, deflate) in ends.items():
            answer = run.load("large", server, deflate=deflate, **work)
            sizes.add(name, {"value": answer["bytes"], "errors": answer["errors"]})
            times.add(name, {"value": answer["cpu_us"]})
            inflating = answer["inflating_us"] or inflating
    readers = work["readers"]
    yield Measurement(
        f"{title}, 7.9 KB to {readers:,} readers: on the wire for each",
        "bytes",
        sizes.values,
        (Target("≤", 0.6, PLAIN),),
        note=f"Inflating one message costs its reader {inflating:.0f} µs.",
        errors=tuple(sizes.errors),
        subject=SHARED,
    )
    yield Measurement(
        f"{title}, 7.9 KB to {readers:,} readers: the server's processor time for each",
        "µs",
        times.values,
        (Target("≤", 1.1, PLAIN),),
        subject=SHARED,
    )


BENCHMARKS = (
    Benchmark(
        "compression",
        "large messages at a fixed pace to readers that negotiated permessage-deflate, beside readers that did not, "
        "and beside a bare server that compresses for each reader by itself",
        compression,
        known_cause="Over plain TCP the kernel's copy of 8 KB costs hardly more than of 4 KB, so the processor saves "
        "nothing there; compressing the event itself (about 100 µs) is spread over its readers.",
    ),
)
