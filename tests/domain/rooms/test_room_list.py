"""rooms.watch: the list of my rooms, as it is and as it changes."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.harness import UNBOUNDED, ConnectedUser, DomainHarness, RecordingSink, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.hub import KeyChangeLimits
from tidings.stores.memory.store import MemoryStore

MIN_INTERVAL_SECONDS = 0.25


async def watch_room_list(who: ConnectedUser, credit: int = UNBOUNDED, **request: Any) -> RecordingSink:
    reader = await who.watch("rooms.watch", v1.RoomsWatchRequest(**request), credit)
    await settle()
    return reader


def describe(items: list[v1.RoomsItem]) -> list[str]:
    """What the items say, short."""
    words = []
    for item in items:
        kind = item.WhichOneof("item")
        words.append({"live": "live", "gone": f"-{item.gone}", "room": item.room.room.room}[kind or ""])
    return words


@pytest.mark.asyncio
async def test_my_rooms_come_as_they_are_then_the_live_mark_then_changes() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    for room in ("a", "b"):
        await alice.create_room(room, v1.GROUP, "bob")
    await alice.create_room("c")
    await alice.send("hello", room="b")
    reader = await watch_room_list(bob)
    assert sorted(describe(reader.items)[:2]) == ["a", "b"]
    assert describe(reader.items)[2:] == ["live"]
    states = {item.room.room.room: item.room for item in reader.items}
    assert (states["b"].last.posted.text, states["b"].unread, states["b"].role) == ("hello", 1, v1.MEMBER)
    assert (states["a"].HasField("last"), states["a"].unread) == (False, 0)
    reader.take_items()
    await alice.send("again", room="a")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    (item,) = reader.take_items()
    assert (item.room.room.room, item.room.unread, item.room.room.head.seq) == ("a", 1, 4)


@pytest.mark.asyncio
async def test_a_burst_of_changes_becomes_one_entry() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    reader = await watch_room_list(bob)
    reader.take_items()
    for number in range(50):
        await alice.send(f"{number}")
        await settle()
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    items = reader.take_items()
    assert 1 <= len(items) <= 2
    assert (items[-1].room.last.posted.text, items[-1].room.unread) == ("49", 50)


@pytest.mark.asyncio
async def test_a_slow_reader_gets_the_latest_row_of_each_room_and_no_backlog() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    for room in ("a", "b"):
        await alice.create_room(room, v1.GROUP, "bob")
    reader = await watch_room_list(bob, credit=3)
    for number in range(20):
        for room in ("a", "b"):
            await alice.send(f"{number}", room=room)
        await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert len(reader.take_items()) == 3
    reader.request(100)
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert sorted((item.room.room.room, item.room.last.posted.text) for item in reader.items) == [
        ("a", "19"),
        ("b", "19"),
    ]


@pytest.mark.asyncio
async def test_a_room_i_come_into_appears_and_one_i_leave_is_gone() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den")
    reader = await watch_room_list(bob)
    assert describe(reader.take_items()) == ["live"]
    await alice.join_room(user="bob")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert describe(reader.take_items()) == ["den"]
    await alice.leave_room(user="bob")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert describe(reader.take_items()) == ["-den"]
    await alice.send("you cannot hear me")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert reader.take_items() == []
    await alice.join_room(user="bob")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert describe(reader.take_items()) == ["den"]
    await bob.create_room("mine")
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert describe(reader.take_items()) == ["mine"]


@pytest.mark.asyncio
async def test_my_other_device_hears_what_i_read_and_other_people_do_not() -> None:
    harness = DomainHarness()
    alice, bob, bobs_phone = harness.connect_all("alice", "bob", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await alice.send("one")
    mine, hers = await watch_room_list(bobs_phone), await watch_room_list(alice)
    mine.take_items(), hers.take_items()
    await bob.mark(read=4)
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    (item,) = mine.take_items()
    assert (item.room.read, item.room.delivered, item.room.unread) == (4, 4, 0)
    assert hers.take_items() == []


@pytest.mark.asyncio
async def test_a_cursor_of_mine_brings_only_what_changed_since() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    for room in ("a", "b", "c", "d"):
        await alice.create_room(room, v1.GROUP, "bob")
    first = await watch_room_list(bob)
    cursor = first.items[-1].cursor
    first.close()
    await alice.send("news", room="b")
    await alice.leave_room("c", "bob")
    await alice.create_room("e", v1.GROUP, "bob")
    again = await watch_room_list(bob, after=cursor)
    assert describe(again.items) == ["b", "-c", "e", "live"]
    for lost in (v1.Cursor(epoch="another", seq=cursor.seq), v1.Cursor(epoch=cursor.epoch, seq=10**9)):
        everything = await watch_room_list(bob, after=lost)
        assert sorted(describe(everything.items)) == sorted(["a", "b", "d", "e", "live"])


@pytest.mark.asyncio
async def test_positions_of_one_user_do_not_invalidate_cursors_of_others() -> None:
    store = MemoryStore()
    await store.create_room("quiet", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    await store.create_room("busy", kind=v1.GROUP, title="", creator="alice", members=["bob"], at_ms=1)
    harness = DomainHarness(store)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.send(room="busy")
    first = await watch_room_list(bob)
    cursor = first.items[-1].cursor
    first.close()
    hers = await watch_room_list(alice)
    await alice.mark("quiet", read=2)
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    hers.close()
    again = await watch_room_list(bob, after=cursor)
    assert describe(again.items) == ["quiet", "live"]


@pytest.mark.asyncio
async def test_what_happens_while_a_watch_is_opened_is_not_missed() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("old", v1.GROUP, "bob")
    names_of = harness.store.room_names_of

    async def slowly(user: str) -> Any:
        names = await names_of(user)
        await alice.create_room("new", v1.GROUP, "bob")
        await alice.leave_room("old", "bob")
        return names

    harness.store.room_names_of = slowly  # type: ignore[method-assign]
    reader = await watch_room_list(bob)
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    final = {word.lstrip("-"): word for word in describe(reader.items)}
    assert final == {"new": "new", "old": "-old", "live": "live"}


@pytest.mark.asyncio
async def test_a_closed_watch_is_released() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    reader = await watch_room_list(bob)
    reader.take_items()
    reader.close()
    reader.close()
    await alice.send()
    await bob.mark(read=1)
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    assert reader.items == []
    assert harness.services.key_change_hubs["rooms"].subscription_count == 0


@pytest.mark.asyncio
async def test_more_rooms_than_one_watch_may_have_are_refused_with_the_limit() -> None:
    harness = DomainHarness(key_changes=KeyChangeLimits(keys_per_subscription_max=2))
    alice, bob = harness.connect_all("alice", "bob")
    for room in ("a", "b"):
        await alice.create_room(room, v1.GROUP, "bob")
    reader = await watch_room_list(bob)
    assert not reader.ended
    await alice.create_room("c", v1.GROUP, "bob")
    await settle()
    assert reader.api_error.code is Code.RESOURCE_EXHAUSTED
    reader = await watch_room_list(bob)
    assert reader.api_error.code is Code.RESOURCE_EXHAUSTED


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
    harness = DomainHarness()
    people = {person.name: person for person in harness.connect_all("alice", "bob")}
    await people["alice"].create_room("den", v1.GROUP, "bob")
    model, dice, head = Model(), random.Random(seed), 3
    readers = {name: await watch_room_list(person) for name, person in people.items()}
    for _ in range(dice.randint(1, 40)):
        name = dice.choice(["alice", "bob"])
        who = people[name]
        mine = [seq for seq, (author, deleted) in model.messages.items() if author == name and not deleted]
        match dice.choice(["send", "send", "edit", "delete", "react", "mark"]):
            case "send":
                head = await who.send()
                model.messages[head] = (name, False)
            case "edit" if mine:
                request = v1.EditRequest(room="den", client_id=who.new_client_id(), target=dice.choice(mine), text="x")
                head = (await who.call("chat.edit", request)).cursor.seq
            case "delete" if mine:
                target = dice.choice(mine)
                request_ = v1.DeleteRequest(room="den", client_id=who.new_client_id(), target=target)
                head = (await who.call("chat.delete", request_)).cursor.seq
                model.messages[target] = (name, True)
            case "react" if mine:
                reaction = v1.ReactRequest(
                    room="den", client_id=who.new_client_id(), target=dice.choice(mine), emoji="x"
                )
                head = (await who.call("chat.react", reaction)).cursor.seq
            case "mark":
                read = dice.randint(0, head + 2)
                await who.mark(read=read)
                model.read[name] = max(model.read[name], min(read, head))
    await harness.advance_time(MIN_INTERVAL_SECONDS)
    for name, person in people.items():
        (state,) = (await person.call("rooms.list", v1.ListRequest())).rooms
        assert (state.read, state.unread) == (model.read[name], model.unread(name))
        last = [item.room for item in readers[name].items if item.HasField("room")][-1]
        assert last == state


@pytest.mark.asyncio
async def test_who_comes_back_to_more_changes_than_are_remembered_gets_all_rooms() -> None:
    async def told_after_a_break(remembered: int) -> list[str]:
        harness = DomainHarness(recent_room_changes_max=remembered)
        alice, bob = harness.connect_all("alice", "bob")
        for room in ("a", "b", "c", "d"):
            await alice.create_room(room, v1.GROUP, "bob")
        reader = await watch_room_list(bob)
        reader.close()
        for room in ("a", "b", "c"):
            await alice.send(room=room)
        return sorted(describe((await watch_room_list(bob, after=reader.items[-1].cursor)).items))

    assert await told_after_a_break(remembered=4) == ["a", "b", "c", "live"]
    assert await told_after_a_break(remembered=2) == ["a", "b", "c", "d", "live"]
