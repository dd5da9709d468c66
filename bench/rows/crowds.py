"""Very many connections."""

from collections.abc import Iterator

from bench.rows.row import TIDINGS, Figures, Line, Mark, Row
from bench.run import Run


def idle(run: Run) -> Iterator[Line]:
    """Memory; a new service each time, since memory is seldom given back."""
    connections = run.sized(10_000, 500)
    figures = Figures()
    for _ in range(run.times):
        with run.tidings() as server:
            figures.add(TIDINGS, run.load("idle", server, connections=connections))
    title = f"memory of each of {connections:,} idle, subscribed connections"
    yield Line(title, "KiB", figures.values, (Mark("≤", 12),))


def reconnect(run: Run) -> Iterator[Line]:
    """Everybody at once."""
    clients = run.sized(5_000, 200)
    figures = Figures()
    for _ in range(run.times):
        with run.tidings() as server:
            figures.add(TIDINGS, run.load("reconnect", server, clients=clients, missed=20))
    title = f"{clients:,} clients reconnect at once and resume: until all are live"
    yield Line(title, "s", figures.values, (Mark("≤", 5),), wrong=tuple(figures.wrong))


ROWS = (
    Row(
        "idle",
        "growth of the service's resident memory, divided by the connections",
        idle,
    ),
    Row(
        "reconnect",
        "rooms of 100 readers; each has missed 20 messages and must get them once, in order",
        reconnect,
        in_the_way="Accepting, the handshake, SETUP and the first watch take about 0.3 ms of processor time each, and "
        "one core does all of them.",
    ),
)
