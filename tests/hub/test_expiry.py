"""Things that end by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hub.harness import FakeLoop
from tidings.hub.expiry import ExpiryQueue


class ExpiryRecorder:
    def __init__(self) -> None:
        self.loop = FakeLoop()
        self.expired: list[tuple[float, str]] = []
        self.timers = 0
        self.queue: ExpiryQueue[str] = ExpiryQueue(
            6.0,
            lambda key: self.expired.append((self.loop.now, key)),
            clock=self.loop.clock,
            schedule_later=self._later,
        )

    def _later(self, seconds: float, callback: Callable[[], Any]) -> None:
        self.timers += 1
        self.loop.call_later(seconds, callback)


def test_each_ends_its_span_after_it_was_last_begun() -> None:
    watcher = ExpiryRecorder()
    watcher.queue.start("a")
    watcher.loop.advance(1)
    watcher.queue.start("b")
    watcher.loop.advance(3)
    watcher.queue.start("a")
    assert "a" in watcher.queue
    watcher.loop.advance(60)
    assert watcher.expired == [(7.0, "b"), (10.0, "a")]
    assert len(watcher.queue) == 0


def test_what_is_cancelled_does_not_end() -> None:
    watcher = ExpiryRecorder()
    watcher.queue.start("a")
    assert watcher.queue.cancel("a")
    assert not watcher.queue.cancel("a")
    watcher.loop.advance(60)
    assert watcher.expired == []


def test_one_timer_serves_them_all() -> None:
    watcher = ExpiryRecorder()
    for number in range(1_000):
        watcher.queue.start(f"{number}")
    assert watcher.timers == 1
    watcher.loop.advance(6)
    assert len(watcher.expired) == 1_000
    watcher.loop.advance(60)
    assert watcher.timers == 1


def test_what_ends_may_begin_again_from_within() -> None:
    loop = FakeLoop()
    rounds: list[float] = []

    def again(key: str) -> None:
        rounds.append(loop.now)
        if len(rounds) < 3:
            queue.start(key)

    queue: ExpiryQueue[str] = ExpiryQueue(1.0, again, clock=loop.clock, schedule_later=loop.call_later)
    queue.start("a")
    loop.advance(10)
    assert rounds == [1.0, 2.0, 3.0]
