"""rooms.watch: the list of my rooms, as it is and as it changes."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.stage import UNBOUNDED, House, Person, Reader, settled
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.hub import BoardLimits
from tidings.stores.memory import MemoryStore

BEAT_SECONDS = 0.25


async def inbox(who: Person, credit: int = UNBOUNDED, **request: Any) -> Reader:
    reader = await who.watch("rooms.watch", v1.RoomsWatchRequest(**request), credit)
    await settled()
    return reader


def told(items: list[v1.RoomsItem]) -> list[str]:
    """What the items say, short."""
    words = []
    for item in items:
        kind = item.WhichOneof("item")
        words.append({"live": "live", "gone": f"-{item.gone}", "room": item.room.room.room}[kind or ""])
    return words


@pytest.mark.asyncio
async def test_my_rooms_come_as_they_are_then_the_live_mark_then_changes() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    for room in ("a", "b"):
        await alice.create(room, v1.GROUP, "bob")
    await alice.create("c")
    await alice.send("hello", room="b")
    reader = await inbox(bob)
    assert sorted(told(reader.items)[:2]) == ["a", "b"]
    assert told(reader.items)[2:] == ["live"]
    states = {item.room.room.room: item.room for item in reader.items}
    assert (states["b"].last.posted.text, states["b"].unread, states["b"].role) == ("hello", 1, v1.MEMBER)
    assert (states["a"].HasField("last"), states["a"].unread) == (False, 0)
    reader.drain()
    await alice.send("again", room="a")
    await house.pass_time(BEAT_SECONDS)
    (item,) = reader.drain()
    assert (item.room.room.room, item.room.unread, item.room.room.head.seq) == ("a", 1, 4)


@pytest.mark.asyncio
async def test_a_burst_is_folded_into_one_row() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    reader = await inbox(bob)
    reader.drain()
    for number in range(50):
        await alice.send(f"{number}")
        await settled()
    await house.pass_time(BEAT_SECONDS)
    items = reader.drain()
    assert 1 <= len(items) <= 2
    assert (items[-1].room.last.posted.text, items[-1].room.unread) == ("49", 50)


@pytest.mark.asyncio
async def test_a_slow_reader_gets_the_latest_row_of_each_room_and_no_backlog() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    for room in ("a", "b"):
        await alice.create(room, v1.GROUP, "bob")
    reader = await inbox(bob, credit=3)
    for number in range(20):
        for room in ("a", "b"):
            await alice.send(f"{number}", room=room)
        await house.pass_time(BEAT_SECONDS)
    assert len(reader.drain()) == 3
    reader.take(100)
    await house.pass_time(BEAT_SECONDS)
    assert sorted((item.room.room.room, item.room.last.posted.text) for item in reader.items) == [
        ("a", "19"),
        ("b", "19"),
    ]


@pytest.mark.asyncio
async def test_a_room_i_come_into_appears_and_one_i_leave_is_gone() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den")
    reader = await inbox(bob)
    assert told(reader.drain()) == ["live"]
    await alice.join(user="bob")
    await house.pass_time(BEAT_SECONDS)
    assert told(reader.drain()) == ["den"]
    await alice.quit(user="bob")
    await house.pass_time(BEAT_SECONDS)
    assert told(reader.drain()) == ["-den"]
    await alice.send("you cannot hear me")
    await house.pass_time(BEAT_SECONDS)
    assert reader.drain() == []
    await alice.join(user="bob")
    await house.pass_time(BEAT_SECONDS)
    assert told(reader.drain()) == ["den"]
    await bob.create("mine")
    await house.pass_time(BEAT_SECONDS)
    assert told(reader.drain()) == ["mine"]


@pytest.mark.asyncio
async def test_my_other_device_hears_what_i_read_and_other_people_do_not() -> None:
    house = House()
    alice, bob, bobs_phone = house.people("alice", "bob", "bob")
    await alice.create("den", v1.GROUP, "bob")
    await alice.send("one")
    mine, hers = await inbox(bobs_phone), await inbox(alice)
    mine.drain(), hers.drain()
    await bob.mark(read=4)
    await house.pass_time(BEAT_SECONDS)
    (item,) = mine.drain()
    assert (item.room.read, item.room.delivered, item.room.unread) == (4, 4, 0)
    assert hers.drain() == []


@pytest.mark.asyncio
async def test_a_cursor_of_mine_brings_only_what_changed_since() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    for room in ("a", "b", "c", "d"):
        await alice.create(room, v1.GROUP, "bob")
    first = await inbox(bob)
    cursor = first.items[-1].cursor
    first.close()
    await alice.send("news", room="b")
    await alice.quit("c", "bob")
    await alice.create("e", v1.GROUP, "bob")
    again = await inbox(bob, after=cursor)
    assert told(again.items) == ["b", "-c", "e", "live"]
    for lost in (v1.Cursor(epoch="another", seq=cursor.seq), v1.Cursor(epoch=cursor.epoch, seq=10**9)):
        everything = await inbox(bob, after=lost)
        assert sorted(told(everything.items)) == sorted(["a", "b", "d", "e", "live"])


@pytest.mark.asyncio
async def test_what_one_user_read_costs_nobody_else_their_cursor() -> None:
    store = MemoryStore()
    await store.create_room("quiet", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await store.create_room("busy", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    house = House(store)
    alice, bob = house.people("alice", "bob")
    await alice.send(room="busy")
    first = await inbox(bob)
    cursor = first.items[-1].cursor
    first.close()
    hers = await inbox(alice)
    await alice.mark("quiet", read=2)
    await house.pass_time(BEAT_SECONDS)
    hers.close()
    again = await inbox(bob, after=cursor)
    assert told(again.items) == ["quiet", "live"]


@pytest.mark.asyncio
async def test_what_happens_while_a_watch_is_opened_is_not_missed() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("old", v1.GROUP, "bob")
    names_of = house.store.names_of

    async def slowly(user: str) -> Any:
        names = await names_of(user)
        await alice.create("new", v1.GROUP, "bob")
        await alice.quit("old", "bob")
        return names

    house.store.names_of = slowly  # type: ignore[method-assign]
    reader = await inbox(bob)
    await house.pass_time(BEAT_SECONDS)
    final = {word.lstrip("-"): word for word in told(reader.items)}
    assert final == {"new": "new", "old": "-old", "live": "live"}


@pytest.mark.asyncio
async def test_a_watch_that_is_closed_is_forgotten() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    reader = await inbox(bob)
    reader.drain()
    reader.close()
    reader.close()
    await alice.send()
    await bob.mark(read=1)
    await house.pass_time(BEAT_SECONDS)
    assert reader.items == []
    assert house.product.boards["rooms"].stats.subscriptions == 0


@pytest.mark.asyncio
async def test_more_rooms_than_one_watch_may_have_are_refused_with_the_limit() -> None:
    house = House(board=BoardLimits(interest_keys_max=2))
    alice, bob = house.people("alice", "bob")
    for room in ("a", "b"):
        await alice.create(room, v1.GROUP, "bob")
    reader = await inbox(bob)
    assert not reader.ended
    await alice.create("c", v1.GROUP, "bob")
    await settled()
    assert reader.failure.code is Code.RESOURCE_EXHAUSTED
    reader = await inbox(bob)
    assert reader.failure.code is Code.RESOURCE_EXHAUSTED


class Model:
    """Unread, counted the naive way."""

    def __init__(self) -> None:
        self.messages: dict[int, tuple[str, bool]] = {}
        self.read = {"alice": 0, "bob": 0}

    def unread(self, user: str) -> int:
        return sum(
            author != user and not deleted and seq > self.read[user] for seq, (author, deleted) in self.messages.items()
        )


@pytest.mark.asyncio
@settings(max_examples=40, deadline=None)
@given(st.integers())
async def test_unread_is_what_a_naive_count_says_whatever_happens(seed: int) -> None:
    house = House()
    people = {person.name: person for person in house.people("alice", "bob")}
    await people["alice"].create("den", v1.GROUP, "bob")
    model, dice, head = Model(), random.Random(seed), 3
    readers = {name: await inbox(person) for name, person in people.items()}
    for _ in range(dice.randint(1, 40)):
        name = dice.choice(["alice", "bob"])
        who = people[name]
        mine = [seq for seq, (author, deleted) in model.messages.items() if author == name and not deleted]
        match dice.choice(["send", "send", "edit", "delete", "react", "mark"]):
            case "send":
                head = await who.send()
                model.messages[head] = (name, False)
            case "edit" if mine:
                request = v1.EditRequest(room="den", client_id=who.key(), target=dice.choice(mine), text="x")
                head = (await who.call("chat.edit", request)).cursor.seq
            case "delete" if mine:
                target = dice.choice(mine)
                request_ = v1.DeleteRequest(room="den", client_id=who.key(), target=target)
                head = (await who.call("chat.delete", request_)).cursor.seq
                model.messages[target] = (name, True)
            case "react" if mine:
                reaction = v1.ReactRequest(room="den", client_id=who.key(), target=dice.choice(mine), emoji="x")
                head = (await who.call("chat.react", reaction)).cursor.seq
            case "mark":
                read = dice.randint(0, head + 2)
                await who.mark(read=read)
                model.read[name] = max(model.read[name], min(read, head))
    await house.pass_time(BEAT_SECONDS)
    for name, person in people.items():
        (state,) = (await person.call("rooms.list", v1.ListRequest())).rooms
        assert (state.read, state.unread) == (model.read[name], model.unread(name))
        last = [item.room for item in readers[name].items if item.HasField("room")][-1]
        assert last == state


@pytest.mark.asyncio
async def test_who_comes_back_to_more_changes_than_are_remembered_gets_all_rooms() -> None:
    async def told_after_a_break(remembered: int) -> list[str]:
        house = House(inbox_remembered_max=remembered)
        alice, bob = house.people("alice", "bob")
        for room in ("a", "b", "c", "d"):
            await alice.create(room, v1.GROUP, "bob")
        reader = await inbox(bob)
        reader.close()
        for room in ("a", "b", "c"):
            await alice.send(room=room)
        return sorted(told((await inbox(bob, after=reader.items[-1].cursor)).items))

    assert await told_after_a_break(remembered=4) == ["a", "b", "c", "live"]
    assert await told_after_a_break(remembered=2) == ["a", "b", "c", "d", "live"]
