"""Why a subscription ends. They reach the reader through `Sink.fail`; the texts are written for a person."""

from __future__ import annotations


class HubError(Exception):
    """The hub ended a subscription, or refused to make it."""


class CursorLostError(HubError):
    """The cursor means nothing in this log: its epoch is another one. Take a page and go on from the head."""


class CursorBeyondHeadError(CursorLostError):
    """The cursor names an event that does not exist yet, so it was made from another log."""


class TooSlowError(HubError):
    """The reader fell too far behind (policy CLOSE) or stood still too long; it may resume after `seq`."""

    def __init__(self, room: str, epoch: str, seq: int, reason: str) -> None:
        super().__init__(f"{reason}; resume watching {room} after seq {seq}")
        self.room = room
        self.epoch = epoch
        self.seq = seq


class TooManySubscriptionsError(HubError):
    """A limit on the number of subscriptions was reached; the text says which."""


class TooManyKeysError(HubError):
    """One subscription of a board asked for more keys than `keys_per_subscription_max`."""


def too_many_keys_error(limit: int) -> TooManyKeysError:
    """With the text for the reader."""
    return TooManyKeysError(
        f"one subscription may name at most {limit} keys (keys_per_subscription_max); use another for the rest"
    )
