"""One reader: its demand, its lag, its pages, its end."""

from __future__ import annotations

import pytest

from hub.stage import ROOM, UNBOUNDED, Event, Gap, Item, Live, Reader, Stage, events, seqs
from tidings.hub import PAUSED, Batch, HubLimits, Lag, Subscription, TooSlow
from tidings.hub.subscription import ENDED, TRANSITIONS, State, Step

# demand


def test_nothing_is_sent_without_demand_and_everything_comes_with_it() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader(credit=0)
    subscription = stage.watch(reader, 0)
    stage.send(3)
    stage.settle()
    assert reader.items == []
    for _ in range(4):
        reader.credit = 1
        subscription.wake()
        stage.settle()
        assert reader.credit == 0
    assert reader.items == [*events(1, 3), Live(3)]


def test_the_live_mark_waits_for_demand_too() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader(credit=0)
    subscription = stage.watch(reader, None)
    stage.settle()
    stage.send()
    stage.settle()
    assert reader.items == []
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0), Event(1)]


def test_a_reader_with_less_demand_than_its_neighbours_gets_less_and_holds_nobody_up() -> None:
    stage = Stage()
    slow: Reader[Item] = Reader(credit=3)
    subscription = stage.watch(slow, None)
    fast = stage.reader(None)
    stage.send(5)
    stage.settle()
    assert seqs(slow.items) == [1, 2]
    assert seqs(fast.items) == [1, 2, 3, 4, 5]
    slow.credit = 2
    subscription.wake()
    stage.settle()
    assert seqs(slow.items) == [1, 2, 3, 4]


def test_a_batch_is_limited_in_events_and_the_rest_follows_in_the_next_round() -> None:
    stage = Stage(HubLimits(batch_events_max=4))
    reader = stage.reader(None)
    stage.send(10)
    stage.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 4, 4, 2]
    assert seqs(reader.items) == list(range(1, 11))


def test_a_batch_is_limited_in_bytes_but_one_event_always_goes() -> None:
    stage = Stage(HubLimits(batch_bytes_max=250, tail_bytes_max=10_000), weigh=lambda _: 100)
    reader = stage.reader(None)
    stage.send(5)
    stage.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 2, 2, 1]
    heavy = Stage(HubLimits(batch_bytes_max=250), weigh=lambda _: 1000)
    reader = heavy.reader(None)
    heavy.send(2)
    heavy.settle()
    assert [len(batch.items) for batch in reader.batches] == [1, 1, 1]


def test_wake_costs_no_turn_when_there_is_nothing_to_send() -> None:
    stage = Stage()
    subscription = stage.watch(Reader[Item](), None)
    stage.settle()
    subscription.wake()
    assert not stage.loop.callbacks


def test_many_wakes_are_one_turn() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader(credit=0)
    subscription = stage.watch(reader, None)
    stage.settle()
    for _ in range(10):
        subscription.wake()
    assert len(stage.loop.callbacks) == 1


# what a sink may do from inside


def test_a_sink_may_close_from_inside_deliver() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=4))
    readers = [Reader[Item]() for _ in range(4)]
    subscriptions = [stage.watch(reader, None) for reader in readers]
    stage.settle()

    def close_all_but_the_last(_: Batch[Item]) -> None:
        for subscription in subscriptions[:3]:
            subscription.close()

    readers[1].on_deliver = close_all_but_the_last
    stage.send()
    stage.send()
    stage.settle()
    assert [len(seqs(reader.items)) for reader in readers] == [2, 2, 0, 2]
    assert stage.hub.stats.subscriptions == 1


def test_a_sink_may_wake_from_inside_deliver() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0)
    stage.send(3)

    def one_more(_: Batch[Item]) -> None:
        reader.credit = 1
        subscription.wake()

    reader.on_deliver = one_more
    stage.settle()
    assert reader.items == [*events(1, 3), Live(3)]
    assert {len(batch.items) for batch in reader.batches} == {1}


def test_a_sink_may_close_and_wake_from_inside_fail() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, None)

    def both() -> None:
        subscription.close()
        subscription.wake()

    reader.on_fail = both
    stage.hub.end(ROOM, "ann", PermissionError())
    stage.settle()
    assert len(reader.errors) == 1
    assert stage.hub.stats.subscriptions == 0


def test_a_sink_may_close_the_live_mark_s_watch_before_the_events_behind_it() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, 0)
    reader.on_deliver = lambda _: subscription.close()
    stage.settle()
    assert reader.items == events(1, 3)


@pytest.mark.parametrize("alone", [True, False], ids=["in a turn of its own", "in its shard"])
def test_a_sink_that_raises_is_closed_and_its_neighbours_do_not_notice(alone: bool) -> None:
    stage = Stage()
    broken, *others = readers = [Reader[Item]() for _ in range(3)]
    subscriptions = [stage.watch(reader, None) for reader in readers]
    stage.settle()

    def explode(_: Batch[Item]) -> None:
        raise RuntimeError("a bug in a transport")

    broken.on_deliver = explode
    if alone:
        broken.credit = 0
    stage.send()
    if alone:
        stage.settle()
        broken.credit = UNBOUNDED
        subscriptions[0].wake()
    with pytest.raises(RuntimeError, match="a bug in a transport"):
        stage.settle()
    stage.send()
    stage.settle()
    assert [seqs(reader.items) for reader in others] == [[1, 2], [1, 2]]
    assert stage.hub.stats.subscriptions == 2


# the end


def test_after_close_nothing_is_delivered_and_the_sink_is_let_go() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, None)
    stage.settle()
    stage.send()
    subscription.close()
    subscription.close()
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0)]
    assert subscription.sink is not reader
    assert stage.hub.stats.subscriptions == 0


def test_a_page_that_comes_after_close_is_dropped() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, 0)
    stage.loop.run()
    stage.answer_head()
    stage.loop.run()
    assert len(stage.reads) == 1
    subscription.close()
    stage.settle()
    assert reader.items == []
    assert stage.hub.stats.reads_in_flight == 0


def test_close_before_the_head_is_known_is_the_end_too() -> None:
    stage = Stage()
    reader: Reader[Item] = Reader()
    stage.watch(reader, 0).close()
    stage.commit(1)
    stage.settle()
    assert reader.items == []
    assert not stage.reads


def test_a_failed_read_fails_those_who_waited_for_it_and_nobody_else() -> None:
    stage = Stage()
    stage.commit(4)
    others = [stage.reader(None)]
    waiting = [Reader[Item]() for _ in range(3)]
    for reader in waiting:
        stage.watch(reader, 0)
    another: Reader[Item] = Reader()
    stage.watch(another, 2)
    stage.loop.run()
    broken = next(read for read in stage.reads if read.after == 0)
    stage.reads.remove(broken)
    down = OSError("the store is down")
    broken.done(down)
    stage.settle()
    assert [reader.error for reader in waiting] == [down] * 3
    assert another.items == [*events(3, 4), Live(4)]
    assert others[0].error is None
    assert stage.reader(0).items == [*events(1, 4), Live(4)], "the next one reads again"


@pytest.mark.parametrize("state", list(State))
def test_every_state_but_the_last_can_be_stopped(state: State) -> None:
    assert TRANSITIONS.get((state, Step.STOPPED)) is (None if state is ENDED else ENDED)


def test_a_live_mark_cannot_be_sent_twice_by_construction() -> None:
    assert {state for state, step in TRANSITIONS if step is Step.LIVE_SENT} == {State.STARTING, State.REPLAYING}
    assert not [state for (state, _), after in TRANSITIONS.items() if after in (State.STARTING,)]


# pages


def test_there_is_one_read_at_a_time_and_only_while_there_is_demand() -> None:
    stage = Stage(HubLimits(page_events_min=2, page_events_max=4, held_bytes_max=0))
    stage.commit(20)
    reader: Reader[Item] = Reader(credit=0)
    subscription = stage.watch(reader, 0)
    stage.settle()
    assert stage.hub.stats.reads == 0
    reader.credit = 6
    for _ in range(3):
        subscription.wake()
        stage.loop.run()
        assert len(stage.reads) == 1
    stage.settle()
    assert seqs(reader.items) == [1, 2, 3, 4, 5, 6]
    assert stage.hub.stats.reads == 2, "as much as there was demand for"


def test_a_page_is_as_large_as_the_demand_within_limits() -> None:
    stage = Stage(HubLimits(page_events_min=4, page_events_max=10))
    stage.commit(100)
    for credit, limit in [(1, 4), (7, 7), (UNBOUNDED, 10)]:
        subscription = stage.watch(Reader[Item](credit), 0)
        stage.loop.run()
        if stage.head_reads:
            stage.answer_head()
            stage.loop.run()
        assert stage.reads[-1].limit == limit
        subscription.close()
        stage.settle()


def test_the_small_rest_of_a_page_is_kept_for_a_reader_that_asks_for_little_at_a_time() -> None:
    stage = Stage(HubLimits(page_events_min=10, held_bytes_max=1000), weigh=lambda _: 100)
    stage.commit(10)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0)
    stage.settle()
    for _ in range(10):
        reader.credit = 1
        subscription.wake()
        stage.settle()
    assert reader.items == [*events(1, 10), Live(10)]
    assert stage.hub.stats.reads == 1


def test_the_large_rest_of_a_page_is_read_again() -> None:
    stage = Stage(HubLimits(page_events_min=10, held_bytes_max=999), weigh=lambda _: 100)
    stage.commit(10)
    reader: Reader[Item] = Reader(credit=4)
    subscription = stage.watch(reader, 0)
    stage.settle()
    reader.credit = 4
    subscription.wake()
    stage.settle()
    assert seqs(reader.items) == list(range(1, 9))
    assert stage.hub.stats.reads == 2


def test_a_page_that_finds_no_demand_is_dropped_when_it_is_large() -> None:
    stage = Stage(HubLimits(held_bytes_max=150), weigh=lambda _: 100)
    stage.commit(3)
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, 0)
    stage.loop.run()
    stage.answer_head()
    stage.loop.run()
    reader.credit = 0
    stage.settle()
    assert subscription.page is None
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [*events(1, 3), Live(3)]
    assert stage.hub.stats.reads == 2


def test_a_reader_that_stands_still_between_two_ticks_holds_no_page() -> None:
    stage = Stage()
    stage.commit(3)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0)
    stage.settle()
    assert subscription.page is not None
    for now in range(2):
        stage.hub.tick(now)
    assert subscription.page is None


def test_a_page_is_limited_in_bytes_but_one_event_always_comes() -> None:
    stage = Stage(HubLimits(page_bytes_max=250), weigh=lambda item: len(getattr(item, "text", "")))
    stage.commit(3, text="x" * 100)
    stage.commit(2, text="x" * 1000)
    reader = stage.reader(0)
    assert seqs(reader.items) == [1, 2, 3, 4, 5]
    assert stage.hub.stats.reads == 4


def test_a_reader_that_comes_after_another_uses_the_page_that_the_other_still_holds() -> None:
    stage = Stage()
    stage.commit(5)
    stage.reader(0, credit=0)
    held = stage.reader(0, credit=2)
    late = stage.reader(0)
    assert seqs(held.items) == [1, 2]
    assert late.items == [*events(1, 5), Live(5)]
    assert stage.hub.stats.reads == 1
    assert stage.hub.stats.reads_shared == 1


def test_reads_in_flight_are_limited_and_the_others_wait_in_line() -> None:
    stage = Stage(HubLimits(reads_max=3))
    stage.commit(20)
    readers = [Reader[Item]() for _ in range(10)]
    subscriptions = [stage.watch(reader, after) for after, reader in enumerate(readers)]
    stage.loop.run()
    stage.answer_head()
    stage.loop.run()
    assert [read.after for read in stage.reads] == [0, 1, 2]
    subscriptions[4].close()
    stage.answer_read()
    assert [read.after for read in stage.reads] == [1, 2, 3]
    stage.answer_read()
    assert [read.after for read in stage.reads] == [2, 3, 5], "nobody waits for the fifth any more"
    stage.settle()
    for after, reader in enumerate(readers):
        assert reader.items == ([] if after == 4 else [*events(after + 1, 20), Live(20)])


def test_a_slow_reader_goes_on_from_the_log_when_the_tail_has_moved_on() -> None:
    stage = Stage(HubLimits(tail_events_max=8))
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, None)
    stage.settle()
    for _ in range(50):
        stage.send()
        stage.settle()
    assert stage.hub.stats.reads == 0
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0), *events(1, 50)]


def test_a_paused_reader_keeps_its_page_is_not_too_slow_and_gets_everything_once() -> None:
    stage = Stage(HubLimits(held_bytes_max=0, close_lag_events=2, tail_events_max=2, batch_events_max=3))
    reader: Reader[Item] = Reader()
    subscription = stage.watch(reader, 0, lag=Lag.CLOSE)
    stage.settle()
    reader.credit = PAUSED
    stage.send(10)
    stage.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.loop.run()
    reader.credit = PAUSED
    while stage.reads:
        stage.answer_read()
    stage.settle()
    reads = stage.hub.stats.reads
    for _ in range(3):
        subscription.wake()
        stage.settle()
    assert stage.hub.stats.reads == reads, "what was read is kept for its turn"
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0), *events(1, 10)]
    assert reader.error is None


def test_a_reader_of_much_history_has_a_round_of_the_loop_to_itself() -> None:
    stage = Stage(HubLimits(shard_subscriptions_max=5))
    stage.commit(600)
    readers = [Reader[Item]() for _ in range(5)]
    for after, reader in enumerate(readers):
        stage.watch(reader, after)
    stage.loop.run()
    stage.answer_head()
    stage.loop.run()
    while stage.reads:
        stage.answer_read()
    begun: list[int] = []
    while len(begun) < 5:
        stage.loop.turn()
        begun.append(sum(bool(reader.items) for reader in readers))
    assert begun == [1, 2, 3, 4, 5]
    stage.settle()
    assert all(reader.items[-1] == Live(600) for reader in readers)


# retention


def test_events_removed_from_the_log_are_declared_by_a_gap_mark() -> None:
    stage = Stage()
    stage.commit(10)
    stage.remove_up_to(6)
    assert stage.reader(0).items == [Gap(1, 6), *events(7, 10), Live(10)]
    assert stage.reader(6).items == [*events(7, 10), Live(10)]
    assert stage.hub.stats.gaps_sent == 1


def test_a_log_that_was_emptied_is_one_gap() -> None:
    stage = Stage()
    stage.commit(10)
    stage.remove_up_to(10)
    assert stage.reader(3).items == [Gap(4, 10), Live(10)]


def test_a_hole_in_the_middle_of_the_log_is_declared_where_it_is() -> None:
    stage = Stage()
    stage.commit(10)
    for seq in (4, 5, 8):
        del stage.log[ROOM][seq]
    reader = stage.reader(0)
    assert reader.items == [*events(1, 3), Gap(4, 5), *events(6, 7), Gap(8, 8), *events(9, 10), Live(10)]


def test_a_gap_mark_waits_for_demand() -> None:
    stage = Stage()
    stage.commit(4)
    stage.remove_up_to(2)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0)
    stage.settle()
    assert reader.items == [Gap(1, 2)]
    reader.credit = 1
    subscription.wake()
    stage.settle()
    assert reader.items == [Gap(1, 2), Event(3)]


# lag


LAG = HubLimits(latest_lag_events=10, latest_keep_events=3, close_lag_events=10, stall_seconds=60)


def test_latest_skips_to_near_the_head_with_one_gap_mark() -> None:
    stage = Stage(LAG)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, None, lag=Lag.LATEST)
    stage.settle()
    for _ in range(30):
        stage.send()
        stage.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0), Gap(1, 27), *events(28, 30)]
    assert (reader.batches[1].first, reader.batches[1].last) == (1, 27)
    assert stage.hub.stats.gaps_sent == 1


def test_latest_skips_nothing_while_it_is_not_far_behind() -> None:
    stage = Stage(LAG)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, None, lag=Lag.LATEST)
    stage.send(10)
    stage.settle()
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [Live(0), *events(1, 10)]


def test_latest_begins_near_the_head_when_its_cursor_is_old() -> None:
    stage = Stage(LAG)
    stage.commit(100)
    assert stage.reader(5, lag=Lag.LATEST).items == [Gap(6, 97), *events(98, 100), Live(100)]


def test_catch_up_never_skips() -> None:
    stage = Stage(LAG)
    stage.commit(100)
    assert stage.reader(5).items == [*events(6, 100), Live(100)]


def test_close_ends_a_reader_that_fell_too_far_behind_and_names_its_cursor() -> None:
    stage = Stage(LAG)
    reader: Reader[Item] = Reader(credit=3)
    stage.watch(reader, None, lag=Lag.CLOSE)
    for _ in range(12):
        stage.send()
        stage.settle()
    assert reader.error is None
    stage.send()
    stage.settle()
    error = reader.error
    assert isinstance(error, TooSlow)
    assert (error.room, error.epoch, error.seq) == (ROOM, "e1", 2)
    assert "after seq 2" in str(error)
    assert seqs(reader.items) == [1, 2]


def test_close_lets_a_reader_make_up_the_backlog_it_came_with() -> None:
    stage = Stage(LAG)
    stage.commit(100)
    reader: Reader[Item] = Reader(credit=1)
    subscription = stage.watch(reader, 0, lag=Lag.CLOSE)
    stage.settle()
    stage.send()
    stage.settle()
    assert reader.error is None
    reader.credit = UNBOUNDED
    subscription.wake()
    stage.settle()
    assert reader.items == [*events(1, 101), Live(101)]


def test_close_does_not_blame_a_reader_for_a_burst_that_it_takes() -> None:
    stage = Stage(LAG)
    reader = stage.reader(None, lag=Lag.CLOSE)
    stage.send(50)
    stage.settle()
    assert reader.items == [Live(0), *events(1, 50)]


def stalled(stage: Stage, lag: Lag = Lag.CATCH_UP) -> tuple[Reader[Item], Subscription[Item]]:
    reader: Reader[Item] = Reader(credit=2)
    subscription = stage.watch(reader, None, lag=lag)
    stage.send(5)
    stage.settle()
    stage.hub.tick(0)
    return reader, subscription


@pytest.mark.parametrize("lag", list(Lag))
def test_a_reader_that_takes_nothing_for_long_is_ended_with_its_cursor_whatever_its_policy(lag: Lag) -> None:
    stage = Stage(LAG)
    reader, _ = stalled(stage, lag)
    stage.hub.tick(59)
    assert reader.error is None
    stage.hub.tick(60)
    assert isinstance(reader.error, TooSlow)
    assert reader.error.seq == 1
    assert stage.hub.stats.stalls_ended == 1
    assert stage.hub.stats.subscriptions == 0


def test_readers_are_told_in_the_words_that_the_hub_was_given() -> None:
    stage = Stage(LAG, worded=lambda error: ValueError(f"in other words: {error}"))
    reader, _ = stalled(stage)
    stage.hub.tick(60)
    assert isinstance(reader.error, ValueError)
    assert str(reader.error).startswith("in other words: ")


def test_progress_is_judged_and_not_size() -> None:
    stage = Stage(LAG)
    reader, subscription = stalled(stage)
    for now in range(50, 1000, 50):
        stage.send(10)
        reader.credit = 1
        subscription.wake()
        stage.settle()
        stage.hub.tick(now)
    assert reader.error is None
    stage.hub.tick(1050)
    assert isinstance(reader.error, TooSlow)


def test_a_reader_at_the_head_may_be_silent_for_ever() -> None:
    stage = Stage(LAG)
    reader = stage.reader(None, credit=1)
    for now in range(0, 1000, 50):
        stage.hub.tick(now)
    assert reader.error is None
    stage.send()
    stage.settle()
    stage.hub.tick(1000)
    stage.hub.tick(1059)
    assert reader.error is None, "its time begins when there is something for it"
    stage.hub.tick(1060)
    assert isinstance(reader.error, TooSlow)


def test_a_reader_does_not_answer_for_a_slow_log() -> None:
    stage = Stage(LAG)
    stage.commit(5)
    reader: Reader[Item] = Reader(credit=2)
    subscription = stage.watch(reader, 0)
    stage.settle()
    for now in range(2):
        stage.hub.tick(now)  # the rest of the page is let go
    reader.credit = 1
    subscription.wake()
    stage.loop.run()
    assert stage.reads
    for now in range(0, 1000, 50):
        stage.hub.tick(now)
    stage.settle()
    assert reader.error is None
    assert seqs(reader.items) == [1, 2, 3]


def test_readers_that_stall_together_are_ended_over_several_ticks() -> None:
    stage = Stage(LAG)
    readers = [Reader[Item](credit=1) for _ in range(300)]
    for reader in readers:
        stage.watch(reader, None)
    stage.settle()
    stage.send()
    stage.settle()
    stage.hub.tick(0)
    stage.hub.tick(60)
    assert sum(reader.error is not None for reader in readers) == 256
    stage.hub.tick(61)
    assert all(reader.error is not None for reader in readers)


@pytest.mark.parametrize("ending", ["read on", "close", "time", "owner ends"])
def test_pages_kept_for_readers_of_one_owner_have_a_limit_together(ending: str) -> None:
    limits = HubLimits(page_events_min=10, held_bytes_max=1_000, owner_held_bytes_max=1_900)
    stage = Stage(limits, weigh=lambda _: 100)
    stage.commit(30)
    house = stage.hub._house
    readers: list[Reader[Item]] = [Reader(credit=1) for _ in range(3)]
    mine = [stage.watch(reader, 2 * place) for place, reader in enumerate(readers)]
    stage.settle()
    assert [subscription.page is not None for subscription in mine] == [True, False, False]
    other: Reader[Item] = Reader(credit=1)
    theirs = stage.watch(other, 7, owner="bob")
    stage.settle()
    assert theirs.page is not None, "it is another owner's limit"
    assert set(house.held_bytes) == {"ann", "bob"}
    if ending == "read on":
        for reader, subscription in zip(readers, mine, strict=True):
            reader.credit = UNBOUNDED
            subscription.wake()
        stage.settle()
        for place, reader in enumerate(readers):
            assert seqs(reader.items) == list(range(2 * place + 1, 31))
    elif ending == "close":
        for subscription in mine:
            subscription.close()
    elif ending == "time":
        for now in range(3):
            stage.hub.tick(now)
        assert [each.page for each in mine] == [None] * 3
    else:
        stage.hub.end(ROOM, "ann", ValueError("no longer"))
    assert "ann" not in house.held_bytes
