"""A few subscriptions of one room that are flushed together."""

from __future__ import annotations

from collections.abc import Callable
from sys import maxsize
from typing import Generic, TypeVar

from tidings.hub.batch import Batch
from tidings.hub.feed import Feed
from tidings.hub.subscription import LIVE, NOWHERE, Subscription

T = TypeVar("T")


class Shard(Generic[T]):
    """A `Part`: marked when its room has news."""

    __slots__ = ("feed", "leave", "marked", "subscriptions")

    leave: Callable[[Subscription[T]], None]

    def __init__(self, feed: Feed[T], left: Callable[[Shard[T]], None]) -> None:
        self.feed = feed
        self.marked = False
        self.subscriptions: dict[Subscription[T], None] = {}

        def leave(subscription: Subscription[T]) -> None:
            del self.subscriptions[subscription]
            left(self)
            if not self.subscriptions:
                self.leave = _gone  # an empty shard is not used again, and would refer to itself

        # Made once for all its subscriptions: a bound method for each would cost 64 bytes.
        self.leave = leave

    def flush(self) -> int:
        """Bring every reader up to date, as far as it takes; how many were visited.

        The common case is a live reader at the cursor of its neighbours with enough demand: it gets the batch they
        got, in one call that asks and takes. That path is written out here, since it is what a message costs per
        reader; everything else is a visit.
        """
        feed = self.feed
        subscriptions = tuple(self.subscriptions)  # sinks may close while we walk
        head = feed.head
        fast = feed.ready and feed.error is None
        fast_events_max = feed.house.limits.latest_lag_events  # further behind, a lag policy may have a say
        cursor, last, size = NOWHERE, NOWHERE, 0
        batch: Batch[T] | None = None
        delivered = 0
        subscription: Subscription[T] | None = None
        try:
            for subscription in subscriptions:
                if fast:
                    at, sink = subscription.cursor, subscription.sink
                    if at == subscription.parked_at and sink.demand() <= 0:
                        continue
                    if subscription.state is LIVE:
                        if at != cursor:
                            if at == head:
                                continue
                            cursor = at
                            batch = feed.batch(at, maxsize) if head - at <= fast_events_max else None
                            last, size = (batch.last, len(batch.items)) if batch is not None else (at, 0)
                        if batch is not None:
                            subscription.cursor = last
                            if sink.deliver(batch):
                                delivered += size
                                if last != head:
                                    feed.house.turns.mark(subscription)
                                continue
                            subscription.cursor = at
                subscription.visit()
        except Exception:
            if subscription is not None:
                subscription.close()
            feed.house.turns.mark(self)  # the neighbours still wait
            raise
        finally:
            feed.house.counts.deliveries += delivered
        return len(subscriptions)


def _gone(_subscription: object) -> None:
    """The last one has left."""
