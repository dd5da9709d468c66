"""Pages of the log: shared by readers at one cursor, never with the old text of a rewritten event."""

from __future__ import annotations

from hub.harness import ROOM, UNBOUNDED, Event, HubHarness, Item, Live, RecordingSink, events, seqs
from tidings.hub import HubLimits


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


def test_there_is_one_read_at_a_time_and_only_while_there_is_demand() -> None:
    harness = HubHarness(HubLimits(page_events_min=2, page_events_max=4, held_bytes_max=0))
    harness.commit(20)
    reader: RecordingSink[Item] = RecordingSink(credit=0)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    assert harness.hub.stats.reads == 0
    reader.credit = 6
    for _ in range(3):
        subscription.wake()
        harness.loop.run()
        assert len(harness.reads) == 1
    harness.settle()
    assert seqs(reader.items) == [1, 2, 3, 4, 5, 6]
    assert harness.hub.stats.reads == 2, "as much as there was demand for"


def test_a_page_is_as_large_as_the_demand_within_limits() -> None:
    harness = HubHarness(HubLimits(page_events_min=4, page_events_max=10))
    harness.commit(100)
    for credit, limit in [(1, 4), (7, 7), (UNBOUNDED, 10)]:
        subscription = harness.subscribe(RecordingSink[Item](credit), 0)
        harness.loop.run()
        if harness.head_reads:
            harness.answer_head()
            harness.loop.run()
        assert harness.reads[-1].limit == limit
        subscription.close()
        harness.settle()


def test_the_small_rest_of_a_page_is_kept_for_a_reader_that_asks_for_little_at_a_time() -> None:
    harness = HubHarness(HubLimits(page_events_min=10, held_bytes_max=1000), item_size=lambda _: 100)
    harness.commit(10)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    for _ in range(10):
        reader.credit = 1
        subscription.wake()
        harness.settle()
    assert reader.items == [*events(1, 10), Live(10)]
    assert harness.hub.stats.reads == 1


def test_the_large_rest_of_a_page_is_read_again() -> None:
    harness = HubHarness(HubLimits(page_events_min=10, held_bytes_max=999), item_size=lambda _: 100)
    harness.commit(10)
    reader: RecordingSink[Item] = RecordingSink(credit=4)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    reader.credit = 4
    subscription.wake()
    harness.settle()
    assert seqs(reader.items) == list(range(1, 9))
    assert harness.hub.stats.reads == 2


def test_a_page_that_finds_no_demand_is_dropped_when_it_is_large() -> None:
    harness = HubHarness(HubLimits(held_bytes_max=150), item_size=lambda _: 100)
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink()
    subscription = harness.subscribe(reader, 0)
    harness.loop.run()
    harness.answer_head()
    harness.loop.run()
    reader.credit = 0
    harness.settle()
    assert subscription.page is None
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [*events(1, 3), Live(3)]
    assert harness.hub.stats.reads == 2


def test_a_reader_that_stands_still_between_two_ticks_holds_no_page() -> None:
    harness = HubHarness()
    harness.commit(3)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    assert subscription.page is not None
    for now in range(2):
        harness.hub.tick(now)
    assert subscription.page is None


def test_a_page_is_limited_in_bytes_but_one_event_always_comes() -> None:
    harness = HubHarness(HubLimits(page_bytes_max=250), item_size=lambda item: len(getattr(item, "text", "")))
    harness.commit(3, text="x" * 100)
    harness.commit(2, text="x" * 1000)
    reader = harness.reader(0)
    assert seqs(reader.items) == [1, 2, 3, 4, 5]
    assert harness.hub.stats.reads == 4


def test_a_reader_that_comes_after_another_uses_the_page_that_the_other_still_holds() -> None:
    harness = HubHarness()
    harness.commit(5)
    harness.reader(0, credit=0)
    held = harness.reader(0, credit=2)
    late = harness.reader(0)
    assert seqs(held.items) == [1, 2]
    assert late.items == [*events(1, 5), Live(5)]
    assert harness.hub.stats.reads == 1
    assert harness.hub.stats.reads_shared == 1


def test_reads_in_flight_are_limited_and_the_others_wait_in_line() -> None:
    harness = HubHarness(HubLimits(reads_max=3))
    harness.commit(20)
    readers = [RecordingSink[Item]() for _ in range(10)]
    subscriptions = [harness.subscribe(reader, after) for after, reader in enumerate(readers)]
    harness.loop.run()
    harness.answer_head()
    harness.loop.run()
    assert [read.after for read in harness.reads] == [0, 1, 2]
    subscriptions[4].close()
    harness.answer_read()
    assert [read.after for read in harness.reads] == [1, 2, 3]
    harness.answer_read()
    assert [read.after for read in harness.reads] == [2, 3, 5], "nobody waits for the fifth any more"
    harness.settle()
    for after, reader in enumerate(readers):
        assert reader.items == ([] if after == 4 else [*events(after + 1, 20), Live(20)])
