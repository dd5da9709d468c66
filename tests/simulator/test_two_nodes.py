"""Two nodes on one store behind a bus that loses, delays, repeats and reorders: readers miss and repeat nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from domain.harness import ConnectedUser, RecordingSink, raises_error
from simulator.cluster import HEAD_CHECK_SECONDS, ROLE_SECONDS, Cluster
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.domain.ports.store import Store
from tidings.stores.memory.store import MemoryStore
from tidings.stores.sqlite.store import SqliteStore

BOUND_SECONDS = int(HEAD_CHECK_SECONDS) + 3  # a round, the tick that confirms a head, and the one that reads it
STEPS = 120
ROOM = "den"
USERS = ("0-ann", "1-bob", "0-cem", "1-dan")
OWNERS = ("0-ann", "1-bob")  # who stay


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Any = MemoryStore() if request.param == "memory" else await open_sqlite(tmp_path)
    yield opened
    await opened.close()


async def open_sqlite(path: Path) -> SqliteStore:
    return await SqliteStore.open(path)


def new_cluster(store: Store, seed: int, **faults: float) -> Cluster:
    return Cluster(store, Random(seed), is_on_disk=not isinstance(store, MemoryStore), **faults)


async def connect_all(cluster: Cluster, kind: int = v1.GROUP) -> dict[str, ConnectedUser]:
    """All users, in a room of which those who stay are owners."""
    users = {user: cluster.connect(user) for user in USERS}
    await users["0-ann"].create_room(ROOM, kind, *USERS[1:])
    await users["0-ann"].join_room(ROOM, "1-bob", v1.OWNER)
    await cluster.settle()
    return users


class Simulation:
    """Random acts of users on both nodes, and what their readers got."""

    def __init__(self, cluster: Cluster, users: dict[str, ConnectedUser], random: Random) -> None:
        self.cluster = cluster
        self.users = users
        self.random = random
        self.readers: list[tuple[str, int, RecordingSink]] = []  # user, the seq it begins after, sink
        self.messages: dict[int, str] = {}
        self.deleted_texts: set[str] = set()

    async def act(self) -> None:
        user = self.users[self.random.choice(USERS)]
        act = self.random.choice(
            [self._send, self._send, self._send, self._delete, self._edit, self._watch, self._move, self._mark]
        )
        try:
            await act(user)
        except ApiError as error:
            # No member now, or a cached role says so.
            assert error.code in (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT), error
        for _, _, reader in self.readers:
            if not reader.ended and self.random.random() < 0.5:
                reader.request(self.random.choice((0, 1, 5)))
        self.cluster.bus.deliver_some()
        if self.random.random() < 0.2:
            await self.cluster.advance(1)

    async def _send(self, user: ConnectedUser) -> None:
        text = f"text {self.random.getrandbits(64):016x}"
        self.messages[await user.send(text, ROOM)] = text

    async def _delete(self, user: ConnectedUser) -> None:
        seq = self.random.choice([*self.messages, 1])
        owner = self.users[self.random.choice(OWNERS)]
        await owner.call("chat.delete", v1.DeleteRequest(room=ROOM, client_id=owner.new_client_id(), target=seq))
        self.deleted_texts.add(self.messages.pop(seq))

    async def _edit(self, user: ConnectedUser) -> None:
        seq = self.random.choice([*self.messages, 1])
        text = f"edit {self.random.getrandbits(64):016x}"
        await user.call("chat.edit", v1.EditRequest(room=ROOM, client_id=user.new_client_id(), target=seq, text=text))
        self.deleted_texts.add(self.messages[seq])
        self.messages[seq] = text

    async def _watch(self, user: ConnectedUser) -> None:
        head = (await self.cluster.store.head(ROOM)).seq
        after = self.random.randint(0, head)
        reader = await user.watch(
            "chat.watch", v1.WatchRequest(room=ROOM, after=v1.Cursor(seq=after)), self.random.choice((0, 3, 0x7FFFFFFF))
        )
        self.readers.append((user.name, after, reader))

    async def _move(self, user: ConnectedUser) -> None:
        if user.name in OWNERS:
            return
        owner = self.users[self.random.choice(OWNERS)]
        is_member = await self.cluster.store.role(ROOM, user.name)
        await (owner.leave_room(ROOM, user.name) if is_member else owner.join_room(ROOM, user.name))

    async def _mark(self, user: ConnectedUser) -> None:
        await user.mark(ROOM, read=self.random.randint(1, 50))

    def take_all(self) -> None:
        for _, _, reader in self.readers:
            if not reader.ended and reader.demanded < 0x7FFFFFFF:
                reader.request(0x7FFFFFFF - reader.demanded)


def tail_texts(cluster: Cluster) -> str:
    """All that the tails of both nodes hold of the room."""
    held = []
    for node in cluster.nodes:
        fanout = node.services.hub._fanouts.get(ROOM)
        held += [repr(item.parse()) for item in fanout.tail.buffer._items] if fanout else []
    return "".join(held)


async def run(store: Store, seed: int, steps: int) -> None:
    cluster = new_cluster(store, seed)
    users = await connect_all(cluster)
    simulation = Simulation(cluster, users, Random(seed))
    for _ in range(steps):
        await simulation.act()
    cluster.bus.lose_all()
    await cluster.advance(BOUND_SECONDS)
    simulation.take_all()
    await cluster.settle()
    head = (await store.head(ROOM)).seq
    for user, after, reader in simulation.readers:
        seqs = reader.seqs
        assert seqs == list(range(after + 1, after + 1 + len(seqs))), (user, after, seqs)
        is_member = bool(await store.role(ROOM, user))
        assert is_member or reader.ended, f"{user} was removed and still reads"
        if not reader.ended:
            assert after + len(seqs) == head, (user, after, seqs)
    held = tail_texts(cluster)
    assert not [text for text in simulation.deleted_texts if text in held]
    for user in OWNERS:
        reader = await users[user].watch("chat.watch", v1.WatchRequest(room=ROOM, after=v1.Cursor()))
        await cluster.settle()
        assert reader.seqs == list(range(1, head + 1))
        shown = "".join(map(repr, reader.items))
        assert not [text for text in simulation.deleted_texts if text in shown]
        assert not [text for text in simulation.messages.values() if text not in shown]
    cluster.assert_no_faults()


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(30))
async def test_every_reader_is_contiguous_deleted_texts_are_gone_and_removed_readers_end(seed: int) -> None:
    await run(MemoryStore(), seed, STEPS)


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_the_same_holds_for_a_store_on_disk(seed: int, tmp_path: Path) -> None:
    store = await open_sqlite(tmp_path)
    await run(store, seed, STEPS // 2)
    await store.close()


@pytest.mark.asyncio
async def test_a_live_reader_gets_an_event_whose_notice_was_lost_within_the_bound(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    reader = await users["1-bob"].watch_room()
    await cluster.settle()
    seq = await users["0-ann"].send()
    await cluster.settle()
    assert reader.seqs == []
    await cluster.advance(BOUND_SECONDS)
    assert reader.seqs == [seq]
    assert cluster.nodes[1].services.hub.stats.heads_corrected == 1
    cluster.assert_no_faults()


@pytest.mark.asyncio
async def test_a_removed_member_whose_notice_was_lost_reads_nothing_of_what_follows(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    readers = [
        await users["1-dan"].watch_room(),
        await users["1-dan"].watch("presence.watch", v1.PresenceWatchRequest(room=ROOM)),
        await users["1-dan"].watch("history.read", v1.ReadRequest(room=ROOM), 0),
    ]
    await cluster.settle()
    for reader in readers:
        reader.take_items()
    await users["0-ann"].leave_room(ROOM, "1-dan")
    await users["0-ann"].send("secret")
    await cluster.advance(BOUND_SECONDS)
    assert [(reader.items, reader.api_error.code) for reader in readers] == [([], Code.PERMISSION_DENIED)] * 3


@pytest.mark.asyncio
async def test_a_removed_member_whose_notice_was_lost_writes_only_until_the_role_expires(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    await users["1-dan"].send()
    await users["0-ann"].leave_room(ROOM, "1-dan")
    await cluster.advance(int(ROLE_SECONDS) + 1)
    with raises_error(Code.NOT_FOUND):
        await users["1-dan"].send()


@pytest.mark.asyncio
async def test_a_user_who_was_refused_enters_after_being_added_though_the_notice_was_lost(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    late = cluster.connect("1-eve")
    for _ in range(2):
        with raises_error(Code.NOT_FOUND):
            await late.send()
    await users["0-ann"].join_room(ROOM, "1-eve")
    await cluster.advance(int(ROLE_SECONDS) + 1)
    await late.send()


@pytest.mark.asyncio
async def test_positions_typing_and_lists_of_rooms_reach_the_other_node(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=0.0, repeat=1.0)
    users = await connect_all(cluster)
    presence = await users["1-bob"].watch("presence.watch", v1.PresenceWatchRequest(room=ROOM))
    rooms = await users["1-bob"].watch("rooms.watch", v1.RoomsWatchRequest())
    await cluster.settle()
    presence.take_items()
    rooms.take_items()
    await users["0-cem"].mark(ROOM, read=3)
    await users["0-cem"].call("presence.typing", v1.TypingRequest(room=ROOM))
    await users["0-cem"].create_room("new", v1.GROUP, "1-bob")
    for _ in range(20):
        cluster.bus.deliver_some()
        await cluster.settle()
    await cluster.advance(1)
    items = presence.items
    assert [item.typing.users for item in items if item.HasField("typing")] == [["0-cem"]]
    assert [item.receipt.read for item in items if item.HasField("receipt")][-1:] == [3]
    assert "new" in [item.room.room.room for item in rooms.items if item.HasField("room")]
    await users["0-cem"].send("done", ROOM)
    for _ in range(20):
        cluster.bus.deliver_some()
        await cluster.settle()
    assert [list(item.typing.users) for item in presence.items if item.HasField("typing")][-1] == []


@pytest.mark.asyncio
async def test_after_a_gap_members_positions_and_lists_are_read_again(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    presence = await users["1-bob"].watch("presence.watch", v1.PresenceWatchRequest(room=ROOM))
    rooms = await users["1-bob"].watch("rooms.watch", v1.RoomsWatchRequest())
    await cluster.settle()
    presence.take_items()
    rooms.take_items()
    await users["0-cem"].mark(ROOM, read=3)
    await users["0-ann"].leave_room(ROOM, "1-dan")
    await users["0-ann"].join_room(ROOM, "0-eve")
    await users["0-cem"].create_room("new", v1.GROUP, "1-bob")
    await cluster.settle()
    assert not presence.items
    cluster.bus.report_gap()
    await cluster.advance(1)
    states = {item.user.user for item in presence.items if item.HasField("user")}
    positions = {item.receipt.user: item.receipt.read for item in presence.items if item.HasField("receipt")}
    assert {"1-dan", "0-eve"} <= states
    assert positions["0-cem"] == 3
    assert "new" in [item.room.room.room for item in rooms.items if item.HasField("room")]
    cluster.assert_no_faults()


@pytest.mark.asyncio
async def test_owners_on_two_nodes_who_step_down_at_once_leave_one_owner(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    await asyncio.gather(
        *(users[user].join_room(ROOM, user, v1.MEMBER) for user in OWNERS),
        return_exceptions=True,
    )
    roles = [await store.role(ROOM, user) for user in OWNERS]
    assert sorted(roles) == [v1.OWNER, v1.MEMBER]


@pytest.mark.asyncio
async def test_a_moderator_who_was_demoted_on_another_node_removes_no_member(store: Store) -> None:
    cluster = new_cluster(store, 1, loss=1.0)
    users = await connect_all(cluster)
    await users["0-ann"].join_room(ROOM, "1-dan", v1.MODERATOR)
    await cluster.advance(int(ROLE_SECONDS) + 1)
    assert (await users["1-dan"].call("rooms.get", v1.GetRequest(room=ROOM))).role == v1.MODERATOR
    await users["0-ann"].join_room(ROOM, "1-dan", v1.MEMBER)
    with raises_error(Code.PERMISSION_DENIED, "only owners and moderators"):
        await users["1-dan"].leave_room(ROOM, "0-cem")
    assert await store.role(ROOM, "0-cem") == v1.MEMBER
