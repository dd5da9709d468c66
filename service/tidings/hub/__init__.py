"""Fan-out in memory. Standard library only; the clock, the event loop and the log are passed in.

`Hub`: events of rooms, from a cursor on, without a gap. `KeyChangeHub`: the latest value of each key, conflated.
How they work: `log.tail`, `log.subscription`, `latest.key_changes`, `latest.key_subscription`.
"""

from tidings.hub.errors import (
    CursorBeyondHeadError,
    CursorLostError,
    HubError,
    TooManyKeysError,
    TooManySubscriptionsError,
    TooSlowError,
)
from tidings.hub.latest.key_changes import KeyChangeHub
from tidings.hub.latest.key_subscription import KeySubscription
from tidings.hub.limits import HubLimits, KeyChangeLimits
from tidings.hub.log.hub import Hub
from tidings.hub.log.subscription import LogSubscription
from tidings.hub.ports import LagPolicy, LogHead, MarkerFactory
from tidings.hub.sinks import PAUSED, Batch, Sink, Subscription
from tidings.hub.stats import HubStats

__all__ = [
    "PAUSED",
    "Batch",
    "CursorBeyondHeadError",
    "CursorLostError",
    "Hub",
    "HubError",
    "HubLimits",
    "HubStats",
    "KeyChangeHub",
    "KeyChangeLimits",
    "KeySubscription",
    "LagPolicy",
    "LogHead",
    "LogSubscription",
    "MarkerFactory",
    "Sink",
    "Subscription",
    "TooManyKeysError",
    "TooManySubscriptionsError",
    "TooSlowError",
]
