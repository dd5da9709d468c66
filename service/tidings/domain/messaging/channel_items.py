"""Items of watches as items of a channel, encoded once for all channels."""

from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.domain.common.items import channel_item
from tidings.domain.common.lru_cache import LruCache
from tidings.hub import Batch

CACHED_BATCHES_MAX: Final = 1_024  # rooms whose last batch is kept; other batches are wrapped again

# The field of ChannelItem that holds an item of a watch.
EVENT_FIELD: Final = v1.ChannelItem.EVENT_FIELD_NUMBER
PRESENCE_FIELD: Final = v1.ChannelItem.PRESENCE_FIELD_NUMBER


class ChannelItemCache:
    """Caches the last batch of each room, since the channels of one room take it one after the other.

    So the bytes that a transport encodes for a wrapped batch are shared as well.
    """

    def __init__(self) -> None:
        self._batches: LruCache[tuple[str, int], tuple[Batch[Any], Batch[Any]]] = LruCache(CACHED_BATCHES_MAX)

    def wrap(self, room: str, field_number: int, batch: Batch[Any]) -> Batch[Any]:
        """The batch, each item as `field_number` of a ChannelItem of `room`."""
        cached = self._batches.get((room, field_number))
        if cached is not None and cached[0] is batch:
            return cached[1]
        wrapped = Batch([_channel_item(room, field_number, item) for item in batch.items], batch.first, batch.last)
        self._batches.put((room, field_number), (batch, wrapped))
        return wrapped


def _channel_item(room: str, field_number: int, item: PreparedMessage[Any]) -> PreparedMessage[Any]:
    wrapped: PreparedMessage[Any] = item.channel_item or channel_item(room, field_number, item.protobuf)
    item.channel_item = wrapped
    return wrapped
