"""receipts.mark: how far somebody has come."""

import pytest

from domain.stage import House, refused
from tidings.contract import v1
from tidings.contract.errors import Code


@pytest.mark.asyncio
async def test_positions_go_forward_only_and_what_was_read_was_delivered() -> None:
    alice, bob = House().people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    for _ in range(7):
        await alice.send()
    assert await bob.mark(delivered=4) == v1.MarkReply(delivered=4, read=0)
    assert await bob.mark(read=6) == v1.MarkReply(delivered=6, read=6)
    assert await bob.mark(delivered=2, read=1) == v1.MarkReply(delivered=6, read=6)
    assert await bob.mark() == v1.MarkReply(delivered=6, read=6)
    assert await bob.mark(delivered=8, read=7) == v1.MarkReply(delivered=8, read=7)
    members = (await alice.call("rooms.members", v1.MembersRequest(room="den"))).members
    assert [(member.user, member.delivered, member.read) for member in members] == [("alice", 0, 0), ("bob", 8, 7)]


@pytest.mark.asyncio
async def test_nothing_beyond_the_head_was_read() -> None:
    (alice,) = House().people("alice")
    await alice.create()
    assert await alice.mark(read=99) == v1.MarkReply(delivered=2, read=2)
    assert await alice.mark(read=2**64 - 1, delivered=2**64 - 1) == v1.MarkReply(delivered=2, read=2)


@pytest.mark.asyncio
async def test_only_members_have_positions() -> None:
    alice, bob = House().people("alice", "bob")
    await alice.create("square", v1.OPEN)
    await alice.create("den", v1.GROUP)
    with refused(Code.PERMISSION_DENIED, "join square first"):
        await bob.mark("square", read=1)
    with refused(Code.NOT_FOUND):
        await bob.mark("den", read=1)


@pytest.mark.asyncio
async def test_a_reader_has_positions_too() -> None:
    alice, bob = House().people("alice", "bob")
    await alice.create("den")
    await alice.join(user="bob", role=v1.READER)
    assert (await bob.mark(read=await alice.send())).read == 4


@pytest.mark.asyncio
async def test_who_joins_an_old_room_has_nothing_unread_and_counts_from_there() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("square", v1.OPEN)
    for _ in range(7):
        await alice.send(room="square")
    rooms = await bob.watch("rooms.watch", v1.RoomsWatchRequest())
    await bob.join("square")
    await house.pass_time(1)
    assert [item.room.unread for item in rooms.drain() if item.HasField("room")] == [0]
    await alice.send(room="square")
    await house.pass_time(1)
    assert [item.room.unread for item in rooms.drain()] == [1]
