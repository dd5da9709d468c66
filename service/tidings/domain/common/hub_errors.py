"""How streams end, in the contract's words: the one place where the hub's reasons become ApiErrors."""

from collections.abc import Callable
from typing import Any

from tidings.contract.errors import ApiError, cursor_lost, permission_denied, resource_exhausted, too_slow
from tidings.hub import Batch, CursorLostError, HubError, Sink, TooSlowError


def translate_hub_error(error: Exception) -> Exception:
    """What the reader is told for `error`. What is neither an ApiError nor the hub's is a fault, and left as it is."""
    if isinstance(error, ApiError) or not isinstance(error, HubError):
        return error
    if isinstance(error, TooSlowError):
        return too_slow(str(error), epoch=error.epoch, seq=error.seq)
    if isinstance(error, CursorLostError):
        return cursor_lost(str(error))
    return resource_exhausted(str(error))


def access_lost(room: str) -> ApiError:
    """Why everything that somebody reads from a room ends."""
    return permission_denied(f"you are no longer in the room {room}; ask an owner or a moderator to bring you back")


class ErrorTranslatingSink:
    """A transport's sink as boards and compacted logs get it: what it fails with is put into the contract's words.

    (The hub does that by itself.) `demand` and `deliver` are the transport's own methods and not ours around them,
    since they are called for every reader of every change.
    """

    __slots__ = ("_fail", "complete", "deliver", "demand")

    def __init__(self, sink: Sink[Any]) -> None:
        self.demand: Callable[[], int] = sink.demand
        self.deliver: Callable[[Batch[Any]], bool] = sink.deliver
        self.complete: Callable[[], None] = sink.complete
        self._fail = sink.fail

    def fail(self, error: Exception, /) -> None:
        """Nothing more comes, because of `error`."""
        self._fail(translate_hub_error(error))
