"""One timer for everybody: who is called when."""

import asyncio
from collections.abc import Callable

import pytest

from tidings.server.timer_wheel import TimerWheel

TEST_TIMEOUT_SECONDS = 20


class FakeTimerTarget:
    def __init__(self, callback: Callable[[float], None] = lambda now: None) -> None:
        self.timer_slot = 0
        self.called: list[float] = []
        self.callback = callback

    def on_timeout(self, now: float) -> None:
        self.called.append(now)
        self.callback(now)


class WheelHarness:
    def __init__(self) -> None:
        self.now = 100.0
        self.timer_wheel = TimerWheel(asyncio.get_running_loop(), lambda: self.now, 0.001)

    async def run_timers(self, now: float) -> None:
        """Let the timer run at this time."""
        self.now = now
        ran = asyncio.Event()
        self.timer_wheel.schedule(FakeTimerTarget(lambda now: ran.set()), now - 1)
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            await ran.wait()


@pytest.mark.asyncio
async def test_nobody_is_called_early_and_everybody_in_time() -> None:
    harness = WheelHarness()
    one, other = FakeTimerTarget(), FakeTimerTarget()
    harness.timer_wheel.schedule(one, 110.0)
    harness.timer_wheel.schedule(other, 120.0)
    await harness.run_timers(109.9)
    assert not one.called
    await harness.run_timers(110.1)
    assert one.called == [110.1]
    assert not other.called
    await harness.run_timers(500.0)
    assert len(one.called) == len(other.called) == 1


@pytest.mark.asyncio
async def test_the_last_wish_holds() -> None:
    harness = WheelHarness()
    later, earlier, never = FakeTimerTarget(), FakeTimerTarget(), FakeTimerTarget()
    harness.timer_wheel.schedule(later, 110.0)
    harness.timer_wheel.schedule(later, 120.0)
    harness.timer_wheel.schedule(earlier, 120.0)
    harness.timer_wheel.schedule(earlier, 110.0)
    harness.timer_wheel.schedule(never, 110.0)
    harness.timer_wheel.schedule(never, None)
    await harness.run_timers(115.0)
    assert (len(later.called), len(earlier.called), len(never.called)) == (0, 1, 0)
    await harness.run_timers(125.0)
    assert (len(later.called), len(earlier.called), len(never.called)) == (1, 1, 0)


@pytest.mark.asyncio
async def test_who_is_called_may_move_or_stop_anybody() -> None:
    harness = WheelHarness()
    second = FakeTimerTarget()
    first = FakeTimerTarget(lambda now: harness.timer_wheel.schedule(second, None))
    again = FakeTimerTarget(lambda now: harness.timer_wheel.schedule(again, now + 10))
    for who in (first, second, again):
        harness.timer_wheel.schedule(who, 110.0)
    await harness.run_timers(111.0)
    assert (len(first.called), len(second.called), len(again.called)) == (1, 0, 1)
    await harness.run_timers(122.0)
    assert len(again.called) == 2


@pytest.mark.asyncio
async def test_one_that_fails_does_not_stop_the_others() -> None:
    harness = WheelHarness()
    broken, sound = FakeTimerTarget(lambda now: 1 / 0), FakeTimerTarget()  # type: ignore[arg-type,return-value]
    harness.timer_wheel.schedule(broken, 110.0)
    harness.timer_wheel.schedule(sound, 110.0)
    await harness.run_timers(111.0)
    assert len(sound.called) == 1
