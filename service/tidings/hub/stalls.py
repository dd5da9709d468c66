"""Ends subscriptions that have something to deliver and make no progress. Backlog is no criterion.

Only subscriptions without demand are tracked, so a tick costs nothing for readers at the head.
"""

from __future__ import annotations

from typing import Protocol

ENDED_PER_TICK_MAX = 256  # readers of one broken network stall together; ending all at once would block the event loop


class StallCandidate(Protocol):
    """A subscription as the detector sees it."""

    def progress(self) -> int | None:
        """A number that changes with every delivery; None while it does not wait for its reader."""

    def release_buffers(self) -> None:
        """Release what is held for a reader that does not take it."""

    def end_stalled(self) -> None:
        """Fail the subscription: it made no progress for `stall_seconds`."""


class StallDetector:
    """The progress of each tracked subscription, and since when it has not changed."""

    __slots__ = ("_progress", "_stall_seconds")

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._progress: dict[StallCandidate, tuple[int | None, float]] = {}

    def add(self, subscription: StallCandidate) -> None:
        """Track a subscription that has something to deliver and no demand. Its time starts with the next tick."""
        if subscription not in self._progress:
            self._progress[subscription] = (None, 0.0)

    def tick(self, now: float) -> int:
        """End the subscriptions without progress for `stall_seconds`; returns how many."""
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
