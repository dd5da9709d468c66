"""The latest value of every key, for subscriptions that all want all of them (log compaction, as in Kafka).

A compacted log keeps each key once: writing a key again moves it to the end under a new version. A subscription is a
position in it and gets what lies after that position, oldest first. So a reader that takes nothing costs one number
however much changes, gets the latest value of each key when it reads on, and never a backlog. Subscriptions at the same
position share one batch.

`KeyChangeHub` is for subscriptions that want different keys: it keeps a set for each. Five hundred readers of the same
five hundred keys would cost it 250,000 entries.

    SNAPSHOT   the values at the time of the subscription, then the live marker
    LIVE       changes
    ENDED      nothing

Invariant: versions only grow, and the entries lie in their order.
"""

from collections.abc import Callable
from enum import Enum
from itertools import takewhile
from typing import Final, Generic, TypeVar

from tidings.hub.latest.key_subscription import LiveMarkerFactory
from tidings.hub.scheduling import FlushScheduler
from tidings.hub.sinks import NULL_SINK, Batch, Sink

T = TypeVar("T")

BATCH_ITEMS_MAX: Final = 64  # one step for one reader: 1 ms in JSON
CACHED_BATCHES_MAX: Final = 8  # readers stand at few positions at a time; where they stand is theirs to choose


class SnapshotState(Enum):
    """The phase of a subscription."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    ENDED = "ended"


class CompactedLogSubscription(Generic[T]):
    """One position in a compacted log: a `Subscription` for its transport, a `Flushable` for the scheduler."""

    __slots__ = ("_compacted_log", "_sink", "_snapshot_version", "_state", "cursor", "is_scheduled", "owner")

    def __init__(self, compacted_log: "CompactedLog[T]", sink: Sink[T], owner: str, after: int) -> None:
        self.owner = owner
        self.cursor = after
        self.is_scheduled = False
        self._compacted_log = compacted_log
        self._sink = sink
        self._state = SnapshotState.SNAPSHOT
        self._snapshot_version = compacted_log.version

    def wake(self) -> None:
        """Demand may have grown."""
        if self._state is SnapshotState.SNAPSHOT or self.cursor < self._compacted_log.version:
            self._compacted_log.scheduler.schedule(self)

    def close(self) -> None:
        """The reader is gone."""
        if self._state is not SnapshotState.ENDED:
            self._stop()

    def fail(self, error: Exception) -> None:
        """Nothing more comes."""
        if self._state is not SnapshotState.ENDED:
            self._stop().fail(error)

    def flush(self) -> int:
        """Send what the reader takes, as one batch."""
        if self._state is SnapshotState.ENDED:
            return 1
        try:
            demand = self._sink.demand()
            if demand > 0:
                self._serve(demand)
        except Exception:
            self.close()
            raise
        return 1

    def _serve(self, demand: int) -> None:
        limit = self._snapshot_version if self._state is SnapshotState.SNAPSHOT else self._compacted_log.version
        batch = self._compacted_log.batch(self.cursor, limit, BATCH_ITEMS_MAX)
        if batch is not None and len(batch.items) > demand:
            # Only now: the whole run is what neighbours share, however different their demand.
            batch = self._compacted_log.batch(self.cursor, limit, demand)
        if batch is None:
            if self._state is SnapshotState.LIVE:
                return
            self._state = SnapshotState.LIVE
            batch = self._compacted_log.live_batch(self._snapshot_version)
        self.cursor = batch.last
        self.wake()
        self._sink.deliver(batch)

    def _stop(self) -> Sink[T]:
        sink, self._sink = self._sink, NULL_SINK
        self._state = SnapshotState.ENDED
        self._compacted_log.remove_subscription(self)
        return sink


class CompactedLog(Generic[T]):
    """The entries and their subscriptions.

    `epoch` names the versions, `next_version` gives the next one: compacted logs of the same epoch share it, so that a
    cursor is never mistaken for one of a later compacted log. `make_item(epoch, version, body)` makes what is
    delivered of an entry, `make_live_marker(epoch, version)` the marker behind a snapshot. `on_empty` is called when
    the last subscription ends.
    """

    def __init__(
        self,
        *,
        epoch: str,
        next_version: Callable[[], int],
        scheduler: FlushScheduler,
        make_item: Callable[[str, int, bytes], T],
        make_live_marker: LiveMarkerFactory[T],
        on_empty: Callable[[], None],
    ) -> None:
        self.scheduler = scheduler
        self.version = self._floor = next_version()
        self._epoch = epoch
        self._next_version = next_version
        self._make_item = make_item
        self._make_live_marker = make_live_marker
        self._on_empty = on_empty
        # key → (version, item), by version.
        self._entries: dict[str, tuple[int, T]] = {}
        self._subscriptions: dict[CompactedLogSubscription[T], None] = {}
        self._cached_batches: dict[tuple[int, int, int], Batch[T] | None] = {}

    def put(self, key: str, body: bytes) -> None:
        """The value of `key` is now `body`."""
        self._entries.pop(key, None)
        self.version = self._next_version()
        self._entries[key] = (self.version, self._make_item(self._epoch, self.version, body))
        self._cached_batches.clear()
        for subscription in self._subscriptions:
            self.scheduler.schedule(subscription)

    def remove(self, key: str) -> None:
        """Drop this key, without a notice. Subscriptions that resume from before its last change get a full
        snapshot."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._floor = max(self._floor, entry[0])
            self._cached_batches.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def subscribe(self, sink: Sink[T], *, owner: str, after: int, epoch: str) -> CompactedLogSubscription[T]:
        """A new subscription; the cursor (`epoch`, `after`) counts if nothing behind it was removed since."""
        is_resumed = epoch == self._epoch and self._floor <= after <= self.version
        subscription = CompactedLogSubscription(self, sink, owner, after if is_resumed else 0)
        self._subscriptions[subscription] = None
        self.scheduler.schedule(subscription)
        return subscription

    def owners(self) -> set[str]:
        """Who has subscriptions."""
        return {subscription.owner for subscription in self._subscriptions}

    def end_subscriptions(self, owner: str, error: Exception) -> None:
        """Fail the subscriptions of this user, who may read no longer."""
        for subscription in list(self._subscriptions):
            if subscription.owner == owner:
                subscription.fail(error)

    @property
    def subscription_count(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    # called by subscriptions

    def batch(self, after: int, limit: int, items_max: int) -> Batch[T] | None:
        """The entries with versions from `after` to `limit`, the oldest so many of them; None when there are none."""
        key = (after, limit, items_max)
        if key not in self._cached_batches:
            if len(self._cached_batches) >= CACHED_BATCHES_MAX:
                del self._cached_batches[next(iter(self._cached_batches))]
            newer = takewhile(lambda entry: entry[0] > after, reversed(self._entries.values()))
            found = [entry for entry in newer if entry[0] <= limit][: -items_max - 1 : -1]
            items = [item for _, item in found]
            self._cached_batches[key] = Batch(items, after + 1, found[-1][0]) if found else None
        return self._cached_batches[key]

    def live_batch(self, version: int) -> Batch[T]:
        """The marker that the snapshot is complete."""
        return Batch([self._make_live_marker(self._epoch, version)], version + 1, version)

    def remove_subscription(self, subscription: CompactedLogSubscription[T]) -> None:
        """A subscription ended."""
        del self._subscriptions[subscription]
        if not self._subscriptions:
            self._on_empty()
