"""When to try again: full jitter.

The delay before attempt k is drawn evenly from 0 to min(cap, base * 2**k). Clients that lost the same service
at the same moment so come back spread over the whole interval, and not in waves.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """How long to wait between attempts, in seconds. `draw` gives a number from 0 to 1; tests hand in their own."""

    base_seconds: float = 0.5  # a restart takes about so long; half of all clients are back at once after it
    cap_seconds: float = 20.0  # nobody waits longer than this once the service is back
    draw: Callable[[], float] = random.random

    def delay_seconds(self, attempt: int) -> float:
        """The delay before attempt number `attempt`, counted from 0."""
        # Above 2**32 the cap holds for any base, and a float has an end.
        return self.draw() * min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt, 32))


class Backoff:
    """The attempts since something last went well."""

    __slots__ = ("_policy", "attempts")

    def __init__(self, policy: BackoffPolicy) -> None:
        self._policy = policy
        self.attempts = 0

    def next_delay_seconds(self, min_seconds: float = 0.0) -> float:
        """The delay before the next attempt; jitter comes on top of `at_least`, which the service asked for."""
        delay = self._policy.delay_seconds(self.attempts)
        self.attempts += 1
        return min_seconds + delay

    def reset(self) -> None:
        """It went well."""
        self.attempts = 0
