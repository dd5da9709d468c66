"""Translates the hub's errors into ApiErrors: the one place that does."""

from collections.abc import Callable
from typing import Any

from tidings.contract.errors import ApiError, cursor_lost, permission_denied, resource_exhausted, too_slow
from tidings.hub import Batch, CursorLostError, HubError, Sink, TooSlowError


def translate_hub_error(error: Exception) -> Exception:
    """The ApiError for an error of the hub. Other exceptions are returned unchanged: ApiErrors, and faults."""
    if isinstance(error, ApiError) or not isinstance(error, HubError):
        return error
    if isinstance(error, TooSlowError):
        return too_slow(str(error), epoch=error.epoch, seq=error.seq)
    if isinstance(error, CursorLostError):
        return cursor_lost(str(error))
    return resource_exhausted(str(error))


def access_lost(room: str) -> ApiError:
    """The error that ends the subscriptions of a user who lost access to a room."""
    return permission_denied(f"you are no longer in the room {room}; ask an owner or a moderator to bring you back")


class ErrorTranslatingSink:
    """A transport's sink whose errors are translated, for compacted logs and key changes. (The hub translates its own.)

    `demand` and `deliver` are the transport's methods without a wrapper, since every delivery calls them.
    """

    __slots__ = ("_fail", "complete", "deliver", "demand")

    def __init__(self, sink: Sink[Any]) -> None:
        self.demand: Callable[[], int] = sink.demand
        self.deliver: Callable[[Batch[Any]], bool] = sink.deliver
        self.complete: Callable[[], None] = sink.complete
        self._fail = sink.fail

    def fail(self, error: Exception, /) -> None:
        """End the stream with the translated error."""
        self._fail(translate_hub_error(error))
