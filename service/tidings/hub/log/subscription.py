"""One reader of one room: a cursor, a sink, and what to do when it lags.

The theory. A subscription holds no events, only its place in the log. It is *advanced*: by its shard when the room
has news, alone after `wake()` or when a page it asked for has come. A visit takes one step: at most one batch is
delivered, or one read is begun, or the reader is ended; if there is more to do it asks for another turn. What a
step does follows from the state, the cursor and the head alone:

    state       meaning                                         step
    VALIDATING  the cursor was not compared with the log yet    go on as REPLAYING, or doubt, or fail
    AWAITING_HEAD  the cursor lies beyond the head we know         none; the log is asked for its head
    REVALIDATING  the log was asked                               go on as REPLAYING, or fail
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

from tidings.hub.errors import CursorBeyondHeadError, TooSlowError
from tidings.hub.log.pages import LogPage
from tidings.hub.log.tail import UNKNOWN_SEQ, LogTail
from tidings.hub.nobody import NULL_SINK
from tidings.hub.ports import PAUSED, LagPolicy, Sink
from tidings.hub.scheduling import ITEMS_PER_COST_UNIT
from tidings.hub.sinks import Batch

T = TypeVar("T")

NO_POSITION = -2  # where no reader stands


class SubscriptionState(Enum):
    """How far a subscription has come, see the table above."""

    VALIDATING = "validating"
    AWAITING_HEAD = "awaiting head"
    REVALIDATING = "revalidating"
    STARTING = "starting"
    REPLAYING = "replaying"
    LIVE = "live"
    ENDED = "ended"


class Transition(Enum):
    """What moves it on."""

    CURSOR_VALID = "cursor valid"
    CURSOR_BEYOND_HEAD = "cursor beyond the head"
    HEAD_READ = "head read"
    LIVE_SENT = "live sent"
    STOPPED = "stopped"


VALIDATING, AWAITING_HEAD, REVALIDATING, STARTING, REPLAYING, LIVE, ENDED = SubscriptionState
CURSOR_VALID, CURSOR_BEYOND_HEAD, HEAD_READ, LIVE_SENT, STOPPED = Transition

TRANSITIONS = {
    (VALIDATING, CURSOR_VALID): REPLAYING,
    (VALIDATING, CURSOR_BEYOND_HEAD): AWAITING_HEAD,
    (AWAITING_HEAD, HEAD_READ): REVALIDATING,
    (REVALIDATING, CURSOR_VALID): REPLAYING,
    (STARTING, LIVE_SENT): LIVE,
    (REPLAYING, LIVE_SENT): LIVE,
    **{(state, STOPPED): ENDED for state in SubscriptionState if state is not ENDED},
}


class LogSubscription(Generic[T]):
    """A cursor with demand. Made by the hub; a `Subscription` for the transport and a `Flushable` for the turns."""

    __slots__ = (
        "_epoch",
        "_on_closed",
        "blocked_at",
        "cursor",
        "feed",
        "held_bytes",
        "is_scheduled",
        "lag_policy",
        "owner",
        "page",
        "sink",
        "state",
    )

    def __init__(
        self,
        tail: LogTail[T],
        sink: Sink[T],
        *,
        owner: str,
        after: int | None,
        epoch: str,
        lag_policy: LagPolicy,
        on_closed: Callable[[LogSubscription[T]], None],
    ) -> None:
        self.feed = tail
        self.sink = sink
        self.owner = owner
        self.lag_policy = lag_policy
        self.cursor = tail.live_start if after is None else after
        self.state = STARTING if after is None else VALIDATING
        self.page: LogPage[T] | None = None
        self.held_bytes = 0  # of the page, on the owner's account, while there is no demand
        self.blocked_at = NO_POSITION  # while it stands here without demand, a visit has nothing to do
        self.is_scheduled = False
        self._epoch = epoch
        self._on_closed = on_closed

    # the reader's side

    def wake(self) -> None:
        """Demand may have grown. Costs next to nothing when there is nothing to send."""
        if self.state is not ENDED and not self._is_caught_up():
            self.feed.context.scheduler.schedule(self)

    def close(self) -> None:
        """The reader is gone. Idempotent; afterwards nothing is delivered, and a page on its way finds nobody."""
        if self.state is not ENDED:
            self._stop()

    # the hub's side

    def fail(self, error: Exception) -> None:
        """End the subscription and tell the reader why."""
        if self.state is not ENDED:
            self._stop().fail(self.feed.context.translate_error(error))

    def on_head_read(self) -> None:
        """The head of the log was read since the cursor was doubted."""
        if self.state is AWAITING_HEAD:
            self._transition(HEAD_READ)
            self.feed.context.scheduler.schedule(self)

    def flush(self) -> int:
        """A turn of its own. History is made into bytes for one reader, so that it counts by its events."""
        counters = self.feed.context.counters
        before = counters.deliveries
        try:
            self.advance()
        except Exception:
            self.close()
            raise
        return 1 + (counters.deliveries - before) // ITEMS_PER_COST_UNIT

    def advance(self) -> None:
        """One step, see the theory above."""
        tail, page = self.feed, self.page
        if self.state is ENDED:
            return
        if tail.error is not None:
            self.fail(tail.error)
        elif page is not None and page.error is not None:
            self.fail(page.error)
        elif tail.is_ready and not (page is not None and page.is_pending) and self._validate_cursor():
            if self._is_caught_up():
                self._release_page()
                return
            demand = self.sink.demand()
            if demand > 0:
                self._deliver(demand)
            elif demand == PAUSED:
                self._hold_page(self.feed.context.limits.owner_held_bytes_max)
            elif self._is_too_far_behind():
                self.fail(self._too_slow_error("the reader fell too far behind (close_lag_events)"))
            else:
                self._wait_for_demand()

    def _validate_cursor(self) -> bool:
        """Whether the reader stands somewhere in this log; it is ended if its cursor does not belong here."""
        if self.state is STARTING and self.cursor == UNKNOWN_SEQ:
            self.cursor = self.feed.initial_head
        if self.state is not VALIDATING and self.state is not REVALIDATING:
            return self.state is not AWAITING_HEAD
        error = self.feed.cursor_error(self.cursor, self._epoch)
        if error is None:
            self._transition(CURSOR_VALID)
            return True
        if self.state is VALIDATING and isinstance(error, CursorBeyondHeadError):
            self._transition(CURSOR_BEYOND_HEAD)
            self.feed.recheck_head(self)
        else:
            self.fail(error)
        return False

    def _deliver(self, demand: int) -> None:
        batch = self._next_batch(demand)
        if batch is None:
            return
        self.cursor = batch.last
        self.blocked_at = NO_POSITION
        context = self.feed.context
        context.counters.deliveries += len(batch.items)
        if not self._is_caught_up():
            context.scheduler.schedule(self)
        self.sink.deliver(batch)

    def _next_batch(self, demand: int) -> Batch[T] | None:
        """What comes after the cursor. None: it must be read first, and the read has begun."""
        tail, limits = self.feed, self.feed.context.limits
        behind = tail.head - self.cursor
        if self.state is STARTING or (self.state is REPLAYING and behind == 0):
            self._transition(LIVE_SENT)
            return tail.live_marker(self.cursor)
        if self.lag_policy is LagPolicy.LATEST and behind > limits.latest_lag_events:
            self._release_page()
            tail.context.counters.gaps_sent += 1
            return tail.gap_marker(self.cursor + 1, tail.head - limits.latest_keep_events)
        batch = tail.batch(self.cursor, demand)
        if batch is not None:
            if self.page is not None:
                self._release_page()
            return batch
        batch = self._next_from_page(self.page, demand)
        if batch is None:
            self._release_page()
            batch = self._next_from_page(tail.page(self.cursor, demand, self), demand)
        return batch

    def _next_from_page(self, page: LogPage[T] | None, demand: int) -> Batch[T] | None:
        if page is None or page.is_pending or page.error is not None:
            return None
        limits = self.feed.context.limits
        batch = page.batch(self.cursor, min(demand, limits.batch_events_max), limits.batch_bytes_max)
        if batch is page.gap_batch and batch is not None:
            self.feed.context.counters.gaps_sent += 1
        if batch is None or batch.last == page.last or batch.last + 1 >= self.feed.buffer.first:
            self._release_page()  # used up, or the rest is in the tail
        return batch

    def _is_caught_up(self) -> bool:
        return self.state is LIVE and self.cursor == self.feed.head

    def _is_too_far_behind(self) -> bool:
        # The first backlog is what the reader asked for: CLOSE judges it only once it was live, and only while it
        # takes nothing, since a burst that it had no chance to take yet is not its fault.
        behind = self.feed.head - self.cursor
        limit = self.feed.context.limits.close_lag_events
        return self.lag_policy is LagPolicy.CLOSE and self.state is LIVE and behind > limit

    def _too_slow_error(self, reason: str) -> TooSlowError:
        return TooSlowError(self.feed.room, self.feed.epoch, max(self.cursor, 0), reason)

    def _wait_for_demand(self) -> None:
        context = self.feed.context
        context.stall_detector.add(self)
        if self.lag_policy is not LagPolicy.CLOSE:
            self.blocked_at = self.cursor
        self._hold_page(context.limits.held_bytes_max)

    def _hold_page(self, bytes_max: int) -> None:
        """Keep the page for later if it is at most so large, or let it be read again."""
        if self.page is None or 0 < self.held_bytes <= bytes_max:
            return
        size = self.page.buffer.bytes
        if size > bytes_max or self.held_bytes:
            self._release_page()
        elif self.feed.context.try_hold(self.owner, size):
            self.held_bytes = size
        else:
            self.page = None

    def _release_page(self) -> None:
        self.page = None
        if self.held_bytes:
            self.feed.context.release(self.owner, self.held_bytes)
            self.held_bytes = 0

    def _transition(self, transition: Transition) -> None:
        self.state = TRANSITIONS[self.state, transition]

    def _stop(self) -> Sink[T]:
        sink = self.sink
        self._transition(STOPPED)
        self.sink = NULL_SINK
        self._release_page()
        self._on_closed(self)
        return sink

    # the clock's side (Laggard)

    def progress(self) -> int | None:
        """A number that changes with every step; None while it does not wait for its reader."""
        if self.state in (AWAITING_HEAD, ENDED) or self._is_caught_up() or not self.feed.is_ready:
            return None
        if self.page is not None and self.page.is_pending:
            return None
        return self.cursor * 2 + (self.state is LIVE)

    def release_buffers(self) -> None:
        """The rest of a page is read again when the reader comes back."""
        self._release_page()

    def end_stalled(self) -> None:
        """Nothing was taken for too long, whatever the policy."""
        self.feed.context.counters.stalls_ended += 1
        stall_seconds = self.feed.context.limits.stall_seconds
        self.fail(self._too_slow_error(f"the reader took nothing for {stall_seconds:g} seconds (hub.stall_seconds)"))
