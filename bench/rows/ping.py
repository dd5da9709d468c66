"""session.ping: there and back, with routing, identity and permission, and nothing else."""

from collections.abc import Iterator

from bench.rows.row import BARE, RSOCKET_JS, RSOCKET_PY, TIDINGS, Figures, Line, Mark, Row
from bench.run import Run


def many(run: Run) -> Iterator[Line]:
    """Answers a second."""
    figures = Figures()
    with run.servers((TIDINGS, RSOCKET_PY, RSOCKET_JS, BARE)) as servers:
        for _ in range(run.times):
            for name, server in servers.items():
                work = {"connections": 10, "in_flight": 16, "seconds": run.seconds, "route": "session.ping"}
                figures.add(name, run.load("calls", server, **work))
    marks = (Mark("≥", 10, RSOCKET_PY), Mark("≥", 2, RSOCKET_JS))
    title = "session.ping, 10 connections × 16 in flight"
    yield Line(title, "answers/s", figures.values, marks, figures.processor, wrong=tuple(figures.wrong))


def alone(run: Run) -> Iterator[Line]:
    """Time of one."""
    with run.servers((TIDINGS, BARE)) as servers:
        for transport, spoken in (("tcp", "TCP"), ("ws", "WebSocket")):
            figures = Figures()
            for _ in range(run.times):
                for name, server in servers.items():
                    figures.add(name, run.load("alone", server, transport=transport, seconds=run.seconds / 2))
            yield Line(f"session.ping, one in flight, {spoken}", "µs", figures.values, (Mark("≤", 1.5, BARE),))


ROWS = (
    Row(
        "ping",
        "each answer asks the next question",
        many,
        in_the_way="Of about 5 µs of processor time for each answer, 2.6 are the interpreter's (unmasking, the frame's "
        "header, the route, the permission, the answer's frame), the rest is the kernel's and the loop's for reads "
        "and writes that carry a few requests each. The next step would be compiled code.",
    ),
    Row(
        "ping-alone",
        "median of one request at a time from a blocking socket",
        alone,
        in_the_way="Answers take about 120 or about 340 µs on this machine, for minutes at a time and for the bare "
        "program as well (100 or 300); why is not known. Where both are in the same state the ratio is 1.2.",
    ),
)
