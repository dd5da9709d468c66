"""Items of watches as items of a channel, made once for all channels."""

from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import Prepared
from tidings.domain.items import in_channel
from tidings.domain.lru import Lru
from tidings.hub import Batch

ROOMS_MAX: Final = 1_024  # rooms whose last run is kept; the rest is only wrapped anew

# The field of a ChannelItem that an item of a watch goes into.
EVENT: Final = v1.ChannelItem.EVENT_FIELD_NUMBER
PRESENCE: Final = v1.ChannelItem.PRESENCE_FIELD_NUMBER


class Wrapping:
    """Remembers the last run of each room, since its readers follow one another.

    So the bytes that a transport makes of a wrapped run are shared as well.
    """

    def __init__(self) -> None:
        self._last: Lru[tuple[str, int], tuple[Batch[Any], Batch[Any]]] = Lru(ROOMS_MAX)

    def wrap(self, room: str, number: int, batch: Batch[Any]) -> Batch[Any]:
        """The batch, each item as `number` of a ChannelItem of `room`."""
        last = self._last.get((room, number))
        if last is not None and last[0] is batch:
            return last[1]
        wrapped = Batch([_wrapped(room, number, item) for item in batch.items], batch.first, batch.last)
        self._last.put((room, number), (batch, wrapped))
        return wrapped


def _wrapped(room: str, number: int, item: Prepared[Any]) -> Prepared[Any]:
    wrapped: Prepared[Any] = item.wrapped or in_channel(room, number, item.protobuf)
    item.wrapped = wrapped
    return wrapped
