"""What every store's directory must do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kits.store.assertions import raises_api_error
from kits.store.factories import (
    NOW_MS,
    RecordingListener,
    create_group,
    create_open_room,
    new_deletion,
    new_edit,
    new_membership,
    new_message,
    new_reaction,
    parse,
    read_all,
    texts,
)
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.domain.ports.store import (
    UNREAD_MAX,
    MemberDecision,
    MemberRecord,
    RolesChangedError,
    RoomRecord,
    Store,
)

Act = Callable[[Store], Awaitable[Any]]


class DirectoryKit:
    """Rooms, members, positions."""

    # making rooms

    @pytest.mark.asyncio
    async def test_a_room_begins_with_what_made_it(self, store: Store) -> None:
        record, events = await store.create_room(
            "team", kind=v1.GROUP, title="Team", creator="ann", members=["bob", "ann", "cem", "bob"], at_ms=NOW_MS
        )
        assert record == RoomRecord("team", v1.GROUP, "Team", "ann", NOW_MS, await store.head("team"), 3)
        assert record.head.seq == 4
        log = await read_all(store, "team")
        assert list(events) == log
        assert [parse(event).actor for event in log] == ["ann"] * 4
        assert parse(log[0]).changed == v1.RoomChanged(title="Team", kind=v1.GROUP, created=True)
        assert [parse(event).member for event in log[1:]] == [
            v1.Member(user="ann", role=v1.OWNER),
            v1.Member(user="bob", role=v1.MEMBER),
            v1.Member(user="cem", role=v1.MEMBER),
        ]

    @pytest.mark.asyncio
    async def test_two_people_are_both_members_of_their_room(self, store: Store) -> None:
        await store.create_room("@ann:bob", kind=v1.DIRECT, title="", creator="ann", members=["bob"], at_ms=NOW_MS)
        assert [await store.role("@ann:bob", user) for user in ("ann", "bob", "cem")] == [v1.MEMBER, v1.MEMBER, 0]

    @pytest.mark.asyncio
    async def test_a_room_that_nobody_made_is_empty(self, store: Store) -> None:
        record, events = await store.create_room(
            "general", kind=v1.OPEN, title="General", creator="", members=[], at_ms=NOW_MS
        )
        assert (record.members, record.head.seq, list(events)) == (0, 0, [])

    @pytest.mark.asyncio
    async def test_the_same_room_again_is_the_room_as_it_is_now(self, store: Store) -> None:
        async def create(*members: str) -> tuple[RoomRecord, int]:
            record, events = await store.create_room(
                "team", kind=v1.GROUP, title="Team", creator="ann", members=members, at_ms=NOW_MS + 5
            )
            return record, len(events)

        await create("bob", "cem")
        await store.append(new_message("team", "ann", "hello"))
        record, written = await create("cem", "bob")
        assert (record.head.seq, written) == (5, 0)

    @pytest.mark.asyncio
    async def test_another_room_of_the_same_name_is_a_conflict(self, store: Store) -> None:
        await store.create_room("team", kind=v1.GROUP, title="Team", creator="ann", members=["bob"], at_ms=NOW_MS)
        others = [
            (v1.GROUP, "Team", "bob", ["ann"]),
            (v1.GROUP, "Other", "ann", ["bob"]),
            (v1.OPEN, "Team", "ann", ["bob"]),
            (v1.GROUP, "Team", "ann", []),
        ]
        for kind, title, creator, members in others:
            with raises_api_error(Code.CONFLICT):
                await store.create_room("team", kind=kind, title=title, creator=creator, members=members, at_ms=NOW_MS)

    @pytest.mark.asyncio
    async def test_the_room_of_two_people_is_the_same_whoever_makes_it(self, store: Store) -> None:
        one, _ = await store.create_room("@", kind=v1.DIRECT, title="", creator="ann", members=["bob"], at_ms=NOW_MS)
        two, events = await store.create_room("@", kind=v1.DIRECT, title="", creator="bob", members=["ann"], at_ms=9)
        assert (two, list(events)) == (one, [])
        with raises_api_error(Code.CONFLICT):
            await store.create_room("@", kind=v1.DIRECT, title="", creator="bob", members=["cem"], at_ms=9)

    @pytest.mark.asyncio
    async def test_a_room_of_two_is_for_two_and_only_open_rooms_are_made_by_nobody(self, store: Store) -> None:
        wrong = [
            (v1.DIRECT, "ann", ["bob", "cem"]),
            (v1.DIRECT, "ann", []),
            (v1.DIRECT, "ann", ["ann"]),
            (v1.GROUP, "", []),
            (v1.OPEN, "", ["ann"]),
        ]
        for kind, creator, members in wrong:
            with raises_api_error(Code.INVALID_ARGUMENT):
                await store.create_room("odd", kind=kind, title="", creator=creator, members=members, at_ms=NOW_MS)
        assert await store.room("odd") is None

    @pytest.mark.asyncio
    async def test_who_makes_the_same_room_at_the_same_moment_gets_the_same_room(self, store: Store) -> None:
        answers = await asyncio.gather(
            *(
                store.create_room("team", kind=v1.GROUP, title="", creator="ann", members=["bob"], at_ms=NOW_MS)
                for _ in range(4)
            )
        )
        assert {record.head.epoch for record, _ in answers} == {(await store.head("team")).epoch}
        assert [len(events) for _, events in answers] == [3, 0, 0, 0]

    @pytest.mark.asyncio
    async def test_a_user_makes_so_many_rooms_and_those_that_everybody_left_do_not_count(self, store: Store) -> None:
        async def create(room: str, creator: str = "ann") -> None:
            await store.create_room(
                room, kind=v1.GROUP, title="", creator=creator, members=[], at_ms=NOW_MS, created_max=2
            )

        await create("one")
        await create("two")
        await create("two")
        with raises_api_error(Code.RESOURCE_EXHAUSTED):
            await create("three")
        await create("three", "bob")
        await store.append(new_membership("one", "ann", "ann", left=True))
        await create("four")

    @pytest.mark.asyncio
    async def test_a_group_that_everybody_left_frees_its_name_in_the_same_commit(self, store: Store) -> None:
        await create_group(store, "team", "ann")
        before = await store.head("team")
        await store.append(new_message("team", "ann", "walrus", client_id="a"))
        listener = RecordingListener()
        store.on_committed(listener)

        async def post() -> None:
            await store.append(new_message("team", "bob", "seal", client_id="a"))

        # Together, so that one commit holds the end of one room and the beginning of another.
        await asyncio.gather(
            store.append(new_membership("team", "ann", "ann", left=True)),
            store.create_room("team", kind=v1.GROUP, title="", creator="bob", members=[], at_ms=NOW_MS),
            post(),
        )
        head = await store.head("team")
        assert (head.seq, head.epoch != before.epoch) == (3, True)
        told = [(epoch, event.seq) for _, epoch, events, _ in listener.calls for event in events]
        assert told == [(before.epoch, 4), *((head.epoch, seq) for seq in (1, 2, 3))]
        assert texts(await read_all(store, "team"))[2:] == ["seal"]
        assert not (await store.search("walrus", rooms=["team"], sender="", page_token="", limit=9)).events
        assert [record.user for record in await store.members("team", after="", limit=9)] == ["bob"]
        assert list(await store.room_names_of("ann")) == []

    @pytest.mark.asyncio
    async def test_an_open_room_stays_when_everybody_left(self, store: Store) -> None:
        await store.create_room("square", kind=v1.OPEN, title="", creator="ann", members=[], at_ms=NOW_MS)
        await store.append(new_membership("square", "ann", "ann", left=True))
        assert (await store.head("square")).seq == 3
        await store.append(new_message("square", "bob", "hello"))

    @pytest.mark.asyncio
    async def test_a_standing_is_what_the_room_is_and_who_the_user_is_in_it(self, store: Store) -> None:
        await create_group(store, "team", "ann")
        await create_open_room(store, "lobby")
        asked = [("team", "ann"), ("team", "bob"), ("lobby", "ann"), ("nowhere", "ann")]
        assert [await store.membership(*each) for each in asked] == [
            (v1.GROUP, v1.OWNER, True),
            (v1.GROUP, 0, False),
            (v1.OPEN, 0, False),
            (0, 0, False),
        ]

    @pytest.mark.asyncio
    async def test_whether_a_room_has_an_owner_besides_a_user(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        assert not await store.has_other_owner("team", "ann")
        assert await store.has_other_owner("team", "bob")
        assert await store.has_other_owner("team", "")
        await store.append(
            v1.Event(room="team", actor="ann", at_ms=NOW_MS, member=v1.Member(user="bob", role=v1.OWNER))
        )
        assert await store.has_other_owner("team", "ann")
        assert not await store.has_other_owner("nowhere", "")

    @pytest.mark.asyncio
    async def test_the_only_owner_keeps_the_role_until_there_is_another_one(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        with raises_api_error(Code.PERMISSION_DENIED):
            await store.append(new_membership("team", "ann", "ann", v1.MEMBER))
        await store.append(new_membership("team", "ann", "bob", v1.OWNER))
        await store.append(new_membership("team", "ann", "ann", v1.MEMBER))
        assert [await store.role("team", user) for user in ("ann", "bob")] == [v1.MEMBER, v1.OWNER]

    @pytest.mark.asyncio
    async def test_of_two_owners_who_step_down_at_the_same_time_one_stays(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        await store.append(new_membership("team", "ann", "bob", v1.OWNER))
        results = await asyncio.gather(
            *(store.append(new_membership("team", user, user, v1.MEMBER)) for user in ("ann", "bob")),
            return_exceptions=True,
        )
        assert [isinstance(result, ApiError) for result in results] == [False, True]
        assert await store.has_other_owner("team", "ann")

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "decision",
        [
            MemberDecision(v1.MODERATOR, v1.MEMBER),
            MemberDecision(v1.OWNER, v1.READER),
            MemberDecision(v1.OWNER, v1.MEMBER, needs_no_owner=True),
        ],
        ids=["the actor's role", "the member's role", "that there is no owner"],
    )
    async def test_a_change_decided_by_roles_that_no_longer_hold_writes_nothing(
        self, store: Store, decision: MemberDecision
    ) -> None:
        await create_group(store, "team", "ann", "bob")
        before = await store.head("team")
        with pytest.raises(RolesChangedError):
            await store.change_member(new_membership("team", "ann", "bob", v1.READER), decision)
        assert (await store.head("team"), await store.role("team", "bob")) == (before, v1.MEMBER)
        await store.change_member(new_membership("team", "ann", "bob", v1.READER), MemberDecision(v1.OWNER, v1.MEMBER))
        assert await store.role("team", "bob") == v1.READER
        with raises_api_error(Code.NOT_FOUND):
            await store.change_member(new_membership("nowhere", "ann", "bob"), decision)

    @pytest.mark.asyncio
    async def test_two_users_share_a_room_when_both_have_consented_there(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        await create_group(store, "others", "cem", "dan")
        for other in ("dan", "eve"):
            room = f"@ann:{other}"
            await store.create_room(room, kind=v1.DIRECT, title="", creator="ann", members=[other], at_ms=NOW_MS)
        others = ["bob", "cem", "dan", "eve", "nobody"]
        assert await store.users_sharing_room("ann", others) == set()
        assert await store.users_sharing_room("dan", ["ann", "cem"]) == set()
        await store.append(new_message("team", "bob", "hello"))
        assert await store.users_sharing_room("ann", others) == {"bob"}
        assert await store.users_sharing_room("bob", ["ann", "cem"]) == {"ann"}
        await store.advance_positions("@ann:eve", "eve", delivered=1, read=1)
        assert await store.users_sharing_room("ann", others) == {"bob", "eve"}
        await store.append(new_membership("team", "bob", "bob", left=True))
        assert await store.users_sharing_room("ann", others) == {"eve"}

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "act",
        [
            lambda store: store.append(new_message("team", "bob", "hello")),
            lambda store: store.append(new_edit("team", "bob", 5, "another")),
            lambda store: store.append(new_reaction("team", "bob", 4, "👍")),
            lambda store: store.append(new_membership("team", "bob", "bob")),
            lambda store: store.append(new_membership("team", "bob", "bob", v1.READER)),
            lambda store: store.advance_positions("team", "bob", delivered=0, read=8),
            lambda store: asyncio.gather(*(store.append(new_message("team", "bob", f"{n}")) for n in range(3))),
        ],
        ids=["writing", "editing", "reacting", "joining", "taking a lesser role", "reading", "writing much at once"],
    )
    async def test_who_was_brought_in_consents_by_an_act_of_their_own(self, store: Store, act: Act) -> None:
        await self._left_and_brought_in_again(store)
        listener: list[Any] = []
        store.on_committed(lambda room, epoch, events, amended, members: listener.extend(members))
        await act(store)
        assert (await store.membership("team", "bob")).consented
        assert [record.consented for record in await store.members("team", after="", limit=9)] == [True, True]
        assert await store.users_sharing_room("ann", ["bob"]) == {"bob"}
        assert [(change.member.user, change.member.left, change.consented) for change in listener] == [
            ("bob", False, True)
        ]
        assert listener[0].member.role == await store.role("team", "bob")

    @pytest.mark.asyncio
    @pytest.mark.parametrize(
        "act",
        [
            lambda store: store.append(new_membership("team", "ann", "bob", v1.OWNER)),
            lambda store: store.append(new_membership("team", "ann", "ann", left=True)),
            lambda store: store.append(new_deletion("team", "bob", 5)),
            lambda store: store.append(new_reaction("team", "bob", 4, "x", removed=True)),
            lambda store: store.advance_positions("team", "bob", delivered=9, read=0),
            lambda store: store.advance_positions("team", "bob", delivered=9, read=7),
            lambda store: store.append(new_message("team", "bob", "hi", client_id="bobs")),
        ],
        ids=["made owner", "heir", "deleting", "taking a reaction back", "delivered", "read before", "repeating"],
    )
    async def test_what_others_do_to_a_member_or_what_takes_back_is_no_consent(self, store: Store, act: Act) -> None:
        await self._left_and_brought_in_again(store)
        await act(store)
        assert (await store.membership("team", "bob")).consented is False
        assert await store.users_sharing_room("ann", ["bob"]) == set()
        assert await store.users_sharing_room("bob", ["ann"]) == set()

    async def _left_and_brought_in_again(self, store: Store) -> None:
        """Ann's room, where bob wrote and reacted; he left, and ann brought him in again."""
        await create_group(store, "team", "ann", "bob")
        await store.append(new_message("team", "ann", "hello"))
        await store.append(new_message("team", "bob", "hi", client_id="bobs"))
        await store.append(new_reaction("team", "bob", 4, "x"))
        assert (await store.membership("team", "bob")).consented
        await store.append(new_membership("team", "bob", "bob", left=True))
        await store.append(new_membership("team", "ann", "bob"))
        assert not (await store.membership("team", "bob")).consented

    @pytest.mark.asyncio
    async def test_consent_without_an_event_leaves_the_log_and_its_index_as_they_are(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        head = await store.head("team")
        await store.advance_positions("team", "bob", delivered=0, read=1)
        assert (await store.membership("team", "bob")).consented
        assert await store.head("team") == head
        await store.append(new_message("team", "ann", "walrus"))
        assert texts((await store.search("walrus", rooms=["team"], sender="", page_token="", limit=9)).events) == [
            "walrus"
        ]

    @pytest.mark.asyncio
    async def test_what_became_of_a_member_is_told_in_the_order_in_which_it_happened(self, store: Store) -> None:
        await create_group(store, "team", "ann", "bob")
        listener: list[bool] = []
        store.on_committed(lambda *told: listener.extend(change.consented for change in told[-1]))
        await asyncio.gather(
            store.append(new_message("team", "bob", "hello")),
            store.append(new_membership("team", "bob", "bob", left=True)),
            store.append(new_membership("team", "ann", "bob")),
            store.append(new_message("team", "ann", "hello")),
        )
        assert listener == [True, False, False]
        assert await store.users_sharing_room("ann", ["bob"]) == set()

    @pytest.mark.asyncio
    async def test_a_reader_of_an_open_room_who_cannot_leave_it_is_not_seen_there(self, store: Store) -> None:
        await store.create_room("square", kind=v1.OPEN, title="", creator="ann", members=["bob"], at_ms=NOW_MS)
        await store.append(new_membership("square", "bob", "bob"))
        assert await store.users_sharing_room("ann", ["bob"]) == {"bob"}
        await store.append(new_membership("square", "ann", "bob", v1.READER))
        await store.advance_positions("square", "bob", delivered=2, read=2)
        await store.append(new_membership("square", "bob", "bob", v1.READER))
        assert await store.users_sharing_room("ann", ["bob"]) == set()
        await store.append(new_membership("square", "ann", "bob", v1.MEMBER))
        assert await store.users_sharing_room("ann", ["bob"]) == set()
        await store.advance_positions("square", "bob", delivered=2, read=2)
        assert await store.users_sharing_room("ann", ["bob"]) == {"bob"}

    @pytest.mark.asyncio
    async def test_who_makes_a_direct_room_that_is_there_consents_in_it(self, store: Store) -> None:
        for creator, other in (("ann", "bob"), ("bob", "ann")):
            await store.create_room("@", kind=v1.DIRECT, title="", creator=creator, members=[other], at_ms=NOW_MS)
            assert (await store.membership("@", creator)).consented
        assert await store.users_sharing_room("ann", ["bob"]) == {"bob"}

    @pytest.mark.asyncio
    async def test_who_writes_without_being_a_member_has_consented_to_nothing(self, store: Store) -> None:
        await store.create_room("square", kind=v1.OPEN, title="", creator="ann", members=[], at_ms=NOW_MS)
        await store.append(new_message("square", "bob", "hello"))
        assert not (await store.membership("square", "bob")).consented
        await store.append(new_membership("square", "ann", "bob"))
        assert not (await store.membership("square", "bob")).consented
        await store.append(new_message("square", "bob", "hello"))
        assert (await store.membership("square", "bob")).consented

    @pytest.mark.asyncio
    async def test_a_room_is_hidden_from_one_member_until_its_next_message(self, store: Store) -> None:
        await store.create_room("@", kind=v1.DIRECT, title="", creator="ann", members=["bob"], at_ms=NOW_MS)

        async def hidden(user: str) -> bool:
            (record,) = await store.room_list_entries(user, ["@"])
            assert list(await store.room_list_page(user, after="", limit=9)) == [record]
            return record.hidden

        assert not await hidden("ann")
        assert await store.set_hidden("@", "ann", hidden=True)
        assert not await store.set_hidden("@", "ann", hidden=True)
        assert (await hidden("ann"), await hidden("bob")) == (True, False)
        await store.append(new_message("@", "bob", "hello"))
        assert not await hidden("ann")
        assert not await store.set_hidden("@", "ann", hidden=False)
        assert await store.set_hidden("@", "ann", hidden=True)
        assert await store.set_hidden("@", "ann", hidden=False)
        assert not await hidden("ann")
        with raises_api_error(Code.NOT_FOUND):
            await store.set_hidden("@", "cem", hidden=True)

    @pytest.mark.asyncio
    async def test_every_room_has_an_epoch_of_its_own(self, store: Store) -> None:
        rooms = [await create_open_room(store, f"room{number}") for number in range(20)]
        epochs = {(await store.head(room)).epoch for room in rooms}
        assert len(epochs) == 20
        assert all(8 <= len(epoch) <= 12 for epoch in epochs)

    @pytest.mark.asyncio
    async def test_open_rooms_are_listed_by_name(self, store: Store) -> None:
        for room in ("b", "a", "ä", "c", "B"):
            await create_open_room(store, room)
        await create_group(store, "secret", "ann")
        assert [record.room for record in await store.public_rooms(after="", limit=9)] == ["B", "a", "b", "c", "ä"]
        assert [record.room for record in await store.public_rooms(after="a", limit=2)] == ["b", "c"]

    @pytest.mark.asyncio
    async def test_a_room_that_is_not_there_is_none(self, store: Store) -> None:
        assert await store.room("nowhere") is None
        assert await store.role("nowhere", "ann") == 0
        assert list(await store.members("nowhere", after="", limit=9)) == []

    @pytest.mark.asyncio
    async def test_a_changed_description_is_the_rooms(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        await store.append(v1.Event(room=room, actor="ann", at_ms=NOW_MS, changed=v1.RoomChanged(title="New")))
        record = await store.room(room)
        assert record is not None
        assert (record.title, record.kind) == ("New", v1.GROUP)

    # members

    @pytest.mark.asyncio
    async def test_people_come_change_and_leave(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        await store.append(new_membership(room, "ann", "bob"))
        assert await store.role(room, "bob") == v1.MEMBER
        await store.append(new_membership(room, "ann", "bob", v1.MODERATOR))
        assert await store.role(room, "bob") == v1.MODERATOR
        record = await store.room(room)
        assert record is not None
        assert record.members == 2
        await store.append(new_membership(room, "bob", "bob", left=True))
        record = await store.room(room)
        assert record is not None
        assert (record.members, await store.role(room, "bob")) == (1, 0)
        assert list(await store.room_names_of("bob")) == []

    @pytest.mark.asyncio
    async def test_a_membership_that_stays_as_it_is_is_no_event(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        for same in (new_membership(room, "ann", "ann", v1.OWNER), new_membership(room, "ann", "bob", left=True)):
            written = await store.append(same)
            assert (written.seq, written.duplicate, written.event) == (2, True, None)
        assert (await store.head(room)).seq == 2

    @pytest.mark.asyncio
    async def test_a_member_has_a_role(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        for wrong in (new_membership(room, "ann", "bob", v1.ROLE_UNSPECIFIED), new_membership(room, "ann", "")):
            with raises_api_error(Code.INVALID_ARGUMENT):
                await store.append(wrong)

    @pytest.mark.asyncio
    async def test_members_are_listed_by_name_with_how_far_they_have_come(self, store: Store) -> None:
        room = await create_group(store, "team", "bob", "dan", "ann", "cem")
        await store.advance_positions(room, "cem", delivered=3, read=2)
        assert list(await store.members(room, after="", limit=9)) == [
            MemberRecord("ann", v1.MEMBER, 0, 0, False),
            MemberRecord("bob", v1.OWNER, 0, 0, True),
            MemberRecord("cem", v1.MEMBER, 3, 2, True),
            MemberRecord("dan", v1.MEMBER, 0, 0, False),
        ]
        assert [record.user for record in await store.members(room, after="ann", limit=2)] == ["bob", "cem"]

    # positions

    @pytest.mark.asyncio
    async def test_positions_never_go_back_and_never_past_the_head(self, store: Store) -> None:
        room = await create_open_room(store)
        for number in range(10):
            await store.append(new_message(room, "ann", str(number)))
        assert await store.advance_positions(room, "bob", delivered=5, read=3) == (5, 3, True)
        assert await store.advance_positions(room, "bob", delivered=4, read=2) == (5, 3, False)
        assert await store.advance_positions(room, "bob", delivered=0, read=0) == (5, 3, False)
        assert await store.advance_positions(room, "bob", delivered=0, read=8) == (8, 8, True)
        assert await store.advance_positions(room, "bob", delivered=99, read=0) == (10, 8, True)
        assert await store.advance_positions(room, "bob", delivered=0, read=2**63) == (10, 10, True)
        with raises_api_error(Code.NOT_FOUND):
            await store.advance_positions("nowhere", "bob", delivered=1, read=1)

    @pytest.mark.asyncio
    async def test_who_comes_in_has_nothing_unread(self, store: Store) -> None:
        room = await create_group(store, "team", "ann")
        for number in range(3):
            await store.append(new_message(room, "ann", str(number)))
        joined = await store.append(new_membership(room, "ann", "bob"))
        (mine,) = await store.room_list_entries("bob", [room])
        assert (mine.delivered, mine.read, mine.unread) == (joined.seq, joined.seq, 0)
        await store.append(new_message(room, "ann", "news"))
        (mine,) = await store.room_list_entries("bob", [room])
        assert (mine.read, mine.unread) == (joined.seq, 1)

    @pytest.mark.asyncio
    async def test_another_role_moves_no_position(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")
        await store.append(new_message(room, "ann", "news"))
        await store.append(new_membership(room, "ann", "bob", v1.MODERATOR))
        (mine,) = await store.room_list_entries("bob", [room])
        assert (mine.role, mine.read, mine.unread) == (v1.MODERATOR, 0, 1)

    @pytest.mark.asyncio
    async def test_who_comes_back_has_nothing_unread_of_what_was_said_meanwhile(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")
        await store.append(new_membership(room, "bob", "bob", left=True))
        await store.append(new_message(room, "ann", "without bob"))
        back = await store.append(new_membership(room, "ann", "bob"))
        (mine,) = await store.room_list_entries("bob", [room])
        assert (mine.read, mine.unread) == (back.seq, 0)

    @pytest.mark.asyncio
    async def test_positions_outlive_a_membership(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")
        await store.append(new_message(room, "ann", "one"))
        await store.advance_positions(room, "bob", delivered=4, read=4)
        await store.append(new_membership(room, "bob", "bob", left=True))
        assert await store.advance_positions(room, "bob", delivered=0, read=0) == (4, 4, False)

    # the list of my rooms

    @pytest.mark.asyncio
    async def test_unread_are_messages_of_others_that_are_still_there(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")

        async def unread() -> int:
            (mine,) = await store.room_list_entries("bob", [room])
            return mine.unread

        assert await unread() == 0
        first = await store.append(new_message(room, "ann", "one"))
        assert await unread() == 1
        await store.advance_positions(room, "bob", delivered=0, read=first.seq - 1)
        assert await unread() == 1
        await store.append(new_message(room, "ann", "two"))
        await store.append(new_message(room, "bob", "mine"))
        await store.append(new_reaction(room, "ann", first.seq, "👍"))
        await store.append(new_edit(room, "ann", first.seq, "uno"))
        assert await unread() == 2
        await store.advance_positions(room, "bob", delivered=0, read=first.seq)
        assert await unread() == 1
        await store.append(new_deletion(room, "ann", first.seq + 1))
        assert await unread() == 0

    @pytest.mark.asyncio
    async def test_unread_are_counted_up_to_a_bound(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")
        await asyncio.gather(*(store.append(new_message(room, "ann", "x")) for _ in range(UNREAD_MAX + 10)))
        (mine,) = await store.room_list_entries("bob", [room])
        assert mine.unread == UNREAD_MAX
        await store.advance_positions(room, "bob", delivered=0, read=mine.room.head.seq - 5)
        (mine,) = await store.room_list_entries("bob", [room])
        assert mine.unread == 5

    @pytest.mark.asyncio
    async def test_the_last_message_is_seen_as_it_is_now(self, store: Store) -> None:
        room = await create_group(store, "team", "ann", "bob")
        (mine,) = await store.room_list_entries("bob", [room])
        assert mine.last is None
        first = await store.append(new_message(room, "ann", "one"))
        await store.append(new_edit(room, "ann", first.seq, "uno"))
        await store.append(new_membership(room, "ann", "cem"))
        (mine,) = await store.room_list_entries("bob", [room])
        assert parse(mine.last).posted.text == "uno"
        assert (mine.role, mine.room.members, mine.room.head.seq) == (v1.MEMBER, 3, 6)
        await store.append(new_deletion(room, "ann", first.seq))
        (mine,) = await store.room_list_entries("bob", [room])
        assert parse(mine.last).posted.deleted

    @pytest.mark.asyncio
    async def test_my_rooms_are_listed_by_name(self, store: Store) -> None:
        for room in ("c", "a", "d", "b"):
            await create_group(store, room, "ann", "bob")
        await create_group(store, "e", "ann")
        assert [mine.room.room for mine in await store.room_list_page("bob", after="", limit=9)] == ["a", "b", "c", "d"]
        assert [mine.room.room for mine in await store.room_list_page("bob", after="a", limit=2)] == ["b", "c"]
        assert list(await store.room_names_of("bob")) == ["a", "b", "c", "d"]
        assert list(await store.room_list_page("nobody", after="", limit=9)) == []

    @pytest.mark.asyncio
    async def test_rooms_that_i_am_not_in_are_left_out_of_what_i_ask_for(self, store: Store) -> None:
        await create_group(store, "mine", "ann", "bob")
        await create_group(store, "theirs", "ann")
        found = await store.room_list_entries("bob", ["theirs", "nowhere", "mine", "mine"])
        assert [mine.room.room for mine in found] == ["mine"]

    # who was here

    @pytest.mark.asyncio
    async def test_it_is_remembered_when_somebody_was_here(self, store: Store) -> None:
        await store.set_last_seen("ann", 5)
        await store.set_last_seen("bob", 6)
        await store.set_last_seen("ann", 7)
        assert await store.last_seen(["ann", "bob", "cem"]) == {"ann": 7, "bob": 6}
