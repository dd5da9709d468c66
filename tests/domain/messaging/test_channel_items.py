"""Items of watches in a channel's envelope."""

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.domain.messaging.channel_items import EVENT_FIELD, PRESENCE_FIELD, ChannelItemCache
from tidings.hub import Batch


def batch(*seqs: int) -> Batch[PreparedMessage[v1.WatchItem]]:
    items = [PreparedMessage.from_message(v1.WatchItem(cursor=v1.Cursor(seq=seq), live=v1.Live())) for seq in seqs]
    return Batch(items, seqs[0], seqs[-1])


def test_a_batch_is_converted_once_for_all_channels() -> None:
    cache, run = ChannelItemCache(), batch(3, 4)
    wrapped = cache.wrap("den", EVENT_FIELD, run)
    assert cache.wrap("den", EVENT_FIELD, run) is wrapped
    assert (wrapped.first, wrapped.last) == (3, 4)
    assert [item.parse().event.cursor.seq for item in wrapped.items] == [3, 4]
    assert {item.parse().room for item in wrapped.items} == {"den"}


def test_an_item_is_converted_once_also_in_another_batch() -> None:
    cache, run = ChannelItemCache(), batch(3, 4)
    one = cache.wrap("den", EVENT_FIELD, run)
    other = cache.wrap("den", EVENT_FIELD, Batch(run.items[1:], 4, 4))
    assert other.items[0] is one.items[1]


def test_rooms_and_kinds_do_not_get_in_each_others_way() -> None:
    cache = ChannelItemCache()
    runs = {(room, kind): batch(1) for room in ("a", "b") for kind in (EVENT_FIELD, PRESENCE_FIELD)}
    wrapped = {key: cache.wrap(*key, run) for key, run in runs.items()}
    assert all(cache.wrap(*key, run) is wrapped[key] for key, run in runs.items())
