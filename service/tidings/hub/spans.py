"""Things that end by themselves after a while unless they are begun anew: one timer for all of a kind."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.hub.ports import Clock, ScheduleLater

K = TypeVar("K")


class Spans(Generic[K]):
    """Every key ends `seconds` after it was last begun. All have the same span, so they end in the order they began."""

    __slots__ = ("_armed", "_clock", "_due", "_ended", "_schedule_later", "_seconds")

    def __init__(
        self, seconds: float, ended: Callable[[K], None], *, clock: Clock, schedule_later: ScheduleLater
    ) -> None:
        self._seconds = seconds
        self._ended = ended
        self._clock = clock
        self._schedule_later = schedule_later
        self._due: OrderedDict[K, float] = OrderedDict()
        self._armed = False

    def begin(self, key: K) -> None:
        """It begins now, also if it had begun before."""
        self._due[key] = self._clock() + self._seconds
        self._due.move_to_end(key)
        self._arm(self._seconds)

    def cancel(self, key: K) -> bool:
        """It does not end by itself any more; whether it was to."""
        return self._due.pop(key, None) is not None

    def oldest(self) -> K | None:
        """The one that ends next."""
        return next(iter(self._due), None)

    def __contains__(self, key: K) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def _arm(self, seconds: float) -> None:
        if not self._armed:
            self._armed = True
            self._schedule_later(seconds, self._look)

    def _look(self) -> None:
        self._armed = False
        now = self._clock()
        while self._due:
            key, due = next(iter(self._due.items()))
            if due > now:
                self._arm(due - now)
                return
            del self._due[key]
            self._ended(key)
