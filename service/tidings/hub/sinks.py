"""A run of items that many readers get, and a place for what transports make of it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Batch(Generic[T]):
    """Items in order, made once and handed to every reader that stands at the same cursor.

    `items`   what is delivered; each costs one of the reader's demand.
    `first`, `last`   the positions covered, both included. A reader that took the batch stands at `last`.
              For a run of events they are the first and last event; for a gap mark, the hole; a live mark
              covers nothing, so that its `first` is `last + 1`.
    `shared`  belongs to the transports: what they made of these items, made once per key and used for all readers
              of this run. It dies with the batch.
    """

    __slots__ = ("first", "items", "last", "shared")

    def __init__(self, items: Sequence[T], first: int, last: int) -> None:
        self.items: tuple[T, ...] = tuple(items)
        self.first = first
        self.last = last
        self.shared: dict[Hashable, Any] = {}

    def __repr__(self) -> str:
        return f"Batch({self.first}..{self.last}, {len(self.items)} items)"
