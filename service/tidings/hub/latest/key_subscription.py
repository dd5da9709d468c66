"""One subscription of a `KeyChangeHub`: its keys, its dirty set, and at most one fetch in flight.

The hub says which keys changed; their values are fetched per subscription, because a room's row differs by user. A
fetch covers at most as many keys as there is demand for. A key that changes meanwhile is fetched again. Values that
cannot be sent because the demand is gone are dropped and fetched again later: a slow reader costs its dirty keys only.

Keys are sent in the order in which they became dirty, which is fair: a key that changes all the time neither blocks
other keys nor is blocked by them. The cursor of an item is the version before the oldest key that is still dirty: all
keys of the subscription have been sent up to there. So it is safe to resume from, and it never goes back.

The invariant: a dirty set is ordered by its versions. A new entry gets the hub's newest version, also when only the set
of keys grew (`add` gives the key a new version), and entries that could not be sent go back to the front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

from tidings.hub.errors import too_many_keys_error
from tidings.hub.latest.key_changes import KeyChangeHub
from tidings.hub.scheduling import ITEMS_PER_COST_UNIT
from tidings.hub.sinks import NULL_SINK, PAUSED, Batch, Sink

T = TypeVar("T")
V = TypeVar("V")

Fetch: TypeAlias = Callable[[Sequence[str], Callable[[Sequence[V] | Exception], None]], None]
"""fetch(keys, done): `done` is called once, on the loop, with one value for each key, in the order of the keys."""

Render: TypeAlias = Callable[[str, V, int], T | None]
"""render(key, value, version): the item as it is sent, with `version` as its cursor; None: nothing to send."""

LiveMarkerFactory: TypeAlias = Callable[[str, int], T]
"""live(epoch, version): the marker that the snapshot is complete."""


class SnapshotState(Enum):
    """What a subscription is sending."""

    SNAPSHOT = "snapshot"  # the values at the time of subscription
    LIVE = "live"  # the live marker was sent; now changes
    ENDED = "ended"


SNAPSHOT, LIVE, ENDED = SnapshotState


class KeySubscription(Generic[V, T]):
    """A subscription of some keys.

    Sends the value of every key, then the live marker, then changes. With `after` and the hub's `epoch` the snapshot
    has only the values that changed since. `min_interval_seconds`: minimum time between two batches after the
    live marker. `item_size`: bytes of an item, where items may be large. `fetch_keys_max`: keys per fetch, where values
    may be large.
    Everything is delivered in later callbacks, errors as well: `TooManySubscriptionsError`, `TooManyKeysError`, and
    the errors of `fetch` and `render`.
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
        self._in_flight: dict[str, int] = {}  # the keys being fetched, with their entries of the dirty set
        self._fetched: dict[str, V] | None = None  # the values, until the next flush
        self._make_live_marker = live
        self._snapshot_version = hub.version
        self.cursor, self.dirty = self._initial_dirty(hub.resume_version(after, epoch))
        self._error: Exception | None = hub.add(self)
        self._is_registered = self._error is None
        hub.scheduler.schedule(self)

    # called by the reader

    def wake(self) -> None:
        """Demand may have grown."""
        if self.state is SNAPSHOT or self.dirty:
            self.hub.scheduler.schedule(self)

    def close(self) -> None:
        """Stop, without a word to the sink. Idempotent."""
        if self.state is not ENDED:
            self._stop()

    # called by the domain

    def add(self, keys: Iterable[str]) -> None:
        """Add keys; their values are sent. Raises `TooManyKeysError`, and adds none, above the limit."""
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
        """Remove keys; nothing is sent for them."""
        for key in self.keys.intersection(keys):
            self.keys.discard(key)
            self.dirty.pop(key, None)
            self.hub.unsubscribe(key, self)

    # called by the hub

    def fail(self, error: Exception) -> None:
        """End the subscription with an error."""
        if self.state is not ENDED:
            self._stop().fail(error)

    def flush(self) -> int:
        """Send what there is demand for, as one batch; returns the cost."""
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
        """Drop values that were fetched and cannot be sent."""
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
        """Render the fetched values, oldest first, as far as demand goes, and deliver them."""
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
