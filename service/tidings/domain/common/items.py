"""Items of streams, built from bytes that are encoded already.

A Protobuf message is the concatenation of its fields, and a field that is itself a message is a tag, a length and the
bytes of that message. So a stored event becomes an item of a watch, and that becomes an item of a channel, by a prefix
of a few bytes: nothing is parsed or encoded twice, however many readers there are.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from google.protobuf.message import Message

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.protobuf_wire import CONTINUATION_BYTES, LAST_BYTES, encode_field, encode_varint

LIVE_FIELD: Final = v1.WatchItem.LIVE_FIELD_NUMBER
assert v1.PresenceItem.LIVE_FIELD_NUMBER == v1.RoomsItem.LIVE_FIELD_NUMBER == LIVE_FIELD


_encode_length: Final = lru_cache(maxsize=4096)(encode_varint)  # most events have one of a few hundred lengths


def encode_cursor(epoch: str, seq: int) -> bytes:
    """Field 1 of every item of a watch: a `Cursor`."""
    name = _encode_epoch(epoch)
    position = b"\x10" + encode_varint(seq) if seq else b""
    return b"".join((b"\x0a", encode_varint(len(name) + len(position)), name, position))


@lru_cache(maxsize=4096)
def _encode_epoch(epoch: str) -> bytes:
    """The first field of a cursor; the same for all positions of a log."""
    return encode_field(1, epoch.encode()) if epoch else b""


_EVENT: Final = encode_varint(v1.WatchItem.EVENT_FIELD_NUMBER << 3 | 2)


def event_item(epoch: str, seq: int, event: bytes) -> PreparedMessage[v1.WatchItem]:
    """An event of a room's log, at its position."""
    ((_, item),) = event_items(epoch, ((seq, event),))
    return item


def event_items(epoch: str, events: Iterable[tuple[int, bytes]]) -> list[tuple[int, PreparedMessage[v1.WatchItem]]]:
    """Events of one log with their seqs, each at its position."""
    # The result of `encode_cursor` and `encode_field` in one step; what 128 consecutive events share is made once. This
    # is the most expensive step of reading a long history.
    name = _encode_epoch(epoch)
    items: list[tuple[int, PreparedMessage[v1.WatchItem]]] = []
    block = -1
    first_bytes, more, head = LAST_BYTES, b"", b""
    for seq, event in events:
        if seq >> 7 != block:
            block = seq >> 7
            first_bytes, more = (CONTINUATION_BYTES, encode_varint(block)) if block else (LAST_BYTES, b"")
            head = b"".join((b"\x0a", encode_varint(len(name) + 2 + len(more)), name, b"\x10"))
        data = b"".join((head, first_bytes[seq & 0x7F], more, _EVENT, _encode_length(len(event)), event))
        items.append((seq, PreparedMessage(v1.WatchItem, data)))
    return items


def gap_item(epoch: str, first: int, last: int) -> PreparedMessage[v1.WatchItem]:
    """The mark of omitted events; its cursor is `last`."""
    gap = v1.Gap(to=last)
    # `from` is a keyword of Python.
    setattr(gap, "from", first)
    return PreparedMessage.from_message(v1.WatchItem(cursor=v1.Cursor(epoch=epoch, seq=last), gap=gap))


def live_item(item_type: type[Message], epoch: str, seq: int) -> PreparedMessage[Message]:
    """The mark that all existing items were sent, for a watch whose items are of `item_type`."""
    return PreparedMessage(item_type, encode_cursor(epoch, seq) + encode_field(LIVE_FIELD, b""))


class WatchMarkerFactory:
    """The items of `chat.watch` that are not events (the hub's `MarkerFactory`)."""

    def live(self, _room: str, epoch: str, seq: int, /) -> PreparedMessage[v1.WatchItem]:
        """Everything up to `seq` has been sent."""
        return PreparedMessage(v1.WatchItem, encode_cursor(epoch, seq) + encode_field(LIVE_FIELD, b""))

    def gap(self, epoch: str, first: int, last: int, /) -> PreparedMessage[v1.WatchItem]:
        """Events `first` to `last` are omitted."""
        return gap_item(epoch, first, last)


def watch_item_bytes(item: PreparedMessage[v1.WatchItem]) -> int:
    """Approximate bytes of an item in memory: its encoding, its objects, and its JSON if a reader uses it."""
    return 2 * len(item.protobuf) + 200


def channel_item(room: str, field_number: int, item: bytes) -> PreparedMessage[v1.ChannelItem]:
    """An item of a room's watch as an item of a channel, in its field `field_number`."""
    name = encode_field(v1.ChannelItem.ROOM_FIELD_NUMBER, room.encode())
    return PreparedMessage(v1.ChannelItem, name + encode_field(field_number, item))


def page_reply(events: Iterable[bytes], *, more: bool, epoch: str, head: int) -> v1.PageReply:
    """A page of stored events."""
    fields = [encode_field(v1.PageReply.EVENTS_FIELD_NUMBER, event) for event in events]
    reply = v1.PageReply.FromString(b"".join(fields))
    reply.more = more
    reply.head.epoch, reply.head.seq = epoch, head
    return reply


def search_reply(events: Iterable[bytes], next_page_token: str) -> v1.SearchReply:
    """Messages found."""
    fields = [encode_field(v1.SearchReply.EVENTS_FIELD_NUMBER, event) for event in events]
    reply = v1.SearchReply.FromString(b"".join(fields))
    reply.next = next_page_token
    return reply
