"""A dictionary that forgets what was not used for longest."""

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """At most `entries_max` entries, the one used longest ago first. None is no value."""

    __slots__ = ("_entries", "_entries_max")

    def __init__(self, entries_max: int) -> None:
        self._entries: dict[K, V] = {}
        self._entries_max = entries_max

    def get(self, key: K) -> V | None:
        """The value, which thereby counts as used."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = value
        return value

    def peek(self, key: K) -> V | None:
        """The value, without using it."""
        return self._entries.get(key)

    def put(self, key: K, value: V) -> K | None:
        """Keep a value; the key that was forgotten for it, if one was."""
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) <= self._entries_max:
            return None
        oldest = next(iter(self._entries))
        del self._entries[oldest]
        return oldest

    def drop(self, key: K) -> V | None:
        """Forget one; its value, if it was there."""
        return self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)
