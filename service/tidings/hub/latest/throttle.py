"""Readers that are left in peace for a while after each delivery, so that what changes meanwhile comes as one."""

from __future__ import annotations

from typing import Protocol

from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import Clock, ScheduleLater


class Throttled(Protocol):
    """A subscription with a beat."""

    min_interval_seconds: float
    is_throttled: bool  # is not flushed; written by Beats alone

    def wake(self) -> None:
        """The beat is over."""


class Throttle:
    """The resting readers. Those of one length of beat share a timer; the lengths are the settings' own, a few."""

    __slots__ = ("_clock", "_queues", "_schedule_later")

    def __init__(self, schedule_later: ScheduleLater, clock: Clock) -> None:
        self._schedule_later = schedule_later
        self._clock = clock
        self._queues: dict[float, ExpiryQueue[Throttled]] = {}

    def pause(self, subscription: Throttled) -> None:
        """Not before its beat is over."""
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
