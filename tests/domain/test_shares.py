"""What one user may hold: one cannot take what is there for all."""

from typing import Any

import pytest

from domain.stage import House, Person, Reader, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code


async def of_people(who: Person, *users: str) -> Reader:
    return await who.watch("presence.watch", v1.PresenceWatchRequest(users=users))


@pytest.mark.asyncio
async def test_one_user_watches_so_many_rooms_over_all_connections_and_channels_and_others_as_many() -> None:
    house = House(watched_rooms_max=2)
    alice, phone, bob = house.people("alice", "alice", "bob")
    await alice.create("den", v1.OPEN)
    first = await alice.read("den")
    channel = phone.channel()
    opening: dict[str, Any] = {"open": v1.WatchRequest(room="den")}
    channel.say(**opening)
    await settled()
    with refused(Code.RESOURCE_EXHAUSTED, "watched_rooms_max"):
        await phone.read("den")
    other = phone.channel()
    refusals = [other.say(**opening), other.say(**opening)]
    await settled()
    assert [other.answer(ref).error.code for ref in refusals] == [v1.RESOURCE_EXHAUSTED] * 2, "it is not half open"
    await bob.read("den")
    first.close()
    first.close()
    again = other.say(**opening)
    await settled()
    assert other.answer(again).WhichOneof("item") == "done"
    channel.conversation.close()
    other.conversation.close()
    await alice.read("den")
    await phone.read("den")


@pytest.mark.asyncio
async def test_one_user_names_so_many_people_in_all_watches() -> None:
    house = House(watched_users_max=3)
    alice, phone, bob = house.people("alice", "alice", "bob")
    reader = await of_people(alice, "bob", "carol")
    with refused(Code.RESOURCE_EXHAUSTED, "watched_users_max"):
        await of_people(phone, "bob", "carol")
    await of_people(phone, "bob")
    await of_people(bob, "alice", "carol", "dan")
    reader.close()
    await of_people(alice, "dan", "erin")


@pytest.mark.asyncio
async def test_one_user_watches_so_many_lists_of_rooms_over_all_connections() -> None:
    house = House(watched_lists_max=2)
    alice, phone, bob = house.people("alice", "alice", "bob")
    request = v1.RoomsWatchRequest()
    first = await alice.watch("rooms.watch", request)
    await phone.watch("rooms.watch", request)
    with refused(Code.RESOURCE_EXHAUSTED, "watched_lists_max"):
        await phone.watch("rooms.watch", request)
    await bob.watch("rooms.watch", request)
    first.close()
    first.close()
    again = await alice.watch("rooms.watch", request)
    await settled()
    assert [item.WhichOneof("item") for item in again.items] == ["live"]
