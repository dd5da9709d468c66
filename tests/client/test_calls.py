"""Calls: asked until they are answered, and carried out once."""

import asyncio
from collections.abc import Callable

import pytest

from client.fake_service import FakeService, FakeSession
from tidings.contract import v1
from tidings.contract.errors import conflict, resource_exhausted, unavailable
from tidings.protocols.rsocket import ErrorCode, Stream
from tidings_client import ApiError, Client, ClientState, Code

pytestmark = pytest.mark.asyncio
MakeClient = Callable[..., Client]


def fail_first(times: int, failure: ApiError) -> Callable[[FakeSession, Stream, object], bool]:
    """Answers the first so many requests with `failure`, and leaves the others to the service."""
    left = [times]

    def answer(session: FakeSession, stream: Stream, request: object) -> bool:
        left[0] -= 1
        if left[0] < 0:
            return False
        stream.fail(failure.mapping.rsocket, failure.rsocket_data)
        return True

    return answer


async def test_a_send_is_answered_with_its_place_in_the_log(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        reply = await me.rooms["general"].send("hi", reply_to=3)
    assert (reply.cursor.epoch, reply.cursor.seq, reply.duplicate) == ("e1", 1, False)
    route, request = service.requests[-1]
    assert (route, request.room, request.text, request.reply_to) == ("chat.send", "general", "hi", 3)


async def test_json_payloads_say_the_same(service: FakeService, client: MakeClient) -> None:
    async with client(json=True) as me:
        await me.rooms["general"].send("grüße")
        assert [event.posted.text async for event in me.rooms["general"].read()] == ["grüße"]
    assert service.setups[0].data_mime == "application/json"


async def test_every_write_carries_a_key_of_its_own(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        await asyncio.gather(*(me.rooms["general"].send("hi") for _ in range(20)))
    keys = {request.client_id for route, request in service.requests if route == "chat.send"}
    assert len(keys) == 20
    assert all(1 <= len(key) <= 64 for key in keys)


async def test_the_callers_own_key_and_request_are_left_alone(service: FakeService, client: MakeClient) -> None:
    request = v1.SendRequest(room="general", text="x")
    async with client() as me:
        await me.rooms["general"].send("hi", client_id="mine")
        await me.call("chat.send", request, v1.SendReply)
    assert service.requests[-2][1].client_id == "mine"
    assert request.client_id == ""
    assert service.requests[-1][1].client_id


async def test_a_send_that_is_cut_off_at_any_frame_is_carried_out_once(
    service: FakeService, client: MakeClient
) -> None:
    for frames in range(12):
        service.cut_after_frames = frames
        async with client(wait=True) as me:
            replies = [await me.rooms["general"].send(f"{frames}/{n}") for n in range(3)]
        assert [reply.cursor.seq for reply in replies] == [frames * 3 + 1, frames * 3 + 2, frames * 3 + 3]
    said = [event.posted.text for event in service.room().events]
    assert said == [f"{frames}/{n}" for frames in range(12) for n in range(3)]


async def test_many_sends_at_once_survive_a_cut_and_none_doubles(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        service.cut_after_frames = 150
        await asyncio.gather(*(me.rooms["general"].send(str(n)) for n in range(200)))
    said = [event.posted.text for event in service.room().events]
    assert sorted(said, key=int) == [str(n) for n in range(200)]


async def test_calls_are_sent_in_the_order_they_were_made(service: FakeService, client: MakeClient) -> None:
    async with client(calls_max=7) as me:
        await asyncio.gather(*(me.rooms["general"].send(str(n)) for n in range(100)))
    assert [event.posted.text for event in service.room().events] == [str(n) for n in range(100)]


async def test_unavailable_is_asked_again(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = fail_first(3, unavailable("the disk is full"))
    async with client() as me:
        assert (await me.rooms["general"].send("hi")).cursor.seq == 1
    assert service.counts["chat.send"] == 4


async def test_a_limit_that_says_when_to_try_again_is_obeyed(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = fail_first(1, resource_exhausted("too fast; try again in 10 ms", retry_after_ms=10))
    async with client() as me:
        assert (await me.rooms["general"].send("hi")).cursor.seq == 1


async def test_a_limit_that_says_nothing_is_raised(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = fail_first(1, resource_exhausted("the text has 70,000 bytes, 65,536 is the most"))
    async with client() as me:
        with pytest.raises(ApiError, match="70,000 bytes"):
            await me.rooms["general"].send("hi")


async def test_a_refusal_is_raised_as_it_was_said(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = fail_first(1, conflict("the key was used for another text"))
    async with client() as me:
        with pytest.raises(ApiError) as raised:
            await me.rooms["general"].send("hi")
    assert (raised.value.code, raised.value.text) == (Code.CONFLICT, "the key was used for another text")
    assert service.counts["chat.send"] == 1


async def test_a_request_that_was_rejected_unprocessed_is_asked_again(service: FakeService, client: MakeClient) -> None:
    def reject_once(session: FakeSession, stream: Stream, request: object) -> bool:
        del service.handlers["chat.send"]
        stream.fail(ErrorCode.REJECTED, "draining")
        return True

    service.handlers["chat.send"] = reject_once
    async with client() as me:
        assert (await me.rooms["general"].send("hi")).cursor.seq == 1


async def test_no_answer_in_time_says_so_in_one_line(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = lambda session, stream, request: True
    async with client(call_seconds=0.05) as me:
        with pytest.raises(ApiError) as raised:
            await me.rooms["general"].send("hi")
    assert raised.value.code is Code.UNAVAILABLE
    assert raised.value.text == "no answer to chat.send within 0.05 s"


async def test_no_answer_in_time_says_why_the_service_put_it_off(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = fail_first(1_000, unavailable("the disk is full"))
    async with client(call_seconds=0.2) as me:
        with pytest.raises(ApiError) as raised:
            await me.rooms["general"].send("hi")
    assert raised.value.text == "no answer to chat.send within 0.2 s; UNAVAILABLE: the disk is full"


async def test_a_call_without_a_connection_says_why_there_is_none(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        service.stop()
        async for state in me.states():
            if state is ClientState.RECONNECTING:
                break
        with pytest.raises(ApiError, match=r"within 0\.2 s; cannot reach .*connection refused"):
            await me.call("session.ping", v1.PingRequest(), v1.PingReply, seconds=0.2)
        assert me.last_error is not None
        assert "connection refused" in me.last_error.text


async def test_a_cancelled_call_cancels_its_request_and_harms_nobody(service: FakeService, client: MakeClient) -> None:
    service.handlers["chat.send"] = lambda session, stream, request: request.text == "stuck"  # type: ignore[attr-defined]
    async with client() as me:
        stuck = asyncio.create_task(me.rooms["general"].send("stuck"))
        await service.wait_until(lambda: service.counts["chat.send"] == 1)
        stuck.cancel()
        await service.wait_until(lambda: service.cancelled["chat.send"] == 1)
        assert (await me.rooms["general"].send("hi")).cursor.seq == 1
        with pytest.raises(asyncio.CancelledError):
            await stuck


async def test_a_call_on_a_closed_client_is_refused_at_once(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        waiting = asyncio.create_task(me.call("chat.edit", v1.EditRequest(), v1.SendReply))
        service.handlers["chat.edit"] = lambda session, stream, request: True
        await service.wait_until(lambda: service.counts["chat.edit"] == 1)
    with pytest.raises(ApiError, match="the client is closed"):
        await waiting
    with pytest.raises(ApiError, match="the client is closed"):
        await me.session.ping()


async def test_a_message_as_big_as_they_get_goes_in_fragments(service: FakeService, client: MakeClient) -> None:
    text = "ß" * 1_000_000
    async with client() as me:
        await me.rooms["general"].send(text)
        async for event in me.rooms["general"].read():
            assert event.posted.text == text


async def test_tell_does_not_wait_and_says_if_nobody_is_there(service: FakeService, client: MakeClient) -> None:
    async with client() as me:
        assert me.fire_and_forget("presence.typing", v1.TypingRequest(room="general"))
        await service.wait_until(lambda: service.counts["presence.typing"] == 1)
    assert not me.fire_and_forget("presence.typing", v1.TypingRequest(room="general"))


async def test_a_room_without_a_name_gets_one_here_so_that_creating_it_can_be_repeated(
    service: FakeService, client: MakeClient
) -> None:
    def reply(session: FakeSession, stream: Stream, request: v1.CreateRequest) -> bool:
        session.reply(stream, v1.RoomReply(room=v1.Room(room=request.room)))
        return True

    service.handlers["rooms.create"] = reply
    async with client() as me:
        assert (await me.rooms.create(title="x")).room.room
        assert not (await me.rooms.create(kind=v1.DIRECT, members=["bob"])).room.room
