"""Reading a long log. It is written once, through the store, and kept for later runs."""

from collections.abc import Iterator

from bench import log
from bench.rows.row import BARE, TIDINGS, Figures, Line, Mark, Row
from bench.run import Run
from bench.servers import PEERS

MIB = 1024 * 1024


def events_of(run: Run) -> int:
    """How long the log is."""
    return run.sized(1_000_000, 20_000)


def pages(run: Run) -> Iterator[Line]:
    """The same page at three depths."""
    events = events_of(run)
    depths = {"newest": None, "middle": events // 2, "oldest": 51}
    figures = Figures()
    with run.tidings(log.folder(events)) as server:
        for _ in range(run.times):
            for name, before in depths.items():
                work = {"room": log.ROOM, "before": before, "seconds": run.seconds / 4}
                figures.add(name, run.load("pages", server, **work))
    title = f"history.page of 50 in a room of {events:,} events"
    yield Line(title, "ms", figures.values, (Mark("≤", 1.3, "newest"),), wrong=tuple(figures.wrong), subject="oldest")


def whole(run: Run) -> Iterator[Line]:
    """All events as a stream."""
    events = events_of(run)
    path = log.folder(events)
    figures = Figures()
    grown: list[float] = []
    work = {"room": log.ROOM, "events": events, "credit": 256}
    for _ in range(run.times):
        # A new service each time, since memory is seldom given back; one page is read before memory is looked at.
        with run.tidings(path) as server:
            run.load("pages", server, room=log.ROOM, before=None, seconds=0.1)
            server.forget_peak()
            before = server.resident_bytes()
            figures.add(TIDINGS, run.load("read", server, **work))
            grown.append((server.resident_bytes_max() - before) / MIB)
        with PEERS["bare-history"].running(str(path / "tidings.sqlite")) as bare:
            figures.add(BARE, run.load("read", bare, **work))
    title = f"history.read of {events:,} events, request(256)"
    yield Line(title, "events/s", figures.values, (Mark("≥", 0.5, BARE),), wrong=tuple(figures.wrong))
    yield Line("history.read, what the service's memory grows by", "MiB", {TIDINGS: grown}, (Mark("≤", 32),))


def words(run: Run) -> Iterator[Line]:
    """Rare and common words, in two scripts."""
    events = events_of(run)
    with run.tidings(log.folder(events)) as server:
        for query, kind, ms_max, results_min in (
            (log.RARE, "rare, Latin", 20, log.RARE_TIMES),
            (log.RARE_CJK, "rare, Chinese", 20, log.RARE_TIMES),
            (log.COMMON, "common, Latin", 100, 20),
            (log.COMMON_CJK, "common, Chinese", 100, 20),
        ):
            figures = Figures()
            for _ in range(run.times):
                work = {"room": log.ROOM, "query": query, "results_min": results_min, "seconds": run.seconds / 4}
                figures.add(TIDINGS, run.load("search", server, **work))
            title = f"history.search, one word among {events:,} messages, {kind}"
            yield Line(title, "ms", figures.values, (Mark("≤", ms_max),), wrong=tuple(figures.wrong))


ROWS = (
    Row(
        "history-page",
        "a page costs the same wherever it is in the log",
        pages,
    ),
    Row(
        "history-read",
        "the reader grants 256 and then 128 for every 128 that came; every sequence number is checked",
        whole,
        in_the_way="Rows are turned into items and frames in Python while the bare program only copies bytes. Memory "
        "grows by the readers' cache of SQLite (12 MiB), the pages on their way, and the socket's buffers, once.",
    ),
    Row(
        "history-search",
        "median until the first page of results is here",
        words,
    ),
)
