"""Cursors are compared with the head of the log; what was not notified is read; rewritten events replace old ones."""

from __future__ import annotations

import pytest

from hub.harness import ROOM, Event, HubHarness, Item, Live, RecordingSink, events, seqs
from tidings.hub import CursorBeyondHeadError, CursorLostError


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


def test_a_cursor_beyond_the_head_is_lost_and_the_error_names_it() -> None:
    harness = HubHarness()
    harness.commit(5)
    reader = harness.reader(6)
    assert type(reader.error) is CursorBeyondHeadError
    assert isinstance(reader.error, CursorLostError)
    assert "beyond the head" in str(reader.error)


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


def test_a_head_that_is_read_again_and_has_not_moved_leaves_the_events_in_memory() -> None:
    harness = HubHarness()
    harness.reader()
    harness.send(3)
    harness.settle()
    beyond: RecordingSink[Item] = RecordingSink()
    harness.subscribe(beyond, 9)
    harness.settle()  # the head is read again for the cursor beyond it
    assert beyond.error is not None
    late = harness.reader(0)
    assert seqs(late.items) == [1, 2, 3]
    assert harness.hub.stats.reads == 0


def test_a_notified_head_that_is_not_new_schedules_nothing() -> None:
    harness = HubHarness()
    harness.reader()
    harness.send(3)
    harness.settle()
    harness.hub.advance_head(ROOM, "e1", 3)
    assert not harness.loop.callbacks
