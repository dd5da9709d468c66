"""presence.*: who is there, as others see it."""

import asyncio
from typing import Any

import pytest

from domain.harness import START_MS, UNBOUNDED, ConnectedUser, DomainHarness, RecordingSink, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import Code


async def watch(who: ConnectedUser, *users: str, credit: int = UNBOUNDED, **request: Any) -> RecordingSink:
    reader = await who.watch("presence.watch", v1.PresenceWatchRequest(users=users, **request), credit)
    await settle()
    return reader


async def set_status(who: ConnectedUser, status: int, text: str = "") -> None:
    await who.call("presence.set", v1.SetPresenceRequest(status=v1.Status.ValueType(status), text=text))


def describe(items: list[v1.PresenceItem]) -> list[Any]:
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
    harness = DomainHarness()
    alice, _ = harness.connect_all("alice", "bob")
    reader = await watch(alice, "bob", "carol")
    assert describe(reader.take_items()) == [("carol", "OFFLINE"), ("bob", "ONLINE"), "live"]
    harness.connect("carol")
    await settle()
    assert describe(reader.take_items()) == [("carol", "ONLINE")]


@pytest.mark.asyncio
async def test_offline_comes_a_grace_period_after_the_last_connection_died_and_says_when_that_was() -> None:
    harness = DomainHarness(grace_seconds=10.0)
    alice, bob, phone = harness.connect_all("alice", "bob", "bob")
    reader = await watch(alice, "bob")
    reader.take_items()
    bob.disconnect()
    await harness.advance_time(60)
    assert reader.take_items() == []
    phone.disconnect()
    died_ms = harness.clock.now_ms()
    await harness.advance_time(9)
    assert reader.take_items() == []
    await harness.advance_time(1.5)
    (item,) = reader.take_items()
    assert item.user == v1.UserPresence(user="bob", status=v1.OFFLINE, last_seen_ms=died_ms)
    assert await harness.store.last_seen(["bob"]) == {"bob": died_ms}


@pytest.mark.asyncio
async def test_who_comes_back_within_the_grace_period_was_never_gone() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    reader = await watch(alice, "bob")
    reader.take_items()
    for _ in range(5):
        bob.disconnect()
        await harness.advance_time(9)
        bob = harness.connect("bob")
        await harness.advance_time(9)
    assert reader.take_items() == []
    assert await harness.store.last_seen(["bob"]) == {}


@pytest.mark.asyncio
async def test_a_status_holds_on_all_devices_and_until_it_is_changed() -> None:
    harness = DomainHarness()
    alice, bob, phone = harness.connect_all("alice", "bob", "bob")
    reader = await watch(alice, "bob")
    await set_status(phone, v1.AWAY, "at lunch")
    await settle()
    assert reader.take_items()[-1].user == v1.UserPresence(user="bob", status=v1.AWAY, text="at lunch")
    bob.disconnect()
    phone.disconnect()
    await harness.advance_time(11)
    assert describe(reader.take_items()) == [("bob", "OFFLINE")]
    phone = harness.connect("bob")
    await settle()
    assert describe(reader.take_items()) == [("bob", "AWAY")]
    await set_status(phone, v1.ONLINE)
    await settle()
    assert reader.take_items()[-1].user == v1.UserPresence(user="bob", status=v1.ONLINE)


@pytest.mark.asyncio
async def test_the_same_status_again_says_nothing() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    reader = await watch(alice, "bob")
    reader.take_items()
    await set_status(bob, v1.ONLINE)
    await settle()
    assert reader.take_items() == []


@pytest.mark.asyncio
async def test_the_same_status_again_says_nothing_to_ones_own_devices_either() -> None:
    harness = DomainHarness()
    (ada,) = harness.connect_all("ada")
    heard: list[str] = []
    harness.services.presence_tracker.on_own_state_changed.append(heard.append)
    for status, text in ((v1.ONLINE, ""), (v1.BUSY, "tea"), (v1.BUSY, "tea"), (v1.ONLINE, ""), (v1.ONLINE, "")):
        await ada.call("presence.set", v1.SetPresenceRequest(status=status, text=text))
    assert heard == ["ada", "ada"]


@pytest.mark.asyncio
async def test_the_invisible_are_offline_to_others_and_invisible_to_themselves() -> None:
    harness = DomainHarness()
    alice, bob, phone = harness.connect_all("alice", "bob", "bob")
    others, own = await watch(alice, "bob"), await watch(phone, "bob")
    others.take_items(), own.take_items()
    await harness.advance_time(100)
    await set_status(bob, v1.INVISIBLE, "hiding")
    await settle()
    (item,) = others.take_items()
    assert item.user == v1.UserPresence(user="bob", status=v1.OFFLINE, last_seen_ms=START_MS + 100_000)
    (item,) = own.take_items()
    assert item.user == v1.UserPresence(user="bob", status=v1.INVISIBLE, text="hiding")


@pytest.mark.asyncio
async def test_nothing_that_the_invisible_do_reaches_others() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    others = await watch(alice, "bob")
    await set_status(bob, v1.INVISIBLE)
    await settle()
    hidden = others.take_items()[-1]
    for text in ("one", "two"):
        await set_status(bob, v1.INVISIBLE, text)
    phone = harness.connect("bob")
    await harness.advance_time(5)
    bob.disconnect()
    phone.disconnect()
    await harness.advance_time(30)
    harness.connect("bob")
    await harness.advance_time(30)
    assert others.take_items() == []
    late = await watch(alice, "bob")
    assert late.items[0].user == hidden.user
    assert await harness.store.last_seen(["bob"]) == {"bob": hidden.user.last_seen_ms}


@pytest.mark.asyncio
async def test_when_somebody_was_last_seen_outlives_the_service() -> None:
    harness = DomainHarness()
    (bob,) = harness.connect_all("bob")
    bob.disconnect()
    await harness.advance_time(20)
    later = DomainHarness(harness.store)
    reader = await watch(later.connect("alice"), "bob", "nobody")
    assert [item.user.last_seen_ms for item in reader.items[:2]] == [START_MS, 0]


@pytest.mark.asyncio
async def test_a_service_that_stops_remembers_when_those_connected_were_last_seen() -> None:
    harness = DomainHarness()
    (_, carol, dave) = harness.connect_all("bob", "carol", "dave")
    await set_status(dave, v1.INVISIBLE)
    await harness.advance_time(5)
    carol.disconnect()
    await harness.advance_time(5)
    await harness.services.close()
    seen = await harness.store.last_seen(["bob", "carol", "dave"])
    assert seen == {"bob": START_MS + 10_000, "carol": START_MS + 5_000, "dave": START_MS}


@pytest.mark.asyncio
async def test_a_slow_reader_gets_the_latest_state_of_each_user_and_no_backlog() -> None:
    harness = DomainHarness()
    alice, bob, carol = harness.connect_all("alice", "bob", "carol")
    reader = await watch(alice, "bob", "carol", credit=3)
    reader.take_items()
    for number in range(50):
        await set_status(bob, v1.BUSY, f"{number}")
        await set_status(carol, v1.AWAY, f"{number}")
        await settle()
    assert reader.take_items() == []
    reader.request(100)
    await settle()
    assert sorted(item.user.text for item in reader.items) == ["49", "49"]


@pytest.mark.asyncio
async def test_a_cursor_of_a_watch_of_people_brings_only_what_changed_since() -> None:
    harness = DomainHarness()
    alice, bob, _ = harness.connect_all("alice", "bob", "carol")
    first = await watch(alice, "bob", "carol")
    cursor = first.items[-1].cursor
    first.close()
    await set_status(bob, v1.BUSY)
    again = await watch(alice, "bob", "carol", after=cursor)
    assert describe(again.items) == [("bob", "BUSY"), "live"]
    lost = await watch(alice, "bob", "carol", after=v1.Cursor(epoch="another", seq=cursor.seq))
    assert describe(lost.items)[-1] == "live"
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
    (alice,) = DomainHarness().connect_all("alice")
    with raises_error(Code.INVALID_ARGUMENT):
        await alice.watch("presence.watch", request_)


@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "text"), [(0, ""), (9, ""), (v1.AWAY, "x" * 257), (v1.AWAY, "two\nlines")])
async def test_a_status_is_one_of_four_and_its_text_is_short(status: int, text: str) -> None:
    (alice,) = DomainHarness().connect_all("alice")
    with raises_error(Code.INVALID_ARGUMENT):
        await set_status(alice, status, text)


# A room.


async def watch_den(harness: DomainHarness, *members: str) -> RecordingSink:
    """What `alice` sees of the room `den` of hers and these members, after the snapshot."""
    alice = harness.connect("alice")
    await alice.create_room("den", v1.GROUP, *members)
    return await watch(alice, room="den")


@pytest.mark.asyncio
async def test_a_room_shows_its_members_their_typing_and_their_positions() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    reader = await watch_den(harness, "bob", "carol")
    assert describe(reader.take_items()) == [("alice", "ONLINE"), ("bob", "ONLINE"), ("carol", "OFFLINE"), "live"]
    await bob.mark(read=2, delivered=1)
    await settle()
    assert describe(reader.take_items()) == [("bob", 2, 2)]
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await settle()
    assert describe(reader.take_items()) == [["bob"]]
    bob.disconnect()
    await harness.advance_time(11)
    assert describe(reader.take_items()) == [[], ("bob", "OFFLINE")]
    late = await watch(harness.connect("carol"), room="den")
    assert describe(late.items) == [
        ("alice", "ONLINE"),
        ("bob", 2, 2),
        [],
        ("bob", "OFFLINE"),
        ("carol", "ONLINE"),
        "live",
    ]


@pytest.mark.asyncio
async def test_typing_expires_unless_it_is_repeated_and_ends_at_once_when_stopped() -> None:
    harness = DomainHarness(typing_seconds=6.0)
    bob, carol = harness.connect_all("bob", "carol")
    reader = await watch_den(harness, "bob", "carol")
    reader.take_items()

    async def typing(who: ConnectedUser, stopped: bool = False) -> None:
        await who.call("presence.typing", v1.TypingRequest(room="den", stopped=stopped))
        await settle()

    await typing(bob)
    await harness.advance_time(3)
    await typing(carol)
    await typing(bob)
    assert describe(reader.take_items()) == [["bob"], ["bob", "carol"]]
    await harness.advance_time(4)
    assert reader.take_items() == []
    await typing(carol, stopped=True)
    assert describe(reader.take_items()) == [["bob"]]
    await harness.advance_time(2)
    assert describe(reader.take_items()) == [[]]
    await typing(carol, stopped=True)
    assert reader.take_items() == []


@pytest.mark.asyncio
async def test_a_message_or_an_edit_ends_its_authors_typing_at_once_for_all_who_watch() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    room = await watch_den(harness, "bob")
    channel = alice.channel()
    channel.send_command(open=v1.WatchRequest(room="den"))
    await settle()
    channel.reader.take_items()

    async def typing(who: ConnectedUser) -> None:
        await who.call("presence.typing", v1.TypingRequest(room="den"))
        await settle()

    await typing(bob)
    await typing(alice)
    room.take_items()
    seq = await bob.send()
    await settle()
    assert describe(room.take_items()) == [["alice"]]
    await typing(bob)
    await bob.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=seq, text="hi"))
    await settle()
    channel.send_command(send=v1.SendRequest(room="den", client_id="a", text="hello"))
    await settle()
    assert describe(room.take_items())[-1] == []
    lives = [item.presence for item in channel.reader.items if item.HasField("presence")]
    assert [words for words in describe(lives) if isinstance(words, list)][-1] == []


@pytest.mark.asyncio
async def test_what_is_typed_after_a_message_was_sent_is_not_ended_by_it() -> None:
    harness = DomainHarness()
    (bob,) = harness.connect_all("bob")
    room = await watch_den(harness, "bob")
    sending = asyncio.ensure_future(bob.send())
    await asyncio.sleep(0)
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await sending
    await settle()
    assert describe(room.take_items())[-1] == ["bob"]


@pytest.mark.asyncio
async def test_who_becomes_a_reader_types_no_longer() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    room = await watch_den(harness, "bob")
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    await settle()
    room.take_items()
    await alice.join_room(user="bob", role=v1.READER)
    await settle()
    assert [] in describe(room.take_items())


@pytest.mark.asyncio
async def test_who_types_when_a_watch_begins_is_part_of_the_snapshot() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    await bob.create_room("den")
    await bob.call("presence.typing", v1.TypingRequest(room="den"))
    reader = await watch(bob, room="den")
    assert describe(reader.items) == [("bob", "ONLINE"), ["bob"], "live"]


@pytest.mark.asyncio
async def test_a_room_follows_who_comes_and_who_leaves() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    reader = await watch_den(harness)
    alice = harness.connect("alice")
    reader.take_items()
    await alice.join_room(user="bob")
    await alice.join_room(user="carol")
    await settle()
    # Where they begin to read is told as well, as a later snapshot has it.
    assert set(describe(reader.take_items())) == {
        ("bob", "ONLINE"),
        ("bob", 3, 3),
        ("carol", "OFFLINE"),
        ("carol", 4, 4),
    }
    await alice.leave_room(user="bob")
    await settle()
    assert describe(reader.take_items()) == [("bob", "OFFLINE")]
    bob.disconnect()
    await harness.advance_time(60)
    assert reader.take_items() == []
    await alice.join_room(user="bob")
    await settle()
    assert set(describe(reader.take_items())) == {("bob", "OFFLINE"), ("bob", 6, 6)}


@pytest.mark.asyncio
async def test_who_is_removed_sees_nothing_more_of_the_room() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    await watch_den(harness, "bob")
    alice = harness.connect("alice")
    reader = await watch(bob, room="den")
    await alice.leave_room(user="bob")
    assert reader.api_error.code is Code.PERMISSION_DENIED


@pytest.mark.asyncio
async def test_above_a_size_a_room_tells_two_numbers_now_and_then() -> None:
    harness = DomainHarness(presence_room_members_max=3, presence_count_seconds=5.0)
    people = harness.connect_all("a", "b", "c")
    reader = await watch_den(harness, "a", "b", "c", "d")
    assert describe(reader.take_items()) == [(4, 5), "live"]
    people[0].disconnect()
    await harness.advance_time(10.5)
    await people[1].mark(read=3)
    harness.connect("d"), harness.connect("a")
    await settle()
    assert describe(reader.take_items()) == [(3, 5)]
    await harness.advance_time(5)
    assert describe(reader.take_items()) == [(5, 5)]
    await harness.advance_time(60)
    assert reader.take_items() == []
    await people[1].call("presence.typing", v1.TypingRequest(room="den"))
    await settle()
    assert describe(reader.take_items()) == [["b"]]


@pytest.mark.asyncio
async def test_a_room_that_grows_beyond_the_size_counts_from_then_on() -> None:
    harness = DomainHarness(presence_room_members_max=3)
    reader = await watch_den(harness, "b", "c")
    alice = harness.connect("alice")
    reader.take_items()
    await alice.join_room(user="d")
    await settle()
    assert describe(reader.take_items()) == [(1, 4)]
    harness.connect("d")
    await alice.leave_room(user="b")
    await harness.advance_time(6)
    assert describe(reader.take_items()) == [(2, 3)]


@pytest.mark.asyncio
async def test_a_slow_reader_of_a_room_gets_the_latest_state_of_each_and_no_backlog() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    await watch_den(harness, "bob")
    slow = await watch(bob, room="den", credit=3)
    assert describe(slow.take_items())[-1] == "live"
    for number in range(50):
        await set_status(bob, v1.BUSY, f"{number}")
        await bob.mark(read=1 + number % 3)
        await bob.call("presence.typing", v1.TypingRequest(room="den", stopped=number % 2 == 0))
        await settle()
    slow.request(100)
    await settle()
    assert sorted(map(str, describe(slow.items))) == sorted(["('bob', 3, 3)", "('bob', 'BUSY')", "['bob']"])


@pytest.mark.asyncio
async def test_a_cursor_of_a_room_brings_only_what_changed_since() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    first = await watch_den(harness, "bob", "carol")
    alice = harness.connect("alice")
    cursor = first.items[-1].cursor
    first.close()
    await set_status(bob, v1.BUSY)
    again = await watch(alice, room="den", after=cursor)
    assert describe(again.take_items()) == [("bob", "BUSY"), "live"]
    again.close()
    # Nobody watches for so long that the room is let go: then everything comes.
    await harness.advance_time(120)
    late = await watch(alice, room="den", after=cursor)
    assert len(describe(late.items)) == 4


@pytest.mark.asyncio
async def test_a_room_without_watches_costs_nothing() -> None:
    harness = DomainHarness()
    reader = await watch_den(harness, "bob")
    room_presences = harness.services.handlers["presence"]._room_presences  # type: ignore[attr-defined]
    reader.close()
    await harness.advance_time(120)
    assert (room_presences._rooms, room_presences._rooms_by_user) == ({}, {})


@pytest.mark.asyncio
async def test_what_happens_while_a_room_is_loaded_is_not_missed() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob", "carol")
    last_seen = harness.store.last_seen

    async def slowly(users: Any) -> Any:
        seen = await last_seen(users)
        harness.store.last_seen = last_seen  # type: ignore[method-assign]
        await alice.join_room(user="dave")
        await alice.leave_room(user="carol")
        await bob.mark(read=2)
        await set_status(bob, v1.AWAY)
        return seen

    harness.store.last_seen = slowly  # type: ignore[method-assign]
    reader = await watch(alice, room="den")
    final = {word[0]: word[1:] for word in describe(reader.items) if isinstance(word, tuple) and len(word) == 2}
    assert final == {"alice": ("ONLINE",), "bob": ("AWAY",), "carol": ("OFFLINE",), "dave": ("OFFLINE",)}
    assert ("bob", 2, 2) in describe(reader.items)


@pytest.mark.asyncio
async def test_positions_received_while_a_room_is_loaded_never_go_back() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    for _ in range(7):
        await alice.send()
    members = harness.store.members

    async def slowly(*asked: Any, **page: Any) -> Any:
        harness.store.members = members  # type: ignore[method-assign]
        await bob.mark(read=4)
        # From elsewhere, so that only the store knows.
        await harness.store.advance_positions("den", "bob", delivered=9, read=8)
        return await members(*asked, **page)

    harness.store.members = slowly  # type: ignore[method-assign]
    reader = await watch(alice, room="den")
    assert [word for word in describe(reader.items) if len(word) == 3] == [("bob", 9, 8)]
    await bob.mark(read=9)
    await settle()
    assert describe(reader.items)[-1] == ("bob", 9, 9)


@pytest.mark.asyncio
async def test_a_room_that_cannot_be_loaded_fails_its_watch_and_can_be_tried_again() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room("den")
    members = harness.store.members

    async def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no disk")

    harness.store.members = broken  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no disk"):
        await watch(alice, room="den")
    harness.store.members = members  # type: ignore[method-assign]
    assert describe((await watch(alice, room="den")).items) == [("alice", "ONLINE"), "live"]


@pytest.mark.asyncio
async def test_the_bytes_of_a_change_are_made_once_for_all_who_watch_the_room() -> None:
    harness = DomainHarness()
    bob = harness.connect("bob")
    await watch_den(harness, "bob")
    readers = [await watch(harness.connect("alice"), room="den") for _ in range(5)]
    await set_status(bob, v1.BUSY)
    await settle()
    assert all(reader.batches[-1] is readers[0].batches[-1] for reader in readers)
