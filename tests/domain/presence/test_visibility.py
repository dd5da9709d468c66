"""Who sees whose presence where that is limited to those who share a room."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from domain.harness import ConnectedUser, DomainHarness, RecordingSink, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.limits.limits import SHARED_ROOMS


def restricted_harness(**limits: Any) -> DomainHarness:
    return DomainHarness(presence_visible_to=SHARED_ROOMS, **limits)


async def watch(who: ConnectedUser, *users: str, **request: Any) -> RecordingSink:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(users=users, **request))
    await settle()
    return reader


def member_states(items: Sequence[v1.PresenceItem]) -> dict[str, tuple[int, int, int]]:
    """Who a room's life showed in the end: status, when last seen, how far read."""
    states = {item.user.user: item.user for item in items if item.HasField("user")}
    read = {item.receipt.user: item.receipt.read for item in items if item.HasField("receipt")}
    return {user: (state.status, state.last_seen_ms, read.get(user, 0)) for user, state in states.items()}


async def watch_room_presence(who: ConnectedUser, room: str = "den") -> RecordingSink:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settle()
    return reader


def take_described(reader: RecordingSink) -> list[Any]:
    """What came since the last time: (user, status), or the kind of item."""
    words: list[Any] = []
    for item in reader.take_items():
        kind = item.WhichOneof("item")
        words.append((item.user.user, v1.Status.Name(item.user.status)) if kind == "user" else kind)
    return words


@pytest.mark.asyncio
async def test_people_are_seen_by_those_who_share_a_room_and_by_themselves() -> None:
    harness = restricted_harness()
    alice, bob, _ = harness.connect_all("alice", "bob", "eve")
    await alice.create_room("den", v1.GROUP, "bob")
    await bob.join_room()
    reader = await watch(alice, "alice", "bob", "eve")
    people = take_described(reader)
    assert people.pop() == "live"
    assert sorted(people) == [("alice", "ONLINE"), ("bob", "ONLINE"), ("eve", "OFFLINE")]


@pytest.mark.asyncio
async def test_a_user_one_may_not_see_is_as_one_that_there_is_not() -> None:
    harness = restricted_harness()
    alice, eve = harness.connect_all("alice", "eve")
    eve.disconnect()
    await harness.advance_time(20)
    (item, _) = (await watch(alice, "eve")).items
    assert item.user == v1.UserPresence(user="eve", status=v1.OFFLINE)
    reader = await watch(alice, "eve", "nobody")
    take_described(reader)
    # Nothing that such a user does sends anything.
    again = harness.connect("eve")
    await again.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    again.disconnect()
    await harness.advance_time(20)
    assert take_described(reader) == []


@pytest.mark.asyncio
async def test_who_comes_into_a_room_is_seen_and_sees_from_then_on_and_who_leaves_it_no_longer() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den")
    readers = [await watch(alice, "bob"), await watch(bob, "alice")]
    assert [take_described(reader) for reader in readers] == [
        [("bob", "OFFLINE"), "live"],
        [("alice", "OFFLINE"), "live"],
    ]
    await alice.join_room(user="bob")
    await settle()
    assert [take_described(reader) for reader in readers] == [[], []]
    await bob.join_room()
    await settle()
    assert [take_described(reader) for reader in readers] == [[("bob", "ONLINE")], [("alice", "ONLINE")]]
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    await settle()
    assert take_described(readers[0]) == [("bob", "BUSY")]
    await bob.leave_room()
    await settle()
    assert [take_described(reader) for reader in readers] == [[("bob", "OFFLINE")], [("alice", "OFFLINE")]]
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.AWAY))
    await settle()
    assert take_described(readers[0]) == []
    for reader in readers:
        reader.close()
    await alice.join_room(user="bob")


@pytest.mark.asyncio
async def test_what_changes_while_it_is_found_out_who_is_seen_is_not_missed() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    plain = harness.store.users_sharing_room
    joins = [True]

    async def late(user: str, others: Any) -> set[str]:
        answer = await plain(user, others)
        if joins:
            joins.clear()
            await bob.join_room()
        return answer

    harness.store.users_sharing_room = late  # type: ignore[method-assign]
    assert take_described(await watch(alice, "bob"))[-1] == ("bob", "ONLINE")


@pytest.mark.asyncio
async def test_a_cursor_does_not_hide_who_came_to_be_seen_since_then() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    first = await watch(alice, "bob")
    position = first.items[-1].cursor
    first.close()
    await bob.join_room()
    assert take_described(await watch(alice, "bob", after=position)) == [("bob", "ONLINE"), "live"]


@pytest.mark.asyncio
async def test_who_is_in_an_open_room_is_for_its_members_and_who_joins_is_asked_to_open_again() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settle()
    assert take_described(reader) == ["live"]
    await alice.call("presence.typing", v1.TypingRequest(room="square"))
    await settle()
    assert take_described(reader) == []
    await bob.join_room("square")
    assert reader.api_error.code is Code.UNAVAILABLE
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settle()
    assert [word for word in take_described(reader) if isinstance(word, tuple)] == [
        ("alice", "ONLINE"),
        ("bob", "ONLINE"),
    ]
    await bob.leave_room("square")
    assert reader.api_error.code is Code.UNAVAILABLE
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room="square"))
    await settle()
    assert take_described(reader) == ["live"]
    held = bob.session.memory.reserved_bytes
    reader.close()
    assert bob.session.memory.reserved_bytes < held


@pytest.mark.asyncio
async def test_who_begins_a_direct_room_sees_the_other_once_they_have_read_in_it() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    room = (await alice.create_room("", v1.DIRECT, "bob")).room.room
    await alice.send(room=room)
    channel = alice.channel()
    opened = channel.send_command(open=v1.WatchRequest(room=room))
    await settle()
    assert channel.reply(opened).HasField("done")
    assert member_states(channel.presence(room)) == {"alice": (v1.ONLINE, 0, 0), "bob": (v1.OFFLINE, 0, 0)}
    assert take_described(await watch(alice, "bob")) == [("bob", "OFFLINE"), "live"]
    # Neither does the other one see who began it.
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settle()
    assert take_described(reader) == ["live"]
    await bob.mark(room, read=4)
    await settle()
    assert reader.api_error.code is Code.UNAVAILABLE
    assert member_states(channel.presence(room)) == {"alice": (v1.ONLINE, 0, 0), "bob": (v1.ONLINE, 0, 4)}
    assert take_described(await watch(alice, "bob")) == [("bob", "ONLINE"), "live"]
    reader = await bob.watch("presence.watch", v1.PresenceWatchRequest(room=room))
    await settle()
    assert ("alice", "ONLINE") in take_described(reader)


async def positions(who: ConnectedUser, room: str) -> dict[str, int]:
    reply = await who.call("rooms.members", v1.MembersRequest(room=room))
    return {member.user: member.read for member in reply.members}


@pytest.mark.asyncio
async def test_positions_in_a_list_of_members_are_seen_by_those_who_see_presence() -> None:
    harness = restricted_harness()
    alice, bob, eve = harness.connect_all("alice", "bob", "eve")
    await alice.create_room("square", v1.OPEN, "bob")
    await alice.mark("square", read=3)
    assert await positions(eve, "square") == {"alice": 0, "bob": 0}
    assert await positions(bob, "square") == {"alice": 0, "bob": 0}
    await bob.mark("square", read=2)
    assert await positions(bob, "square") == {"alice": 3, "bob": 2}
    assert await positions(alice, "square") == {"alice": 3, "bob": 2}
    room = (await alice.create_room("", v1.DIRECT, "eve")).room.room
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
    harness = restricted_harness(presence_watches_max=1)
    alice, _ = harness.connect_all("alice", "bob")
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
    await alice.create_room("den", v1.GROUP, "bob")
    await settle()


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [v1.GROUP, v1.OPEN])
@pytest.mark.parametrize("later", [False, True], ids=["made with the user", "brought in later"])
async def test_a_member_added_by_others_is_hidden_until_an_act_of_their_own(kind: int, later: bool) -> None:
    harness = restricted_harness()
    eve, bob = harness.connect_all("eve", "bob")
    bob.disconnect()
    await harness.advance_time(20)
    bob = harness.connect("bob")
    watching = await watch(eve, "bob")
    await eve.create_room("trap", kind, *([] if later else ["bob"]))
    room = await watch_room_presence(eve, "trap")
    if later:
        await eve.join_room("trap", "bob")
        await settle()
    assert member_states(room.items) == {"eve": (v1.ONLINE, 0, 0), "bob": (v1.OFFLINE, 0, 0)}
    room.take_items()
    # Nothing the user does elsewhere is told, and nothing on request.
    await bob.call("presence.set", v1.SetPresenceRequest(status=v1.BUSY))
    bob.disconnect()
    await harness.advance_time(20)
    bob = harness.connect("bob")
    await bob.call("receipts.mark", v1.MarkRequest(room="trap", delivered=2))
    await settle()
    assert take_described(room) == []
    assert take_described(watching) == [("bob", "OFFLINE"), "live"]
    (again, _) = (await watch(eve, "bob")).items
    assert again.user == v1.UserPresence(user="bob", status=v1.OFFLINE)
    assert member_states((await watch_room_presence(eve, "trap")).items)["bob"] == (v1.OFFLINE, 0, 0)
    assert (await positions(eve, "trap"))["bob"] == 0
    # By an act of their own they are, on the watches that live.
    await bob.mark("trap", read=3)
    await settle()
    assert member_states(room.items)["bob"][0] == v1.BUSY
    assert take_described(watching) == [("bob", "BUSY")]
    assert (await positions(eve, "trap"))["bob"] > 0


async def react(who: ConnectedUser) -> None:
    await who.call("chat.react", v1.ReactRequest(room="den", client_id="r", target=4, emoji="👍"))


async def edit(who: ConnectedUser) -> None:
    await who.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=5, text="other"))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "act",
    [ConnectedUser.join_room, ConnectedUser.send, react, edit, lambda who: who.mark(read=7)],
    ids=["join", "send", "react", "edit", "read"],
)
async def test_each_act_of_their_own_shows_a_member_to_those_who_watch(
    act: Callable[[ConnectedUser], Awaitable[Any]],
) -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await alice.send()
    await bob.send()
    await bob.leave_room()
    await alice.join_room(user="bob")
    readers = [await watch(alice, "bob"), await watch(bob, "alice")]
    room = await watch_room_presence(alice)
    assert [take_described(reader)[0][1] for reader in readers] == ["OFFLINE", "OFFLINE"]
    assert member_states(room.items)["bob"] == (v1.OFFLINE, 0, 0)
    await act(bob)
    await settle()
    assert [take_described(reader) for reader in readers] == [[("bob", "ONLINE")], [("alice", "ONLINE")]]
    assert member_states(room.items)["bob"][0] == v1.ONLINE


@pytest.mark.asyncio
async def test_reading_a_room_without_marking_it_is_not_consent() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await bob.watch_room()
    await bob.page()
    await bob.call("rooms.get", v1.GetRequest(room="den"))
    await bob.call("rooms.list", v1.ListRequest(scope=v1.MINE))
    channel = bob.channel()
    channel.send_command(open=v1.WatchRequest(room="den"))
    await settle()
    assert take_described(await watch(alice, "bob")) == [("bob", "OFFLINE"), "live"]


@pytest.mark.asyncio
async def test_who_is_removed_and_brought_in_again_is_not_seen_again() -> None:
    harness = restricted_harness()
    eve, bob, ann = harness.connect_all("eve", "bob", "ann")
    await eve.create_room("den", v1.GROUP, "bob", "ann")
    await bob.send()
    await ann.send()
    watching, room = await watch(eve, "bob"), await watch_room_presence(eve)
    bobs = await watch_room_presence(bob)
    assert take_described(watching) == [("bob", "ONLINE"), "live"]
    await eve.leave_room(user="bob")
    await eve.join_room(user="bob", role=v1.MODERATOR)
    await settle()
    assert bobs.ended
    assert take_described(watching) == [("bob", "OFFLINE")]
    assert member_states(room.items)["bob"][0] == v1.OFFLINE
    assert member_states((await watch_room_presence(eve)).items)["bob"] == (v1.OFFLINE, 0, 0)
    # Nor when the room passes to bob, nor when bob deletes what he wrote there.
    await eve.join_room(user="bob", role=v1.OWNER)
    await bob.call("chat.delete", v1.DeleteRequest(room="den", client_id="d", target=5))
    await bob.leave_room(user="ann")
    await eve.leave_room()
    await settle()
    assert take_described(watching) == []
    assert not await harness.store.users_sharing_room("eve", ["bob"])


@pytest.mark.asyncio
async def test_a_reader_role_of_an_open_room_is_hidden_since_they_cannot_leave_it() -> None:
    harness = restricted_harness()
    eve, bob = harness.connect_all("eve", "bob")
    await eve.create_room("square", v1.OPEN)
    await bob.join_room("square")
    watching, room, bobs = (
        await watch(eve, "bob"),
        await watch_room_presence(eve, "square"),
        await watch_room_presence(bob, "square"),
    )
    assert member_states(room.items)["bob"][0] == v1.ONLINE
    await eve.join_room("square", "bob", v1.READER)
    await settle()
    assert bobs.api_error.code is Code.UNAVAILABLE
    await bob.mark("square", read=3)
    await bob.join_room("square")
    await settle()
    assert take_described(watching) == [("bob", "ONLINE"), "live", ("bob", "OFFLINE")]
    assert member_states(room.items)["bob"][:2] == (v1.OFFLINE, 0)
    assert "bob" not in [
        item.receipt.user for item in (await watch_room_presence(eve, "square")).items if item.HasField("receipt")
    ]
    assert (await positions(eve, "square"))["bob"] == 0
    assert take_described(await watch_room_presence(bob, "square")) == ["live"]


@pytest.mark.asyncio
async def test_a_count_of_who_is_there_does_not_count_who_did_not_consent() -> None:
    harness = restricted_harness(presence_room_members_max=2)
    eve, bob = harness.connect_all("eve", "bob")
    await eve.create_room("den", v1.GROUP, "bob", "x", "y")
    room = await watch_room_presence(eve)
    counts = [(item.count.online, item.count.members) for item in room.take_items() if item.HasField("count")]
    assert counts == [(1, 4)]
    await bob.send()
    await harness.advance_time(harness.limits.presence_count_seconds + 1)
    counts = [(item.count.online, item.count.members) for item in room.take_items() if item.HasField("count")]
    assert counts == [(2, 4)]


@pytest.mark.asyncio
async def test_who_is_removed_and_brought_in_again_while_a_room_is_opened_reads_nothing_of_it() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await bob.send()
    plain = harness.store.members
    once = [True]

    async def late(room: str, **asked: Any) -> Any:
        answer = await plain(room, **asked)
        if once and room == "den":
            once.clear()
            await alice.leave_room(user="bob")
            await alice.join_room(user="bob")
        return answer

    harness.store.members = late  # type: ignore[method-assign]
    reader = await watch_room_presence(bob)
    assert once == []
    assert take_described(reader) == ["live"]
    await bob.send()
    await settle()
    assert reader.api_error.code is Code.UNAVAILABLE


@pytest.mark.asyncio
async def test_who_consents_while_a_room_is_opened_is_not_left_outside() -> None:
    harness = restricted_harness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    plain = harness.store.membership

    async def late(room: str, user: str) -> Any:
        answer = await plain(room, user)
        harness.store.membership = plain  # type: ignore[method-assign]
        await bob.send()
        return answer

    harness.store.membership = late  # type: ignore[method-assign]
    assert member_states((await watch_room_presence(bob)).items)["alice"][0] == v1.ONLINE


@pytest.mark.asyncio
async def test_without_limited_visibility_consent_changes_nothing() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    room = await watch_room_presence(alice)
    assert member_states(room.items)["bob"][0] == v1.ONLINE
    assert member_states((await watch_room_presence(bob)).items)["alice"][0] == v1.ONLINE
    await alice.mark(read=2)
    assert (await positions(bob, "den"))["alice"] == 2
    await bob.send()
    await settle()
    assert not room.ended


@pytest.mark.asyncio
async def test_who_watches_a_member_who_is_not_seen_does_not_make_their_updates_dearer() -> None:
    harness = restricted_harness(update_cost_readers=1)
    eve, bob = harness.connect_all("eve", "bob")
    await eve.create_room("den", v1.GROUP, "bob")
    rooms = [await watch_room_presence(eve) for _ in range(3)]
    room_presences = harness.methods["presence.set"].handler.__self__._room_presences
    assert room_presences.status_update_cost("bob") == 1
    await bob.send()
    assert room_presences.status_update_cost("bob") == 4
    await eve.leave_room(user="bob")
    await eve.join_room(user="bob")
    assert room_presences.status_update_cost("bob") == 1
    for room in rooms:
        room.close()
    await harness.advance_time(70)
    assert room_presences.status_update_cost("eve") == 1
