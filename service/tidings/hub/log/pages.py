"""Pages of the log, for subscriptions behind the tail in memory.

Subscriptions own pages: a page exists as long as one refers to it. Subscriptions at the same cursor share one page,
pending or filled; the tail finds existing pages through weak references. When thousands of readers reconnect at
once, each at its own cursor, their reads queue here, and a read without waiting subscriptions is skipped.
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
    """The events after a cursor: pending, filled, or failed.

    A filled page covers `after + 1` up to `last`: first the events that retention removed, if any (`gap_batch` has
    their marker), then consecutive events. It always covers at least one seq, so every read makes progress.
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
            head_at_request  # the head at the time of the request: events up to here are in the log or were removed
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
        """Take the events read, up to `head`, up to the first missing one between them, up to `bytes_max`."""
        if self.is_discarded:
            return
        buffer = self.buffer
        for seq, item in events:
            if not self.after < seq <= head:
                continue  # beyond the head: its notify is still to come, and must find the subscriptions before it
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
        """The read has ended."""
        self.is_pending = False
        self.replaced_events.clear()

    def batch(self, after: int, events_max: int, bytes_max: int) -> Batch[T] | None:
        """What follows `after` on this page: the gap marker or events; None when it is not here."""
        if after == self.after and self.gap_batch is not None:
            return self.gap_batch
        return self.buffer.batch(after, events_max, bytes_max)

    def replace_event(self, seq: int, item: T) -> None:
        """The event was replaced. A read in flight may still return the old one."""
        if self.is_pending and seq > self.after:
            self.replaced_events[seq] = item
        self.buffer.replace_event(seq, item)

    def discard(self) -> None:
        """Some events may have been replaced: deliver none of them, nor those of a read in flight.

        Subscriptions that hold this page find nothing in it and read another one.
        """
        self.is_discarded = True
        self.gap_batch = None
        self.buffer.clear()
        self.buffer.first = self.after + 1


class PageLoader(Generic[T]):
    """Reads pages, at most `reads_max` at a time; the others wait in the order of their requests."""

    __slots__ = ("_counters", "_queue", "_read", "_reads_max", "_scheduler", "reads_in_flight")

    def __init__(self, read: ReadEvents[T], reads_max: int, scheduler: FlushScheduler, counters: HubCounters) -> None:
        self._read = read
        self._reads_max = reads_max
        self._scheduler = scheduler
        self._counters = counters
        self._queue: deque[tuple[str, LogPage[T], int, Callable[[Events[T]], None]]] = deque()
        self.reads_in_flight = 0

    def load(self, room: str, page: LogPage[T], events_max: int, on_events: Callable[[Events[T]], None]) -> None:
        """Read the page when a read is free; `on_events` gets the events, then the page's waiters are scheduled."""
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
            except (
                Exception
            ) as error:  # a result that cannot be used is a failed read; no subscription may wait for ever
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
