"""receipts.mark: how far somebody has come."""

import pytest

from domain.harness import DomainHarness, raises_error
from tidings.contract import v1
from tidings.contract.errors import Code


@pytest.mark.asyncio
async def test_positions_go_forward_only_and_what_was_read_was_delivered() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
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
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    assert await alice.mark(read=99) == v1.MarkReply(delivered=2, read=2)
    assert await alice.mark(read=2**64 - 1, delivered=2**64 - 1) == v1.MarkReply(delivered=2, read=2)


@pytest.mark.asyncio
async def test_only_members_have_positions() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    await alice.create_room("den", v1.GROUP)
    with raises_error(Code.PERMISSION_DENIED, "join square first"):
        await bob.mark("square", read=1)
    with raises_error(Code.NOT_FOUND):
        await bob.mark("den", read=1)


@pytest.mark.asyncio
async def test_a_reader_has_positions_too() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den")
    await alice.join_room(user="bob", role=v1.READER)
    assert (await bob.mark(read=await alice.send())).read == 4


@pytest.mark.asyncio
async def test_who_joins_an_old_room_has_nothing_unread_and_counts_from_there() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    for _ in range(7):
        await alice.send(room="square")
    rooms = await bob.watch("rooms.watch", v1.RoomsWatchRequest())
    await bob.join_room("square")
    await harness.advance_time(1)
    assert [item.room.unread for item in rooms.take_items() if item.HasField("room")] == [0]
    await alice.send(room="square")
    await harness.advance_time(1)
    assert [item.room.unread for item in rooms.take_items()] == [1]
