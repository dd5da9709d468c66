"""The subscriptions of all rooms.

Each room has a `RoomFanout`: a tail and shards of subscriptions. `notify` appends to the tail, schedules the shards and
returns; the shards deliver in later iterations of the event loop. Nothing here waits, and the sender's call delivers
nothing, with one exception: `unsubscribe` fails the subscriptions of a user at once, so that no further event reaches
someone who lost access.

The hub does not check permissions, does not store, and does not know what an event is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Generic, TypeVar

from tidings.hub.errors import CursorLostError, TooManySubscriptionsError
from tidings.hub.limits import HubLimits
from tidings.hub.log.fanout import RoomFanout
from tidings.hub.log.head_checker import HeadChecker
from tidings.hub.log.pages import PageLoader
from tidings.hub.log.subscription import LogSubscription
from tidings.hub.log.tail import HeadWaiter, HubContext, LogTail
from tidings.hub.ports import (
    Clock,
    Events,
    LagPolicy,
    LogHead,
    MarkerFactory,
    MissedEvents,
    ReadEvents,
    ReadHead,
    ReadHeads,
    Schedule,
)
from tidings.hub.scheduling import FlushScheduler
from tidings.hub.sinks import Sink
from tidings.hub.stalls import StallDetector
from tidings.hub.stats import HubCounters, HubStats

T = TypeVar("T")


def default_item_size(_item: object) -> int:
    """256 bytes, an ordinary chat message: for items of similar size."""
    return 256


def passthrough(error: Exception) -> Exception:
    """Return the error unchanged."""
    return error


class Hub(Generic[T]):
    """Fan-out of rooms' logs to subscriptions.

    `read_events`, `read_head`, `read_heads`, `schedule`, `clock`: see `ports`. `on_missed_events` is called when a head
    was read of which there was no notification (default: `advance_head`); without `read_heads` heads are not compared.
    `markers` makes the items that are not events. `item_size` returns the bytes of an item, which the limits in bytes
    add up. `translate_error` maps an error of the hub or the log to the one that readers get.
    """

    def __init__(
        self,
        *,
        read_events: ReadEvents[T],
        read_head: ReadHead,
        read_heads: ReadHeads | None = None,
        on_missed_events: MissedEvents | None = None,
        markers: MarkerFactory[T],
        schedule: Schedule,
        clock: Clock,
        limits: HubLimits | None = None,
        item_size: Callable[[T], int] = default_item_size,
        translate_error: Callable[[Exception], Exception] = passthrough,
    ) -> None:
        limits = limits or HubLimits()
        counters = HubCounters()
        scheduler = FlushScheduler(schedule, limits.shard_subscriptions_max)
        self._read_head = read_head
        self._clock = clock
        self._context = HubContext(
            limits=limits,
            markers=markers,
            item_size=item_size,
            scheduler=scheduler,
            page_loader=PageLoader(read_events, limits.reads_max, scheduler, counters),
            stall_detector=StallDetector(limits.stall_seconds),
            counters=counters,
            request_head=self._request_head,
            translate_error=translate_error,
        )
        self._on_missed_events = on_missed_events or self.advance_head
        self._head_checker: HeadChecker[T] | None = (
            None if read_heads is None else HeadChecker(limits, read_heads, self._on_behind)
        )
        self._fanouts: dict[str, RoomFanout[T]] = {}
        self._idle_fanouts: dict[RoomFanout[T], float] = {}  # since when they have no subscription; the longest first
        self._bytes_by_tail: dict[LogTail[T], int] = {}  # the tail without new events for longest first
        self._tails_bytes = 0
        self._previously_used_tails: dict[LogTail[T], None] = {}

    # called for readers

    def subscribe(
        self, room: str, sink: Sink[T], *, owner: str, after: int | None, epoch: str, lag_policy: LagPolicy
    ) -> LogSubscription[T]:
        """Deliver the events of `room` after a cursor to `sink`, and a live marker after those that exist already.

        `after`: the cursor's seq; 0 is the beginning, None is "from now on": the live marker comes first. `epoch`: of
        the cursor; empty is not checked. `owner`: the user for `unsubscribe`.

        Returns at once. Everything is delivered in later callbacks, errors as well: `TooManySubscriptionsError`,
        `CursorLostError`, `CursorBeyondHeadError`, `TooSlowError`, and errors of `read_events` and `read_head`.
        """
        error = self._limit_error(room)
        fanout = self._rejected_fanout(room, error) if error else self._fanouts.get(room) or self._open_fanout(room)
        subscription = fanout.subscribe(sink, owner=owner, after=after, epoch=epoch, lag_policy=lag_policy)
        self._idle_fanouts.pop(fanout, None)
        self._context.scheduler.schedule(subscription)
        return subscription

    def unsubscribe(self, room: str, owner: str | None, error: Exception) -> None:
        """Fail the subscriptions of `owner` now, before they get another event; None: all, in later callbacks."""
        fanout = self._fanouts.get(room)
        if fanout is None:
            return
        if owner is None:
            self._fail_fanout(fanout, error)
            return
        for subscription in fanout.subscriptions():
            if subscription.owner == owner:
                subscription.fail(error)

    def owners(self, room: str) -> set[str]:
        """The owners of the room's subscriptions. Visits every one of them."""
        fanout = self._fanouts.get(room)
        return set() if fanout is None else {subscription.owner for subscription in fanout.subscriptions()}

    def available_subscriptions(self) -> int:
        """How many more subscriptions are allowed."""
        return self._context.limits.subscriptions_max - self._context.counters.subscriptions

    # called for senders

    def has_subscribers(self, room: str) -> bool:
        """Whether the room has subscriptions or had some lately. Without, `notify` does nothing."""
        return room in self._fanouts

    def notify(self, room: str, epoch: str, events: Events[T]) -> None:
        """Events were committed, with ascending seqs. Missing ones are read from the log, old ones are ignored."""
        fanout = self._fanouts.get(room)
        if fanout is None or not events or not self._check_epoch(fanout, epoch):
            return
        if fanout.tail.append(events):
            self._enforce_memory_limit(fanout.tail)
            fanout.schedule_flush()

    def advance_head(self, room: str, epoch: str, seq: int, first: int | None = None) -> None:
        """The log has reached `seq`; its events from `first` on are not at hand and are read as needed.

        `first` None: `seq` is the only event, or it is unknown.
        """
        fanout = self._fanouts.get(room)
        if fanout is None or not self._check_epoch(fanout, epoch):
            return
        if fanout.tail.advance_head(seq, seq if first is None else first):
            self._enforce_memory_limit(fanout.tail)
            fanout.schedule_flush()

    def discard_events(self, room: str, seqs: Collection[int]) -> None:
        """Events were replaced; the new ones are not at hand. Old copies are dropped, the new ones read as needed."""
        fanout = self._fanouts.get(room)
        if fanout is not None:
            fanout.tail.discard_events(seqs)
            self._enforce_memory_limit(fanout.tail)

    def replace_event(self, room: str, seq: int, item: T) -> None:
        """An event was replaced in the log (a deleted message loses its text): no copy of the old one is kept."""
        fanout = self._fanouts.get(room)
        if fanout is not None:
            fanout.tail.replace_event(seq, item)
            self._enforce_memory_limit(fanout.tail)

    # time

    def tick(self, now: float) -> None:
        """End stalled subscriptions, remove idle rooms, drop unused batches. Call it about once a second.

        Costs as much as there are subscriptions without demand.
        """
        self._context.stall_detector.tick(now)
        limits = self._context.limits
        while self._idle_fanouts:
            fanout, since = next(iter(self._idle_fanouts.items()))
            if now - since < limits.idle_room_seconds:
                break
            self._remove_fanout(fanout)
        used = self._context.used_tails
        for tail in self._previously_used_tails:
            if tail not in used:
                tail.drop_batches()
        self._previously_used_tails, self._context.used_tails = used, {}
        if self._head_checker is not None:
            self._head_checker.tick(now, lambda: [fanout.tail for fanout in self._fanouts.values()])

    @property
    def stats(self) -> HubStats:
        """The counts now."""
        counters = self._context.counters
        return HubStats(
            subscriptions=counters.subscriptions,
            active_rooms=len(self._fanouts),
            tails_bytes=self._tails_bytes,
            reads_in_flight=self._context.page_loader.reads_in_flight,
            events_notified=counters.events_notified,
            deliveries=counters.deliveries,
            batches_made=counters.batches_made,
            reads=counters.reads,
            reads_shared=counters.reads_shared,
            stalls_ended=counters.stalls_ended,
            gaps_sent=counters.gaps_sent,
            heads_corrected=counters.heads_corrected,
            measure_max_lag=self._max_lag_events,
        )

    def _max_lag_events(self) -> int:
        heads = (
            (fanout.tail.head, each.cursor) for fanout in self._fanouts.values() for each in fanout.subscriptions()
        )
        return max((head - cursor for head, cursor in heads if 0 <= cursor <= head), default=0)

    # rooms

    def _open_fanout(self, name: str) -> RoomFanout[T]:
        fanout = self._fanouts[name] = RoomFanout(LogTail(name, self._context), self._on_empty)
        self._request_head(fanout.tail)
        return fanout

    def _request_head(self, tail: LogTail[T]) -> None:
        fanout = self._fanouts.get(tail.room)
        if fanout is None or fanout.tail is not tail or tail.is_reading_head:
            return
        tail.is_reading_head = True
        # Only these: a subscription that starts to wait during the read may have a cursor newer than its result.
        waiters, tail.head_waiters = tail.head_waiters, []
        on_done = partial(self._on_head_read, fanout, waiters)
        try:
            self._read_head(tail.room, on_done)
        except Exception as error:
            on_done(error)

    def _on_head_read(self, fanout: RoomFanout[T], waiters: Sequence[HeadWaiter], result: LogHead | Exception) -> None:
        tail = fanout.tail
        tail.is_reading_head = False
        if self._fanouts.get(tail.room) is not fanout:
            return
        if isinstance(result, Exception):
            if not tail.is_ready:
                self._fail_fanout(fanout, result)
            for waiter in waiters:
                waiter.fail(result)
        elif self._check_epoch(fanout, result.epoch):
            was_behind = tail.is_ready and result.seq > tail.head
            tail.set_head(result)
            if was_behind:
                self._on_missed_events(tail.room, result.epoch, result.seq)
            self._enforce_memory_limit(tail)
            fanout.schedule_flush()
            for waiter in waiters:
                waiter.on_head_read()
        if tail.head_waiters:
            self._request_head(tail)

    def _on_behind(self, tail: LogTail[T], head: LogHead | None) -> None:
        """The log is ahead of the tail, or has another epoch; the notifications were lost."""
        fanout = self._fanouts.get(tail.room)
        if fanout is None or fanout.tail is not tail:
            return
        self._context.counters.heads_corrected += 1
        if self._check_epoch(fanout, "" if head is None else head.epoch) and head is not None:
            self._on_missed_events(tail.room, head.epoch, head.seq)

    def _check_epoch(self, fanout: RoomFanout[T], epoch: str) -> bool:
        """Whether `epoch` is the epoch of the tail. If not, the log was replaced: all cursors are lost."""
        if fanout.tail.error is not None:
            return False
        if not fanout.tail.matches_epoch(epoch):
            self._fail_fanout(
                fanout,
                CursorLostError(f"the log of {fanout.tail.room} was replaced; fetch a page and continue from the head"),
            )
            return False
        return True

    def _fail_fanout(self, fanout: RoomFanout[T], error: Exception) -> None:
        """End all subscriptions, in later callbacks. A later `subscribe` opens the room again."""
        if self._fanouts.get(fanout.tail.room) is fanout:
            fanout.tail.error = error
            self._remove_fanout(fanout)
            fanout.schedule_flush()

    def _on_empty(self, fanout: RoomFanout[T]) -> None:
        if self._fanouts.get(fanout.tail.room) is not fanout:
            return
        self._idle_fanouts[fanout] = self._clock()
        if len(self._idle_fanouts) > self._context.limits.idle_rooms_max:
            self._remove_fanout(next(iter(self._idle_fanouts)))

    def _remove_fanout(self, fanout: RoomFanout[T]) -> None:
        tail = fanout.tail
        del self._fanouts[tail.room]
        self._idle_fanouts.pop(fanout, None)
        self._tails_bytes -= self._bytes_by_tail.pop(tail, 0)
        tail.clear()

    def _enforce_memory_limit(self, tail: LogTail[T]) -> None:
        """Keep all tails within `tails_bytes_max`; the one without new events for longest is cleared first."""
        size = tail.buffer.bytes
        self._tails_bytes += size - self._bytes_by_tail.pop(tail, 0)
        self._bytes_by_tail[tail] = size
        while self._tails_bytes > self._context.limits.tails_bytes_max:
            oldest = next(iter(self._bytes_by_tail))
            self._tails_bytes -= self._bytes_by_tail.pop(oldest)
            oldest.clear()

    def _limit_error(self, room: str) -> TooManySubscriptionsError | None:
        limits = self._context.limits
        if self._context.counters.subscriptions >= limits.subscriptions_max:
            return TooManySubscriptionsError(
                f"all {limits.subscriptions_max} subscriptions are in use (hub.subscriptions_max); try again later"
            )
        fanout = self._fanouts.get(room)
        if fanout is not None and fanout.subscription_count >= limits.room_subscriptions_max:
            return TooManySubscriptionsError(
                f"all {limits.room_subscriptions_max} subscriptions of {room} are in use (hub.room_subscriptions_max); "
                "try again later"
            )
        return None

    def _rejected_fanout(self, room: str, error: TooManySubscriptionsError) -> RoomFanout[T]:
        """A room outside the table that has failed already: its one subscription gets the error in a later callback."""
        fanout = RoomFanout(LogTail(room, self._context), self._on_empty)
        fanout.tail.error = error
        return fanout
