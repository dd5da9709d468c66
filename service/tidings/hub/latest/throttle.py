"""Throttle: at most one batch per subscription and interval; changes in between are merged."""

from __future__ import annotations

from typing import Protocol

from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import Clock, ScheduleLater


class Throttled(Protocol):
    """A subscription with a minimum interval between two batches."""

    min_interval_seconds: float
    is_throttled: bool  # is not flushed; written by `Throttle` only

    def wake(self) -> None:
        """The interval is over."""


class Throttle:
    """The paused subscriptions. Those with the same interval share a timer; there are few intervals."""

    __slots__ = ("_clock", "_queues", "_schedule_later")

    def __init__(self, schedule_later: ScheduleLater, clock: Clock) -> None:
        self._schedule_later = schedule_later
        self._clock = clock
        self._queues: dict[float, ExpiryQueue[Throttled]] = {}

    def pause(self, subscription: Throttled) -> None:
        """Do not flush `subscription` before its interval is over."""
        subscription.is_throttled = True
        seconds = subscription.min_interval_seconds
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = ExpiryQueue(
                seconds, _resume, clock=self._clock, schedule_later=self._schedule_later
            )
        queue.start(subscription)


def _resume(subscription: Throttled) -> None:
    subscription.is_throttled = False
    subscription.wake()
