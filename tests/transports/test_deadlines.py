"""One timer for everybody: who is called when."""

import asyncio
from collections.abc import Callable

import pytest

from tidings.transports.deadlines import Deadlines

GUARD_SECONDS = 20


class Waiting:
    def __init__(self, then: Callable[[float], None] = lambda now: None) -> None:
        self.slot = 0
        self.called: list[float] = []
        self.then = then

    def due(self, now: float) -> None:
        self.called.append(now)
        self.then(now)


class Stage:
    def __init__(self) -> None:
        self.now = 100.0
        self.deadlines = Deadlines(asyncio.get_running_loop(), lambda: self.now, 0.001)

    async def turn(self, now: float) -> None:
        """Let the timer run at this time."""
        self.now = now
        ran = asyncio.Event()
        self.deadlines.put(Waiting(lambda now: ran.set()), now - 1)
        async with asyncio.timeout(GUARD_SECONDS):
            await ran.wait()


@pytest.mark.asyncio
async def test_nobody_is_called_early_and_everybody_in_time() -> None:
    stage = Stage()
    one, other = Waiting(), Waiting()
    stage.deadlines.put(one, 110.0)
    stage.deadlines.put(other, 120.0)
    await stage.turn(109.9)
    assert not one.called
    await stage.turn(110.1)
    assert one.called == [110.1]
    assert not other.called
    await stage.turn(500.0)
    assert len(one.called) == len(other.called) == 1


@pytest.mark.asyncio
async def test_the_last_wish_holds() -> None:
    stage = Stage()
    later, earlier, never = Waiting(), Waiting(), Waiting()
    stage.deadlines.put(later, 110.0)
    stage.deadlines.put(later, 120.0)
    stage.deadlines.put(earlier, 120.0)
    stage.deadlines.put(earlier, 110.0)
    stage.deadlines.put(never, 110.0)
    stage.deadlines.put(never, None)
    await stage.turn(115.0)
    assert (len(later.called), len(earlier.called), len(never.called)) == (0, 1, 0)
    await stage.turn(125.0)
    assert (len(later.called), len(earlier.called), len(never.called)) == (1, 1, 0)


@pytest.mark.asyncio
async def test_who_is_called_may_move_or_stop_anybody() -> None:
    stage = Stage()
    second = Waiting()
    first = Waiting(lambda now: stage.deadlines.put(second, None))
    again = Waiting(lambda now: stage.deadlines.put(again, now + 10))
    for who in (first, second, again):
        stage.deadlines.put(who, 110.0)
    await stage.turn(111.0)
    assert (len(first.called), len(second.called), len(again.called)) == (1, 0, 1)
    await stage.turn(122.0)
    assert len(again.called) == 2


@pytest.mark.asyncio
async def test_one_that_fails_does_not_stop_the_others() -> None:
    stage = Stage()
    broken, sound = Waiting(lambda now: 1 / 0), Waiting()  # type: ignore[arg-type,return-value]
    stage.deadlines.put(broken, 110.0)
    stage.deadlines.put(sound, 110.0)
    await stage.turn(111.0)
    assert len(sound.called) == 1
