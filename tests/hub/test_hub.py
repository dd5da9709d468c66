"""Rooms, readers and speakers: what a watch gets, whatever happens around it."""

from __future__ import annotations

import pytest

from hub.stage import ROOM, Event, Gap, Item, Live, Reader, Stage, events, seqs
from tidings.hub import CursorBeyondHead, CursorLost, HubLimits, Lag, TooManySubscriptions

# where a watch begins


def test_a_watch_without_cursor_gets_the_live_mark_first_and_then_what_happens() -> None:
    stage = Stage()
    stage.commit(3)
    reader = stage.reader(None)
    assert reader.items == [Live(3)]
    stage.send(2)
    stage.settle()
    assert reader.items == [Live(3), Event(4), Event(5)]
    assert stage.hub.stats.reads == 0, "nobody needed the log"


def test_a_watch_from_the_beginning_gets_history_then_the_mark_then_what_happens() -> None:
    stage = Stage()
    stage.commit(3)
    reader = stage.reader(0)
    stage.send()
    stage.settle()
    assert reader.items == [*events(1, 3), Live(3), Event(4)]


def test_a_watch_after_a_cursor_gets_what_follows_it() -> None:
    stage = Stage()
    stage.commit(5)
    assert stage.reader(3).items == [Event(4), Event(5), Live(5)]


@pytest.mark.parametrize("after", [None, 0])
def test_a_watch_of_an_empty_log_gets_the_mark_at_once(after: int | None) -> None:
    assert Stage().reader(after).items == [Live(0)]


def test_a_watch_at_the_head_gets_the_mark_and_no_read_is_made() -> None:
    stage = Stage()
    stage.commit(5)
    assert stage.reader(5).items == [Live(5)]
    assert stage.hub.stats.reads == 0


def test_nothing_is_delivered_before_subscribe_has_returned() -> None:
    stage = Stage()
    stage.reader(None)
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0)
    assert reader.items == []


def test_what_is_sent_after_the_watch_began_is_delivered_even_when_the_mark_was_not_sent_yet() -> None:
    stage = Stage()
    stage.reader(None)
    reader: Reader[Item] = Reader()
    stage.watch(reader, None)
    stage.send()
    stage.settle()
    assert reader.items == [Live(0), Event(1)]


# cursors that cannot be followed


def test_a_cursor_of_another_epoch_is_lost() -> None:
    stage = Stage()
    stage.commit(5)
    reader = stage.reader(3, epoch="e0")
    assert type(reader.error) is CursorLost
    assert "replaced" in str(reader.error)
    assert reader.items == []


@pytest.mark.parametrize("epoch", ["e1", ""])
def test_a_cursor_of_the_same_epoch_or_of_none_is_followed(epoch: str) -> None:
    stage = Stage()
    stage.commit(1)
    assert stage.reader(0, epoch=epoch).items == [Event(1), Live(1)]


def test_a_cursor_from_the_future_is_lost_and_the_text_says_so() -> None:
    stage = Stage()
    stage.commit(5)
    reader = stage.reader(6)
    assert type(reader.error) is CursorBeyondHead
    assert isinstance(reader.error, CursorLost)
    assert "future" in str(reader.error)


def test_a_cursor_ahead_of_what_we_heard_is_compared_with_the_log_before_it_is_called_lost() -> None:
    # The client sent its message through another node, and reconnects here before the bus has told us.
    stage = Stage()
    stage.commit(5)
    first = stage.reader(None)
    late = stage.commit(2)
    reader = stage.reader(7)
    assert reader.items == [Live(7)]
    assert first.items == [Live(5), Event(6), Event(7)], "who was here learns of them too"
    stage.hub.notify(ROOM, "e1", late)
    stage.send()
    stage.settle()
    assert seqs(first.items) == [6, 7, 8]
    assert reader.items == [Live(7), Event(8)]


def test_a_head_that_was_being_read_before_the_doubt_does_not_count() -> None:
    stage = Stage()
    stage.reader(None)
    early, late = Reader[Item](), Reader[Item]()
    stage.watch(early, 1)
    stage.loop.run()
    stage.commit(2)
    stage.watch(late, 2)
    stage.loop.run()
    stage.answer_head(1)  # as it was when the first doubted
    stage.loop.run()
    assert late.error is None
    stage.settle()
    assert early.items == [Live(1), Event(2)]
    assert late.items == [Live(2)]


def test_a_doubt_that_the_log_cannot_answer_fails_the_doubter_alone() -> None:
    stage = Stage()
    other = stage.reader(None)
    doubter: Reader[Item] = Reader()
    stage.watch(doubter, 9)
    stage.loop.run()
    down = OSError("the store is down")
    stage.head_reads.pop().done(down)
    stage.send()
    stage.settle()
    assert doubter.error is down
    assert other.items == [Live(0), Event(1)]


def test_when_the_log_is_replaced_every_reader_loses_its_cursor_and_newcomers_get_the_new_log() -> None:
    stage = Stage()
    stage.commit(5)
    old = [stage.reader(None), stage.reader(0)]
    stage.epoch = "e2"
    stage.log.clear()
    stage.heads.clear()
    stage.send(2)
    stage.settle()
    assert [type(reader.error) for reader in old] == [CursorLost, CursorLost]
    assert stage.reader(0, epoch="e2").items == [*events(1, 2), Live(2)]


# a feed is made while others speak


def test_a_message_sent_while_the_head_is_being_read_is_not_missed_when_the_head_was_read_before_it() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader()
    stage.watch(reader, None)
    stage.send()
    stage.answer_head(3)
    stage.settle()
    assert reader.items == [Live(3), Event(4)]


def test_a_message_sent_while_the_head_is_being_read_comes_once_when_the_head_was_read_after_it() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader()
    stage.watch(reader, None)
    stage.send()
    stage.answer_head(4)
    stage.settle()
    assert reader.items == [Live(3), Event(4)]


def test_a_replay_that_begins_during_a_send_has_neither_a_gap_nor_a_repeat() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0)
    told = stage.commit(1)
    stage.answer_head()
    stage.hub.notify(ROOM, "e1", told)
    stage.loop.run()
    stage.send()
    stage.settle()
    assert reader.items == [*events(1, 5), Live(5)]


def test_who_comes_after_a_send_but_before_the_head_is_known_does_not_get_it_as_news() -> None:
    stage = Stage()
    before, after = Reader[Item](), Reader[Item]()
    stage.watch(before, None)
    stage.send()
    stage.watch(after, None)
    stage.settle()
    assert before.items == [Live(0), Event(1)]
    assert after.items == [Live(1)]


def test_a_head_that_cannot_be_read_fails_who_waits_and_the_next_watch_asks_anew() -> None:
    stage = Stage()
    waiting = [Reader[Item](), Reader[Item]()]
    for reader in waiting:
        stage.watch(reader, 0)
    down = OSError("the store is down")
    stage.head_reads.pop().done(down)
    stage.settle()
    assert [reader.error for reader in waiting] == [down, down]
    assert stage.reader(0).items == [Live(0)]


def test_readers_of_one_room_share_one_reading_of_its_head() -> None:
    stage = Stage()
    for _ in range(5):
        stage.watch(Reader[Item](), None)
    assert len(stage.head_reads) == 1


def test_an_answer_for_a_feed_that_is_gone_is_dropped() -> None:
    stage = Stage()
    subscription = stage.watch(Reader[Item](), None)
    subscription.close()
    stage.loop.advance(1000)
    stage.hub.tick(stage.loop.now)
    stage.settle()
    assert stage.hub.stats.feeds == 0


# holes, repeats, old news


def test_an_old_or_repeated_notify_is_ignored() -> None:
    stage = Stage()
    reader = stage.reader(None)
    first = stage.send(3)
    stage.hub.notify(ROOM, "e1", first)
    stage.hub.notify(ROOM, "e1", first[1:2])
    stage.send()
    stage.hub.notify(ROOM, "e1", first)
    stage.settle()
    assert reader.items == [Live(0), *events(1, 4)]
    assert stage.hub.stats.events_notified == 4


def test_a_notify_that_overlaps_brings_only_what_is_new() -> None:
    stage = Stage()
    reader = stage.reader(None)
    first = stage.send(2)
    stage.hub.notify(ROOM, "e1", first + stage.commit(2))
    stage.settle()
    assert reader.items == [Live(0), *events(1, 4)]


@pytest.mark.parametrize("inside", [False, True], ids=["between two", "inside one"])
def test_a_hole_in_what_we_are_told_is_filled_from_the_log(inside: bool) -> None:
    stage = Stage()
    reader = stage.reader(None)
    first, _lost, third = stage.commit(2), stage.commit(2), stage.commit(2)
    for told in [first + third] if inside else [first, third]:
        stage.hub.notify(ROOM, "e1", told)
    stage.settle()
    assert reader.items == [Live(0), *events(1, 6)]
    assert stage.hub.stats.reads == 1


def test_news_without_events_is_read_from_the_log() -> None:
    stage = Stage()
    reader = stage.reader(None)
    late = stage.commit(2)
    stage.hub.reach(ROOM, "e1", 2)
    stage.settle()
    stage.hub.reach(ROOM, "e1", 1)
    stage.hub.notify(ROOM, "e1", late)
    stage.settle()
    assert reader.items == [Live(0), *events(1, 2)]


def test_news_without_events_before_the_head_is_known_may_be_old_and_is_not_delivered_as_new() -> None:
    stage = Stage()
    stage.commit(4)
    reader: Reader[Item] = Reader()
    stage.watch(reader, None)
    stage.hub.reach(ROOM, "e1", 4)
    stage.settle()
    stage.send()
    stage.settle()
    assert reader.items == [Live(4), Event(5)]


def test_events_in_the_log_that_we_were_not_told_of_wait_for_their_notify() -> None:
    stage = Stage()
    stage.commit(2)
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0)
    stage.loop.run()
    stage.answer_head()
    told = stage.commit(2)
    stage.settle()
    assert reader.items == [*events(1, 2), Live(2)], "the page held more than the head we know"
    stage.hub.notify(ROOM, "e1", told)
    stage.settle()
    assert reader.items == [*events(1, 2), Live(2), *events(3, 4)]


def test_a_room_that_nobody_watches_costs_nothing() -> None:
    stage = Stage()
    stage.send(5)
    stage.hub.reach(ROOM, "e1", 5)
    stage.hub.amend(ROOM, 1, Event(1))
    stage.hub.end(ROOM, "ann", OSError())
    assert not stage.loop.callbacks
    assert stage.hub.stats.feeds == 0


# what was rewritten


def test_a_rewritten_event_is_delivered_as_it_is_now() -> None:
    stage = Stage()
    stage.reader(None)
    stage.send(3, text="a secret")
    stage.settle()
    stage.reader(0)  # the batches of the old text were made
    gone = Event(2, "")
    stage.log[ROOM][2] = gone
    stage.hub.amend(ROOM, 2, gone)
    assert stage.reader(0).items == [Event(1, "a secret"), gone, Event(3, "a secret"), Live(3)]
    stage.hub.amend(ROOM, 99, gone)


def test_a_page_that_was_on_its_way_when_an_event_was_rewritten_does_not_bring_the_old_text() -> None:
    stage = Stage()
    stage.commit(3, text="a secret")
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0)
    stage.answer_head()
    stage.loop.run()
    gone = Event(2, "")
    stage.hub.amend(ROOM, 2, gone)
    stage.settle()
    assert reader.items == [Event(1, "a secret"), gone, Event(3, "a secret"), Live(3)]


def test_the_rest_of_a_page_does_not_bring_the_old_text() -> None:
    stage = Stage()
    stage.commit(3, text="a secret")
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0)
    stage.settle()
    gone = Event(2, "")
    stage.hub.amend(ROOM, 2, gone)
    reader.credit = 1
    subscription.wake()
    stage.settle()
    assert reader.items == [Event(1, "a secret"), gone]
    assert stage.hub.stats.reads == 1


# many at once


def test_readers_at_the_same_cursor_get_the_same_batch_so_that_its_bytes_are_made_once() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=8))
    readers = [stage.reader(None) for _ in range(40)]
    stage.send(3)
    stage.settle()
    assert len({id(reader.batches[-1]) for reader in readers}) == 1
    assert readers[0].batches[-1].items == tuple(events(1, 3))
    assert (readers[0].batches[-1].first, readers[0].batches[-1].last) == (1, 3)
    readers[0].batches[-1].shared["frame"] = b"made once"
    assert readers[39].batches[-1].shared["frame"] == b"made once"


def test_readers_that_replay_together_get_the_same_batches_and_marks() -> None:
    stage = Stage()
    stage.commit(3)
    readers = [Reader[Item]() for _ in range(40)]
    for reader in readers:
        stage.watch(reader, 0)
    stage.settle()
    assert {tuple(map(id, reader.batches)) for reader in readers} == {tuple(map(id, readers[0].batches))}
    assert readers[0].items == [*events(1, 3), Live(3)]
    assert stage.hub.stats.reads == 1


def test_however_many_events_gathered_a_reader_gets_one_batch() -> None:
    stage = Stage()
    reader = stage.reader(None)
    for _ in range(100):
        stage.send()
    stage.settle()
    assert len(reader.batches) == 2  # the mark, and the hundred


def test_a_speaker_delivers_nothing_itself() -> None:
    stage = Stage()
    reader = stage.reader(None)
    stage.send()
    assert reader.items == [Live(0)]


def test_each_shard_is_flushed_in_a_round_of_the_loop_of_its_own() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=10))
    readers = [stage.reader(None) for _ in range(45)]
    stage.send()
    got = []
    while stage.loop.callbacks:
        assert len(stage.loop.callbacks) == 1, "or all would run before a socket is read"
        stage.loop.turn()
        got.append(sum(len(reader.items) == 2 for reader in readers))
    assert got == [10, 20, 30, 40, 45]


def test_small_rooms_share_a_round_of_the_loop() -> None:
    stage = Stage()
    readers = [stage.reader(None, room=f"r{n}") for n in range(50)]
    for n in range(50):
        stage.send(room=f"r{n}")
    assert stage.loop.run() == 1
    assert all(len(reader.items) == 2 for reader in readers)


def test_two_thousand_readers_get_everything_that_twenty_senders_say_in_one_order() -> None:
    stage = Stage()
    readers = [Reader[Item]() for _ in range(2000)]
    for index, reader in enumerate(readers):
        stage.watch(reader, 0 if index % 2 else None, owner=f"user{index}")
    stage.settle()
    for turn in range(10):
        for sender in range(20):
            stage.send(text=f"{sender}:{turn}")
        stage.loop.turn()  # the next senders speak while the shards of the last are being flushed
    stage.settle()
    expected = [item for _, item in sorted(stage.log[ROOM].items())]
    assert len(expected) == 200
    for reader in readers:
        assert reader.items == [Live(0), *expected]
    assert stage.hub.stats.deliveries == 2000 * 201
    assert stage.hub.stats.batches_made < 200, "bytes are made per batch, not per reader"


def test_five_thousand_phones_that_come_back_at_once_share_the_reads() -> None:
    stage = Stage()
    stage.commit(100)
    readers = [Reader[Item]() for _ in range(5000)]
    for index, reader in enumerate(readers):
        stage.watch(reader, index % 10)
    stage.loop.run()
    stage.answer_head()
    stage.loop.run()
    assert len(stage.reads) == 10
    stage.settle()
    assert all(reader.items == [*events(index % 10 + 1, 100), Live(100)] for index, reader in enumerate(readers))
    assert stage.hub.stats.reads_shared == 4990


# limits


def test_a_room_has_a_limit_of_subscriptions_and_its_refusal_says_which() -> None:
    stage = Stage(HubLimits(room_subscriptions_max=2))
    readers = [stage.reader(None) for _ in range(3)]
    assert [reader.error for reader in readers[:2]] == [None, None]
    assert isinstance(readers[2].error, TooManySubscriptions)
    assert ROOM in str(readers[2].error)
    assert stage.reader(None, room="another").error is None
    assert stage.hub.stats.subscriptions == 3


def test_the_hub_has_a_limit_of_subscriptions_and_a_place_that_was_left_is_given_again() -> None:
    stage = Stage(HubLimits(subscriptions_max=2))
    subscription = stage.watch(Reader[Item](), None, room="a")
    stage.reader(None, room="b")
    assert isinstance(stage.reader(None, room="c").error, TooManySubscriptions)
    assert stage.hub.stats.feeds == 2, "a refusal makes no feed"
    subscription.close()
    assert stage.reader(None, room="c").error is None


def test_places_in_shards_are_used_again() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=4))
    subscriptions = [stage.watch(Reader[Item](), None) for _ in range(12)]
    for subscription in subscriptions[::2]:
        subscription.close()
    readers = [stage.reader(None) for _ in range(6)]
    stage.send()
    rounds = stage.loop.run()
    assert rounds == 3
    assert all(len(reader.items) == 2 for reader in readers)


def test_a_feed_that_nobody_listens_to_goes_away_after_a_while() -> None:
    stage = Stage(HubLimits(idle_feed_seconds=60))
    subscription = stage.watch(Reader[Item](), None)
    stage.settle()
    subscription.close()
    stage.hub.tick(59)
    assert (stage.hub.stats.feeds, stage.hub.listens(ROOM)) == (1, True)
    stage.hub.tick(60)
    assert (stage.hub.stats.feeds, stage.hub.listens(ROOM)) == (0, False)


def test_a_feed_waits_a_while_for_a_reader_that_comes_back() -> None:
    stage = Stage(HubLimits(idle_feed_seconds=60))
    subscription = stage.watch(Reader[Item](), None)
    stage.settle()
    subscription.close()
    stage.send(3)
    stage.loop.now = 59
    stage.hub.tick(59)
    reader = stage.reader(1)
    stage.hub.tick(200)
    stage.send()
    stage.settle()
    assert reader.items == [*events(2, 3), Live(3), Event(4)]
    assert stage.hub.stats.reads == 0


def test_feeds_that_nobody_listens_to_are_bounded_in_number() -> None:
    stage = Stage(HubLimits(idle_feeds_max=3))
    for n in range(10):
        subscription = stage.watch(Reader[Item](), None, room=f"r{n}")
        stage.settle()
        subscription.close()
    assert stage.hub.stats.feeds == 3


def test_the_tails_of_all_rooms_together_are_bounded_and_what_is_forgotten_is_read() -> None:
    stage = Stage(HubLimits(tails_bytes_max=1000), weigh=lambda _: 100)
    readers = [stage.reader(None, room=f"r{n}", credit=1) for n in range(4)]
    for n in range(4):
        stage.send(4, room=f"r{n}")
    stage.settle()
    late = [stage.reader(0, room=f"r{n}") for n in range(4)]
    assert all(reader.items == [*events(1, 4), Live(4)] for reader in late)
    assert stage.hub.stats.reads == 2, "the two rooms that were silent longest forgot their tails"
    assert all(reader.items == [Live(0)] for reader in readers)


def test_batches_that_nobody_used_between_two_ticks_are_forgotten() -> None:
    stage = Stage()
    stage.reader(None)
    stage.send()
    stage.settle()
    stage.reader(0)
    assert stage.hub.stats.batches_made == 1, "the newcomer got what the other had got"
    for now in range(3):
        stage.hub.tick(now)
    assert stage.reader(0).items == [Event(1), Live(1)], "the events are still there"
    assert (stage.hub.stats.batches_made, stage.hub.stats.reads) == (2, 0)


# the end


def test_who_lost_the_right_to_read_gets_nothing_more() -> None:
    stage = Stage()
    ann, ann_too, ben = (stage.reader(None, owner=owner) for owner in ("ann", "ann", "ben"))
    denied = PermissionError("you were removed from the room")
    stage.send()
    stage.hub.end(ROOM, "ann", denied)
    stage.settle()
    assert ann.items == ann_too.items == [Live(0)], "not even what was being delivered"
    assert ann.error is ann_too.error is denied
    assert ben.items == [Live(0), Event(1)]
    assert ben.error is None


def test_a_room_can_end_for_everybody() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=2))
    readers = [stage.reader(None, owner=f"user{n}") for n in range(5)]
    gone = LookupError("the room is gone")
    stage.hub.end(ROOM, None, gone)
    assert all(reader.error is None for reader in readers), "by turns"
    stage.settle()
    assert all(reader.error is gone for reader in readers)
    assert stage.hub.stats.subscriptions == 0
    assert stage.hub.stats.feeds == 0


# numbers


def test_stats_count_what_was_done_and_how_far_the_last_reader_is_behind() -> None:
    stage = Stage()
    stage.reader(None)
    stage.reader(None, credit=1)
    stage.send(7)
    stage.settle()
    stats = stage.hub.stats
    assert stats.lag_events_max == 7
    assert {name: count for name, count in stats._asdict().items() if isinstance(count, int)} == {
        "subscriptions": 2,
        "feeds": 1,
        "tails_bytes": 700,
        "reads_in_flight": 0,
        "events_notified": 7,
        "deliveries": 9,
        "batches_made": 1,
        "reads": 0,
        "reads_shared": 0,
        "stalls_ended": 0,
        "gaps_sent": 0,
    }


def test_marks_cost_one_item_of_demand_each() -> None:
    stage = Stage(HubLimits(latest_lag_events=5, latest_keep_events=2))
    stage.commit(10)
    reader = stage.reader(0, credit=1, lag=Lag.LATEST)
    assert reader.items == [Gap(1, 8)]
    assert reader.credit == 0


def test_the_log_may_answer_at_once() -> None:
    stage = Stage()
    stage.commit(3)
    stage.at_once = True
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0)
    stage.loop.run()
    assert reader.items == [*events(1, 3), Live(3)]


def test_a_log_that_raises_fails_the_subscription_and_not_its_caller() -> None:
    stage = Stage()
    stage.commit(3)
    stage.reader(None)
    stage.broken = OSError("the store is down")
    assert stage.reader(0).error is stage.broken
    assert stage.reader(0, room="another").error is stage.broken
    stage.broken = None
    assert stage.reader(0).items == [*events(1, 3), Live(3)]
