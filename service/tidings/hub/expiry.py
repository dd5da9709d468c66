"""Keys that expire unless they are started again: one timer for all keys with the same time to live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from tidings.hub.ports import Clock, ScheduleLater

K = TypeVar("K")


class ExpiryQueue(Generic[K]):
    """Each key expires `seconds` after its last `start`: all in the order of their starts."""

    __slots__ = ("_clock", "_expires_at", "_is_armed", "_on_expired", "_schedule_later", "_seconds")

    def __init__(
        self, seconds: float, on_expired: Callable[[K], None], *, clock: Clock, schedule_later: ScheduleLater
    ) -> None:
        self._seconds = seconds
        self._on_expired = on_expired
        self._clock = clock
        self._schedule_later = schedule_later
        self._expires_at: OrderedDict[K, float] = OrderedDict()
        self._is_armed = False

    def start(self, key: K) -> None:
        """(Re)start the time of `key`."""
        self._expires_at[key] = self._clock() + self._seconds
        self._expires_at.move_to_end(key)
        self._arm(self._seconds)

    def cancel(self, key: K) -> bool:
        """Remove the key without calling `on_expired`; returns whether it was there."""
        return self._expires_at.pop(key, None) is not None

    def next_key(self) -> K | None:
        """The key that expires next; None if there is none."""
        return next(iter(self._expires_at), None)

    def __contains__(self, key: K) -> bool:
        return key in self._expires_at

    def __len__(self) -> int:
        return len(self._expires_at)

    def _arm(self, seconds: float) -> None:
        if not self._is_armed:
            self._is_armed = True
            self._schedule_later(seconds, self._expire_due)

    def _expire_due(self) -> None:
        self._is_armed = False
        now = self._clock()
        while self._expires_at:
            key, expires_at = next(iter(self._expires_at.items()))
            if expires_at > now:
                self._arm(expires_at - now)
                return
            del self._expires_at[key]
            self._on_expired(key)
