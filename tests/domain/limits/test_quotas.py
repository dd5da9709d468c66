"""What one user may hold: one cannot take what is there for all."""

from typing import Any

import pytest

from domain.harness import ConnectedUser, DomainHarness, RecordingSink, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import Code


async def watch_users(who: ConnectedUser, *users: str) -> RecordingSink:
    return await who.watch("presence.watch", v1.PresenceWatchRequest(users=users))


@pytest.mark.asyncio
async def test_one_user_watches_so_many_rooms_over_all_connections_and_channels_and_others_as_many() -> None:
    harness = DomainHarness(watched_rooms_max=2)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    await alice.create_room("den", v1.OPEN)
    first = await alice.watch_room("den")
    channel = phone.channel()
    opening: dict[str, Any] = {"open": v1.WatchRequest(room="den")}
    channel.send_command(**opening)
    await settle()
    with raises_error(Code.RESOURCE_EXHAUSTED, "watched_rooms_max"):
        await phone.watch_room("den")
    other = phone.channel()
    refusals = [other.send_command(**opening), other.send_command(**opening)]
    await settle()
    assert [other.reply(ref).error.code for ref in refusals] == [v1.RESOURCE_EXHAUSTED] * 2, "it is not half open"
    await bob.watch_room("den")
    first.close()
    first.close()
    again = other.send_command(**opening)
    await settle()
    assert other.reply(again).WhichOneof("item") == "done"
    channel.handler.close()
    other.handler.close()
    await alice.watch_room("den")
    await phone.watch_room("den")


@pytest.mark.asyncio
async def test_one_user_names_so_many_people_in_all_watches() -> None:
    harness = DomainHarness(watched_users_max=3)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    reader = await watch_users(alice, "bob", "carol")
    with raises_error(Code.RESOURCE_EXHAUSTED, "watched_users_max"):
        await watch_users(phone, "bob", "carol")
    await watch_users(phone, "bob")
    await watch_users(bob, "alice", "carol", "dan")
    reader.close()
    await watch_users(alice, "dan", "erin")


@pytest.mark.asyncio
async def test_one_user_watches_so_many_lists_of_rooms_over_all_connections() -> None:
    harness = DomainHarness(watched_lists_max=2)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    request = v1.RoomsWatchRequest()
    first = await alice.watch("rooms.watch", request)
    await phone.watch("rooms.watch", request)
    with raises_error(Code.RESOURCE_EXHAUSTED, "watched_lists_max"):
        await phone.watch("rooms.watch", request)
    await bob.watch("rooms.watch", request)
    first.close()
    first.close()
    again = await alice.watch("rooms.watch", request)
    await settle()
    assert [item.WhichOneof("item") for item in again.items] == ["live"]
