"""Rate limits per user: token buckets."""

from collections.abc import Callable
from math import ceil, inf
from typing import Final

from tidings.contract import v1
from tidings.contract.errors import ApiError, resource_exhausted
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.limits.limits import DomainLimits

DAY_SECONDS: Final = 86_400
EVENT_OVERHEAD_BYTES: Final = 256  # of an event in the database beside its own bytes: columns, key, pages half full
# What a text takes in the search index, by texts of random words, the most expensive ones: 4 bytes for each of UTF-8
# (letters of any kind 2 to 5), and for a character without spaces around it, which stands in two pairs, 45 in all.
# Those have three bytes of UTF-8 or four; emoji and some scripts with spaces have as many and are charged too much.
INDEX_BYTES_PER_BYTE: Final = 4
INDEX_BYTES_PER_LONG_CHARACTER: Final = 33
_NOT_LONG: Final = bytes(range(0xE0))  # bytes that do not begin a character of three bytes or four


class RateLimiter:
    """`per_second` on average, `burst` at once; per_second 0 = no limit. `description` names the units and the limit.

    A cost above one is allowed as soon as there is one token; the bucket may become negative. So a single request may
    cost more than the burst, and its user waits until the bucket has recovered. An evicted bucket counts as full.
    """

    __slots__ = ("_buckets", "_burst", "_clock", "_description", "_per_second")

    def __init__(
        self, per_second: float, burst: int, keys_max: int, clock: Callable[[], float], description: str
    ) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._description = description
        # key → (tokens, time at which they were counted)
        self._buckets: LruCache[str, tuple[float, float]] = LruCache(keys_max)

    def acquire(self, key: str, cost: int = 1) -> None:
        """Take `cost` tokens; RESOURCE_EXHAUSTED, with the time until the next token, if there is none."""
        if not self._per_second:
            return
        now = self._clock()
        tokens, since = self._buckets.peek(key) or (float(self._burst), now)
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            raise _limit_error(f"{self._per_second:g} {self._description}", tokens, self._per_second)
        self._buckets.put(key, (tokens - cost, now))


class WriteLimiter:
    """Limits what one user writes: events per second, of which large ones cost more, and stored bytes per day.

    Two buckets for each user, as in `RateLimiter`, in one entry, since every message is checked here. The bucket of the
    day is full at first and refills over 24 hours.
    """

    __slots__ = (
        "_buckets",
        "_bytes_per_second",
        "_clock",
        "_daily_bytes",
        "_is_enabled",
        "_limits",
        "_sends_burst",
        "_sends_per_second",
    )

    def __init__(self, limits: DomainLimits, clock: Callable[[], float], *, is_disabled: bool) -> None:
        """`is_disabled`: no limits, for development."""
        self._limits = limits
        self._clock = clock
        # Without a limit the bucket is infinite.
        self._sends_per_second = 0.0 if is_disabled else limits.sends_per_second_max
        self._sends_burst = float(limits.sends_burst_max) if self._sends_per_second else inf
        self._bytes_per_second = 0.0 if is_disabled else limits.stored_bytes_per_day_max / DAY_SECONDS
        self._daily_bytes = float(limits.stored_bytes_per_day_max) if self._bytes_per_second else inf
        self._is_enabled = bool(self._sends_per_second or self._bytes_per_second)
        # user → (sends left, bytes left, when that was counted)
        self._buckets: LruCache[str, tuple[float, float, float]] = LruCache(limits.rate_limited_users_max)

    def check(self, user: str) -> None:
        """RESOURCE_EXHAUSTED if the user may write nothing now."""
        if self._is_enabled:
            self._check(*self._remaining(user)[:2])

    def acquire(self, event: v1.Event) -> None:
        """Charge one event before it is written; RESOURCE_EXHAUSTED, and nothing is charged."""
        if self._is_enabled:
            edit = event.edited.text
            index_bytes = estimate_index_bytes(edit or event.posted.text)
            # An edit writes its text twice: the event's own and the message's.
            self.acquire_events(event.actor, 1, event.ByteSize(), len(edit.encode()) + index_bytes)

    def acquire_events(self, user: str, events: int, size_bytes: int, derived_bytes: int = 0) -> None:
        """Charge `events` with `size_bytes` in all, for which the store writes `derived_bytes` more."""
        sends, stored, now = self._remaining(user)
        if sends < 1 or stored < 1:
            self._check(sends, stored)
        sends -= events + size_bytes // self._limits.send_cost_bytes
        self._buckets.put(user, (sends, stored - size_bytes - derived_bytes - events * EVENT_OVERHEAD_BYTES, now))

    def charge_rewritten(self, user: str, size_bytes: int) -> None:
        """Charge earlier events that a change rewrote: they cost events per second, and no further stored bytes."""
        if self._is_enabled:
            sends, stored, now = self._remaining(user)
            self._buckets.put(user, (sends - size_bytes // self._limits.send_cost_bytes, stored, now))

    def _check(self, sends: float, stored: float) -> None:
        if sends < 1:
            what = f"{self._sends_per_second:g} messages per second (sends_per_second_max)"
            raise _limit_error(what, sends, self._sends_per_second)
        if stored < 1:
            what = f"{self._limits.stored_bytes_per_day_max:,} bytes stored in a day (stored_bytes_per_day_max)"
            raise _limit_error(what, stored, self._bytes_per_second)

    def _remaining(self, user: str) -> tuple[float, float, float]:
        now = self._clock()
        sends, stored, since = self._buckets.peek(user) or (self._sends_burst, self._daily_bytes, now)
        passed = now - since
        return (
            min(self._sends_burst, sends + passed * self._sends_per_second),
            min(self._daily_bytes, stored + passed * self._bytes_per_second),
            now,
        )


def estimate_index_bytes(text: str) -> int:
    """An upper estimate of the bytes by which a text makes the search index grow."""
    if text.isascii():
        return len(text) * INDEX_BYTES_PER_BYTE
    data = text.encode()
    return len(data) * INDEX_BYTES_PER_BYTE + len(data.translate(None, _NOT_LONG)) * INDEX_BYTES_PER_LONG_CHARACTER


def _limit_error(description: str, tokens: float, per_second: float) -> ApiError:
    retry_after_ms = ceil((1 - tokens) / per_second * 1000)
    return resource_exhausted(
        f"more than {description}; try again in {retry_after_ms} ms", retry_after_ms=retry_after_ms
    )
