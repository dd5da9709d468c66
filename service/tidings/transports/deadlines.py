"""One timer for ten thousand connections.

Everybody who waits for a moment stands in the slot of the clock in which that moment comes; one timer of the loop
walks the slots. To wait for another moment is to move to another slot: no timer is ever made or cancelled for
it. Moments are kept to within `tick_seconds`, late and never early.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from tidings.log import log


class Waiting(Protocol):
    """Somebody who waits. `slot` belongs to `Deadlines`; it begins as 0."""

    slot: int

    def due(self, now: float) -> None:
        """The moment has come. Who wants to wait again says so."""


class Deadlines:
    """Who waits until when. Runs a timer only while somebody does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], tick_seconds: float) -> None:
        self._loop = loop
        self._clock = clock
        self._tick_seconds = tick_seconds
        self._slots: dict[int, dict[Waiting, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def put(self, who: Waiting, at: float | None) -> None:
        """Call `who.due` at `at` on this clock, in place of what was asked before; None: not at all."""
        slot = 0 if at is None else int(at / self._tick_seconds) + 1
        if who.slot == slot:
            return
        if who.slot:
            self._leave(who)
        who.slot = slot
        if slot:
            self._slots.setdefault(slot, {})[who] = None
            if self._timer is None:
                self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def _leave(self, who: Waiting) -> None:
        slot = self._slots.get(who.slot)
        if slot is not None:
            slot.pop(who, None)
            if not slot:
                del self._slots[who.slot]

    def _tick(self) -> None:
        self._timer = None
        now = self._clock()
        last = int(now / self._tick_seconds)
        for slot in sorted(slot for slot in self._slots if slot <= last):
            for who in self._slots.pop(slot, ()):
                if who.slot != slot:
                    continue  # somebody before it in this slot has moved it
                who.slot = 0
                try:
                    who.due(now)
                except Exception:
                    log.exception("a deadline could not be kept", who=type(who).__name__)
        if self._slots and self._timer is None:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
