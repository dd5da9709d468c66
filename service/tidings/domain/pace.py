"""How fast one user may write, over all connections: a bucket of tokens each."""

from collections.abc import Callable
from math import ceil

from tidings.contract.errors import resource_exhausted
from tidings.domain.lru import Lru


class Pace:
    """`per_second` in the long run, `burst` at once; per_second 0 = no limit.

    A bucket that is forgotten is a full one, so forgetting errs on the generous side.
    """

    __slots__ = ("_buckets", "_burst", "_clock", "_per_second")

    def __init__(self, per_second: float, burst: int, users_max: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        # user → (tokens, when that was counted)
        self._buckets: Lru[str, tuple[float, float]] = Lru(users_max)

    def take(self, user: str) -> None:
        """One token; RESOURCE_EXHAUSTED, with the time until the next one, when there is none."""
        if not self._per_second:
            return
        now = self._clock()
        tokens, since = self._buckets.peek(user) or (float(self._burst), now)
        tokens = min(self._burst, tokens + (now - since) * self._per_second)
        if tokens < 1:
            retry_after_ms = ceil((1 - tokens) / self._per_second * 1000)
            raise resource_exhausted(
                f"more than {self._per_second:g} messages per second (sends_per_second_max); "
                f"try again in {retry_after_ms} ms",
                retry_after_ms=retry_after_ms,
            )
        self._buckets.put(user, (tokens - 1, now))
