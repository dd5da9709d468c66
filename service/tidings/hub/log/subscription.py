"""One reader of one room: a cursor, a sink and a lag policy.

A subscription holds no events, only its position in the log. `advance` takes one step: it delivers at most one batch,
or starts one read, or ends the subscription, and schedules itself if there is more to do. It is called by the shard
when the room has new events, and alone after `wake()` or when a requested page has arrived. What a step does depends on
the state, the cursor and the head only:

    state          meaning                                       step
    VALIDATING     the cursor is not compared with the log yet   continue as REPLAYING, or await the head, or fail
    AWAITING_HEAD  the cursor is beyond the known head           none; the head is being read again
    REVALIDATING   the head was read again                       continue as REPLAYING, or fail
    STARTING       no cursor was given                           with demand: send the live marker
    REPLAYING      history up to the head, then the live marker  with demand: send events; at the head the live marker
    LIVE           the live marker was sent                      with demand: send events
    ENDED          nothing is delivered any more                 none

Rules a maintainer must not break. The cursor and the state change before the sink is called, so that a sink may wake
or close from inside `deliver`; if the sink takes nothing, the cursor is set back. Items are always looked up by the
cursor and never queued: so a late page, a missing notification or a second step causes neither a gap nor a repeat.
There is at most one page, pending or filled, and it is requested only while there is demand.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from tidings.hub.errors import CursorBeyondHeadError, TooSlowError
from tidings.hub.log.pages import LogPage
from tidings.hub.log.tail import UNKNOWN_SEQ, LogTail
from tidings.hub.ports import LagPolicy
from tidings.hub.scheduling import ITEMS_PER_COST_UNIT
from tidings.hub.sinks import NULL_SINK, PAUSED, Batch, Sink

T = TypeVar("T")

NO_POSITION = -2  # no subscription has this cursor


class SubscriptionState(Enum):
    """See the table above."""

    VALIDATING = "validating"
    AWAITING_HEAD = "awaiting head"
    REVALIDATING = "revalidating"
    STARTING = "starting"
    REPLAYING = "replaying"
    LIVE = "live"
    ENDED = "ended"


class Transition(Enum):
    """What changes the state."""

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
    """Made by the hub; a `Subscription` for its reader and a `Flushable` for the scheduler."""

    __slots__ = (
        "_epoch",
        "_on_closed",
        "blocked_at",
        "cursor",
        "held_bytes",
        "is_scheduled",
        "lag_policy",
        "owner",
        "page",
        "sink",
        "state",
        "tail",
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
        self.tail = tail
        self.sink = sink
        self.owner = owner
        self.lag_policy = lag_policy
        self.cursor = tail.live_start if after is None else after
        self.state = STARTING if after is None else VALIDATING
        self.page: LogPage[T] | None = None
        self.held_bytes = 0  # of the page while there is no demand; counted for the owner
        self.blocked_at = NO_POSITION  # the cursor at which there was no demand: a flush has nothing to do there
        self.is_scheduled = False
        self._epoch = epoch
        self._on_closed = on_closed

    # called by the reader

    def wake(self) -> None:
        """Demand may have grown. Costs next to nothing when there is nothing to send."""
        if self.state is not ENDED and not self._is_caught_up():
            self.tail.context.scheduler.schedule(self)

    def close(self) -> None:
        """Stop: nothing is delivered afterwards, and a pending page is ignored. Idempotent."""
        if self.state is not ENDED:
            self._stop()

    # called by the hub

    def fail(self, error: Exception) -> None:
        """End the subscription with an error."""
        if self.state is not ENDED:
            self._stop().fail(self.tail.context.translate_error(error))

    def on_head_read(self) -> None:
        """The head was read after the cursor was found beyond it."""
        if self.state is AWAITING_HEAD:
            self._transition(HEAD_READ)
            self.tail.context.scheduler.schedule(self)

    def flush(self) -> int:
        """One step; returns its cost, which grows with the events, because history is encoded for one reader."""
        counters = self.tail.context.counters
        before = counters.deliveries
        try:
            self.advance()
        except Exception:
            self.close()
            raise
        return 1 + (counters.deliveries - before) // ITEMS_PER_COST_UNIT

    def advance(self) -> None:
        """One step, see the module's docstring."""
        tail, page = self.tail, self.page
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
                self._hold_page(self.tail.context.limits.owner_held_bytes_max)
            elif self._is_too_far_behind():
                limit = self.tail.context.limits.close_lag_events
                self.fail(
                    self._too_slow_error(f"the reader fell more than {limit} events behind (hub.close_lag_events)")
                )
            else:
                self._wait_for_demand()

    def _validate_cursor(self) -> bool:
        """Whether the cursor is a position in this log. Fails the subscription if it is not."""
        if self.state is STARTING and self.cursor == UNKNOWN_SEQ:
            self.cursor = self.tail.initial_head
        if self.state is not VALIDATING and self.state is not REVALIDATING:
            return self.state is not AWAITING_HEAD
        error = self.tail.cursor_error(self.cursor, self._epoch)
        if error is None:
            self._transition(CURSOR_VALID)
            return True
        if self.state is VALIDATING and isinstance(error, CursorBeyondHeadError):
            self._transition(CURSOR_BEYOND_HEAD)
            self.tail.recheck_head(self)
        else:
            self.fail(error)
        return False

    def _deliver(self, demand: int) -> None:
        batch = self._next_batch(demand)
        if batch is None:
            return
        self.cursor = batch.last
        self.blocked_at = NO_POSITION
        context = self.tail.context
        context.counters.deliveries += len(batch.items)
        if not self._is_caught_up():
            context.scheduler.schedule(self)
        self.sink.deliver(batch)

    def _next_batch(self, demand: int) -> Batch[T] | None:
        """What follows the cursor. None: it must be read first, and the read was started."""
        tail, limits = self.tail, self.tail.context.limits
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
        limits = self.tail.context.limits
        batch = page.batch(self.cursor, min(demand, limits.batch_events_max), limits.batch_bytes_max)
        if batch is page.gap_batch and batch is not None:
            self.tail.context.counters.gaps_sent += 1
        if batch is None or batch.last == page.last or batch.last + 1 >= self.tail.buffer.first:
            self._release_page()  # all of it is sent, or the rest is in the tail
        return batch

    def _is_caught_up(self) -> bool:
        return self.state is LIVE and self.cursor == self.tail.head

    def _is_too_far_behind(self) -> bool:
        # The reader requested its first backlog, so CLOSE applies once it was live. And only while it has no demand: a
        # burst that it could not take yet is not its fault.
        behind = self.tail.head - self.cursor
        limit = self.tail.context.limits.close_lag_events
        return self.lag_policy is LagPolicy.CLOSE and self.state is LIVE and behind > limit

    def _too_slow_error(self, reason: str) -> TooSlowError:
        return TooSlowError(self.tail.room, self.tail.epoch, max(self.cursor, 0), reason)

    def _wait_for_demand(self) -> None:
        context = self.tail.context
        context.stall_detector.add(self)
        if self.lag_policy is not LagPolicy.CLOSE:
            self.blocked_at = self.cursor
        self._hold_page(context.limits.held_bytes_max)

    def _hold_page(self, bytes_max: int) -> None:
        """Hold the page if it has at most `bytes_max`; otherwise it is read again later."""
        if self.page is None or 0 < self.held_bytes <= bytes_max:
            return
        size = self.page.buffer.bytes
        if size > bytes_max or self.held_bytes:
            self._release_page()
        elif self.tail.context.try_hold(self.owner, size):
            self.held_bytes = size
        else:
            self.page = None

    def _release_page(self) -> None:
        self.page = None
        if self.held_bytes:
            self.tail.context.release(self.owner, self.held_bytes)
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

    # called by the stall detector

    def progress(self) -> int | None:
        """A number that changes with every delivery; None while it does not wait for its reader."""
        if self.state in (AWAITING_HEAD, ENDED) or self._is_caught_up() or not self.tail.is_ready:
            return None
        if self.page is not None and self.page.is_pending:
            return None
        return self.cursor * 2 + (self.state is LIVE)

    def release_buffers(self) -> None:
        """Release the page; its rest is read again when there is demand."""
        self._release_page()

    def end_stalled(self) -> None:
        """Fail: nothing was taken for `stall_seconds`, whatever the lag policy."""
        self.tail.context.counters.stalls_ended += 1
        stall_seconds = self.tail.context.limits.stall_seconds
        self.fail(self._too_slow_error(f"the reader took nothing for {stall_seconds:g} seconds (hub.stall_seconds)"))
