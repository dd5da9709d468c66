"""A dictionary that evicts the entry that was used longest ago."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most `entries_max` entries, in the order of their last use. None is not a value.

    An OrderedDict, since finding the first entry of a plain dict visits every entry that was removed before it.
    """

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: K) -> V | None:
        """The value, and mark it as used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def peek(self, key: K) -> V | None:
        """The value, without marking it as used."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> K | None:
        """Store a value; the key that was evicted for it, if one was."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) <= self._entries_max:
            return None
        oldest, _ = self._entries.popitem(last=False)
        return oldest

    def pop(self, key: K) -> V | None:
        """Remove an entry; its value, if there was one."""
        return self._entries.pop(key, None)

    def pop_oldest(self) -> V:
        """Remove the entry used longest ago; its value. KeyError if there is none."""
        return self._entries.popitem(last=False)[1]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)
