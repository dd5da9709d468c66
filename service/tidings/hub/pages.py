"""Pages of the log for readers that the tail no longer reaches.

A page belongs to nobody: it lives as long as a reader points to it. Readers at the same cursor share one page,
on its way or arrived; a feed finds its living pages through weak references. When thousands come back at once,
each at a cursor of its own, their reads wait in line here, and a read that nobody waits for any more is never
made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from tidings.hub.batch import Batch
from tidings.hub.ports import Events, Read
from tidings.hub.run import Run
from tidings.hub.stats import Counts
from tidings.hub.turns import Part, Turns

T = TypeVar("T")


class PageReader(Part, Protocol):
    """A subscription that waits for a page."""

    page: Any


class Page(Generic[T]):
    """The events after a cursor: on their way, arrived, or failed.

    An arrived page covers `after + 1` up to `last`: first the hole that retention left, if any (`gap` is its
    mark), then consecutive events. It always covers something, so that every read is progress.
    """

    __slots__ = ("__weakref__", "after", "amended", "error", "gap", "known", "pending", "readers", "run")

    def __init__(self, after: int, known: int, run: Run[T]) -> None:
        self.after = after
        self.known = known  # the head when it was asked for: up to here the log must answer, or the events are gone
        self.run = run
        self.gap: Batch[T] | None = None
        self.error: Exception | None = None
        self.pending = True
        self.readers: list[PageReader] = []
        self.amended: dict[int, T] = {}

    @property
    def last(self) -> int:
        return self.run.last

    def arrive(self, events: Events[T], head: int, bytes_max: int, mark: Callable[[int, int], Batch[T]]) -> None:
        """Take the log's answer up to `head`, up to its first inner hole, up to `bytes_max`."""
        run = self.run
        for seq, item in events:
            if not self.after < seq <= head:
                continue  # beyond the head: its notify is still to come, and must find the readers before it
            if seq != run.last + 1:
                if run.last >= run.first:
                    break
                run.first = seq
            run.append(self.amended.get(seq, item))
        if run.last < run.first:
            run.first = self.known + 1
        else:
            run.cut(bytes_max)
        if run.first > self.after + 1:
            self.gap = mark(self.after + 1, run.first - 1)

    def settle(self) -> None:
        """Nothing more comes."""
        self.pending = False
        self.amended.clear()

    def batch(self, after: int, events_max: int, bytes_max: int) -> Batch[T] | None:
        """What follows `after` on this page: the gap or events; None when it is not here."""
        if after == self.after and self.gap is not None:
            return self.gap
        return self.run.batch(after, events_max, bytes_max)

    def amend(self, seq: int, item: T) -> None:
        """The event was rewritten. The answer of a read in flight may be older than that."""
        if self.pending and seq > self.after:
            self.amended[seq] = item
        self.run.amend(seq, item)


class LogReader(Generic[T]):
    """Reads pages, `reads_max` at a time, the others in the order they were asked for."""

    __slots__ = ("_counts", "_line", "_read", "_reads_max", "_turns", "in_flight")

    def __init__(self, read: Read[T], reads_max: int, turns: Turns, counts: Counts) -> None:
        self._read = read
        self._reads_max = reads_max
        self._turns = turns
        self._counts = counts
        self._line: deque[tuple[str, Page[T], int, Callable[[Events[T]], None]]] = deque()
        self.in_flight = 0

    def start(self, room: str, page: Page[T], events_max: int, arrived: Callable[[Events[T]], None]) -> None:
        """Fill the page when its turn comes; `arrived` gets the events, then the page's readers get their turn."""
        self._line.append((room, page, events_max, arrived))
        self._advance()

    def _advance(self) -> None:
        while self._line and self.in_flight < self._reads_max:
            room, page, events_max, arrived = self._line.popleft()
            if not any(reader.page is page for reader in page.readers):
                continue
            self.in_flight += 1
            self._counts.reads += 1
            self._begin(room, page, events_max, arrived)

    def _begin(self, room: str, page: Page[T], events_max: int, arrived: Callable[[Events[T]], None]) -> None:
        def done(answer: Events[T] | Exception) -> None:
            self.in_flight -= 1
            try:
                if isinstance(answer, Exception):
                    page.error = answer
                else:
                    arrived(answer)
            except Exception as error:  # an answer that cannot be read is a failed read; nobody may wait for ever
                page.error = error
            page.settle()
            for reader in page.readers:
                self._turns.mark(reader)
            page.readers.clear()
            self._advance()

        try:
            self._read(room, page.after, events_max, done)
        except Exception as error:
            done(error)
