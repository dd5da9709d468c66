"""Who sees whose presence where that is limited to those who share a room."""

from typing import Any

import pytest

from domain.stage import House, Person, Reader, settled
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.limits import SHARED_ROOMS


def limited(**limits: Any) -> House:
    return House(presence_visible_to=SHARED_ROOMS, **limits)


async def watch(who: Person, *users: str, **request: Any) -> Reader:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(users=users, **request))
    await settled()
    return reader


def seen(reader: Reader) -> list[Any]:
    """What came since the last time: (user, status), or the kind of item."""
    words: list[Any] = []
    for item in reader.drain():
        kind = item.WhichOneof("item")
        words.append((item.user.user, v1.Status.Name(item.user.status)) if kind == "user" else kind)
    return words


@pytest.mark.asyncio
async def test_people_are_seen_by_those_who_share_a_room_and_by_themselves() -> None:
    house = limited()
    alice, _, _ = house.people("alice", "bob", "eve")
    await alice.create("den", v1.GROUP, "bob")
    reader = await watch(alice, "alice", "bob", "eve")
    people = seen(reader)
    assert people.pop() == "live"
    assert sorted(people) == [("alice", "ONLINE"), ("bob", "ONLINE"), ("eve", "OFFLINE")]


@pytest.mark.asyncio
async def test_a_user_one_may_not_see_is_as_one_that_there_is_not() -> None:
    house = limited()
    alice, eve = house.people("alice", "eve")
    eve.leave()
    await house.pass_time(20)
    (item, _) = (await watch(alice, "eve")).items
    assert item.user == v1.UserPresence(user="eve", status=v1.OFFLINE)
    reader = await watch(alice, "eve", "nobody")
    seen(reader)
    # Nothing that such a user does sends anything.
    again = house.connect("eve")
    await again.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    again.leave()
    await house.pass_time(20)
    assert seen(reader) == []


@pytest.mark.asyncio
async def test_who_comes_into_a_room_is_seen_and_sees_from_then_on_and_who_leaves_it_no_longer() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den")
    readers = [await watch(alice, "bob"), await watch(bob, "alice")]
    assert [seen(reader) for reader in readers] == [[("bob", "OFFLINE"), "live"], [("alice", "OFFLINE"), "live"]]
    await alice.join(user="bob")
    await settled()
    assert [seen(reader) for reader in readers] == [[("bob", "ONLINE")], [("alice", "ONLINE")]]
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    await settled()
    assert seen(readers[0]) == [("bob", "BUSY")]
    await bob.quit()
    await settled()
    assert [seen(reader) for reader in readers] == [[("bob", "OFFLINE")], [("alice", "OFFLINE")]]
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.AWAY))
    await settled()
    assert seen(readers[0]) == []
    for reader in readers:
        reader.close()
    await alice.join(user="bob")


@pytest.mark.asyncio
async def test_what_changes_while_it_is_found_out_who_is_seen_is_not_missed() -> None:
    house = limited()
    alice, _ = house.people("alice", "bob")
    await alice.create("den")
    plain = house.store.sharing
    joins = [True]

    async def late(user: str, others: Any) -> set[str]:
        answer = await plain(user, others)
        if joins:
            joins.clear()
            await alice.join(user="bob")
        return answer

    house.store.sharing = late  # type: ignore[method-assign]
    assert seen(await watch(alice, "bob"))[-1] == ("bob", "ONLINE")


@pytest.mark.asyncio
async def test_a_cursor_does_not_hide_who_came_to_be_seen_since_then() -> None:
    house = limited()
    alice, _ = house.people("alice", "bob")
    await alice.create("den")
    first = await watch(alice, "bob")
    position = first.items[-1].cursor
    first.close()
    await alice.join(user="bob")
    assert seen(await watch(alice, "bob", after=position)) == [("bob", "ONLINE"), "live"]


@pytest.mark.asyncio
async def test_who_is_in_an_open_room_is_for_its_members_and_who_joins_is_asked_to_open_again() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("square", v1.OPEN)
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settled()
    assert seen(reader) == ["live"]
    await alice.call("presence.typing", v1.TypingRequest(room="square"))
    await settled()
    assert seen(reader) == []
    await bob.join("square")
    assert reader.failure.code is Code.UNAVAILABLE
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settled()
    assert [word for word in seen(reader) if isinstance(word, tuple)] == [("alice", "ONLINE"), ("bob", "ONLINE")]
    await bob.quit("square")
    assert reader.failure.code is Code.UNAVAILABLE
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settled()
    assert seen(reader) == ["live"]
    held = bob.session.memory.held
    reader.close()
    assert bob.session.memory.held < held


@pytest.mark.asyncio
async def test_who_begins_a_direct_room_sees_the_other_once_they_have_read_in_it() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    room = (await alice.create("", v1.DIRECT, "bob")).room.room
    await alice.send(room=room)
    channel = alice.channel()
    opened = channel.say(open=v1.WatchRequest(room=room))
    await settled()
    assert channel.answer(opened).HasField("done")
    assert [item.WhichOneof("item") for item in channel.life(room)] == ["live"]
    assert seen(await watch(alice, "bob")) == [("bob", "OFFLINE"), "live"]
    # The other one sees who began it.
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settled()
    assert ("alice", "ONLINE") in seen(reader)
    await bob.mark(room, read=4)
    await settled()
    (closed,) = [item.closed for item in channel.reader.items if item.HasField("closed")]
    assert closed.code == v1.UNAVAILABLE
    channel.say(open=v1.WatchRequest(room=room))
    await settled()
    assert "bob" in [item.user.user for item in channel.life(room) if item.HasField("user")]
    assert seen(await watch(alice, "bob")) == [("bob", "ONLINE"), "live"]


async def positions(who: Person, room: str) -> dict[str, int]:
    reply = await who.call("rooms.members", v1.MembersRequest(room=room))
    return {member.user: member.read for member in reply.members}


@pytest.mark.asyncio
async def test_positions_in_a_list_of_members_are_seen_by_those_who_see_presence() -> None:
    house = limited()
    alice, bob, eve = house.people("alice", "bob", "eve")
    await alice.create("square", v1.OPEN, "bob")
    await alice.mark("square", read=3)
    assert await positions(eve, "square") == {"alice": 0, "bob": 0}
    assert await positions(bob, "square") == {"alice": 3, "bob": 0}
    room = (await alice.create("", v1.DIRECT, "eve")).room.room
    await alice.mark(room, read=3)
    await eve.call("receipts.mark", v1.MarkRequest(room=room, delivered=2))
    reply = await alice.call("rooms.members", v1.MembersRequest(room=room))
    assert [(member.user, member.delivered, member.read) for member in reply.members] == [
        ("alice", 3, 3),
        ("eve", 0, 0),
    ]
    await eve.mark(room, read=2)
    assert await positions(alice, room) == {"alice": 3, "eve": 2}


@pytest.mark.asyncio
async def test_nothing_is_kept_of_watches_that_are_gone() -> None:
    house = limited(watched_people_max=1)
    alice, _ = house.people("alice", "bob")
    reader = await watch(alice, "bob")
    refused = None
    try:
        await watch(alice, "bob")
    except Exception as error:
        refused = error
    assert refused is not None
    reader.close()
    again = await watch(alice, "bob")
    again.close()
    await alice.create("den", v1.GROUP, "bob")
    await settled()
