"""rooms.*: making rooms, who comes, who goes, who decides."""

import asyncio

import pytest

from domain.harness import ConnectedUser, DomainHarness, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code

DENIED = Code.PERMISSION_DENIED


async def role(who: ConnectedUser, user: str, room: str = "den") -> int:
    """The role of `user`, 0 for none."""
    reply = await who.call("rooms.members", v1.MembersRequest(room=room))
    roles: dict[str, int] = {member.user: member.role for member in reply.members}
    return roles.get(user, 0)


@pytest.mark.asyncio
async def test_who_makes_a_room_owns_it_and_those_brought_in_are_members() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    request = v1.CreateRequest(room="den", kind=v1.GROUP, title="The Den", members=["bob", "alice", "bob", "carol"])
    reply = await alice.call("rooms.create", request)
    room = reply.room
    name = "group:alice:den"
    assert (room.room, room.kind, room.title, room.creator, room.members) == (name, v1.GROUP, "The Den", "alice", 3)
    assert (room.created_at_ms, room.head.seq, reply.role) == (harness.clock.now_ms(), 4, v1.OWNER)
    assert (await bob.call("rooms.get", v1.GetRequest(room=name))).role == v1.MEMBER


@pytest.mark.asyncio
async def test_the_same_room_made_again_is_the_same_room() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    for kind in (v1.GROUP, v1.OPEN):
        request = v1.CreateRequest(room="den", kind=v1.RoomKind.ValueType(kind))
        first = await alice.call("rooms.create", request)
        assert await alice.call("rooms.create", request) == first
        assert (await alice.page(first.room.room)).head.seq == 2
    with raises_error(Code.CONFLICT):
        await bob.create_room("den", v1.OPEN)


@pytest.mark.asyncio
async def test_a_group_is_named_after_its_maker_so_that_others_words_are_never_taken() -> None:
    harness = DomainHarness()
    alice, bob, odd = harness.connect_all("alice", "bob", "o:d")

    async def named(who: ConnectedUser, word: str) -> str:
        made: v1.RoomReply = await who.call("rooms.create", v1.CreateRequest(room=word, kind=v1.GROUP))
        assert (await who.call("rooms.get", v1.GetRequest(room=made.room.room))).role == v1.OWNER
        return made.room.room

    assert await named(alice, "den") == "group:alice:den"
    assert await named(bob, "den") == "group:bob:den"
    assert await named(alice, "group:alice:den") == "group:alice:den"
    long = await named(alice, "x" * 64)
    assert long == await named(alice, "x" * 64) != await named(bob, "x" * 64)
    assert len({await named(odd, "den"), await named(odd, "d:den"), await named(alice, "a:den")}) == 3
    await alice.send(room=long)
    escaped = await named(harness.connect("auth0=7c5f7c"), "den")
    assert escaped == "group:auth0=7c5f7c:den"


@pytest.mark.asyncio
async def test_a_group_that_its_maker_left_and_others_did_not_is_told_of_by_a_conflict() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    request = v1.CreateRequest(room="den", kind=v1.GROUP, members=["bob"])
    room = (await alice.call("rooms.create", request)).room.room
    await alice.leave_room(room)
    with raises_error(Code.CONFLICT, "left it"):
        await alice.call("rooms.create", request)
    await bob.leave_room(room)
    assert (await alice.call("rooms.create", request)).room.members == 2


@pytest.mark.asyncio
async def test_a_group_that_has_the_name_it_was_asked_for_keeps_it() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    request = v1.CreateRequest(room="den", kind=v1.GROUP, members=["bob"])
    assert (await alice.call("rooms.create", request)).room.room == "den"
    assert (await bob.call("rooms.create", v1.CreateRequest(room="den", kind=v1.GROUP))).room.room == "group:bob:den"


@pytest.mark.asyncio
async def test_a_room_without_a_name_gets_one() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    names = {(await alice.create_room("")).room.room for _ in range(3)}
    assert len(names) == 3
    assert all(names)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_",
    [
        v1.CreateRequest(room="den"),
        v1.CreateRequest(room="a b", kind=v1.GROUP),
        v1.CreateRequest(room="direct:a:b", kind=v1.GROUP),
        v1.CreateRequest(room="Direct:a:b", kind=v1.OPEN),
        v1.CreateRequest(room="group:alice:den", kind=v1.OPEN),
        v1.CreateRequest(room="group:bob:den", kind=v1.GROUP),
        v1.CreateRequest(room="group:alice:", kind=v1.GROUP),
        v1.CreateRequest(room="Group:den", kind=v1.GROUP),
        v1.CreateRequest(room="den", kind=v1.GROUP, title="two\nlines"),
        v1.CreateRequest(room="den", kind=v1.GROUP, members=["a b"]),
        v1.CreateRequest(room="den", kind=v1.GROUP, members=[f"u{number}" for number in range(501)]),
        v1.CreateRequest(kind=v1.DIRECT),
        v1.CreateRequest(kind=v1.DIRECT, members=["alice"]),
        v1.CreateRequest(kind=v1.DIRECT, members=["bob", "carol"]),
        v1.CreateRequest(kind=v1.DIRECT, members=["bob"], room="ours"),
    ],
)
async def test_a_room_that_cannot_be_is_not_made(request_: v1.CreateRequest) -> None:
    (alice,) = DomainHarness().connect_all("alice")
    with raises_error(Code.INVALID_ARGUMENT):
        await alice.call("rooms.create", request_)


@pytest.mark.asyncio
async def test_two_users_share_one_direct_room() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    first, second = await asyncio.gather(
        alice.create_room("", v1.DIRECT, "bob"), bob.create_room("", v1.DIRECT, "alice")
    )
    assert first.room == second.room
    assert first.room.room == "direct:alice:bob"
    assert first.role == second.role == v1.MEMBER
    assert await bob.create_room("direct:alice:bob", v1.DIRECT, "alice") == first


@pytest.mark.asyncio
async def test_a_direct_room_keeps_its_two_people() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    room = (await alice.create_room("", v1.DIRECT, "bob")).room.room
    for attempt in (
        alice.leave_room(room),
        bob.leave_room(room, "alice"),
        alice.join_room(room, "carol"),
        alice.join_room(room, "bob", 1),
    ):
        with raises_error(DENIED):
            await attempt
    assert (await alice.join_room(room)).role == v1.MEMBER


@pytest.mark.asyncio
async def test_anybody_joins_an_open_room_and_joining_twice_is_joining_once() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    assert (await bob.call("rooms.get", v1.GetRequest(room="square"))).role == v1.ROLE_UNSPECIFIED
    assert (await bob.join_room("square")).role == v1.MEMBER
    head = (await bob.page("square")).head.seq
    assert (await bob.join_room("square")).role == v1.MEMBER
    assert (await bob.page("square")).head.seq == head


@pytest.mark.asyncio
async def test_a_member_cannot_raise_their_own_role() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    for asked in (v1.OWNER, v1.MODERATOR, v1.READER):
        with raises_error(DENIED):
            await bob.join_room("square", role=asked)
    await bob.join_room("square", role=v1.MEMBER)
    for asked in (v1.OWNER, v1.MODERATOR):
        with raises_error(DENIED):
            await bob.join_room("square", role=asked)
    with raises_error(Code.INVALID_ARGUMENT, "role"):
        await bob.join_room("square", role=9)


@pytest.mark.asyncio
async def test_a_group_does_not_let_itself_be_seen_by_who_wants_in_or_out() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den")
    for attempt in (
        bob.join_room("den"),
        bob.leave_room("den"),
        bob.leave_room("den", "alice"),
        bob.join_room("den", "carol"),
    ):
        with raises_error(Code.NOT_FOUND):
            await attempt


# Who may give `target`, who has the role `before`, the role `after`. Those not in the table may not.
ROLES = (v1.OWNER, v1.MODERATOR, v1.MEMBER, v1.READER)
MANAGEABLE_ROLES = {
    v1.OWNER: {0, *ROLES},
    v1.MODERATOR: {0, v1.MEMBER, v1.READER},
    v1.MEMBER: set(),
    v1.READER: set(),
    0: set(),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [v1.GROUP, v1.OPEN])
@pytest.mark.parametrize("actor", list(MANAGEABLE_ROLES))
@pytest.mark.parametrize("before", [0, *ROLES])
async def test_who_may_change_and_remove_whom(kind: int, actor: int, before: int) -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    for after in (*ROLES, 0):
        room = f"room{after}"
        await alice.create_room(room, kind)
        for user, given in (("bob", actor), ("carol", before)):
            if given:
                await alice.join_room(room, user, given)
        change = bob.join_room(room, "carol", after) if after else bob.leave_room(room, "carol")
        allowed = {before, after} <= MANAGEABLE_ROLES[actor] or (before == after and actor in (v1.OWNER, v1.MODERATOR))
        if allowed:
            await change
            assert await role(alice, "carol", room) == after
        else:
            with raises_error(Code.NOT_FOUND if not actor and kind == v1.GROUP else DENIED):
                await change
            assert await role(alice, "carol", room) == before


@pytest.mark.asyncio
async def test_who_is_brought_in_without_a_role_is_a_member_and_who_is_in_keeps_theirs() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    await alice.join_room(user="bob")
    assert await role(alice, "bob") == v1.MEMBER
    await alice.join_room(user="bob", role=v1.MODERATOR)
    await alice.join_room(user="bob")
    assert await role(alice, "bob") == v1.MODERATOR


@pytest.mark.asyncio
async def test_the_only_owner_takes_no_other_role_before_there_is_another_owner() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    with raises_error(DENIED, "make another owner first"):
        await alice.join_room(user="alice", role=v1.MEMBER)
    await alice.join_room(user="bob", role=v1.OWNER)
    await alice.join_room(role=v1.READER)
    assert await role(bob, "alice") == v1.READER


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [v1.GROUP, v1.OPEN])
async def test_a_room_passes_from_its_last_owner_to_the_moderator_or_member_longest_in_it(kind: int) -> None:
    alice, bob, carol, dan, zoe = DomainHarness().connect_all("alice", "bob", "carol", "dan", "zoe")
    await alice.create_room("den", kind, "zoe", "bob")
    await alice.join_room(user="dan", role=v1.MODERATOR)
    await alice.join_room(user="carol", role=v1.MODERATOR)
    reader = await bob.watch_room()
    for leaving, heir in ((alice, "dan"), (dan, "carol"), (carol, "zoe"), (zoe, "bob")):
        await leaving.leave_room()
        assert await role(bob, heir) == v1.OWNER
    await settle()
    assert [(event.member.user, event.member.role, event.member.left) for event in reader.events[:2]] == [
        ("dan", v1.OWNER, False),
        ("alice", v1.OWNER, True),
    ]
    await bob.join_room(user="eve")


@pytest.mark.asyncio
async def test_who_was_silenced_does_not_become_the_owner() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    await alice.join_room("square", "bob", v1.READER)
    await alice.leave_room("square")
    assert await role(bob, "bob", "square") == v1.READER


@pytest.mark.asyncio
async def test_two_owners_who_leave_at_once_leave_the_room_to_another_one() -> None:
    alice, bob, carol = DomainHarness().connect_all("alice", "bob", "carol")
    await alice.create_room("den", v1.GROUP, "bob", "carol")
    await alice.join_room(user="bob", role=v1.OWNER)
    await asyncio.gather(alice.leave_room(), bob.leave_room())
    assert await role(carol, "carol") == v1.OWNER


@pytest.mark.asyncio
async def test_of_two_owners_who_demote_each_other_at_once_one_stays_owner() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await alice.join_room(user="bob", role=v1.OWNER)
    results = await asyncio.gather(
        alice.join_room(user="bob", role=v1.MEMBER),
        bob.join_room(user="alice", role=v1.MEMBER),
        return_exceptions=True,
    )
    assert [isinstance(result, ApiError) for result in results] == [False, True]
    assert [await harness.store.role("den", user) for user in ("alice", "bob")] == [v1.OWNER, v1.MEMBER]


@pytest.mark.asyncio
async def test_a_change_decided_by_an_old_role_is_decided_again_by_the_role_in_the_store() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob", "cem")
    await alice.join_room(user="bob", role=v1.MODERATOR)
    # Another node takes the role away, and this one is not notified.
    listener, harness.store._commit_listener = harness.store._commit_listener, None  # type: ignore[attr-defined]
    for role in (v1.READER, v1.MEMBER):
        await harness.store.append(
            v1.Event(room="den", actor="alice", at_ms=1, member=v1.Member(user="bob", role=role))
        )
    harness.store._commit_listener = listener  # type: ignore[attr-defined]
    with raises_error(DENIED, "only owners and moderators"):
        await bob.leave_room(user="cem")
    assert await harness.store.role("den", "cem") == v1.MEMBER


@pytest.mark.asyncio
async def test_an_operator_may_claim_an_open_room_without_an_owner_and_no_other_room() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    root = harness.connect("root", operator=True)
    await alice.create_room("square", v1.OPEN)
    with raises_error(DENIED):
        await root.join_room("square", role=v1.OWNER)
    await alice.leave_room("square")
    with raises_error(DENIED):
        await bob.join_room("square", role=v1.OWNER)
    assert (await root.join_room("square", role=v1.OWNER)).role == v1.OWNER
    await alice.create_room("den", v1.GROUP, "bob")
    with raises_error(Code.NOT_FOUND):
        await root.join_room("den", role=v1.OWNER)


@pytest.mark.asyncio
async def test_a_group_without_members_is_removed_and_its_name_is_free() -> None:
    harness = DomainHarness()
    alice, bob, carol = harness.connect_all("alice", "bob", "carol")
    await alice.create_room("den", v1.GROUP, "bob")
    await alice.send("secret", client_id="a")
    watching = await bob.watch_room()
    await alice.leave_room()
    await bob.leave_room()
    await settle()
    assert watching.api_error.code is Code.PERMISSION_DENIED
    for attempt in (alice.page, bob.watch_room, alice.send):
        with raises_error(Code.NOT_FOUND):
            await attempt()
    # Made again it is another room: nothing of the old one shows, for those who were in it either.
    assert (await carol.create_room("den", v1.OPEN)).room.members == 1
    assert [event.WhichOneof("what") for event in (await alice.page()).events] == ["changed", "member"]
    assert [await role(alice, user) for user in ("alice", "bob", "carol")] == [0, 0, v1.OWNER]
    assert await alice.send("hello", client_id="a") == 3


@pytest.mark.asyncio
async def test_a_group_that_is_made_again_is_followed_from_its_beginning() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    for number in range(3):
        await alice.create_room("den")
        reader = await alice.watch_room(after=v1.Cursor(seq=0))
        await alice.send(f"round {number}")
        await settle()
        assert reader.seqs == [1, 2, 3]
        assert reader.events[-1].posted.text == f"round {number}"
        await alice.leave_room()


@pytest.mark.asyncio
async def test_a_direct_room_is_hidden_by_either_side_until_its_next_message() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    room = (await alice.create_room("", v1.DIRECT, "bob")).room.room
    await alice.send(room=room)
    lists = {who.name: await who.watch("rooms.watch", v1.RoomsWatchRequest()) for who in (alice, bob)}

    async def hidden(who: ConnectedUser) -> bool:
        (state,) = (await who.call("rooms.list", v1.ListRequest())).rooms
        await harness.advance_time(1)
        rows = [item.room for item in lists[who.name].items if item.HasField("room")]
        assert rows[-1].hidden == state.hidden
        return bool(state.hidden)

    async def hide(shown: bool = False) -> None:
        await alice.call("rooms.hide", v1.HideRequest(room=room, shown=shown))

    await hide()
    await hide()
    assert (await hidden(alice), await hidden(bob)) == (True, False)
    seq = await bob.send("still there?", room=room)
    assert not await hidden(alice)
    await hide()
    # Nothing but a message shows it again …
    await bob.call("chat.react", v1.ReactRequest(room=room, client_id="r", target=seq, emoji="👍"))
    assert await hidden(alice)
    # … or the user, by taking it back or by beginning a talk with the same person.
    await hide(shown=True)
    assert not await hidden(alice)
    await hide()
    await alice.create_room("", v1.DIRECT, "bob")
    assert not await hidden(alice)


@pytest.mark.asyncio
async def test_only_direct_rooms_of_ones_own_are_hidden() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den")
    with raises_error(Code.INVALID_ARGUMENT, "rooms.leave"):
        await alice.call("rooms.hide", v1.HideRequest(room="den"))
    for room in ("den", "nowhere"):
        with raises_error(Code.NOT_FOUND):
            await bob.call("rooms.hide", v1.HideRequest(room=room))


@pytest.mark.asyncio
async def test_leaving_an_open_room_twice_is_leaving_once() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    await bob.join_room("square")
    await bob.leave_room("square")
    head = (await bob.page("square")).head.seq
    await bob.leave_room("square")
    assert (await bob.page("square")).head.seq == head


@pytest.mark.asyncio
async def test_a_reader_of_an_open_room_does_not_get_their_voice_back_by_leaving() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("square", v1.OPEN)
    await alice.join_room("square", "bob", v1.READER)
    with raises_error(DENIED):
        await bob.leave_room("square")
    await alice.leave_room("square", "bob")
    await bob.send(room="square")


@pytest.mark.asyncio
async def test_changes_of_members_are_events_of_the_log() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    await alice.create_room("den")
    reader = await alice.watch_room()
    await alice.join_room(user="bob")
    await alice.join_room(user="bob", role=v1.READER)
    await bob.leave_room()
    await settle()
    assert [(event.actor, event.member) for event in reader.events] == [
        ("alice", v1.Member(user="bob", role=v1.MEMBER)),
        ("alice", v1.Member(user="bob", role=v1.READER)),
        ("bob", v1.Member(user="bob", role=v1.READER, left=True)),
    ]


@pytest.mark.asyncio
async def test_members_come_in_pages_by_name() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room("den", v1.GROUP, "bob", "carol", "dave")
    first = await alice.call("rooms.members", v1.MembersRequest(room="den", limit=2))
    assert ([member.user for member in first.members], first.more) == (["alice", "bob"], True)
    rest = await alice.call("rooms.members", v1.MembersRequest(room="den", after="bob", limit=2))
    assert ([member.user for member in rest.members], rest.more) == (["carol", "dave"], False)
    with raises_error(Code.INVALID_ARGUMENT, "1000"):
        await alice.call("rooms.members", v1.MembersRequest(room="den", limit=1001))


@pytest.mark.asyncio
async def test_my_rooms_and_the_open_ones_come_in_pages_by_name() -> None:
    alice, bob = DomainHarness().connect_all("alice", "bob")
    for room, kind in (("a", v1.OPEN), ("b", v1.GROUP), ("c", v1.OPEN), ("d", v1.OPEN)):
        await alice.create_room(room, kind)
    await bob.join_room("c")
    await alice.send("hi", room="c")

    async def names(who: ConnectedUser, scope: int, **request: object) -> tuple[list[str], bool]:
        reply = await who.call("rooms.list", v1.ListRequest(scope=v1.RoomScope.ValueType(scope), **request))  # type: ignore[arg-type]
        return [state.room.room for state in reply.rooms], reply.more

    assert await names(alice, v1.MINE) == (["a", "b", "c", "d"], False)
    assert await names(bob, v1.MINE) == (["c"], False)
    assert await names(bob, v1.PUBLIC) == (["a", "c", "d"], False)
    assert await names(bob, v1.PUBLIC, limit=2) == (["a", "c"], True)
    assert await names(bob, v1.PUBLIC, after="c") == (["d"], False)
    public = await bob.call("rooms.list", v1.ListRequest(scope=v1.PUBLIC))
    states = {state.room.room: state for state in public.rooms}
    assert (states["a"].role, states["a"].HasField("last")) == (0, False)
    assert (states["c"].role, states["c"].last.posted.text, states["c"].unread) == (v1.MEMBER, "hi", 1)
    with raises_error(Code.INVALID_ARGUMENT, "1000"):
        await names(bob, v1.MINE, limit=1001)
    with raises_error(Code.INVALID_ARGUMENT, "scope"):
        await names(bob, 5)


@pytest.mark.asyncio
async def test_a_guest_is_a_user_while_the_connection_lives() -> None:
    harness = DomainHarness()
    guest = harness.connect("guest-4f2a", guest=True)
    (alice,) = harness.connect_all("alice")
    await alice.create_room("square", v1.OPEN)
    await guest.send("may I?", room="square")
    await guest.join_room("square")
    assert (await guest.create_room("mine")).role == v1.OWNER
    with raises_error(Code.NOT_FOUND):
        await alice.page("mine")


@pytest.mark.asyncio
async def test_making_rooms_and_joining_them_count_as_sending() -> None:
    harness = DomainHarness(dev=False, sends_per_second_max=1.0, sends_burst_max=3)
    (alice,) = harness.connect_all("alice")
    await alice.create_room("a", v1.OPEN)
    await alice.join_room("a", "bob")
    for attempt in (alice.create_room("b", v1.OPEN), alice.join_room("a", "carol"), alice.leave_room("a", "bob")):
        with raises_error(Code.RESOURCE_EXHAUSTED):
            await attempt
