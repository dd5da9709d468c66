"""Whether the service can be used, in one word."""

import time
from collections.abc import Callable, Sequence
from typing import Final

OK: Final = "ok"
DEGRADED: Final = "degraded"  # it serves, but not all of it


class Health:
    """`status` is what the application says: starting, ok, degraded, draining or failed."""

    def __init__(self, version: str, status: Callable[[], str], problems: Callable[[], Sequence[str]]) -> None:
        self.version = version
        self._status = status
        self._problems = problems
        self._started_at = time.monotonic()

    @property
    def status(self) -> str:
        """The word."""
        return self._status()

    @property
    def problems(self) -> list[str]:
        """Why it is degraded, for the operator: names of rooms and files are in it."""
        return list(self._problems())

    @property
    def uptime_seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self._started_at, 3)
