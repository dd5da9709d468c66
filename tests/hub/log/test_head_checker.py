"""Heads of active rooms are compared with the log: a lost notice costs delay and no event."""

from collections import Counter
from math import ceil

import pytest

from hub.harness import ROOM, Event, HubHarness, Item, RecordingSink
from tidings.hub import CursorLostError, HubLimits

SECONDS = 10.0


def new_harness(**limits: float) -> HubHarness:
    return HubHarness(HubLimits(head_check_seconds=SECONDS, **limits), checks_heads=True)  # type: ignore[arg-type]


def tick_until_read(harness: HubHarness, now: float) -> float:
    """Ticks of a second until heads are asked for; the time then."""
    while not harness.heads_reads:
        now += 1.0
        harness.hub.tick(now)
    return now


def test_a_live_reader_gets_an_event_whose_notice_was_lost() -> None:
    harness = new_harness()
    reader = harness.reader()
    reader.batches.clear()
    ((seq, _),) = harness.commit()
    now = tick_until_read(harness, 0.0)
    harness.answer_heads()
    harness.settle()
    assert not reader.items, "the notice may still be on its way"
    harness.hub.tick(now + 1.0)
    harness.settle()
    assert reader.items == [Event(seq)]
    assert harness.hub.stats.heads_corrected == 1


def test_a_notice_that_comes_between_the_read_and_the_next_tick_is_no_lost_one() -> None:
    harness = new_harness()
    reader = harness.reader()
    events = harness.commit()
    now = tick_until_read(harness, 0.0)
    harness.answer_heads()
    harness.hub.notify(ROOM, harness.epoch, events)
    harness.hub.tick(now + 1.0)
    harness.settle()
    assert reader.items[-1] == Event(events[0][0])
    assert harness.hub.stats.heads_corrected == harness.hub.stats.reads == 0


def test_every_room_is_compared_once_in_a_round_and_never_many_at_once() -> None:
    harness = new_harness()
    rooms = [f"room{number}" for number in range(95)]
    for room in rooms:
        harness.commit(room=room)
        harness.reader(room=room)
    checked: Counter[str] = Counter()
    for second in range(1, 41):
        harness.hub.tick(float(second))
        if harness.heads_reads:
            due = harness.answer_heads()
            assert len(due) <= ceil(len(rooms) / SECONDS)
            checked.update(due)
    assert set(checked) == set(rooms)
    assert set(checked.values()) <= {3, 4}


def test_there_is_one_read_at_a_time_of_a_bounded_number_of_rooms() -> None:
    harness = new_harness(head_check_rooms_max=3)
    for number in range(50):
        harness.reader(room=f"room{number}")
    now = tick_until_read(harness, 0.0)
    for second in range(1, 30):
        harness.hub.tick(now + second)
    assert [len(rooms) for rooms, _ in harness.heads_reads] == [3]


def test_a_comparison_that_fails_is_made_again_in_the_next_round() -> None:
    harness = new_harness()
    reader = harness.reader()
    harness.commit()
    now = tick_until_read(harness, 0.0)
    harness.heads_reads.pop()[1](OSError("the disk is away"))
    now = tick_until_read(harness, now)
    harness.answer_heads()
    harness.hub.tick(now + 1.0)
    harness.settle()
    assert reader.items[-1] == Event(1)


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "replaced"])
def test_readers_of_a_log_that_was_removed_or_replaced_lose_their_cursors(is_removed: bool) -> None:
    harness = new_harness()
    harness.commit()
    reader = harness.reader()
    if is_removed:
        del harness.heads[ROOM]
    else:
        harness.epoch = "e2"
    now = tick_until_read(harness, 0.0)
    harness.answer_heads()
    harness.hub.tick(now + 1.0)
    harness.settle()
    assert isinstance(reader.error, CursorLostError)


def test_heads_are_not_compared_when_the_time_is_0() -> None:
    harness = HubHarness(HubLimits(head_check_seconds=0), checks_heads=True)
    harness.reader()
    for second in range(1, 40):
        harness.hub.tick(float(second))
    assert not harness.heads_reads


# events that were rewritten, without their new bytes


def rewrite(harness: HubHarness, seq: int) -> None:
    """In the log alone."""
    harness.log[ROOM][seq] = Event(seq, "deleted")


def test_a_rewritten_event_without_bytes_is_read_from_the_log_and_no_more_from_the_tail() -> None:
    harness = HubHarness()
    harness.reader()
    harness.send(5, text="secret")
    harness.settle()
    rewrite(harness, 3)
    harness.hub.discard_events(ROOM, [3])
    reader = harness.reader(0)
    assert [item for item in reader.items if isinstance(item, Event)] == [
        Event(seq, "deleted" if seq == 3 else "secret") for seq in range(1, 6)
    ]


def test_events_that_the_tail_does_not_hold_leave_it_as_it_is() -> None:
    harness = HubHarness(HubLimits(tail_events_max=4))
    harness.reader()
    for _ in range(20):
        harness.send()
    harness.settle()
    harness.hub.discard_events(ROOM, [1, 2])
    reads = harness.hub.stats.reads
    harness.reader(19)
    assert harness.hub.stats.reads == reads


@pytest.mark.parametrize("is_hole", [True, False], ids=["a hole", "a notice"])
def test_a_page_on_its_way_that_may_hold_an_old_event_is_read_again(is_hole: bool) -> None:
    harness = HubHarness()
    harness.commit(3, text="secret")
    harness.reader(3)
    late: RecordingSink[Item] = RecordingSink()
    harness.subscribe(late, 0)
    harness.loop.run()
    (read,) = harness.reads
    rewrite(harness, 2)
    harness.commit(2)
    if is_hole:
        harness.hub.advance_head(ROOM, harness.epoch, 5)
    else:
        harness.hub.discard_events(ROOM, [2])
        harness.hub.advance_head(ROOM, harness.epoch, 5, 4)
    harness.settle()
    assert read not in harness.reads
    texts = {item.seq: item.text for item in late.items if isinstance(item, Event)}
    assert texts == {1: "secret", 2: "deleted", 3: "secret", 4: "", 5: ""}


def test_a_page_that_waits_for_demand_gives_out_no_old_event() -> None:
    harness = HubHarness()
    harness.commit(40, text="secret")
    reader = harness.reader(0, credit=1)
    rewrite(harness, 2)
    harness.hub.discard_events(ROOM, [2])
    reader.credit = 1_000
    for shard in harness.hub._fanouts[ROOM].shards:
        for subscription in shard.subscriptions:
            subscription.wake()
    harness.settle()
    assert [item.text for item in reader.items if isinstance(item, Event)][:3] == ["secret", "deleted", "secret"]
    assert len([item for item in reader.items if isinstance(item, Event)]) == 40


def test_notices_without_bytes_that_follow_one_another_let_pages_be() -> None:
    harness = HubHarness()
    harness.commit(3)
    harness.reader(3)
    late: RecordingSink[Item] = RecordingSink()
    harness.subscribe(late, 0)
    harness.loop.run()
    harness.commit(1)
    harness.hub.advance_head(ROOM, harness.epoch, 4, 4)
    harness.settle()
    assert [item.seq for item in late.items if isinstance(item, Event)] == [1, 2, 3, 4]
    assert harness.hub.stats.reads == 3  # the page, and the new event at two moments
