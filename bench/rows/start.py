"""Starting."""

from collections.abc import Iterator

from bench.rows.row import BARE, TIDINGS, Line, Mark, Row
from bench.run import Run


def start(run: Run) -> Iterator[Line]:
    """From the command to listening; the first one warms the disk's cache and is not counted."""
    values: dict[str, list[float]] = {TIDINGS: [], BARE: []}
    for number in range(run.times + 1):
        with run.servers((TIDINGS, BARE)) as servers:
            for name, server in servers.items():
                if number:
                    values[name].append(server.started_seconds)
    yield Line("start to listening, warm", "s", values, (Mark("≤", 0.7),))


ROWS = (
    Row(
        "start",
        "a new data folder each time; bare is a listening Python program with uvloop and Protobuf",
        start,
        in_the_way="Most of it is imports; the largest is typer's, 0.2 s.",
    ),
)
