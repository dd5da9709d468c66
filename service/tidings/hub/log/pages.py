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

from tidings.hub.log.buffer import EventBuffer
from tidings.hub.ports import Events, ReadEvents
from tidings.hub.scheduling import Flushable, FlushScheduler
from tidings.hub.sinks import Batch
from tidings.hub.stats import HubCounters

T = TypeVar("T")


class PageWaiter(Flushable, Protocol):
    """A subscription that waits for a page."""

    page: Any


class LogPage(Generic[T]):
    """The events after a cursor: on their way, arrived, or failed.

    An arrived page covers `after + 1` up to `last`: first the hole that retention left, if any (`gap_batch` is its
    mark), then consecutive events. It always covers something, so that every read is progress.
    """

    __slots__ = (
        "__weakref__",
        "after",
        "buffer",
        "error",
        "gap_batch",
        "head_at_request",
        "is_discarded",
        "is_pending",
        "replaced_events",
        "waiters",
    )

    def __init__(self, after: int, head_at_request: int, buffer: EventBuffer[T]) -> None:
        self.after = after
        self.head_at_request = (
            head_at_request  # the head when it was asked for: up to here the log must answer, or the events are gone
        )
        self.buffer = buffer
        self.gap_batch: Batch[T] | None = None
        self.error: Exception | None = None
        self.is_pending = True
        self.is_discarded = False
        self.waiters: list[PageWaiter] = []
        self.replaced_events: dict[int, T] = {}

    @property
    def last(self) -> int:
        return self.buffer.last

    def fill(self, events: Events[T], head: int, bytes_max: int, make_gap: Callable[[int, int], Batch[T]]) -> None:
        """Take the log's answer up to `head`, up to its first inner hole, up to `bytes_max`."""
        if self.is_discarded:
            return
        buffer = self.buffer
        for seq, item in events:
            if not self.after < seq <= head:
                continue  # beyond the head: its notify is still to come, and must find the readers before it
            if seq != buffer.last + 1:
                if buffer.last >= buffer.first:
                    break
                buffer.first = seq
            buffer.append(self.replaced_events.get(seq, item))
        if buffer.last < buffer.first:
            buffer.first = self.head_at_request + 1
        else:
            buffer.truncate(bytes_max)
        if buffer.first > self.after + 1:
            self.gap_batch = make_gap(self.after + 1, buffer.first - 1)

    def finish(self) -> None:
        """Nothing more comes."""
        self.is_pending = False
        self.replaced_events.clear()

    def batch(self, after: int, events_max: int, bytes_max: int) -> Batch[T] | None:
        """What follows `after` on this page: the gap or events; None when it is not here."""
        if after == self.after and self.gap_batch is not None:
            return self.gap_batch
        return self.buffer.batch(after, events_max, bytes_max)

    def replace_event(self, seq: int, item: T) -> None:
        """The event was rewritten. The answer of a read in flight may be older than that."""
        if self.is_pending and seq > self.after:
            self.replaced_events[seq] = item
        self.buffer.replace_event(seq, item)

    def discard(self) -> None:
        """Some of its events may have been rewritten: none is delivered, those of a read in flight neither.

        Subscriptions that point to it find nothing here and read another page.
        """
        self.is_discarded = True
        self.gap_batch = None
        self.buffer.clear()
        self.buffer.first = self.after + 1


class PageLoader(Generic[T]):
    """Reads pages, `reads_max` at a time, the others in the order they were asked for."""

    __slots__ = ("_counters", "_queue", "_read", "_reads_max", "_scheduler", "reads_in_flight")

    def __init__(self, read: ReadEvents[T], reads_max: int, scheduler: FlushScheduler, counters: HubCounters) -> None:
        self._read = read
        self._reads_max = reads_max
        self._scheduler = scheduler
        self._counters = counters
        self._queue: deque[tuple[str, LogPage[T], int, Callable[[Events[T]], None]]] = deque()
        self.reads_in_flight = 0

    def load(self, room: str, page: LogPage[T], events_max: int, on_events: Callable[[Events[T]], None]) -> None:
        """Fill the page when its turn comes; `on_events` gets the events, then the page's readers get their turn."""
        self._queue.append((room, page, events_max, on_events))
        self._start_reads()

    def _start_reads(self) -> None:
        while self._queue and self.reads_in_flight < self._reads_max:
            room, page, events_max, on_events = self._queue.popleft()
            if not any(waiter.page is page for waiter in page.waiters):
                continue
            self.reads_in_flight += 1
            self._counters.reads += 1
            self._start_read(room, page, events_max, on_events)

    def _start_read(self, room: str, page: LogPage[T], events_max: int, on_events: Callable[[Events[T]], None]) -> None:
        def on_done(result: Events[T] | Exception) -> None:
            self.reads_in_flight -= 1
            try:
                if isinstance(result, Exception):
                    page.error = result
                else:
                    on_events(result)
            except Exception as error:  # an answer that cannot be read is a failed read; nobody may wait for ever
                page.error = error
            page.finish()
            for waiter in page.waiters:
                self._scheduler.schedule(waiter)
            page.waiters.clear()
            self._start_reads()

        try:
            self._read(room, page.after, events_max, on_done)
        except Exception as error:
            on_done(error)
