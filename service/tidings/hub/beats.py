"""Readers that are left in peace for a while after each delivery, so that what changes meanwhile comes as one."""

from __future__ import annotations

from typing import Protocol

from tidings.hub.ports import Clock, ScheduleLater
from tidings.hub.spans import Spans


class Rester(Protocol):
    """A subscription with a beat."""

    beat_seconds: float
    resting: bool  # is not flushed; written by Beats alone

    def wake(self) -> None:
        """The beat is over."""


class Beats:
    """The resting readers. Those of one length of beat share a timer; the lengths are the settings' own, a few."""

    __slots__ = ("_clock", "_lines", "_schedule_later")

    def __init__(self, schedule_later: ScheduleLater, clock: Clock) -> None:
        self._schedule_later = schedule_later
        self._clock = clock
        self._lines: dict[float, Spans[Rester]] = {}

    def rest(self, reader: Rester) -> None:
        """Not before its beat is over."""
        reader.resting = True
        seconds = reader.beat_seconds
        line = self._lines.get(seconds)
        if line is None:
            line = self._lines[seconds] = Spans(seconds, _rise, clock=self._clock, schedule_later=self._schedule_later)
        line.begin(reader)


def _rise(reader: Rester) -> None:
    reader.resting = False
    reader.wake()
