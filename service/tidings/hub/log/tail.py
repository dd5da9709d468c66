"""The tail of one room's log: the head, the last events in memory, pages being read.

A tail is registered first and reads the head of its log afterwards, so that an event committed in between is not
lost: it arrives by `append`, in the head that is read, or both, and the head is the greater of the two. Until then the
tail is not `is_ready` and delivers nothing. A cursor beyond the head is not an error yet: the reader may have got an
event from another node before its notification arrived here. The head is read again for it, once.

The invariant: the buffer is empty, or its last event is the head. Code that raises the head without the event
(`advance_head`, missing events) starts a new, empty buffer after it. A subscription before the buffer reads the log, so
events are delivered in order whichever notifications were lost.
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

UNKNOWN_SEQ = -1  # not known until the head has been read


class HeadWaiter(Protocol):
    """A subscription whose cursor lies beyond the head."""

    def on_head_read(self) -> None:
        """The head was read after `recheck_head`."""

    def fail(self, error: Exception) -> None:
        """The head could not be read."""


class HubContext(Generic[T]):
    """What all tails of one hub share."""

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
        self.translate_error = translate_error  # maps an error to the one that readers get
        self.request_head = request_head  # reads the head of the log, then updates the tail and calls its head waiters
        self.held_bytes: dict[str, int] = {}  # by owner, of pages held for subscriptions without demand
        self.used_tails: dict[LogTail[T], None] = {}  # the tails that made batches since the last tick

    def try_hold(self, owner: str, size: int) -> bool:
        """Reserve `size` bytes for a page held for one of the owner's subscriptions; False above the limit."""
        held = self.held_bytes.get(owner, 0) + size
        if held > self.limits.owner_held_bytes_max:
            return False
        if size:
            self.held_bytes[owner] = held
        return True

    def release(self, owner: str, size: int) -> None:
        """Undo `try_hold`."""
        remaining = self.held_bytes[owner] - size
        if remaining:
            self.held_bytes[owner] = remaining
        else:
            del self.held_bytes[owner]


class LogTail(Generic[T]):
    """The tail of one room's log."""

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
        self._last_notified = UNKNOWN_SEQ  # the newest event of `append`; the seq of `advance_head` may be old
        self.initial_head = UNKNOWN_SEQ  # where "from now on" begins for subscriptions made before the head was known
        self.is_ready = False
        self.error: Exception | None = None  # set when the room failed; every subscription ends with it
        self.is_reading_head = False
        self.head_waiters: list[HeadWaiter] = []  # cursors beyond the head, which wait for it to be read again
        self.buffer = self._new_buffer(0)
        self._pages: WeakValueDictionary[int, LogPage[T]] | None = (
            None  # most rooms never need any, and the dictionary takes 1 KiB
        )
        self._live_batch: Batch[T] | None = None

    # called by the hub

    def set_head(self, head: LogHead) -> None:
        """The head was read, for the first time or again."""
        self.epoch = head.epoch
        if self.initial_head == UNKNOWN_SEQ:
            self.initial_head = head.seq
        if head.seq > self.head:
            self._discard_pages()
            self._restart_at(head.seq)
        self.is_ready = True

    def matches_epoch(self, epoch: str) -> bool:
        """Whether `epoch` is this log's; the first one seen is taken."""
        self.epoch = self.epoch or epoch
        return self.epoch == epoch

    def append(self, events: Events[T]) -> int:
        """Append committed events and ignore old ones; returns how many are new. A gap restarts the buffer."""
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
        """The log has reached `seq`; its events from `first` on are not at hand. Returns whether that is new.

        `seq` may be old, so it does not decide where "from now on" begins; the head that is read does. After missing
        events pages are read again, because it is unknown which events those replaced.
        """
        if seq <= self.head:
            return False
        if first > self.head + 1:
            self._discard_pages()
        self._restart_at(seq)
        return True

    def replace_event(self, seq: int, item: T) -> None:
        """An event was replaced: its old copy is not delivered any more."""
        self.buffer.replace_event(seq, item)
        for page in list(self._pages.values()) if self._pages is not None else ():
            page.replace_event(seq, item)

    def discard_events(self, seqs: Collection[int]) -> None:
        """Events were replaced; the new ones are not at hand: drop the old copies and read the log again."""
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

    # called by subscriptions

    @property
    def live_start(self) -> int:
        """Where "from now on" begins for a subscription made now; UNKNOWN_SEQ: at the head that is being read."""
        return self.head if self.is_ready else self._last_notified

    def cursor_error(self, after: int, epoch: str) -> HubError | None:
        """Why a cursor is not valid in this log; None if it is."""
        advice = "fetch a page and continue from the head"
        if epoch and epoch != self.epoch:
            was = f"its epoch was {epoch}, now it is {self.epoch}"
            return CursorLostError(f"the log of {self.room} was replaced since the cursor was made ({was}); {advice}")
        if after > self.head:
            where = f"seq {after} of {self.room}, whose log ends at {self.head}"
            return CursorBeyondHeadError(f"the cursor is beyond the head: it names {where}; {advice}")
        return None

    def recheck_head(self, waiter: HeadWaiter) -> None:
        """Read the head again, then call `waiter.on_head_read`."""
        self.head_waiters.append(waiter)
        self.context.request_head(self)

    def batch(self, after: int, events_max: int) -> Batch[T] | None:
        """The events after a cursor, if the buffer has them."""
        self.context.used_tails[self] = None
        limits = self.context.limits
        return self.buffer.batch(after, min(events_max, limits.batch_events_max), limits.batch_bytes_max)

    def page(self, after: int, demand: int, waiter: PageWaiter) -> LogPage[T]:
        """A page of the log after a cursor behind the head: an existing one, filled or pending, or a new one."""
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
        """The live marker at a cursor; one batch for all subscriptions that reach it together."""
        self.context.used_tails[self] = None
        if self._live_batch is None or self._live_batch.last != seq:
            self._live_batch = Batch((self.context.markers.live(self.room, self.epoch, seq),), seq + 1, seq)
        return self._live_batch

    def gap_marker(self, first: int, last: int) -> Batch[T]:
        """The marker of events that are not delivered, `first` to `last`."""
        return Batch((self.context.markers.gap(self.epoch, first, last),), first, last)

    # memory

    def clear(self) -> None:
        """Release the events; they are still in the log."""
        self.buffer = self._new_buffer(self.head + 1)

    def drop_batches(self) -> None:
        """Drop the batches and keep the events: no batch was needed for a while."""
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
