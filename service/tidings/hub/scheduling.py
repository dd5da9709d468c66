"""Bounded flushing: a part of the work in each iteration of the event loop, so that sockets are read in between.

The sender schedules a target (a shard of subscriptions, or a single one) and returns. One callback at a time is
registered with the loop. It flushes the targets that were queued when it began, stops at a cost of about
`round_cost_max`, and registers the next. One callback per target would run all of them in one iteration of the loop,
and no socket would be read before the last of them.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tidings.hub.ports import Schedule

ITEMS_PER_COST_UNIT = 32  # encoding this many for one reader takes about as long as one write to a socket


class Flushable(Protocol):
    """Something that can be flushed."""

    is_scheduled: bool  # is queued; written by `FlushScheduler` only

    def flush(self) -> int:
        """Deliver what can be delivered now; returns the cost, in subscriptions visited."""


class FlushScheduler:
    """The queue of targets, each at most once."""

    __slots__ = ("_call_soon", "_is_round_scheduled", "_queue", "_round_cost_max")

    def __init__(self, schedule: Schedule, round_cost_max: int) -> None:
        self._call_soon = schedule
        self._round_cost_max = round_cost_max
        self._queue: deque[Flushable] = deque()
        self._is_round_scheduled = False

    def schedule(self, target: Flushable) -> None:
        """Flush `target` in one of the next rounds. Delivers nothing itself, so it may be called from anywhere."""
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
            # A target that is scheduled again during this round waits for the next one: it had its share.
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
