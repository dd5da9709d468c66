"""The latest state of everything in one room, whatever the readers' pace."""

import gc
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.harness import UNBOUNDED, RecordingSink
from tidings.contract import v1
from tidings.contract.protobuf_wire import encode_field
from tidings.domain.presence.presence_items import new_presence_log
from tidings.hub import Batch
from tidings.hub.latest.compacted_log import CACHED_BATCHES_MAX
from tidings.hub.scheduling import FlushScheduler


class LogHarness:
    """a compacted log whose callbacks run when the test says so."""

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], Any]] = deque()
        self.empty_count = 0
        versions = count(1)
        self.compacted_log = new_presence_log(
            epoch="e",
            next_version=lambda: next(versions),
            scheduler=FlushScheduler(self.callbacks.append, 10),
            on_empty=self._on_empty,
        )

    def _on_empty(self) -> None:
        self.empty_count += 1

    def put(self, user: str, text: str) -> None:
        state = v1.UserPresence(user=user, text=text).SerializeToString()
        self.compacted_log.put(user, encode_field(v1.PresenceItem.USER_FIELD_NUMBER, state))

    def subscribe(self, credit: int = UNBOUNDED, after: v1.Cursor | None = None, owner: str = "me") -> RecordingSink:
        reader = RecordingSink(credit)
        reader.subscription = self.compacted_log.subscribe(
            reader, owner=owner, after=after.seq if after else 0, epoch=after.epoch if after else ""
        )
        self.run()
        return reader

    def run(self) -> None:
        while self.callbacks:
            self.callbacks.popleft()()


def describe(reader: RecordingSink) -> list[str]:
    return [f"{item.user.user}{item.user.text}" if item.HasField("user") else "live" for item in reader.items]


def test_a_snapshot_then_the_live_mark_then_changes() -> None:
    log_harness = LogHarness()
    log_harness.put("a", "1")
    log_harness.put("b", "1")
    log_harness.put("a", "2")
    reader = log_harness.subscribe()
    log_harness.put("b", "2")
    log_harness.run()
    assert describe(reader) == ["b1", "a2", "live", "b2"]
    cursors = [item.cursor.seq for item in reader.items]
    assert cursors == sorted(cursors)


def test_an_empty_log_is_live_at_once() -> None:
    log_harness = LogHarness()
    reader = log_harness.subscribe()
    assert describe(reader) == ["live"]
    log_harness.put("a", "1")
    log_harness.run()
    assert describe(reader) == ["live", "a1"]


def test_what_changes_while_the_snapshot_is_read_comes_after_the_live_mark() -> None:
    log_harness = LogHarness()
    for user in "abc":
        log_harness.put(user, "1")
    reader = log_harness.subscribe(credit=1)
    log_harness.put("b", "2")
    log_harness.put("d", "1")
    log_harness.run()
    reader.request(10)
    log_harness.run()
    assert describe(reader) == ["a1", "c1", "live", "b2", "d1"]


def test_a_reader_resumes_from_any_cursor_it_was_given() -> None:
    log_harness = LogHarness()
    for user in "abc":
        log_harness.put(user, "1")
    full = log_harness.subscribe()
    log_harness.put("a", "2")
    log_harness.run()
    for index, item in enumerate(full.items):
        rest = log_harness.subscribe(after=item.cursor)
        missed = {word for word in describe(full)[index + 1 :] if word != "live"}
        assert missed <= set(describe(rest)), item
    assert describe(log_harness.subscribe(after=full.items[-1].cursor)) == ["live"]
    for foreign in (v1.Cursor(epoch="other", seq=3), v1.Cursor(epoch="e", seq=99), v1.Cursor(seq=3)):
        assert describe(log_harness.subscribe(after=foreign)) == ["b1", "c1", "a2", "live"]


def test_readers_with_different_demand_share_what_all_of_them_can_take() -> None:
    log_harness = LogHarness()
    some, more = log_harness.subscribe(credit=3), log_harness.subscribe(credit=5)
    log_harness.put("a", "1")
    log_harness.put("b", "1")
    log_harness.run()
    assert some.batches[-1] is more.batches[-1]
    log_harness.put("c", "1")
    log_harness.run()
    assert (describe(some), describe(more)) == (["live", "a1", "b1"], ["live", "a1", "b1", "c1"])


def test_readers_who_resume_from_everywhere_leave_nothing_behind() -> None:
    log_harness = LogHarness()
    for number in range(100):
        log_harness.put(f"u{number}", "1")
    before = live_batch_count()
    for seq in range(1, log_harness.compacted_log.version):
        reader = log_harness.subscribe(after=v1.Cursor(epoch="e", seq=seq))
        assert describe(reader)[-2:] == ["u991", "live"]
        assert reader.subscription is not None
        reader.subscription.close()
        del reader
    assert live_batch_count() - before <= CACHED_BATCHES_MAX


def live_batch_count() -> int:
    gc.collect()
    return sum(type(each) is Batch for each in gc.get_objects())


def test_who_resumes_from_before_something_was_dropped_gets_everything() -> None:
    log_harness = LogHarness()
    for user in "abc":
        log_harness.put(user, "1")
    old = v1.Cursor(epoch="e", seq=log_harness.compacted_log.version - 1)
    log_harness.compacted_log.remove("c")
    log_harness.compacted_log.remove("nobody")
    assert "c" not in log_harness.compacted_log
    assert describe(log_harness.subscribe(after=old)) == ["a1", "b1", "live"]


def test_readers_end_with_their_right_to_read() -> None:
    log_harness = LogHarness()
    mine, hers = log_harness.subscribe(owner="me"), log_harness.subscribe(owner="her")
    error = OSError("out")
    log_harness.compacted_log.end_subscriptions("me", error)
    log_harness.compacted_log.end_subscriptions("me", error)
    log_harness.put("a", "1")
    log_harness.run()
    assert (mine.errors, describe(mine), describe(hers)) == ([error], ["live"], ["live", "a1"])
    assert log_harness.empty_count == 0
    log_harness.compacted_log.end_subscriptions("her", error)
    assert (hers.errors, log_harness.empty_count) == ([error], 1)


def test_a_reader_that_is_closed_gets_nothing_more() -> None:
    log_harness = LogHarness()
    reader = log_harness.subscribe(credit=0)
    reader.close()
    reader.close()
    reader.request(10)
    log_harness.put("a", "1")
    log_harness.run()
    assert (describe(reader), reader.ended, log_harness.empty_count) == ([], False, 1)


def test_a_sink_that_raises_is_closed_and_its_neighbours_do_not_notice() -> None:
    log_harness = LogHarness()

    class Broken(RecordingSink):
        def deliver(self, batch: Any, /) -> bool:
            raise OSError("broken pipe")

    broken = Broken()
    broken.subscription = log_harness.compacted_log.subscribe(broken, owner="me", after=0, epoch="")
    with pytest.raises(OSError, match="broken pipe"):
        log_harness.run()
    neighbour = log_harness.subscribe()
    log_harness.put("a", "1")
    log_harness.run()
    assert describe(neighbour) == ["live", "a1"]


STEPS = st.lists(
    st.tuples(st.just("put"), st.sampled_from("abcde"))
    | st.tuples(st.just("take"), st.integers(1, 4))
    | st.tuples(st.just("run"), st.none()),
    max_size=60,
)


@given(STEPS)
def test_whatever_the_pace_a_reader_ends_up_with_the_latest_state_of_each_and_one_live_mark(steps: list[Any]) -> None:
    log_harness = LogHarness()
    latest: dict[str, str] = {}
    reader = log_harness.subscribe(credit=0)
    for number, (what, how) in enumerate(steps):
        if what == "put":
            latest[how] = f"{number}"
            log_harness.put(how, f"{number}")
        elif what == "take":
            reader.request(how)
        else:
            log_harness.run()
    reader.request(1_000)
    log_harness.run()
    seen = {item.user.user: item.user.text for item in reader.items if item.HasField("user")}
    assert seen == latest
    assert describe(reader).count("live") == 1
    cursors = [item.cursor.seq for item in reader.items]
    assert cursors == sorted(cursors)
