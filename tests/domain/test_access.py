"""Who may do what: from memory, and true all the same."""

from typing import Any

import pytest

from domain.stage import House, refused
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.access import Access
from tidings.domain.limits import DomainLimits
from tidings.stores.memory import MemoryStore


class AskedStore(MemoryStore):
    """Counts how often it is asked, and lets something happen before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.meanwhile: Any = None

    async def role(self, room: str, user: str) -> int:
        self.asked += 1
        role = await super().role(room, user)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return role

    async def room(self, room: str) -> Any:
        self.asked += 1
        return await super().room(room)


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
@pytest.mark.parametrize("comes", [True, False])
async def test_a_role_that_changes_while_it_is_read_is_the_newer_one(comes: bool) -> None:
    store = AskedStore()
    await store.create_room("den", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    if comes:
        await store.append(v1.Event(room="den", actor="bob", member=v1.Member(user="bob", role=v1.MEMBER, left=True)))
    house = House(store)
    alice, bob = house.people("alice", "bob")
    await alice.page()

    async def meanwhile() -> None:
        if comes:
            await alice.join(user="bob")
        else:
            await alice.quit(user="bob")

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
