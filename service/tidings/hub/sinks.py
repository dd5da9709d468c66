"""What a subscription delivers to: the sink, the batch, and the sink of a subscription that has ended.

Transports and services import this module only; what the hub itself needs is in `ports`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

T = TypeVar("T")

PAUSED: Final = -1
"""The demand of a sink that has demand but may not be served yet; it wakes its subscription when it may."""


class Batch(Generic[T]):
    """Items in order, made once and delivered to every reader at the same cursor.

    `items`   what is delivered; each uses up one of the reader's demand.
    `first`, `last`   the positions covered, both included. A reader that took the batch stands at `last`.
              For events: the first and the last of them. For a gap marker: the missing events. A live marker
              covers nothing: its `first` is `last + 1`.
    `shared`  a cache for the transports: what they encoded from these items, made once per key and used for all
              readers of this batch. It is released with the batch.
    """

    __slots__ = ("first", "items", "last", "shared")

    def __init__(self, items: Sequence[T], first: int, last: int) -> None:
        self.items: tuple[T, ...] = tuple(items)
        self.first = first
        self.last = last
        self.shared: dict[Hashable, Any] = {}

    def __repr__(self) -> str:
        return f"Batch({self.first}..{self.last}, {len(self.items)} items)"


class Sink(Protocol[T]):
    """The receiving end: a stream of a transport, or a substream of a channel.

    From inside `deliver`, `complete` and `fail` a sink may call `wake()` and `close()` of its own and of other
    subscriptions, and nothing else of the hub. It raises nothing; if it does, its subscription is closed, the
    exception propagates to the event loop, and other readers are not affected.
    """

    def demand(self) -> int:
        """How many items it takes now: the reader's credit, 0 while its socket is full, or `PAUSED`."""

    def deliver(self, batch: Batch[T], /) -> bool:
        """Take all items, in order. False: there are more than `demand()` allows, and none was taken."""

    def complete(self) -> None:
        """The stream ends without an error."""

    def fail(self, error: Exception, /) -> None:
        """The stream ends with `error`."""


class Subscription(Protocol):
    """The handle of a stream that its reader controls."""

    def wake(self) -> None:
        """Demand may have grown. Cheap and allowed at any time; delivery happens in a later callback."""

    def close(self) -> None:
        """Stop: nothing is delivered afterwards, and the sink is released. Idempotent."""


class NullSink:
    """Replaces the sink of an ended subscription: no reference to the reader is kept, and no call needs a check."""

    def demand(self) -> int:
        return 0

    def deliver(self, batch: Batch[Any], /) -> bool:
        return False

    def complete(self) -> None:
        """Do nothing."""

    def fail(self, error: Exception, /) -> None:
        """Do nothing."""


NULL_SINK: Final[Sink[Any]] = NullSink()
