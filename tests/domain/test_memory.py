"""One user, over all connections, makes the service hold so many bytes and no more; others are not affected."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.stage import House, Person, Reader, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code, Failure
from tidings.domain.channel import COMMAND_BYTES
from tidings.domain.connections import SESSION_BYTES
from tidings.domain.gathering import GATHERING_BYTES, MEMBER_BYTES
from tidings.hub import HubLimits

ROOMS = 4


async def of_people(who: Person, number: int) -> Reader:
    people = [f"person{number}x{place}" for place in range(50)]
    return await who.watch("presence.watch", v1.PresenceWatchRequest(users=people), credit=number % 3)


async def of_history(who: Person, number: int) -> Reader:
    return await who.watch("history.read", v1.ReadRequest(room=f"room{number % ROOMS}"), credit=number % 3)


async def of_room(who: Person, number: int) -> Reader:
    request = v1.WatchRequest(room=f"room{number % ROOMS}", after=v1.Cursor())
    return await who.watch("chat.watch", request, credit=number % 3)


async def of_life(who: Person, number: int) -> Reader:
    return await who.watch("presence.watch", v1.PresenceWatchRequest(room=f"room{number % ROOMS}"), credit=number % 3)


async def of_list(who: Person, number: int) -> Reader:
    return await who.watch("rooms.watch", v1.RoomsWatchRequest(), credit=number % 3)


async def of_channel(who: Person, number: int) -> Reader:
    channel = who.channel(credit=number % 3)
    channel.say(open=v1.WatchRequest(room=f"room{number % ROOMS}"))
    channel.say(mark=v1.MarkRequest(room="nowhere"))
    await settled()
    return channel.reader


KINDS: dict[str, Callable[[Person, int], Awaitable[Reader]]] = {
    "watch": of_room,
    "history": of_history,
    "people": of_people,
    "life": of_life,
    "list": of_list,
    "channel": of_channel,
}
by_kind = pytest.mark.parametrize("open_one", KINDS.values(), ids=KINDS)


async def furnished(**limits: Any) -> tuple[House, Person, Person]:
    """A house with rooms that have some messages, and two people."""
    house = House(**limits)
    owner = house.connect("owner")
    for number in range(ROOMS):
        await owner.create(f"room{number}", v1.OPEN)
        for _ in range(5):
            await owner.send("x" * 200, room=f"room{number}")
    alice, bob = house.people("alice", "bob")
    for who in (alice, bob):
        for number in range(ROOMS):
            await who.join(f"room{number}")
    return house, alice, bob


@by_kind
@pytest.mark.asyncio
async def test_whatever_one_opens_there_is_an_end_and_others_open_all_the_same(
    open_one: Callable[[Person, int], Awaitable[Reader]],
) -> None:
    house, alice, bob = await furnished(
        user_bytes_max=2 * SESSION_BYTES + 60_000,
        user_room_watches_max=10_000,
        watched_lists_max=10_000,
        channel_commands_max=64,
    )
    phone = house.connect("alice")
    readers: list[Reader] = []
    said = ""
    for number in range(400):
        try:
            reader = await open_one((alice, phone)[number % 2], number)
        except Failure as failure:
            assert failure.code is Code.RESOURCE_EXHAUSTED
            said = failure.text
            break
        await settled()
        readers.append(reader)
        said = next((str(error) for error in reader.errors), "")
        if said:
            break
        said = next((item.error.text for item in reader.items if getattr(item, "error", None)), "")
        if "user_bytes_max" in said:
            break
    account = alice.session.memory
    assert "user_bytes_max" in said
    assert account.held <= account.bytes_max
    assert house.product.accounts.refusals >= 1
    await open_one(bob, 0)
    readers[0].close()
    await settled()
    readers[1].close()
    await settled()
    again = await open_one(alice, 1)
    readers.append(again)
    for reader in readers:
        reader.close()
        reader.close()
    await settled()
    assert account.held == 2 * SESSION_BYTES, "nothing is left of what was closed"


@by_kind
@pytest.mark.asyncio
async def test_who_loses_the_room_or_the_connection_holds_nothing(
    open_one: Callable[[Person, int], Awaitable[Reader]],
) -> None:
    house, alice, _ = await furnished()
    opened = [await open_one(alice, number) for number in range(12)]
    await settled()
    account = alice.session.memory
    assert account.held > SESSION_BYTES
    owner = house.connect("owner")
    for number in range(ROOMS):
        await owner.quit(f"room{number}", "alice")
    await settled()
    for reader in opened:
        reader.close()
    await settled()
    alice.leave()
    assert account.held == 0


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(8))
async def test_however_one_opens_reads_and_closes_nothing_is_left_on_the_account(seed: int) -> None:
    _, alice, bob = await furnished(user_bytes_max=SESSION_BYTES + 90_000)
    # What nobody can refuse any more: the lives of rooms that other readers left, and words that rooms were lost.
    forced = ROOMS * (GATHERING_BYTES + 3 * MEMBER_BYTES) + ROOMS * COMMAND_BYTES
    chance = random.Random(seed)
    open_readers: list[Reader] = []
    for number in range(150):
        step = chance.random()
        who = chance.choice((alice, bob))
        if step < 0.5:
            try:
                open_readers.append(await chance.choice(list(KINDS.values()))(who, chance.randrange(100)))
            except Failure as failure:
                assert failure.code is Code.RESOURCE_EXHAUSTED
        elif step < 0.7 and open_readers:
            open_readers.pop(chance.randrange(len(open_readers))).close()
        elif step < 0.9 and open_readers:
            reader = chance.choice(open_readers)
            if not reader.ended:
                reader.take(chance.choice((1, 2, 40)))
        else:
            await bob.send(f"news {number}", room=f"room{chance.randrange(ROOMS)}")
        await settled()
        for person in (alice, bob):
            assert SESSION_BYTES <= person.session.memory.held <= person.session.memory.bytes_max + forced
    for reader in open_readers:
        reader.close()
    await settled()
    for person in (alice, bob):
        assert person.session.memory.held == SESSION_BYTES
        account = person.session.memory
        person.leave()
        assert account.held == 0


@pytest.mark.asyncio
async def test_a_reader_of_history_keeps_no_page_when_half_of_the_account_is_in_use() -> None:
    house, alice, _ = await furnished()
    account = alice.session.memory
    first = await alice.watch("history.read", v1.ReadRequest(room="room0"), credit=1)
    await settled()
    alone = account.held
    account.force(account.bytes_max // 2)
    second = await alice.watch("history.read", v1.ReadRequest(room="room0"), credit=1)
    await settled()
    without_page = account.held - account.bytes_max // 2 - alone
    assert 0 < without_page < alone - SESSION_BYTES
    for reader in (first, second):
        reader.take(100)
    await settled()
    assert first.completed
    assert first.data == second.data, "what was not kept was read again"
    assert account.held == SESSION_BYTES + account.bytes_max // 2
    assert house.product.accounts.refusals == 0


@pytest.mark.asyncio
async def test_the_life_of_a_room_is_on_the_account_of_one_reader_and_passes_to_another() -> None:
    house, alice, bob = await furnished()
    weight = GATHERING_BYTES + 3 * MEMBER_BYTES
    first = await of_life(alice, 0)
    second = await of_life(bob, 0)
    await settled()
    accounts = [alice.session.memory, bob.session.memory]
    before = [account.held for account in accounts]
    assert before[0] - before[1] == weight
    await house.connect("owner").join("room0", "carol")
    assert accounts[0].held == before[0] + MEMBER_BYTES
    first.close()
    assert accounts[0].held == SESSION_BYTES
    assert accounts[1].held == before[1] + weight + MEMBER_BYTES
    second.close()
    assert accounts[1].held == SESSION_BYTES


@pytest.mark.asyncio
async def test_rooms_kept_for_who_reconnects_have_a_limit_and_the_one_left_first_goes_first() -> None:
    weight = GATHERING_BYTES + 3 * MEMBER_BYTES
    house, alice, _ = await furnished(unwatched_presence_bytes_max=2 * weight)
    loads = house.store.members  # type: ignore[attr-defined]
    loaded: list[str] = []

    async def members(room: str, **asked: Any) -> Any:
        if not asked["after"]:
            loaded.append(room)
        return await loads(room, **asked)

    house.store.members = members  # type: ignore[attr-defined, method-assign]
    for number in (0, 1, 2):
        (await of_life(alice, number)).close()
    await settled()
    loaded.clear()
    for number in (2, 1, 0):
        (await of_life(alice, number)).close()
    assert loaded == ["room0"]


@pytest.mark.asyncio
async def test_a_room_larger_than_what_may_be_kept_without_readers_is_watched_as_any_other() -> None:
    _, alice, bob = await furnished(unwatched_presence_bytes_max=0)
    reader = await of_life(alice, 1)
    await settled()
    assert reader.items
    reader.close()
    # A user gives up while the room is loaded, and nothing of it stays.
    giving_up = asyncio.ensure_future(of_life(bob, 1))
    await asyncio.sleep(0)
    giving_up.cancel()
    await settled()
    again = await of_life(alice, 1)
    await settled()
    assert again.items
    again.close()
    assert [person.session.memory.held for person in (alice, bob)] == [SESSION_BYTES] * 2


@pytest.mark.asyncio
async def test_one_user_watches_one_room_so_often_and_no_more() -> None:
    house, alice, bob = await furnished(user_room_watches_max=2)
    phone = house.connect("alice")
    first = await of_room(alice, 0)
    await of_room(phone, 0)
    with refused(Code.RESOURCE_EXHAUSTED, "alice holds 2 of 2 watches of one room (user_room_watches_max) in room0"):
        await of_room(phone, 0)
    await of_room(phone, 1)
    await of_room(bob, 0)
    first.close()
    await of_room(phone, 0)


@pytest.mark.asyncio
async def test_one_user_types_in_so_many_rooms_and_no_more() -> None:
    _, alice, bob = await furnished(user_typing_rooms_max=2)

    async def types(who: Person, number: int, *, stopped: bool = False) -> None:
        await who.call("presence.typing", v1.TypingRequest(room=f"room{number}", stopped=stopped))

    for number in (0, 1, 0):
        await types(alice, number)
    with refused(Code.RESOURCE_EXHAUSTED, "alice types in 2 rooms (user_typing_rooms_max)"):
        await types(alice, 2)
    await types(bob, 2)
    await types(alice, 0, stopped=True)
    await types(alice, 2)


async def as_many_as_there_are(who: Person) -> int:
    """Watch a room until that is refused; how often it was not."""
    for count in range(1_000):
        try:
            await who.read("den")
        except Failure as failure:
            assert "free for all (hub.subscriptions_max)" in failure.text
            return count
    return 1_000


@pytest.mark.asyncio
async def test_who_holds_many_places_gets_a_part_of_those_still_free_and_a_newcomer_finds_some() -> None:
    house = House(hub=HubLimits(subscriptions_max=1_000), user_room_watches_max=10_000)
    greedy = house.people(*(f"greedy{number}" for number in range(8)))
    await greedy[0].create("den", v1.OPEN)
    taken = [await as_many_as_there_are(who) for who in greedy]
    # 111 of 1,000 are an eighth of the 889 that are left, and so on; nobody is held to fewer than 64.
    assert taken[:3] == [111, 98, 88]
    assert min(taken) >= 64
    newcomer = house.connect("newcomer")
    for _ in range(50):
        await newcomer.read("den")


@pytest.mark.asyncio
async def test_a_list_of_rooms_with_long_last_messages_comes_in_parts() -> None:
    house = House(text_bytes_max=65_536)
    alice, bob = house.people("alice", "bob")
    names = [f"room{number:03}" for number in range(230)]
    for name in names:
        await alice.create(name, v1.OPEN)
        await alice.send("x" * 65_000, room=name)
        await bob.join(name)
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
    monkeypatch.setattr("tidings.domain.inbox.GONE_IN_ALL_MAX", 5)
    house = House()
    alice = house.connect("alice")
    await alice.create("den", v1.OPEN)
    await alice.create("hall", v1.OPEN)
    inboxes = house.product.services["rooms"]._inboxes  # type: ignore[attr-defined]
    for number in range(20):
        for room in ("den", "hall"):
            await alice.join(room, f"guest{number}")
            await alice.quit(room, f"guest{number}")
    assert sum(map(len, inboxes._gone._entries.values())) == inboxes._gone_count <= 5
    await alice.join("den", "guest19")
    assert sum(map(len, inboxes._gone._entries.values())) == inboxes._gone_count


def left_to_the_collector() -> list[str]:
    """What of the service's only the garbage collector would find, by type."""
    gc.collect()
    found = [f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.garbage]
    gc.garbage.clear()
    return [name for name in found if name.startswith("tidings.")]


@by_kind
@pytest.mark.asyncio
async def test_what_is_closed_is_freed_at_once_and_not_left_to_the_garbage_collector(
    open_one: Callable[[Person, int], Awaitable[Reader]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, alice, _ = await furnished()
    (await open_one(alice, 1)).close()
    await settled()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for number in range(3):
            reader = await open_one(alice, number)
            reader.close()
            reader.source = None
            await settled()
        assert left_to_the_collector() == []
    finally:
        gc.set_debug(0)
        gc.enable()
