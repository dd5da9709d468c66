"""The channel: one stream for everything, over any number of connections."""

import asyncio
from collections.abc import Callable

import pytest

from client.fake_service import FakeService, FakeSession
from tidings.contract import v1
from tidings.protocols.rsocket import Stream
from tidings_client import ApiError, Channel, Client, ClientState, Code

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


async def take_items(channel: Channel, count: int) -> list[tuple[str, int]]:
    """Room and seq of the next so many events."""
    seen: list[tuple[str, int]] = []
    async with asyncio.timeout(20):
        while len(seen) < count:
            item = await anext(channel)
            if item.event.HasField("event"):
                seen.append((item.room, item.event.event.seq))
    return seen


async def test_commands_are_answered_and_events_come(service: FakeService, client: MakeClient) -> None:
    service.post(2, "a")
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        await channel.open("b")
        reply = await channel.send("b", "hi")
        assert (reply.cursor.seq, reply.duplicate) == (1, False)
        assert sorted(await take_items(channel, 3)) == [("a", 1), ("a", 2), ("b", 1)]
        assert channel.cursor("a") == v1.Cursor(epoch="e1", seq=2)
        await channel.typing("a")
        await channel.set_presence(v1.AWAY, "lunch")


async def test_a_closed_room_says_nothing_more(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        await channel.open("b", after=0)
        await channel.close("a")
        service.post(1, "a")
        service.post(1, "b")
        assert await take_items(channel, 1) == [("b", 1)]


async def test_a_channel_that_is_cut_at_any_frame_loses_nothing_and_doubles_nothing(
    service: FakeService, client: MakeClient
) -> None:
    for frames in range(3, 40, 2):
        service.rooms.clear()
        service.post(3, "a")
        service.cut_after_frames = frames
        async with client(window_items=4) as me, me.channel() as channel:
            await channel.open("a", after=0)
            sending = asyncio.create_task(send_all(channel, 5))
            assert await take_items(channel, 8) == [("a", seq) for seq in range(1, 9)]
            assert await sending == [4, 5, 6, 7, 8]
        assert len(service.room("a").events) == 8


async def send_all(channel: Channel, count: int) -> list[int]:
    return [(await channel.send("a", str(n))).cursor.seq for n in range(count)]


async def test_rooms_are_opened_again_where_they_were(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.channel() as channel:
        for room in ("a", "b", "c"):
            await channel.open(room, after=0)
            service.post(2, room)
        assert len(await take_items(channel, 6)) == 6
        service.stop()
        for room in ("a", "b", "c"):
            service.post(1, room)
        await service.start()
        assert sorted(await take_items(channel, 3)) == [("a", 3), ("b", 3), ("c", 3)]


async def test_after_a_break_the_rooms_are_opened_before_anything_else_is_said(
    service: FakeService, client: MakeClient
) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        service.handlers["command"] = lambda session, stream, command: command.HasField("send")
        sending = asyncio.create_task(channel.send("a", "hi"))
        await service.wait_until(lambda: service.requests[-1][1].HasField("send"))
        del service.handlers["command"]
        service.sessions[0].abort()
        await sending
    said = [command.WhichOneof("command") for route, command in service.requests if route == "chat.channel"]
    assert said == ["open", "send", "open", "send"]


async def test_a_room_whose_opening_was_not_answered_goes_on_where_its_events_ended(
    service: FakeService, client: MakeClient
) -> None:
    def open_without_a_word(session: FakeSession, stream: Stream, command: v1.ChannelCommand) -> bool:
        del service.handlers["command"]
        # Its answer names another command, which is as good as none.
        command.ref = 999
        session.run_command(stream, command)
        return True

    service.handlers["command"] = open_without_a_word
    async with client() as me, me.channel() as channel:
        opening = asyncio.create_task(channel.open("a"))
        await service.wait_until(lambda: service.counts["chat.channel"] == 1)
        service.post(1, "a")
        assert await take_items(channel, 1) == [("a", 1)]
        service.stop()
        service.post(1, "a")
        await service.start()
        assert await take_items(channel, 1) == [("a", 2)]
        await opening


async def test_a_refused_command_is_raised_and_the_channel_goes_on(service: FakeService, client: MakeClient) -> None:
    def reject(session: FakeSession, stream: Stream, command: v1.ChannelCommand) -> bool:
        if command.WhichOneof("command") != "edit":
            return False
        error = v1.Error(code=v1.NOT_FOUND, text="there is no message 9")
        session.channels[stream.id].reply(v1.ChannelItem(ref=command.ref, error=error))
        return True

    service.handlers["command"] = reject
    async with client() as me, me.channel() as channel:
        with pytest.raises(ApiError) as raised:
            await channel.edit("a", 9, "x")
        assert (raised.value.code, raised.value.text) == (Code.NOT_FOUND, "there is no message 9")
        assert (await channel.send("a", "hi")).cursor.seq == 1


async def test_a_command_that_is_unavailable_for_a_moment_is_asked_again(
    service: FakeService, client: MakeClient
) -> None:
    refused: list[int] = []

    def reject(session: FakeSession, stream: Stream, command: v1.ChannelCommand) -> bool:
        if len(refused) == 2:
            return False
        refused.append(command.ref)
        error = v1.Error(code=v1.UNAVAILABLE, text="not now", retry_after_ms=1)
        session.channels[stream.id].reply(v1.ChannelItem(ref=command.ref, error=error))
        return True

    service.handlers["command"] = reject
    async with client() as me, me.channel() as channel:
        assert (await channel.send("a", "hi")).cursor.seq == 1
    keys = {command.send.client_id for route, command in service.requests if route == "chat.channel"}
    assert len(keys) == 1


async def test_a_room_whose_reader_was_too_slow_is_opened_again_from_where_it_was(
    service: FakeService, client: MakeClient
) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        service.post(2, "a")
        assert await take_items(channel, 2) == [("a", 1), ("a", 2)]
        close_room(service, v1.TOO_SLOW)
        service.post(1, "a")
        assert await take_items(channel, 1) == [("a", 3)]


async def test_a_room_that_was_lost_is_told_to_the_reader(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        await me.session.ping()
        close_room(service, v1.PERMISSION_DENIED)
        while not (item := await anext(channel)).HasField("closed"):
            pass
        assert (item.room, item.closed.code) == ("a", v1.PERMISSION_DENIED)
        assert channel.cursor("a") is None


def close_room(service: FakeService, code: v1.Code.ValueType) -> None:
    talk = next(iter(service.sessions[0].channels.values()))
    del talk.rooms["a"]
    talk.reply(v1.ChannelItem(room="a", closed=v1.Error(code=code, text="the room is closed")))
    service.sessions[0].flush()


async def test_a_room_that_is_gone_after_an_outage_is_told_to_the_reader(
    service: FakeService, client: MakeClient
) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)

        def reject(session: FakeSession, stream: Stream, command: v1.ChannelCommand) -> bool:
            error = v1.Error(code=v1.CURSOR_LOST, text="the log was replaced")
            session.channels[stream.id].reply(v1.ChannelItem(ref=command.ref, error=error))
            return True

        service.handlers["command"] = reject
        service.sessions[0].abort()
        while not (item := await anext(channel)).HasField("closed"):
            pass
        assert (item.room, item.closed.code) == ("a", v1.CURSOR_LOST)


async def test_opening_a_room_twice_is_refused_and_leaves_it_open(service: FakeService, client: MakeClient) -> None:
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        with pytest.raises(ApiError, match="open on this channel already"):
            await channel.open("a")
        service.post(1, "a")
        assert await take_items(channel, 1) == [("a", 1)]


async def test_an_answer_comes_even_if_nobody_reads_a_long_room(service: FakeService, client: MakeClient) -> None:
    service.post(500, "a")
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        await service.wait_until(lambda: service.items_sent >= 60)
        assert (await channel.send("b", "hi")).cursor.seq == 1
        # A few more than the window, and not the whole room.
        assert service.items_sent < 100
        assert await take_items(channel, 500) == [("a", seq) for seq in range(1, 501)]


async def test_an_answer_comes_over_a_new_connection_too_if_nobody_reads(
    service: FakeService, client: MakeClient
) -> None:
    service.post(500, "a")
    async with client() as me, me.channel() as channel:
        await channel.open("a", after=0)
        await service.wait_until(lambda: service.items_sent >= 60)
        service.sessions[0].abort()
        assert (await channel.send("b", "hi")).cursor.seq == 1
        assert await take_items(channel, 500) == [("a", seq) for seq in range(1, 501)]


async def test_a_reader_that_stops_stops_the_service(service: FakeService, client: MakeClient) -> None:
    service.post(1000, "a")
    async with client(window_items=16) as me, me.channel() as channel:
        await channel.open("a", after=0)
        await take_items(channel, 5)
        for _ in range(20):
            await me.session.ping()
        assert service.items_sent <= 5 + 16
        assert await take_items(channel, 995) == [("a", seq) for seq in range(6, 1001)]
        assert service.credit_seen_max <= 16


async def test_no_answer_in_time_says_so(service: FakeService, client: MakeClient) -> None:
    service.handlers["command"] = lambda session, stream, command: True
    async with client(call_seconds=0.05) as me, me.channel() as channel:
        with pytest.raises(ApiError, match=r"no answer to send on the channel within 0\.05 s"):
            await channel.send("a", "hi")


async def test_closing_ends_the_iteration_and_what_waits(service: FakeService, client: MakeClient) -> None:
    service.handlers["command"] = lambda session, stream, command: True
    async with client() as me:
        channel = me.channel()
        sending = asyncio.create_task(channel.send("a", "hi"))
        await service.wait_until(lambda: service.counts["chat.channel"] == 1)
        await channel.aclose()
        with pytest.raises(ApiError):
            await sending
        assert [item async for item in channel] == []
        await service.wait_until(lambda: service.cancelled["chat.channel"] == 1)
        assert me.state is ClientState.CONNECTED
