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
            ports = {name: server.tcp_port if transport == "tcp" else server.port for name, server in servers.items()}
            figures = Figures()
            for _ in range(run.times):
                answer = run.load("alone", None, ports=ports, transport=transport, seconds=run.seconds)
                for name in ports:
                    figures.add(name, answer, key=name)
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
        "median of one request at a time from a blocking socket, each server asked once before the next round, since "
        "this machine answers in 100 or in 300 µs for minutes at a time, whoever is asked",
        alone,
        in_the_way="The interpreter takes 10 µs and more for an answer where nothing is in the processor's caches.",
    ),
)
