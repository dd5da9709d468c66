"""Who sees whose presence where that is limited to those who share a room."""

from collections.abc import Awaitable, Callable, Sequence
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


def people(items: Sequence[v1.PresenceItem]) -> dict[str, tuple[int, int, int]]:
    """Who a room's life showed in the end: status, when last seen, how far read."""
    states = {item.user.user: item.user for item in items if item.HasField("user")}
    read = {item.receipt.user: item.receipt.read for item in items if item.HasField("receipt")}
    return {user: (state.status, state.last_seen_ms, read.get(user, 0)) for user, state in states.items()}


async def life(who: Person, room: str = "den") -> Reader:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(room=room))
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
    alice, bob, _ = house.people("alice", "bob", "eve")
    await alice.create("den", v1.GROUP, "bob")
    await bob.join()
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
    assert [seen(reader) for reader in readers] == [[], []]
    await bob.join()
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
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    plain = house.store.sharing
    joins = [True]

    async def late(user: str, others: Any) -> set[str]:
        answer = await plain(user, others)
        if joins:
            joins.clear()
            await bob.join()
        return answer

    house.store.sharing = late  # type: ignore[method-assign]
    assert seen(await watch(alice, "bob"))[-1] == ("bob", "ONLINE")


@pytest.mark.asyncio
async def test_a_cursor_does_not_hide_who_came_to_be_seen_since_then() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    first = await watch(alice, "bob")
    position = first.items[-1].cursor
    first.close()
    await bob.join()
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
    assert people(channel.life(room)) == {"alice": (v1.ONLINE, 0, 0), "bob": (v1.OFFLINE, 0, 0)}
    assert seen(await watch(alice, "bob")) == [("bob", "OFFLINE"), "live"]
    # Neither does the other one see who began it.
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settled()
    assert seen(reader) == ["live"]
    await bob.mark(room, read=4)
    await settled()
    assert reader.failure.code is Code.UNAVAILABLE
    assert people(channel.life(room)) == {"alice": (v1.ONLINE, 0, 0), "bob": (v1.ONLINE, 0, 4)}
    assert seen(await watch(alice, "bob")) == [("bob", "ONLINE"), "live"]
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settled()
    assert ("alice", "ONLINE") in seen(reader)


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
    assert await positions(bob, "square") == {"alice": 0, "bob": 0}
    await bob.mark("square", read=2)
    assert await positions(bob, "square") == {"alice": 3, "bob": 2}
    assert await positions(alice, "square") == {"alice": 3, "bob": 2}
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


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [v1.GROUP, v1.OPEN])
@pytest.mark.parametrize("later", [False, True], ids=["made with the user", "brought in later"])
async def test_who_was_brought_into_a_room_is_seen_by_nobody_in_it_until_they_act(kind: int, later: bool) -> None:
    house = limited()
    eve, bob = house.people("eve", "bob")
    bob.leave()
    await house.pass_time(20)
    bob = house.connect("bob")
    watching = await watch(eve, "bob")
    await eve.create("trap", kind, *([] if later else ["bob"]))
    room = await life(eve, "trap")
    if later:
        await eve.join("trap", "bob")
        await settled()
    assert people(room.items) == {"eve": (v1.ONLINE, 0, 0), "bob": (v1.OFFLINE, 0, 0)}
    room.drain()
    # Nothing the user does elsewhere is told, and nothing on request.
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    bob.leave()
    await house.pass_time(20)
    bob = house.connect("bob")
    await bob.call("receipts.mark", v1.MarkRequest(room="trap", delivered=2))
    await settled()
    assert seen(room) == []
    assert seen(watching) == [("bob", "OFFLINE"), "live"]
    (again, _) = (await watch(eve, "bob")).items
    assert again.user == v1.UserPresence(user="bob", status=v1.OFFLINE)
    assert people((await life(eve, "trap")).items)["bob"] == (v1.OFFLINE, 0, 0)
    assert (await positions(eve, "trap"))["bob"] == 0
    # By an act of their own they are, on the watches that live.
    await bob.mark("trap", read=3)
    await settled()
    assert people(room.items)["bob"][0] == v1.BUSY
    assert seen(watching) == [("bob", "BUSY")]
    assert (await positions(eve, "trap"))["bob"] > 0


async def react(who: Person) -> None:
    await who.call("chat.react", v1.ReactRequest(room="den", client_id="r", target=4, emoji="👍"))


async def edit(who: Person) -> None:
    await who.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=5, text="other"))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "act",
    [Person.join, Person.send, react, edit, lambda who: who.mark(read=7)],
    ids=["join", "send", "react", "edit", "read"],
)
async def test_each_act_of_their_own_shows_a_member_to_those_who_watch(act: Callable[[Person], Awaitable[Any]]) -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    await alice.send()
    await bob.send()
    await bob.quit()
    await alice.join(user="bob")
    readers = [await watch(alice, "bob"), await watch(bob, "alice")]
    room = await life(alice)
    assert [seen(reader)[0][1] for reader in readers] == ["OFFLINE", "OFFLINE"]
    assert people(room.items)["bob"] == (v1.OFFLINE, 0, 0)
    await act(bob)
    await settled()
    assert [seen(reader) for reader in readers] == [[("bob", "ONLINE")], [("alice", "ONLINE")]]
    assert people(room.items)["bob"][0] == v1.ONLINE


@pytest.mark.asyncio
async def test_reading_a_room_without_marking_it_shows_nobody() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    await bob.read()
    await bob.page()
    await bob.call("rooms.get", v1.GetRequest(room="den"))
    await bob.call("rooms.list", v1.ListRequest(scope=v1.MINE))
    channel = bob.channel()
    channel.say(open=v1.WatchRequest(room="den"))
    await settled()
    assert seen(await watch(alice, "bob")) == [("bob", "OFFLINE"), "live"]


@pytest.mark.asyncio
async def test_who_is_removed_and_brought_in_again_is_not_seen_again() -> None:
    house = limited()
    eve, bob, ann = house.people("eve", "bob", "ann")
    await eve.create("den", v1.GROUP, "bob", "ann")
    await bob.send()
    await ann.send()
    watching, room = await watch(eve, "bob"), await life(eve)
    bobs = await life(bob)
    assert seen(watching) == [("bob", "ONLINE"), "live"]
    await eve.quit(user="bob")
    await eve.join(user="bob", role=v1.MODERATOR)
    await settled()
    assert bobs.ended
    assert seen(watching) == [("bob", "OFFLINE")]
    assert people(room.items)["bob"][0] == v1.OFFLINE
    assert people((await life(eve)).items)["bob"] == (v1.OFFLINE, 0, 0)
    # Nor when the room passes to bob, nor when bob deletes what he wrote there.
    await eve.join(user="bob", role=v1.OWNER)
    await bob.call("chat.delete", v1.DeleteRequest(room="den", client_id="d", target=5))
    await bob.quit(user="ann")
    await eve.quit()
    await settled()
    assert seen(watching) == []
    assert not await house.store.sharing("eve", ["bob"])


@pytest.mark.asyncio
async def test_a_reader_of_an_open_room_is_seen_by_nobody_since_they_cannot_leave_it() -> None:
    house = limited()
    eve, bob = house.people("eve", "bob")
    await eve.create("square", v1.OPEN)
    await bob.join("square")
    watching, room, bobs = await watch(eve, "bob"), await life(eve, "square"), await life(bob, "square")
    assert people(room.items)["bob"][0] == v1.ONLINE
    await eve.join("square", "bob", v1.READER)
    await settled()
    assert bobs.failure.code is Code.UNAVAILABLE
    await bob.mark("square", read=3)
    await bob.join("square")
    await settled()
    assert seen(watching) == [("bob", "ONLINE"), "live", ("bob", "OFFLINE")]
    assert people(room.items)["bob"][:2] == (v1.OFFLINE, 0)
    assert "bob" not in [item.receipt.user for item in (await life(eve, "square")).items if item.HasField("receipt")]
    assert (await positions(eve, "square"))["bob"] == 0
    assert seen(await life(bob, "square")) == ["live"]


@pytest.mark.asyncio
async def test_a_count_of_who_is_there_does_not_count_who_did_not_consent() -> None:
    house = limited(presence_room_members_max=2)
    eve, bob = house.people("eve", "bob")
    await eve.create("den", v1.GROUP, "bob", "x", "y")
    room = await life(eve)
    counts = [(item.count.online, item.count.members) for item in room.drain() if item.HasField("count")]
    assert counts == [(1, 4)]
    await bob.send()
    await house.pass_time(house.limits.presence_count_seconds + 1)
    counts = [(item.count.online, item.count.members) for item in room.drain() if item.HasField("count")]
    assert counts == [(2, 4)]


@pytest.mark.asyncio
async def test_who_is_removed_and_brought_in_again_while_a_room_is_opened_reads_nothing_of_it() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    await bob.send()
    plain = house.store.members
    once = [True]

    async def late(room: str, **asked: Any) -> Any:
        answer = await plain(room, **asked)
        if once and room == "den":
            once.clear()
            await alice.quit(user="bob")
            await alice.join(user="bob")
        return answer

    house.store.members = late  # type: ignore[method-assign]
    reader = await life(bob)
    assert once == []
    assert seen(reader) == ["live"]
    await bob.send()
    await settled()
    assert reader.failure.code is Code.UNAVAILABLE


@pytest.mark.asyncio
async def test_who_consents_while_a_room_is_opened_is_not_left_outside() -> None:
    house = limited()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    plain = house.store.standing

    async def late(room: str, user: str) -> Any:
        answer = await plain(room, user)
        house.store.standing = plain  # type: ignore[method-assign]
        await bob.send()
        return answer

    house.store.standing = late  # type: ignore[method-assign]
    assert people((await life(bob)).items)["alice"][0] == v1.ONLINE


@pytest.mark.asyncio
async def test_where_everybody_sees_everybody_consent_changes_nothing() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    room = await life(alice)
    assert people(room.items)["bob"][0] == v1.ONLINE
    assert people((await life(bob)).items)["alice"][0] == v1.ONLINE
    await alice.mark(read=2)
    assert (await positions(bob, "den"))["alice"] == 2
    await bob.send()
    await settled()
    assert not room.ended


@pytest.mark.asyncio
async def test_who_watches_a_member_who_is_not_seen_does_not_make_their_updates_dearer() -> None:
    house = limited(update_weight_readers=1)
    eve, bob = house.people("eve", "bob")
    await eve.create("den", v1.GROUP, "bob")
    rooms = [await life(eve) for _ in range(3)]
    gatherings = house.rows["presence.set"].handler.__self__._gatherings
    assert gatherings.weigh_user("bob") == 1
    await bob.send()
    assert gatherings.weigh_user("bob") == 4
    await eve.quit(user="bob")
    await eve.join(user="bob")
    assert gatherings.weigh_user("bob") == 1
    for room in rooms:
        room.close()
    await house.pass_time(70)
    assert gatherings.weigh_user("eve") == 1
