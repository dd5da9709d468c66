"""chat.channel: one stream for a whole client."""

from typing import Any

import pytest

from domain.harness import ChannelClient, ConnectedUser, DomainHarness, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.stores.memory.store import MemoryStore


def watch_request(room: str = "den", **request: Any) -> v1.WatchRequest:
    return v1.WatchRequest(room=room, **request)


def send_request(text: str, room: str = "den", key: str = "") -> v1.SendRequest:
    return v1.SendRequest(room=room, client_id=key or text, text=text)


async def connect_in_rooms(
    harness: DomainHarness, *rooms: str, others: tuple[str, ...] = ("bob",)
) -> tuple[ConnectedUser, ConnectedUser]:
    alice, bob = harness.connect_all("alice", "bob")
    for room in rooms:
        await alice.create_room(room, v1.GROUP, *others)
    return alice, bob


@pytest.mark.asyncio
async def test_every_command_is_answered_under_its_ref() -> None:
    harness = DomainHarness()
    alice, _ = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    commands: dict[str, Any] = {
        "open": watch_request(),
        "send": send_request("hello"),
        "edit": v1.EditRequest(room="den", client_id="e", target=4, text="hullo"),
        "react": v1.ReactRequest(room="den", client_id="r", target=4, emoji="👍"),
        "delete": v1.DeleteRequest(room="den", client_id="d", target=4),
        "typing": v1.TypingRequest(room="den"),
        "mark": v1.MarkRequest(room="den", read=4),
        "presence": v1.SetPresenceRequest(status=v1.BUSY),
        "close": v1.CloseRoom(room="den"),
    }
    refs = {}
    for name, command in commands.items():
        refs[name] = channel.send_command(**{name: command})
        await settle()
    kinds = {name: channel.reply(ref).WhichOneof("item") for name, ref in refs.items()}
    assert kinds == {
        **dict.fromkeys(("open", "typing", "presence", "close"), "done"),
        **dict.fromkeys(("send", "edit", "react", "delete"), "sent"),
        "mark": "marked",
    }
    assert channel.reply(refs["mark"]).marked == v1.MarkReply(delivered=4, read=4)
    assert [channel.reply(refs[name]).sent.cursor.seq for name in ("send", "edit", "react", "delete")] == [4, 5, 6, 7]


@pytest.mark.asyncio
async def test_an_opened_room_delivers_its_events_and_its_presence() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    channel.send_command(open=watch_request(after=v1.Cursor()))
    await settle()
    await bob.send("hello")
    await bob.mark(read=4)
    await settle()
    assert [item.WhichOneof("item") for item in channel.events("den")] == ["event"] * 3 + ["live", "event"]
    assert [item.WhichOneof("item") for item in channel.presence("den")] == ["user", "user", "live", "receipt"]
    # A cursor of the channel is one of chat.watch.
    again = await alice.watch_room(after=channel.events("den")[-2].cursor)
    await settle()
    assert again.seqs == [4]


@pytest.mark.asyncio
async def test_an_error_about_a_command_does_not_end_the_stream() -> None:
    harness = DomainHarness()
    alice, _ = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    wrong: list[tuple[int, dict[str, Any]]] = [
        (v1.NOT_FOUND, {"open": watch_request("nowhere")}),
        (v1.INVALID_ARGUMENT, {"open": watch_request("a b")}),
        (v1.INVALID_ARGUMENT, {"open": watch_request(lag=7)}),
        (v1.INVALID_ARGUMENT, {"send": send_request("")}),
        (v1.NOT_FOUND, {"send": send_request("x", "nowhere")}),
        (v1.NOT_FOUND, {"delete": v1.DeleteRequest(room="den", client_id="d", target=9)}),
        (v1.PERMISSION_DENIED, {"mark": v1.MarkRequest(room="square", read=1)}),
        (v1.INVALID_ARGUMENT, {"presence": v1.SetPresenceRequest()}),
        (v1.INVALID_ARGUMENT, {}),
    ]
    await harness.connect("carol").create_room("square", v1.OPEN)
    refs = [(channel.send_command(**command), code) for code, command in wrong]
    fine = channel.send_command(send=send_request("fine"))
    await settle()
    for ref, code in refs:
        error = channel.reply(ref).error
        assert error.code == code, error
        assert error.text
    assert channel.reply(fine).sent.cursor.seq == 4
    assert not channel.reader.ended


@pytest.mark.asyncio
async def test_what_is_sent_on_one_channel_is_appended_in_its_order() -> None:
    class SlowToKnow(MemoryStore):
        """Takes its time to say what somebody's role is."""

        async def role(self, room: str, user: str) -> int:
            await settle()
            return await super().role(room, user)

    harness = DomainHarness(SlowToKnow())
    alice, _ = await connect_in_rooms(harness, "den", "attic")
    # A second service, which has to ask who alice is.
    channel = DomainHarness(harness.store).connect("alice").channel()
    expected: dict[str, list[str]] = {"den": [], "attic": []}
    for number in range(30):
        room = "den" if number % 3 else "attic"
        expected[room].append(f"{number}")
        channel.send_command(send=send_request(f"{number}", room))
    for _ in range(5):
        await settle()
    for room, texts in expected.items():
        events = (await alice.page(room, limit=100)).events
        assert [event.posted.text for event in events if event.HasField("posted")] == texts


@pytest.mark.asyncio
async def test_a_room_is_open_once_and_closing_it_ends_what_comes_of_it() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    channel.send_command(open=watch_request())
    twice = channel.send_command(open=watch_request())
    await settle()
    assert channel.reply(twice).error.code == v1.CONFLICT
    channel.send_command(close=v1.CloseRoom(room="den"))
    unopened = channel.send_command(close=v1.CloseRoom(room="attic"))
    await settle()
    assert channel.reply(unopened).HasField("done")
    before = len(channel.reader.items)
    await bob.send("nobody hears")
    await bob.mark(read=3)
    await settle()
    assert len(channel.reader.items) == before
    assert harness.services.hub.stats.subscriptions == 0
    reopened = channel.send_command(open=watch_request(after=v1.Cursor(seq=3)))
    await settle()
    assert channel.reply(reopened).HasField("done")
    assert channel.events("den")[-2].event.posted.text == "nobody hears"


@pytest.mark.asyncio
async def test_a_channel_has_so_many_rooms_and_no_more() -> None:
    harness = DomainHarness(channel_rooms_max=2)
    alice, _ = await connect_in_rooms(harness, "a", "b", "c")
    channel = alice.channel()
    refs = [channel.send_command(open=watch_request(room)) for room in "abc"]
    await settle()
    assert channel.reply(refs[2]).error.code == v1.RESOURCE_EXHAUSTED
    channel.send_command(close=v1.CloseRoom(room="a"))
    again = channel.send_command(open=watch_request("c"))
    await settle()
    assert channel.reply(again).HasField("done")


@pytest.mark.asyncio
async def test_a_lost_room_is_closed_with_the_reason_and_the_channel_goes_on() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den", "attic")
    channel = bob.channel()
    for room in ("den", "attic"):
        channel.send_command(open=watch_request(room))
    await settle()
    await alice.leave_room("den", "bob")
    await alice.send("after", room="den")
    await alice.send("hello", room="attic")
    await settle()
    (closed,) = [item for item in channel.reader.items if item.HasField("closed")]
    assert (closed.ref, closed.room, closed.closed.code) == (0, "den", v1.PERMISSION_DENIED)
    assert not any(item.event.posted.text == "after" for item in channel.events("den"))
    assert channel.events("attic")[-1].event.posted.text == "hello"


@pytest.mark.asyncio
async def test_a_cursor_that_is_lost_closes_its_room_only() -> None:
    harness = DomainHarness()
    alice, _ = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    channel.send_command(open=watch_request(after=v1.Cursor(epoch="another", seq=1)))
    await settle()
    (closed,) = [item for item in channel.reader.items if item.HasField("closed")]
    assert closed.closed.code == v1.CURSOR_LOST
    ref = channel.send_command(open=watch_request())
    await settle()
    assert channel.reply(ref).HasField("done")


@pytest.mark.asyncio
async def test_nothing_is_sent_without_demand_and_answers_go_first() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channel = alice.channel(credit=0)
    channel.send_command(open=watch_request(after=v1.Cursor()))
    await settle()
    await bob.send("hello")
    refs = [channel.send_command(send=send_request(f"{number}")) for number in range(3)]
    await settle()
    assert channel.reader.items == []
    channel.reader.request(4)
    await settle()
    assert [item.ref for item in channel.reader.items] == [1, *refs]
    channel.reader.request(1_000)
    await settle()
    assert [item.event.seq for item in channel.events("den") if item.HasField("event")] == list(range(1, 8))


@pytest.mark.asyncio
async def test_rooms_share_a_narrow_demand_fairly() -> None:
    harness = DomainHarness()
    rooms = [f"room{number}" for number in range(4)]
    alice, bob = await connect_in_rooms(harness, *rooms)
    for room in rooms:
        for number in range(100):
            await bob.send(f"{number}", room=room)
    channel = alice.channel(credit=4)
    for room in rooms:
        channel.send_command(open=watch_request(room, after=v1.Cursor()))
    await settle()
    channel.reader.take_items()
    for _ in range(120):
        channel.reader.request(1)
        await settle()
    counts = {room: len(channel.events(room)) for room in rooms}
    assert sum(counts.values()) >= 90
    assert max(counts.values()) - min(counts.values()) <= 4, counts
    # A large room does not get everything of a larger demand either.
    channel.reader.take_items()
    channel.reader.request(40)
    await settle()
    counts = {room: len(channel.events(room)) for room in rooms}
    assert sum(counts.values()) == 40
    assert min(counts.values()) >= 5, counts


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
async def test_every_event_of_every_room_comes_once_and_in_order_at_any_pace(step: int) -> None:
    harness = DomainHarness()
    rooms = [f"room{number}" for number in range(5)]
    alice, bob = await connect_in_rooms(harness, *rooms)
    channel = alice.channel(credit=0)
    for room in rooms:
        channel.send_command(open=watch_request(room, after=v1.Cursor()))
    for number in range(20):
        for room in rooms:
            await bob.send(f"{number}", room=room)
        channel.reader.request(step)
        await settle()
    for _ in range(200):
        channel.reader.request(step)
        await settle()
    for room in rooms:
        items = [item for item in channel.events(room) if item.HasField("event")]
        assert [item.event.seq for item in items] == list(range(1, 24))


@pytest.mark.asyncio
async def test_a_client_that_takes_no_answers_is_asked_for_no_commands() -> None:
    harness = DomainHarness(channel_commands_max=4)
    alice, _ = await connect_in_rooms(harness, "den")
    channel = alice.channel(credit=0)
    assert channel.handler.command_capacity() == 4
    for number in range(4):
        channel.send_command(send=send_request(f"{number}"))
    assert channel.handler.command_capacity() == 0
    await settle()
    assert channel.handler.command_capacity() == 0
    channel.reader.request(3)
    await settle()
    assert channel.handler.command_capacity() == 3
    for number in range(4, 8):
        channel.send_command(send=send_request(f"{number}"))
    assert channel.reader.api_error.code is Code.RESOURCE_EXHAUSTED
    channel.send_command(send=send_request("into the void"))


@pytest.mark.asyncio
async def test_what_a_client_was_asked_for_is_never_too_much_whatever_rooms_it_loses() -> None:
    harness = DomainHarness(channel_commands_max=3)
    alice, bob = await connect_in_rooms(harness, "a", "b", "c")
    channel = bob.channel(credit=3)
    for room in "abc":
        channel.send_command(open=watch_request(room))
    await settle()
    asked_for = channel.handler.command_capacity()
    assert asked_for == 3
    for room in "abc":
        await alice.leave_room(room, "bob")
    await settle()
    assert channel.handler.command_capacity() == asked_for
    for number in range(asked_for):
        channel.send_command(typing=v1.TypingRequest(room=f"{number}"))
    channel.reader.request(10)
    await settle()
    assert not channel.reader.ended
    assert sorted(item.room for item in channel.reader.items if item.HasField("closed")) == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_a_half_closed_channel_completes_when_all_commands_are_answered_and_no_room_is_open() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    ref = channel.send_command(send=send_request("one"))
    channel.handler.complete()
    await settle()
    assert channel.reply(ref).HasField("sent")
    assert channel.reader.completed

    channel = alice.channel()
    channel.send_command(open=watch_request())
    channel.handler.complete()
    await settle()
    await bob.send("still here?")
    await settle()
    assert channel.events("den")[-1].event.posted.text == "still here?"
    assert not channel.reader.completed


@pytest.mark.asyncio
async def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den", "attic")
    channel = bob.channel()
    channel.send_command(open=watch_request("den"))
    await settle()
    channel.send_command(open=watch_request("attic"))
    channel.send_command(send=send_request("goodbye"))
    channel.handler.close()
    channel.handler.close()
    channel.send_command(send=send_request("too late"))
    await settle()
    before = len(channel.reader.items)
    await alice.send()
    await settle()
    assert len(channel.reader.items) == before
    assert harness.services.hub.stats.subscriptions == 0
    assert not channel.reader.ended
    await harness.advance_time(200)
    assert harness.services.handlers["presence"]._room_presences._rooms == {}  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_a_room_closed_while_it_opens_stays_closed() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channel = alice.channel()
    channel.send_command(open=watch_request())
    channel.send_command(close=v1.CloseRoom(room="den"))
    await settle()
    await bob.send()
    await bob.mark(read=2)
    await settle()
    assert channel.presence("den") == []
    assert channel.events("den") == []


@pytest.mark.asyncio
async def test_a_fault_is_an_error_with_a_number_and_a_report_with_the_same() -> None:
    harness = DomainHarness()
    alice, _ = await connect_in_rooms(harness, "den")

    async def broken(*_: Any, **__: Any) -> Any:
        raise OSError("secret detail")

    harness.store.append = broken  # type: ignore[method-assign]
    channel = alice.channel()
    ref = channel.send_command(send=send_request("hello"))
    await settle()
    error = channel.reply(ref).error
    ((reported, where),) = harness.reported_errors
    assert error.code == v1.INTERNAL
    assert "secret" not in error.text
    assert str(reported) == "secret detail"
    assert error.text.split()[-1] in where


@pytest.mark.asyncio
async def test_too_much_sent_is_an_error_that_says_when_to_try_again() -> None:
    harness = DomainHarness(dev=False, sends_per_second_max=1.0, sends_burst_max=3)
    (alice,) = harness.connect_all("alice")
    await alice.create_room("den", v1.OPEN)
    channel = alice.channel()
    refs = [channel.send_command(send=send_request(f"{number}")) for number in range(2)]
    await settle()
    assert channel.reply(refs[0]).HasField("sent")
    error = channel.reply(refs[1]).error
    assert (error.code, error.retry_after_ms) == (v1.RESOURCE_EXHAUSTED, 1000)


@pytest.mark.asyncio
async def test_channels_of_one_room_share_the_bytes_of_its_events() -> None:
    harness = DomainHarness()
    alice, bob = await connect_in_rooms(harness, "den")
    channels: list[ChannelClient] = [alice.channel() for _ in range(4)]
    for channel in channels:
        channel.send_command(open=watch_request())
    await settle()
    await bob.send("hello")
    await settle()
    batches = [channel.reader.batches[-1] for channel in channels]
    assert all(batch is batches[0] for batch in batches)
