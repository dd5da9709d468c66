"""A rate limit for frames."""


class FixedWindowLimiter:
    """At most `per_second_max` per window of one second; across two windows up to twice as many may pass."""

    __slots__ = ("_per_second_max", "_remaining", "_window_start")

    def __init__(self, per_second_max: int) -> None:
        self._per_second_max = per_second_max
        self._remaining = per_second_max
        self._window_start = float("-inf")

    def acquire(self, now: float, count: int = 1) -> bool:
        """Count one more at `now`, or `count` more, all or none; False above the limit."""
        if now - self._window_start >= 1.0:
            self._window_start = now
            self._remaining = self._per_second_max
        if self._remaining < count:
            return False
        self._remaining -= count
        return True
