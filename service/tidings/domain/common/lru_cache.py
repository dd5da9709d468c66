"""A dictionary that forgets what was not used for longest."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """At most `entries_max` entries, the one used longest ago first. None is no value.

    An OrderedDict, since a plain dict walks over every entry that was taken from its front to find its first.
    """

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self._entries_max = entries_max

    def get(self, key: K) -> V | None:
        """The value, which thereby counts as used."""
        value = self._entries.get(key)
        if value is not None:
            self._entries.move_to_end(key)
        return value

    def peek(self, key: K) -> V | None:
        """The value, without using it."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> K | None:
        """Keep a value; the key that was forgotten for it, if one was."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) <= self._entries_max:
            return None
        oldest, _ = self._entries.popitem(last=False)
        return oldest

    def pop(self, key: K) -> V | None:
        """Forget one; its value, if it was there."""
        return self._entries.pop(key, None)

    def pop_oldest(self) -> V:
        """Forget the one used longest ago; its value. KeyError where there is none."""
        return self._entries.popitem(last=False)[1]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)
