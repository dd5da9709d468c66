"""Who reads much waits for himself."""

import asyncio
from typing import Any

import pytest

from domain.harness import DomainHarness, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.limits.limits import SHARED_ROOMS
from tidings.stores.memory.store import MemoryStore


class SlowStore(MemoryStore):
    """Gives pages when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.started_reads = 0
        self.released = asyncio.Event()

    async def page(self, *asked: Any, **named: Any) -> Any:
        self.started_reads += 1
        await self.released.wait()
        return await super().page(*asked, **named)


@pytest.mark.asyncio
async def test_reads_of_one_user_queue_and_do_not_delay_other_users() -> None:
    store = SlowStore()
    harness = DomainHarness(store, user_large_reads_max=2)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    await alice.create_room("den", v1.OPEN)
    asked = [asyncio.ensure_future(who.page()) for who in (alice, phone, alice, phone)]
    await settle()
    assert store.started_reads == 2
    asked.append(asyncio.ensure_future(bob.page()))
    await settle()
    assert store.started_reads == 3
    asked[2].cancel()
    store.released.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(answer, v1.PageReply) for answer in answers] == [True, True, False, True, True]


class SlowSharingStore(MemoryStore):
    """Says who shares a room when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.started_reads = 0
        self.released = asyncio.Event()

    async def users_sharing_room(self, *asked: Any) -> Any:
        self.started_reads += 1
        await self.released.wait()
        return await super().users_sharing_room(*asked)


@pytest.mark.asyncio
async def test_reads_of_shared_rooms_queue_as_other_reads_do() -> None:
    store = SlowSharingStore()
    harness = DomainHarness(store, user_reads_max=2, presence_visible_to=SHARED_ROOMS)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    asked = [
        asyncio.ensure_future(who.watch("presence.watch", v1.PresenceWatchRequest(users=["carol"])))
        for who in (alice, phone, alice, bob)
    ]
    await settle()
    assert store.started_reads == 3
    store.released.set()
    for reader in await asyncio.gather(*asked):
        reader.close()
    assert store.started_reads == 4


@pytest.mark.asyncio
async def test_who_loses_the_right_to_read_while_waiting_gets_no_page() -> None:
    store = SlowStore()
    harness = DomainHarness(store)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    waiting = asyncio.ensure_future(bob.page())
    await settle()
    await alice.leave_room(user="bob")
    store.released.set()
    with raises_error(Code.NOT_FOUND):
        await waiting


@pytest.mark.asyncio
async def test_nothing_is_read_for_a_peer_that_takes_no_answers_and_its_other_devices_do_not_wait() -> None:
    store = SlowStore()
    store.released.set()
    harness = DomainHarness(store, user_reads_max=1)
    alice, phone = harness.connect_all("alice", "alice")
    await alice.create_room("den", v1.OPEN)
    taking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    phone.session.until_writable = lambda: None if taking.done() else taking
    waiting = asyncio.ensure_future(phone.page())
    await settle()
    assert store.started_reads == 0
    await alice.page()
    taking.set_result(None)
    assert (await waiting).head.seq
    assert store.started_reads == 2


class SlowLogStore(MemoryStore):
    """Reads the log when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.started_reads = 0
        self.released = asyncio.Event()

    async def read(self, *asked: Any) -> Any:
        self.started_reads += 1
        await self.released.wait()
        return await super().read(*asked)


@pytest.mark.asyncio
async def test_readings_that_wait_are_no_tasks_and_one_that_has_ended_is_not_read_for() -> None:
    store = SlowLogStore()
    harness = DomainHarness(store, user_reads_max=2)
    (alice,) = harness.connect_all("alice")
    await alice.create_room("den", v1.OPEN)
    await alice.send()
    before = len(asyncio.all_tasks())
    readers = [await alice.watch("history.read", v1.ReadRequest(room="den")) for _ in range(20)]
    await settle()
    assert store.started_reads == 2
    assert len(asyncio.all_tasks()) <= before + 2
    for reader in readers[2:15]:
        assert reader.subscription is not None
        reader.subscription.close()
    store.released.set()
    await settle()
    assert store.started_reads == 7
    assert [reader.completed for reader in readers] == [True, True, *[False] * 13, *[True] * 5]
