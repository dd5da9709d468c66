"""Rooms, readers and speakers: what a watch gets, whatever happens around it."""

from __future__ import annotations

import pytest

from hub.stage import ROOM, Event, Gap, HubHarness, Item, Live, RecordingSink, events, seqs
from tidings.hub import CursorBeyondHeadError, CursorLostError, HubLimits, LagPolicy, TooManySubscriptionsError

# where a watch begins


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


# cursors that cannot be followed


def test_a_cursor_of_another_epoch_is_lost() -> None:
    harness = HubHarness()
    harness.commit(5)
    reader = harness.reader(3, epoch="e0")
    assert type(reader.error) is CursorLostError
    assert "replaced" in str(reader.error)
    assert reader.items == []


@pytest.mark.parametrize("epoch", ["e1", ""])
def test_a_cursor_of_the_same_epoch_or_of_none_is_followed(epoch: str) -> None:
    harness = HubHarness()
    harness.commit(1)
    assert harness.reader(0, epoch=epoch).items == [Event(1), Live(1)]


def test_a_cursor_from_the_future_is_lost_and_the_text_says_so() -> None:
    harness = HubHarness()
    harness.commit(5)
    reader = harness.reader(6)
    assert type(reader.error) is CursorBeyondHeadError
    assert isinstance(reader.error, CursorLostError)
    assert "future" in str(reader.error)


def test_a_cursor_ahead_of_what_we_heard_is_compared_with_the_log_before_it_is_called_lost() -> None:
    # The client sent its message through another node, and reconnects here before the bus has told us.
    harness = HubHarness()
    harness.commit(5)
    first = harness.reader(None)
    late = harness.commit(2)
    reader = harness.reader(7)
    assert reader.items == [Live(7)]
    assert first.items == [Live(5), Event(6), Event(7)], "who was here learns of them too"
    harness.hub.notify(ROOM, "e1", late)
    harness.send()
    harness.settle()
    assert seqs(first.items) == [6, 7, 8]
    assert reader.items == [Live(7), Event(8)]


def test_a_head_that_was_being_read_before_the_doubt_does_not_count() -> None:
    harness = HubHarness()
    harness.reader(None)
    early, late = RecordingSink[Item](), RecordingSink[Item]()
    harness.subscribe(early, 1)
    harness.loop.run()
    harness.commit(2)
    harness.subscribe(late, 2)
    harness.loop.run()
    harness.answer_head(1)  # as it was when the first doubted
    harness.loop.run()
    assert late.error is None
    harness.settle()
    assert early.items == [Live(1), Event(2)]
    assert late.items == [Live(2)]


def test_a_doubt_that_the_log_cannot_answer_fails_the_doubter_alone() -> None:
    harness = HubHarness()
    other = harness.reader(None)
    doubter: RecordingSink[Item] = RecordingSink()
    harness.subscribe(doubter, 9)
    harness.loop.run()
    down = OSError("the store is down")
    harness.head_reads.pop().done(down)
    harness.send()
    harness.settle()
    assert doubter.error is down
    assert other.items == [Live(0), Event(1)]


def test_when_the_log_is_replaced_every_reader_loses_its_cursor_and_newcomers_get_the_new_log() -> None:
    harness = HubHarness()
    harness.commit(5)
    old = [harness.reader(None), harness.reader(0)]
    harness.epoch = "e2"
    harness.log.clear()
    harness.heads.clear()
    harness.send(2)
    harness.settle()
    assert [type(reader.error) for reader in old] == [CursorLostError, CursorLostError]
    assert harness.reader(0, epoch="e2").items == [*events(1, 2), Live(2)]


# a feed is made while others speak


def test_a_message_sent_while_the_head_is_being_read_is_not_missed_when_the_head_was_read_before_it() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, None)
    harness.send()
    harness.answer_head(3)
    harness.settle()
    assert reader.items == [Live(3), Event(4)]


def test_a_message_sent_while_the_head_is_being_read_comes_once_when_the_head_was_read_after_it() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, None)
    harness.send()
    harness.answer_head(4)
    harness.settle()
    assert reader.items == [Live(3), Event(4)]


def test_a_replay_that_begins_during_a_send_has_neither_a_gap_nor_a_repeat() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0)
    told = harness.commit(1)
    harness.answer_head()
    harness.hub.notify(ROOM, "e1", told)
    harness.loop.run()
    harness.send()
    harness.settle()
    assert reader.items == [*events(1, 5), Live(5)]


def test_who_comes_after_a_send_but_before_the_head_is_known_does_not_get_it_as_news() -> None:
    harness = HubHarness()
    before, after = RecordingSink[Item](), RecordingSink[Item]()
    harness.subscribe(before, None)
    harness.send()
    harness.subscribe(after, None)
    harness.settle()
    assert before.items == [Live(0), Event(1)]
    assert after.items == [Live(1)]


def test_a_head_that_cannot_be_read_fails_who_waits_and_the_next_watch_asks_anew() -> None:
    harness = HubHarness()
    waiting = [RecordingSink[Item](), RecordingSink[Item]()]
    for reader in waiting:
        harness.subscribe(reader, 0)
    down = OSError("the store is down")
    harness.head_reads.pop().done(down)
    harness.settle()
    assert [reader.error for reader in waiting] == [down, down]
    assert harness.reader(0).items == [Live(0)]


def test_readers_of_one_room_share_one_reading_of_its_head() -> None:
    harness = HubHarness()
    for _ in range(5):
        harness.subscribe(RecordingSink[Item](), None)
    assert len(harness.head_reads) == 1


def test_an_answer_for_a_feed_that_is_gone_is_dropped() -> None:
    harness = HubHarness()
    subscription = harness.subscribe(RecordingSink[Item](), None)
    subscription.close()
    harness.loop.advance(1000)
    harness.hub.tick(harness.loop.now)
    harness.settle()
    assert harness.hub.stats.active_rooms == 0


# holes, repeats, old news


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


@pytest.mark.parametrize("inside", [False, True], ids=["between two", "inside one"])
def test_a_hole_in_what_we_are_told_is_filled_from_the_log(inside: bool) -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    first, _lost, third = harness.commit(2), harness.commit(2), harness.commit(2)
    for told in [first + third] if inside else [first, third]:
        harness.hub.notify(ROOM, "e1", told)
    harness.settle()
    assert reader.items == [Live(0), *events(1, 6)]
    assert harness.hub.stats.reads == 1


def test_news_without_events_is_read_from_the_log() -> None:
    harness = HubHarness()
    reader = harness.reader(None)
    late = harness.commit(2)
    harness.hub.advance_head(ROOM, "e1", 2)
    harness.settle()
    harness.hub.advance_head(ROOM, "e1", 1)
    harness.hub.notify(ROOM, "e1", late)
    harness.settle()
    assert reader.items == [Live(0), *events(1, 2)]


def test_news_without_events_before_the_head_is_known_may_be_old_and_is_not_delivered_as_new() -> None:
    harness = HubHarness()
    harness.commit(4)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, None)
    harness.hub.advance_head(ROOM, "e1", 4)
    harness.settle()
    harness.send()
    harness.settle()
    assert reader.items == [Live(4), Event(5)]


def test_events_in_the_log_that_we_were_not_told_of_wait_for_their_notify() -> None:
    harness = HubHarness()
    harness.commit(2)
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0)
    harness.loop.run()
    harness.answer_head()
    told = harness.commit(2)
    harness.settle()
    assert reader.items == [*events(1, 2), Live(2)], "the page held more than the head we know"
    harness.hub.notify(ROOM, "e1", told)
    harness.settle()
    assert reader.items == [*events(1, 2), Live(2), *events(3, 4)]


def test_a_room_that_nobody_watches_costs_nothing() -> None:
    harness = HubHarness()
    harness.send(5)
    harness.hub.advance_head(ROOM, "e1", 5)
    harness.hub.replace_event(ROOM, 1, Event(1))
    harness.hub.unsubscribe(ROOM, "ann", OSError())
    assert not harness.loop.callbacks
    assert harness.hub.stats.active_rooms == 0


# what was rewritten


def test_a_rewritten_event_is_delivered_as_it_is_now() -> None:
    harness = HubHarness()
    harness.reader(None)
    harness.send(3, text="a secret")
    harness.settle()
    harness.reader(0)  # the batches of the old text were made
    gone = Event(2, "")
    harness.log[ROOM][2] = gone
    harness.hub.replace_event(ROOM, 2, gone)
    assert harness.reader(0).items == [Event(1, "a secret"), gone, Event(3, "a secret"), Live(3)]
    harness.hub.replace_event(ROOM, 99, gone)


def test_a_page_that_was_on_its_way_when_an_event_was_rewritten_does_not_bring_the_old_text() -> None:
    harness = HubHarness()
    harness.commit(3, text="a secret")
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0)
    harness.answer_head()
    harness.loop.run()
    gone = Event(2, "")
    harness.hub.replace_event(ROOM, 2, gone)
    harness.settle()
    assert reader.items == [Event(1, "a secret"), gone, Event(3, "a secret"), Live(3)]


def test_the_rest_of_a_page_does_not_bring_the_old_text() -> None:
    harness = HubHarness()
    harness.commit(3, text="a secret")
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    gone = Event(2, "")
    harness.hub.replace_event(ROOM, 2, gone)
    reader.credit = 1
    subscription.wake()
    harness.settle()
    assert reader.items == [Event(1, "a secret"), gone]
    assert harness.hub.stats.reads == 1


# many at once


def test_readers_at_the_same_cursor_get_the_same_batch_so_that_its_bytes_are_made_once() -> None:
    harness = HubHarness(HubLimits(shard_subscriptions_max=8))
    readers = [harness.reader(None) for _ in range(40)]
    harness.send(3)
    harness.settle()
    assert len({id(reader.batches[-1]) for reader in readers}) == 1
    assert readers[0].batches[-1].items == tuple(events(1, 3))
    assert (readers[0].batches[-1].first, readers[0].batches[-1].last) == (1, 3)
    readers[0].batches[-1].shared["frame"] = b"made once"
    assert readers[39].batches[-1].shared["frame"] == b"made once"


def test_readers_that_replay_together_get_the_same_batches_and_marks() -> None:
    harness = HubHarness()
    harness.commit(3)
    readers = [RecordingSink[Item]() for _ in range(40)]
    for reader in readers:
        harness.subscribe(reader, 0)
    harness.settle()
    assert {tuple(map(id, reader.batches)) for reader in readers} == {tuple(map(id, readers[0].batches))}
    assert readers[0].items == [*events(1, 3), Live(3)]
    assert harness.hub.stats.reads == 1


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


def test_five_thousand_phones_that_come_back_at_once_share_the_reads() -> None:
    harness = HubHarness()
    harness.commit(100)
    readers = [RecordingSink[Item]() for _ in range(5000)]
    for index, reader in enumerate(readers):
        harness.subscribe(reader, index % 10)
    harness.loop.run()
    harness.answer_head()
    harness.loop.run()
    assert len(harness.reads) == 10
    harness.settle()
    assert all(reader.items == [*events(index % 10 + 1, 100), Live(100)] for index, reader in enumerate(readers))
    assert harness.hub.stats.reads_shared == 4990


# limits


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


# the end


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


# numbers


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


def test_the_log_may_answer_at_once() -> None:
    harness = HubHarness()
    harness.commit(3)
    harness.answers_immediately = True
    reader: RecordingSink[Item] = RecordingSink()
    harness.subscribe(reader, 0)
    harness.loop.run()
    assert reader.items == [*events(1, 3), Live(3)]


def test_a_log_that_raises_fails_the_subscription_and_not_its_caller() -> None:
    harness = HubHarness()
    harness.commit(3)
    harness.reader(None)
    harness.read_error = OSError("the store is down")
    assert harness.reader(0).error is harness.read_error
    assert harness.reader(0, room="another").error is harness.read_error
    harness.read_error = None
    assert harness.reader(0).items == [*events(1, 3), Live(3)]
