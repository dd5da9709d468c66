"""One subscription of a room that is open on a channel, as the sink that the subscription delivers to."""

from typing import Any, Protocol

from tidings.hub import Batch, Subscription


class SubstreamOwner(Protocol):
    """What a substream needs of its channel."""

    def demand_for(self, substream: "ChannelSubstream") -> int:
        """How many items this substream may deliver now."""

    def forward(self, room: str, field_number: int, batch: Batch[Any]) -> bool:
        """Deliver items of an open room in the channel's envelope; False if the transport accepts none now."""

    def on_substream_error(self, substream: "ChannelSubstream", error: Exception) -> None:
        """A substream ended: close its room."""


class ChannelSubstream:
    """The sink of one subscription of an open room."""

    __slots__ = ("_channel", "_field_number", "_is_closed", "room", "subscription")

    def __init__(self, channel: SubstreamOwner, room: str, field_number: int) -> None:
        self._channel = channel
        self._field_number = field_number
        self._is_closed = False
        self.room = room
        self.subscription: Subscription | None = None

    def demand(self) -> int:
        """This substream's share of the channel's demand."""
        # It may be closed before its subscription exists.
        return 0 if self._is_closed else self._channel.demand_for(self)

    def deliver(self, batch: Batch[Any], /) -> bool:
        """Deliver the items in the channel's envelope."""
        if len(batch.items) > self.demand():
            return False
        return self._channel.forward(self.room, self._field_number, batch)

    def complete(self) -> None:
        """Never called: a room's log and presence have no end."""

    def fail(self, error: Exception, /) -> None:
        """The subscription ended with an error: the channel closes the room."""
        self._channel.on_substream_error(self, error)

    def wake(self) -> None:
        """Demand may have grown."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """Stop delivering, now and if the subscription is opened later."""
        self._is_closed = True
        if self.subscription is not None:
            self.subscription.close()
