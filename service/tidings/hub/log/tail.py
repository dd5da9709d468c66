"""The living end of one room's log: where the head is, the last events in memory, pages on their way.

A feed is registered first and reads the head of its log then, so that an event committed in between is not
lost: it comes by `append`, by the answer, or by both, and the head is the greater of the two. Until the answer
is there, the feed is not `is_ready` and nothing is delivered from it. A reader whose cursor lies beyond the head is
not wrong yet: it may have heard of an event on another node before we did. The head is read anew for it, once.

The rule a maintainer must not break: the tail is empty, or its last event is the head. Whoever raises the head
without the event (`advance_head`, a hole) starts a new, empty tail after it. A reader that stands before the tail reads
the log; so events are delivered in order whatever was lost on the way here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from tidings.hub.errors import CursorBeyondHeadError, CursorLostError, HubError
from tidings.hub.limits import HubLimits
from tidings.hub.log.buffer import EventBuffer
from tidings.hub.log.pages import LogPage, PageLoader, PageWaiter
from tidings.hub.ports import Events, LogHead, MarkerFactory
from tidings.hub.scheduling import FlushScheduler
from tidings.hub.sinks import Batch
from tidings.hub.stalls import StallDetector
from tidings.hub.stats import HubCounters

T = TypeVar("T")

UNKNOWN_SEQ = -1  # a position that the log has not told yet


class HeadWaiter(Protocol):
    """A subscription whose cursor lies beyond the head."""

    def on_head_read(self) -> None:
        """The head was read since."""

    def fail(self, error: Exception) -> None:
        """It could not be read."""


class HubContext(Generic[T]):
    """What all feeds of one hub share."""

    __slots__ = (
        "counters",
        "held_bytes",
        "item_size",
        "limits",
        "markers",
        "page_loader",
        "request_head",
        "scheduler",
        "stall_detector",
        "translate_error",
        "used_tails",
    )

    def __init__(
        self,
        *,
        limits: HubLimits,
        markers: MarkerFactory[T],
        item_size: Callable[[T], int],
        scheduler: FlushScheduler,
        page_loader: PageLoader[T],
        stall_detector: StallDetector,
        counters: HubCounters,
        request_head: Callable[[LogTail[T]], None],
        translate_error: Callable[[Exception], Exception],
    ) -> None:
        self.limits = limits
        self.markers = markers
        self.item_size = item_size
        self.scheduler = scheduler
        self.page_loader = page_loader
        self.stall_detector = stall_detector
        self.counters = counters
        self.translate_error = translate_error  # an error, as readers are told it
        self.request_head = request_head  # has the head of the feed's log read, and tells the feed and its doubters
        self.held_bytes: dict[str, int] = {}  # by owner, of pages kept for readers without demand
        self.used_tails: dict[LogTail[T], None] = {}  # the feeds that were asked for batches since the last tick

    def try_hold(self, owner: str, size: int) -> bool:
        """Whether `size` bytes of a page may be kept for one of the owner's readers; they count until `release`."""
        held = self.held_bytes.get(owner, 0) + size
        if held > self.limits.owner_held_bytes_max:
            return False
        if size:
            self.held_bytes[owner] = held
        return True

    def release(self, owner: str, size: int) -> None:
        """They are held no longer."""
        remaining = self.held_bytes[owner] - size
        if remaining:
            self.held_bytes[owner] = remaining
        else:
            del self.held_bytes[owner]


class LogTail(Generic[T]):
    """The tail of one room."""

    __slots__ = (
        "_last_notified",
        "_live_batch",
        "_pages",
        "buffer",
        "context",
        "epoch",
        "error",
        "head",
        "head_waiters",
        "initial_head",
        "is_reading_head",
        "is_ready",
        "room",
    )

    def __init__(self, room: str, context: HubContext[T]) -> None:
        self.room = room
        self.context = context
        self.epoch = ""
        self.head = UNKNOWN_SEQ
        self._last_notified = UNKNOWN_SEQ  # the newest event by a speaker's word; `advance_head` may be old news
        self.initial_head = UNKNOWN_SEQ  # where "from now on" begins for those who came before the head was known
        self.is_ready = False
        self.error: Exception | None = None  # set once the feed is lost; every subscription ends with it
        self.is_reading_head = False  # the head is being read
        self.head_waiters: list[HeadWaiter] = []  # readers beyond the head, for whom it shall be read once more
        self.buffer = self._new_buffer(0)
        self._pages: WeakValueDictionary[int, LogPage[T]] | None = None  # most rooms never need one, and it takes 1 KiB
        self._live_batch: Batch[T] | None = None

    # what the log and the speakers say

    def set_head(self, head: LogHead) -> None:
        """The head was read, for the first time or anew."""
        self.epoch = head.epoch
        if self.initial_head == UNKNOWN_SEQ:
            self.initial_head = head.seq
        if head.seq > self.head:
            self._discard_pages()
            self._restart_at(head.seq)
        self.is_ready = True

    def matches_epoch(self, epoch: str) -> bool:
        """Whether `epoch` is this feed's; the first one seen is."""
        self.epoch = self.epoch or epoch
        return self.epoch == epoch

    def append(self, events: Events[T]) -> int:
        """Committed events; how many of them are new. An old one is ignored, a hole forgets the tail before it."""
        if self.initial_head == UNKNOWN_SEQ:
            self.initial_head = events[0][0] - 1
        new_count = 0
        for seq, item in events:
            if seq > self.head:
                if seq != self.head + 1:
                    self._discard_pages()
                    self._restart_at(seq - 1)
                self.buffer.append(item)
                self.head = self._last_notified = seq
                new_count += 1
        self.context.counters.events_notified += new_count
        self.buffer.trim(self.context.limits.tail_events_max, self.context.limits.tail_bytes_max)
        return new_count

    def advance_head(self, seq: int, first: int) -> bool:
        """The log is known to have come to `seq`, without the events from `first` on; whether that is news.

        It says nothing about when: where "from now on" begins is left to the answer of the log. After a hole pages are
        read again, since it is unknown what the events in it rewrote.
        """
        if seq <= self.head:
            return False
        if first > self.head + 1:
            self._discard_pages()
        self._restart_at(seq)
        return True

    def replace_event(self, seq: int, item: T) -> None:
        """An event was rewritten: its old copy is delivered no more."""
        self.buffer.replace_event(seq, item)
        for page in list(self._pages.values()) if self._pages is not None else ():
            page.replace_event(seq, item)

    def discard_events(self, seqs: Collection[int]) -> None:
        """Events were rewritten, and the new ones are not at hand: old copies go, and the log is read again."""
        if any(self.buffer.first <= seq <= self.buffer.last for seq in seqs):
            self.clear()
        for page in list(self._pages.values()) if self._pages is not None else ():
            if any(page.after < seq and (page.is_pending or seq <= page.last) for seq in seqs):
                self._discard_page(page)

    def _discard_pages(self) -> None:
        for page in list(self._pages.values()) if self._pages is not None else ():
            self._discard_page(page)

    def _discard_page(self, page: LogPage[T]) -> None:
        page.discard()
        if self._pages is not None and self._pages.get(page.after) is page:
            del self._pages[page.after]

    # what subscriptions ask

    @property
    def live_start(self) -> int:
        """Where "from now on" begins for a reader that comes at this moment; UNKNOWN: where the log will say."""
        return self.head if self.is_ready else self._last_notified

    def cursor_error(self, after: int, epoch: str) -> HubError | None:
        """Why a cursor cannot be followed in this log, if so."""
        advice = "take a page and go on from the head"
        if epoch and epoch != self.epoch:
            was = f"its epoch was {epoch}, now it is {self.epoch}"
            return CursorLostError(f"the log of {self.room} was replaced since the cursor was made ({was}); {advice}")
        if after > self.head:
            where = f"seq {after} of {self.room}, whose log ends at {self.head}"
            return CursorBeyondHeadError(f"the cursor is from the future: it names {where}; {advice}")
        return None

    def recheck_head(self, waiter: HeadWaiter) -> None:
        """Have the head read anew, then let the reader compare again."""
        self.head_waiters.append(waiter)
        self.context.request_head(self)

    def batch(self, after: int, events_max: int) -> Batch[T] | None:
        """The events after a cursor, if the tail has them."""
        self.context.used_tails[self] = None
        limits = self.context.limits
        return self.buffer.batch(after, min(events_max, limits.batch_events_max), limits.batch_bytes_max)

    def page(self, after: int, demand: int, waiter: PageWaiter) -> LogPage[T]:
        """A page of the log after a cursor behind the head: one that others have or wait for, or a new one."""
        if self._pages is None:
            self._pages = WeakValueDictionary()
        page = self._pages.get(after)
        if page is not None and page.error is None:
            self.context.counters.reads_shared += 1
            if page.is_pending:
                page.waiters.append(waiter)
            waiter.page = page
            return page
        page = self._pages[after] = LogPage(after, self.head, self._new_buffer(after + 1))
        page.waiters.append(waiter)
        waiter.page = page
        limits = self.context.limits
        events_max = min(max(demand, limits.page_events_min), limits.page_events_max)
        self.context.page_loader.load(self.room, page, events_max, self._page_filler(page))
        return page

    def live_marker(self, seq: int) -> Batch[T]:
        """The live mark at a cursor, the same for all that reach it together."""
        self.context.used_tails[self] = None
        if self._live_batch is None or self._live_batch.last != seq:
            self._live_batch = Batch((self.context.markers.live(self.room, self.epoch, seq),), seq + 1, seq)
        return self._live_batch

    def gap_marker(self, first: int, last: int) -> Batch[T]:
        """The mark of events left out."""
        return Batch((self.context.markers.gap(self.epoch, first, last),), first, last)

    # memory

    def clear(self) -> None:
        """Give the tail's memory back; the log still has the events."""
        self.buffer = self._new_buffer(self.head + 1)

    def drop_batches(self) -> None:
        """Nothing was asked for a while: forget the batches, keep the events."""
        self.buffer.drop_batches()
        self._live_batch = None

    def _restart_at(self, head: int) -> None:
        self.head = head
        self.clear()

    def _new_buffer(self, first: int) -> EventBuffer[T]:
        return EventBuffer(first, self.context.item_size, self.context.counters)

    def _page_filler(self, page: LogPage[T]) -> Callable[[Events[T]], None]:
        def on_events(events: Events[T]) -> None:
            page.fill(events, self.head, self.context.limits.page_bytes_max, self.gap_marker)

        return on_events
