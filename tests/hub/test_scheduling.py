"""A little in each round of the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.stage import FakeLoop
from tidings.hub.scheduling import FlushScheduler


class FakeFlushable:
    def __init__(self, cost: int = 1, on_flush: Callable[[], None] = lambda: None) -> None:
        self.is_scheduled = False
        self.cost = cost
        self.flushed = 0
        self.on_flush = on_flush

    def flush(self) -> int:
        self.flushed += 1
        self.on_flush()
        return self.cost


def test_a_part_that_is_marked_twice_is_flushed_once() -> None:
    loop = FakeLoop()
    scheduler, target = FlushScheduler(loop.call_soon, 10), FakeFlushable()
    scheduler.schedule(target)
    scheduler.schedule(target)
    assert target.flushed == 0, "marking delivers nothing"
    assert len(loop.callbacks) == 1
    loop.run()
    assert target.flushed == 1


def test_a_round_stops_after_its_share_of_visits() -> None:
    loop = FakeLoop()
    scheduler, targets = FlushScheduler(loop.call_soon, 10), [FakeFlushable(cost=4) for _ in range(7)]
    for target in targets:
        scheduler.schedule(target)
    rounds = []
    while loop.callbacks:
        loop.run_round()
        rounds.append(sum(target.flushed for target in targets))
    assert rounds == [3, 6, 7]


def test_a_part_that_marks_itself_waits_for_the_next_round() -> None:
    loop = FakeLoop()
    scheduler = FlushScheduler(loop.call_soon, 1000)
    greedy = FakeFlushable(on_flush=lambda: scheduler.schedule(greedy))
    other = FakeFlushable()
    scheduler.schedule(greedy)
    scheduler.schedule(other)
    loop.run_round()
    assert (greedy.flushed, other.flushed) == (1, 1)
    loop.run_round()
    assert greedy.flushed == 2


def test_a_part_that_raises_does_not_take_the_turn_from_the_others() -> None:
    loop = FakeLoop()
    scheduler = FlushScheduler(loop.call_soon, 10)

    def explode() -> None:
        raise RuntimeError("a bug")

    broken, other = FakeFlushable(on_flush=explode), FakeFlushable()
    scheduler.schedule(broken)
    scheduler.schedule(other)
    with pytest.raises(RuntimeError):
        loop.run_round()
    loop.run()
    assert other.flushed == 1
    scheduler.schedule(broken)
    assert loop.callbacks, "it may be marked again"
