"""One user, over all connections, makes the service hold so many bytes and no more; others are not affected."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.harness import ConnectedUser, DomainHarness, RecordingSink, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.domain.identity.session_registry import SESSION_BYTES
from tidings.domain.messaging.channel import COMMAND_BYTES
from tidings.domain.presence.room_presence import MEMBER_BYTES, ROOM_PRESENCE_BYTES
from tidings.hub import HubLimits

ROOMS = 4


async def watch_users(who: ConnectedUser, number: int) -> RecordingSink:
    people = [f"person{number}x{place}" for place in range(50)]
    return await who.watch("presence.watch", v1.PresenceWatchRequest(users=people), credit=number % 3)


async def read_history(who: ConnectedUser, number: int) -> RecordingSink:
    return await who.watch("history.read", v1.ReadRequest(room=f"room{number % ROOMS}"), credit=number % 3)


async def watch_room(who: ConnectedUser, number: int) -> RecordingSink:
    request = v1.WatchRequest(room=f"room{number % ROOMS}", after=v1.Cursor())
    return await who.watch("chat.watch", request, credit=number % 3)


async def watch_presence(who: ConnectedUser, number: int) -> RecordingSink:
    return await who.watch("presence.watch", v1.PresenceWatchRequest(room=f"room{number % ROOMS}"), credit=number % 3)


async def watch_room_list(who: ConnectedUser, number: int) -> RecordingSink:
    return await who.watch("rooms.watch", v1.RoomsWatchRequest(), credit=number % 3)


async def open_channel(who: ConnectedUser, number: int) -> RecordingSink:
    channel = who.channel(credit=number % 3)
    channel.send_command(open=v1.WatchRequest(room=f"room{number % ROOMS}"))
    channel.send_command(mark=v1.MarkRequest(room="nowhere"))
    await settle()
    return channel.reader


STREAM_KINDS: dict[str, Callable[[ConnectedUser, int], Awaitable[RecordingSink]]] = {
    "watch": watch_room,
    "history": read_history,
    "people": watch_users,
    "life": watch_presence,
    "list": watch_room_list,
    "channel": open_channel,
}
by_kind = pytest.mark.parametrize("open_one", STREAM_KINDS.values(), ids=STREAM_KINDS)


async def harness_with_rooms(**limits: Any) -> tuple[DomainHarness, ConnectedUser, ConnectedUser]:
    """A harness with rooms that have some messages, and two people."""
    harness = DomainHarness(**limits)
    owner = harness.connect("owner")
    for number in range(ROOMS):
        await owner.create_room(f"room{number}", v1.OPEN)
        for _ in range(5):
            await owner.send("x" * 200, room=f"room{number}")
    alice, bob = harness.connect_all("alice", "bob")
    for who in (alice, bob):
        for number in range(ROOMS):
            await who.join_room(f"room{number}")
    return harness, alice, bob


@by_kind
@pytest.mark.asyncio
async def test_whatever_one_opens_there_is_an_end_and_others_open_all_the_same(
    open_one: Callable[[ConnectedUser, int], Awaitable[RecordingSink]],
) -> None:
    harness, alice, bob = await harness_with_rooms(
        user_bytes_max=2 * SESSION_BYTES + 60_000,
        user_room_watches_max=10_000,
        watched_lists_max=10_000,
        channel_commands_max=64,
    )
    phone = harness.connect("alice")
    readers: list[RecordingSink] = []
    said = ""
    for number in range(400):
        try:
            reader = await open_one((alice, phone)[number % 2], number)
        except ApiError as failure:
            assert failure.code is Code.RESOURCE_EXHAUSTED
            said = failure.text
            break
        await settle()
        readers.append(reader)
        said = next((str(error) for error in reader.errors), "")
        if said:
            break
        said = next((item.error.text for item in reader.items if getattr(item, "error", None)), "")
        if "user_bytes_max" in said:
            break
    account = alice.session.memory
    assert "user_bytes_max" in said
    assert account.reserved_bytes <= account.bytes_max
    assert harness.services.accounts.rejections >= 1
    await open_one(bob, 0)
    readers[0].close()
    await settle()
    readers[1].close()
    await settle()
    again = await open_one(alice, 1)
    readers.append(again)
    for reader in readers:
        reader.close()
        reader.close()
    await settle()
    assert account.reserved_bytes == 2 * SESSION_BYTES, "nothing is left of what was closed"


@by_kind
@pytest.mark.asyncio
async def test_who_loses_the_room_or_the_connection_holds_nothing(
    open_one: Callable[[ConnectedUser, int], Awaitable[RecordingSink]],
) -> None:
    harness, alice, _ = await harness_with_rooms()
    opened = [await open_one(alice, number) for number in range(12)]
    await settle()
    account = alice.session.memory
    assert account.reserved_bytes > SESSION_BYTES
    owner = harness.connect("owner")
    for number in range(ROOMS):
        await owner.leave_room(f"room{number}", "alice")
    await settle()
    for reader in opened:
        reader.close()
    await settle()
    alice.disconnect()
    assert account.reserved_bytes == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(8))
async def test_however_one_opens_reads_and_closes_nothing_is_left_on_the_account(seed: int) -> None:
    _, alice, bob = await harness_with_rooms(user_bytes_max=SESSION_BYTES + 90_000)
    # What nobody can refuse any more: the lives of rooms that other readers left, and words that rooms were lost.
    forced = ROOMS * (ROOM_PRESENCE_BYTES + 3 * MEMBER_BYTES) + ROOMS * COMMAND_BYTES
    chance = random.Random(seed)
    open_readers: list[RecordingSink] = []
    for number in range(150):
        step = chance.random()
        who = chance.choice((alice, bob))
        if step < 0.5:
            try:
                open_readers.append(await chance.choice(list(STREAM_KINDS.values()))(who, chance.randrange(100)))
            except ApiError as failure:
                assert failure.code is Code.RESOURCE_EXHAUSTED
        elif step < 0.7 and open_readers:
            open_readers.pop(chance.randrange(len(open_readers))).close()
        elif step < 0.9 and open_readers:
            reader = chance.choice(open_readers)
            if not reader.ended:
                reader.request(chance.choice((1, 2, 40)))
        else:
            await bob.send(f"news {number}", room=f"room{chance.randrange(ROOMS)}")
        await settle()
        for person in (alice, bob):
            assert SESSION_BYTES <= person.session.memory.reserved_bytes <= person.session.memory.bytes_max + forced
    for reader in open_readers:
        reader.close()
    await settle()
    for person in (alice, bob):
        assert person.session.memory.reserved_bytes == SESSION_BYTES
        account = person.session.memory
        person.disconnect()
        assert account.reserved_bytes == 0


@pytest.mark.asyncio
async def test_a_reader_of_history_keeps_no_page_when_half_of_the_account_is_in_use() -> None:
    harness, alice, _ = await harness_with_rooms()
    account = alice.session.memory
    first = await alice.watch("history.read", v1.ReadRequest(room="room0"), credit=1)
    await settle()
    alone = account.reserved_bytes
    account.reserve_unchecked(account.bytes_max // 2)
    second = await alice.watch("history.read", v1.ReadRequest(room="room0"), credit=1)
    await settle()
    without_page = account.reserved_bytes - account.bytes_max // 2 - alone
    assert 0 < without_page < alone - SESSION_BYTES
    for reader in (first, second):
        reader.request(100)
    await settle()
    assert first.completed
    assert first.data == second.data, "what was not kept was read again"
    assert account.reserved_bytes == SESSION_BYTES + account.bytes_max // 2
    assert harness.services.accounts.rejections == 0


@pytest.mark.asyncio
async def test_the_presence_of_a_room_is_on_the_account_of_one_subscriber_and_moves_to_another() -> None:
    harness, alice, bob = await harness_with_rooms()
    weight = ROOM_PRESENCE_BYTES + 3 * MEMBER_BYTES
    first = await watch_presence(alice, 0)
    second = await watch_presence(bob, 0)
    await settle()
    accounts = [alice.session.memory, bob.session.memory]
    before = [account.reserved_bytes for account in accounts]
    assert before[0] - before[1] == weight
    await harness.connect("owner").join_room("room0", "carol")
    assert accounts[0].reserved_bytes == before[0] + MEMBER_BYTES
    first.close()
    assert accounts[0].reserved_bytes == SESSION_BYTES
    assert accounts[1].reserved_bytes == before[1] + weight + MEMBER_BYTES
    second.close()
    assert accounts[1].reserved_bytes == SESSION_BYTES


@pytest.mark.asyncio
async def test_rooms_kept_for_who_reconnects_have_a_limit_and_the_one_left_first_goes_first() -> None:
    weight = ROOM_PRESENCE_BYTES + 3 * MEMBER_BYTES
    harness, alice, _ = await harness_with_rooms(unwatched_presence_bytes_max=2 * weight)
    loads = harness.store.members  # type: ignore[attr-defined]
    loaded: list[str] = []

    async def members(room: str, **asked: Any) -> Any:
        if not asked["after"]:
            loaded.append(room)
        return await loads(room, **asked)

    harness.store.members = members  # type: ignore[attr-defined, method-assign]
    for number in (0, 1, 2):
        (await watch_presence(alice, number)).close()
    await settle()
    loaded.clear()
    for number in (2, 1, 0):
        (await watch_presence(alice, number)).close()
    assert loaded == ["room0"]


@pytest.mark.asyncio
async def test_a_room_larger_than_what_may_be_kept_without_readers_is_watched_as_any_other() -> None:
    _, alice, bob = await harness_with_rooms(unwatched_presence_bytes_max=0)
    reader = await watch_presence(alice, 1)
    await settle()
    assert reader.items
    reader.close()
    # A user gives up while the room is loaded, and nothing of it stays.
    giving_up = asyncio.ensure_future(watch_presence(bob, 1))
    await asyncio.sleep(0)
    giving_up.cancel()
    await settle()
    again = await watch_presence(alice, 1)
    await settle()
    assert again.items
    again.close()
    assert [person.session.memory.reserved_bytes for person in (alice, bob)] == [SESSION_BYTES] * 2


@pytest.mark.asyncio
async def test_one_user_watches_one_room_so_often_and_no_more() -> None:
    harness, alice, bob = await harness_with_rooms(user_room_watches_max=2)
    phone = harness.connect("alice")
    first = await watch_room(alice, 0)
    await watch_room(phone, 0)
    with raises_error(
        Code.RESOURCE_EXHAUSTED, "alice holds 2 of 2 watches of one room (user_room_watches_max) in room0"
    ):
        await watch_room(phone, 0)
    await watch_room(phone, 1)
    await watch_room(bob, 0)
    first.close()
    await watch_room(phone, 0)


@pytest.mark.asyncio
async def test_one_user_types_in_so_many_rooms_and_no_more() -> None:
    _, alice, bob = await harness_with_rooms(user_typing_rooms_max=2)

    async def types(who: ConnectedUser, number: int, *, stopped: bool = False) -> None:
        await who.call("presence.typing", v1.TypingRequest(room=f"room{number}", stopped=stopped))

    for number in (0, 1, 0):
        await types(alice, number)
    with raises_error(Code.RESOURCE_EXHAUSTED, "alice types in 2 rooms (user_typing_rooms_max)"):
        await types(alice, 2)
    await types(bob, 2)
    await types(alice, 0, stopped=True)
    await types(alice, 2)


async def open_until_refused(who: ConnectedUser) -> int:
    """Watch a room until that is refused; how often it was not."""
    for count in range(1_000):
        try:
            await who.watch_room("den")
        except ApiError as failure:
            assert "free for all (hub.subscriptions_max)" in failure.text
            return count
    return 1_000


@pytest.mark.asyncio
async def test_who_holds_many_places_gets_a_part_of_those_still_free_and_a_newcomer_finds_some() -> None:
    harness = DomainHarness(hub=HubLimits(subscriptions_max=1_000), user_room_watches_max=10_000)
    greedy = harness.connect_all(*(f"greedy{number}" for number in range(8)))
    await greedy[0].create_room("den", v1.OPEN)
    taken = [await open_until_refused(who) for who in greedy]
    # 111 of 1,000 are an eighth of the 889 that are left, and so on; nobody is held to fewer than 64.
    assert taken[:3] == [111, 98, 88]
    assert min(taken) >= 64
    newcomer = harness.connect("newcomer")
    for _ in range(50):
        await newcomer.watch_room("den")


@pytest.mark.asyncio
async def test_a_list_of_rooms_with_long_last_messages_comes_in_parts() -> None:
    harness = DomainHarness(text_bytes_max=65_536)
    alice, bob = harness.connect_all("alice", "bob")
    names = [f"room{number:03}" for number in range(230)]
    for name in names:
        await alice.create_room(name, v1.OPEN)
        await alice.send("x" * 65_000, room=name)
        await bob.join_room(name)
    for scope in (v1.MINE, v1.PUBLIC):
        found: list[str] = []
        parts = 0
        more = True
        while more:
            after = found[-1] if found else ""
            reply = await bob.call("rooms.list", v1.ListRequest(scope=scope, after=after, limit=1_000))
            assert reply.ByteSize() <= 16_777_216
            found += [state.room.room for state in reply.rooms]
            parts, more = parts + 1, reply.more
        assert found == names
        assert parts == 2


@pytest.mark.asyncio
async def test_rooms_that_people_left_are_remembered_for_so_many_people_and_rooms_in_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidings.domain.rooms.room_list.LEFT_ROOMS_MAX", 5)
    harness = DomainHarness()
    alice = harness.connect("alice")
    await alice.create_room("den", v1.OPEN)
    await alice.create_room("hall", v1.OPEN)
    room_lists = harness.services.handlers["rooms"]._room_lists  # type: ignore[attr-defined]
    for number in range(20):
        for room in ("den", "hall"):
            await alice.join_room(room, f"guest{number}")
            await alice.leave_room(room, f"guest{number}")
    assert sum(map(len, room_lists._left_rooms._entries.values())) == room_lists._left_rooms_count <= 5
    await alice.join_room("den", "guest19")
    assert sum(map(len, room_lists._left_rooms._entries.values())) == room_lists._left_rooms_count


def garbage_cycles() -> list[str]:
    """What of the service's only the garbage collector would find, by type."""
    gc.collect()
    found = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
    gc.garbage.clear()
    return [name for name in found if name.startswith("tidings.")]


@by_kind
@pytest.mark.asyncio
async def test_what_is_closed_is_freed_at_once_and_not_left_to_the_garbage_collector(
    open_one: Callable[[ConnectedUser, int], Awaitable[RecordingSink]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alice, _ = await harness_with_rooms()
    (await open_one(alice, 1)).close()
    await settle()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for number in range(3):
            reader = await open_one(alice, number)
            reader.close()
            reader.subscription = None
            await settle()
        assert garbage_cycles() == []
    finally:
        gc.set_debug(0)
        gc.enable()
