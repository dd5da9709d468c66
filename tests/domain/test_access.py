"""Who may do what: from memory, and true all the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from domain.stage import House, refused
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.access import STRANGER, Access
from tidings.domain.limits import DomainLimits
from tidings.domain.ports import MemberRecord
from tidings.stores.memory import MemoryStore


class AskedStore(MemoryStore):
    """Counts how often it is asked, and lets something happen before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.meanwhile: Any = None
        self.late_standing = False

    async def role(self, room: str, user: str) -> int:
        return await self._late(await super().role(room, user))

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        return await self._late(await super().members(room, after=after, limit=limit))

    async def standing(self, room: str, user: str) -> Any:
        answer = await super().standing(room, user)
        if self.late_standing:
            return await self._late(answer)
        self.asked += 1
        return answer

    async def room(self, room: str) -> Any:
        self.asked += 1
        return await super().room(room)

    async def _late(self, answer: Any) -> Any:
        self.asked += 1
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return answer


@pytest.mark.asyncio
async def test_a_send_does_not_ask_the_store_who_the_sender_is() -> None:
    store = AskedStore()
    house = House(store)
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    await bob.send()
    before = store.asked
    for _ in range(100):
        await bob.send(reply_to=4)
    assert store.asked == before


@pytest.mark.asyncio
async def test_strangers_are_remembered_as_such_too() -> None:
    store = AskedStore()
    house = House(store)
    alice, carol = house.people("alice", "carol")
    await alice.create("den")
    for _ in range(3):
        with refused(Code.NOT_FOUND):
            await carol.page()
    before = store.asked
    with refused(Code.NOT_FOUND):
        await carol.page()
    assert store.asked == before
    await alice.join(user="carol")
    await carol.page()


@pytest.mark.asyncio
@pytest.mark.parametrize("small_room_members_max", [0, 50])
@pytest.mark.parametrize(
    ("comes", "late_standing"),
    [(True, True), (False, True), (False, False)],  # a stranger's role is read by `standing` alone
)
async def test_a_role_that_changes_while_it_is_read_is_the_newer_one(
    comes: bool, small_room_members_max: int, late_standing: bool
) -> None:
    store = AskedStore()
    store.late_standing = late_standing
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    if comes:
        await store.append(v1.Event(room="den", actor="bob", member=v1.Member(user="bob", role=v1.MEMBER, left=True)))
    house = House(store, small_room_members_max=small_room_members_max)
    (bob,) = house.people("bob")

    async def meanwhile() -> None:
        member = v1.Member(user="bob", role=v1.MEMBER, left=not comes)
        await store.append(v1.Event(room="den", actor="alice", member=member))

    store.meanwhile = meanwhile
    if comes:
        await bob.page()
    else:
        with refused(Code.NOT_FOUND):
            await bob.page()


@pytest.mark.asyncio
async def test_what_was_forgotten_is_asked_again() -> None:
    store = MemoryStore()
    access = Access(store, DomainLimits(known_rooms_max=2, known_roles_max=2))
    for number in range(5):
        await store.create_room(f"r{number}", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    for _ in range(2):
        for number in range(5):
            assert (await access.may_read(f"r{number}", "alice")).role == v1.OWNER
    assert access.kind("r0") is None
    assert access.kind("r4") == v1.GROUP


@pytest.mark.asyncio
async def test_a_room_whose_log_was_replaced_is_looked_at_anew() -> None:
    store = AskedStore()
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    access = Access(store, DomainLimits())
    await access.may_read("den", "alice")
    access.reached("den", "another epoch", 1)
    assert access.kind("den") is None
    access.reached("nowhere", "e", 1)
    assert (await access.place("den")).head == 2


@pytest.mark.asyncio
async def test_of_a_small_room_everybody_is_looked_up_at_once_members_or_not() -> None:
    store = AskedStore()
    await store.create_room("den", kind=v1.OPEN, title="", creator="alice", members=["bob"], at_ms=1)
    access = Access(store, DomainLimits())
    await access.place("den")
    before = store.asked
    users = ["alice", "bob", *(f"stranger{number}" for number in range(100))]
    standings = await asyncio.gather(*(access.may_read("den", user) for user in users))
    assert [standing.role for standing in standings[:3]] == [v1.OWNER, v1.MEMBER, STRANGER]
    assert store.asked == before + 1
    assert access.standing("den", "nobody yet") is not None


@pytest.mark.asyncio
async def test_roles_stay_true_in_a_room_that_grows_large() -> None:
    store = AskedStore()
    house = House(store, small_room_members_max=3)
    alice, *others = house.people("alice", *(f"user{number}" for number in range(9)))
    await alice.create("den", v1.GROUP)
    for other in others:
        with refused(Code.NOT_FOUND):
            await other.page()
        await alice.join(user=other.name)
        await other.send()
    for other in others:
        await alice.quit(user=other.name)
        with refused(Code.NOT_FOUND):
            await other.page()
    # Who was never looked up before it was large is looked up alone.
    await alice.join(user="user0")
    await others[0].page()
    assert (await Access(store, DomainLimits(small_room_members_max=0)).may_read("den", "alice")).role == v1.OWNER


@pytest.mark.asyncio
async def test_a_role_that_was_looked_up_before_is_not_believed_after_its_room_was_known_as_a_whole() -> None:
    store = MemoryStore()
    access = Access(store, DomainLimits(known_rooms_max=1, small_room_members_max=2))

    async def leaves(user: str) -> None:
        member = v1.Member(user=user, role=v1.MEMBER, left=True)
        await store.append(v1.Event(room="den", actor=user, member=member))
        access.changed("den", member)

    async def looks_away() -> None:
        await access.may_read("other", "alice")

    await store.create_room("other", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob", "carol"], at_ms=1)
    await access.may_read("den", "bob")  # alone: the room is large
    await leaves("carol")
    await looks_away()
    await access.may_read("den", "alice")  # all at once: it is small now
    await leaves("bob")
    await looks_away()
    with refused(Code.NOT_FOUND):
        await access.may_read("den", "bob")


@pytest.mark.asyncio
async def test_a_room_that_is_forgotten_while_its_roles_are_read_is_not_remembered_as_it_was() -> None:
    store = AskedStore()
    access = Access(store, DomainLimits(known_rooms_max=1))
    for room in ("other", "den"):
        await store.create_room(room, kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await access.place("den")

    async def meanwhile() -> None:
        await access.place("other")
        member = v1.Member(user="bob", role=v1.MEMBER, left=True)
        await store.append(v1.Event(room="den", actor="bob", member=member))
        access.changed("den", member)

    store.meanwhile = meanwhile
    with refused(Code.NOT_FOUND):
        await access.may_read("den", "bob")


@pytest.mark.asyncio
@pytest.mark.parametrize("forgets", ["by growing", "by the limit"])
async def test_a_role_that_was_read_long_ago_is_not_believed_when_its_answer_comes_late(forgets: str) -> None:
    store = AskedStore()
    access = Access(store, DomainLimits(known_rooms_max=1, small_room_members_max=2))
    await store.create_room("other", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["eve"], at_ms=1)

    async def changes(user: str, *, left: bool) -> None:
        member = v1.Member(user=user, role=v1.MEMBER, left=left)
        await store.append(v1.Event(room="den", actor="alice", member=member))
        access.changed("den", member)

    async def meanwhile() -> None:
        await access.may_read("den", "alice")  # everybody is known now
        await changes("eve", left=True)
        if forgets == "by growing":
            for user in ("bob", "carol"):
                await changes(user, left=False)
        else:
            await access.may_read("other", "alice")

    store.meanwhile = meanwhile
    assert await access.role("den", "eve") == STRANGER  # nothing is known of the room: she is looked up alone
    with refused(Code.NOT_FOUND):
        await access.may_read("den", "eve")


@pytest.mark.asyncio
async def test_what_is_known_of_small_rooms_is_bounded_by_their_roles_and_not_by_the_size_they_might_have() -> None:
    store = AskedStore()
    access = Access(store, DomainLimits(known_rooms_max=100, known_roles_max=100))
    for number in range(60):
        await store.create_room(f"r{number}", kind=v1.DIRECT, title="", creator="alice", members=["bob"], at_ms=1)
    for _ in range(2):
        before = store.asked
        for number in range(50):
            await access.may_read(f"r{number}", "bob")
    assert store.asked == before
    for number in range(60):
        await access.may_read(f"r{number}", "bob")
    before = store.asked
    await access.may_read("r59", "alice")
    assert store.asked == before
    await access.may_read("r0", "bob")
    assert store.asked > before


@pytest.mark.asyncio
async def test_somebody_gets_an_answer_however_often_members_change() -> None:
    store = AskedStore()
    access = Access(store, DomainLimits())
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    reads = 0

    async def restless() -> None:
        nonlocal reads
        reads += 1
        access.changed("den", v1.Member(user=f"user{reads}", role=v1.MEMBER))
        store.meanwhile = restless

    await access.place("den")
    store.meanwhile = restless
    assert (await access.may_read("den", "bob")).role == v1.MEMBER
    assert reads == 1
    assert (await access.may_read("den", "user1")).role == v1.MEMBER
