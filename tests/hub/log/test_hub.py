"""Rooms, readers and speakers: what a watch gets, whatever happens around it."""

from __future__ import annotations

import pytest

from hub.harness import ROOM, Event, Gap, HubHarness, Item, Live, RecordingSink, events
from tidings.hub import HubLimits, LagPolicy, TooManySubscriptionsError


def test_a_watch_without_cursor_gets_the_live_mark_first_and_then_what_happens() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader = harness.reader(None)
    assert reader.items == [Live(3)]
    harness.send(2)
    harness.settle()
    assert reader.items == [Live(3), Event(4), Event(5)]
    assert harness.hub.stats.reads == 0, "nobody needed the log"


def test_a_watch_from_the_beginning_gets_history_then_the_mark_then_what_happens() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader = harness.reader(0)
    harness.send()
    harness.settle()
    assert reader.items == [*events(1, 3), Live(3), Event(4)]


def test_a_watch_after_a_cursor_gets_what_follows_it() -> None:
    harness = HubHarness()
    harness.commit(5)
    assert harness.reader(3).items == [Event(4), Event(5), Live(5)]


@pytest.mark.parametrize("after", [None, 0])
def test_a_watch_of_an_empty_log_gets_the_mark_at_once(after: int | None) -> None:
    assert HubHarness().reader(after).items == [Live(0)]


def test_a_watch_at_the_head_gets_the_mark_and_no_read_is_made() -> None:
    harness = HubHarness()
    harness.commit(5)
    assert harness.reader(5).items == [Live(5)]
    assert harness.hub.stats.reads == 0


def test_nothing_is_delivered_before_subscribe_has_returned() -> None:
    harness = HubHarness()
    harness.reader(None)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0)
    assert reader.items == []


def test_what_is_sent_after_the_watch_began_is_delivered_even_when_the_mark_was_not_sent_yet() -> None:
    harness = HubHarness()
    harness.reader(None)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, None)
    harness.send()
    harness.settle()
    assert reader.items == [Live(0), Event(1)]


def test_an_old_or_repeated_notify_is_ignored() -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    first = harness.send(3)
    harness.hub.notify(ROOM, "e1", first)
    harness.hub.notify(ROOM, "e1", first[1:2])
    harness.send()
    harness.hub.notify(ROOM, "e1", first)
    harness.settle()
    assert reader.items == [Live(0), *events(1, 4)]
    assert harness.hub.stats.events_notified == 4


def test_a_notify_that_overlaps_brings_only_what_is_new() -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    first = harness.send(2)
    harness.hub.notify(ROOM, "e1", first + harness.commit(2))
    harness.settle()
    assert reader.items == [Live(0), *events(1, 4)]


def test_a_room_that_nobody_watches_costs_nothing() -> None:
    harness = HubHarness()
    harness.send(5)
    harness.hub.advance_head(ROOM, "e1", 5)
    harness.hub.replace_event(ROOM, 1, Event(1))
    harness.hub.unsubscribe(ROOM, "ann", OSError())
    assert not harness.loop.callbacks
    assert harness.hub.stats.active_rooms == 0


def test_however_many_events_gathered_a_reader_gets_one_batch() -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    for _ in range(100):
        harness.send()
    harness.settle()
    assert len(reader.batches) == 2  # the mark, and the hundred


def test_a_speaker_delivers_nothing_itself() -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    harness.send()
    assert reader.items == [Live(0)]


def test_each_shard_is_flushed_in_a_round_of_the_loop_of_its_own() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=10))
    readers = [harness.reader(None) for _ in range(45)]
    harness.send()
    got = []
    while harness.loop.callbacks:
        assert len(harness.loop.callbacks) == 1, "or all would run before a socket is read"
        harness.loop.run_round()
        got.append(sum(len(reader.items) == 2 for reader in readers))
    assert got == [10, 20, 30, 40, 45]


def test_small_rooms_share_a_round_of_the_loop() -> None:
    harness = HubHarness()
    readers = [harness.reader(None, room=f"r{n}") for n in range(50)]
    for n in range(50):
        harness.send(room=f"r{n}")
    assert harness.loop.run() == 1
    assert all(len(reader.items) == 2 for reader in readers)


def test_two_thousand_readers_get_everything_that_twenty_senders_say_in_one_order() -> None:
    harness = HubHarness()
    readers = [RecordingSink[Item]() for _ in range(2000)]
    for index, reader in enumerate(readers):
        harness.subscribe(reader, 0 if index % 2 else None, owner=f"user{index}")
    harness.settle()
    for turn in range(10):
        for sender in range(20):
            harness.send(text=f"{sender}:{turn}")
        harness.loop.run_round()  # the next senders speak while the shards of the last are being flushed
    harness.settle()
    expected = [item for _, item in sorted(harness.log[ROOM].items())]
    assert len(expected) == 200
    for reader in readers:
        assert reader.items == [Live(0), *expected]
    assert harness.hub.stats.deliveries == 2000 * 201
    assert harness.hub.stats.batches_made < 200, "bytes are made per batch, not per reader"


def test_a_room_has_a_limit_of_subscriptions_and_its_refusal_says_which() -> None:
    harness = HubHarness(HubLimits(room_subscriptions_max=2))
    readers = [harness.reader(None) for _ in range(3)]
    assert [reader.error for reader in readers[:2]] == [None, None]
    assert isinstance(readers[2].error, TooManySubscriptionsError)
    assert ROOM in str(readers[2].error)
    assert harness.reader(None, room="another").error is None
    assert harness.hub.stats.subscriptions == 3


def test_the_hub_has_a_limit_of_subscriptions_and_a_place_that_was_left_is_given_again() -> None:
    harness = HubHarness(HubLimits(subscriptions_max=2))
    subscription = harness.subscribe(RecordingSink[Item](), None, room="a")
    harness.reader(None, room="b")
    assert isinstance(harness.reader(None, room="c").error, TooManySubscriptionsError)
    assert harness.hub.stats.active_rooms == 2, "a refusal makes no feed"
    subscription.close()
    assert harness.reader(None, room="c").error is None


def test_places_in_shards_are_used_again() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=4))
    subscriptions = [harness.subscribe(RecordingSink[Item](), None) for _ in range(12)]
    for subscription in subscriptions[::2]:
        subscription.close()
    readers = [harness.reader(None) for _ in range(6)]
    harness.send()
    rounds = harness.loop.run()
    assert rounds == 3
    assert all(len(reader.items) == 2 for reader in readers)


def test_a_feed_that_nobody_listens_to_goes_away_after_a_while() -> None:
    harness = HubHarness(HubLimits(idle_room_seconds=60))
    subscription = harness.subscribe(RecordingSink[Item](), None)
    harness.settle()
    subscription.close()
    harness.hub.tick(59)
    assert (harness.hub.stats.active_rooms, harness.hub.has_subscribers(ROOM)) == (1, True)
    harness.hub.tick(60)
    assert (harness.hub.stats.active_rooms, harness.hub.has_subscribers(ROOM)) == (0, False)


def test_a_feed_waits_a_while_for_a_reader_that_comes_back() -> None:
    harness = HubHarness(HubLimits(idle_room_seconds=60))
    subscription = harness.subscribe(RecordingSink[Item](), None)
    harness.settle()
    subscription.close()
    harness.send(3)
    harness.loop.now = 59
    harness.hub.tick(59)
    reader = harness.reader(1)
    harness.hub.tick(200)
    harness.send()
    harness.settle()
    assert reader.items == [*events(2, 3), Live(3), Event(4)]
    assert harness.hub.stats.reads == 0


def test_feeds_that_nobody_listens_to_are_bounded_in_number() -> None:
    harness = HubHarness(HubLimits(idle_rooms_max=3))
    for n in range(10):
        subscription = harness.subscribe(RecordingSink[Item](), None, room=f"r{n}")
        harness.settle()
        subscription.close()
    assert harness.hub.stats.active_rooms == 3


def test_the_tails_of_all_rooms_together_are_bounded_and_what_is_forgotten_is_read() -> None:
    harness = HubHarness(HubLimits(tails_bytes_max=1000), item_size=lambda _: 100)
    readers = [harness.reader(None, room=f"r{n}", credit=1) for n in range(4)]
    for n in range(4):
        harness.send(4, room=f"r{n}")
    harness.settle()
    late = [harness.reader(0, room=f"r{n}") for n in range(4)]
    assert all(reader.items == [*events(1, 4), Live(4)] for reader in late)
    assert harness.hub.stats.reads == 2, "the two rooms that were silent longest forgot their tails"
    assert all(reader.items == [Live(0)] for reader in readers)


def test_batches_that_nobody_used_between_two_ticks_are_forgotten() -> None:
    harness = HubHarness()
    harness.reader(None)
    harness.send()
    harness.settle()
    harness.reader(0)
    assert harness.hub.stats.batches_made == 1, "the newcomer got what the other had got"
    for now in range(3):
        harness.hub.tick(now)
    assert harness.reader(0).items == [Event(1), Live(1)], "the events are still there"
    assert (harness.hub.stats.batches_made, harness.hub.stats.reads) == (2, 0)


def test_who_lost_the_right_to_read_gets_nothing_more() -> None:
    harness = HubHarness()
    ann, ann_too, ben = (harness.reader(None, owner=owner) for owner in ("ann", "ann", "ben"))
    denied = PermissionError("you were removed from the room")
    harness.send()
    harness.hub.unsubscribe(ROOM, "ann", denied)
    harness.settle()
    assert ann.items == ann_too.items == [Live(0)], "not even what was being delivered"
    assert ann.error is ann_too.error is denied
    assert ben.items == [Live(0), Event(1)]
    assert ben.error is None


def test_a_room_can_end_for_everybody() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=2))
    readers = [harness.reader(None, owner=f"user{n}") for n in range(5)]
    gone = LookupError("the room is gone")
    harness.hub.unsubscribe(ROOM, None, gone)
    assert all(reader.error is None for reader in readers), "by turns"
    harness.settle()
    assert all(reader.error is gone for reader in readers)
    assert harness.hub.stats.subscriptions == 0
    assert harness.hub.stats.active_rooms == 0


def test_stats_count_what_was_done_and_how_far_the_last_reader_is_behind() -> None:
    harness = HubHarness()
    harness.reader(None)
    harness.reader(None, credit=1)
    harness.send(7)
    harness.settle()
    stats = harness.hub.stats
    assert stats.lag_events_max == 7
    assert {name: count for name, count in stats._asdict().items() if isinstance(count, int)} == {
        "subscriptions": 2,
        "active_rooms": 1,
        "tails_bytes": 700,
        "reads_in_flight": 0,
        "events_notified": 7,
        "deliveries": 9,
        "batches_made": 1,
        "reads": 0,
        "reads_shared": 0,
        "stalls_ended": 0,
        "gaps_sent": 0,
        "heads_corrected": 0,
    }


def test_marks_cost_one_item_of_demand_each() -> None:
    harness = HubHarness(HubLimits(latest_lag_events=5, latest_keep_events=2))
    harness.commit(10)
    reader = harness.reader(0, credit=1, lag_policy=LagPolicy.LATEST)
    assert reader.items == [Gap(1, 8)]
    assert reader.credit == 0
