"""How fast one user may write."""

import pytest

from domain.stage import House, StageClock, refused
from tidings.contract import v1
from tidings.contract.errors import Code, Failure
from tidings.domain.pace import Pace


def test_a_burst_is_allowed_then_the_pace_holds() -> None:
    clock = StageClock()
    pace = Pace(4.0, 10, 100, clock.monotonic)
    for _ in range(10):
        pace.take("alice")
    with refused(Code.RESOURCE_EXHAUSTED, "4 messages per second"):
        pace.take("alice")
    taken = 0
    for _ in range(100):
        clock.scheduler.advance_by(0.1)
        try:
            pace.take("alice")
            taken += 1
        except Failure:
            pass
    assert taken == 40
    pace.take("bob")


def test_a_refusal_says_when_to_try_again_and_costs_nothing() -> None:
    clock = StageClock()
    pace = Pace(2.0, 1, 100, clock.monotonic)
    pace.take("alice")
    for _ in range(5):
        with pytest.raises(Failure) as caught:
            pace.take("alice")
        assert caught.value.retry_after_ms == 500
    clock.scheduler.advance_by(0.5)
    pace.take("alice")


def test_silence_fills_the_bucket_no_further_than_its_size() -> None:
    clock = StageClock()
    pace = Pace(1.0, 3, 100, clock.monotonic)
    pace.take("alice")
    clock.scheduler.advance_by(1_000)
    for _ in range(3):
        pace.take("alice")
    with refused(Code.RESOURCE_EXHAUSTED):
        pace.take("alice")


def test_without_a_pace_everything_goes() -> None:
    pace = Pace(0.0, 1, 100, StageClock().monotonic)
    for _ in range(1_000):
        pace.take("alice")


@pytest.mark.asyncio
async def test_who_is_forgotten_for_others_starts_with_a_full_bucket() -> None:
    house = House(dev=False, sends_per_second_max=1.0, sends_burst_max=2, paced_users_max=1)
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.OPEN)
    await alice.send()
    with refused(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await alice.send()
    await bob.send()
    assert await alice.send()
