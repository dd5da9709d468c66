"""One reader of a board: its interest, what of it is dirty, and one fetch at a time.

The board tells which keys changed; what is sent for them is fetched for this reader: the row of a room as one user sees
it. There is one fetch in flight, for at most as many keys as the reader takes. A key that changes meanwhile is fetched
again. What came but cannot be sent, since the reader's demand vanished, is dropped and fetched again later: nothing is
kept for a slow reader but its dirty keys.

Keys are sent in the order in which they became dirty, which is fair: a key that changes all the time neither starves
nor is starved. The cursor of an item is the version before the oldest key that is still dirty: whatever this reader is
interested in has been sent up to there. That makes it safe to resume from, and it never goes back.

The rule a maintainer must not break: a dirty set is ordered by its versions. A new entry gets the board's newest
version, also when only the interest grew (`add` stamps the key anew), and entries that could not be sent go back to the
front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from tidings.hub.errors import too_many_keys_error
from tidings.hub.nobody import NULL_SINK
from tidings.hub.ports import PAUSED, Sink
from tidings.hub.scheduling import ITEMS_PER_COST_UNIT
from tidings.hub.sinks import Batch

if TYPE_CHECKING:
    from tidings.hub.latest.key_changes import KeyChangeHub

T = TypeVar("T")
V = TypeVar("V")

Fetch: TypeAlias = Callable[[Sequence[str], Callable[[Sequence[V] | Exception], None]], None]
"""fetch(keys, done): `done` is called once, on the loop, with one value for each key, in the order of the keys."""

Render: TypeAlias = Callable[[str, V, int], T | None]
"""render(key, value, version): the item as it is sent, with `version` as its cursor; None: nothing to send."""

LiveMarkerFactory: TypeAlias = Callable[[str, int], T]
"""live(epoch, version): the mark that the snapshot is complete."""


class SnapshotState(Enum):
    """How far a reader of a board has come."""

    SNAPSHOT = "snapshot"  # what there was when it came is being sent
    LIVE = "live"  # the live mark was sent
    ENDED = "ended"


SNAPSHOT, LIVE, ENDED = SnapshotState


class KeySubscription(Generic[V, T]):
    """A reader with an interest. A `Subscription` for its transport.

    The state of every key of its interest, then the live mark, then what changes. `after` with the board's `epoch`: of
    the state only what changed since. `min_interval_seconds`: after the live mark, at least so long between two
    deliveries.
    `item_size`: bytes of an item, where items may be large; `fetch_keys_max`: keys fetched at a time, where values
    may be.
    Everything comes through the sink in later callbacks, refusals too: `TooManySubscriptionsError`,
    `TooManyKeysError`, and whatever `fetch` or `render` failed with.
    """

    __slots__ = (
        "_error",
        "_fetch",
        "_fetched",
        "_in_flight",
        "_is_registered",
        "_item_size",
        "_make_live_marker",
        "_snapshot_version",
        "cursor",
        "dirty",
        "fetch_keys_max",
        "hub",
        "is_scheduled",
        "is_throttled",
        "keys",
        "min_interval_seconds",
        "render",
        "sink",
        "state",
    )

    def __init__(
        self,
        hub: KeyChangeHub,
        keys: Iterable[str],
        sink: Sink[T],
        *,
        fetch: Fetch[V],
        render: Render[V, T],
        live: LiveMarkerFactory[T],
        after: int | None = None,
        epoch: str = "",
        min_interval_seconds: float = 0.0,
        item_size: Callable[[T], int] = lambda _: 0,
        fetch_keys_max: int | None = None,
    ) -> None:
        self.hub = hub
        self.sink = sink
        self.render = render
        self.min_interval_seconds = min_interval_seconds
        self.fetch_keys_max = fetch_keys_max or hub.limits.batch_items_max
        self._item_size = item_size
        self.keys = set(keys)
        self.state = SNAPSHOT
        self.is_throttled = False
        self.is_scheduled = False
        self._fetch = fetch
        self._in_flight: dict[str, int] = {}  # the keys being fetched, as they stood in the dirty set
        self._fetched: dict[str, V] | None = None  # what came, until the next turn
        self._make_live_marker = live
        self._snapshot_version = hub.version
        self.cursor, self.dirty = self._initial_dirty(hub.resume_version(after, epoch))
        self._error: Exception | None = hub.add(self)
        self._is_registered = self._error is None
        hub.scheduler.schedule(self)

    # the reader's side

    def wake(self) -> None:
        """Demand may have grown."""
        if self.state is SNAPSHOT or self.dirty:
            self.hub.scheduler.schedule(self)

    def close(self) -> None:
        """The reader is gone. Idempotent."""
        if self.state is not ENDED:
            self._stop()

    # the domain's side

    def add(self, keys: Iterable[str]) -> None:
        """Be interested in these too; their state is sent. TooManyKeys, and nothing has changed, above the limit."""
        new = [key for key in dict.fromkeys(keys) if key not in self.keys]
        if self.state is ENDED or not new:
            return
        limit = self.hub.limits.keys_per_subscription_max
        if len(self.keys) + len(new) > limit:
            raise too_many_keys_error(limit)
        for key in new:
            self.keys.add(key)
            self.hub.subscribe(key, self)
            self.dirty[key] = self.hub.bump_version(key)
        self.hub.scheduler.schedule(self)

    def discard(self, keys: Iterable[str]) -> None:
        """Be interested in these no longer; nothing is said to the reader."""
        for key in self.keys.intersection(keys):
            self.keys.discard(key)
            self.dirty.pop(key, None)
            self.hub.unsubscribe(key, self)

    # the board's side

    def fail(self, error: Exception) -> None:
        """End the subscription and tell the reader why."""
        if self.state is not ENDED:
            self._stop().fail(error)

    def flush(self) -> int:
        """Send what the reader takes, as one batch."""
        if self.state is ENDED or self.is_throttled:
            return 1
        if self._error is not None:
            self.fail(self._error)
            return 1
        before = self.hub.deliveries
        try:
            demand = self.sink.demand()
            if demand > 0:
                self._serve(demand)
            elif demand != PAUSED:
                self._on_no_demand()
        except Exception:
            self.close()
            raise
        return 1 + (self.hub.deliveries - before) // ITEMS_PER_COST_UNIT

    def _serve(self, demand: int) -> None:
        in_flight, fetched = self._in_flight, self._fetched
        if fetched is not None:
            self._in_flight, self._fetched = {}, None
            self._send(in_flight, fetched, demand)
        elif not in_flight and self.dirty and not self._is_live_due(self._oldest(self.dirty)):
            self._start_fetch(demand)
        elif not in_flight:
            self._send({}, {}, demand)

    def _on_no_demand(self) -> None:
        """There is no demand."""
        if self._fetched is not None:
            in_flight, self._in_flight, self._fetched = self._in_flight, {}, None
            self._requeue(in_flight)

    def _start_fetch(self, demand: int) -> None:
        in_flight = dict(islice(self.dirty.items(), min(demand, self.fetch_keys_max)))
        for key in in_flight:
            del self.dirty[key]
        self._in_flight = in_flight
        self.hub.fetches += 1
        try:
            self._fetch(list(in_flight), self._on_fetched)
        except Exception as error:
            self._on_fetched(error)

    def _on_fetched(self, result: Sequence[V] | Exception) -> None:
        if self.state is ENDED:
            return
        if isinstance(result, Exception):
            self._error = result
        elif len(result) != len(self._in_flight):
            self._error = ValueError(f"fetch was asked for {len(self._in_flight)} keys and gave {len(result)} values")
        else:
            self._fetched = dict(zip(self._in_flight, result, strict=True))
        self.hub.scheduler.schedule(self)

    def _send(self, in_flight: dict[str, int], fetched: Mapping[str, V], demand: int) -> None:
        """Render what was taken, oldest first, as far as demand goes, and deliver it."""
        try:
            items = self._render_items(in_flight, fetched, demand)
        except Exception as error:
            self.fail(error)
            return
        self._requeue(in_flight)
        if items:
            self._deliver(Batch(items, self.cursor, self.cursor))
        elif self.dirty:
            self.hub.scheduler.schedule(self)

    def _render_items(self, in_flight: dict[str, int], fetched: Mapping[str, V], demand: int) -> list[T]:
        items: list[T] = []
        size, bytes_max = 0, self.hub.limits.batch_bytes_max
        oldest_dirty = self._oldest(self.dirty)
        pending = list(in_flight.items())
        for index, (key, since) in enumerate(pending):
            if self._is_live_due(since) and len(items) < demand:
                items.append(self._go_live())
            if len(items) == demand or size >= bytes_max:
                return items
            del in_flight[key]
            # An item's cursor is the version before its successor became dirty.
            following = pending[index + 1][1] if index + 1 < len(pending) else oldest_dirty
            self.cursor = max(self.cursor, following - 1)
            if key in self.keys:
                item = self.render(key, fetched[key], self.cursor)
                if item is not None:
                    items.append(item)
                    size += self._item_size(item)
        oldest = min(self._oldest(in_flight), self._oldest(self.dirty))
        if len(items) < demand and self._is_live_due(oldest):
            self.cursor = max(self.cursor, oldest - 1)
            items.append(self._go_live())
        return items

    def _requeue(self, in_flight: dict[str, int]) -> None:
        unsent = {key: since for key, since in in_flight.items() if key in self.keys}
        if not unsent:
            return
        self.dirty = unsent | {key: since for key, since in self.dirty.items() if key not in unsent}

    def _deliver(self, batch: Batch[T]) -> None:
        self.hub.deliveries += len(batch.items)
        if self.state is LIVE and self.min_interval_seconds > 0:
            self.hub.throttle.pause(self)
        elif self.dirty or self.state is SNAPSHOT:
            self.hub.scheduler.schedule(self)
        self.sink.deliver(batch)

    def _is_live_due(self, since: int) -> bool:
        return self.state is SNAPSHOT and since > self._snapshot_version

    def _go_live(self) -> T:
        self.state = LIVE
        return self._make_live_marker(self.hub.epoch, self.cursor)

    def _oldest(self, pending: Mapping[str, int]) -> int:
        return next(iter(pending.values()), self.hub.version + 1)

    def _initial_dirty(self, after: int | None) -> tuple[int, dict[str, int]]:
        versions = self.hub.versions
        stamped = [(versions.get(key, 0), key) for key in self.keys]
        if after is not None:
            stamped = [(version, key) for version, key in stamped if version > after]
        return after or 0, {key: version for version, key in sorted(stamped)}

    def _stop(self) -> Sink[T]:
        sink, keys = self.sink, self.keys
        self.state = ENDED
        self.sink = NULL_SINK
        self.keys, self.dirty = set(), {}
        if self._is_registered:
            self.hub.remove(self, keys)
        return sink
