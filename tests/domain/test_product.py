"""The product as a whole."""

import pytest

from domain.stage import House
from tidings.contract import table, v1
from tidings.contract.call import Gate
from tidings.domain.limits import DomainLimits


@pytest.mark.asyncio
async def test_every_route_of_the_contract_has_a_handler() -> None:
    house = House()
    assert len(table.build(house.product.services).rows) == 24


@pytest.mark.asyncio
async def test_the_gate_is_one_of_the_contract() -> None:
    for dev in (True, False):
        gate: Gate = House(dev=dev).product.gate
        assert callable(gate.admit)


@pytest.mark.asyncio
async def test_a_message_wakes_nobody_but_the_readers_of_its_room() -> None:
    house = House()
    (alice,) = house.people("alice")
    await alice.create("a")
    await alice.create("b")
    here, there = await alice.read("a"), await alice.read("b")
    await alice.send(room="a")
    await house.pass_time(1)
    assert (len(here.events), len(there.events)) == (1, 0)


@pytest.mark.asyncio
async def test_nothing_is_left_when_everybody_has_gone() -> None:
    house = House()
    people = house.people("alice", "bob")
    await people[0].create("den", v1.GROUP, "bob")
    readers = [await person.read() for person in people]
    await house.pass_time(1)
    for reader, person in zip(readers, people, strict=True):
        reader.close()
        person.leave()
    await house.pass_time(200)
    await house.product.close()
    assert house.product.hub.stats.subscriptions == 0
    assert house.product.roster.shown == {}
    assert house.reports == []


def test_limits_of_what_people_write_are_the_contracts() -> None:
    limits = DomainLimits()
    assert (limits.id_bytes_max, limits.client_id_chars_max, limits.text_bytes_max) == (64, 64, 65_536)
    assert (limits.page_events_max, limits.page_events_default) == (1_000, 50)
