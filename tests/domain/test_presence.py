"""presence.*: who is there, as others see it."""

import asyncio
from typing import Any

import pytest

from domain.stage import START_MS, UNBOUNDED, House, Person, Reader, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code


async def watch(who: Person, *users: str, credit: int = UNBOUNDED, **request: Any) -> Reader:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(users=users, **request), credit)
    await settled()
    return reader


async def set_status(who: Person, status: int, text: str = "") -> None:
    await who.call("presence.set", v1.SetPresenceRequest(status=v1.Status.ValueType(status), text=text))


def said(items: list[v1.PresenceItem]) -> list[Any]:
    """What the items say, short: (user, status), typing users, (user, delivered, read), (online, members), live."""
    words: list[Any] = []
    for item in items:
        match item.WhichOneof("item"):
            case "user":
                words.append((item.user.user, v1.Status.Name(item.user.status)))
            case "typing":
                words.append(list(item.typing.users))
            case "receipt":
                words.append((item.receipt.user, item.receipt.delivered, item.receipt.read))
            case "count":
                words.append((item.count.online, item.count.members))
            case other:
                words.append(other)
    return words


@pytest.mark.asyncio
async def test_people_come_as_they_are_then_the_live_mark_then_changes() -> None:
    house = House()
    alice, _ = house.people("alice", "bob")
    reader = await watch(alice, "bob", "carol")
    assert said(reader.drain()) == [("carol", "OFFLINE"), ("bob", "ONLINE"), "live"]
    house.connect("carol")
    await settled()
    assert said(reader.drain()) == [("carol", "ONLINE")]


@pytest.mark.asyncio
async def test_offline_comes_a_grace_period_after_the_last_connection_died_and_says_when_that_was() -> None:
    house = House(grace_seconds=10.0)
    alice, bob, phone = house.people("alice", "bob", "bob")
    reader = await watch(alice, "bob")
    reader.drain()
    bob.leave()
    await house.pass_time(60)
    assert reader.drain() == []
    phone.leave()
    died_ms = house.clock.now_ms()
    await house.pass_time(9)
    assert reader.drain() == []
    await house.pass_time(1.5)
    (item,) = reader.drain()
    assert item.user == v1.UserPresence(user="bob", status=v1.OFFLINE, last_seen_ms=died_ms)
    assert await house.store.last_seen(["bob"]) == {"bob": died_ms}


@pytest.mark.asyncio
async def test_who_comes_back_within_the_grace_period_was_never_gone() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    reader = await watch(alice, "bob")
    reader.drain()
    for _ in range(5):
        bob.leave()
        await house.pass_time(9)
        bob = house.connect("bob")
        await house.pass_time(9)
    assert reader.drain() == []
    assert await house.store.last_seen(["bob"]) == {}


@pytest.mark.asyncio
async def test_a_status_holds_on_all_devices_and_until_it_is_changed() -> None:
    house = House()
    alice, bob, phone = house.people("alice", "bob", "bob")
    reader = await watch(alice, "bob")
    await set_status(phone, v1.AWAY, "at lunch")
    await settled()
    assert reader.drain()[-1].user == v1.UserPresence(user="bob", status=v1.AWAY, text="at lunch")
    bob.leave()
    phone.leave()
    await house.pass_time(11)
    assert said(reader.drain()) == [("bob", "OFFLINE")]
    phone = house.connect("bob")
    await settled()
    assert said(reader.drain()) == [("bob", "AWAY")]
    await set_status(phone, v1.ONLINE)
    await settled()
    assert reader.drain()[-1].user == v1.UserPresence(user="bob", status=v1.ONLINE)


@pytest.mark.asyncio
async def test_the_same_status_again_says_nothing() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    reader = await watch(alice, "bob")
    reader.drain()
    await set_status(bob, v1.ONLINE)
    await settled()
    assert reader.drain() == []


@pytest.mark.asyncio
async def test_the_same_status_again_says_nothing_to_ones_own_devices_either() -> None:
    house = House()
    (ada,) = house.people("ada")
    heard: list[str] = []
    house.product.roster.changed_for_self.append(heard.append)
    for status, text in ((v1.ONLINE, ""), (v1.BUSY, "tea"), (v1.BUSY, "tea"), (v1.ONLINE, ""), (v1.ONLINE, "")):
        await ada.call("presence.set", v1.SetPresenceRequest(status=status, text=text))
    assert heard == ["ada", "ada"]


@pytest.mark.asyncio
async def test_the_invisible_are_offline_to_others_and_invisible_to_themselves() -> None:
    house = House()
    alice, bob, phone = house.people("alice", "bob", "bob")
    others, own = await watch(alice, "bob"), await watch(phone, "bob")
    others.drain(), own.drain()
    await house.pass_time(100)
    await set_status(bob, v1.INVISIBLE, "hiding")
    await settled()
    (item,) = others.drain()
    assert item.user == v1.UserPresence(user="bob", status=v1.OFFLINE, last_seen_ms=START_MS + 100_000)
    (item,) = own.drain()
    assert item.user == v1.UserPresence(user="bob", status=v1.INVISIBLE, text="hiding")


@pytest.mark.asyncio
async def test_nothing_that_the_invisible_do_reaches_others() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    others = await watch(alice, "bob")
    await set_status(bob, v1.INVISIBLE)
    await settled()
    hidden = others.drain()[-1]
    for text in ("one", "two"):
        await set_status(bob, v1.INVISIBLE, text)
    phone = house.connect("bob")
    await house.pass_time(5)
    bob.leave()
    phone.leave()
    await house.pass_time(30)
    house.connect("bob")
    await house.pass_time(30)
    assert others.drain() == []
    late = await watch(alice, "bob")
    assert late.items[0].user == hidden.user
    assert await house.store.last_seen(["bob"]) == {"bob": hidden.user.last_seen_ms}


@pytest.mark.asyncio
async def test_when_somebody_was_last_seen_outlives_the_service() -> None:
    house = House()
    (bob,) = house.people("bob")
    bob.leave()
    await house.pass_time(20)
    later = House(house.store)
    reader = await watch(later.connect("alice"), "bob", "nobody")
    assert [item.user.last_seen_ms for item in reader.items[:2]] == [START_MS, 0]


@pytest.mark.asyncio
async def test_a_service_that_stops_remembers_when_those_connected_were_last_seen() -> None:
    house = House()
    (_, carol, dave) = house.people("bob", "carol", "dave")
    await set_status(dave, v1.INVISIBLE)
    await house.pass_time(5)
    carol.leave()
    await house.pass_time(5)
    await house.product.close()
    seen = await house.store.last_seen(["bob", "carol", "dave"])
    assert seen == {"bob": START_MS + 10_000, "carol": START_MS + 5_000, "dave": START_MS}


@pytest.mark.asyncio
async def test_a_slow_reader_gets_the_latest_state_of_each_user_and_no_backlog() -> None:
    house = House()
    alice, bob, carol = house.people("alice", "bob", "carol")
    reader = await watch(alice, "bob", "carol", credit=3)
    reader.drain()
    for number in range(50):
        await set_status(bob, v1.BUSY, f"{number}")
        await set_status(carol, v1.AWAY, f"{number}")
        await settled()
    assert reader.drain() == []
    reader.take(100)
    await settled()
    assert sorted(item.user.text for item in reader.items) == ["49", "49"]


@pytest.mark.asyncio
async def test_a_cursor_of_a_watch_of_people_brings_only_what_changed_since() -> None:
    house = House()
    alice, bob, _ = house.people("alice", "bob", "carol")
    first = await watch(alice, "bob", "carol")
    cursor = first.items[-1].cursor
    first.close()
    await set_status(bob, v1.BUSY)
    again = await watch(alice, "bob", "carol", after=cursor)
    assert said(again.items) == [("bob", "BUSY"), "live"]
    lost = await watch(alice, "bob", "carol", after=v1.Cursor(epoch="another", seq=cursor.seq))
    assert said(lost.items)[-1] == "live"
    assert len(lost.items) == 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_",
    [
        v1.PresenceWatchRequest(),
        v1.PresenceWatchRequest(users=["bob"], room="den"),
        v1.PresenceWatchRequest(users=["a b"]),
        v1.PresenceWatchRequest(users=[f"u{number}" for number in range(1001)]),
        v1.PresenceWatchRequest(room="a b"),
    ],
)
async def test_a_watch_names_users_or_a_room(request_: v1.PresenceWatchRequest) -> None:
    (alice,) = House().people("alice")
    with refused(Code.INVALID_ARGUMENT):
        await alice.watch("presence.watch", request_)


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "text"), [(0, ""), (9, ""), (v1.AWAY, "x" * 257), (v1.AWAY, "two\nlines")])
async def test_a_status_is_one_of_four_and_its_text_is_short(status: int, text: str) -> None:
    (alice,) = House().people("alice")
    with refused(Code.INVALID_ARGUMENT):
        await set_status(alice, status, text)


# A room.


async def den(house: House, *members: str) -> Reader:
    """What `alice` sees of the room `den` of hers and these members, after the snapshot."""
    alice = house.connect("alice")
    await alice.create("den", v1.GROUP, *members)
    return await watch(alice, room="den")


@pytest.mark.asyncio
async def test_a_room_shows_its_members_their_typing_and_their_positions() -> None:
    house = House()
    bob = house.connect("bob")
    reader = await den(house, "bob", "carol")
    assert said(reader.drain()) == [("alice", "ONLINE"), ("bob", "ONLINE"), ("carol", "OFFLINE"), "live"]
    await bob.mark(read=2, delivered=1)
    await settled()
    assert said(reader.drain()) == [("bob", 2, 2)]
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await settled()
    assert said(reader.drain()) == [["bob"]]
    bob.leave()
    await house.pass_time(11)
    assert said(reader.drain()) == [[], ("bob", "OFFLINE")]
    late = await watch(house.connect("carol"), room="den")
    assert said(late.items) == [
        ("alice", "ONLINE"),
        ("bob", 2, 2),
        [],
        ("bob", "OFFLINE"),
        ("carol", "ONLINE"),
        "live",
    ]


@pytest.mark.asyncio
async def test_typing_dies_by_itself_unless_it_is_repeated_and_ends_at_once_when_stopped() -> None:
    house = House(typing_seconds=6.0)
    bob, carol = house.people("bob", "carol")
    reader = await den(house, "bob", "carol")
    reader.drain()

    async def typing(who: Person, stopped: bool = False) -> None:
        await who.call("presence.typing", v1.TypingRequest(room="den", stopped=stopped))
        await settled()

    await typing(bob)
    await house.pass_time(3)
    await typing(carol)
    await typing(bob)
    assert said(reader.drain()) == [["bob"], ["bob", "carol"]]
    await house.pass_time(4)
    assert reader.drain() == []
    await typing(carol, stopped=True)
    assert said(reader.drain()) == [["bob"]]
    await house.pass_time(2)
    assert said(reader.drain()) == [[]]
    await typing(carol, stopped=True)
    assert reader.drain() == []


@pytest.mark.asyncio
async def test_a_message_or_an_edit_ends_its_authors_typing_at_once_for_all_who_watch() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    room = await den(house, "bob")
    channel = alice.channel()
    channel.say(open=v1.WatchRequest(room="den"))
    await settled()
    channel.reader.drain()

    async def typing(who: Person) -> None:
        await who.call("presence.typing", v1.TypingRequest(room="den"))
        await settled()

    await typing(bob)
    await typing(alice)
    room.drain()
    seq = await bob.send()
    await settled()
    assert said(room.drain()) == [["alice"]]
    await typing(bob)
    await bob.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=seq, text="hi"))
    await settled()
    channel.say(send=v1.SendRequest(room="den", client_id="a", text="hello"))
    await settled()
    assert said(room.drain())[-1] == []
    lives = [item.presence for item in channel.reader.items if item.HasField("presence")]
    assert [words for words in said(lives) if isinstance(words, list)][-1] == []


@pytest.mark.asyncio
async def test_what_is_typed_after_a_message_was_sent_is_not_ended_by_it() -> None:
    house = House()
    (bob,) = house.people("bob")
    room = await den(house, "bob")
    sending = asyncio.ensure_future(bob.send())
    await asyncio.sleep(0)
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await sending
    await settled()
    assert said(room.drain())[-1] == ["bob"]


@pytest.mark.asyncio
async def test_who_becomes_a_reader_types_no_longer() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    room = await den(house, "bob")
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await settled()
    room.drain()
    await alice.join(user="bob", role=v1.READER)
    await settled()
    assert [] in said(room.drain())


@pytest.mark.asyncio
async def test_who_types_when_a_watch_begins_is_part_of_the_snapshot() -> None:
    house = House()
    bob = house.connect("bob")
    await bob.create("den")
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    reader = await watch(bob, room="den")
    assert said(reader.items) == [("bob", "ONLINE"), ["bob"], "live"]


@pytest.mark.asyncio
async def test_a_room_follows_who_comes_and_who_leaves() -> None:
    house = House()
    bob = house.connect("bob")
    reader = await den(house)
    alice = house.connect("alice")
    reader.drain()
    await alice.join(user="bob")
    await alice.join(user="carol")
    await settled()
    # Where they begin to read is told as well, as a later snapshot has it.
    assert set(said(reader.drain())) == {("bob", "ONLINE"), ("bob", 3, 3), ("carol", "OFFLINE"), ("carol", 4, 4)}
    await alice.quit(user="bob")
    await settled()
    assert said(reader.drain()) == [("bob", "OFFLINE")]
    bob.leave()
    await house.pass_time(60)
    assert reader.drain() == []
    await alice.join(user="bob")
    await settled()
    assert set(said(reader.drain())) == {("bob", "OFFLINE"), ("bob", 6, 6)}


@pytest.mark.asyncio
async def test_who_is_removed_sees_nothing_more_of_the_room() -> None:
    house = House()
    bob = house.connect("bob")
    await den(house, "bob")
    alice = house.connect("alice")
    reader = await watch(bob, room="den")
    await alice.quit(user="bob")
    assert reader.failure.code is Code.PERMISSION_DENIED


@pytest.mark.asyncio
async def test_above_a_size_a_room_tells_two_numbers_now_and_then() -> None:
    house = House(presence_room_members_max=3, presence_count_seconds=5.0)
    people = house.people("a", "b", "c")
    reader = await den(house, "a", "b", "c", "d")
    assert said(reader.drain()) == [(4, 5), "live"]
    people[0].leave()
    await house.pass_time(10.5)
    await people[1].mark(read=3)
    house.connect("d"), house.connect("a")
    await settled()
    assert said(reader.drain()) == [(3, 5)]
    await house.pass_time(5)
    assert said(reader.drain()) == [(5, 5)]
    await house.pass_time(60)
    assert reader.drain() == []
    await people[1].call("presence.typing", v1.TypingRequest(room="den"))
    await settled()
    assert said(reader.drain()) == [["b"]]


@pytest.mark.asyncio
async def test_a_room_that_grows_beyond_the_size_counts_from_then_on() -> None:
    house = House(presence_room_members_max=3)
    reader = await den(house, "b", "c")
    alice = house.connect("alice")
    reader.drain()
    await alice.join(user="d")
    await settled()
    assert said(reader.drain()) == [(1, 4)]
    house.connect("d")
    await alice.quit(user="b")
    await house.pass_time(6)
    assert said(reader.drain()) == [(2, 3)]


@pytest.mark.asyncio
async def test_a_slow_reader_of_a_room_gets_the_latest_state_of_each_and_no_backlog() -> None:
    house = House()
    bob = house.connect("bob")
    await den(house, "bob")
    slow = await watch(bob, room="den", credit=3)
    assert said(slow.drain())[-1] == "live"
    for number in range(50):
        await set_status(bob, v1.BUSY, f"{number}")
        await bob.mark(read=1 + number % 3)
        await bob.call("presence.typing", v1.TypingRequest(room="den", stopped=number % 2 == 0))
        await settled()
    slow.take(100)
    await settled()
    assert sorted(map(str, said(slow.items))) == sorted(["('bob', 3, 3)", "('bob', 'BUSY')", "['bob']"])


@pytest.mark.asyncio
async def test_a_cursor_of_a_room_brings_only_what_changed_since() -> None:
    house = House()
    bob = house.connect("bob")
    first = await den(house, "bob", "carol")
    alice = house.connect("alice")
    cursor = first.items[-1].cursor
    first.close()
    await set_status(bob, v1.BUSY)
    again = await watch(alice, room="den", after=cursor)
    assert said(again.drain()) == [("bob", "BUSY"), "live"]
    again.close()
    # Nobody watches for so long that the room is let go: then everything comes.
    await house.pass_time(120)
    late = await watch(alice, room="den", after=cursor)
    assert len(said(late.items)) == 4


@pytest.mark.asyncio
async def test_a_room_that_nobody_watches_costs_nothing() -> None:
    house = House()
    reader = await den(house, "bob")
    gatherings = house.product.services["presence"]._gatherings  # type: ignore[attr-defined]
    reader.close()
    await house.pass_time(120)
    assert (gatherings._gatherings, gatherings._showing) == ({}, {})


@pytest.mark.asyncio
async def test_what_happens_while_a_room_is_loaded_is_not_missed() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob", "carol")
    last_seen = house.store.last_seen

    async def slowly(users: Any) -> Any:
        seen = await last_seen(users)
        house.store.last_seen = last_seen  # type: ignore[method-assign]
        await alice.join(user="dave")
        await alice.quit(user="carol")
        await bob.mark(read=2)
        await set_status(bob, v1.AWAY)
        return seen

    house.store.last_seen = slowly  # type: ignore[method-assign]
    reader = await watch(alice, room="den")
    final = {word[0]: word[1:] for word in said(reader.items) if isinstance(word, tuple) and len(word) == 2}
    assert final == {"alice": ("ONLINE",), "bob": ("AWAY",), "carol": ("OFFLINE",), "dave": ("OFFLINE",)}
    assert ("bob", 2, 2) in said(reader.items)


@pytest.mark.asyncio
async def test_positions_heard_while_a_room_is_loaded_never_take_it_back() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    for _ in range(7):
        await alice.send()
    members = house.store.members

    async def slowly(*asked: Any, **page: Any) -> Any:
        house.store.members = members  # type: ignore[method-assign]
        await bob.mark(read=4)
        # From elsewhere, so that only the store knows.
        await house.store.mark("den", "bob", delivered=9, read=8)
        return await members(*asked, **page)

    house.store.members = slowly  # type: ignore[method-assign]
    reader = await watch(alice, room="den")
    assert [word for word in said(reader.items) if len(word) == 3] == [("bob", 9, 8)]
    await bob.mark(read=9)
    await settled()
    assert said(reader.items)[-1] == ("bob", 9, 9)


@pytest.mark.asyncio
async def test_a_room_that_cannot_be_loaded_fails_its_watch_and_can_be_tried_again() -> None:
    house = House()
    (alice,) = house.people("alice")
    await alice.create("den")
    members = house.store.members

    async def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no disk")

    house.store.members = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no disk"):
        await watch(alice, room="den")
    house.store.members = members  # type: ignore[method-assign]
    assert said((await watch(alice, room="den")).items) == [("alice", "ONLINE"), "live"]


@pytest.mark.asyncio
async def test_the_bytes_of_a_change_are_made_once_for_all_who_watch_the_room() -> None:
    house = House()
    bob = house.connect("bob")
    await den(house, "bob")
    readers = [await watch(house.connect("alice"), room="den") for _ in range(5)]
    await set_status(bob, v1.BUSY)
    await settled()
    assert all(reader.batches[-1] is readers[0].batches[-1] for reader in readers)
