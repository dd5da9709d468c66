"""Who is there, and what is remembered of who was."""

import pytest

from domain.harness import DomainHarness
from tidings.contract import v1


@pytest.mark.asyncio
async def test_of_those_who_left_the_last_few_are_remembered_and_the_store_knows_the_others() -> None:
    harness = DomainHarness(cached_offline_users_max=2)
    seen_ms = {}
    for person in harness.connect_all("alice", "bob", "carol"):
        seen_ms[person.name] = harness.clock.now_ms()
        person.disconnect()
        await harness.advance_time(harness.limits.grace_seconds + 1)
    tracker = harness.services.presence_tracker
    assert [tracker.cached_state(user) is not None for user in seen_ms] == [False, True, True]
    states = {user: v1.UserPresence.FromString(state) for user, state in (await tracker.states([*seen_ms])).items()}
    assert {user: state.last_seen_ms for user, state in states.items()} == seen_ms
    assert {state.status for state in states.values()} == {v1.OFFLINE}
