"""chat.send, edit, delete, react, watch: what is said in a room, and who hears it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from domain.harness import ConnectedUser, DomainHarness, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.validation.validator import SEQ_MAX
from tidings.hub import HubLimits

ALICE_AND_BOB = ("alice", "bob")


@pytest.mark.asyncio
async def test_a_message_is_answered_with_its_place_in_the_log() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    request = v1.SendRequest(room="den", client_id="k", text="hello")
    reply = await alice.call("chat.send", request)
    assert (reply.cursor.seq, reply.at_ms, reply.duplicate) == (3, harness.clock.now_ms(), False)
    again = await alice.call("chat.send", request)
    assert (again.cursor, again.at_ms, again.duplicate) == (reply.cursor, reply.at_ms, True)
    page = await alice.page()
    assert [event.posted.text for event in page.events if event.HasField("posted")] == ["hello"]


@pytest.mark.asyncio
async def test_the_same_client_id_with_another_text_is_a_conflict() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    await alice.send("hello", client_id="k")
    with raises_error(Code.CONFLICT):
        await alice.send("goodbye", client_id="k")


@pytest.mark.asyncio
async def test_names_and_texts_are_kept_composed() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room("cafe\u0301", v1.OPEN)
    await alice.send("re\u0301sume\u0301\r\n", room="caf\u00e9")
    (event,) = (await alice.page("cafe\u0301", limit=1)).events
    assert (event.room, event.posted.text) == ("caf\u00e9", "r\u00e9sum\u00e9\n")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "broken",
    [
        {"room": "a b"},
        {"room": ""},
        {"client_id": ""},
        {"client_id": "x" * 65},
        {"text": ""},
        {"text": "\x00"},
        {"reply_to": 99},
        {"reply_to": 2**64 - 1},
    ],
)
async def test_a_message_that_breaks_a_rule_is_refused_and_nothing_is_written(broken: dict[str, Any]) -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    with raises_error(Code.INVALID_ARGUMENT):
        await alice.call("chat.send", v1.SendRequest(**{"room": "den", "client_id": "k", "text": "x", **broken}))
    assert (await alice.page()).head.seq == 2


@pytest.mark.asyncio
async def test_an_answer_names_a_message_that_exists() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    first = await alice.send("question")
    assert await alice.send("answer", reply_to=first) == first + 1
    with raises_error(Code.INVALID_ARGUMENT, "reply_to"):
        await alice.send("answer", reply_to=first + 2)
    with raises_error(Code.INVALID_ARGUMENT, "reply_to"):
        await alice.send("an answer to somebody's arrival", reply_to=2)


@pytest.mark.asyncio
async def test_a_message_that_was_just_sent_elsewhere_can_be_answered_though_its_head_is_news_here() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    await alice.send("known")
    # Another node appends, and this one is not told.
    harness.store.on_committed(lambda *_: None)
    seq = await alice.send("unknown here")
    assert await alice.send("answer", reply_to=seq) == seq + 1


@pytest.mark.asyncio
async def test_only_the_author_edits_a_message() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", v1.GROUP, "bob")
    seq = await bob.send("helo")
    with raises_error(Code.PERMISSION_DENIED):
        await alice.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=seq, text="hacked"))
    await bob.call("chat.edit", v1.EditRequest(room="den", client_id="e", target=seq, text="hello"))
    events = {event.seq: event for event in (await alice.page()).events}
    assert events[seq].posted.text == "hello"
    assert events[seq + 1].edited == v1.Edited(target=seq, text="hello")


@pytest.mark.asyncio
async def test_an_author_and_a_moderator_delete_a_message_and_a_member_does_not() -> None:
    harness = DomainHarness()
    alice, bob, carol, mona = harness.connect_all("alice", "bob", "carol", "mona")
    await alice.create_room("den", v1.GROUP, "bob", "carol")
    await alice.join_room(user="mona", role=v1.MODERATOR)
    seqs = [await bob.send(f"{number}") for number in range(3)]

    async def delete(who: ConnectedUser, seq: int) -> None:
        await who.call("chat.delete", v1.DeleteRequest(room="den", client_id=who.new_client_id(), target=seq))

    with raises_error(Code.PERMISSION_DENIED):
        await delete(carol, seqs[0])
    for who, seq in zip((bob, mona, alice), seqs, strict=True):
        await delete(who, seq)
    events = {event.seq: event for event in (await carol.page()).events}
    assert all(events[seq].posted.deleted and not events[seq].posted.text for seq in seqs)


@pytest.mark.asyncio
async def test_a_reaction_is_added_and_taken_back() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", v1.GROUP, "bob")
    seq = await alice.send()
    await bob.call("chat.react", v1.ReactRequest(room="den", client_id="1", target=seq, emoji="👍"))
    (posted,) = [event.posted for event in (await alice.page()).events if event.HasField("posted")]
    assert [(reaction.emoji, list(reaction.users)) for reaction in posted.reactions] == [("👍", ["bob"])]
    await bob.call("chat.react", v1.ReactRequest(room="den", client_id="2", target=seq, emoji="👍", remove=True))
    (posted,) = [event.posted for event in (await alice.page()).events if event.HasField("posted")]
    assert not posted.reactions


@pytest.mark.asyncio
@pytest.mark.parametrize("target", [0, 99, SEQ_MAX, 2**64 - 1])
async def test_changes_of_what_is_not_there_are_refused(target: int) -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    code = Code.INVALID_ARGUMENT if target in (0, 2**64 - 1) else Code.NOT_FOUND
    for route, request in (
        ("chat.edit", v1.EditRequest(room="den", client_id="1", target=target, text="x")),
        ("chat.delete", v1.DeleteRequest(room="den", client_id="2", target=target)),
        ("chat.react", v1.ReactRequest(room="den", client_id="3", target=target, emoji="x")),
    ):
        with raises_error(code):
            await alice.call(route, request)


# Who may say something: for each kind of room, each standing in it and what becomes of it.
Request = Callable[[ConnectedUser, int], Coroutine[Any, Any, Any]]
WRITES: dict[str, Request] = {
    "send": lambda who, seq: who.send("x"),
    "react": lambda who, seq: who.call(
        "chat.react", v1.ReactRequest(room="den", client_id=who.new_client_id(), target=seq, emoji="x")
    ),
    "typing": lambda who, seq: who.call("presence.typing", v1.TypingRequest(room="den")),
}
READS: dict[str, Request] = {
    "watch": lambda who, seq: who.watch_room(),
    "page": lambda who, seq: who.page(),
    "read": lambda who, seq: who.watch("history.read", v1.ReadRequest(room="den")),
    "search": lambda who, seq: who.call("history.search", v1.SearchRequest(room="den", query="x")),
    "get": lambda who, seq: who.call("rooms.get", v1.GetRequest(room="den")),
    "members": lambda who, seq: who.call("rooms.members", v1.MembersRequest(room="den")),
    "presence": lambda who, seq: who.watch("presence.watch", v1.PresenceWatchRequest(room="den")),
}
DENIED, HIDDEN = Code.PERMISSION_DENIED, Code.NOT_FOUND
EXPECTED_ACCESS = [
    # kind, role, what a write and a read are refused with (None: they are not)
    (v1.GROUP, v1.OWNER, None, None),
    (v1.GROUP, v1.MODERATOR, None, None),
    (v1.GROUP, v1.MEMBER, None, None),
    (v1.GROUP, v1.READER, DENIED, None),
    (v1.GROUP, 0, HIDDEN, HIDDEN),
    (v1.OPEN, v1.OWNER, None, None),
    (v1.OPEN, v1.MODERATOR, None, None),
    (v1.OPEN, v1.MEMBER, None, None),
    (v1.OPEN, v1.READER, DENIED, None),
    (v1.OPEN, 0, None, None),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("kind", "role", "writing", "reading"), EXPECTED_ACCESS)
async def test_who_may_write_and_who_may_read(
    kind: int, role: int, writing: Code | None, reading: Code | None, warm: bool
) -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", kind)
    if role:
        await alice.join_room(user="bob", role=role)
    seq = await alice.send()
    if not warm:
        # A second service on the same store knows nothing by heart.
        bob = DomainHarness(harness.store).connect("bob")
    for asks, code in ((WRITES, writing), (READS, reading)):
        for ask in asks.values():
            if code is None:
                await ask(bob, seq)
            else:
                with raises_error(code):
                    await ask(bob, seq)


@pytest.mark.asyncio
async def test_a_direct_room_is_for_its_two_people() -> None:
    alice, bob, carol = DomainHarness().connect_all("alice", "bob", "carol")
    room = (await alice.create_room("", v1.DIRECT, "bob")).room.room
    await alice.send("psst", room=room)
    await bob.send("what?", room=room)
    for ask in (carol.send("me too", room=room), carol.page(room), carol.watch_room(room)):
        with raises_error(HIDDEN):
            await ask


@pytest.mark.asyncio
async def test_a_room_that_is_not_there_and_one_that_is_hidden_are_refused_with_the_same_words() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all(*ALICE_AND_BOB)
    await alice.create_room("den")
    texts = []
    for room in ("den", "nowhere"):
        with pytest.raises(Exception, match="NOT_FOUND") as caught:
            await bob.page(room)
        texts.append(str(caught.value).replace(room, "…"))
    assert texts[0] == texts[1]


@pytest.mark.asyncio
async def test_a_watch_gives_history_then_the_live_mark_then_what_follows() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", v1.GROUP, "bob")
    await alice.send("before")
    reader = await bob.watch_room(after=v1.Cursor())
    await settle()
    await alice.send("after")
    await settle()
    kinds = [item.WhichOneof("item") for item in reader.items]
    assert kinds == ["event"] * 4 + ["live", "event"]
    assert reader.seqs == [1, 2, 3, 4, 5]
    assert {item.cursor.epoch for item in reader.items} == {(await bob.page()).head.epoch}


@pytest.mark.asyncio
async def test_a_watch_without_cursor_begins_now() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    reader = await alice.watch_room()
    await settle()
    seq = await alice.send()
    await settle()
    assert [item.WhichOneof("item") for item in reader.items] == ["live", "event"]
    assert reader.seqs == [seq]


@pytest.mark.asyncio
async def test_a_watch_sends_no_more_than_is_asked_for() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    for _ in range(10):
        await alice.send()
    reader = await alice.watch("chat.watch", v1.WatchRequest(room="den", after=v1.Cursor()), credit=3)
    await settle()
    assert reader.seqs == [1, 2, 3]
    reader.request(20)
    await settle()
    assert reader.seqs == list(range(1, 13))


@pytest.mark.asyncio
async def test_sends_from_everywhere_come_once_each_and_in_order_whenever_a_watch_begins() -> None:
    harness = DomainHarness()
    people = harness.connect_all(*(f"user{number}" for number in range(8)))
    await people[0].create_room("den", v1.OPEN)
    readers = []

    async def talk(who: ConnectedUser) -> None:
        for number in range(25):
            await who.send(f"{number}")
            await asyncio.sleep(0)

    async def listen() -> None:
        for _ in range(20):
            readers.append(await people[0].watch_room(after=v1.Cursor()))
            await asyncio.sleep(0)

    await asyncio.gather(*map(talk, people), listen())
    await settle()
    head = (await people[0].page()).head.seq
    assert head == 2 + 8 * 25
    for reader in readers:
        assert reader.seqs == list(range(1, head + 1))
        by_sender: dict[str, list[str]] = {}
        for event in reader.events[2:]:
            by_sender.setdefault(event.actor, []).append(event.posted.text)
        assert all(texts == [str(number) for number in range(25)] for texts in by_sender.values())


@pytest.mark.asyncio
async def test_a_cursor_of_another_log_or_from_the_future_is_lost() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    for after in (v1.Cursor(epoch="another", seq=1), v1.Cursor(seq=99), v1.Cursor(seq=2**64 - 1)):
        reader = await alice.watch_room(after=after)
        await settle()
        assert reader.api_error.code is Code.CURSOR_LOST


@pytest.mark.asyncio
async def test_a_lag_that_is_none_is_refused() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    with raises_error(Code.INVALID_ARGUMENT, "lag"):
        await alice.watch_room(lag=7)


@pytest.mark.asyncio
async def test_a_reader_who_wants_to_be_closed_is_told_the_cursor_to_resume_from() -> None:
    harness = DomainHarness(hub=HubLimits(close_lag_events=10))
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    reader = await alice.watch("chat.watch", v1.WatchRequest(room="den", lag=v1.CLOSE), credit=2)
    await settle()
    first = await alice.send()
    await settle()
    for _ in range(11):
        await alice.send()
    await settle()
    failure = reader.api_error
    assert failure.code is Code.TOO_SLOW
    assert failure.cursor == ((await alice.page()).head.epoch, first)


@pytest.mark.asyncio
async def test_who_is_removed_is_cut_off_at_once_and_hears_nothing_of_it() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", v1.GROUP, "bob")
    reader = await bob.watch_room()
    mine = await alice.watch_room()
    await settle()
    await alice.leave_room(user="bob")
    assert reader.api_error.code is Code.PERMISSION_DENIED
    await alice.send("he is gone")
    await settle()
    assert not reader.events
    assert len(mine.events) == 2
    with raises_error(Code.NOT_FOUND):
        await bob.watch_room()
    await alice.join_room(user="bob")
    await bob.send("back again")


@pytest.mark.asyncio
async def test_who_leaves_a_group_reads_it_no_longer_and_who_leaves_an_open_room_does() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    for room, kind in (("den", v1.GROUP), ("square", v1.OPEN)):
        await alice.create_room(room, kind)
        await alice.join_room(room, "bob")
    den, square = await bob.watch_room("den"), await bob.watch_room("square")
    await settle()
    await bob.leave_room("den")
    await bob.leave_room("square")
    await alice.send("hello", room="square")
    await settle()
    assert den.api_error.code is Code.PERMISSION_DENIED
    assert not square.ended
    assert square.events[-1].posted.text == "hello"


@pytest.mark.asyncio
async def test_who_becomes_a_reader_goes_on_reading_and_writes_no_more() -> None:
    alice, bob = DomainHarness().connect_all(*ALICE_AND_BOB)
    await alice.create_room("den", v1.OPEN)
    await bob.join_room()
    reader = await bob.watch_room()
    await bob.send()
    await alice.join_room(user="bob", role=v1.READER)
    with raises_error(Code.PERMISSION_DENIED, "only read"):
        await bob.send()
    await alice.send("hush")
    await settle()
    assert reader.events[-1].posted.text == "hush"


@pytest.mark.asyncio
async def test_a_deleted_message_is_not_delivered_any_more() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    seq = await alice.send("a secret")
    slow = await alice.watch("chat.watch", v1.WatchRequest(room="den", after=v1.Cursor()), credit=1)
    await settle()
    await alice.call("chat.delete", v1.DeleteRequest(room="den", client_id="d", target=seq))
    slow.request(10)
    late = await alice.watch_room(after=v1.Cursor())
    await settle()
    for reader in (slow, late):
        assert not any("a secret" in str(item) for item in reader.items)
        assert reader.seqs == [1, 2, seq, seq + 1]


@pytest.mark.asyncio
async def test_the_bytes_of_an_event_are_made_once_for_all_its_readers() -> None:
    (alice,) = DomainHarness().connect_all("alice")
    await alice.create_room()
    readers = [await alice.watch_room() for _ in range(5)]
    await settle()
    await alice.send()
    await settle()
    items = [reader.batches[-1].items[-1] for reader in readers]
    assert all(item is items[0] for item in items)
    assert all(reader.batches[-1] is readers[0].batches[-1] for reader in readers)


@pytest.mark.asyncio
async def test_who_sends_too_fast_is_told_when_to_try_again() -> None:
    harness = DomainHarness(dev=False, sends_per_second_max=2.0, sends_burst_max=4)
    alice, again = harness.connect_all("alice", "alice")
    await alice.create_room("den", v1.OPEN)
    for who in (alice, again):
        await who.send()
    with raises_error(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await alice.send()
    await harness.advance_time(0.5)
    await again.send()
    with raises_error(Code.RESOURCE_EXHAUSTED, "500 ms"):
        await alice.send()


@pytest.mark.asyncio
async def test_in_development_sends_are_not_limited() -> None:
    harness = DomainHarness(dev=True, sends_per_second_max=1.0, sends_burst_max=1)
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    for _ in range(20):
        await alice.send()
