"""One reader: its demand, its lag_policy, its pages, its end."""

from __future__ import annotations

import pytest

from hub.harness import ROOM, UNBOUNDED, Event, Gap, HubHarness, Item, Live, RecordingSink, events, seqs
from tidings.hub import PAUSED, Batch, HubLimits, LagPolicy
from tidings.hub.log.subscription import ENDED, TRANSITIONS, SubscriptionState, Transition


def test_nothing_is_sent_without_demand_and_everything_comes_with_it() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink(credit=0)
    subscription = harness.subscribe(reader, 0)
    harness.send(3)
    harness.settle()
    assert reader.items == []
    for _ in range(4):
        reader.credit = 1
        subscription.wake()
        harness.settle()
        assert reader.credit == 0
    assert reader.items == [*events(1, 3), Live(3)]


def test_the_live_mark_waits_for_demand_too() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink(credit=0)
    subscription = harness.subscribe(reader, None)
    harness.settle()
    harness.send()
    harness.settle()
    assert reader.items == []
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0), Event(1)]


def test_a_reader_with_less_demand_than_its_neighbours_gets_less_and_holds_nobody_up() -> None:
    harness = HubHarness()
    slow: RecordingSink[Item] = RecordingSink(credit=3)
    subscription = harness.subscribe(slow, None)
    fast = harness.reader(None)
    harness.send(5)
    harness.settle()
    assert seqs(slow.items) == [1, 2]
    assert seqs(fast.items) == [1, 2, 3, 4, 5]
    slow.credit = 2
    subscription.wake()
    harness.settle()
    assert seqs(slow.items) == [1, 2, 3, 4]


def test_a_batch_is_limited_in_events_and_the_rest_follows_in_the_next_round() -> None:
    harness = HubHarness(HubLimits(batch_events_max=4))
    reader = harness.reader(None)
    harness.send(10)
    harness.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 4, 4, 2]
    assert seqs(reader.items) == list(range(1, 11))


def test_a_batch_is_limited_in_bytes_but_one_event_always_goes() -> None:
    harness = HubHarness(HubLimits(batch_bytes_max=250, tail_bytes_max=10_000), item_size=lambda _: 100)
    reader = harness.reader(None)
    harness.send(5)
    harness.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 2, 2, 1]
    heavy = HubHarness(HubLimits(batch_bytes_max=250), item_size=lambda _: 1000)
    reader = heavy.reader(None)
    heavy.send(2)
    heavy.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 1, 1]


def test_wake_costs_no_turn_when_there_is_nothing_to_send() -> None:
    harness = HubHarness()
    subscription = harness.subscribe(RecordingSink[Item](), None)
    harness.settle()
    subscription.wake()
    assert not harness.loop.callbacks


def test_many_wakes_are_one_turn() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink(credit=0)
    subscription = harness.subscribe(reader, None)
    harness.settle()
    for _ in range(10):
        subscription.wake()
    assert len(harness.loop.callbacks) == 1


def test_a_sink_may_close_from_inside_deliver() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=4))
    readers = [RecordingSink[Item]() for _ in range(4)]
    subscriptions = [harness.subscribe(reader, None) for reader in readers]
    harness.settle()

    def close_all_but_the_last(_: Batch[Item]) -> None:
        for subscription in subscriptions[:3]:
            subscription.close()

    readers[1].on_deliver = close_all_but_the_last
    harness.send()
    harness.send()
    harness.settle()
    assert [len(seqs(reader.items)) for reader in readers] == [2, 2, 0, 2]
    assert harness.hub.stats.subscriptions == 1


def test_a_sink_may_wake_from_inside_deliver() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0)
    harness.send(3)

    def one_more(_: Batch[Item]) -> None:
        reader.credit = 1
        subscription.wake()

    reader.on_deliver = one_more
    harness.settle()
    assert reader.items == [*events(1, 3), Live(3)]
    assert {len(batch.items) for batch in reader.batches} == {1}


def test_a_sink_may_close_and_wake_from_inside_fail() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, None)

    def both() -> None:
        subscription.close()
        subscription.wake()

    reader.on_fail = both
    harness.hub.unsubscribe(ROOM, "ann", PermissionError())
    harness.settle()
    assert len(reader.errors) == 1
    assert harness.hub.stats.subscriptions == 0


def test_a_sink_may_close_the_live_mark_s_watch_before_the_events_behind_it() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, 0)
    reader.on_deliver = lambda _: subscription.close()
    harness.settle()
    assert reader.items == events(1, 3)


@pytest.mark.parametrize("alone", [True, False], ids=["in a turn of its own", "in its shard"])
def test_a_sink_that_raises_is_closed_and_its_neighbours_do_not_notice(alone: bool) -> None:
    harness = HubHarness()
    broken, *others = readers = [RecordingSink[Item]() for _ in range(3)]
    subscriptions = [harness.subscribe(reader, None) for reader in readers]
    harness.settle()

    def explode(_: Batch[Item]) -> None:
        raise RuntimeError("a bug in a transport")

    broken.on_deliver = explode
    if alone:
        broken.credit = 0
    harness.send()
    if alone:
        harness.settle()
        broken.credit = UNBOUNDED
        subscriptions[0].wake()
    with pytest.raises(RuntimeError, match="a bug in a transport"):
        harness.settle()
    harness.send()
    harness.settle()
    assert [seqs(reader.items) for reader in others] == [[1, 2], [1, 2]]
    assert harness.hub.stats.subscriptions == 2


def test_after_close_nothing_is_delivered_and_the_sink_is_let_go() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, None)
    harness.settle()
    harness.send()
    subscription.close()
    subscription.close()
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0)]
    assert subscription.sink is not reader
    assert harness.hub.stats.subscriptions == 0


def test_a_page_that_comes_after_close_is_dropped() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, 0)
    harness.loop.run()
    harness.answer_head()
    harness.loop.run()
    assert len(harness.reads) == 1
    subscription.close()
    harness.settle()
    assert reader.items == []
    assert harness.hub.stats.reads_in_flight == 0


def test_close_before_the_head_is_known_is_the_end_too() -> None:
    harness = HubHarness()
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0).close()
    harness.commit(1)
    harness.settle()
    assert reader.items == []
    assert not harness.reads


def test_a_failed_read_fails_those_who_waited_for_it_and_nobody_else() -> None:
    harness = HubHarness()
    harness.commit(4)
    others = [harness.reader(None)]
    waiting = [RecordingSink[Item]() for _ in range(3)]
    for reader in waiting:
        harness.subscribe(reader, 0)
    another: RecordingSink[Item] = RecordingSink()
    harness.subscribe(another, 2)
    harness.loop.run()
    broken = next(read for read in harness.reads if read.after == 0)
    harness.reads.remove(broken)
    down = OSError("the store is down")
    broken.done(down)
    harness.settle()
    assert [reader.error for reader in waiting] == [down] * 3
    assert another.items == [*events(3, 4), Live(4)]
    assert others[0].error is None
    assert harness.reader(0).items == [*events(1, 4), Live(4)], "the next one reads again"


@pytest.mark.parametrize("state", list(SubscriptionState))
def test_every_state_but_the_last_can_be_stopped(state: SubscriptionState) -> None:
    assert TRANSITIONS.get((state, Transition.STOPPED)) is (None if state is ENDED else ENDED)


def test_a_live_mark_cannot_be_sent_twice_by_construction() -> None:
    assert {state for state, step in TRANSITIONS if step is Transition.LIVE_SENT} == {
        SubscriptionState.STARTING,
        SubscriptionState.REPLAYING,
    }
    assert not [state for (state, _), after in TRANSITIONS.items() if after in (SubscriptionState.STARTING,)]


def test_a_slow_reader_goes_on_from_the_log_when_the_tail_has_moved_on() -> None:
    harness = HubHarness(HubLimits(tail_events_max=8))
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, None)
    harness.settle()
    for _ in range(50):
        harness.send()
        harness.settle()
    assert harness.hub.stats.reads == 0
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0), *events(1, 50)]


def test_a_paused_reader_keeps_its_page_is_not_too_slow_and_gets_everything_once() -> None:
    harness = HubHarness(HubLimits(held_bytes_max=0, close_lag_events=2, tail_events_max=2, batch_events_max=3))
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, 0, lag_policy=LagPolicy.CLOSE)
    harness.settle()
    reader.credit = PAUSED
    harness.send(10)
    harness.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.loop.run()
    reader.credit = PAUSED
    while harness.reads:
        harness.answer_read()
    harness.settle()
    reads = harness.hub.stats.reads
    for _ in range(3):
        subscription.wake()
        harness.settle()
    assert harness.hub.stats.reads == reads, "what was read is kept for its turn"
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0), *events(1, 10)]
    assert reader.error is None


def test_a_reader_of_much_history_has_a_round_of_the_loop_to_itself() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=5))
    harness.commit(600)
    readers = [RecordingSink[Item]() for _ in range(5)]
    for after, reader in enumerate(readers):
        harness.subscribe(reader, after)
    harness.loop.run()
    harness.answer_head()
    harness.loop.run()
    while harness.reads:
        harness.answer_read()
    begun: list[int] = []
    while len(begun) < 5:
        harness.loop.run_round()
        begun.append(sum(bool(reader.items) for reader in readers))
    assert begun == [1, 2, 3, 4, 5]
    harness.settle()
    assert all(reader.items[-1] == Live(600) for reader in readers)


def test_events_removed_from_the_log_are_declared_by_a_gap_mark() -> None:
    harness = HubHarness()
    harness.commit(10)
    harness.remove_up_to(6)
    assert harness.reader(0).items == [Gap(1, 6), *events(7, 10), Live(10)]
    assert harness.reader(6).items == [*events(7, 10), Live(10)]
    assert harness.hub.stats.gaps_sent == 1


def test_a_log_that_was_emptied_is_one_gap() -> None:
    harness = HubHarness()
    harness.commit(10)
    harness.remove_up_to(10)
    assert harness.reader(3).items == [Gap(4, 10), Live(10)]


def test_a_hole_in_the_middle_of_the_log_is_declared_where_it_is() -> None:
    harness = HubHarness()
    harness.commit(10)
    for seq in (4, 5, 8):
        del harness.log[ROOM][seq]
    reader = harness.reader(0)
    assert reader.items == [*events(1, 3), Gap(4, 5), *events(6, 7), Gap(8, 8), *events(9, 10), Live(10)]


def test_a_gap_mark_waits_for_demand() -> None:
    harness = HubHarness()
    harness.commit(4)
    harness.remove_up_to(2)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    assert reader.items == [Gap(1, 2)]
    reader.credit = 1
    subscription.wake()
    harness.settle()
    assert reader.items == [Gap(1, 2), Event(3)]
