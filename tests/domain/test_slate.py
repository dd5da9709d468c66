"""The latest state of everything in one room, whatever the readers' pace."""

import gc
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.stage import UNBOUNDED, Reader
from tidings.contract import v1
from tidings.domain.items import field
from tidings.domain.slate import BATCHES_KEPT_MAX, Slate
from tidings.hub import Batch
from tidings.hub.turns import Turns


class Desk:
    """A slate whose callbacks run when the test says so."""

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], Any]] = deque()
        self.emptied = 0
        versions = count(1)
        self.slate = Slate(
            epoch="e",
            next_version=lambda: next(versions),
            turns=Turns(self.callbacks.append, 10),
            emptied=self._emptied,
        )

    def _emptied(self) -> None:
        self.emptied += 1

    def put(self, user: str, text: str) -> None:
        state = v1.UserPresence(user=user, text=text).SerializeToString()
        self.slate.put(user, field(v1.PresenceItem.USER_FIELD_NUMBER, state))

    def read(self, credit: int = UNBOUNDED, after: v1.Cursor | None = None, owner: str = "me") -> Reader:
        reader = Reader(credit)
        reader.source = self.slate.read(reader, owner=owner, after=after or v1.Cursor())
        self.run()
        return reader

    def run(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


def told(reader: Reader) -> list[str]:
    return [f"{item.user.user}{item.user.text}" if item.HasField("user") else "live" for item in reader.items]


def test_a_snapshot_then_the_live_mark_then_changes() -> None:
    desk = Desk()
    desk.put("a", "1")
    desk.put("b", "1")
    desk.put("a", "2")
    reader = desk.read()
    desk.put("b", "2")
    desk.run()
    assert told(reader) == ["b1", "a2", "live", "b2"]
    cursors = [item.cursor.seq for item in reader.items]
    assert cursors == sorted(cursors)


def test_an_empty_slate_is_live_at_once() -> None:
    desk = Desk()
    reader = desk.read()
    assert told(reader) == ["live"]
    desk.put("a", "1")
    desk.run()
    assert told(reader) == ["live", "a1"]


def test_what_changes_while_the_snapshot_is_read_comes_after_the_live_mark() -> None:
    desk = Desk()
    for user in "abc":
        desk.put(user, "1")
    reader = desk.read(credit=1)
    desk.put("b", "2")
    desk.put("d", "1")
    desk.run()
    reader.take(10)
    desk.run()
    assert told(reader) == ["a1", "c1", "live", "b2", "d1"]


def test_a_reader_resumes_from_any_cursor_it_was_given() -> None:
    desk = Desk()
    for user in "abc":
        desk.put(user, "1")
    full = desk.read()
    desk.put("a", "2")
    desk.run()
    for index, item in enumerate(full.items):
        rest = desk.read(after=item.cursor)
        missed = {word for word in told(full)[index + 1 :] if word != "live"}
        assert missed <= set(told(rest)), item
    assert told(desk.read(after=full.items[-1].cursor)) == ["live"]
    for foreign in (v1.Cursor(epoch="other", seq=3), v1.Cursor(epoch="e", seq=99), v1.Cursor(seq=3)):
        assert told(desk.read(after=foreign)) == ["b1", "c1", "a2", "live"]


def test_readers_with_different_demand_share_what_all_of_them_can_take() -> None:
    desk = Desk()
    some, more = desk.read(credit=3), desk.read(credit=5)
    desk.put("a", "1")
    desk.put("b", "1")
    desk.run()
    assert some.batches[-1] is more.batches[-1]
    desk.put("c", "1")
    desk.run()
    assert (told(some), told(more)) == (["live", "a1", "b1"], ["live", "a1", "b1", "c1"])


def test_readers_who_resume_from_everywhere_leave_nothing_behind() -> None:
    desk = Desk()
    for number in range(100):
        desk.put(f"u{number}", "1")
    before = living_batches()
    for seq in range(1, desk.slate.version):
        reader = desk.read(after=v1.Cursor(epoch="e", seq=seq))
        assert told(reader)[-2:] == ["u991", "live"]
        assert reader.source is not None
        reader.source.close()
        del reader
    assert living_batches() - before <= BATCHES_KEPT_MAX


def living_batches() -> int:
    gc.collect()
    return sum(type(each) is Batch for each in gc.get_objects())


def test_who_resumes_from_before_something_was_dropped_gets_everything() -> None:
    desk = Desk()
    for user in "abc":
        desk.put(user, "1")
    old = v1.Cursor(epoch="e", seq=desk.slate.version - 1)
    desk.slate.drop("c")
    desk.slate.drop("nobody")
    assert "c" not in desk.slate
    assert told(desk.read(after=old)) == ["a1", "b1", "live"]


def test_readers_end_with_their_right_to_read() -> None:
    desk = Desk()
    mine, hers = desk.read(owner="me"), desk.read(owner="her")
    error = OSError("out")
    desk.slate.end("me", error)
    desk.slate.end("me", error)
    desk.put("a", "1")
    desk.run()
    assert (mine.errors, told(mine), told(hers)) == ([error], ["live"], ["live", "a1"])
    assert desk.emptied == 0
    desk.slate.end("her", error)
    assert (hers.errors, desk.emptied) == ([error], 1)


def test_a_reader_that_is_closed_gets_nothing_more() -> None:
    desk = Desk()
    reader = desk.read(credit=0)
    reader.close()
    reader.close()
    reader.take(10)
    desk.put("a", "1")
    desk.run()
    assert (told(reader), reader.ended, desk.emptied) == ([], False, 1)


def test_a_sink_that_raises_is_closed_and_its_neighbours_do_not_notice() -> None:
    desk = Desk()

    class Broken(Reader):
        def deliver(self, batch: Any, /) -> bool:
            raise OSError("broken pipe")

    broken = Broken()
    broken.source = desk.slate.read(broken, owner="me", after=v1.Cursor())
    with pytest.raises(OSError, match="broken pipe"):
        desk.run()
    neighbour = desk.read()
    desk.put("a", "1")
    desk.run()
    assert told(neighbour) == ["live", "a1"]


STEPS = st.lists(
    st.tuples(st.just("put"), st.sampled_from("abcde"))
    | st.tuples(st.just("take"), st.integers(1, 4))
    | st.tuples(st.just("run"), st.none()),
    max_size=60,
)


@given(STEPS)
def test_whatever_the_pace_a_reader_ends_up_with_the_latest_state_of_each_and_one_live_mark(steps: list[Any]) -> None:
    desk = Desk()
    latest: dict[str, str] = {}
    reader = desk.read(credit=0)
    for number, (what, how) in enumerate(steps):
        if what == "put":
            latest[how] = f"{number}"
            desk.put(how, f"{number}")
        elif what == "take":
            reader.take(how)
        else:
            desk.run()
    reader.take(1_000)
    desk.run()
    seen = {item.user.user: item.user.text for item in reader.items if item.HasField("user")}
    assert seen == latest
    assert told(reader).count("live") == 1
    cursors = [item.cursor.seq for item in reader.items]
    assert cursors == sorted(cursors)
