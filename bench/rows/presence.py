"""People come and go."""

from collections.abc import Iterator

from bench.rows.row import Figures, Line, Mark, Row
from bench.run import Run

NOBODY, ONCE, OFTEN, WATCHED = "unwatched", "baseline", "twice as often", "twice the watchers"
GROWTH = 2.2  # double, and what a noisy machine adds


def presence(run: Run) -> Iterator[Line]:
    """Processor time; doubled once in changes, once in watchers."""
    users = run.sized(5_000, 200)
    watchers = run.sized(100, 4)
    once = {"users": users, "watched": 50, "watchers": watchers, "rounds": 1}
    kinds = {
        ONCE: once,
        OFTEN: once | {"rounds": 2},
        WATCHED: once | {"watchers": watchers * 2},
        NOBODY: once | {"watchers": 0},
    }
    figures = Figures()
    with run.tidings(domain__grace_seconds=0.2) as server:
        for _ in range(run.times):
            for name, work in kinds.items():
                figures.add(name, run.load("presence", server, **work))
    yield Line(
        f"presence, {users:,} users come and go, {watchers} watchers of 50 users each",
        "ms of processor time",
        figures.values,
        (Mark("≤", GROWTH, ONCE, OFTEN), Mark("≤", GROWTH, ONCE, WATCHED)),
        wrong=tuple(figures.wrong),
        subject=ONCE,
    )


ROWS = (
    Row(
        "presence",
        "the cost grows with changes × interested watchers; most of it is connecting itself",
        presence,
    ),
)
