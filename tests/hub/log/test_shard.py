"""A shard flushes its subscriptions together; none of them can stop the others."""

from __future__ import annotations

import pytest

from hub.harness import UNBOUNDED, Event, HubHarness, Item, RecordingSink, events
from tidings.hub import HubLimits, LogSubscription


@pytest.mark.parametrize("blocked", [0, 1, 2])
def test_a_blocked_subscription_is_skipped_and_all_its_neighbours_get_the_event(blocked: int) -> None:
    harness = HubHarness()
    readers = [harness.reader() for _ in range(3)]
    readers[blocked].credit = 0
    harness.send()
    harness.settle()  # the first flush finds no demand, and marks the subscription as blocked
    harness.send()
    harness.settle()  # the second one skips it
    for index, reader in enumerate(readers):
        assert reader.items[1:] == ([] if index == blocked else events(1, 2))


@pytest.mark.parametrize("caught_up", [0, 1, 2])
def test_a_subscription_at_the_head_is_skipped_and_its_neighbours_get_the_event(caught_up: int) -> None:
    harness = HubHarness()
    readers: list[RecordingSink[Item]] = [RecordingSink() for _ in range(3)]
    subscriptions = [harness.subscribe(reader) for reader in readers]
    harness.settle()
    harness.send()
    # Served alone, before the flush of its shard.
    subscriptions[caught_up].flush()
    assert [len(reader.items) for reader in readers] == [2 if index == caught_up else 1 for index in range(3)]
    harness.settle()
    assert [reader.items[1:] for reader in readers] == [events(1, 1)] * 3


@pytest.mark.parametrize("refusing", [0, 1, 2])
def test_a_sink_that_takes_less_than_the_batch_gets_less_and_its_neighbours_get_the_batch(refusing: int) -> None:
    harness = HubHarness()
    readers = [harness.reader() for _ in range(3)]
    readers[refusing].credit = 1
    harness.send(3)
    harness.settle()
    assert [len(reader.items) - 1 for reader in readers] == [1 if index == refusing else 3 for index in range(3)]
    assert harness.hub.stats.deliveries == 3 + 1 + 3 + 3
    readers[refusing].credit = UNBOUNDED


def test_a_flush_costs_as_many_units_as_the_shard_has_subscriptions() -> None:
    harness = HubHarness()
    subscriptions = [harness.subscribe(RecordingSink()) for _ in range(4)]
    harness.settle()
    (shard,) = harness.hub._fanouts["lobby"].shards
    assert list(shard.subscriptions) == subscriptions
    assert shard.flush() == 4


def test_a_batch_that_does_not_reach_the_head_is_followed_by_the_rest_in_a_later_round() -> None:
    harness = HubHarness(HubLimits(batch_events_max=2))
    readers = [harness.reader() for _ in range(2)]
    harness.send(5)
    harness.loop.run_round()
    assert [reader.items[1:] for reader in readers] == [events(1, 2)] * 2
    harness.settle()
    assert [reader.items[1:] for reader in readers] == [events(1, 5)] * 2
    assert all(isinstance(item, Event) for item in readers[0].items[1:])


def test_a_blocked_subscription_with_a_credit_of_one_gets_one_event_from_the_flush_of_its_shard() -> None:
    harness = HubHarness()
    reader = harness.reader()
    reader.credit = 0
    harness.send()
    harness.settle()
    reader.credit = 1  # and no wake
    harness.send()
    harness.settle()
    assert reader.items[1:] == events(1, 1)


def test_a_blocked_subscription_is_not_asked_to_take_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = HubHarness()
    reader = harness.reader(credit=1)
    harness.send()
    harness.settle()
    monkeypatch.setattr(reader, "deliver", lambda batch: pytest.fail("it has no demand"))
    harness.send()
    harness.settle()
    assert len(reader.items) == 1


def test_live_subscriptions_are_served_without_a_step_of_their_own_wherever_the_head_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harness = HubHarness()
    harness.commit(1000)
    readers = [harness.reader() for _ in range(3)]
    steps: list[LogSubscription[Item]] = []
    monkeypatch.setattr(LogSubscription, "advance", steps.append)
    harness.send()
    harness.settle()
    assert [reader.items[1:] for reader in readers] == [events(1001, 1001)] * 3
    assert not steps


def test_a_subscription_made_after_another_of_its_shard_closed_is_removed_when_it_closes() -> None:
    harness = HubHarness()
    first = harness.subscribe(RecordingSink())
    harness.subscribe(RecordingSink())
    harness.settle()
    first.close()
    later = harness.subscribe(RecordingSink())
    harness.settle()
    assert harness.hub.stats.subscriptions == 2
    later.close()
    assert harness.hub.stats.subscriptions == 1
