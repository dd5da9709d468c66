"""One reader of one room: a cursor, a sink, and what to do when it lags.

The theory. A subscription holds no events, only its place in the log. It is *visited*: by its shard when the room
has news, alone after `wake()` or when a page it asked for has come. A visit takes one step: at most one batch is
delivered, or one read is begun, or the reader is ended; if there is more to do it asks for another turn. What a
step does follows from the state, the cursor and the head alone:

    state       meaning                                         step
    CHECKING    the cursor was not compared with the log yet    go on as REPLAYING, or doubt, or fail
    DOUBTED     the cursor lies beyond the head we know         none; the log is asked for its head
    RECHECKING  the log was asked                               go on as REPLAYING, or fail
    STARTING    no cursor was given                             with demand: send the live mark
    REPLAYING   history up to the head, then the live mark      with demand: send events; at the head, the mark
    LIVE        the live mark was sent                          with demand: send events
    ENDED       nothing is delivered any more                   none

Rules a maintainer must not break. The cursor and the state change before the sink is called, so that a sink may
wake or close from inside `deliver`; where nothing was taken, the cursor goes back. What is delivered is always looked
up by the cursor, never kept in line: a late page, a hole or a second visit can then cause neither a gap nor a repeat.
There is at most one page, on its way or arrived, and it is asked for only while there is demand.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from tidings.hub.batch import Batch
from tidings.hub.errors import CursorBeyondHead, TooSlow
from tidings.hub.feed import UNKNOWN, Feed
from tidings.hub.nobody import NOBODY
from tidings.hub.pages import Page
from tidings.hub.ports import PAUSED, Lag, Sink
from tidings.hub.turns import ITEMS_PER_VISIT

T = TypeVar("T")

NOWHERE = -2  # where no reader stands


class State(Enum):
    """How far a subscription has come, see the table above."""

    CHECKING = "checking"
    DOUBTED = "doubted"
    RECHECKING = "rechecking"
    STARTING = "starting"
    REPLAYING = "replaying"
    LIVE = "live"
    ENDED = "ended"


class Step(Enum):
    """What moves it on."""

    CURSOR_FOUND = "cursor found"
    CURSOR_BEYOND = "cursor beyond the head"
    HEAD_READ = "head read"
    LIVE_SENT = "live sent"
    STOPPED = "stopped"


CHECKING, DOUBTED, RECHECKING, STARTING, REPLAYING, LIVE, ENDED = State
CURSOR_FOUND, CURSOR_BEYOND, HEAD_READ, LIVE_SENT, STOPPED = Step

TRANSITIONS = {
    (CHECKING, CURSOR_FOUND): REPLAYING,
    (CHECKING, CURSOR_BEYOND): DOUBTED,
    (DOUBTED, HEAD_READ): RECHECKING,
    (RECHECKING, CURSOR_FOUND): REPLAYING,
    (STARTING, LIVE_SENT): LIVE,
    (REPLAYING, LIVE_SENT): LIVE,
    **{(state, STOPPED): ENDED for state in State if state is not ENDED},
}


class Subscription(Generic[T]):
    """A cursor with demand. Made by the hub; a `Source` for the transport and a `Part` for the turns."""

    __slots__ = (
        "_epoch",
        "_left",
        "cursor",
        "feed",
        "held_bytes",
        "lag",
        "marked",
        "owner",
        "page",
        "parked_at",
        "sink",
        "state",
    )

    def __init__(
        self,
        feed: Feed[T],
        sink: Sink[T],
        *,
        owner: str,
        after: int | None,
        epoch: str,
        lag: Lag,
        left: Callable[[Subscription[T]], None],
    ) -> None:
        self.feed = feed
        self.sink = sink
        self.owner = owner
        self.lag = lag
        self.cursor = feed.now if after is None else after
        self.state = STARTING if after is None else CHECKING
        self.page: Page[T] | None = None
        self.held_bytes = 0  # of the page, on the owner's account, while there is no demand
        self.parked_at = NOWHERE  # while it stands here without demand, a visit has nothing to do
        self.marked = False
        self._epoch = epoch
        self._left = left

    # the reader's side

    def wake(self) -> None:
        """Demand may have grown. Costs next to nothing when there is nothing to send."""
        if self.state is not ENDED and not self._nothing_due():
            self.feed.house.turns.mark(self)

    def close(self) -> None:
        """The reader is gone. Idempotent; afterwards nothing is delivered, and a page on its way finds nobody."""
        if self.state is not ENDED:
            self._stop()

    # the hub's side

    def fail(self, error: Exception) -> None:
        """End the subscription and tell the reader why."""
        if self.state is not ENDED:
            self._stop().fail(self.feed.house.worded(error))

    def compare_again(self) -> None:
        """The head of the log was read since the cursor was doubted."""
        if self.state is DOUBTED:
            self._take(HEAD_READ)
            self.feed.house.turns.mark(self)

    def flush(self) -> int:
        """A turn of its own. History is made into bytes for one reader, so that it counts by its events."""
        counts = self.feed.house.counts
        before = counts.deliveries
        try:
            self.visit()
        except Exception:
            self.close()
            raise
        return 1 + (counts.deliveries - before) // ITEMS_PER_VISIT

    def visit(self) -> None:
        """One step, see the theory above."""
        feed, page = self.feed, self.page
        if self.state is ENDED:
            return
        if feed.error is not None:
            self.fail(feed.error)
        elif page is not None and page.error is not None:
            self.fail(page.error)
        elif feed.ready and not (page is not None and page.pending) and self._placed():
            if self._nothing_due():
                self._let_page_go()
                return
            demand = self.sink.demand()
            if demand > 0:
                self._deliver(demand)
            elif demand == PAUSED:
                self._hold_page(self.feed.house.limits.owner_held_bytes_max)
            elif self._too_far_behind():
                self.fail(self._too_slow("the reader fell too far behind (close_lag_events)"))
            else:
                self._wait_for_reader()

    def _placed(self) -> bool:
        """Whether the reader stands somewhere in this log; it is ended if its cursor does not belong here."""
        if self.state is STARTING and self.cursor == UNKNOWN:
            self.cursor = self.feed.start
        if self.state is not CHECKING and self.state is not RECHECKING:
            return self.state is not DOUBTED
        objection = self.feed.objection(self.cursor, self._epoch)
        if objection is None:
            self._take(CURSOR_FOUND)
            return True
        if self.state is CHECKING and isinstance(objection, CursorBeyondHead):
            self._take(CURSOR_BEYOND)
            self.feed.doubt(self)
        else:
            self.fail(objection)
        return False

    def _deliver(self, demand: int) -> None:
        batch = self._next(demand)
        if batch is None:
            return
        self.cursor = batch.last
        self.parked_at = NOWHERE
        house = self.feed.house
        house.counts.deliveries += len(batch.items)
        if not self._nothing_due():
            house.turns.mark(self)
        self.sink.deliver(batch)

    def _next(self, demand: int) -> Batch[T] | None:
        """What comes after the cursor. None: it must be read first, and the read has begun."""
        feed, limits = self.feed, self.feed.house.limits
        behind = feed.head - self.cursor
        if self.state is STARTING or (self.state is REPLAYING and behind == 0):
            self._take(LIVE_SENT)
            return feed.live(self.cursor)
        if self.lag is Lag.LATEST and behind > limits.latest_lag_events:
            self._let_page_go()
            feed.house.counts.gaps_sent += 1
            return feed.gap(self.cursor + 1, feed.head - limits.latest_keep_events)
        batch = feed.batch(self.cursor, demand)
        if batch is not None:
            if self.page is not None:
                self._let_page_go()
            return batch
        batch = self._next_on(self.page, demand)
        if batch is None:
            self._let_page_go()
            batch = self._next_on(feed.page(self.cursor, demand, self), demand)
        return batch

    def _next_on(self, page: Page[T] | None, demand: int) -> Batch[T] | None:
        if page is None or page.pending or page.error is not None:
            return None
        limits = self.feed.house.limits
        batch = page.batch(self.cursor, min(demand, limits.batch_events_max), limits.batch_bytes_max)
        if batch is page.gap and batch is not None:
            self.feed.house.counts.gaps_sent += 1
        if batch is None or batch.last == page.last or batch.last + 1 >= self.feed.tail.first:
            self._let_page_go()  # used up, or the rest is in the tail
        return batch

    def _nothing_due(self) -> bool:
        return self.state is LIVE and self.cursor == self.feed.head

    def _too_far_behind(self) -> bool:
        # The first backlog is what the reader asked for: CLOSE judges it only once it was live, and only while it
        # takes nothing, since a burst that it had no chance to take yet is not its fault.
        behind = self.feed.head - self.cursor
        limit = self.feed.house.limits.close_lag_events
        return self.lag is Lag.CLOSE and self.state is LIVE and behind > limit

    def _too_slow(self, why: str) -> TooSlow:
        return TooSlow(self.feed.room, self.feed.epoch, max(self.cursor, 0), why)

    def _wait_for_reader(self) -> None:
        house = self.feed.house
        house.laggards.add(self)
        if self.lag is not Lag.CLOSE:
            self.parked_at = self.cursor
        self._hold_page(house.limits.held_bytes_max)

    def _hold_page(self, bytes_max: int) -> None:
        """Keep the page for later if it is at most so large, or let it be read again."""
        if self.page is None or 0 < self.held_bytes <= bytes_max:
            return
        size = self.page.run.bytes
        if size > bytes_max or self.held_bytes:
            self._let_page_go()
        elif self.feed.house.hold(self.owner, size):
            self.held_bytes = size
        else:
            self.page = None

    def _let_page_go(self) -> None:
        self.page = None
        if self.held_bytes:
            self.feed.house.release(self.owner, self.held_bytes)
            self.held_bytes = 0

    def _take(self, step: Step) -> None:
        self.state = TRANSITIONS[self.state, step]

    def _stop(self) -> Sink[T]:
        sink = self.sink
        self._take(STOPPED)
        self.sink = NOBODY
        self._let_page_go()
        self._left(self)
        return sink

    # the clock's side (Laggard)

    def progress(self) -> int | None:
        """A number that changes with every step; None while it does not wait for its reader."""
        if self.state in (DOUBTED, ENDED) or self._nothing_due() or not self.feed.ready:
            return None
        if self.page is not None and self.page.pending:
            return None
        return self.cursor * 2 + (self.state is LIVE)

    def stop_holding(self) -> None:
        """The rest of a page is read again when the reader comes back."""
        self._let_page_go()

    def end_stalled(self) -> None:
        """Nothing was taken for too long, whatever the policy."""
        self.feed.house.counts.stalls_ended += 1
        stall_seconds = self.feed.house.limits.stall_seconds
        self.fail(self._too_slow(f"the reader took nothing for {stall_seconds:g} seconds (hub.stall_seconds)"))
