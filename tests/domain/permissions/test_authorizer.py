"""Who may do what: from memory, and true all the same."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from domain.harness import DomainHarness, raises_error
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.permissions.authorizer import NON_MEMBER, Authorizer
from tidings.domain.ports.store import MemberRecord
from tidings.stores.memory.store import MemoryStore


class CountingStore(MemoryStore):
    """Counts how often it is asked, and lets something happen before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.lookups = 0
        self.before_answer: Any = None
        self.is_slow = False

    async def role(self, room: str, user: str) -> int:
        return await self._answer_late(await super().role(room, user))

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        return await self._answer_late(await super().members(room, after=after, limit=limit))

    async def membership(self, room: str, user: str) -> Any:
        answer = await super().membership(room, user)
        if self.is_slow:
            return await self._answer_late(answer)
        self.lookups += 1
        return answer

    async def room(self, room: str) -> Any:
        self.lookups += 1
        return await super().room(room)

    async def _answer_late(self, answer: Any) -> Any:
        self.lookups += 1
        if self.before_answer is not None:
            meanwhile, self.before_answer = self.before_answer, None
            await meanwhile()
        return answer


@pytest.mark.asyncio
async def test_a_send_does_not_ask_the_store_who_the_sender_is() -> None:
    store = CountingStore()
    harness = DomainHarness(store)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await bob.send()
    before = store.lookups
    for _ in range(100):
        await bob.send(reply_to=4)
    assert store.lookups == before


@pytest.mark.asyncio
async def test_non_members_are_cached_too() -> None:
    store = CountingStore()
    harness = DomainHarness(store)
    alice, carol = harness.connect_all("alice", "carol")
    await alice.create_room("den")
    for _ in range(3):
        with raises_error(Code.NOT_FOUND):
            await carol.page()
    before = store.lookups
    with raises_error(Code.NOT_FOUND):
        await carol.page()
    assert store.lookups == before
    await alice.join_room(user="carol")
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
    store = CountingStore()
    store.is_slow = late_standing
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    if comes:
        await store.append(v1.Event(room="den", actor="bob", member=v1.Member(user="bob", role=v1.MEMBER, left=True)))
    harness = DomainHarness(store, small_room_members_max=small_room_members_max)
    (bob,) = harness.connect_all("bob")

    async def meanwhile() -> None:
        member = v1.Member(user="bob", role=v1.MEMBER, left=not comes)
        await store.append(v1.Event(room="den", actor="alice", member=member))

    store.before_answer = meanwhile
    if comes:
        await bob.page()
    else:
        with raises_error(Code.NOT_FOUND):
            await bob.page()


@pytest.mark.asyncio
async def test_an_evicted_role_is_read_again() -> None:
    store = MemoryStore()
    access = Authorizer(store, DomainLimits(cached_rooms_max=2, cached_roles_max=2))
    for number in range(5):
        await store.create_room(f"r{number}", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    for _ in range(2):
        for number in range(5):
            assert (await access.authorize_read(f"r{number}", "alice")).role == v1.OWNER
    assert access.cached_kind("r0") is None
    assert access.cached_kind("r4") == v1.GROUP


@pytest.mark.asyncio
async def test_a_room_whose_log_was_replaced_is_read_again() -> None:
    store = CountingStore()
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    access = Authorizer(store, DomainLimits())
    await access.authorize_read("den", "alice")
    access.on_head_advanced("den", "another epoch", 1)
    assert access.cached_kind("den") is None
    access.on_head_advanced("nowhere", "e", 1)
    assert (await access.room_info("den")).head == 2


@pytest.mark.asyncio
async def test_all_roles_of_a_small_room_are_loaded_by_one_read() -> None:
    store = CountingStore()
    await store.create_room("den", kind=v1.OPEN, title="", creator="alice", members=["bob"], at_ms=1)
    access = Authorizer(store, DomainLimits())
    await access.room_info("den")
    before = store.lookups
    users = ["alice", "bob", *(f"stranger{number}" for number in range(100))]
    standings = await asyncio.gather(*(access.authorize_read("den", user) for user in users))
    assert [standing.role for standing in standings[:3]] == [v1.OWNER, v1.MEMBER, NON_MEMBER]
    assert store.lookups == before + 1
    assert access.cached_access("den", "nobody yet") is not None


@pytest.mark.asyncio
async def test_roles_stay_true_in_a_room_that_grows_large() -> None:
    store = CountingStore()
    harness = DomainHarness(store, small_room_members_max=3)
    alice, *others = harness.connect_all("alice", *(f"user{number}" for number in range(9)))
    await alice.create_room("den", v1.GROUP)
    for other in others:
        with raises_error(Code.NOT_FOUND):
            await other.page()
        await alice.join_room(user=other.name)
        await other.send()
    for other in others:
        await alice.leave_room(user=other.name)
        with raises_error(Code.NOT_FOUND):
            await other.page()
    # Who was never looked up before it was large is looked up alone.
    await alice.join_room(user="user0")
    await others[0].page()
    assert (
        await Authorizer(store, DomainLimits(small_room_members_max=0)).authorize_read("den", "alice")
    ).role == v1.OWNER


@pytest.mark.asyncio
async def test_a_role_cached_alone_is_not_used_after_all_roles_of_its_room_were_cached() -> None:
    store = MemoryStore()
    access = Authorizer(store, DomainLimits(cached_rooms_max=1, small_room_members_max=2))

    async def leaves(user: str) -> None:
        member = v1.Member(user=user, role=v1.MEMBER, left=True)
        await store.append(v1.Event(room="den", actor=user, member=member))
        access.on_member_changed("den", member)

    async def looks_away() -> None:
        await access.authorize_read("other", "alice")

    await store.create_room("other", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob", "carol"], at_ms=1)
    await access.authorize_read("den", "bob")  # alone: the room is large
    await leaves("carol")
    await looks_away()
    await access.authorize_read("den", "alice")  # all at once: it is small now
    await leaves("bob")
    await looks_away()
    with raises_error(Code.NOT_FOUND):
        await access.authorize_read("den", "bob")


@pytest.mark.asyncio
@pytest.mark.parametrize("members_max", [0, 10], ids=["a large room", "a small room"])
@pytest.mark.parametrize("drop", [lambda access: access.drop_roles("den"), lambda access: access.drop_all()])
async def test_a_role_that_is_read_while_roles_are_dropped_is_read_again(members_max: int, drop: Any) -> None:
    store = CountingStore()
    access = Authorizer(store, DomainLimits(small_room_members_max=members_max))
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await access.room_info("den")

    async def meanwhile() -> None:
        # Another node removes bob, and the notice of that is lost.
        member = v1.Member(user="bob", role=v1.MEMBER, left=True)
        await store.append(v1.Event(room="den", actor="bob", member=member))
        drop(access)

    store.before_answer = meanwhile
    assert await access.role("den", "bob") == NON_MEMBER
    assert access.cached_access("den", "bob") is None


@pytest.mark.asyncio
async def test_a_room_evicted_while_its_roles_are_read_is_not_cached_with_stale_roles() -> None:
    store = CountingStore()
    access = Authorizer(store, DomainLimits(cached_rooms_max=1))
    for room in ("other", "den"):
        await store.create_room(room, kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await access.room_info("den")

    async def meanwhile() -> None:
        await access.room_info("other")
        member = v1.Member(user="bob", role=v1.MEMBER, left=True)
        await store.append(v1.Event(room="den", actor="bob", member=member))
        access.on_member_changed("den", member)

    store.before_answer = meanwhile
    with raises_error(Code.NOT_FOUND):
        await access.authorize_read("den", "bob")


@pytest.mark.asyncio
@pytest.mark.parametrize("forgets", ["by growing", "by the limit"])
async def test_a_role_whose_read_answers_late_does_not_replace_a_newer_one(forgets: str) -> None:
    store = CountingStore()
    access = Authorizer(store, DomainLimits(cached_rooms_max=1, small_room_members_max=2))
    await store.create_room("other", kind=v1.GROUP, title="", creator="alice", members=[], at_ms=1)
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["eve"], at_ms=1)

    async def changes(user: str, *, left: bool) -> None:
        member = v1.Member(user=user, role=v1.MEMBER, left=left)
        await store.append(v1.Event(room="den", actor="alice", member=member))
        access.on_member_changed("den", member)

    async def meanwhile() -> None:
        await access.authorize_read("den", "alice")  # everybody is known now
        await changes("eve", left=True)
        if forgets == "by growing":
            for user in ("bob", "carol"):
                await changes(user, left=False)
        else:
            await access.authorize_read("other", "alice")

    store.before_answer = meanwhile
    assert await access.role("den", "eve") == NON_MEMBER  # nothing is known of the room: she is looked up alone
    with raises_error(Code.NOT_FOUND):
        await access.authorize_read("den", "eve")


@pytest.mark.asyncio
async def test_the_cache_of_small_rooms_is_bounded_by_their_actual_roles() -> None:
    store = CountingStore()
    access = Authorizer(store, DomainLimits(cached_rooms_max=100, cached_roles_max=100))
    for number in range(60):
        await store.create_room(f"r{number}", kind=v1.DIRECT, title="", creator="alice", members=["bob"], at_ms=1)
    for _ in range(2):
        before = store.lookups
        for number in range(50):
            await access.authorize_read(f"r{number}", "bob")
    assert store.lookups == before
    for number in range(60):
        await access.authorize_read(f"r{number}", "bob")
    before = store.lookups
    await access.authorize_read("r59", "alice")
    assert store.lookups == before
    await access.authorize_read("r0", "bob")
    assert store.lookups > before


@pytest.mark.asyncio
async def test_a_role_is_found_however_often_members_change() -> None:
    store = CountingStore()
    access = Authorizer(store, DomainLimits())
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    reads = 0

    async def restless() -> None:
        nonlocal reads
        reads += 1
        access.on_member_changed("den", v1.Member(user=f"user{reads}", role=v1.MEMBER))
        store.before_answer = restless

    await access.room_info("den")
    store.before_answer = restless
    assert (await access.authorize_read("den", "bob")).role == v1.MEMBER
    assert reads == 1
    assert (await access.authorize_read("den", "user1")).role == v1.MEMBER
