"""A bounded part of the work in each round of the event loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.harness import FakeLoop
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


def test_a_target_that_is_scheduled_twice_is_flushed_once() -> None:
    loop = FakeLoop()
    scheduler, target = FlushScheduler(loop.call_soon, 10), FakeFlushable()
    scheduler.schedule(target)
    scheduler.schedule(target)
    assert target.flushed == 0, "scheduling delivers nothing"
    assert len(loop.callbacks) == 1
    loop.run()
    assert target.flushed == 1


def test_a_round_stops_at_its_cost_limit() -> None:
    loop = FakeLoop()
    scheduler, targets = FlushScheduler(loop.call_soon, 10), [FakeFlushable(cost=4) for _ in range(7)]
    for target in targets:
        scheduler.schedule(target)
    rounds = []
    while loop.callbacks:
        loop.run_round()
        rounds.append(sum(target.flushed for target in targets))
    assert rounds == [3, 6, 7]


@pytest.mark.parametrize(("round_cost_max", "flushed"), [(1, 1), (3, 3), (4, 4), (5, 5)])
def test_a_round_flushes_exactly_up_to_its_cost_limit(round_cost_max: int, flushed: int) -> None:
    loop = FakeLoop()
    scheduler, targets = FlushScheduler(loop.call_soon, round_cost_max), [FakeFlushable() for _ in range(5)]
    for target in targets:
        scheduler.schedule(target)
    loop.run_round()
    assert sum(target.flushed for target in targets) == flushed


def test_a_target_that_schedules_itself_waits_for_the_next_round() -> None:
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


def test_a_target_that_raises_does_not_stop_the_others() -> None:
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
    assert loop.callbacks, "it may be scheduled again"
