"""Readers that are left in peace for a while after each delivery, so that what changes meanwhile comes as one."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

from tidings.hub.ports import Clock, ScheduleLater


class Rester(Protocol):
    """A subscription with a beat."""

    beat_seconds: float
    resting: bool  # is not flushed; written by Beats alone

    def wake(self) -> None:
        """The beat is over."""


class Beats:
    """One line of resting readers for each length of beat, and one timer for each line."""

    __slots__ = ("_clock", "_lines", "_schedule_later")

    def __init__(self, schedule_later: ScheduleLater, clock: Clock) -> None:
        self._schedule_later = schedule_later
        self._clock = clock
        self._lines: dict[float, deque[tuple[float, Rester]]] = {}

    def rest(self, reader: Rester) -> None:
        """Not before its beat is over."""
        reader.resting = True
        beat_seconds = reader.beat_seconds
        line = self._lines.setdefault(beat_seconds, deque())
        line.append((self._clock() + beat_seconds, reader))
        if len(line) == 1:
            self._schedule_later(beat_seconds, partial(self._rise, beat_seconds))

    def _rise(self, beat_seconds: float) -> None:
        line = self._lines[beat_seconds]
        now = self._clock()
        while line and line[0][0] <= now:
            _, reader = line.popleft()
            reader.resting = False
            reader.wake()
        if line:
            self._schedule_later(line[0][0] - now, partial(self._rise, beat_seconds))
        else:
            del self._lines[beat_seconds]
