"""In-memory truth about who is listening. Standard library only; time, the loop and the log are handed in."""

from tidings.hub.batch import Batch
from tidings.hub.errors import (
    CursorBeyondHead,
    CursorLost,
    HubError,
    TooManyKeys,
    TooManySubscriptions,
    TooSlow,
)
from tidings.hub.ports import Head, Lag, Marks, Sink, Source

__all__ = [
    "Batch",
    "CursorBeyondHead",
    "CursorLost",
    "Head",
    "HubError",
    "Lag",
    "Marks",
    "Sink",
    "Source",
    "TooManyKeys",
    "TooManySubscriptions",
    "TooSlow",
]
