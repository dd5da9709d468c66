"""Consecutive events of one room in memory, and the batches made from them, each made once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.hub.sinks import Batch
from tidings.hub.stats import HubCounters

T = TypeVar("T")

CACHED_BATCHES_MAX = 8  # readers of one room are at few cursors at a time: at the head, or one or two flushes behind


class EventBuffer(Generic[T]):
    """Consecutive events, the first with seq `first`. May be empty.

    The end offsets of the items are running totals of bytes: the size of any range is one subtraction, and a cut by
    bytes is one bisection.
    """

    __slots__ = ("_batches", "_counters", "_end_offsets", "_item_size", "_items", "_start_offset", "first")

    def __init__(self, first: int, item_size: Callable[[T], int], counters: HubCounters) -> None:
        self.first = first
        self._item_size = item_size
        self._counters = counters
        self._items: list[T] = []
        self._end_offsets: list[int] = []
        self._start_offset = 0
        self._batches: dict[tuple[int, int], Batch[T]] = {}

    @property
    def last(self) -> int:
        """Seq of the last event; `first - 1` when there is none."""
        return self.first + len(self._items) - 1

    @property
    def bytes(self) -> int:
        """Bytes of all items, by `item_size`."""
        return self._end_offsets[-1] - self._start_offset if self._end_offsets else 0

    def append(self, item: T) -> None:
        """Append an event; its seq is `last + 1`."""
        self._items.append(item)
        self._end_offsets.append(
            (self._end_offsets[-1] if self._end_offsets else self._start_offset) + self._item_size(item)
        )

    def batch(self, after: int, events_max: int, bytes_max: int) -> Batch[T] | None:
        """The events after `after`: at most `events_max` and `bytes_max`, but at least one.

        None when the event after `after` is not here. The same arguments return the same object while it is cached.
        """
        start = after + 1 - self.first
        stop = min(len(self._items), start + events_max)
        if start < 0 or start >= stop:
            return None
        key = (after + 1, self.first + stop)
        batch = self._batches.get(key)
        if batch is None:
            start_offset = self._end_offsets[start - 1] if start else self._start_offset
            stop = max(bisect_right(self._end_offsets, start_offset + bytes_max, start, stop), start + 1)
            batch = Batch(self._items[start:stop], after + 1, self.first + stop - 1)
            if len(self._batches) >= CACHED_BATCHES_MAX:
                del self._batches[next(iter(self._batches))]
            self._batches[key] = batch
            self._counters.batches_made += 1
        return batch

    def trim(self, events_max: int, bytes_max: int) -> None:
        """Above a limit evict the oldest, down to three quarters of it, so that most calls evict nothing."""
        if len(self._items) <= events_max and self.bytes <= bytes_max:
            return
        by_events = len(self._items) - events_max * 3 // 4
        is_too_large = self.bytes > bytes_max * 3 // 4
        by_bytes = bisect_left(self._end_offsets, self._end_offsets[-1] - bytes_max * 3 // 4) + 1 if is_too_large else 0
        drop_count = min(max(by_events, by_bytes), len(self._items) - 1)
        if drop_count <= 0:
            return  # the newest always stays
        self._start_offset = self._end_offsets[drop_count - 1]
        del self._items[:drop_count], self._end_offsets[:drop_count]
        self.first += drop_count

    def truncate(self, bytes_max: int) -> None:
        """Keep the oldest events up to `bytes_max`, at least one."""
        kept_count = max(bisect_right(self._end_offsets, self._start_offset + bytes_max), 1)
        del self._items[kept_count:], self._end_offsets[kept_count:]

    def replace_event(self, seq: int, item: T) -> None:
        """Replace the event `seq`, if it is here, and drop the batches that hold its old copy."""
        index = seq - self.first
        if not 0 <= index < len(self._items):
            return
        growth = self._item_size(item) - self._item_size(self._items[index])
        self._items[index] = item
        self._end_offsets[index:] = [end + growth for end in self._end_offsets[index:]]
        stale_keys = [asked for asked, batch in self._batches.items() if batch.first <= seq <= batch.last]
        for asked in stale_keys:
            del self._batches[asked]

    def clear(self) -> None:
        """Forget all events; the buffer begins at `first` again."""
        self._items.clear()
        self._end_offsets.clear()
        self._batches.clear()
        self._start_offset = 0

    def drop_batches(self) -> None:
        """Drop the cached batches, and with them what transports encoded from them."""
        self._batches.clear()
