"""Readers that are left in peace for a beat."""

from __future__ import annotations

from hub.stage import Loop
from tidings.hub.beats import Beats


class Rester:
    def __init__(self, loop: Loop, beat_seconds: float) -> None:
        self.loop = loop
        self.beat_seconds = beat_seconds
        self.resting = False
        self.woken: list[float] = []

    def wake(self) -> None:
        assert not self.resting
        self.woken.append(self.loop.now)


def test_a_reader_is_woken_when_its_beat_is_over_and_not_before() -> None:
    loop = Loop()
    beats, reader = Beats(loop.call_later, loop.clock), Rester(loop, 2.0)
    beats.rest(reader)
    loop.advance(1.9)
    assert reader.resting
    loop.advance(0.2)
    assert reader.woken == [2.0]


def test_readers_of_one_beat_share_a_timer_and_each_gets_its_whole_rest() -> None:
    loop = Loop()
    beats = Beats(loop.call_later, loop.clock)
    readers = [Rester(loop, 2.0) for _ in range(4)]
    for reader in readers:
        beats.rest(reader)
        loop.advance(0.5)
        assert len(loop.timers) == 1
    loop.advance(10)
    assert [reader.woken for reader in readers] == [[2.0], [2.5], [3.0], [3.5]]
    assert not loop.timers


def test_readers_of_other_beats_do_not_wait_for_each_other() -> None:
    loop = Loop()
    beats = Beats(loop.call_later, loop.clock)
    long, short = Rester(loop, 5.0), Rester(loop, 1.0)
    beats.rest(long)
    beats.rest(short)
    loop.advance(6)
    assert (long.woken, short.woken) == ([5.0], [1.0])
    beats.rest(short)
    loop.advance(6)
    assert short.woken == [1.0, 7.0]
