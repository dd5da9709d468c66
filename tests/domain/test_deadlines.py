"""Things that end by themselves."""

from domain.stage import StageClock
from tidings.domain.deadlines import Deadlines


class Watcher:
    def __init__(self) -> None:
        self.clock = StageClock()
        self.ended: list[tuple[float, str]] = []
        self.timers = 0
        self.deadlines: Deadlines[str] = Deadlines(
            6.0,
            lambda key: self.ended.append((self.clock.monotonic(), key)),
            clock=self.clock.monotonic,
            schedule_later=self._later,
        )

    def _later(self, seconds: float, callback: object) -> None:
        self.timers += 1
        assert callable(callback)
        self.clock.later(seconds, callback)

    def at(self, seconds: float) -> None:
        self.clock.scheduler.advance_to(seconds)


def test_each_ends_its_span_after_it_was_last_begun() -> None:
    watcher = Watcher()
    watcher.deadlines.begin("a")
    watcher.at(1)
    watcher.deadlines.begin("b")
    watcher.at(4)
    watcher.deadlines.begin("a")
    assert "a" in watcher.deadlines
    watcher.at(60)
    assert watcher.ended == [(7.0, "b"), (10.0, "a")]
    assert len(watcher.deadlines) == 0


def test_what_is_cancelled_does_not_end() -> None:
    watcher = Watcher()
    watcher.deadlines.begin("a")
    assert watcher.deadlines.cancel("a")
    assert not watcher.deadlines.cancel("a")
    watcher.at(60)
    assert watcher.ended == []


def test_one_timer_serves_them_all() -> None:
    watcher = Watcher()
    for number in range(1_000):
        watcher.deadlines.begin(f"{number}")
    assert watcher.timers == 1
    watcher.at(6)
    assert len(watcher.ended) == 1_000
    watcher.at(60)
    assert watcher.timers == 1


def test_what_ends_may_begin_again_from_within() -> None:
    clock = StageClock()
    rounds: list[float] = []

    def again(key: str) -> None:
        rounds.append(clock.monotonic())
        if len(rounds) < 3:
            deadlines.begin(key)

    deadlines: Deadlines[str] = Deadlines(1.0, again, clock=clock.monotonic, schedule_later=clock.later)
    deadlines.begin("a")
    clock.scheduler.advance_to(10)
    assert rounds == [1.0, 2.0, 3.0]
