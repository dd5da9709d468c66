"""Readers that could have something and take nothing: watched by their progress, not by their backlog.

Only they are looked at when time passes, so that a tick costs nothing for readers at the head.
"""

from __future__ import annotations

from typing import Protocol

ENDED_PER_TICK_MAX = 256  # readers of one broken network stall together; ending all at once would stop the loop


class Laggard(Protocol):
    """A subscription as seen by the clock."""

    def progress(self) -> int | None:
        """A number that changes with every step; None while it does not wait for its reader."""

    def stop_holding(self) -> None:
        """Let go what is kept for a reader that does not take it."""

    def end_stalled(self) -> None:
        """It made no progress for too long."""


class Laggards:
    """Since when which reader stands where."""

    __slots__ = ("_places", "_stall_seconds")

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._places: dict[Laggard, tuple[int | None, float]] = {}

    def add(self, laggard: Laggard) -> None:
        """It has something to get and no demand. Its time starts with the next tick."""
        if laggard not in self._places:
            self._places[laggard] = (None, 0.0)

    def tick(self, now: float) -> int:
        """End those that stood still for `stall_seconds`; how many."""
        ended: list[Laggard] = []
        for laggard, (before, since) in list(self._places.items()):
            progress = laggard.progress()
            if progress is None:
                del self._places[laggard]
            elif progress != before:
                self._places[laggard] = (progress, now)
            elif now - since < self._stall_seconds:
                laggard.stop_holding()
            elif len(ended) < ENDED_PER_TICK_MAX:
                del self._places[laggard]
                ended.append(laggard)
        for laggard in ended:
            laggard.end_stalled()
        return len(ended)
