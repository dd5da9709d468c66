"""Flushing by turns: a little in each round of the loop, so that keepalives breathe in between.

A speaker marks a part (a shard of subscriptions, or a single one) and returns. One callback at a time is scheduled; it
flushes the parts that were marked when it began, stops after about `round_cost_max` readers, and schedules the next.
All parts scheduled at once would run in one round of the loop, and no socket would be read before the last of them.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tidings.hub.ports import Schedule

ITEMS_PER_COST_UNIT = 32  # encoding so many for one reader takes about as long as one write to a socket


class Flushable(Protocol):
    """Something that can be flushed."""

    is_scheduled: bool  # waits for its turn; written by Turns alone

    def flush(self) -> int:
        """Delivers what can be delivered now; what it cost, in readers visited."""


class FlushScheduler:
    """The parts that wait for their turn, each at most once."""

    __slots__ = ("_call_soon", "_is_round_scheduled", "_queue", "_round_cost_max")

    def __init__(self, schedule: Schedule, round_cost_max: int) -> None:
        self._call_soon = schedule
        self._round_cost_max = round_cost_max
        self._queue: deque[Flushable] = deque()
        self._is_round_scheduled = False

    def schedule(self, target: Flushable) -> None:
        """Flush `part` in one of the next rounds. Delivers nothing itself, so it is safe anywhere."""
        if target.is_scheduled:
            return
        target.is_scheduled = True
        self._queue.append(target)
        if not self._is_round_scheduled:
            self._is_round_scheduled = True
            self._call_soon(self._run_round)

    def _run_round(self) -> None:
        queue = self._queue
        cost = 0
        try:
            # A part that is marked anew during this turn waits for the next one: it had its share.
            for _ in range(len(queue)):
                target = queue.popleft()
                target.is_scheduled = False
                cost += target.flush()
                if cost >= self._round_cost_max:
                    break
        finally:
            self._is_round_scheduled = bool(queue)
            if queue:
                self._call_soon(self._run_round)
