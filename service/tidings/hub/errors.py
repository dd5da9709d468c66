"""Why a subscription ends. Readers get these errors through `Sink.fail`; the texts are shown to people."""

from __future__ import annotations


class HubError(Exception):
    """The hub ended a subscription, or refused to make it."""


class CursorLostError(HubError):
    """The cursor is of another epoch, so it is not a position in this log. Fetch a page and continue from the head."""


class CursorBeyondHeadError(CursorLostError):
    """The cursor names an event that does not exist yet, so it is of another log."""


class TooSlowError(HubError):
    """The reader fell too far behind (policy CLOSE) or made no progress for too long; it may resume after `seq`."""

    def __init__(self, room: str, epoch: str, seq: int, reason: str) -> None:
        super().__init__(f"{reason}; resume watching {room} after seq {seq}")
        self.room = room
        self.epoch = epoch
        self.seq = seq


class TooManySubscriptionsError(HubError):
    """A limit on the number of subscriptions was reached; the text says which."""


class TooManyKeysError(HubError):
    """One subscription named more keys than `keys_per_subscription_max`."""


def too_many_keys_error(limit: int) -> TooManyKeysError:
    """The error of a subscription with more than `limit` keys."""
    return TooManyKeysError(
        f"one subscription may name at most {limit} keys (keys_per_subscription_max); use another for the rest"
    )
