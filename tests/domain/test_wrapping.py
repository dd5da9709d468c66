"""Items of watches in a channel's envelope."""

from tidings.contract import v1
from tidings.contract.codecs import Prepared
from tidings.domain.wrapping import EVENT, PRESENCE, Wrapping
from tidings.hub import Batch


def batch(*seqs: int) -> Batch[Prepared[v1.WatchItem]]:
    items = [Prepared.of(v1.WatchItem(cursor=v1.Cursor(seq=seq), live=v1.Live())) for seq in seqs]
    return Batch(items, seqs[0], seqs[-1])


def test_a_run_is_wrapped_once_for_all_who_get_it() -> None:
    wrapping, run = Wrapping(), batch(3, 4)
    wrapped = wrapping.wrap("den", EVENT, run)
    assert wrapping.wrap("den", EVENT, run) is wrapped
    assert (wrapped.first, wrapped.last) == (3, 4)
    assert [item.message().event.cursor.seq for item in wrapped.items] == [3, 4]
    assert {item.message().room for item in wrapped.items} == {"den"}


def test_an_item_is_wrapped_once_also_in_another_run() -> None:
    wrapping, run = Wrapping(), batch(3, 4)
    one = wrapping.wrap("den", EVENT, run)
    other = wrapping.wrap("den", EVENT, Batch(run.items[1:], 4, 4))
    assert other.items[0] is one.items[1]


def test_rooms_and_kinds_do_not_get_in_each_others_way() -> None:
    wrapping = Wrapping()
    runs = {(room, kind): batch(1) for room in ("a", "b") for kind in (EVENT, PRESENCE)}
    wrapped = {key: wrapping.wrap(*key, run) for key, run in runs.items()}
    assert all(wrapping.wrap(*key, run) is wrapped[key] for key, run in runs.items())
