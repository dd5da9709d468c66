"""Why a subscription ends. They reach the reader through `Sink.fail`; the texts are written for a person."""

from __future__ import annotations


class HubError(Exception):
    """The hub ended a subscription, or refused to make it."""


class CursorLost(HubError):
    """The cursor means nothing in this log: its epoch is another one. Take a page and go on from the head."""


class CursorBeyondHead(CursorLost):
    """The cursor names an event that does not exist yet, so it was made from another log."""


class TooSlow(HubError):
    """The reader fell too far behind (policy CLOSE) or stood still too long; it may resume after `seq`."""

    def __init__(self, room: str, epoch: str, seq: int, why: str) -> None:
        super().__init__(f"{why}; resume watching {room} after seq {seq}")
        self.room = room
        self.epoch = epoch
        self.seq = seq


class TooManySubscriptions(HubError):
    """A limit on the number of subscriptions was reached; the text says which."""


class TooManyKeys(HubError):
    """One subscription of a board asked for more keys than `interest_keys_max`."""


def too_many_keys(most: int) -> TooManyKeys:
    """With the text for the reader."""
    return TooManyKeys(f"one subscription may name at most {most} keys (interest_keys_max); use another for the rest")
