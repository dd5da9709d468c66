"""The latest state of everything in one room, for readers who all want all of it.

The theory. A slate is a log in which each key is kept once: writing a key again moves it to the end under a new
version. A reader is a position in it, like a reader of a room's log, and gets what lies after its position, oldest
first. So a reader who takes nothing costs one number however much changes, gets the latest state of each key when it
comes back, and never a backlog; and readers at the same position share one batch.

(The hub's `Board` is for readers with interests of their own: it keeps a set for each. Five hundred people who look at
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
from tidings.contract.codecs import Prepared
from tidings.domain.items import cursor, live_item
from tidings.hub import Batch, Sink
from tidings.hub.nobody import NOBODY
from tidings.hub.turns import Turns

BATCH_ITEMS_MAX: Final = 64  # one step for one reader: 1 ms in JSON
BATCHES_KEPT_MAX: Final = 8  # readers stand at few positions at a time; where they stand is theirs to choose

Item = Prepared[v1.PresenceItem]


class State(Enum):
    """Where a reader is."""

    SNAPSHOT = "snapshot"
    LIVE = "live"
    ENDED = "ended"


class SlateReader:
    """One reader: a `Source` for its transport, a `Part` for the turns."""

    __slots__ = ("_goal", "_sink", "_slate", "_state", "cursor", "marked", "owner")

    def __init__(self, slate: "Slate", sink: Sink[Any], owner: str, after: int) -> None:
        self.owner = owner
        self.cursor = after
        self.marked = False
        self._slate = slate
        self._sink = sink
        self._state = State.SNAPSHOT
        self._goal = slate.version

    def wake(self) -> None:
        """Demand may have grown."""
        if self._state is State.SNAPSHOT or self.cursor < self._slate.version:
            self._slate.turns.mark(self)

    def close(self) -> None:
        """The reader is gone."""
        if self._state is not State.ENDED:
            self._stop()

    def fail(self, error: Exception) -> None:
        """Nothing more comes."""
        if self._state is not State.ENDED:
            self._stop().fail(error)

    def flush(self) -> int:
        """Send what the reader takes, as one batch."""
        if self._state is State.ENDED:
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
        limit = self._goal if self._state is State.SNAPSHOT else self._slate.version
        batch = self._slate.batch(self.cursor, limit, BATCH_ITEMS_MAX)
        if batch is not None and len(batch.items) > demand:
            # Only now: the whole run is what neighbours share, however different their demand.
            batch = self._slate.batch(self.cursor, limit, demand)
        if batch is None:
            if self._state is State.LIVE:
                return
            self._state = State.LIVE
            batch = self._slate.live(self._goal)
        self.cursor = batch.last
        self.wake()
        self._sink.deliver(batch)

    def _stop(self) -> Sink[Any]:
        sink, self._sink = self._sink, NOBODY
        self._state = State.ENDED
        self._slate.leave(self)
        return sink


class Slate:
    """The entries and the readers.

    `epoch` names the versions, `next_version` gives the next one: slates of the same epoch share it, so that a cursor
    is never mistaken for one of a later slate. `emptied` is called when the last reader leaves.
    """

    def __init__(
        self, *, epoch: str, next_version: Callable[[], int], turns: Turns, emptied: Callable[[], None]
    ) -> None:
        self.turns = turns
        self.version = self._floor = next_version()
        self._epoch = epoch
        self._next_version = next_version
        self._emptied = emptied
        # key → (version, item), by version.
        self._entries: dict[str, tuple[int, Item]] = {}
        self._readers: dict[SlateReader, None] = {}
        self._batches: dict[tuple[int, int, int], Batch[Item] | None] = {}

    def put(self, key: str, body: bytes) -> None:
        """The state of `key` is now `body`: the bytes of a PresenceItem without its cursor."""
        self._entries.pop(key, None)
        self.version = self._next_version()
        self._entries[key] = (self.version, Prepared(v1.PresenceItem, cursor(self._epoch, self.version) + body))
        self._batches.clear()
        for reader in self._readers:
            self.turns.mark(reader)

    def drop(self, key: str) -> None:
        """Keep this key no longer. Nobody is told; who resumes from before its last change gets everything."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._floor = max(self._floor, entry[0])
            self._batches.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def read(self, sink: Sink[Any], *, owner: str, after: v1.Cursor) -> SlateReader:
        """A new reader; `after` counts if it is of these versions and nothing before it was dropped since."""
        resumes = after.epoch == self._epoch and self._floor <= after.seq <= self.version
        reader = SlateReader(self, sink, owner, after.seq if resumes else 0)
        self._readers[reader] = None
        self.turns.mark(reader)
        return reader

    def end(self, owner: str, error: Exception) -> None:
        """This user may read no longer."""
        for reader in list(self._readers):
            if reader.owner == owner:
                reader.fail(error)

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    # the readers' side

    def batch(self, after: int, limit: int, items_max: int) -> Batch[Item] | None:
        """The entries with versions from `after` to `limit`, the oldest so many of them; None when there are none."""
        asked = (after, limit, items_max)
        if asked not in self._batches:
            if len(self._batches) >= BATCHES_KEPT_MAX:
                del self._batches[next(iter(self._batches))]
            newer = takewhile(lambda entry: entry[0] > after, reversed(self._entries.values()))
            found = [entry for entry in newer if entry[0] <= limit][: -items_max - 1 : -1]
            items = [item for _, item in found]
            self._batches[asked] = Batch(items, after + 1, found[-1][0]) if found else None
        return self._batches[asked]

    def live(self, version: int) -> Batch[Prepared[Any]]:
        """The mark that the snapshot is complete."""
        return Batch([live_item(v1.PresenceItem, self._epoch, version)], version + 1, version)

    def leave(self, reader: SlateReader) -> None:
        """A reader ended."""
        del self._readers[reader]
        if not self._readers:
            self._emptied()
