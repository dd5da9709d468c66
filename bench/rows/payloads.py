"""The same calls with JSON payloads, beside the same service with `google.protobuf.json_format`."""

from collections.abc import Iterator

from bench.rows.row import JSON_FORMAT, TIDINGS, Figures, Line, Mark, Row
from bench.run import Run


def pings(run: Run) -> Iterator[Line]:
    """Answers a second."""
    figures = Figures()
    work = {"connections": 10, "in_flight": 16, "seconds": run.seconds, "route": "session.ping", "json": True}
    with run.servers((TIDINGS, JSON_FORMAT)) as servers:
        for _ in range(run.times):
            for name, server in servers.items():
                figures.add(name, run.load("calls", server, **work))
    title = "session.ping in JSON, 10 connections × 16 in flight"
    yield _line(title, "answers/s", figures, Mark("≥", 2, JSON_FORMAT))


def sends(run: Run) -> Iterator[Line]:
    """Messages a second; a new service each time, so that both begin with an empty log."""
    figures = Figures()
    work = {"connections": 50, "in_flight": 32, "route": "chat.send", "rooms": 5, "seconds": run.seconds, "json": True}
    for _ in range(run.times):
        for name in (TIDINGS, JSON_FORMAT):
            with run.servers((name,)) as servers:
                figures.add(name, run.load("calls", servers[name], **work))
    title = "chat.send in JSON, durable, 50 connections × 32 in flight, 5 rooms"
    yield _line(title, "messages/s", figures, Mark("≥", 1.4, JSON_FORMAT))


def _line(title: str, unit: str, figures: Figures, mark: Mark) -> Line:
    return Line(title, unit, figures.values, (mark,), figures.processor, wrong=tuple(figures.wrong))


ROWS = (
    Row("json-ping", "as ping, each request and each answer an empty JSON object", pings),
    Row("json-send", "as send, with JSON requests and answers", sends),
)
