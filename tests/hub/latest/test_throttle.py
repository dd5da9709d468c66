"""Readers that are left in peace for a beat."""

from __future__ import annotations

from hub.harness import FakeLoop
from tidings.hub.latest.throttle import Throttle


class FakeThrottled:
    def __init__(self, loop: FakeLoop, min_interval_seconds: float) -> None:
        self.loop = loop
        self.min_interval_seconds = min_interval_seconds
        self.is_throttled = False
        self.woken_at: list[float] = []

    def wake(self) -> None:
        assert not self.is_throttled
        self.woken_at.append(self.loop.now)


def test_a_reader_is_woken_when_its_beat_is_over_and_not_before() -> None:
    loop = FakeLoop()
    throttle, reader = Throttle(loop.call_later, loop.clock), FakeThrottled(loop, 2.0)
    throttle.pause(reader)
    loop.advance(1.9)
    assert reader.is_throttled
    loop.advance(0.2)
    assert reader.woken_at == [2.0]


def test_readers_of_one_beat_share_a_timer_and_each_gets_its_whole_rest() -> None:
    loop = FakeLoop()
    throttle = Throttle(loop.call_later, loop.clock)
    readers = [FakeThrottled(loop, 2.0) for _ in range(4)]
    for reader in readers:
        throttle.pause(reader)
        loop.advance(0.5)
        assert len(loop.timers) == 1
    loop.advance(10)
    assert [reader.woken_at for reader in readers] == [[2.0], [2.5], [3.0], [3.5]]
    assert not loop.timers


def test_readers_of_other_beats_do_not_wait_for_each_other() -> None:
    loop = FakeLoop()
    throttle = Throttle(loop.call_later, loop.clock)
    long, short = FakeThrottled(loop, 5.0), FakeThrottled(loop, 1.0)
    throttle.pause(long)
    throttle.pause(short)
    loop.advance(6)
    assert (long.woken_at, short.woken_at) == ([5.0], [1.0])
    throttle.pause(short)
    loop.advance(6)
    assert short.woken_at == [1.0, 7.0]
