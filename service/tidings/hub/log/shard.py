"""A few subscriptions of one room that are flushed together."""

from __future__ import annotations

from collections.abc import Callable
from sys import maxsize
from typing import Generic, TypeVar

from tidings.hub.log.subscription import LIVE, NO_POSITION, LogSubscription
from tidings.hub.log.tail import LogTail
from tidings.hub.sinks import Batch

T = TypeVar("T")


class Shard(Generic[T]):
    """A `Flushable`, scheduled when its room has new events."""

    __slots__ = ("is_scheduled", "remove", "subscriptions", "tail")

    remove: Callable[[LogSubscription[T]], None]

    def __init__(self, tail: LogTail[T], on_subscription_closed: Callable[[Shard[T]], None]) -> None:
        self.tail = tail
        self.is_scheduled = False
        self.subscriptions: dict[LogSubscription[T], None] = {}

        def remove(subscription: LogSubscription[T]) -> None:
            del self.subscriptions[subscription]
            on_subscription_closed(self)
            if not self.subscriptions:
                self.remove = _ignore  # an empty shard is not used again; this breaks its reference to itself

        # Made once for all its subscriptions: a bound method for each would cost 64 bytes.
        self.remove = remove

    def flush(self) -> int:
        """Deliver to every subscription as far as it has demand; returns how many there are.

        The common case is a live subscription with enough demand at the same cursor as its neighbours: it gets their
        batch in one call. That path is written out here, because it is the cost of a message per reader; everything
        else goes through `advance`.
        """
        tail = self.tail
        subscriptions = tuple(self.subscriptions)  # sinks may close during the loop
        head = tail.head
        is_fast = tail.is_ready and tail.error is None
        fast_lag_events_max = tail.context.limits.latest_lag_events  # further behind, a lag policy may have a say
        cursor, last, item_count = NO_POSITION, NO_POSITION, 0
        batch: Batch[T] | None = None
        delivered = 0
        subscription: LogSubscription[T] | None = None
        try:
            for subscription in subscriptions:
                if is_fast:
                    position, sink = subscription.cursor, subscription.sink
                    if position == subscription.blocked_at and sink.demand() <= 0:
                        continue
                    if subscription.state is LIVE:
                        if position != cursor:
                            if position == head:
                                continue
                            cursor = position
                            batch = tail.batch(position, maxsize) if head - position <= fast_lag_events_max else None
                            last, item_count = (batch.last, len(batch.items)) if batch is not None else (position, 0)
                        if batch is not None:
                            subscription.cursor = last
                            if sink.deliver(batch):
                                delivered += item_count
                                if last != head:
                                    tail.context.scheduler.schedule(subscription)
                                continue
                            subscription.cursor = position
                subscription.advance()
        except Exception:
            if subscription is not None:
                subscription.close()
            tail.context.scheduler.schedule(self)  # the other subscriptions still wait
            raise
        finally:
            tail.context.counters.deliveries += delivered
        return len(subscriptions)


def _ignore(_subscription: object) -> None:
    """The shard is empty."""
