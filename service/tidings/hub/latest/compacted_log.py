"""The latest state of everything in one room, for readers who all want all of it.

The theory. A compacted log is a log in which each key is kept once: writing a key again moves it to the end under a new
version. A reader is a position in it, like a reader of a room's log, and gets what lies after its position, oldest
first. So a reader who takes nothing costs one number however much changes, gets the latest state of each key when it
comes back, and never a backlog; and readers at the same position share one batch.

(The hub's `KeyChangeHub` is for readers with interests of their own: it keeps a set for each. Five hundred people who look at
the same five hundred would cost it a quarter of a million entries.)

    SNAPSHOT   what was there when the reader came, then the live mark
    LIVE       what changes
    ENDED      nothing any more

The rule a maintainer must not break: versions only grow, and the entries lie in their order.
"""

from collections.abc import Callable
from enum import Enum
from itertools import takewhile
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.domain.common.items import encode_cursor, live_item
from tidings.hub import Batch, Sink
from tidings.hub.nobody import NULL_SINK
from tidings.hub.scheduling import FlushScheduler

BATCH_ITEMS_MAX: Final = 64  # one step for one reader: 1 ms in JSON
CACHED_BATCHES_MAX: Final = 8  # readers stand at few positions at a time; where they stand is theirs to choose

Item = PreparedMessage[v1.PresenceItem]


class SnapshotState(Enum):
    """Where a reader is."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    ENDED = "ended"


class CompactedLogSubscription:
    """One reader: a `Subscription` for its transport, a `Flushable` for the turns."""

    __slots__ = ("_compacted_log", "_sink", "_snapshot_version", "_state", "cursor", "is_scheduled", "owner")

    def __init__(self, compacted_log: "CompactedLog", sink: Sink[Any], owner: str, after: int) -> None:
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

    def _stop(self) -> Sink[Any]:
        sink, self._sink = self._sink, NULL_SINK
        self._state = SnapshotState.ENDED
        self._compacted_log.remove_subscription(self)
        return sink


class CompactedLog:
    """The entries and the readers.

    `epoch` names the versions, `next_version` gives the next one: compacted logs of the same epoch share it, so that a cursor
    is never mistaken for one of a later compacted log. `on_empty` is called when the last reader leaves.
    """

    def __init__(
        self, *, epoch: str, next_version: Callable[[], int], scheduler: FlushScheduler, on_empty: Callable[[], None]
    ) -> None:
        self.scheduler = scheduler
        self.version = self._floor = next_version()
        self._epoch = epoch
        self._next_version = next_version
        self._on_empty = on_empty
        # key → (version, item), by version.
        self._entries: dict[str, tuple[int, Item]] = {}
        self._subscriptions: dict[CompactedLogSubscription, None] = {}
        self._cached_batches: dict[tuple[int, int, int], Batch[Item] | None] = {}

    def put(self, key: str, body: bytes) -> None:
        """The state of `key` is now `body`: the bytes of a PresenceItem without its cursor."""
        self._entries.pop(key, None)
        self.version = self._next_version()
        self._entries[key] = (
            self.version,
            PreparedMessage(v1.PresenceItem, encode_cursor(self._epoch, self.version) + body),
        )
        self._cached_batches.clear()
        for subscription in self._subscriptions:
            self.scheduler.schedule(subscription)

    def remove(self, key: str) -> None:
        """Keep this key no longer. Nobody is told; who resumes from before its last change gets everything."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._floor = max(self._floor, entry[0])
            self._cached_batches.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def subscribe(self, sink: Sink[Any], *, owner: str, after: v1.Cursor) -> CompactedLogSubscription:
        """A new reader; `after` counts if it is of these versions and nothing before it was dropped since."""
        is_resumed = after.epoch == self._epoch and self._floor <= after.seq <= self.version
        subscription = CompactedLogSubscription(self, sink, owner, after.seq if is_resumed else 0)
        self._subscriptions[subscription] = None
        self.scheduler.schedule(subscription)
        return subscription

    def end_subscriptions(self, owner: str, error: Exception) -> None:
        """This user may read no longer."""
        for subscription in list(self._subscriptions):
            if subscription.owner == owner:
                subscription.fail(error)

    @property
    def subscription_count(self) -> int:
        """How many there are."""
        return len(self._subscriptions)

    # the readers' side

    def batch(self, after: int, limit: int, items_max: int) -> Batch[Item] | None:
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

    def live_batch(self, version: int) -> Batch[PreparedMessage[Any]]:
        """The mark that the snapshot is complete."""
        return Batch([live_item(v1.PresenceItem, self._epoch, version)], version + 1, version)

    def remove_subscription(self, subscription: CompactedLogSubscription) -> None:
        """A reader ended."""
        del self._subscriptions[subscription]
        if not self._subscriptions:
            self._on_empty()
