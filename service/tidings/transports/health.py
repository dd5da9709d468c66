"""Whether the service can be used, in one word."""

import time
from collections.abc import Callable
from typing import Final

OK: Final = "ok"


class Health:
    """`status` is what the application says: starting, ok, draining or failed."""

    def __init__(self, version: str, status: Callable[[], str]) -> None:
        self.version = version
        self._status = status
        self._started_at = time.monotonic()

    @property
    def status(self) -> str:
        """The word."""
        return self._status()

    @property
    def uptime_seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self._started_at, 3)
