"""The same work at a tenth and at ten times its size, where the machine allows: curves, whose slopes tell more."""

from collections.abc import Iterator

from bench import log
from bench.rows.fanout import UNIT
from bench.rows.row import BARE, TIDINGS, Figures, Line, Row
from bench.run import Run

TIMES_MAX = 3  # a curve shows a direction; three runs of each point are enough


def fanout(run: Run) -> Iterator[Line]:
    """Readers of one room."""
    for readers in (10,) if run.quick else (100, 1_000, 8_000):
        figures = Figures()
        with run.servers((TIDINGS, BARE)) as servers:
            for _ in range(min(run.times, TIMES_MAX)):
                for name, server in servers.items():
                    work = {"readers": readers, "burst": 10, "seconds": run.seconds}
                    figures.add(name, run.load("fanout", server, **work))
        yield Line(f"{readers:,} readers", UNIT, figures.values, wrong=tuple(figures.wrong), size=readers)


def send(run: Run) -> Iterator[Line]:
    """Connections that send."""
    for connections in (5,) if run.quick else (5, 50, 500):
        figures = Figures()
        with run.tidings() as server:
            for _ in range(min(run.times, TIMES_MAX)):
                work = {"connections": connections, "in_flight": 32, "rooms": 5, "seconds": run.seconds}
                figures.add(TIDINGS, run.load("calls", server, route="chat.send", **work))
        title = f"{connections} connections × 32 in flight"
        yield Line(title, "messages/s", figures.values, wrong=tuple(figures.wrong), size=connections)


def page(run: Run) -> Iterator[Line]:
    """Events in the room."""
    for events in (20_000,) if run.quick else (10_000, 100_000, 1_000_000):
        figures = Figures()
        with run.tidings(log.folder(events)) as server:
            for _ in range(min(run.times, TIMES_MAX)):
                work = {"room": log.ROOM, "before": 51, "seconds": run.seconds / 4}
                figures.add(TIDINGS, run.load("pages", server, **work))
        yield Line(f"{events:,} events", "ms", figures.values, wrong=tuple(figures.wrong), size=events)


def idle(run: Run) -> Iterator[Line]:
    """Connections at rest."""
    for connections in (50,) if run.quick else (1_000, 10_000, 17_000):
        figures = Figures()
        for _ in range(min(run.times, TIMES_MAX)):
            with run.tidings() as server:
                figures.add(TIDINGS, run.load("idle", server, connections=connections))
        yield Line(f"{connections:,} connections", "KiB each", figures.values, size=connections)


def reconnect(run: Run) -> Iterator[Line]:
    """Clients that come back."""
    for clients in (50,) if run.quick else (500, 5_000, 15_000):
        figures = Figures()
        for _ in range(min(run.times, TIMES_MAX)):
            with run.tidings() as server:
                figures.add(TIDINGS, run.load("reconnect", server, clients=clients, missed=20))
        yield Line(f"{clients:,} clients", "s", figures.values, wrong=tuple(figures.wrong), size=clients)


ROWS = (
    Row("scale-fanout", "fan-out in bursts of 10 over the readers of one room", fanout, curve=True),
    Row("scale-send", "chat.send, durable, over connections with 32 in flight, 5 rooms", send, curve=True),
    Row("scale-page", "history.page of the 50 oldest events over the length of the log", page, curve=True),
    Row("scale-idle", "memory of idle, subscribed connections over their number", idle, curve=True),
    Row(
        "scale-reconnect", "reconnecting at once, until all are live, over the number of clients", reconnect, curve=True
    ),
)
