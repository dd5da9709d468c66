"""Who reads much waits for himself."""

import asyncio
from typing import Any

import pytest

from domain.stage import House, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.limits import SHARED_ROOMS
from tidings.stores.memory import MemoryStore


class SlowStore(MemoryStore):
    """Gives pages when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = asyncio.Event()

    async def page(self, *asked: Any, **named: Any) -> Any:
        self.begun += 1
        await self.go_on.wait()
        return await super().page(*asked, **named)


@pytest.mark.asyncio
async def test_reads_of_one_user_wait_for_one_another_and_nobody_else_for_them() -> None:
    store = SlowStore()
    house = House(store, user_pages_max=2)
    alice, phone, bob = house.people("alice", "alice", "bob")
    await alice.create("den", v1.OPEN)
    asked = [asyncio.ensure_future(who.page()) for who in (alice, phone, alice, phone)]
    await settled()
    assert store.begun == 2
    asked.append(asyncio.ensure_future(bob.page()))
    await settled()
    assert store.begun == 3
    asked[2].cancel()
    store.go_on.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, v1.PageReply) for answer in answers] == [True, True, False, True, True]


class SlowSharing(MemoryStore):
    """Says who shares a room when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = asyncio.Event()

    async def sharing(self, *asked: Any) -> Any:
        self.begun += 1
        await self.go_on.wait()
        return await super().sharing(*asked)


@pytest.mark.asyncio
async def test_looks_at_who_shares_a_room_wait_for_one_another_as_other_reads_do() -> None:
    store = SlowSharing()
    house = House(store, user_reads_max=2, presence_visible_to=SHARED_ROOMS)
    alice, phone, bob = house.people("alice", "alice", "bob")
    asked = [
        asyncio.ensure_future(who.watch("presence.watch", v1.PresenceWatchRequest(users=["carol"])))
        for who in (alice, phone, alice, bob)
    ]
    await settled()
    assert store.begun == 3
    store.go_on.set()
    for reader in await asyncio.gather(*asked):
        reader.close()
    assert store.begun == 4


@pytest.mark.asyncio
async def test_who_loses_the_right_to_read_while_waiting_gets_no_page() -> None:
    store = SlowStore()
    house = House(store)
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    waiting = asyncio.ensure_future(bob.page())
    await settled()
    await alice.quit(user="bob")
    store.go_on.set()
    with refused(Code.NOT_FOUND):
        await waiting


@pytest.mark.asyncio
async def test_nothing_is_read_for_a_peer_that_takes_no_answers_and_its_other_devices_do_not_wait() -> None:
    store = SlowStore()
    store.go_on.set()
    house = House(store, user_reads_max=1)
    alice, phone = house.people("alice", "alice")
    await alice.create("den", v1.OPEN)
    taking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    phone.session.full = lambda: None if taking.done() else taking
    waiting = asyncio.ensure_future(phone.page())
    await settled()
    assert store.begun == 0
    await alice.page()
    taking.set_result(None)
    assert (await waiting).head.seq
    assert store.begun == 2


class SlowLog(MemoryStore):
    """Reads the log when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = asyncio.Event()

    async def read(self, *asked: Any) -> Any:
        self.begun += 1
        await self.go_on.wait()
        return await super().read(*asked)


@pytest.mark.asyncio
async def test_readings_that_wait_are_no_tasks_and_one_that_has_ended_is_not_read_for() -> None:
    store = SlowLog()
    house = House(store, user_reads_max=2)
    (alice,) = house.people("alice")
    await alice.create("den", v1.OPEN)
    await alice.send()
    before = len(asyncio.all_tasks())
    readers = [await alice.watch("history.read", v1.ReadRequest(room="den")) for _ in range(20)]
    await settled()
    assert store.begun == 2
    assert len(asyncio.all_tasks()) <= before + 2
    for reader in readers[2:15]:
        assert reader.source is not None
        reader.source.close()
    store.go_on.set()
    await settled()
    assert store.begun == 7
    assert [reader.completed for reader in readers] == [True, True, *[False] * 13, *[True] * 5]
