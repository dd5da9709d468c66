"""The product as a whole."""

import pytest

from domain.harness import DomainHarness
from tidings.contract import methods, v1
from tidings.contract.context import Authenticator
from tidings.domain.limits.limits import DomainLimits


@pytest.mark.asyncio
async def test_every_route_of_the_contract_has_a_handler() -> None:
    harness = DomainHarness()
    assert len(methods.build_method_table(harness.services.handlers).methods) == 24


@pytest.mark.asyncio
async def test_the_authenticator_implements_the_contract() -> None:
    for dev in (True, False):
        authenticator: Authenticator = DomainHarness(dev=dev).services.authenticator
        assert callable(authenticator.authenticate)


@pytest.mark.asyncio
async def test_a_message_wakes_only_the_readers_of_its_room() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room("a")
    await alice.create_room("b")
    here, there = await alice.watch_room("a"), await alice.watch_room("b")
    await alice.send(room="a")
    await harness.advance_time(1)
    assert (len(here.events), len(there.events)) == (1, 0)


@pytest.mark.asyncio
async def test_nothing_is_left_when_all_users_disconnected() -> None:
    harness = DomainHarness()
    people = harness.connect_all("alice", "bob")
    await people[0].create_room("den", v1.GROUP, "bob")
    readers = [await person.watch_room() for person in people]
    await harness.advance_time(1)
    for reader, person in zip(readers, people, strict=True):
        reader.close()
        person.disconnect()
    await harness.advance_time(200)
    await harness.services.close()
    assert harness.services.hub.stats.subscriptions == 0
    assert harness.services.presence_tracker.visible_states == {}
    assert harness.reported_errors == []


def test_limits_of_what_people_write_are_the_contracts() -> None:
    limits = DomainLimits()
    assert (limits.id_bytes_max, limits.client_id_chars_max, limits.text_bytes_max) == (64, 64, 65_536)
    assert (limits.page_events_max, limits.page_events_default) == (1_000, 50)
