"""How often somebody may ask for something: a bucket of tokens each."""

from collections.abc import Callable
from math import ceil, inf
from typing import Final

from tidings.contract import v1
from tidings.contract.errors import Failure, resource_exhausted
from tidings.domain.limits import DomainLimits
from tidings.domain.lru import Lru

DAY_SECONDS: Final = 86_400
ROW_BYTES: Final = 256  # what an event takes in the database beside itself: its columns, its key, pages half full
# What a text takes in the search index, by texts of random words, the most expensive ones: 4 bytes for each of UTF-8
# (letters of any kind 2 to 5), and for a character without spaces around it, which stands in two pairs, 45 in all.
# Those have three bytes of UTF-8 or four; emoji and some scripts with spaces have as many and are charged too much.
INDEX_BYTES_PER_BYTE: Final = 4
INDEX_BYTES_PER_LONG_CHARACTER: Final = 33
_NOT_LONG: Final = bytes(range(0xE0))  # bytes that do not begin a character of three bytes or four


class Pace:
    """`per_second` in the long run, `burst` at once; per_second 0 = no limit. `what` names the things and the limit.

    What weighs more than one is allowed as soon as there is a token, and what is missing is owed: so a single thing may
    weigh more than the burst, and its user waits until it is made up for. A bucket that is forgotten is a full one,
    so forgetting errs on the generous side.
    """

    __slots__ = ("_buckets", "_burst", "_clock", "_per_second", "_what")

    def __init__(self, per_second: float, burst: int, kept_max: int, clock: Callable[[], float], what: str) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._what = what
        # whose → (tokens, when that was counted)
        self._buckets: Lru[str, tuple[float, float]] = Lru(kept_max)

    def take(self, whose: str, weight: int = 1) -> None:
        """So many tokens; RESOURCE_EXHAUSTED, with the time until the next one, when there is none."""
        if not self._per_second:
            return
        now = self._clock()
        tokens, since = self._buckets.peek(whose) or (float(self._burst), now)
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            raise _refusal(f"{self._per_second:g} {self._what}", tokens, self._per_second)
        self._buckets.put(whose, (tokens - weight, now))


class WriteLimiter:
    """What one user may write: events in a second, each as heavy as its bytes, and bytes in a day.

    Two buckets for each user, as in `Pace`, in one entry: every message asks here. The day's is full at first, and is
    filled again over 24 hours.
    """

    __slots__ = ("_buckets", "_clock", "_day_bytes", "_limits", "_limits_any", "_sends", "_sends_burst", "_stored")

    def __init__(self, limits: DomainLimits, clock: Callable[[], float], *, lifted: bool) -> None:
        """`lifted`: there is no limit."""
        self._limits = limits
        self._clock = clock
        # Where there is no limit, there is always enough.
        self._sends = 0.0 if lifted else limits.sends_per_second_max
        self._sends_burst = float(limits.sends_burst_max) if self._sends else inf
        self._stored = 0.0 if lifted else limits.stored_bytes_per_day_max / DAY_SECONDS
        self._day_bytes = float(limits.stored_bytes_per_day_max) if self._stored else inf
        self._limits_any = bool(self._sends or self._stored)
        # user → (sends left, bytes left, when that was counted)
        self._buckets: Lru[str, tuple[float, float, float]] = Lru(limits.paced_users_max)

    def check(self, user: str) -> None:
        """RESOURCE_EXHAUSTED if the user may write nothing now."""
        if self._limits_any:
            self._check(*self._left(user)[:2])

    def take(self, event: v1.Event) -> None:
        """One event is to be written; RESOURCE_EXHAUSTED, and nothing is taken."""
        if self._limits_any:
            edit = event.edited.text
            index_bytes = measure_index_bytes(edit or event.posted.text)
            # An edit writes its text twice: the event's own and the message's.
            self.take_events(event.actor, 1, event.ByteSize(), len(edit.encode()) + index_bytes)

    def take_events(self, user: str, events: int, size_bytes: int, derived_bytes: int = 0) -> None:
        """So many events with so many bytes in all, of which the store makes `derived_bytes` more."""
        sends, stored, now = self._left(user)
        if sends < 1 or stored < 1:
            self._check(sends, stored)
        sends -= events + size_bytes // self._limits.send_weight_bytes
        self._buckets.put(user, (sends, stored - size_bytes - derived_bytes - events * ROW_BYTES, now))

    def charge_rewritten(self, user: str, size_bytes: int) -> None:
        """A change made the store write so many bytes of earlier events again. Where they lie they take no more."""
        if self._limits_any:
            sends, stored, now = self._left(user)
            self._buckets.put(user, (sends - size_bytes // self._limits.send_weight_bytes, stored, now))

    def _check(self, sends: float, stored: float) -> None:
        if sends < 1:
            what = f"{self._sends:g} messages per second (sends_per_second_max)"
            raise _refusal(what, sends, self._sends)
        if stored < 1:
            what = f"{self._limits.stored_bytes_per_day_max:,} bytes stored in a day (stored_bytes_per_day_max)"
            raise _refusal(what, stored, self._stored)

    def _left(self, user: str) -> tuple[float, float, float]:
        now = self._clock()
        sends, stored, since = self._buckets.peek(user) or (self._sends_burst, self._day_bytes, now)
        passed = now - since
        return (
            min(self._sends_burst, sends + passed * self._sends),
            min(self._day_bytes, stored + passed * self._stored),
            now,
        )


def measure_index_bytes(text: str) -> int:
    """About how many bytes the search index grows by for a text; rather too many."""
    if text.isascii():
        return len(text) * INDEX_BYTES_PER_BYTE
    data = text.encode()
    return len(data) * INDEX_BYTES_PER_BYTE + len(data.translate(None, _NOT_LONG)) * INDEX_BYTES_PER_LONG_CHARACTER


def _refusal(what: str, tokens: float, per_second: float) -> Failure:
    retry_after_ms = ceil((1 - tokens) / per_second * 1000)
    return resource_exhausted(f"more than {what}; try again in {retry_after_ms} ms", retry_after_ms=retry_after_ms)
