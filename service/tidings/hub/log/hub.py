"""Who listens to which room.

rooms → one feed each → shards of subscriptions. `notify` appends to the feed, marks its shards and returns; the shards
deliver in later rounds of the loop. Nothing here waits, and nothing is sent from within a call of a speaker, with one
exception: `unsubscribe` tells those who lost the right to read at once, so that nothing more reaches them.

What the hub does not do: it does not check permissions, it does not store, and it does not know what an event is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Generic, TypeVar

from tidings.hub.errors import CursorLostError, TooManySubscriptionsError
from tidings.hub.limits import HubLimits
from tidings.hub.log.head_checker import HeadChecker
from tidings.hub.log.pages import PageLoader
from tidings.hub.log.shard import Shard
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
    Sink,
)
from tidings.hub.scheduling import FlushScheduler
from tidings.hub.stalls import StallDetector
from tidings.hub.stats import HubCounters, HubStats

T = TypeVar("T")


def default_item_size(_item: object) -> int:
    """256 bytes, an ordinary chat message: for items that do not differ much."""
    return 256


def passthrough(error: Exception) -> Exception:
    """The error itself."""
    return error


class RoomFanout(Generic[T]):
    """A feed and those who listen to it."""

    __slots__ = ("_on_empty", "_open_shards", "shards", "subscription_count", "tail")

    def __init__(self, tail: LogTail[T], on_empty: Callable[[RoomFanout[T]], None]) -> None:
        self.tail = tail
        self.subscription_count = 0
        self.shards: dict[Shard[T], None] = {}
        self._open_shards: dict[Shard[T], None] = {}
        self._on_empty = on_empty

    def subscribe(
        self, sink: Sink[T], *, owner: str, after: int | None, epoch: str, lag_policy: LagPolicy
    ) -> LogSubscription[T]:
        """A new subscription, in a shard that has a place."""
        shard = next(iter(self._open_shards), None)
        if shard is None:
            shard = Shard(self.tail, self._on_subscription_closed)
            self.shards[shard] = self._open_shards[shard] = None
        subscription = LogSubscription(
            self.tail, sink, owner=owner, after=after, epoch=epoch, lag_policy=lag_policy, on_closed=shard.remove
        )
        shard.subscriptions[subscription] = None
        if len(shard.subscriptions) >= self.tail.context.limits.shard_subscriptions_max:
            del self._open_shards[shard]
        self.subscription_count += 1
        self.tail.context.counters.subscriptions += 1
        return subscription

    def subscriptions(self) -> list[LogSubscription[T]]:
        """All of them, as they are now."""
        return [subscription for shard in self.shards for subscription in shard.subscriptions]

    def schedule_flush(self) -> None:
        """There is news for everybody."""
        scheduler = self.tail.context.scheduler
        for shard in self.shards:
            scheduler.schedule(shard)

    def _on_subscription_closed(self, shard: Shard[T]) -> None:
        self._open_shards[shard] = None
        if not shard.subscriptions:
            del self._open_shards[shard], self.shards[shard]
        self.subscription_count -= 1
        self.tail.context.counters.subscriptions -= 1
        if self.subscription_count == 0:
            self._on_empty(self)


class Hub(Generic[T]):
    """In-memory truth about who is listening.

    `read_events`, `read_head`, `read_heads`, `schedule`, `clock`: see `ports`. `on_missed_events` is called when a head
    was read that no notice told of (default: `advance_head`); without `read_heads` heads are not compared.
    `markers` makes the items that are not events. `item_size` says how many bytes an item holds; the limits in bytes
    are as true as it is. `translate_error` gives an error the words that readers get.
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
        self._idle_fanouts: dict[RoomFanout[T], float] = {}  # since when nobody listens; the longest first
        self._bytes_by_tail: dict[LogTail[T], int] = {}  # bytes of each tail; the feed that was silent longest first
        self._tails_bytes = 0
        self._previously_used_tails: dict[LogTail[T], None] = {}

    # readers

    def subscribe(
        self, room: str, sink: Sink[T], *, owner: str, after: int | None, epoch: str, lag_policy: LagPolicy
    ) -> LogSubscription[T]:
        """Deliver the events of `room` after a cursor to `sink`, and a live mark once what was there is sent.

        `after` None: only what happens from now on; then the live mark comes first. 0: from the beginning. `epoch`: of
        the cursor, empty when it shall not be checked. `owner`: whom `unsubscribe` names.

        Returns at once; everything comes through the sink in later callbacks, refusals too:
        `TooManySubscriptionsError`,
        `CursorLostError`, `CursorBeyondHeadError`, later `TooSlowError`, and whatever `read_events` or `read_head`
        failed with.
        """
        error = self._limit_error(room)
        fanout = self._rejected_fanout(room, error) if error else self._fanouts.get(room) or self._open_fanout(room)
        subscription = fanout.subscribe(sink, owner=owner, after=after, epoch=epoch, lag_policy=lag_policy)
        self._idle_fanouts.pop(fanout, None)
        self._context.scheduler.schedule(subscription)
        return subscription

    def unsubscribe(self, room: str, owner: str | None, error: Exception) -> None:
        """Fail the subscriptions of `owner` now, before anything more reaches them; None: of everybody, by turns."""
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
        """Who has subscriptions of the room. Looks at every one of them."""
        fanout = self._fanouts.get(room)
        return set() if fanout is None else {subscription.owner for subscription in fanout.subscriptions()}

    def available_subscriptions(self) -> int:
        """How many subscriptions there may be beside those there are."""
        return self._context.limits.subscriptions_max - self._context.counters.subscriptions

    # speakers

    def has_subscribers(self, room: str) -> bool:
        """Whether anybody listens to the room, or did lately: else there is no need to tell."""
        return room in self._fanouts

    def notify(self, room: str, epoch: str, events: Events[T]) -> None:
        """Events were committed; ascending seqs. A hole is filled from the log, an old event is ignored."""
        fanout = self._fanouts.get(room)
        if fanout is None or not events or not self._check_epoch(fanout, epoch):
            return
        if fanout.tail.append(events):
            self._enforce_memory_limit(fanout.tail)
            fanout.schedule_flush()

    def advance_head(self, room: str, epoch: str, seq: int, first: int | None = None) -> None:
        """The log has come to `seq`, its events from `first` on are not at hand: what readers need is read.

        `first` None: the only event, `seq`, or it is unknown.
        """
        fanout = self._fanouts.get(room)
        if fanout is None or not self._check_epoch(fanout, epoch):
            return
        if fanout.tail.advance_head(seq, seq if first is None else first):
            self._enforce_memory_limit(fanout.tail)
            fanout.schedule_flush()

    def discard_events(self, room: str, seqs: Collection[int]) -> None:
        """Events were rewritten and the new ones are not at hand: no old copy is kept, they are read when needed."""
        fanout = self._fanouts.get(room)
        if fanout is not None:
            fanout.tail.discard_events(seqs)
            self._enforce_memory_limit(fanout.tail)

    def replace_event(self, room: str, seq: int, item: T) -> None:
        """An event was rewritten in the log (a deleted message loses its text): no copy of the old one is kept."""
        fanout = self._fanouts.get(room)
        if fanout is not None:
            fanout.tail.replace_event(seq, item)
            self._enforce_memory_limit(fanout.tail)

    # time

    def tick(self, now: float) -> None:
        """End stalled readers, let feeds go that nobody listens to, forget batches that nobody uses. Every second
        or so; costs as much as there are readers behind."""
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

    # feeds come and go

    def _open_fanout(self, name: str) -> RoomFanout[T]:
        fanout = self._fanouts[name] = RoomFanout(LogTail(name, self._context), self._on_empty)
        self._request_head(fanout.tail)
        return fanout

    def _request_head(self, tail: LogTail[T]) -> None:
        fanout = self._fanouts.get(tail.room)
        if fanout is None or fanout.tail is not tail or tail.is_reading_head:
            return
        tail.is_reading_head = True
        # Only these are answered: who begins to doubt during the read may know of an event later than its answer.
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
        """The log is further than the tail, or it is another one; the notices of that were lost."""
        fanout = self._fanouts.get(tail.room)
        if fanout is None or fanout.tail is not tail:
            return
        self._context.counters.heads_corrected += 1
        if self._check_epoch(fanout, "" if head is None else head.epoch) and head is not None:
            self._on_missed_events(tail.room, head.epoch, head.seq)

    def _check_epoch(self, fanout: RoomFanout[T], epoch: str) -> bool:
        """Whether `epoch` is the log that the feed follows; if not, the log was replaced and all cursors are lost."""
        if fanout.tail.error is not None:
            return False
        if not fanout.tail.matches_epoch(epoch):
            self._fail_fanout(
                fanout, CursorLostError(f"the log of {fanout.tail.room} was replaced; take a page and go on from there")
            )
            return False
        return True

    def _fail_fanout(self, fanout: RoomFanout[T], error: Exception) -> None:
        """End everybody, by turns. Who subscribes from now on gets a new feed."""
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
        """Keep all tails together within their limit; the feed that was silent longest forgets first."""
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
                f"all {limits.subscriptions_max} subscriptions are taken (hub.subscriptions_max); try again later"
            )
        fanout = self._fanouts.get(room)
        if fanout is not None and fanout.subscription_count >= limits.room_subscriptions_max:
            return TooManySubscriptionsError(
                f"all {limits.room_subscriptions_max} subscriptions of {room} are taken (room_subscriptions_max); "
                "try again later"
            )
        return None

    def _rejected_fanout(self, room: str, error: TooManySubscriptionsError) -> RoomFanout[T]:
        """A room of one, lost from the start: it tells the error in a turn of its own."""
        fanout = RoomFanout(LogTail(room, self._context), self._on_empty)
        fanout.tail.error = error
        return fanout
