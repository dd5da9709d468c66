"""What the hub needs from its caller: the log, markers, the event loop, the clock.

Everything is synchronous and passed in as functions, so an event loop, a test or a simulator can run the hub.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class LagPolicy(IntEnum):
    """What happens to a reader that falls behind. The numbers are those of the contract (`log.proto`, Lag)."""

    CATCH_UP = 0  # deliver everything, from the log if necessary, at the reader's pace
    LATEST = 1  # skip to near the head, with one gap marker
    CLOSE = 2  # end it with TooSlow and the cursor to resume from


class LogHead(NamedTuple):
    """Where a log ends: the seq of its last event, 0 when it is empty."""

    epoch: str
    seq: int


class MarkerFactory(Protocol[T_co]):
    """Makes the items that are not events: live and gap markers."""

    def live(self, room: str, epoch: str, seq: int, /) -> T_co:
        """Everything up to `seq` has been sent; the events that follow are new."""

    def gap(self, epoch: str, first: int, last: int, /) -> T_co:
        """The events from `first` to `last`, both included, are not delivered."""


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
"""schedule(callback): runs it in the next iteration of the loop (`loop.call_soon`)."""

ScheduleLater: TypeAlias = Callable[[float, Callable[[], Any]], Any]
"""schedule_later(seconds, callback): `loop.call_later`."""

Clock: TypeAlias = Callable[[], float]
"""Seconds, monotonic."""
