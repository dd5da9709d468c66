"""Flushing by turns: a little in each round of the loop, so that keepalives breathe in between.

A speaker marks a part (a shard of subscriptions, or a single one) and returns. One callback at a time is scheduled; it
flushes the parts that were marked when it began, stops after about `visits_max` readers, and schedules the next. All
parts scheduled at once would run in one round of the loop, and no socket would be read before the last of them.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tidings.hub.ports import Schedule

ITEMS_PER_VISIT = 32  # encoding so many for one reader takes about as long as one write to a socket


class Part(Protocol):
    """Something that can be flushed."""

    marked: bool  # waits for its turn; written by Turns alone

    def flush(self) -> int:
        """Delivers what can be delivered now; what it cost, in readers visited."""


class Turns:
    """The parts that wait for their turn, each at most once."""

    __slots__ = ("_parts", "_schedule", "_scheduled", "_visits_max")

    def __init__(self, schedule: Schedule, visits_max: int) -> None:
        self._schedule = schedule
        self._visits_max = visits_max
        self._parts: deque[Part] = deque()
        self._scheduled = False

    def mark(self, part: Part) -> None:
        """Flush `part` in one of the next rounds. Delivers nothing itself, so it is safe anywhere."""
        if part.marked:
            return
        part.marked = True
        self._parts.append(part)
        if not self._scheduled:
            self._scheduled = True
            self._schedule(self._turn)

    def _turn(self) -> None:
        parts = self._parts
        visits = 0
        try:
            # A part that is marked anew during this turn waits for the next one: it had its share.
            for _ in range(len(parts)):
                part = parts.popleft()
                part.marked = False
                visits += part.flush()
                if visits >= self._visits_max:
                    break
        finally:
            self._scheduled = bool(parts)
            if parts:
                self._schedule(self._turn)
