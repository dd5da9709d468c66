"""In-memory truth about who is listening. Standard library only; time, the loop and the log are handed in.

`Hub`: events of rooms, from a cursor on, without a gap. `Board`: latest values, conflated. See their modules for the
theory: `feed`, `subscription`, `board`, `board_subscription`.
"""

from tidings.hub.batch import Batch
from tidings.hub.board import Board
from tidings.hub.board_subscription import BoardSubscription
from tidings.hub.errors import (
    CursorBeyondHead,
    CursorLost,
    HubError,
    TooManyKeys,
    TooManySubscriptions,
    TooSlow,
)
from tidings.hub.hub import Hub
from tidings.hub.limits import BoardLimits, HubLimits
from tidings.hub.ports import PAUSED, Head, Lag, Marks, Sink, Source
from tidings.hub.stats import BoardStats, HubStats
from tidings.hub.subscription import Subscription

__all__ = [
    "PAUSED",
    "Batch",
    "Board",
    "BoardLimits",
    "BoardStats",
    "BoardSubscription",
    "CursorBeyondHead",
    "CursorLost",
    "Head",
    "Hub",
    "HubError",
    "HubLimits",
    "HubStats",
    "Lag",
    "Marks",
    "Sink",
    "Source",
    "Subscription",
    "TooManyKeys",
    "TooManySubscriptions",
    "TooSlow",
]
