"""Lag policies, and readers that make no progress."""

from __future__ import annotations

import pytest

from hub.harness import ROOM, UNBOUNDED, Gap, HubHarness, Item, Live, RecordingSink, events, seqs
from tidings.hub import HubLimits, LagPolicy, LogSubscription, TooSlowError

LAG = HubLimits(latest_lag_events=10, latest_keep_events=3, close_lag_events=10, stall_seconds=60)


def test_latest_skips_to_near_the_head_with_one_gap_mark() -> None:
    harness = HubHarness(LAG)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, None, lag_policy=LagPolicy.LATEST)
    harness.settle()
    for _ in range(30):
        harness.send()
        harness.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0), Gap(1, 27), *events(28, 30)]
    assert (reader.batches[1].first, reader.batches[1].last) == (1, 27)
    assert harness.hub.stats.gaps_sent == 1


def test_latest_skips_nothing_while_it_is_not_far_behind() -> None:
    harness = HubHarness(LAG)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, None, lag_policy=LagPolicy.LATEST)
    harness.send(10)
    harness.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [Live(0), *events(1, 10)]


def test_latest_begins_near_the_head_when_its_cursor_is_old() -> None:
    harness = HubHarness(LAG)
    harness.commit(100)
    assert harness.reader(5, lag_policy=LagPolicy.LATEST).items == [Gap(6, 97), *events(98, 100), Live(100)]


def test_catch_up_never_skips() -> None:
    harness = HubHarness(LAG)
    harness.commit(100)
    assert harness.reader(5).items == [*events(6, 100), Live(100)]


def test_close_ends_a_reader_that_fell_too_far_behind_and_names_its_cursor() -> None:
    harness = HubHarness(LAG)
    reader: RecordingSink[Item] = RecordingSink(credit=3)
    harness.subscribe(reader, None, lag_policy=LagPolicy.CLOSE)
    for _ in range(12):
        harness.send()
        harness.settle()
    assert reader.error is None
    harness.send()
    harness.settle()
    error = reader.error
    assert isinstance(error, TooSlowError)
    assert (error.room, error.epoch, error.seq) == (ROOM, "e1", 2)
    assert "after seq 2" in str(error)
    assert seqs(reader.items) == [1, 2]


def test_close_lets_a_reader_make_up_the_backlog_it_came_with() -> None:
    harness = HubHarness(LAG)
    harness.commit(100)
    reader: RecordingSink[Item] = RecordingSink(credit=1)
    subscription = harness.subscribe(reader, 0, lag_policy=LagPolicy.CLOSE)
    harness.settle()
    harness.send()
    harness.settle()
    assert reader.error is None
    reader.credit = UNBOUNDED
    subscription.wake()
    harness.settle()
    assert reader.items == [*events(1, 101), Live(101)]


def test_close_does_not_blame_a_reader_for_a_burst_that_it_takes() -> None:
    harness = HubHarness(LAG)
    reader = harness.reader(None, lag_policy=LagPolicy.CLOSE)
    harness.send(50)
    harness.settle()
    assert reader.items == [Live(0), *events(1, 50)]


def stalled(
    harness: HubHarness, lag_policy: LagPolicy = LagPolicy.CATCH_UP
) -> tuple[RecordingSink[Item], LogSubscription[Item]]:
    reader: RecordingSink[Item] = RecordingSink(credit=2)
    subscription = harness.subscribe(reader, None, lag_policy=lag_policy)
    harness.send(5)
    harness.settle()
    harness.hub.tick(0)
    return reader, subscription


@pytest.mark.parametrize("lag_policy", list(LagPolicy))
def test_a_reader_that_takes_nothing_for_long_is_ended_with_its_cursor_whatever_its_policy(
    lag_policy: LagPolicy,
) -> None:
    harness = HubHarness(LAG)
    reader, _ = stalled(harness, lag_policy)
    harness.hub.tick(59)
    assert reader.error is None
    harness.hub.tick(60)
    assert isinstance(reader.error, TooSlowError)
    assert reader.error.seq == 1
    assert harness.hub.stats.stalls_ended == 1
    assert harness.hub.stats.subscriptions == 0


def test_readers_are_told_in_the_words_that_the_hub_was_given() -> None:
    harness = HubHarness(LAG, translate_error=lambda error: ValueError(f"in other words: {error}"))
    reader, _ = stalled(harness)
    harness.hub.tick(60)
    assert isinstance(reader.error, ValueError)
    assert str(reader.error).startswith("in other words: ")


def test_progress_is_judged_and_not_size() -> None:
    harness = HubHarness(LAG)
    reader, subscription = stalled(harness)
    for now in range(50, 1000, 50):
        harness.send(10)
        reader.credit = 1
        subscription.wake()
        harness.settle()
        harness.hub.tick(now)
    assert reader.error is None
    harness.hub.tick(1050)
    assert isinstance(reader.error, TooSlowError)


def test_a_reader_at_the_head_may_be_silent_for_ever() -> None:
    harness = HubHarness(LAG)
    reader = harness.reader(None, credit=1)
    for now in range(0, 1000, 50):
        harness.hub.tick(now)
    assert reader.error is None
    harness.send()
    harness.settle()
    harness.hub.tick(1000)
    harness.hub.tick(1059)
    assert reader.error is None, "its time begins when there is something for it"
    harness.hub.tick(1060)
    assert isinstance(reader.error, TooSlowError)


def test_a_reader_does_not_answer_for_a_slow_log() -> None:
    harness = HubHarness(LAG)
    harness.commit(5)
    reader: RecordingSink[Item] = RecordingSink(credit=2)
    subscription = harness.subscribe(reader, 0)
    harness.settle()
    for now in range(2):
        harness.hub.tick(now)  # the rest of the page is let go
    reader.credit = 1
    subscription.wake()
    harness.loop.run()
    assert harness.reads
    for now in range(0, 1000, 50):
        harness.hub.tick(now)
    harness.settle()
    assert reader.error is None
    assert seqs(reader.items) == [1, 2, 3]


def test_readers_that_stall_together_are_ended_over_several_ticks() -> None:
    harness = HubHarness(LAG)
    readers = [RecordingSink[Item](credit=1) for _ in range(300)]
    for reader in readers:
        harness.subscribe(reader, None)
    harness.settle()
    harness.send()
    harness.settle()
    harness.hub.tick(0)
    harness.hub.tick(60)
    assert sum(reader.error is not None for reader in readers) == 256
    harness.hub.tick(61)
    assert all(reader.error is not None for reader in readers)


@pytest.mark.parametrize("ending", ["read on", "close", "time", "owner ends"])
def test_pages_kept_for_readers_of_one_owner_have_a_limit_together(ending: str) -> None:
    limits = HubLimits(page_events_min=10, held_bytes_max=1_000, owner_held_bytes_max=1_900)
    harness = HubHarness(limits, item_size=lambda _: 100)
    harness.commit(30)
    house = harness.hub._context
    readers: list[RecordingSink[Item]] = [RecordingSink(credit=1) for _ in range(3)]
    mine = [harness.subscribe(reader, 2 * index) for index, reader in enumerate(readers)]
    harness.settle()
    assert [subscription.page is not None for subscription in mine] == [True, False, False]
    other: RecordingSink[Item] = RecordingSink(credit=1)
    theirs = harness.subscribe(other, 7, owner="bob")
    harness.settle()
    assert theirs.page is not None, "it is another owner's limit"
    assert set(house.held_bytes) == {"ann", "bob"}
    if ending == "read on":
        for reader, subscription in zip(readers, mine, strict=True):
            reader.credit = UNBOUNDED
            subscription.wake()
        harness.settle()
        for index, reader in enumerate(readers):
            assert seqs(reader.items) == list(range(2 * index + 1, 31))
    elif ending == "close":
        for subscription in mine:
            subscription.close()
    elif ending == "time":
        for now in range(3):
            harness.hub.tick(now)
        assert [each.page for each in mine] == [None] * 3
    else:
        harness.hub.unsubscribe(ROOM, "ann", ValueError("no longer"))
    assert "ann" not in house.held_bytes
