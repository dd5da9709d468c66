"""How often somebody may ask for something: a bucket of tokens each."""

from collections.abc import Callable
from math import ceil

from tidings.contract.errors import resource_exhausted
from tidings.domain.lru import Lru


class Pace:
    """`per_second` in the long run, `burst` at once; per_second 0 = no limit. `what` names the things and the limit.

    A bucket that is forgotten is a full one, so forgetting errs on the generous side.
    """

    __slots__ = ("_buckets", "_burst", "_clock", "_per_second", "_what")

    def __init__(self, per_second: float, burst: int, kept_max: int, clock: Callable[[], float], what: str) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._what = what
        # whose → (tokens, when that was counted)
        self._buckets: Lru[str, tuple[float, float]] = Lru(kept_max)

    def take(self, whose: str) -> None:
        """One token; RESOURCE_EXHAUSTED, with the time until the next one, when there is none."""
        if not self._per_second:
            return
        now = self._clock()
        tokens, since = self._buckets.peek(whose) or (float(self._burst), now)
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            retry_after_ms = ceil((1 - tokens) / self._per_second * 1000)
            raise resource_exhausted(
                f"more than {self._per_second:g} {self._what}; try again in {retry_after_ms} ms",
                retry_after_ms=retry_after_ms,
            )
        self._buckets.put(whose, (tokens - 1, now))
