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

from tidings.hub.batch import Batch
from tidings.hub.errors import too_many_keys
from tidings.hub.nobody import NOBODY
from tidings.hub.ports import PAUSED, Sink
from tidings.hub.turns import ITEMS_PER_VISIT

if TYPE_CHECKING:
    from tidings.hub.board import Board

T = TypeVar("T")
V = TypeVar("V")

Fetch: TypeAlias = Callable[[Sequence[str], Callable[[Sequence[V] | Exception], None]], None]
"""fetch(keys, done): `done` is called once, on the loop, with one value for each key, in the order of the keys."""

Render: TypeAlias = Callable[[str, V, int], T | None]
"""render(key, value, version): the item as it is sent, with `version` as its cursor; None: nothing to send."""

LiveMark: TypeAlias = Callable[[str, int], T]
"""live(epoch, version): the mark that the snapshot is complete."""


class State(Enum):
    """How far a reader of a board has come."""

    SNAPSHOT = "snapshot"  # what there was when it came is being sent
    LIVE = "live"  # the live mark was sent
    ENDED = "ended"


SNAPSHOT, LIVE, ENDED = State


class BoardSubscription(Generic[V, T]):
    """A reader with an interest. A `Source` for its transport.

    The state of every key of its interest, then the live mark, then what changes. `after` with the board's `epoch`: of
    the state only what changed since. `beat_seconds`: after the live mark, at least so long between two deliveries.
    `weigh`: bytes of an item, where items may be large; `fetch_keys_max`: keys fetched at a time, where values may be.
    Everything comes through the sink in later callbacks, refusals too: `TooManySubscriptions`, `TooManyKeys`, and
    whatever `fetch` or `render` failed with.
    """

    __slots__ = (
        "_admitted",
        "_error",
        "_fetch",
        "_fetched",
        "_live",
        "_snapshot",
        "_taken",
        "_weigh",
        "beat_seconds",
        "board",
        "cursor",
        "dirty",
        "fetch_keys_max",
        "keys",
        "marked",
        "render",
        "resting",
        "sink",
        "state",
    )

    def __init__(
        self,
        board: Board,
        keys: Iterable[str],
        sink: Sink[T],
        *,
        fetch: Fetch[V],
        render: Render[V, T],
        live: LiveMark[T],
        after: int | None = None,
        epoch: str = "",
        beat_seconds: float = 0.0,
        weigh: Callable[[T], int] = lambda _: 0,
        fetch_keys_max: int | None = None,
    ) -> None:
        self.board = board
        self.sink = sink
        self.render = render
        self.beat_seconds = beat_seconds
        self.fetch_keys_max = fetch_keys_max or board.limits.batch_items_max
        self._weigh = weigh
        self.keys = set(keys)
        self.state = SNAPSHOT
        self.resting = False
        self.marked = False
        self._fetch = fetch
        self._taken: dict[str, int] = {}  # the keys being fetched, as they stood in the dirty set
        self._fetched: dict[str, V] | None = None  # what came, until the next turn
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
            raise too_many_keys(limit)
        for key in new:
            self.keys.add(key)
            self.board.watch(key, self)
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
            elif demand != PAUSED:
                self._unwanted()
        except Exception:
            self.close()
            raise
        return 1 + (self.board.deliveries - before) // ITEMS_PER_VISIT

    def _serve(self, demand: int) -> None:
        taken, fetched = self._taken, self._fetched
        if fetched is not None:
            self._taken, self._fetched = {}, None
            self._send(taken, fetched, demand)
        elif not taken and self.dirty and not self._live_is_due(self._oldest(self.dirty)):
            self._begin(demand)
        elif not taken:
            self._send({}, {}, demand)

    def _unwanted(self) -> None:
        """There is no demand."""
        if self._fetched is not None:
            taken, self._taken, self._fetched = self._taken, {}, None
            self._put_back(taken)

    def _begin(self, demand: int) -> None:
        taken = dict(islice(self.dirty.items(), min(demand, self.fetch_keys_max)))
        for key in taken:
            del self.dirty[key]
        self._taken = taken
        self.board.fetches += 1
        try:
            self._fetch(list(taken), self._arrived)
        except Exception as error:
            self._arrived(error)

    def _arrived(self, answer: Sequence[V] | Exception) -> None:
        if self.state is ENDED:
            return
        if isinstance(answer, Exception):
            self._error = answer
        elif len(answer) != len(self._taken):
            self._error = ValueError(f"fetch was asked for {len(self._taken)} keys and gave {len(answer)} values")
        else:
            self._fetched = dict(zip(self._taken, answer, strict=True))
        self.board.turns.mark(self)

    def _send(self, taken: dict[str, int], fetched: Mapping[str, V], demand: int) -> None:
        """Render what was taken, oldest first, as far as demand goes, and deliver it."""
        try:
            items = self._rendered(taken, fetched, demand)
        except Exception as error:
            self.fail(error)
            return
        self._put_back(taken)
        if items:
            self._deliver(Batch(items, self.cursor, self.cursor))
        elif self.dirty:
            self.board.turns.mark(self)

    def _rendered(self, taken: dict[str, int], fetched: Mapping[str, V], demand: int) -> list[T]:
        items: list[T] = []
        size, bytes_max = 0, self.board.limits.batch_bytes_max
        horizon = self._oldest(self.dirty)
        chosen = list(taken.items())
        for index, (key, since) in enumerate(chosen):
            if self._live_is_due(since) and len(items) < demand:
                items.append(self._go_live())
            if len(items) == demand or size >= bytes_max:
                return items
            del taken[key]
            # An item's cursor is the version before its successor became dirty.
            following = chosen[index + 1][1] if index + 1 < len(chosen) else horizon
            self.cursor = max(self.cursor, following - 1)
            if key in self.keys:
                item = self.render(key, fetched[key], self.cursor)
                if item is not None:
                    items.append(item)
                    size += self._weigh(item)
        oldest = min(self._oldest(taken), self._oldest(self.dirty))
        if len(items) < demand and self._live_is_due(oldest):
            self.cursor = max(self.cursor, oldest - 1)
            items.append(self._go_live())
        return items

    def _put_back(self, taken: dict[str, int]) -> None:
        unsent = {key: since for key, since in taken.items() if key in self.keys}
        if not unsent:
            return
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

    def _first_dirty(self, after: int | None) -> tuple[int, dict[str, int]]:
        versions = self.board.versions
        stamped = [(versions.get(key, 0), key) for key in self.keys]
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
