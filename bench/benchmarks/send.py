"""chat.send: acknowledged when it is on the disk; and delivery to many readers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import cores
from bench.benchmarks.benchmark import BARE, TIDINGS, Benchmark, Measurement, Samples, Target
from bench.run import ROOT, BenchmarkRun, run_json


@contextmanager
def with_busy_load_core() -> Iterator[None]:
    """The load's core works while the block runs, as it does under the service (`bench.load.burn_cpu`)."""
    with cores.pinned_to(cores.LOAD_CORE):
        process = subprocess.Popen([sys.executable, "-m", "bench.load.burn_cpu"], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def bare_disk(**work: object) -> dict[str, Any]:
    """The same by apsw alone, on the server's core."""
    answer: dict[str, Any] = run_json(
        [sys.executable, "-m", "bench.peers.bare_disk", json.dumps(work)], cores.SERVER_CORE
    )
    return answer


def throughput(run: BenchmarkRun) -> Iterator[Measurement]:
    """Messages a second, few rooms and many.

    A new service each time, and bare only when it is gone: both begin with an empty log, and the service's index of
    words, which catches up behind a load, takes nothing from the core that bare runs on.
    """
    for rooms in (5, run.pick_size(500, 50)):
        samples = Samples()
        batches = []
        work = {"connections": 50, "in_flight": 32, "route": "chat.send", "rooms": rooms, "seconds": run.seconds}
        for _ in range(run.repetitions):
            with run.tidings() as server:
                answer = run.load("calls", server, **work)
            samples.add(TIDINGS, answer)
            batches.append(max(2, round(answer["batch"])))
            with with_busy_load_core():
                samples.add(BARE, bare_disk(batch=batches[-1], rooms=rooms, seconds=run.seconds))
        yield Measurement(
            f"chat.send, durable, 50 connections × 32 in flight, {rooms} rooms",
            "messages/s",
            samples.values,
            (Target("≥", 0.6, BARE),),
            note=f"{samples.processor_note} Messages in one commit, mean of each run: {', '.join(map(str, batches))}.",
            errors=tuple(samples.errors),
        )


def latency(run: BenchmarkRun) -> Iterator[Measurement]:
    """Time of one."""
    samples = Samples()
    with run.tidings() as server:
        for _ in range(run.repetitions):
            samples.add(TIDINGS, run.load("sequential_sends", server, seconds=run.seconds / 2))
            samples.add(BARE, bare_disk(batch=1, rooms=1, seconds=run.seconds / 2))
    yield Measurement("chat.send, durable, one in flight", "ms", samples.values, (Target("≤", 2, BARE),))


def delivery(run: BenchmarkRun) -> Iterator[Measurement]:
    """From the moment a message was due until each of 100 readers has it."""
    readers = run.pick_size(100, 20)
    values: dict[str, list[float]] = {}
    wrong: list[str] = []
    most = []
    with run.tidings() as server:
        for _ in range(run.repetitions):
            answer = run.load("paced", server, readers=readers, seconds=run.seconds)
            most.append(answer["per_second_max"])
            wrong += answer["errors"]
            for name in ("p50", "p99", "p99.9"):
                values.setdefault(name, []).append(answer[name])
    yield Measurement(
        f"send → delivered to {readers} readers, open-loop at half of the maximum",
        "ms",
        values,
        (Target("≤", 10, "p50"),),
        note=f"Messages a second at most, before each run: {', '.join(f'{rate:,.0f}' for rate in most)}.",
        errors=tuple(wrong),
        subject="p99",
    )


BENCHMARKS = (
    Benchmark(
        "send",
        "every message is committed (fsync) before it is acknowledged, with everything between socket and disk; bare "
        "commits the same rows, made beforehand, in batches of the size that the service came to, and does nothing "
        "else, while the other core is as busy as under the service",
        throughput,
        known_cause="All of a message's processor time is on one core: about half of it takes the message in (frame, "
        "decoding, permission, pace, the place in line), a fifth answers it, a quarter is the thread's that commits, "
        "the rest are reads and writes of the sockets. It is interpreted code, flat, no line above 5 %; its steps take "
        "half as long one by one in a loop, where the processor's caches hold all they touch. In few rooms bare is at "
        "its fastest, since its rows go to few places of the tree; in many rooms it has the same tree to walk.",
    ),
    Benchmark(
        "send-alone",
        "median of one message at a time beside the median of one commit",
        latency,
        known_cause="A message changes threads twice, to the one that commits and back.",
    ),
    Benchmark(
        "delivery",
        "messages come at a fixed pace, whatever the service does",
        delivery,
        known_cause="At half of the maximum a commit that takes ten times as long as most holds everything behind it.",
    ),
)
