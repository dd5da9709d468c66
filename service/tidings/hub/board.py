"""A board of latest values: presence, my rooms. Readers get the latest state of each key, never a backlog.

The theory. Each publication raises the board's one version and gives it to its key. A reader has an interest (a set of
keys) and a *dirty set*: those of its keys that changed since it got them, each with the version at which it became
dirty. Publishing touches the interested readers only, and for a key that is dirty already it changes nothing: the value
is looked up when it is sent. So a reader that takes nothing costs one entry per key of its interest, however often they
change, and needs no lag policy.

Keys are sent in the order in which they became dirty, which is fair: a key that changes all the time neither starves
nor is starved. The cursor of an item is the version before the oldest key that is still dirty: whatever this reader is
interested in has been sent up to there. That makes it safe to resume from, and it never goes back.

The rule a maintainer must not break: a dirty set is ordered by its versions. A new entry gets the board's newest
version, also when only the interest grew (`add` stamps the key anew), and entries that could not be sent go back to the
front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import islice
from typing import Any, Generic, TypeAlias, TypeVar

from tidings.hub.batch import Batch
from tidings.hub.beats import Beats
from tidings.hub.errors import HubError, TooManyKeys, TooManySubscriptions
from tidings.hub.limits import BoardLimits
from tidings.hub.nobody import NOBODY
from tidings.hub.ports import Clock, Schedule, ScheduleLater, Sink
from tidings.hub.stats import BoardStats
from tidings.hub.turns import ITEMS_PER_VISIT, Turns

T = TypeVar("T")
V = TypeVar("V")

Render: TypeAlias = Callable[[str, V, int], T | None]
"""render(key, value, version): the item as it is sent, with `version` as its cursor; None: nothing to send. Called
at delivery. Readers that share a function (it must be hashable) share what it made of one change."""

LiveMark: TypeAlias = Callable[[str, int], T]
"""live(epoch, version): the mark that the snapshot is complete."""


class State(Enum):
    """How far a reader of a board has come."""

    SNAPSHOT = "snapshot"  # what there was when it came is being sent
    LIVE = "live"  # the live mark was sent
    ENDED = "ended"


SNAPSHOT, LIVE, ENDED = State


class BoardSubscription(Generic[V, T]):
    """A reader with an interest. A `Source` for its transport."""

    __slots__ = (
        "_admitted",
        "_error",
        "_live",
        "_snapshot",
        "beat_seconds",
        "board",
        "cursor",
        "dirty",
        "keys",
        "marked",
        "render",
        "resting",
        "sink",
        "state",
    )

    def __init__(
        self,
        board: Board[Any],
        keys: Iterable[str],
        sink: Sink[T],
        *,
        render: Render[V, T],
        live: LiveMark[T],
        after: int | None = None,
        epoch: str = "",
        beat_seconds: float = 0.0,
    ) -> None:
        """See `Board.subscribe`."""
        self.board = board
        self.sink = sink
        self.render = render
        self.beat_seconds = beat_seconds
        self.keys = set(keys)
        self.state = SNAPSHOT
        self.resting = False
        self.marked = False
        self._live = live
        self._snapshot = board.version
        self.cursor, self.dirty = self._first_dirty(board.resumed(after, epoch))
        self._error: Exception | None = board.admit(self)
        self._admitted = self._error is None
        board.turns.mark(self)

    # the reader's side

    def wake(self) -> None:
        """Demand may have grown."""
        if self.state is SNAPSHOT or self.dirty:
            self.board.turns.mark(self)

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
        limit = self.board.limits.interest_keys_max
        if len(self.keys) + len(new) > limit:
            raise TooManyKeys(f"one subscription may name at most {limit} keys")
        for key in new:
            self.keys.add(key)
            self.board.watch(key, self)
            if self._has(key):
                self.dirty[key] = self.board.stamp(key)
        self.board.turns.mark(self)

    def discard(self, keys: Iterable[str]) -> None:
        """Be interested in these no longer; nothing is said to the reader."""
        for key in self.keys.intersection(keys):
            self.keys.discard(key)
            self.dirty.pop(key, None)
            self.board.unwatch(key, self)

    # the board's side

    def fail(self, error: Exception) -> None:
        """End the subscription and tell the reader why."""
        if self.state is not ENDED:
            self._stop().fail(error)

    def flush(self) -> int:
        """Send what the reader takes, as one batch."""
        if self.state is ENDED or self.resting:
            return 1
        if self._error is not None:
            self.fail(self._error)
            return 1
        before = self.board.deliveries
        try:
            demand = self.sink.demand()
            if demand > 0:
                self._serve(demand)
            else:
                self._unwanted()
        except Exception:
            self.close()
            raise
        return 1 + (self.board.deliveries - before) // ITEMS_PER_VISIT

    def _serve(self, demand: int) -> None:
        key = next(iter(self.dirty), None)
        if self.state is LIVE and key is not None and len(self.dirty) == 1:
            batch = self.board.shared(self.render, key)
            if batch is not None:
                self.dirty.clear()
                self.cursor = batch.last
                self._deliver(batch)
                return
        self._send(self.dirty, self.board.values, demand, alone=key if len(self.dirty) == 1 else None)

    def _unwanted(self) -> None:
        """There is no demand."""

    def _send(self, pending: dict[str, int], values: Mapping[str, V], demand: int, alone: str | None = None) -> None:
        """Render what is pending, oldest first, as far as demand goes, and deliver it."""
        was_live = self.state is LIVE
        try:
            items = self._rendered(pending, values, demand)
        except Exception as error:
            self.fail(error)
            return
        self._put_back(pending)
        if not items:
            if self.dirty:
                self.board.turns.mark(self)
            return
        batch = Batch(items, self.cursor, self.cursor)
        if was_live and alone is not None:
            self.board.share(self.render, alone, batch)
        self._deliver(batch)

    def _rendered(self, pending: dict[str, int], values: Mapping[str, V], demand: int) -> list[T]:
        items: list[T] = []
        horizon = self.board.version + 1 if pending is self.dirty else self._oldest(self.dirty)
        # One more than is sent: an item's cursor is the version before its successor became dirty.
        chosen = list(islice(pending.items(), self.board.limits.batch_items_max + 1))
        for index, (key, since) in enumerate(chosen[: self.board.limits.batch_items_max]):
            if self._live_is_due(since) and len(items) < demand:
                items.append(self._go_live())
            if len(items) == demand:
                return items
            del pending[key]
            following = chosen[index + 1][1] if index + 1 < len(chosen) else horizon
            self.cursor = max(self.cursor, following - 1)
            if key in self.keys and key in values:
                item = self.render(key, values[key], self.cursor)
                if item is not None:
                    items.append(item)
        if len(items) < demand and self._live_is_due(min(self._oldest(pending), self._oldest(self.dirty))):
            self.cursor = max(self.cursor, min(self._oldest(pending), self._oldest(self.dirty)) - 1)
            items.append(self._go_live())
        return items

    def _put_back(self, pending: dict[str, int]) -> None:
        if pending is not self.dirty:
            unsent = {key: since for key, since in pending.items() if key in self.keys}
            self.dirty = unsent | {key: since for key, since in self.dirty.items() if key not in unsent}

    def _deliver(self, batch: Batch[T]) -> None:
        self.board.deliveries += len(batch.items)
        if self.state is LIVE and self.beat_seconds > 0:
            self.board.beats.rest(self)
        elif self.dirty or self.state is SNAPSHOT:
            self.board.turns.mark(self)
        self.sink.deliver(batch)

    def _live_is_due(self, since: int) -> bool:
        return self.state is SNAPSHOT and since > self._snapshot

    def _go_live(self) -> T:
        self.state = LIVE
        return self._live(self.board.epoch, self.cursor)

    def _oldest(self, pending: Mapping[str, int]) -> int:
        return next(iter(pending.values()), self.board.version + 1)

    def _has(self, key: str) -> bool:
        """Whether there is something to send for this key."""
        return key in self.board.values

    def _first_dirty(self, after: int | None) -> tuple[int, dict[str, int]]:
        versions = self.board.versions
        stamped = [(versions.get(key, 0), key) for key in self.keys if self._has(key)]
        if after is not None:
            stamped = [(version, key) for version, key in stamped if version > after]
        return after or 0, {key: version for version, key in sorted(stamped)}

    def _stop(self) -> Sink[T]:
        sink, keys = self.sink, self.keys
        self.state = ENDED
        self.sink = NOBODY
        self.keys, self.dirty = set(), {}
        if self._admitted:
            self.board.left(self, keys)
        return sink


class Board(Generic[V]):
    """Keys with their latest values, and who is interested in which.

    `epoch` is the name of this board's versions; a new one for each start. Memory: an entry for each key until
    `forget`, an entry for each key and interested reader.
    """

    def __init__(
        self,
        *,
        epoch: str,
        schedule: Schedule,
        schedule_later: ScheduleLater,
        clock: Clock,
        limits: BoardLimits | None = None,
    ) -> None:
        self.epoch = epoch
        self.limits = limits or BoardLimits()
        self.turns = Turns(schedule, self.limits.turn_visits_max)
        self.beats = Beats(schedule_later, clock)
        self.version = 0
        self.values: dict[str, V] = {}
        self.versions: dict[str, int] = {}
        self.deliveries = 0
        self.fetches = 0
        self._floor = 0  # the version of the newest thing forgotten: who saw less cannot be told what changed
        self._published = 0
        self._subscriptions = 0
        self._watchers: dict[str, dict[BoardSubscription[Any, Any], None]] = {}
        self._shared: dict[tuple[Any, str, int], Batch[Any]] = {}

    # the domain's side

    def publish(self, key: str, value: V) -> int:
        """The state of `key` is now `value`; the version that gave it. Delivers nothing itself."""
        self.values[key] = value
        version = self.stamp(key)
        self._published += 1
        for subscription in self._watchers.get(key, ()):
            if key not in subscription.dirty:
                subscription.dirty[key] = version
            if not subscription.marked and not subscription.resting:
                self.turns.mark(subscription)
        return version

    def get(self, key: str) -> V | None:
        """The latest value."""
        return self.values.get(key)

    def forget(self, key: str) -> None:
        """Give the memory of `key` back. Nobody is told; who resumes from before its last change gets everything."""
        self.values.pop(key, None)
        self._floor = max(self._floor, self.versions.pop(key, 0))

    def subscribe(
        self,
        keys: Iterable[str],
        sink: Sink[T],
        *,
        render: Render[V, T],
        live: LiveMark[T],
        after: int | None = None,
        epoch: str = "",
        beat_seconds: float = 0.0,
    ) -> BoardSubscription[V, T]:
        """The state of `keys`, the live mark, then their changes.

        `after` with this board's `epoch`: of the state only what changed since. `beat_seconds`: after the live mark, at
        least so long between two deliveries. Returns at once; everything comes through the sink in later callbacks,
        refusals too: `TooManySubscriptions`, `TooManyKeys`, and whatever `render` raised.
        """
        return BoardSubscription(
            self, keys, sink, render=render, live=live, after=after, epoch=epoch, beat_seconds=beat_seconds
        )

    @property
    def stats(self) -> BoardStats:
        """The counts now."""
        return BoardStats(self._subscriptions, len(self.values), self._published, self.deliveries, self.fetches)

    # the subscriptions' side

    def stamp(self, key: str) -> int:
        """`key` counts as changed; the new version."""
        self.version += 1
        self.versions[key] = self.version
        return self.version

    def resumed(self, after: int | None, epoch: str) -> int | None:
        """`after`, if a reader can go on from there."""
        if after is None or epoch != self.epoch or not max(self._floor, 1) <= after <= self.version:
            return None
        return after

    def admit(self, subscription: BoardSubscription[Any, Any]) -> HubError | None:
        """Enter a new reader, or say why not."""
        limits = self.limits
        if self._subscriptions >= limits.subscriptions_max:
            return TooManySubscriptions(f"all {limits.subscriptions_max} subscriptions are taken; try again later")
        if len(subscription.keys) > limits.interest_keys_max:
            return TooManyKeys(f"one subscription may name at most {limits.interest_keys_max} keys")
        self._subscriptions += 1
        for key in subscription.keys:
            self.watch(key, subscription)
        return None

    def left(self, subscription: BoardSubscription[Any, Any], keys: Iterable[str]) -> None:
        """A reader ended."""
        self._subscriptions -= 1
        for key in keys:
            self.unwatch(key, subscription)

    def watch(self, key: str, subscription: BoardSubscription[Any, Any]) -> None:
        """It wants to know of changes."""
        self._watchers.setdefault(key, {})[subscription] = None

    def unwatch(self, key: str, subscription: BoardSubscription[Any, Any]) -> None:
        """It no longer does."""
        watchers = self._watchers[key]
        del watchers[subscription]
        if not watchers:
            del self._watchers[key]
            if key not in self.values:
                self.forget(key)

    def shared(self, render: Render[Any, T], key: str) -> Batch[T] | None:
        """What another reader got for the same single change."""
        return self._shared.get((render, key, self.version))

    def share(self, render: Render[Any, T], key: str, batch: Batch[T]) -> None:
        """Others may get this too."""
        if len(self._shared) >= self.limits.shared_batches_max:
            del self._shared[next(iter(self._shared))]
        self._shared[render, key, self.version] = batch
