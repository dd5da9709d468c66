"""One timer for ten thousand connections.

Everybody who waits for a moment stands in the slot of the clock in which that moment comes; one timer of the loop
walks the slots. To wait for another moment is to move to another slot: no timer is ever made or cancelled for
it. Moments are kept to within `tick_seconds`, late and never early.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from tidings.log import log


class TimerTarget(Protocol):
    """Somebody who waits. `timer_slot` belongs to `TimerWheel`; it begins as 0."""

    timer_slot: int

    def on_timeout(self, now: float) -> None:
        """The moment has come. Who wants to wait again says so."""


class TimerWheel:
    """Who waits until when. Runs a timer only while somebody does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], tick_seconds: float) -> None:
        self._loop = loop
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._slots: dict[int, dict[TimerTarget, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def schedule(self, target: TimerTarget, when: float | None) -> None:
        """Call `target.on_timeout` at `when` on this clock, in place of what was asked before; None: not at all."""
        slot = 0 if when is None else int(when / self._tick_seconds) + 1
        if target.timer_slot == slot:
            return
        if target.timer_slot:
            self._remove(target)
        target.timer_slot = slot
        if slot:
            self._slots.setdefault(slot, {})[target] = None
            if self._timer is None:
                self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def _remove(self, target: TimerTarget) -> None:
        slot = self._slots.get(target.timer_slot)
        if slot is not None:
            slot.pop(target, None)
            if not slot:
                del self._slots[target.timer_slot]

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        last = int(now / self._tick_seconds)
        for slot in sorted(slot for slot in self._slots if slot <= last):
            for target in self._slots.pop(slot, ()):
                if target.timer_slot != slot:
                    continue  # somebody before it in this slot has moved it
                target.timer_slot = 0
                try:
                    target.on_timeout(now)
                except Exception:
                    log.exception("a timer callback failed", target=type(target).__name__)
        if self._slots and self._timer is None:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
