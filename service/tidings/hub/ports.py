"""What the hub asks of its surroundings: readers, the log, marks, the loop.

Everything is synchronous. The loop, the clock and the log are handed in as functions, so that the hub can
be run by an event loop, by a test or by a simulator alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

from tidings.hub.sinks import Batch

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


PAUSED: Final = -1
"""The demand of a sink that takes items and may not be served yet: it wakes its source when it may."""


class Sink(Protocol[T]):
    """The reader's end: a transport's stream, or a channel.

    From inside `deliver`, `complete` and `fail` a sink may call `wake()` and `close()` of its own and of
    other subscriptions; it calls nothing else of the hub, and raises nothing. A sink that raises all the
    same is closed, and the exception goes to whoever runs the scheduled callback; other readers do not
    notice.
    """

    def demand(self) -> int:
        """Items that are taken right now: the reader's credit, 0 while its socket is full; or `PAUSED`."""

    def deliver(self, batch: Batch[T], /) -> bool:
        """A run of items, in order. False: it is more than `demand()` says, and none of it was taken."""

    def complete(self) -> None:
        """Nothing more comes, and nothing went wrong."""

    def fail(self, error: Exception, /) -> None:
        """Nothing more comes, because of `error`."""


class Subscription(Protocol):
    """What a watch gives to its reader."""

    def wake(self) -> None:
        """Demand may have grown. Cheap, may be called at any time; delivery happens in a later callback."""

    def close(self) -> None:
        """The reader is gone: nothing is delivered afterwards, the sink is let go. Idempotent."""


class LagPolicy(IntEnum):
    """What happens to a reader that falls behind. The numbers are those of the contract."""

    CATCH_UP = 0  # everything, read from the log, at the reader's pace
    LATEST = 1  # skip to near the head, with one gap mark
    CLOSE = 2  # end it with TooSlow and the cursor to resume from


class LogHead(NamedTuple):
    """Where a log ends: the seq of its last event, 0 when it is empty."""

    epoch: str
    seq: int


class MarkerFactory(Protocol[T_co]):
    """Makes the items that are not events."""

    def live(self, room: str, epoch: str, seq: int, /) -> T_co:
        """Everything up to `seq` has been sent; what follows is live."""

    def gap(self, epoch: str, first: int, last: int, /) -> T_co:
        """The events from `first` to `last`, both included, are left out."""


Events: TypeAlias = Sequence[tuple[int, T]]
"""Events of one room with their seqs, ascending."""

ReadEvents: TypeAlias = Callable[[str, int, int, Callable[[Events[T] | Exception], None]], None]
"""read(room, after_seq, limit, done): `done` is called once, on the loop, with at most limit events."""

ReadHead: TypeAlias = Callable[[str, Callable[[LogHead | Exception], None]], None]
"""head(room, done): `done` is called once, on the loop, with a head read after this call."""

ReadHeads: TypeAlias = Callable[[Sequence[str], Callable[[Mapping[str, LogHead] | Exception], None]], None]
"""heads(rooms, done): `done` is called once, on the loop, with the heads of those of the rooms that exist."""

MissedEvents: TypeAlias = Callable[[str, str, int], None]
"""missed(room, epoch, seq): the log has come to `seq`, and the notice of that was lost."""

Schedule: TypeAlias = Callable[[Callable[[], Any]], Any]
"""schedule(callback): runs it soon, in a round of the loop of its own (`loop.call_soon`)."""

ScheduleLater: TypeAlias = Callable[[float, Callable[[], Any]], Any]
"""schedule_later(seconds, callback): `loop.call_later`."""

Clock: TypeAlias = Callable[[], float]
"""Seconds, monotonic."""
