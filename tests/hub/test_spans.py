"""Things that end by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.stage import Loop
from tidings.hub.spans import Spans


class Watcher:
    def __init__(self) -> None:
        self.loop = Loop()
        self.ended: list[tuple[float, str]] = []
        self.timers = 0
        self.spans: Spans[str] = Spans(
            6.0,
            lambda key: self.ended.append((self.loop.now, key)),
            clock=self.loop.clock,
            schedule_later=self._later,
        )

    def _later(self, seconds: float, callback: Callable[[], Any]) -> None:
        self.timers += 1
        self.loop.call_later(seconds, callback)


def test_each_ends_its_span_after_it_was_last_begun() -> None:
    watcher = Watcher()
    watcher.spans.begin("a")
    watcher.loop.advance(1)
    watcher.spans.begin("b")
    watcher.loop.advance(3)
    watcher.spans.begin("a")
    assert "a" in watcher.spans
    watcher.loop.advance(60)
    assert watcher.ended == [(7.0, "b"), (10.0, "a")]
    assert len(watcher.spans) == 0


def test_what_is_cancelled_does_not_end() -> None:
    watcher = Watcher()
    watcher.spans.begin("a")
    assert watcher.spans.cancel("a")
    assert not watcher.spans.cancel("a")
    watcher.loop.advance(60)
    assert watcher.ended == []


def test_one_timer_serves_them_all() -> None:
    watcher = Watcher()
    for number in range(1_000):
        watcher.spans.begin(f"{number}")
    assert watcher.timers == 1
    watcher.loop.advance(6)
    assert len(watcher.ended) == 1_000
    watcher.loop.advance(60)
    assert watcher.timers == 1


def test_what_ends_may_begin_again_from_within() -> None:
    loop = Loop()
    rounds: list[float] = []

    def again(key: str) -> None:
        rounds.append(loop.now)
        if len(rounds) < 3:
            spans.begin(key)

    spans: Spans[str] = Spans(1.0, again, clock=loop.clock, schedule_later=loop.call_later)
    spans.begin("a")
    loop.advance(10)
    assert rounds == [1.0, 2.0, 3.0]
