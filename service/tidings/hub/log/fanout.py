"""The fan-out of one room: the tail of its log and its subscriptions, in shards that are flushed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.hub.log.shard import Shard
from tidings.hub.log.subscription import LogSubscription
from tidings.hub.log.tail import LogTail
from tidings.hub.ports import LagPolicy
from tidings.hub.sinks import Sink

T = TypeVar("T")


class RoomFanout(Generic[T]):
    """The tail of a room's log and its subscriptions."""

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
        """A new subscription, in a shard that is not full."""
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
        """A copy of the list of all subscriptions."""
        return [subscription for shard in self.shards for subscription in shard.subscriptions]

    def schedule_flush(self) -> None:
        """Schedule all shards."""
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
