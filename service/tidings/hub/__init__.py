"""In-memory truth about who is listening. Standard library only; time, the loop and the log are handed in.

`Hub`: events of rooms, from a cursor on, without a gap. `KeyChangeHub`: latest values, conflated. See their modules
for the theory: `log.tail`, `log.subscription`, `latest.key_changes`, `latest.key_subscription`.
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
from tidings.hub.ports import PAUSED, LagPolicy, LogHead, MarkerFactory, Sink, Subscription
from tidings.hub.sinks import Batch
from tidings.hub.stats import HubStats, KeyChangeStats

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
    "KeyChangeStats",
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
