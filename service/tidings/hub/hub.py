"""Who listens to which room.

rooms → one feed each → shards of subscriptions. `notify` appends to the feed, marks its shards and returns; the shards
deliver in later rounds of the loop. Nothing here waits, and nothing is sent from within a call of a speaker, with one
exception: `end` tells those who lost the right to read at once, so that nothing more reaches them.

What the hub does not do: it does not check permissions, it does not store, and it does not know what an event is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from tidings.hub.errors import CursorLost, TooManySubscriptions
from tidings.hub.feed import Doubter, Feed, House
from tidings.hub.laggards import Laggards
from tidings.hub.limits import HubLimits
from tidings.hub.pages import LogReader
from tidings.hub.ports import Clock, Events, Head, Lag, Marks, Read, ReadHead, Schedule, Sink
from tidings.hub.shard import Shard
from tidings.hub.stats import Counts, HubStats
from tidings.hub.subscription import Subscription
from tidings.hub.turns import Turns

T = TypeVar("T")


def weigh_as_chat(_item: object) -> int:
    """256 bytes, an ordinary chat message: for items that do not differ much."""
    return 256


def as_it_is(error: Exception) -> Exception:
    """The error itself."""
    return error


class Room(Generic[T]):
    """A feed and those who listen to it."""

    __slots__ = ("_emptied", "_with_places", "count", "feed", "shards")

    def __init__(self, feed: Feed[T], emptied: Callable[[Room[T]], None]) -> None:
        self.feed = feed
        self.count = 0
        self.shards: dict[Shard[T], None] = {}
        self._with_places: dict[Shard[T], None] = {}
        self._emptied = emptied

    def join(self, sink: Sink[T], *, owner: str, after: int | None, epoch: str, lag: Lag) -> Subscription[T]:
        """A new subscription, in a shard that has a place."""
        shard = next(iter(self._with_places), None)
        if shard is None:
            shard = Shard(self.feed, self._left)
            self.shards[shard] = self._with_places[shard] = None
        subscription = Subscription(self.feed, sink, owner=owner, after=after, epoch=epoch, lag=lag, left=shard.leave)
        shard.subscriptions[subscription] = None
        if len(shard.subscriptions) >= self.feed.house.limits.shard_subscriptions_max:
            del self._with_places[shard]
        self.count += 1
        self.feed.house.counts.subscriptions += 1
        return subscription

    def subscriptions(self) -> list[Subscription[T]]:
        """All of them, as they are now."""
        return [subscription for shard in self.shards for subscription in shard.subscriptions]

    def mark(self) -> None:
        """There is news for everybody."""
        turns = self.feed.house.turns
        for shard in self.shards:
            turns.mark(shard)

    def _left(self, shard: Shard[T]) -> None:
        self._with_places[shard] = None
        if not shard.subscriptions:
            del self._with_places[shard], self.shards[shard]
        self.count -= 1
        self.feed.house.counts.subscriptions -= 1
        if self.count == 0:
            self._emptied(self)


class Hub(Generic[T]):
    """In-memory truth about who is listening.

    `read`, `head`, `schedule`, `clock`: see `ports`. `marks` makes the items that are not events. `weigh` says how many
    bytes an item holds; the limits in bytes are as true as it is. `worded` gives an error the words that readers get.
    """

    def __init__(
        self,
        *,
        read: Read[T],
        head: ReadHead,
        marks: Marks[T],
        schedule: Schedule,
        clock: Clock,
        limits: HubLimits | None = None,
        weigh: Callable[[T], int] = weigh_as_chat,
        worded: Callable[[Exception], Exception] = as_it_is,
    ) -> None:
        limits = limits or HubLimits()
        counts = Counts()
        turns = Turns(schedule, limits.shard_subscriptions_max)
        self._head = head
        self._clock = clock
        self._house = House(
            limits=limits,
            marks=marks,
            weigh=weigh,
            turns=turns,
            log=LogReader(read, limits.reads_max, turns, counts),
            laggards=Laggards(limits.stall_seconds),
            counts=counts,
            ask_head=self._ask_head,
            worded=worded,
        )
        self._rooms: dict[str, Room[T]] = {}
        self._idle: dict[Room[T], float] = {}  # since when nobody listens; the longest first
        self._tails: dict[Feed[T], int] = {}  # bytes of each tail; the feed that was silent longest first
        self._tails_bytes = 0
        self._cooling: dict[Feed[T], None] = {}

    # readers

    def subscribe(
        self, room: str, sink: Sink[T], *, owner: str, after: int | None, epoch: str, lag: Lag
    ) -> Subscription[T]:
        """Deliver the events of `room` after a cursor to `sink`, and a live mark once what was there is sent.

        `after` None: only what happens from now on; then the live mark comes first. 0: from the beginning. `epoch`: of
        the cursor, empty when it shall not be checked. `owner`: whom `end` names.

        Returns at once; everything comes through the sink in later callbacks, refusals too: `TooManySubscriptions`,
        `CursorLost`, `CursorBeyondHead`, later `TooSlow`, and whatever `read` or `head` failed with.
        """
        refusal = self._refusal(room)
        place = self._refused(room, refusal) if refusal else self._rooms.get(room) or self._open(room)
        subscription = place.join(sink, owner=owner, after=after, epoch=epoch, lag=lag)
        self._idle.pop(place, None)
        self._house.turns.mark(subscription)
        return subscription

    def end(self, room: str, owner: str | None, error: Exception) -> None:
        """Fail the subscriptions of `owner` now, before anything more reaches them; None: of everybody, by turns."""
        place = self._rooms.get(room)
        if place is None:
            return
        if owner is None:
            self._lose(place, error)
            return
        for subscription in place.subscriptions():
            if subscription.owner == owner:
                subscription.fail(error)

    def free(self) -> int:
        """How many subscriptions there may be beside those there are."""
        return self._house.limits.subscriptions_max - self._house.counts.subscriptions

    # speakers

    def listens(self, room: str) -> bool:
        """Whether anybody listens to the room, or did lately: else there is no need to tell."""
        return room in self._rooms

    def notify(self, room: str, epoch: str, events: Events[T]) -> None:
        """Events were committed; ascending seqs. A hole is filled from the log, an old event is ignored."""
        place = self._rooms.get(room)
        if place is None or not events or not self._same_log(place, epoch):
            return
        if place.feed.append(events):
            self._account(place.feed)
            place.mark()

    def reach(self, room: str, epoch: str, seq: int) -> None:
        """The log has come to `seq`, its events are not at hand: what readers need is read."""
        place = self._rooms.get(room)
        if place is not None and self._same_log(place, epoch) and place.feed.reach(seq):
            place.mark()

    def amend(self, room: str, seq: int, item: T) -> None:
        """An event was rewritten in the log (a deleted message loses its text): no copy of the old one is kept."""
        place = self._rooms.get(room)
        if place is not None:
            place.feed.amend(seq, item)
            self._account(place.feed)

    # time

    def tick(self, now: float) -> None:
        """End stalled readers, let feeds go that nobody listens to, forget batches that nobody uses. Every second
        or so; costs as much as there are readers behind."""
        self._house.laggards.tick(now)
        limits = self._house.limits
        while self._idle:
            place, since = next(iter(self._idle.items()))
            if now - since < limits.idle_feed_seconds:
                break
            self._drop(place)
        used = self._house.used
        for feed in self._cooling:
            if feed not in used:
                feed.cool()
        self._cooling, self._house.used = used, {}

    @property
    def stats(self) -> HubStats:
        """The counts now."""
        counts = self._house.counts
        return HubStats(
            subscriptions=counts.subscriptions,
            feeds=len(self._rooms),
            tails_bytes=self._tails_bytes,
            reads_in_flight=self._house.log.in_flight,
            events_notified=counts.events_notified,
            deliveries=counts.deliveries,
            batches_made=counts.batches_made,
            reads=counts.reads,
            reads_shared=counts.reads_shared,
            stalls_ended=counts.stalls_ended,
            gaps_sent=counts.gaps_sent,
            measure_lag=self._lag,
        )

    def _lag(self) -> int:
        heads = ((place.feed.head, each.cursor) for place in self._rooms.values() for each in place.subscriptions())
        return max((head - cursor for head, cursor in heads if 0 <= cursor <= head), default=0)

    # feeds come and go

    def _open(self, name: str) -> Room[T]:
        place = self._rooms[name] = Room(Feed(name, self._house), self._emptied)
        self._ask_head(place.feed)
        return place

    def _ask_head(self, feed: Feed[T]) -> None:
        place = self._rooms.get(feed.room)
        if place is None or place.feed is not feed or feed.asking:
            return
        feed.asking = True
        # Only these are answered: who begins to doubt during the read may know of an event later than its answer.
        doubters, feed.doubters = feed.doubters, []
        answered = partial(self._answered, place, doubters)
        try:
            self._head(feed.room, answered)
        except Exception as error:
            answered(error)

    def _answered(self, place: Room[T], doubters: Sequence[Doubter], answer: Head | Exception) -> None:
        feed = place.feed
        feed.asking = False
        if self._rooms.get(feed.room) is not place:
            return
        if isinstance(answer, Exception):
            if not feed.ready:
                self._lose(place, answer)
            for doubter in doubters:
                doubter.fail(answer)
        elif self._same_log(place, answer.epoch):
            feed.open(answer)
            self._account(feed)
            place.mark()
            for doubter in doubters:
                doubter.compare_again()
        if feed.doubters:
            self._ask_head(feed)

    def _same_log(self, place: Room[T], epoch: str) -> bool:
        """Whether `epoch` is the log that the feed follows; if not, the log was replaced and all cursors are lost."""
        if place.feed.error is not None:
            return False
        if not place.feed.is_of(epoch):
            self._lose(
                place, CursorLost(f"the log of {place.feed.room} was replaced; take a page and go on from there")
            )
            return False
        return True

    def _lose(self, place: Room[T], error: Exception) -> None:
        """End everybody, by turns. Who subscribes from now on gets a new feed."""
        if self._rooms.get(place.feed.room) is place:
            place.feed.error = error
            self._drop(place)
            place.mark()

    def _emptied(self, place: Room[T]) -> None:
        if self._rooms.get(place.feed.room) is not place:
            return
        self._idle[place] = self._clock()
        if len(self._idle) > self._house.limits.idle_feeds_max:
            self._drop(next(iter(self._idle)))

    def _drop(self, place: Room[T]) -> None:
        feed = place.feed
        del self._rooms[feed.room]
        self._idle.pop(place, None)
        self._tails_bytes -= self._tails.pop(feed, 0)
        feed.forget()

    def _account(self, feed: Feed[T]) -> None:
        """Keep all tails together within their limit; the feed that was silent longest forgets first."""
        weight = feed.tail.bytes
        self._tails_bytes += weight - self._tails.pop(feed, 0)
        self._tails[feed] = weight
        while self._tails_bytes > self._house.limits.tails_bytes_max:
            silent = next(iter(self._tails))
            self._tails_bytes -= self._tails.pop(silent)
            silent.forget()

    def _refusal(self, room: str) -> TooManySubscriptions | None:
        limits = self._house.limits
        if self._house.counts.subscriptions >= limits.subscriptions_max:
            return TooManySubscriptions(
                f"all {limits.subscriptions_max} subscriptions are taken (hub.subscriptions_max); try again later"
            )
        place = self._rooms.get(room)
        if place is not None and place.count >= limits.room_subscriptions_max:
            return TooManySubscriptions(
                f"all {limits.room_subscriptions_max} subscriptions of {room} are taken (room_subscriptions_max); "
                "try again later"
            )
        return None

    def _refused(self, room: str, error: TooManySubscriptions) -> Room[T]:
        """A room of one, lost from the start: it tells the error in a turn of its own."""
        place = Room(Feed(room, self._house), self._emptied)
        place.feed.error = error
        return place
