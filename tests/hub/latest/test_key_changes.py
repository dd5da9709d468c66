"""Latest values: a snapshot of what one is interested in, the live mark, then changes, conflated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import pytest

from hub.harness import UNBOUNDED, FakeLoop, RecordingSink
from tidings.hub import (
    Batch,
    KeyChangeHub,
    KeyChangeLimits,
    KeySubscription,
    TooManyKeysError,
    TooManySubscriptionsError,
)


class Status(NamedTuple):
    user: str
    value: str
    version: int


class Ready(NamedTuple):
    version: int


Item = Status | Ready


def render(key: str, value: str | None, version: int) -> Item | None:
    return None if value in (None, "invisible") else Status(key, value, version)


def ready(epoch: str, version: int) -> Item:
    return Ready(version)


class KeyChangeHarness:
    """A board whose loop and clock are in the hands of the test."""

    def __init__(self, limits: KeyChangeLimits | None = None) -> None:
        self.loop = FakeLoop()
        self.values: dict[str, str] = {}
        self.hub = KeyChangeHub(
            epoch="b1",
            schedule=self.loop.call_soon,
            schedule_later=self.loop.call_later,
            clock=self.loop.clock,
            limits=limits,
        )

    def change(self, **values: str) -> None:
        for key, value in values.items():
            self.values[key] = value
            self.hub.mark_changed(key)

    def fetch(self, keys: Sequence[str], done: Callable[[Sequence[str | None]], None]) -> None:
        done([self.values.get(key) for key in keys])

    def watch(
        self, keys: Iterable[str], credit: int = UNBOUNDED, **options: Any
    ) -> tuple[RecordingSink[Item], KeySubscription[str | None, Item]]:
        reader: RecordingSink[Item] = RecordingSink(credit)
        subscription = KeySubscription(
            self.hub, keys, reader, fetch=self.fetch, render=options.pop("render", render), live=ready, **options
        )
        return reader, subscription

    def reader(self, keys: Iterable[str], credit: int = UNBOUNDED, **options: Any) -> RecordingSink[Item]:
        reader, _ = self.watch(keys, credit, **options)
        self.loop.run()
        return reader


def states(reader: RecordingSink[Item]) -> list[tuple[str, str]]:
    return [item[:2] for item in reader.items if isinstance(item, Status)]


# snapshot, mark, changes


def test_a_reader_gets_what_it_is_interested_in_then_the_mark_then_changes() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online", ben="away", cem="busy")
    reader = hall.reader(["ann", "cem", "nobody"])
    hall.change(ben="online", ann="away")
    hall.loop.run()
    assert reader.items == [Status("ann", "online", 2), Status("cem", "busy", 3), Ready(3), Status("ann", "away", 5)]


def test_the_mark_comes_at_once_when_there_is_nothing() -> None:
    assert KeyChangeHarness().reader(["ann"]).items == [Ready(0)]
    assert KeyChangeHarness().reader([]).items == [Ready(0)]


def test_nothing_is_delivered_before_subscribe_has_returned_or_from_within_publish() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online")
    reader, _ = hall.watch(["ann"])
    hall.change(ann="away")
    assert reader.items == []
    hall.loop.run()
    assert states(reader) == [("ann", "away")]


def test_a_slow_reader_gets_the_latest_of_each_key_and_never_a_backlog() -> None:
    hall = KeyChangeHarness()
    reader, subscription = hall.watch(["ann", "ben"], credit=1)
    hall.loop.run()
    for n in range(1000):
        hall.change(ann=f"a{n}", ben=f"b{n}")
        hall.loop.run()
    assert len(subscription.dirty) == 2
    reader.credit = UNBOUNDED
    subscription.wake()
    hall.loop.run()
    assert states(reader) == [("ann", "a999"), ("ben", "b999")]


def test_what_renders_to_nothing_costs_no_demand() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="invisible", ben="online")
    reader = hall.reader(["ann", "ben"], credit=2)
    assert reader.items == [Status("ben", "online", 2), Ready(2)]


def test_the_mark_costs_one_item_of_demand() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online")
    reader, subscription = hall.watch(["ann"], credit=1)
    hall.loop.run()
    assert states(reader) == [("ann", "online")]
    assert len(reader.items) == 1
    reader.credit = 1
    subscription.wake()
    hall.loop.run()
    assert reader.items[1:] == [Ready(1)]


def test_the_mark_does_not_wait_for_a_key_that_never_stops_changing() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="a", ben="b", cem="c")
    reader, subscription = hall.watch(["ann", "ben", "cem"], credit=1)
    for n in range(6):
        hall.loop.run()
        hall.change(ann=f"a{n}")
        reader.credit = 1
        subscription.wake()
    hall.loop.run()
    assert [type(item) for item in reader.items[:4]] == [Status, Status, Status, Ready]


def test_a_key_that_changes_all_the_time_neither_starves_nor_is_starved() -> None:
    hall = KeyChangeHarness()
    keys = ["fast", "ann", "ben", "cem"]
    reader, subscription = hall.watch(keys, credit=1)
    for n in range(400):
        hall.change(fast=f"f{n}", **{keys[1 + n % 3]: str(n)})
        if n % 2:
            reader.credit = 1
            subscription.wake()
        hall.loop.run()
    seen = [user for user, _ in states(reader)]
    assert min(seen.count(key) for key in keys) > 40


def test_large_interests_come_in_batches() -> None:
    hall = KeyChangeHarness(KeyChangeLimits(batch_items_max=10))
    keys = [f"user{n:02}" for n in range(35)]
    hall.change(**dict.fromkeys(keys, "online"))
    reader = hall.reader(keys)
    assert [len(batch.items) for batch in reader.batches] == [10, 10, 10, 6]
    assert [user for user, _ in states(reader)] == keys
    assert reader.items[-1] == Ready(35)


# resuming


def test_a_reader_that_resumes_gets_only_what_changed_since() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online", ben="away", cem="busy")
    hall.change(ann="away")
    assert hall.reader(["ann", "ben", "cem"], after=3, epoch="b1").items == [Status("ann", "away", 4), Ready(4)]
    assert hall.reader(["ann", "ben", "cem"], after=4, epoch="b1").items == [Ready(4)]


@pytest.mark.parametrize(("after", "epoch"), [(3, "b0"), (3, ""), (99, "b1"), (0, "b1"), (None, "b1")])
def test_a_cursor_that_means_nothing_here_gets_everything(after: int | None, epoch: str) -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online", ben="away", cem="busy")
    assert len(states(hall.reader(["ann", "ben"], after=after, epoch=epoch))) == 2


def test_every_cursor_is_safe_to_resume_from() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="1", ben="1", cem="1")
    reader, subscription = hall.watch(["ann", "ben", "cem"], credit=1)
    hall.loop.run()
    hall.change(ann="2")  # between the items of the snapshot
    for _ in range(5):
        reader.credit = 1
        subscription.wake()
        hall.loop.run()
    assert states(reader) == [("ann", "1"), ("ben", "1"), ("cem", "1"), ("ann", "2")]
    for taken in range(1, len(reader.items) + 1):
        known = {item.user: item.value for item in reader.items[:taken] if isinstance(item, Status)}
        late = hall.reader(["ann", "ben", "cem"], after=reader.items[taken - 1].version, epoch="b1")
        known.update(states(late))
        assert known == {"ann": "2", "ben": "1", "cem": "1"}


def test_who_resumes_from_before_something_was_forgotten_gets_everything() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online", ben="away", cem="busy")
    hall.hub.release("ben")
    assert len(states(hall.reader(["ann", "ben", "cem"], after=1, epoch="b1"))) == 3
    assert states(hall.reader(["ann", "ben", "cem"], after=2, epoch="b1")) == [("cem", "busy")]


# interest


def test_an_interest_may_grow_and_shrink() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online", ben="away")
    reader, subscription = hall.watch(["ann"])
    hall.loop.run()
    subscription.add(["ben", "ann"])
    hall.loop.run()
    assert states(reader) == [("ann", "online"), ("ben", "away")]
    subscription.discard(["ann", "nobody"])
    hall.change(ann="away", ben="online")
    hall.loop.run()
    assert states(reader)[2:] == [("ben", "online")]


def test_a_key_added_late_is_newer_than_every_cursor_sent_before() -> None:
    hall = KeyChangeHarness()
    hall.change(old="busy", ann="online")
    reader, subscription = hall.watch(["ann"])
    hall.loop.run()
    subscription.add(["old"])
    subscription.close()  # before it was sent
    last = reader.items[-1].version
    assert states(hall.reader(["ann", "old"], after=last, epoch="b1")) == [("old", "busy")]


def test_discarding_a_dirty_key_leaves_nothing_to_send() -> None:
    hall = KeyChangeHarness()
    reader, subscription = hall.watch(["ann"])
    hall.loop.run()
    hall.change(ann="online")
    subscription.discard(["ann"])
    hall.loop.run()
    assert reader.items == [Ready(0)]


def test_publishing_visits_the_interested_alone() -> None:
    hall = KeyChangeHarness()
    for n in range(50):
        hall.watch([f"user{n}"])
    hall.loop.run()
    demands = []
    interested, _ = hall.watch(["ann"])
    hall.loop.run()
    interested.on_deliver = lambda batch: demands.append(batch)
    hall.change(ann="online")
    assert len(hall.hub.scheduler._queue) == 1
    hall.loop.run()
    assert len(demands) == 1


# beats


def test_a_reader_with_a_beat_gets_what_changed_meanwhile_as_one() -> None:
    hall = KeyChangeHarness()
    reader = hall.reader(["ann", "ben"], min_interval_seconds=1.5)
    arrivals: list[float] = []
    reader.on_deliver = lambda _: arrivals.append(hall.loop.now)
    for n in range(60):
        hall.change(ann=f"a{n}", ben=f"b{n}")
        hall.loop.run()
        hall.loop.advance(0.1)
    assert arrivals == pytest.approx([1.5, 3.0, 4.5])
    assert all(len(batch.items) == 2 for batch in reader.batches[1:])
    hall.loop.advance(10)
    assert states(reader)[-2:] == [("ann", "a59"), ("ben", "b59")]


def test_a_snapshot_does_not_wait_for_the_beat() -> None:
    hall = KeyChangeHarness(KeyChangeLimits(batch_items_max=2))
    hall.change(a="1", b="1", c="1", d="1", e="1")
    reader = hall.reader("abcde", min_interval_seconds=5)
    assert len(reader.items) == 6


def test_a_reader_that_closes_while_it_rests_is_left_alone() -> None:
    hall = KeyChangeHarness()
    reader, subscription = hall.watch(["ann"], min_interval_seconds=1)
    hall.loop.run()
    hall.change(ann="online")
    subscription.close()
    hall.loop.advance(5)
    assert reader.items == [Ready(0)]


# ends and limits


def test_after_close_nothing_is_delivered_and_nothing_is_kept() -> None:
    hall = KeyChangeHarness()
    reader, subscription = hall.watch(["ann"])
    hall.loop.run()
    hall.change(ann="online")
    subscription.close()
    subscription.close()
    subscription.wake()
    subscription.add(["ben"])
    hall.change(ann="away", ben="away")
    hall.loop.run()
    assert reader.items == [Ready(0)]
    assert subscription.sink is not reader
    assert hall.hub.subscription_count == 0
    assert not hall.hub._subscribers


def test_a_sink_may_close_and_wake_from_inside_deliver() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="1", ben="1")
    reader, subscription = hall.watch(["ann", "ben"], credit=1)

    def wake_once_then_close(_: Batch[Item]) -> None:
        reader.credit = 1
        subscription.wake()
        if len(reader.items) == 2:
            subscription.close()

    reader.on_deliver = wake_once_then_close
    hall.loop.run()
    assert len(reader.items) == 2


def test_a_sink_that_raises_is_closed_and_its_neighbours_do_not_notice() -> None:
    hall = KeyChangeHarness()
    broken, _ = hall.watch(["ann"])
    other, _ = hall.watch(["ann"])
    hall.loop.run()

    def explode(_: Batch[Item]) -> None:
        raise RuntimeError("a bug in a transport")

    broken.on_deliver = explode
    hall.change(ann="online")
    with pytest.raises(RuntimeError):
        hall.loop.run()
    hall.loop.run()
    assert states(other) == [("ann", "online")]
    assert hall.hub.subscription_count == 1


def test_a_rendering_that_raises_fails_its_reader() -> None:
    hall = KeyChangeHarness()
    hall.change(ann="online")
    error = ValueError("cannot be shown")

    def broken(key: str, value: str, version: int) -> Item:
        raise error

    assert hall.reader(["ann"], render=broken).error is error
    assert hall.hub.subscription_count == 0


def test_an_interest_has_a_limit_at_the_beginning_and_later() -> None:
    hall = KeyChangeHarness(KeyChangeLimits(keys_per_subscription_max=3))
    assert isinstance(hall.reader("abcd").error, TooManyKeysError)
    reader, subscription = hall.watch("abc")
    hall.loop.run()
    with pytest.raises(TooManyKeysError):
        subscription.add("de")
    assert subscription.keys == set("abc")
    subscription.discard("a")
    subscription.add("d")
    assert reader.error is None
    assert hall.hub.subscription_count == 1


def test_a_board_has_a_limit_of_subscriptions() -> None:
    hall = KeyChangeHarness(KeyChangeLimits(subscriptions_max=1))
    _, subscription = hall.watch(["ann"])
    assert isinstance(hall.reader(["ann"]).error, TooManySubscriptionsError)
    subscription.close()
    assert hall.reader(["ann"]).error is None


def test_deliveries_and_fetches_are_counted() -> None:
    hall = KeyChangeHarness()
    hall.reader(["ann"])
    hall.reader(["ann", "ben"])
    hall.change(ann="online", ben="away", cem="busy")
    hall.loop.run()
    assert (hall.hub.subscription_count, hall.hub.deliveries, hall.hub.fetches) == (2, 5, 4)
