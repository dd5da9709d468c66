"""Readers of a board whose items are fetched when they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from hub.harness import UNBOUNDED, FakeLoop, RecordingSink
from tidings.hub import PAUSED, KeyChangeHub, KeySubscription


class Row(NamedTuple):
    room: str
    text: str
    version: int


class Ready(NamedTuple):
    version: int


Item = Row | Ready
Done = Callable[[Sequence[str | None] | Exception], None]


class RoomListHarness:
    """One user's rooms; what is fetched is answered when the test says so."""

    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.hub = KeyChangeHub(
            epoch="b1", schedule=self.loop.call_soon, schedule_later=self.loop.call_later, clock=self.loop.clock
        )
        self.rows: dict[str, str] = {}
        self.fetches: list[tuple[list[str], Done]] = []

    def fetch(self, keys: Sequence[str], done: Done) -> None:
        self.fetches.append((list(keys), done))

    def change(self, room: str, text: str) -> None:
        self.rows[room] = text
        self.hub.mark_changed(room)

    def answer(self) -> None:
        keys, done = self.fetches.pop(0)
        done([self.rows.get(key) for key in keys])

    def settle(self) -> None:
        self.loop.run()
        while self.fetches:
            self.answer()
            self.loop.run()

    def watch(
        self, keys: Iterable[str], credit: int = UNBOUNDED, **options: Any
    ) -> tuple[RecordingSink[Item], KeySubscription[str | None, Item]]:
        reader: RecordingSink[Item] = RecordingSink(credit)
        subscription = KeySubscription(
            self.hub,
            keys,
            reader,
            fetch=options.pop("fetch", self.fetch),
            render=lambda key, value, version: None if value is None else Row(key, value, version),
            live=lambda epoch, version: Ready(version),
            **options,
        )
        return reader, subscription


def texts(reader: RecordingSink[Item]) -> list[tuple[str, str]]:
    return [item[:2] for item in reader.items if isinstance(item, Row)]


def test_every_key_is_fetched_once_then_comes_the_mark_then_what_changes() -> None:
    inbox = RoomListHarness()
    inbox.rows = {"a": "never published", "b": "neither"}
    inbox.change("c", "hello")
    reader, _ = inbox.watch("abc")
    inbox.settle()
    assert reader.items == [Row("a", "never published", 0), Row("b", "neither", 0), Row("c", "hello", 1), Ready(1)]
    inbox.change("b", "news")
    inbox.settle()
    assert reader.items[4:] == [Row("b", "news", 2)]
    assert inbox.hub.fetches == 2


def test_without_demand_nothing_is_fetched_and_no_more_than_demand() -> None:
    inbox = RoomListHarness()
    inbox.rows = dict.fromkeys("abcde", "text")
    reader, subscription = inbox.watch("abcde", credit=0)
    inbox.loop.run()
    assert not inbox.fetches
    reader.credit = 2
    subscription.wake()
    inbox.loop.run()
    assert [keys for keys, _ in inbox.fetches] == [["a", "b"]]


def test_there_is_one_fetch_in_flight() -> None:
    inbox = RoomListHarness()
    _, subscription = inbox.watch("abc")
    inbox.loop.run()
    for n in range(5):
        inbox.change("a", str(n))
        subscription.wake()
        inbox.loop.run()
    assert len(inbox.fetches) == 1


def test_a_key_that_changes_while_it_is_fetched_is_fetched_again() -> None:
    inbox = RoomListHarness()
    inbox.change("a", "old")
    reader, _ = inbox.watch("a")
    inbox.loop.run()
    keys, done = inbox.fetches.pop()
    inbox.change("a", "new")
    done(["old"])
    inbox.settle()
    assert texts(reader) == [("a", "old"), ("a", "new")]
    assert reader.items == [Row("a", "old", 1), Ready(1), Row("a", "new", 2)]
    assert keys == ["a"]


def test_changes_are_conflated_into_one_fetch() -> None:
    inbox = RoomListHarness()
    reader, subscription = inbox.watch("ab", credit=3)
    inbox.settle()
    reader.credit = 0
    for n in range(100):
        inbox.change("a", str(n))
        inbox.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    inbox.settle()
    assert texts(reader) == [("a", "99")]
    assert inbox.hub.fetches == 2


def test_what_came_when_demand_was_gone_is_dropped_and_fetched_again_in_its_place() -> None:
    inbox = RoomListHarness()
    inbox.change("a", "1")
    inbox.change("b", "1")
    reader, subscription = inbox.watch("ab")
    inbox.loop.run()
    reader.credit = 0
    inbox.answer()
    inbox.loop.run()
    inbox.change("a", "2")
    assert list(subscription.dirty) == ["a", "b"]
    reader.credit = 1
    subscription.wake()
    inbox.settle()
    assert reader.items == [Row("a", "2", 1)], "its cursor is before b, which was not sent"
    reader.credit = UNBOUNDED
    subscription.wake()
    inbox.settle()
    assert reader.items[1:] == [Row("b", "1", 3), Ready(3)]


def test_what_was_put_back_stands_before_what_changed_meanwhile() -> None:
    inbox = RoomListHarness()
    for room in "abc":
        inbox.change(room, "1")
    reader, subscription = inbox.watch("abc", credit=2)
    inbox.loop.run()
    assert [keys for keys, _ in inbox.fetches] == [["a", "b"]]
    inbox.change("b", "2")
    reader.credit = 0
    inbox.settle()
    assert list(subscription.dirty.items()) == [("a", 1), ("b", 2), ("c", 3)]


def test_the_mark_does_not_wait_for_a_fetch_of_what_changed_later() -> None:
    inbox = RoomListHarness()
    inbox.change("a", "1")
    reader, subscription = inbox.watch("a", credit=1)
    inbox.settle()
    inbox.change("a", "2")
    reader.credit = UNBOUNDED
    subscription.wake()
    inbox.loop.run()
    assert reader.items == [Row("a", "1", 1), Ready(1)]
    inbox.settle()
    assert reader.items[2:] == [Row("a", "2", 2)]


def test_a_cursor_of_zero_is_none_since_keys_that_were_never_published_have_it_too() -> None:
    inbox = RoomListHarness()
    inbox.rows = dict.fromkeys("ab", "text")
    reader, _ = inbox.watch("ab", credit=1)
    inbox.settle()
    assert reader.items == [Row("a", "text", 0)]
    late, _ = inbox.watch("ab", after=0, epoch="b1")
    inbox.settle()
    assert texts(late) == [("a", "text"), ("b", "text")]


def test_demand_that_shrank_during_the_fetch_is_respected() -> None:
    inbox = RoomListHarness()
    inbox.rows = dict.fromkeys("abc", "text")
    reader, subscription = inbox.watch("abc")
    inbox.loop.run()
    reader.credit = 1
    inbox.settle()
    assert texts(reader) == [("a", "text")]
    reader.credit = UNBOUNDED
    subscription.wake()
    inbox.settle()
    assert texts(reader) == [("a", "text"), ("b", "text"), ("c", "text")]
    assert sum(isinstance(item, Ready) for item in reader.items) == 1


def test_a_room_that_is_no_more_may_render_to_nothing() -> None:
    inbox = RoomListHarness()
    inbox.change("a", "text")
    reader, _ = inbox.watch("ab")
    inbox.settle()
    assert reader.items == [Row("a", "text", 1), Ready(1)]


def test_an_interest_that_grows_is_fetched_and_one_that_shrinks_during_the_fetch_is_not_sent() -> None:
    inbox = RoomListHarness()
    inbox.rows = dict.fromkeys("abc", "text")
    reader, subscription = inbox.watch("a")
    inbox.settle()
    subscription.add("bc")
    inbox.loop.run()
    subscription.discard("b")
    inbox.settle()
    assert texts(reader) == [("a", "text"), ("c", "text")]


def test_a_key_discarded_during_its_fetch_is_not_put_back_when_demand_is_gone() -> None:
    inbox = RoomListHarness()
    inbox.rows = dict.fromkeys("ab", "text")
    reader, subscription = inbox.watch("ab")
    inbox.loop.run()
    reader.credit = 0
    subscription.discard("a")
    inbox.settle()
    assert list(subscription.dirty) == ["b"]


def test_a_reader_that_resumes_fetches_only_what_changed_since() -> None:
    inbox = RoomListHarness()
    for room in "abc":
        inbox.change(room, "text")
    reader, _ = inbox.watch("abcd", after=2, epoch="b1")
    inbox.settle()
    assert reader.items == [Row("c", "text", 3), Ready(3)]


def test_a_failed_fetch_fails_the_reader() -> None:
    inbox = RoomListHarness()
    reader, _ = inbox.watch("a")
    inbox.loop.run()
    down = OSError("the store is down")
    inbox.fetches.pop()[1](down)
    inbox.loop.run()
    assert reader.error is down
    assert inbox.hub.subscription_count == 0


def test_a_fetch_that_raises_fails_the_reader() -> None:
    inbox = RoomListHarness()
    down = OSError("the store is down")

    def raises(keys: Sequence[str], done: Done) -> None:
        raise down

    reader, _ = inbox.watch("a", fetch=raises)
    inbox.loop.run()
    assert reader.error is down


def test_an_answer_of_the_wrong_length_fails_the_reader() -> None:
    inbox = RoomListHarness()
    reader, _ = inbox.watch("ab")
    inbox.loop.run()
    inbox.fetches.pop()[1](["only one"])
    inbox.loop.run()
    assert isinstance(reader.error, ValueError)


def test_a_fetch_that_answers_at_once_is_delivered_in_a_turn_of_its_own() -> None:
    inbox = RoomListHarness()
    reader, _ = inbox.watch("ab", fetch=lambda keys, done: done([f"row {key}" for key in keys]))
    inbox.loop.run()
    assert texts(reader) == [("a", "row a"), ("b", "row b")]
    assert reader.items[-1] == Ready(0)


def test_an_answer_after_close_is_dropped() -> None:
    inbox = RoomListHarness()
    reader, subscription = inbox.watch("a")
    inbox.loop.run()
    subscription.close()
    inbox.settle()
    assert reader.items == []


def test_a_beat_spares_the_store_too() -> None:
    inbox = RoomListHarness()
    reader, _ = inbox.watch("a", min_interval_seconds=2)
    inbox.settle()
    for n in range(100):
        inbox.change("a", str(n))
        inbox.settle()
        inbox.loop.advance(0.1)
    inbox.settle()
    assert inbox.hub.fetches == pytest.approx(6, abs=1)
    inbox.loop.advance(5)
    inbox.settle()
    assert texts(reader)[-1] == ("a", "99")


def test_a_write_to_one_reader_has_so_many_bytes_and_the_rest_comes_in_the_next() -> None:
    inbox = RoomListHarness()
    rooms = [f"room{number:02}" for number in range(10)]
    for name in rooms:
        inbox.change(name, "x" * 30_000)
    reader, _ = inbox.watch(rooms, item_size=lambda item: len(item.text), fetch_keys_max=4)
    inbox.loop.run()
    assert len(inbox.fetches[0][0]) == 4, "no more values are fetched at a time"
    inbox.settle()
    assert max(len(batch.items) for batch in reader.batches) == 3, "65,536 bytes, and the item that passes them"
    assert [item.room for item in reader.items if isinstance(item, Row)] == rooms
    assert isinstance(reader.items[-1], Ready)


def test_a_key_may_interest_one_reader_or_several_and_is_forgotten_with_the_last() -> None:
    inbox = RoomListHarness()
    readers = [inbox.watch(["den"]) for _ in range(3)]
    inbox.settle()
    for count in (3, 2, 1):
        inbox.change("den", f"{count} listen")
        inbox.settle()
        told = [reader for reader, _ in readers if reader.items[-1].text == f"{count} listen"]  # type: ignore[union-attr]
        assert len(told) == count
        readers[count - 1][1].close()
    assert inbox.hub._subscribers == {}


def test_what_was_fetched_for_a_paused_reader_is_kept_for_its_turn() -> None:
    inbox = RoomListHarness()
    for name in ("a", "b"):
        inbox.change(name, "1")
    reader, subscription = inbox.watch(["a", "b"])
    inbox.loop.run()
    reader.credit = PAUSED
    inbox.settle()
    for _ in range(3):
        subscription.wake()
        inbox.settle()
    assert inbox.hub.fetches == 1
    assert reader.items == []
    reader.credit = UNBOUNDED
    subscription.wake()
    inbox.settle()
    assert texts(reader) == [("a", "1"), ("b", "1")]
    assert inbox.hub.fetches == 1
