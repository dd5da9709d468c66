"""Items made of bytes are the messages they claim to be."""

from hypothesis import given
from hypothesis import strategies as st

from tidings.contract import v1
from tidings.contract.codecs import JSON, PreparedMessage
from tidings.contract.protobuf_wire import encode_varint
from tidings.domain.common.items import (
    WatchMarkerFactory,
    channel_item,
    event_item,
    gap_item,
    live_item,
    page_reply,
    search_reply,
)

SEQS = st.integers(min_value=0, max_value=2**64 - 1)
NAMES = st.text(st.characters(codec="utf-8"), max_size=300)


@given(SEQS)
def test_a_varint_is_what_protobuf_writes(number: int) -> None:
    expected = v1.Gap(to=number).SerializeToString()
    assert (b"\x10" + encode_varint(number) if number else b"") == expected


@given(NAMES, SEQS, st.builds(v1.Event, room=NAMES, seq=SEQS, actor=NAMES, posted=st.builds(v1.Posted, text=NAMES)))
def test_an_event_becomes_an_item_without_being_parsed(epoch: str, seq: int, event: v1.Event) -> None:
    item = event_item(epoch, seq, event.SerializeToString())
    assert item.parse() == v1.WatchItem(cursor=v1.Cursor(epoch=epoch, seq=seq), event=event)


@given(NAMES, NAMES, SEQS)
def test_an_item_goes_into_a_channel_as_it_is(room: str, epoch: str, seq: int) -> None:
    inner = v1.WatchItem(cursor=v1.Cursor(epoch=epoch, seq=seq), live=v1.Live())
    item = channel_item(room, v1.ChannelItem.EVENT_FIELD_NUMBER, inner.SerializeToString())
    assert item.parse() == v1.ChannelItem(room=room, event=inner)


def test_marks_carry_the_cursor_that_their_reader_stands_at() -> None:
    marks = WatchMarkerFactory()
    assert marks.live("den", "e", 7).parse() == v1.WatchItem(cursor=v1.Cursor(epoch="e", seq=7), live=v1.Live())
    gap = marks.gap("e", 3, 9).parse()
    assert (gap.cursor.seq, getattr(gap.gap, "from"), gap.gap.to) == (9, 3, 9)
    assert gap == gap_item("e", 3, 9).parse()
    for item_type in (v1.RoomsItem, v1.PresenceItem):
        assert live_item(item_type, "e", 7).parse() == item_type(cursor=v1.Cursor(epoch="e", seq=7), live=v1.Live())


def test_items_made_of_bytes_can_be_had_as_json() -> None:
    event = v1.Event(room="den", seq=2, posted=v1.Posted(text="hi"))
    item: PreparedMessage[v1.WatchItem] = event_item("e", 2, event.SerializeToString())
    assert item.encoded(JSON) == JSON.encode(item.parse())


def test_pages_are_made_of_bytes() -> None:
    events = [v1.Event(room="den", seq=seq) for seq in (1, 2)]
    data = [event.SerializeToString() for event in events]
    assert page_reply(data, more=True, epoch="e", head=9) == v1.PageReply(
        events=events, more=True, head=v1.Cursor(epoch="e", seq=9)
    )
    assert search_reply(data, "next") == v1.SearchReply(events=events, next="next")
