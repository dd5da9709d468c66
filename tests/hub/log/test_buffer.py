"""Events in memory: cut by count and weight, trimmed, rewritten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.harness import Event
from tidings.hub.log.buffer import CACHED_BATCHES_MAX, EventBuffer
from tidings.hub.stats import HubCounters

FAR = 1_000_000


def buffer_of(*texts: str, first: int = 1) -> EventBuffer[Event]:
    buffer: EventBuffer[Event] = EventBuffer(first, lambda item: len(item.text), HubCounters())
    for offset, text in enumerate(texts):
        buffer.append(Event(first + offset, text))
    return buffer


def test_the_same_question_gets_the_same_batch() -> None:
    buffer = buffer_of("a", "b", "c")
    assert buffer.batch(1, 2, FAR) is buffer.batch(1, 2, FAR)
    assert buffer.batch(1, 2, FAR) is buffer.batch(1, 99, FAR), "as many as there are"
    assert buffer.batch(1, 1, FAR) is not buffer.batch(1, 2, FAR)


def test_only_a_few_batches_are_remembered() -> None:
    buffer = buffer_of(*"abcdefghijklmnop")
    old = buffer.batch(0, 1, FAR)
    for after in range(1, CACHED_BATCHES_MAX + 1):
        buffer.batch(after, 1, FAR)
    assert buffer.batch(0, 1, FAR) is not old


def test_a_batch_that_is_not_here_is_none() -> None:
    buffer = buffer_of("a", "b", first=5)
    assert buffer.batch(3, 9, FAR) is None, "before the first"
    assert buffer.batch(6, 9, FAR) is None, "after the last"
    assert buffer_of(first=5).batch(4, 9, FAR) is None


def test_a_heavy_event_goes_alone_and_a_light_one_with_what_fits() -> None:
    buffer = buffer_of("x" * 50, "x" * 3, "x" * 3, "x" * 50)
    batches = []
    after = 0
    while batch := buffer.batch(after, 99, 10):
        batches.append((batch.first, batch.last))
        after = batch.last
    assert batches == [(1, 1), (2, 3), (4, 4)]


def test_a_rewritten_event_changes_weight_and_text_and_the_batches_that_hold_it() -> None:
    buffer = buffer_of("aaaa", "bbbb", "cccc")
    before, untouched = buffer.batch(0, 2, FAR), buffer.batch(2, 1, FAR)
    buffer.replace_event(2, Event(2, ""))
    assert buffer.bytes == 8
    after = buffer.batch(0, 2, FAR)
    assert after is not before
    assert after is not None
    assert after.items == (Event(1, "aaaa"), Event(2, ""))
    assert buffer.batch(2, 1, FAR) is untouched
    buffer.replace_event(0, Event(0))
    buffer.replace_event(4, Event(4))
    assert buffer.bytes == 8


@given(
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=60),
    events_max=st.integers(1, 20),
    bytes_max=st.integers(1, 100),
)
def test_a_trimmed_buffer_is_within_its_limits_and_still_consecutive(
    weights: list[int], events_max: int, bytes_max: int
) -> None:
    buffer = buffer_of()
    for seq, weight in enumerate(weights, start=1):
        buffer.append(Event(seq, "x" * weight))
        buffer.trim(events_max, bytes_max)
        assert buffer.last == seq
        kept = buffer.batch(buffer.first - 1, FAR, FAR)
        assert kept is not None
        assert [item.seq for item in kept.items] == list(range(buffer.first, seq + 1))
        assert buffer.bytes == sum(weights[buffer.first - 1 : seq])
        assert len(kept.items) <= events_max
        assert buffer.bytes <= bytes_max or len(kept.items) == 1


@given(weights=st.lists(st.integers(0, 20), min_size=1, max_size=30), bytes_max=st.integers(0, 100))
def test_a_cut_keeps_the_oldest_that_fit(weights: list[int], bytes_max: int) -> None:
    buffer = buffer_of(*("x" * weight for weight in weights))
    buffer.truncate(bytes_max)
    kept = buffer.last
    assert kept >= 1
    assert kept == 1 or sum(weights[:kept]) <= bytes_max
    assert kept == len(weights) or sum(weights[: kept + 1]) > bytes_max


@pytest.mark.parametrize("seq", [1, 2, 3])
def test_a_replaced_event_is_in_no_cached_batch_wherever_it_was_in_it(seq: int) -> None:
    buffer = buffer_of("a", "b", "c")
    before = buffer.batch(0, FAR, FAR)
    buffer.replace_event(seq, Event(seq, "new"))
    after = buffer.batch(0, FAR, FAR)
    assert after is not None
    assert after is not before
    assert after.items[seq - 1] == Event(seq, "new")
