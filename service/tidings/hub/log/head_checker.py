"""Compares the heads of active rooms with the log, so that a lost notice costs delay and no event.

A round over all rooms takes `head_check_seconds`; each tick takes the rooms that are due by then, so that they are
spread evenly, in one read of at most `head_check_rooms_max`. There is one read at a time: a slow log makes rounds
longer, not reads more. A head that is found beyond ours counts only if it still is at the next tick, since the notice
of a commit may be on its way when the log is read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import Generic, TypeVar

from tidings.hub.limits import HubLimits
from tidings.hub.log.tail import LogTail
from tidings.hub.ports import LogHead, ReadHeads

T = TypeVar("T")


class HeadChecker(Generic[T]):
    """`on_behind(tail, head)` is called for a tail behind the log; head None: the log has no such room."""

    __slots__ = (
        "_is_reading",
        "_limits",
        "_on_behind",
        "_queue",
        "_read_heads",
        "_round_size",
        "_round_started_at",
        "_suspects",
    )

    def __init__(
        self, limits: HubLimits, read_heads: ReadHeads, on_behind: Callable[[LogTail[T], LogHead | None], None]
    ) -> None:
        self._limits = limits
        self._read_heads = read_heads
        self._on_behind = on_behind
        self._queue: deque[LogTail[T]] = deque()
        self._round_size = 0
        self._round_started_at = float("-inf")
        self._is_reading = False
        self._suspects: dict[LogTail[T], LogHead | None] = {}

    def tick(self, now: float, tails: Callable[[], Iterable[LogTail[T]]]) -> None:
        """Read the heads that are due; `tails` are all there are, asked once a round."""
        suspects, self._suspects = self._suspects, {}
        for tail, head in suspects.items():
            if head is None or head.epoch != tail.epoch or head.seq > tail.head:
                self._on_behind(tail, head)
        seconds = self._limits.head_check_seconds
        if self._is_reading or seconds <= 0:
            return
        if not self._queue and now - self._round_started_at >= seconds:
            self._queue.extend(tails())
            self._round_size = len(self._queue)
            self._round_started_at = now
        due_share = min((now - self._round_started_at) / seconds, 1.0)
        checked = self._round_size - len(self._queue)
        count = min(ceil(self._round_size * due_share) - checked, self._limits.head_check_rooms_max)
        due = [self._queue.popleft() for _ in range(count)]
        positions = {tail: tail.head for tail in due if tail.is_ready and tail.error is None}
        if positions:
            self._read(positions)

    def _read(self, positions: dict[LogTail[T], int]) -> None:
        def on_done(result: Mapping[str, LogHead] | Exception) -> None:
            self._is_reading = False
            if isinstance(result, Exception):
                return  # the next round asks again
            for tail, position in positions.items():
                head = result.get(tail.room)
                # A tail that moved meanwhile hears of its commits.
                if tail.head == position and (head is None or head.epoch != tail.epoch or head.seq > position):
                    self._suspects[tail] = head

        self._is_reading = True
        try:
            self._read_heads([tail.room for tail in positions], on_done)
        except Exception as error:
            on_done(error)
