"""Counters of the hub, for metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class HubCounters:
    """The running counters, incremented by every part of the hub."""

    __slots__ = (
        "batches_made",
        "deliveries",
        "events_notified",
        "gaps_sent",
        "heads_corrected",
        "reads",
        "reads_shared",
        "stalls_ended",
        "subscriptions",
    )

    def __init__(self) -> None:
        self.subscriptions = 0
        self.events_notified = 0
        self.deliveries = 0
        self.batches_made = 0
        self.reads = 0
        self.reads_shared = 0
        self.stalls_ended = 0
        self.gaps_sent = 0
        self.heads_corrected = 0


class HubStats(NamedTuple):
    """The counts at one moment. All but the first four only grow."""

    subscriptions: int
    active_rooms: int
    tails_bytes: int  # bytes of the tails of all rooms
    reads_in_flight: int
    events_notified: int
    deliveries: int  # items, one for each reader that got it
    batches_made: int
    reads: int  # pages read from the log to catch readers up
    reads_shared: int  # times a reader found the page it needed already loading or held by another reader
    stalls_ended: int  # readers ended with TooSlow
    gaps_sent: int
    heads_corrected: int  # times the log was found further than the notices said: each a lost or late notice
    measure_max_lag: Callable[[], int]

    @property
    def lag_events_max(self) -> int:
        """Events that the slowest reader is behind, now. Visits every reader, so read it seldom."""
        return self.measure_max_lag()
