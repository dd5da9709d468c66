"""The sink of an ended subscription: takes nothing, keeps nothing."""

from __future__ import annotations

from typing import Any

from tidings.hub.ports import Sink
from tidings.hub.sinks import Batch


class NullSink:
    """In the place of the reader that left, so that no reference to it is kept and nothing needs to ask first."""

    def demand(self) -> int:
        return 0

    def deliver(self, batch: Batch[Any], /) -> bool:
        return False

    def complete(self) -> None:
        """Nobody listens."""

    def fail(self, error: Exception, /) -> None:
        """Nobody listens."""


NULL_SINK: Sink[Any] = NullSink()
