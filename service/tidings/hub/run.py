"""Events of one room without a hole, in memory, cut into batches that are made once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.hub.batch import Batch
from tidings.hub.stats import Counts

T = TypeVar("T")

BATCHES_KEPT_MAX = 8  # readers of one room stand at few cursors at a time: at the head, or a turn or two behind


class Run(Generic[T]):
    """Consecutive events, the first with seq `first`. May be empty.

    The ends of the items are kept as running totals of bytes, so that the weight of any part is one subtraction and a
    cut by bytes one bisection.
    """

    __slots__ = ("_batches", "_counts", "_ends", "_items", "_start", "_weigh", "first")

    def __init__(self, first: int, weigh: Callable[[T], int], counts: Counts) -> None:
        self.first = first
        self._weigh = weigh
        self._counts = counts
        self._items: list[T] = []
        self._ends: list[int] = []
        self._start = 0
        self._batches: dict[tuple[int, int], Batch[T]] = {}

    @property
    def last(self) -> int:
        """Seq of the last event; `first - 1` when there is none."""
        return self.first + len(self._items) - 1

    @property
    def bytes(self) -> int:
        """What the items weigh together."""
        return self._ends[-1] - self._start if self._ends else 0

    def append(self, item: T) -> None:
        """One more event, with seq `last + 1`."""
        self._items.append(item)
        self._ends.append((self._ends[-1] if self._ends else self._start) + self._weigh(item))

    def batch(self, after: int, events_max: int, bytes_max: int) -> Batch[T] | None:
        """The events that follow `after`: at most so many, at most so heavy, but one at least.

        None when the event after `after` is not here. The same question gets the same object while it is remembered.
        """
        start = after + 1 - self.first
        stop = min(len(self._items), start + events_max)
        if start < 0 or start >= stop:
            return None
        asked = (after + 1, self.first + stop)
        batch = self._batches.get(asked)
        if batch is None:
            before = self._ends[start - 1] if start else self._start
            stop = max(bisect_right(self._ends, before + bytes_max, start, stop), start + 1)
            batch = Batch(self._items[start:stop], after + 1, self.first + stop - 1)
            if len(self._batches) >= BATCHES_KEPT_MAX:
                del self._batches[next(iter(self._batches))]
            self._batches[asked] = batch
            self._counts.batches_made += 1
        return batch

    def trim(self, events_max: int, bytes_max: int) -> None:
        """Let the oldest go when there are too many, down to three quarters, so that most events trim nothing."""
        if len(self._items) <= events_max and self.bytes <= bytes_max:
            return
        by_events = len(self._items) - events_max * 3 // 4
        heavy = self.bytes > bytes_max * 3 // 4
        by_bytes = bisect_left(self._ends, self._ends[-1] - bytes_max * 3 // 4) + 1 if heavy else 0
        drop = min(max(by_events, by_bytes), len(self._items) - 1)
        if drop <= 0:
            return  # the newest always stays
        self._start = self._ends[drop - 1]
        del self._items[:drop], self._ends[:drop]
        self.first += drop

    def cut(self, bytes_max: int) -> None:
        """Keep the oldest that weigh at most so much, but one at least."""
        keep = max(bisect_right(self._ends, self._start + bytes_max), 1)
        del self._items[keep:], self._ends[keep:]

    def amend(self, seq: int, item: T) -> None:
        """Replace the event `seq`, if it is here, and forget the batches that hold its old copy."""
        index = seq - self.first
        if not 0 <= index < len(self._items):
            return
        grown = self._weigh(item) - self._weigh(self._items[index])
        self._items[index] = item
        self._ends[index:] = [end + grown for end in self._ends[index:]]
        stale = [asked for asked, batch in self._batches.items() if batch.first <= seq <= batch.last]
        for asked in stale:
            del self._batches[asked]

    def cool(self) -> None:
        """Forget the batches, and with them what transports made of them."""
        self._batches.clear()
