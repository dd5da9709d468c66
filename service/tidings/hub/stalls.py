"""Readers that could have something and take nothing: watched by their progress, not by their backlog.

Only they are looked at when time passes, so that a tick costs nothing for readers at the head.
"""

from __future__ import annotations

from typing import Protocol

ENDED_PER_TICK_MAX = 256  # readers of one broken network stall together; ending all at once would stop the loop


class StallCandidate(Protocol):
    """A subscription as seen by the clock."""

    def progress(self) -> int | None:
        """A number that changes with every step; None while it does not wait for its reader."""

    def release_buffers(self) -> None:
        """Let go what is kept for a reader that does not take it."""

    def end_stalled(self) -> None:
        """It made no progress for too long."""


class StallDetector:
    """Since when which reader stands where."""

    __slots__ = ("_progress", "_stall_seconds")

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._progress: dict[StallCandidate, tuple[int | None, float]] = {}

    def add(self, subscription: StallCandidate) -> None:
        """It has something to get and no demand. Its time starts with the next tick."""
        if subscription not in self._progress:
            self._progress[subscription] = (None, 0.0)

    def tick(self, now: float) -> int:
        """End those that stood still for `stall_seconds`; how many."""
        stalled: list[StallCandidate] = []
        for subscription, (last_progress, since) in list(self._progress.items()):
            progress = subscription.progress()
            if progress is None:
                del self._progress[subscription]
            elif progress != last_progress:
                self._progress[subscription] = (progress, now)
            elif now - since < self._stall_seconds:
                subscription.release_buffers()
            elif len(stalled) < ENDED_PER_TICK_MAX:
                del self._progress[subscription]
                stalled.append(subscription)
        for subscription in stalled:
            subscription.end_stalled()
        return len(stalled)
