"""chat.send: answered when it is on the disk; and from there to many readers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench import cores
from bench.rows.row import BARE, TIDINGS, Figures, Line, Mark, Row
from bench.run import ROOT, Run, spoken


@contextmanager
def beside_work() -> Iterator[None]:
    """The load's core works while the block runs, as it does under the service (`bench.load.busy`)."""
    with cores.started_on(cores.LOAD):
        process = subprocess.Popen([sys.executable, "-m", "bench.load.busy"], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def bare_disk(**work: object) -> dict[str, Any]:
    """The same by apsw alone, on the server's core."""
    answer: dict[str, Any] = spoken([sys.executable, "-m", "bench.peers.bare_disk", json.dumps(work)], cores.SERVER)
    return answer


def many(run: Run) -> Iterator[Line]:
    """Messages a second, few rooms and many.

    A new service each time, and bare only when it is gone: both begin with an empty log, and the service's index of
    words, which catches up behind a load, takes nothing from the core that bare runs on.
    """
    for rooms in (5, run.sized(500, 50)):
        figures = Figures()
        batches = []
        work = {"connections": 50, "in_flight": 32, "route": "chat.send", "rooms": rooms, "seconds": run.seconds}
        for _ in range(run.times):
            with run.tidings() as server:
                answer = run.load("calls", server, **work)
            figures.add(TIDINGS, answer)
            batches.append(max(2, round(answer["batch"])))
            with beside_work():
                figures.add(BARE, bare_disk(batch=batches[-1], rooms=rooms, seconds=run.seconds))
        yield Line(
            f"chat.send, durable, 50 connections × 32 in flight, {rooms} rooms",
            "messages/s",
            figures.values,
            (Mark("≥", 0.6, BARE),),
            note=f"{figures.processor} Messages in one commit, mean of each run: {', '.join(map(str, batches))}.",
            wrong=tuple(figures.wrong),
        )


def alone(run: Run) -> Iterator[Line]:
    """Time of one."""
    figures = Figures()
    with run.tidings() as server:
        for _ in range(run.times):
            figures.add(TIDINGS, run.load("alone_send", server, seconds=run.seconds / 2))
            figures.add(BARE, bare_disk(batch=1, rooms=1, seconds=run.seconds / 2))
    yield Line("chat.send, durable, one in flight", "ms", figures.values, (Mark("≤", 2, BARE),))


def delivery(run: Run) -> Iterator[Line]:
    """From the moment a message was due until each of 100 readers has it."""
    readers = run.sized(100, 20)
    values: dict[str, list[float]] = {}
    wrong: list[str] = []
    most = []
    with run.tidings() as server:
        for _ in range(run.times):
            answer = run.load("paced", server, readers=readers, seconds=run.seconds)
            most.append(answer["per_second_max"])
            wrong += answer["wrong"]
            for name in ("p50", "p99", "p99.9"):
                values.setdefault(name, []).append(answer[name])
    yield Line(
        f"send → delivered to {readers} readers, open-loop at half of the maximum",
        "ms",
        values,
        (Mark("≤", 10, "p50"),),
        note=f"Messages a second at most, before each run: {', '.join(f'{rate:,.0f}' for rate in most)}.",
        wrong=tuple(wrong),
        subject="p99",
    )


ROWS = (
    Row(
        "send",
        "every message is committed (fsync) before it is answered, with everything between socket and disk; bare "
        "commits the same rows, made beforehand, in batches of the size that the service came to, and does nothing "
        "else, while the other core is as busy as under the service",
        many,
        in_the_way="All of a message's processor time is on one core: about half of it takes the message in (frame, "
        "decoding, permission, pace, the place in line), a fifth answers it, a quarter is the thread's that commits, "
        "the rest are reads and writes of the sockets. It is interpreted code, flat, no line above 5 %; its steps take "
        "half as long one by one in a loop, where the processor's caches hold all they touch. In few rooms bare is at "
        "its fastest, since its rows go to few places of the tree; in many rooms it has the same tree to walk.",
    ),
    Row(
        "send-alone",
        "median of one message at a time beside the median of one commit",
        alone,
        in_the_way="A message changes threads twice, to the one that commits and back.",
    ),
    Row(
        "delivery",
        "messages come at a fixed pace, whatever the service does",
        delivery,
        in_the_way="At half of the maximum a commit that takes ten times as long as most holds everything behind it.",
    ),
)
