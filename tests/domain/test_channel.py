"""chat.channel: one stream for a whole client."""

from typing import Any

import pytest

from domain.stage import ChannelEnd, House, Person, settled
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.stores.memory import MemoryStore


def opening(room: str = "den", **request: Any) -> v1.WatchRequest:
    return v1.WatchRequest(room=room, **request)


def message(text: str, room: str = "den", key: str = "") -> v1.SendRequest:
    return v1.SendRequest(room=room, client_id=key or text, text=text)


async def people_in(house: House, *rooms: str, others: tuple[str, ...] = ("bob",)) -> tuple[Person, Person]:
    alice, bob = house.people("alice", "bob")
    for room in rooms:
        await alice.create(room, v1.GROUP, *others)
    return alice, bob


@pytest.mark.asyncio
async def test_every_command_is_answered_under_its_ref() -> None:
    house = House()
    alice, _ = await people_in(house, "den")
    channel = alice.channel()
    commands: dict[str, Any] = {
        "open": opening(),
        "send": message("hello"),
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
        refs[name] = channel.say(**{name: command})
        await settled()
    kinds = {name: channel.answer(ref).WhichOneof("item") for name, ref in refs.items()}
    assert kinds == {
        **dict.fromkeys(("open", "typing", "presence", "close"), "done"),
        **dict.fromkeys(("send", "edit", "react", "delete"), "sent"),
        "mark": "marked",
    }
    assert channel.answer(refs["mark"]).marked == v1.MarkReply(delivered=4, read=4)
    assert [channel.answer(refs[name]).sent.cursor.seq for name in ("send", "edit", "react", "delete")] == [4, 5, 6, 7]


@pytest.mark.asyncio
async def test_an_opened_room_brings_its_events_and_its_life() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channel = alice.channel()
    channel.say(open=opening(after=v1.Cursor()))
    await settled()
    await bob.send("hello")
    await bob.mark(read=4)
    await settled()
    assert [item.WhichOneof("item") for item in channel.events("den")] == ["event"] * 3 + ["live", "event"]
    assert [item.WhichOneof("item") for item in channel.life("den")] == ["user", "user", "live", "receipt"]
    # A cursor of the channel is one of chat.watch.
    again = await alice.read(after=channel.events("den")[-2].cursor)
    await settled()
    assert again.seqs == [4]


@pytest.mark.asyncio
async def test_an_error_about_a_command_does_not_end_the_stream() -> None:
    house = House()
    alice, _ = await people_in(house, "den")
    channel = alice.channel()
    wrong: list[tuple[int, dict[str, Any]]] = [
        (v1.NOT_FOUND, {"open": opening("nowhere")}),
        (v1.INVALID_ARGUMENT, {"open": opening("a b")}),
        (v1.INVALID_ARGUMENT, {"open": opening(lag=7)}),
        (v1.INVALID_ARGUMENT, {"send": message("")}),
        (v1.NOT_FOUND, {"send": message("x", "nowhere")}),
        (v1.NOT_FOUND, {"delete": v1.DeleteRequest(room="den", client_id="d", target=9)}),
        (v1.PERMISSION_DENIED, {"mark": v1.MarkRequest(room="square", read=1)}),
        (v1.INVALID_ARGUMENT, {"presence": v1.SetPresenceRequest()}),
        (v1.INVALID_ARGUMENT, {}),
    ]
    await house.connect("carol").create("square", v1.OPEN)
    refs = [(channel.say(**command), code) for code, command in wrong]
    fine = channel.say(send=message("fine"))
    await settled()
    for ref, code in refs:
        error = channel.answer(ref).error
        assert error.code == code, error
        assert error.text
    assert channel.answer(fine).sent.cursor.seq == 4
    assert not channel.reader.ended


@pytest.mark.asyncio
async def test_what_is_sent_on_one_channel_is_appended_in_its_order() -> None:
    class SlowToKnow(MemoryStore):
        """Takes its time to say what somebody's role is."""

        async def role(self, room: str, user: str) -> int:
            await settled()
            return await super().role(room, user)

    house = House(SlowToKnow())
    alice, _ = await people_in(house, "den", "attic")
    # A second service, which has to ask who alice is.
    channel = House(house.store).connect("alice").channel()
    expected: dict[str, list[str]] = {"den": [], "attic": []}
    for number in range(30):
        room = "den" if number % 3 else "attic"
        expected[room].append(f"{number}")
        channel.say(send=message(f"{number}", room))
    for _ in range(5):
        await settled()
    for room, texts in expected.items():
        events = (await alice.page(room, limit=100)).events
        assert [event.posted.text for event in events if event.HasField("posted")] == texts


@pytest.mark.asyncio
async def test_a_room_is_open_once_and_closing_it_ends_what_comes_of_it() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channel = alice.channel()
    channel.say(open=opening())
    twice = channel.say(open=opening())
    await settled()
    assert channel.answer(twice).error.code == v1.CONFLICT
    channel.say(close=v1.CloseRoom(room="den"))
    unopened = channel.say(close=v1.CloseRoom(room="attic"))
    await settled()
    assert channel.answer(unopened).HasField("done")
    before = len(channel.reader.items)
    await bob.send("nobody hears")
    await bob.mark(read=3)
    await settled()
    assert len(channel.reader.items) == before
    assert house.product.hub.stats.subscriptions == 0
    reopened = channel.say(open=opening(after=v1.Cursor(seq=3)))
    await settled()
    assert channel.answer(reopened).HasField("done")
    assert channel.events("den")[-2].event.posted.text == "nobody hears"


@pytest.mark.asyncio
async def test_a_channel_has_so_many_rooms_and_no_more() -> None:
    house = House(channel_rooms_max=2)
    alice, _ = await people_in(house, "a", "b", "c")
    channel = alice.channel()
    refs = [channel.say(open=opening(room)) for room in "abc"]
    await settled()
    assert channel.answer(refs[2]).error.code == v1.RESOURCE_EXHAUSTED
    channel.say(close=v1.CloseRoom(room="a"))
    again = channel.say(open=opening("c"))
    await settled()
    assert channel.answer(again).HasField("done")


@pytest.mark.asyncio
async def test_a_lost_room_is_closed_with_the_reason_and_the_channel_goes_on() -> None:
    house = House()
    alice, bob = await people_in(house, "den", "attic")
    channel = bob.channel()
    for room in ("den", "attic"):
        channel.say(open=opening(room))
    await settled()
    await alice.quit("den", "bob")
    await alice.send("after", room="den")
    await alice.send("hello", room="attic")
    await settled()
    (closed,) = [item for item in channel.reader.items if item.HasField("closed")]
    assert (closed.ref, closed.room, closed.closed.code) == (0, "den", v1.PERMISSION_DENIED)
    assert not any(item.event.posted.text == "after" for item in channel.events("den"))
    assert channel.events("attic")[-1].event.posted.text == "hello"


@pytest.mark.asyncio
async def test_a_cursor_that_is_lost_closes_its_room_only() -> None:
    house = House()
    alice, _ = await people_in(house, "den")
    channel = alice.channel()
    channel.say(open=opening(after=v1.Cursor(epoch="another", seq=1)))
    await settled()
    (closed,) = [item for item in channel.reader.items if item.HasField("closed")]
    assert closed.closed.code == v1.CURSOR_LOST
    ref = channel.say(open=opening())
    await settled()
    assert channel.answer(ref).HasField("done")


@pytest.mark.asyncio
async def test_nothing_is_sent_without_demand_and_answers_go_first() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channel = alice.channel(credit=0)
    channel.say(open=opening(after=v1.Cursor()))
    await settled()
    await bob.send("hello")
    refs = [channel.say(send=message(f"{number}")) for number in range(3)]
    await settled()
    assert channel.reader.items == []
    channel.reader.take(4)
    await settled()
    assert [item.ref for item in channel.reader.items] == [1, *refs]
    channel.reader.take(1_000)
    await settled()
    assert [item.event.seq for item in channel.events("den") if item.HasField("event")] == list(range(1, 8))


@pytest.mark.asyncio
async def test_rooms_share_a_narrow_demand_fairly() -> None:
    house = House()
    rooms = [f"room{number}" for number in range(4)]
    alice, bob = await people_in(house, *rooms)
    for room in rooms:
        for number in range(100):
            await bob.send(f"{number}", room=room)
    channel = alice.channel(credit=4)
    for room in rooms:
        channel.say(open=opening(room, after=v1.Cursor()))
    await settled()
    channel.reader.drain()
    for _ in range(120):
        channel.reader.take(1)
        await settled()
    counts = {room: len(channel.events(room)) for room in rooms}
    assert sum(counts.values()) >= 90
    assert max(counts.values()) - min(counts.values()) <= 4, counts
    # A large room does not get everything of a larger demand either.
    channel.reader.drain()
    channel.reader.take(40)
    await settled()
    counts = {room: len(channel.events(room)) for room in rooms}
    assert sum(counts.values()) == 40
    assert min(counts.values()) >= 5, counts


@pytest.mark.asyncio
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
async def test_every_event_of_every_room_comes_once_and_in_order_at_any_pace(step: int) -> None:
    house = House()
    rooms = [f"room{number}" for number in range(5)]
    alice, bob = await people_in(house, *rooms)
    channel = alice.channel(credit=0)
    for room in rooms:
        channel.say(open=opening(room, after=v1.Cursor()))
    for number in range(20):
        for room in rooms:
            await bob.send(f"{number}", room=room)
        channel.reader.take(step)
        await settled()
    for _ in range(200):
        channel.reader.take(step)
        await settled()
    for room in rooms:
        items = [item for item in channel.events(room) if item.HasField("event")]
        assert [item.event.seq for item in items] == list(range(1, 24))


@pytest.mark.asyncio
async def test_a_client_that_takes_no_answers_is_asked_for_no_commands() -> None:
    house = House(channel_commands_max=4)
    alice, _ = await people_in(house, "den")
    channel = alice.channel(credit=0)
    assert channel.conversation.room() == 4
    for number in range(4):
        channel.say(send=message(f"{number}"))
    assert channel.conversation.room() == 0
    await settled()
    assert channel.conversation.room() == 0
    channel.reader.take(3)
    await settled()
    assert channel.conversation.room() == 3
    for number in range(4, 8):
        channel.say(send=message(f"{number}"))
    assert channel.reader.failure.code is Code.RESOURCE_EXHAUSTED
    channel.say(send=message("into the void"))


@pytest.mark.asyncio
async def test_what_a_client_was_asked_for_is_never_too_much_whatever_rooms_it_loses() -> None:
    house = House(channel_commands_max=3)
    alice, bob = await people_in(house, "a", "b", "c")
    channel = bob.channel(credit=3)
    for room in "abc":
        channel.say(open=opening(room))
    await settled()
    asked_for = channel.conversation.room()
    assert asked_for == 3
    for room in "abc":
        await alice.quit(room, "bob")
    await settled()
    assert channel.conversation.room() == asked_for
    for number in range(asked_for):
        channel.say(typing=v1.TypingRequest(room=f"{number}"))
    channel.reader.take(10)
    await settled()
    assert not channel.reader.ended
    assert sorted(item.room for item in channel.reader.items if item.HasField("closed")) == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_a_channel_whose_client_said_all_completes_when_all_is_answered_and_nothing_is_open() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channel = alice.channel()
    ref = channel.say(send=message("one"))
    channel.conversation.complete()
    await settled()
    assert channel.answer(ref).HasField("sent")
    assert channel.reader.completed

    channel = alice.channel()
    channel.say(open=opening())
    channel.conversation.complete()
    await settled()
    await bob.send("still here?")
    await settled()
    assert channel.events("den")[-1].event.posted.text == "still here?"
    assert not channel.reader.completed


@pytest.mark.asyncio
async def test_a_client_that_is_gone_leaves_nothing_behind() -> None:
    house = House()
    alice, bob = await people_in(house, "den", "attic")
    channel = bob.channel()
    channel.say(open=opening("den"))
    await settled()
    channel.say(open=opening("attic"))
    channel.say(send=message("goodbye"))
    channel.conversation.close()
    channel.conversation.close()
    channel.say(send=message("too late"))
    await settled()
    before = len(channel.reader.items)
    await alice.send()
    await settled()
    assert len(channel.reader.items) == before
    assert house.product.hub.stats.subscriptions == 0
    assert not channel.reader.ended
    await house.pass_time(200)
    assert house.product.services["presence"]._gatherings._gatherings == {}  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_a_room_closed_while_it_opens_stays_closed() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channel = alice.channel()
    channel.say(open=opening())
    channel.say(close=v1.CloseRoom(room="den"))
    await settled()
    await bob.send()
    await bob.mark(read=2)
    await settled()
    assert channel.life("den") == []
    assert channel.events("den") == []


@pytest.mark.asyncio
async def test_a_fault_is_an_error_with_a_number_and_a_report_with_the_same() -> None:
    house = House()
    alice, _ = await people_in(house, "den")

    async def broken(*_: Any, **__: Any) -> Any:
        raise OSError("secret detail")

    house.store.append = broken  # type: ignore[method-assign]
    channel = alice.channel()
    ref = channel.say(send=message("hello"))
    await settled()
    error = channel.answer(ref).error
    ((reported, where),) = house.reports
    assert error.code == v1.INTERNAL
    assert "secret" not in error.text
    assert str(reported) == "secret detail"
    assert error.text.split()[-1] in where


@pytest.mark.asyncio
async def test_too_much_sent_is_an_error_that_says_when_to_try_again() -> None:
    house = House(dev=False, sends_per_second_max=1.0, sends_burst_max=3)
    (alice,) = house.people("alice")
    await alice.create("den", v1.OPEN)
    channel = alice.channel()
    refs = [channel.say(send=message(f"{number}")) for number in range(2)]
    await settled()
    assert channel.answer(refs[0]).HasField("sent")
    error = channel.answer(refs[1]).error
    assert (error.code, error.retry_after_ms) == (v1.RESOURCE_EXHAUSTED, 1000)


@pytest.mark.asyncio
async def test_channels_of_one_room_share_the_bytes_of_its_events() -> None:
    house = House()
    alice, bob = await people_in(house, "den")
    channels: list[ChannelEnd] = [alice.channel() for _ in range(4)]
    for channel in channels:
        channel.say(open=opening())
    await settled()
    await bob.send("hello")
    await settled()
    batches = [channel.reader.batches[-1] for channel in channels]
    assert all(batch is batches[0] for batch in batches)
