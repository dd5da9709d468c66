"""A little in each round of the loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hub.stage import Loop
from tidings.hub.turns import Turns


class Part:
    def __init__(self, visits: int = 1, then: Callable[[], None] = lambda: None) -> None:
        self.marked = False
        self.visits = visits
        self.flushed = 0
        self.then = then

    def flush(self) -> int:
        self.flushed += 1
        self.then()
        return self.visits


def test_a_part_that_is_marked_twice_is_flushed_once() -> None:
    loop = Loop()
    turns, part = Turns(loop.call_soon, 10), Part()
    turns.mark(part)
    turns.mark(part)
    assert part.flushed == 0, "marking delivers nothing"
    assert len(loop.callbacks) == 1
    loop.run()
    assert part.flushed == 1


def test_a_round_stops_after_its_share_of_visits() -> None:
    loop = Loop()
    turns, parts = Turns(loop.call_soon, 10), [Part(visits=4) for _ in range(7)]
    for part in parts:
        turns.mark(part)
    rounds = []
    while loop.callbacks:
        loop.turn()
        rounds.append(sum(part.flushed for part in parts))
    assert rounds == [3, 6, 7]


def test_a_part_that_marks_itself_waits_for_the_next_round() -> None:
    loop = Loop()
    turns = Turns(loop.call_soon, 1000)
    greedy = Part(then=lambda: turns.mark(greedy))
    other = Part()
    turns.mark(greedy)
    turns.mark(other)
    loop.turn()
    assert (greedy.flushed, other.flushed) == (1, 1)
    loop.turn()
    assert greedy.flushed == 2


def test_a_part_that_raises_does_not_take_the_turn_from_the_others() -> None:
    loop = Loop()
    turns = Turns(loop.call_soon, 10)

    def explode() -> None:
        raise RuntimeError("a bug")

    broken, other = Part(then=explode), Part()
    turns.mark(broken)
    turns.mark(other)
    with pytest.raises(RuntimeError):
        loop.turn()
    loop.run()
    assert other.flushed == 1
    turns.mark(broken)
    assert loop.callbacks, "it may be marked again"
