"""Sessions over both wires: SETUP, verbs, errors, credit, cancellation, channels, credentials, encodings, the end."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from kits.transport.harness import (
    SETTINGS,
    FakeClock,
    TransportHarness,
    call_frame,
    channel_frame,
    decode_reply,
    encode_message,
    fire_and_forget_frame,
    item_seq,
    request_metadata,
    running_harness,
    setup_frame,
    watch_frame,
    watch_item,
)
from rsocket_harness import cancel, complete, error, frame, payload, request_n, setup
from tidings.contract import v1
from tidings.contract.errors import Code, resource_exhausted, unauthenticated
from tidings.hub import Batch
from tidings.protocols.rsocket import FrameType, metadata
from tidings.protocols.rsocket.frames import COMPLETE, NEXT
from tidings.server.settings import ConnectionLimits

pytestmark = pytest.mark.parametrize("transport", ["websocket", "tcp"])
UNSUPPORTED_SETUP, REJECTED_SETUP, CONNECTION_ERROR, CONNECTION_CLOSE, REJECTED = 0x002, 0x003, 0x101, 0x102, 0x202


def text_of(room: str = "", text: str = "") -> v1.SendRequest:
    return v1.SendRequest(room=room, text=text)


# --- SETUP ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_setup_with_credentials_opens_a_session_of_that_user(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        assert decode_reply(await peer.request(1, "test.whoami")).cursor.epoch == "ada"
        (session,) = harness.authenticator.sessions
        assert (session.identity.user, session.transport) == ("ada", transport)
        assert harness.metrics.connections_opened == {transport: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "user"),
    [
        (setup(), "guest"),
        (setup(metadata=request_metadata(user="grace")), "grace"),
        (setup(metadata_mime=metadata.BEARER_LEGACY, metadata=b"token-of-joan"), "token-of-joan"),
    ],
)
async def test_credentials_come_as_composite_entry_or_in_the_legacy_way_or_not_at_all(
    transport: str, first: bytes, user: str
) -> None:
    async with running_harness() as harness, harness.peer(transport, first) as peer:
        await harness.authenticator.session_opened.wait()
        assert harness.authenticator.sessions[0].identity.user == user
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 1, data=b""))
        assert (await peer.receive_error())[0] == Code.UNIMPLEMENTED


@pytest.mark.asyncio
async def test_refused_credentials_end_the_connection_and_say_why(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport, setup_frame("mallory")) as peer:
        await peer.send(call_frame(1, "test.echo"))
        assert await peer.receive_connection_error() == (
            REJECTED_SETUP,
            "UNAUTHENTICATED: mallory is not let in; be somebody else",
        )
        if transport == "websocket":
            assert peer.socket.close_code == 4401
            assert peer.socket.close_reason == "UNAUTHENTICATED: mallory is not let in; be somebody else"
        assert not harness.handlers.calls
        assert not harness.authenticator.sessions


@pytest.mark.asyncio
async def test_a_gate_that_breaks_tells_nothing_but_a_correlation_id(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport, setup_frame("broken")) as peer:
        code, text = await peer.receive_connection_error()
        assert code == REJECTED_SETUP
        assert text.startswith("INTERNAL: the service failed; if you report it, quote ")
        assert "mat" not in text


@pytest.mark.asyncio
async def test_a_user_with_too_many_connections_is_refused(transport: str) -> None:
    async with running_harness() as harness:

        def full(_session: Any) -> None:
            raise resource_exhausted("you have 2 connections; close one")

        harness.authenticator.register = full  # type: ignore[method-assign]
        async with harness.peer(transport) as peer:
            assert await peer.receive_connection_error() == (
                REJECTED_SETUP,
                "RESOURCE_EXHAUSTED: you have 2 connections; close one",
            )


@pytest.mark.asyncio
async def test_item_16_an_unknown_data_type_is_refused_as_unsupported_with_the_known_ones(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport, setup(data_mime="application/cbor")) as peer:
        code, text = await peer.receive_connection_error()
        assert code == UNSUPPORTED_SETUP
        assert "application/cbor" in text
        assert "application/json" in text


@pytest.mark.asyncio
async def test_malformed_setup_metadata_is_refused(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport, setup(metadata=b"\xfe\x00\x00\x09x")) as peer:
        code, text = await peer.receive_connection_error()
        assert code == REJECTED_SETUP
        assert text.startswith("INVALID_ARGUMENT: the metadata cannot be read")


@pytest.mark.asyncio
async def test_requests_behind_setup_wait_for_a_slow_gate_and_are_served_in_order(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport, setup_frame("slow")) as peer:
        await peer.send(
            call_frame(1, "test.echo", text_of(text="one")), call_frame(3, "test.echo", text_of(text="two"))
        )
        await harness.authenticator.authenticate_called.wait()
        assert not harness.handlers.calls
        harness.authenticator.unblock.set()
        assert [decode_reply(await peer.receive()).cursor.epoch for _ in range(2)] == ["one", "two"]


@pytest.mark.asyncio
async def test_a_peer_that_leaves_while_it_is_looked_at_leaves_nothing(transport: str) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness, harness.peer(transport, setup_frame("slow")) as peer:
        await harness.authenticator.authenticate_called.wait()
        peer.abort()
        clock.seconds += 20  # what is not read from is only found out by its deadline
        await harness.wait_until(lambda: not harness.connection_count)
        harness.authenticator.unblock.set()
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        assert not harness.authenticator.sessions


@pytest.mark.asyncio
async def test_no_setup_in_time_ends_the_connection(transport: str) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness, harness.peer(transport, b"") as peer:
        await harness.wait_until(lambda: harness.connection_count)
        clock.seconds += 10.1
        assert (await peer.receive_connection_error())[1] == "no SETUP came within 10 s (first_frame_seconds)"


# --- verbs and errors -------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_unknown_route_no_route_and_malformed_metadata_are_refused_on_the_stream(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "no.such"))
        assert await peer.receive_error() == (Code.UNIMPLEMENTED, "UNIMPLEMENTED: no such route: 'no.such'")
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 3))
        assert (await peer.receive_error())[0] == Code.UNIMPLEMENTED
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 5, metadata=b"\xfe\x00"))
        assert (await peer.receive_error())[0] == Code.INVALID_ARGUMENT
        assert decode_reply(await peer.request(7, "test.echo", text_of(text="still here"))).cursor.epoch == "still here"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_frame",
    [
        call_frame(1, "test.watch"),
        call_frame(1, "test.channel"),
        watch_frame(1, 1, "test.echo"),
        watch_frame(1, 1, "test.channel"),
        frame(FrameType.REQUEST_CHANNEL, 1, 0, request_metadata("test.watch"), b"", initial_n=1),
        frame(FrameType.REQUEST_CHANNEL, 1, 0, request_metadata("test.echo"), b"", initial_n=1),
    ],
)
async def test_another_interaction_than_the_verb_is_unimplemented(transport: str, request_frame: bytes) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(request_frame)
        code, text = await peer.receive_error()
        assert code == Code.UNIMPLEMENTED
        assert "ask with" in text


@pytest.mark.asyncio
async def test_fire_and_forget_is_carried_out_and_never_answered(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        harness.handlers.release_event("hall").set()
        await peer.send(
            fire_and_forget_frame(1, "test.echo"),
            fire_and_forget_frame(3, "test.wait", text_of("hall")),
            fire_and_forget_frame(5, "test.absent"),
            fire_and_forget_frame(7, "test.crash"),
            fire_and_forget_frame(9, "test.later"),
            fire_and_forget_frame(11, "no.such"),
            fire_and_forget_frame(13, "test.watch"),
            fire_and_forget_frame(15, "test.echo", b"\xff"),
            fire_and_forget_frame(17, "test.echo", user="mallory"),
        )
        await harness.handlers.until_called("wait done")
        assert (await peer.request(19, "test.echo")).stream_id == 19
        assert harness.handlers.calls["echo"] == 2
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        assert harness.metrics.route_counters("test.absent").errors["NOT_FOUND"] == 1
        assert harness.metrics.route_counters("test.crash").errors["INTERNAL"] == 1


@pytest.mark.asyncio
async def test_fire_and_forget_is_carried_out_although_the_caller_has_left(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(fire_and_forget_frame(1, "test.wait", text_of("hall")))
        await harness.handlers.until_called("wait")
        await peer.close()
        await harness.next_closed_session()
        harness.handlers.release_event("hall").set()
        await harness.handlers.until_called("wait done")


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["test.crash", "test.later"])
async def test_what_nobody_expected_is_internal_and_tells_nothing(transport: str, route: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, route))
        code, text = await peer.receive_error()
        assert code == Code.INTERNAL
        assert text.startswith("INTERNAL: the service failed; if you report it, quote ")
        assert "swordfish" not in text


@pytest.mark.asyncio
async def test_a_failure_keeps_its_code_and_sentence(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "test.absent"))
        assert await peer.receive_error() == (Code.NOT_FOUND, "NOT_FOUND: there is no such thing; look elsewhere")
        await peer.send(watch_frame(3, 1, message=v1.WatchRequest(room="absent")))
        assert await peer.receive_error() == (Code.NOT_FOUND, "NOT_FOUND: there is no such room")


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["test.echo", "test.wait"])
async def test_a_payload_that_is_no_message_is_an_invalid_argument(transport: str, route: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, route, b"\xff\xff"))
        assert (await peer.receive_error())[0] == Code.INVALID_ARGUMENT
        await peer.send(watch_frame(3, 1, message=b"\xff"))
        assert (await peer.receive_error())[0] == Code.INVALID_ARGUMENT


@pytest.mark.asyncio
async def test_only_operators_call_what_is_for_operators(transport: str) -> None:
    async with running_harness() as harness:
        async with harness.peer(transport) as peer:
            await peer.send(call_frame(1, "test.operate"))
            assert (await peer.receive_error())[0] == Code.PERMISSION_DENIED
            assert decode_reply(await peer.request(3, "test.operate", user="root")).cursor.epoch == "root"
        async with harness.peer(transport, setup_frame("root")) as peer:
            assert decode_reply(await peer.request(1, "test.operate")).cursor.epoch == "root"


@pytest.mark.asyncio
async def test_calls_that_wait_do_not_hold_up_others(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "test.wait", text_of("hall")), call_frame(3, "test.echo", text_of(text="quick")))
        assert (await peer.receive()).stream_id == 3
        harness.handlers.release_event("hall").set()
        found = await peer.receive()
        assert (found.stream_id, found.flags & (NEXT | COMPLETE)) == (1, NEXT | COMPLETE)


@pytest.mark.asyncio
async def test_too_many_waiting_calls_are_refused(transport: str) -> None:
    settings = replace(SETTINGS, connections=ConnectionLimits(requests_in_flight_max=2))
    async with running_harness(settings) as harness, harness.peer(transport) as peer:
        for stream_id in (1, 3, 5):
            await peer.send(call_frame(stream_id, "test.wait", text_of("hall")))
        code, text = await peer.receive_error()
        assert code == Code.RESOURCE_EXHAUSTED
        assert "2 requests" in text
        harness.handlers.release_event("hall").set()
        assert {(await peer.receive()).stream_id for _ in range(2)} == {1, 3}
        assert decode_reply(await peer.request(7, "test.wait", text_of("hall"))).cursor.epoch == "ada"


@pytest.mark.asyncio
async def test_a_client_that_asks_for_leases_gets_one_and_another_in_time(transport: str) -> None:
    clock = FakeClock()
    limits = replace(SETTINGS.connections, lease_requests=10, lease_seconds=60.0)
    first = setup(flags=0x40, keepalive_ms=600_000, lifetime_ms=600_000)
    async with (
        running_harness(replace(SETTINGS, connections=limits), clock) as harness,
        harness.peer(transport, first) as peer,
    ):
        found = await peer.receive()
        assert (found.type, found.fields) == (FrameType.LEASE, {"ttl_ms": 60_000, "requests": 10})
        for n in range(5):
            await peer.send(call_frame(1 + 2 * n, "test.echo"))
        kinds = [(await peer.receive()).type for _ in range(6)]
        assert kinds.count(FrameType.LEASE) == 1
        assert kinds.count(FrameType.PAYLOAD) == 5
        clock.seconds += 30.1
        assert (await peer.receive()).type is FrameType.LEASE


@pytest.mark.asyncio
async def test_thousands_of_requests_in_one_piece_are_all_answered_in_order(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        assert (await peer.request(1, "test.echo")).stream_id == 1
        await peer.send(*(call_frame(3 + 2 * n, "test.echo") for n in range(3_000)))
        assert [(await peer.receive()).stream_id for _ in range(3_000)] == [3 + 2 * n for n in range(3_000)]


# --- watches ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_watch_sends_as_many_items_as_there_is_credit(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(watch_frame(1, 3))
        assert [item_seq(await peer.receive()) for _ in range(3)] == [1, 2, 3]
        assert decode_reply(await peer.request(3, "test.echo")).at_ms == 0
        assert harness.handlers.subscriptions[0].sent_count == 3
        await peer.send(request_n(1, 2))
        assert [item_seq(await peer.receive()) for _ in range(2)] == [4, 5]


@pytest.mark.asyncio
async def test_credit_that_comes_while_a_watch_starts_is_not_lost(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(watch_frame(1, 1, "test.slowwatch"), request_n(1, 2))
        await harness.handlers.until_called("slow watch")
        assert (await peer.request(3, "test.echo")).stream_id == 3
        harness.handlers.release_event("").set()
        assert [item_seq(await peer.receive()) for _ in range(3)] == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_watch_that_ends_completes_or_fails_on_its_stream(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(watch_frame(1, 1), watch_frame(3, 1))
        await harness.handlers.until_called("watch", 2)
        assert {(await peer.receive()).stream_id for _ in range(2)} == {1, 3}
        first, second = harness.handlers.subscriptions
        assert first.sink is not None
        first.sink.complete()
        found = await peer.receive()
        assert (found.stream_id, found.flags & COMPLETE, found.data) == (1, COMPLETE, b"")
        assert second.sink is not None
        second.sink.fail(unauthenticated("no more"))
        assert await peer.receive_error() == (Code.UNAUTHENTICATED, "UNAUTHENTICATED: no more")
        assert first.closed.is_set()
        assert second.closed.is_set()


@pytest.mark.asyncio
async def test_items_that_many_readers_get_are_right_for_each_of_them(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as one, harness.peer(transport) as other:
        harness.handlers.watch_last = 0
        await one.send(watch_frame(1, 10), watch_frame(3, 10))
        await other.send(watch_frame(1, 10))
        await harness.handlers.until_called("watch", 3)
        for source in harness.handlers.subscriptions:
            await source.woke.wait()
        batch = Batch([watch_item(1, "a"), watch_item(2, "b")], 1, 2)
        for source in harness.handlers.subscriptions:
            assert source.sink is not None
            source.sink.deliver(batch)
        found = [await one.receive() for _ in range(4)]
        assert sorted((each.stream_id, item_seq(each)) for each in found) == [(1, 1), (1, 2), (3, 1), (3, 2)]
        assert [item_seq(await other.receive()) for _ in range(2)] == [1, 2]
        assert len(batch.shared) == 2


# --- cancellation in every phase --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_cancel_ends_a_call_that_waits(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "test.wait", text_of("hall")))
        await harness.handlers.until_called("wait")
        await peer.send(cancel(1))
        assert (await peer.request(3, "test.echo")).stream_id == 3
        await harness.handlers.until_called("wait cancelled")
        assert harness.metrics.route_counters("test.wait").errors["cancelled"] == 1


@pytest.mark.asyncio
async def test_request_and_cancel_in_one_piece_leave_nothing(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(
            call_frame(1, "test.wait", text_of("hall")), cancel(1),
            watch_frame(3, 1), cancel(3),
            watch_frame(5, 1, "test.slowwatch"), cancel(5),
            channel_frame(7, 1, 1), cancel(7),
            watch_frame(9, 1, user="slow"), cancel(9),
        )  # fmt: skip
        frames = [await peer.request(11, "test.echo")]
        while frames[-1].stream_id != 11:
            frames.append(await peer.receive())
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        (session,) = harness.listener.dispatcher.peers
        assert session.client_session is not None
        assert not session.client_session.active
        assert not session.engine.streams
        assert all(source.closed.is_set() for source in harness.handlers.subscriptions)


@pytest.mark.asyncio
async def test_cancel_while_a_watch_starts_closes_the_source_that_comes_too_late(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(watch_frame(1, 1, "test.slowwatch"))
        await harness.handlers.until_called("slow watch")
        await peer.send(cancel(1))
        await harness.handlers.subscriptions[0].closed.wait()
        assert harness.handlers.calls["slow watch cancelled"] == 1
        assert harness.handlers.subscriptions[0].sent_count == 0


@pytest.mark.asyncio
async def test_cancel_of_a_running_watch_closes_its_source(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(watch_frame(1, 2))
        assert [item_seq(await peer.receive()) for _ in range(2)] == [1, 2]
        await peer.send(cancel(1))
        await harness.handlers.subscriptions[0].closed.wait()
        await peer.send(request_n(1, 5))
        assert (await peer.request(3, "test.echo")).stream_id == 3


# --- channels ---------------------------------------------------------------------------------------------------


def command(ref: int, flags: int = NEXT) -> bytes:
    return payload(1, encode_message(v1.ChannelCommand(ref=ref)), flags)


async def receive_replies(peer: Any, count: int) -> list[int]:
    refs = []
    while len(refs) < count:
        found = await peer.receive()
        if found.type is FrameType.PAYLOAD:
            refs.append(v1.ChannelItem.FromString(found.data).ref)
        else:
            assert found.type is FrameType.REQUEST_N
    return refs


@pytest.mark.asyncio
async def test_the_first_payload_of_a_channel_is_a_command(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 10, 7))
        assert await receive_replies(peer, 1) == [7]
        await peer.send(command(8), command(9))
        assert await receive_replies(peer, 2) == [8, 9]


@pytest.mark.asyncio
async def test_a_channel_grants_what_its_conversation_has_room_for(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        harness.handlers.channel_capacity = 4
        await peer.send(channel_frame(1, 0x7FFFFFFF, 1))
        granted = 0
        refs: list[int] = []
        next_ref = 2
        while len(refs) < 50:
            found = await peer.receive()
            if found.type is FrameType.REQUEST_N:
                granted += int(found.fields["n"])
                assert granted <= 4
                while granted:
                    await peer.send(command(next_ref))
                    next_ref += 1
                    granted -= 1
            else:
                refs.append(v1.ChannelItem.FromString(found.data).ref)
        assert refs == list(range(1, 51))


@pytest.mark.asyncio
async def test_a_conversation_without_room_gets_nothing_more(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        harness.handlers.channel_capacity = 2
        await peer.send(channel_frame(1, 1, 1))
        await receive_replies(peer, 1)
        channel_handler = harness.handlers.channel_handlers[0]
        channel_handler.is_held = True
        await peer.send(command(2), command(3))
        await harness.handlers.until_called("command", 3)
        (session,) = harness.listener.dispatcher.peers
        assert session.engine.streams[1].granted == 0
        channel_handler.is_held = False
        await peer.send(request_n(1, 10))
        assert await receive_replies(peer, 2) == [2, 3]
        assert session.engine.streams[1].granted == 2


@pytest.mark.asyncio
async def test_the_end_of_commands_is_told_and_answers_go_on(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 1, 1))
        await receive_replies(peer, 1)
        channel_handler = harness.handlers.channel_handlers[0]
        await peer.send(command(2, NEXT | COMPLETE))
        await channel_handler.completed.wait()
        assert channel_handler.refs == [1, 2]
        await peer.send(request_n(1, 1))
        assert await receive_replies(peer, 1) == [2]
        assert channel_handler.sink is not None
        channel_handler.sink.complete()
        assert (await peer.receive()).flags & COMPLETE
        await channel_handler.closed.wait()


@pytest.mark.asyncio
async def test_a_channel_that_only_says_complete_is_told_too(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 1, 1), complete(1))
        await receive_replies(peer, 1)
        await harness.handlers.channel_handlers[0].completed.wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("ending", [cancel(1), error(1, 0x201, "enough")])
async def test_cancel_and_error_of_the_requester_close_the_conversation(transport: str, ending: bytes) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 1, 1))
        await receive_replies(peer, 1)
        await peer.send(ending)
        await harness.handlers.channel_handlers[0].closed.wait()


@pytest.mark.asyncio
async def test_a_command_that_cannot_be_read_or_fails_ends_the_channel(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 1, 404))
        found = await peer.receive()
        while found.type is FrameType.REQUEST_N:
            found = await peer.receive()
        assert (found.type, found.fields["code"]) == (FrameType.ERROR, Code.NOT_FOUND)
        assert harness.handlers.channel_handlers[0].closed.is_set()
        await peer.send(channel_frame(3, 1, 1), payload(3, b"\xff\xff"))
        failed = False
        while not failed:
            found = await peer.receive()
            failed = found.type is FrameType.ERROR
        assert found.fields["code"] == Code.INVALID_ARGUMENT
        assert harness.handlers.channel_handlers[1].closed.is_set()


# --- credentials and encodings of one request -------------------------------------------------------------------


@pytest.mark.asyncio
async def test_credentials_of_a_request_hold_for_that_request(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        assert decode_reply(await peer.request(1, "test.whoami", user="grace")).cursor.epoch == "grace"
        assert decode_reply(await peer.request(3, "test.whoami")).cursor.epoch == "ada"
        await peer.send(call_frame(5, "test.whoami", user="mallory"))
        assert (await peer.receive_error())[0] == Code.UNAUTHENTICATED
        harness.handlers.release_event("hall").set()
        assert decode_reply(await peer.request(7, "test.wait", text_of("hall"), user="joan")).cursor.epoch == "joan"
        await peer.send(watch_frame(9, 1, user="grace"))
        assert item_seq(await peer.receive()) == 1


@pytest.mark.asyncio
async def test_a_channel_that_is_looked_at_loses_no_command(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(channel_frame(1, 10, 1, user="slow"))
        await harness.authenticator.authenticate_called.wait()
        # One credit goes out by itself, since a channel must be answered.
        found = await peer.receive()
        assert (found.type, found.fields["n"]) == (FrameType.REQUEST_N, 1)
        await peer.send(command(2, NEXT | COMPLETE))
        assert (await peer.request(3, "test.echo")).stream_id == 3
        harness.authenticator.unblock.set()
        assert await receive_replies(peer, 2) == [1, 2]
        await harness.handlers.channel_handlers[0].completed.wait()


@pytest.mark.asyncio
async def test_json_connections_are_answered_in_json(transport: str) -> None:
    async with (
        running_harness() as harness,
        harness.peer(transport, setup_frame("ada", data_mime="application/json")) as peer,
    ):
        found = await peer.request(1, "test.echo", b'{"text": "hi"}')
        assert json.loads(found.data) == {"cursor": {"epoch": "hi"}, "atMs": "2"}
        await peer.send(watch_frame(3, 1, message=b"{}"))
        assert json.loads((await peer.receive()).data) == {"cursor": {"seq": "1"}}


@pytest.mark.asyncio
async def test_a_request_may_come_and_be_answered_in_another_type_than_the_connections(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        asked = await peer.request(
            1, "test.echo", b'{"text": "hi"}', mime="application/json", accept=("application/cbor", "application/json")
        )
        assert json.loads(asked.data)["cursor"] == {"epoch": "hi"}
        assert asked.metadata is not None
        (entry,) = metadata.read_composite(asked.metadata)
        assert (entry.mime, metadata.read_mime_type(entry.content)) == (metadata.MIME_TYPE, "application/json")
        # The first that was asked for: nothing needs to be said about it.
        plain = await peer.request(3, "test.echo", text_of(text="hi"), accept=("application/json",))
        assert plain.metadata is None
        assert json.loads(plain.data)["cursor"] == {"epoch": "hi"}
        # Nothing accepted is named: the answer is in the request's type, so nothing needs to be said about it either.
        other = await peer.request(5, "test.echo", b'{"text": "hi"}', mime="application/json")
        assert json.loads(other.data)["cursor"] == {"epoch": "hi"}
        assert other.metadata is None
        await peer.send(call_frame(7, "test.echo", accept=("application/cbor",)))
        assert (await peer.receive_error())[0] == Code.INVALID_ARGUMENT
        await peer.send(call_frame(9, "test.echo", mime="application/cbor"))
        assert (await peer.receive_error())[0] == Code.INVALID_ARGUMENT


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("mime", "route"),
    [
        (metadata.TEXT_PLAIN, b"test.echo"),
        (metadata.ROUTING, metadata.write_route("test.echo")),
    ],
)
async def test_routes_come_as_plain_text_and_as_bare_routing_too(transport: str, mime: str, route: bytes) -> None:
    async with running_harness() as harness, harness.peer(transport, setup(metadata_mime=mime)) as peer:
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 1, metadata=route))
        assert decode_reply(await peer.receive()).at_ms == 0


@pytest.mark.asyncio
async def test_what_carries_a_secret_is_not_remembered(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.request(1, "test.whoami", user="grace")
        await peer.request(3, "test.whoami")
        for routes in harness.listener.rsocket_server._resolvers.values():
            assert all(b"grace" not in (key or b"") for key in routes.cache)
            assert len(routes.cache) == 1


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_lost_transport_ends_everything_that_was_going_on(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(
            call_frame(1, "test.wait", text_of("hall")),
            watch_frame(3, 1),
            watch_frame(5, 1, "test.slowwatch"),
            channel_frame(7, 1, 1),
        )
        await harness.handlers.until_called("wait")
        await harness.handlers.until_called("watch")
        await harness.handlers.until_called("slow watch")
        session = harness.authenticator.sessions[0]
        peer.abort()
        assert await harness.next_closed_session() is session
        await harness.wait_until(lambda: not harness.connection_count and not harness.listener.dispatcher.tasks)
        assert harness.handlers.calls["wait cancelled"] == 1
        assert harness.authenticator.closed_sessions == [session]


@pytest.mark.asyncio
async def test_closing_a_session_says_why(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.request(1, "test.echo")
        harness.handlers.watch_last = 100
        await peer.send(watch_frame(3, 0x7FFFFFFF))
        await peer.receive()
        harness.authenticator.sessions[0].close(resource_exhausted("enough for today"))
        assert await peer.receive_connection_error() == (CONNECTION_ERROR, "RESOURCE_EXHAUSTED: enough for today")
        assert len(harness.authenticator.closed_sessions) == 1


@pytest.mark.asyncio
async def test_a_token_that_runs_out_ends_the_connection(transport: str) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        harness.authenticator.expires_at_ms = clock.now_ms() + 5_000
        async with harness.peer(transport, setup_frame("brief")) as peer:
            await peer.request(1, "test.echo")
            clock.seconds += 9  # within the skew
            assert (await peer.request(3, "test.echo")).stream_id == 3
            clock.seconds += 1.1
            code, text = await peer.receive_connection_error()
            assert code == CONNECTION_ERROR
            assert text.startswith("UNAUTHENTICATED: your token ran out")
            if transport == "websocket":
                assert peer.socket.close_code == 4401


@pytest.mark.asyncio
async def test_a_refreshed_token_keeps_the_connection(transport: str) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness:
        harness.authenticator.expires_at_ms = clock.now_ms() + 5_000
        async with harness.peer(transport, setup_frame("brief", keepalive_ms=600_000, lifetime_ms=600_000)) as peer:
            await peer.request(1, "test.refresh", text_of(text=str(clock.now_ms() + 50_000)))
            clock.seconds += 20
            assert (await peer.request(3, "test.echo")).stream_id == 3
            clock.seconds += 36
            assert (await peer.receive_connection_error())[1].startswith("UNAUTHENTICATED")


@pytest.mark.asyncio
async def test_the_token_of_a_single_watch_ends_that_watch_alone(transport: str) -> None:
    clock = FakeClock()
    async with running_harness(clock=clock) as harness, harness.peer(transport) as peer:
        harness.authenticator.expires_at_ms = clock.now_ms() + 5_000
        await peer.send(watch_frame(1, 1, user="brief"))
        await peer.receive()
        clock.seconds += 10.1
        assert (await peer.receive_error())[0] == Code.UNAUTHENTICATED
        assert (await peer.request(3, "test.echo")).stream_id == 3


@pytest.mark.asyncio
async def test_a_silent_peer_is_taken_for_dead(transport: str) -> None:
    clock = FakeClock()
    async with (
        running_harness(clock=clock) as harness,
        harness.peer(transport, setup_frame("ada", lifetime_ms=30_000)) as peer,
    ):
        await harness.authenticator.session_opened.wait()
        clock.seconds += 30.1
        assert (await peer.receive_connection_error())[1].startswith("No keep-alive acks")
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_draining_answers_what_was_asked_and_ends_what_never_would(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "test.wait", text_of("hall")), watch_frame(3, 1), channel_frame(5, 1, 1))
        await harness.handlers.until_called("wait")
        await harness.handlers.until_called("watch")
        await harness.handlers.until_called("channel")
        draining = asyncio.create_task(harness.listener.drain(30))
        await harness.wait_until(lambda: harness.listener.dispatcher.is_draining)
        await peer.send(call_frame(7, "test.echo"))
        refused = answered = False
        ended = set()
        while not (refused and answered and ended == {3, 5}):
            found = await peer.receive()
            if found.type is FrameType.ERROR and found.stream_id == 7:
                assert found.fields["code"] == REJECTED
                refused = True
                harness.handlers.release_event("hall").set()
            elif found.type is FrameType.ERROR:
                assert found.fields["code"] == Code.UNAVAILABLE
                ended.add(found.stream_id)
            elif found.stream_id == 1:
                answered = True
        assert await peer.receive_connection_error() == (
            CONNECTION_CLOSE,
            "UNAVAILABLE: the service is stopping; connect again in a moment",
        )
        if transport == "websocket":
            assert peer.socket.close_code == 1001
        await peer.close()
        assert await draining is True


@pytest.mark.asyncio
async def test_whoever_comes_while_draining_is_sent_away(transport: str) -> None:
    async with running_harness() as harness:
        assert await harness.listener.drain(30)
        async with harness.peer(transport) as peer:
            code, text = await peer.receive_connection_error()
            assert (code, text.partition(":")[0]) == (REJECTED_SETUP, "UNAVAILABLE")


@pytest.mark.asyncio
async def test_draining_gives_up_when_its_time_is_over(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(1, "test.wait", text_of("hall")))
        await harness.handlers.until_called("wait")
        assert not await harness.listener.drain(0.01)
        closing = asyncio.create_task(harness.listener.close())
        assert (await peer.receive_connection_error())[0] == CONNECTION_CLOSE
        await peer.close()
        await closing
        assert harness.handlers.calls["wait cancelled"] == 1


# --- a full socket ----------------------------------------------------------------------------------------------


async def fill_socket(harness: TransportHarness, peer: Any) -> Any:
    """Watch without limit and read nothing, until the service calls the socket full."""
    pause_reading(peer)
    await peer.send(watch_frame(1, 0x7FFFFFFF, message=v1.WatchRequest(room="x" * 2_000)))
    await harness.wait_until(lambda: harness.listener.dispatcher.peers)
    session = next(iter(harness.listener.dispatcher.peers))
    harness.notifier.watch(session.engine)
    await harness.wait_until(lambda: not session.engine.writable)
    return session


def pause_reading(peer: Any) -> None:
    (peer.socket.transport if hasattr(peer, "socket") else peer.writer.transport).pause_reading()


def resume_reading(peer: Any) -> None:
    (peer.socket.transport if hasattr(peer, "socket") else peer.writer.transport).resume_reading()


@pytest.mark.asyncio
async def test_a_reader_that_stops_reading_holds_a_bounded_amount_and_hinders_nobody(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as slow, harness.peer(transport) as quick:
        session = await fill_socket(harness, slow)
        limits = harness.listener.settings
        held = session.engine.outbound_bytes + session.transport.buffered_bytes()
        assert (
            held <= limits.connections.write_buffer_bytes + limits.rsocket.outbound_bytes_pause + 64 * 2_100 + 262_144
        )
        assert (await quick.request(1, "test.echo")).stream_id == 1
        await quick.send(watch_frame(3, 500))
        assert [item_seq(await quick.receive()) for _ in range(500)] == list(range(1, 501))
        resume_reading(slow)
        assert [item_seq(await slow.receive()) for _ in range(3_000)] == list(range(1, 3_001))


@pytest.mark.asyncio
async def test_requests_of_a_reader_that_stops_reading_wait_and_are_answered_later(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await harness.authenticator.session_opened.wait()
        (session,) = harness.listener.dispatcher.peers
        harness.notifier.watch(session)
        # The socket is called full by hand: how much a real one takes, and when, is the kernel's business.
        session.transport.pause_writing()
        await peer.send(*(call_frame(3 + 2 * n, "test.echo") for n in range(100)))
        await harness.wait_until(lambda: len(session.deferred_frames) == 100)
        assert not harness.handlers.calls["echo"]
        session.transport.resume_writing()
        answered = {(await peer.receive()).stream_id for _ in range(100)}
        assert answered == {3 + 2 * n for n in range(100)}
        assert harness.handlers.calls["echo"] == 100


@pytest.mark.asyncio
async def test_a_socket_that_takes_nothing_is_closed_in_the_end(transport: str) -> None:
    clock = FakeClock()
    first = setup_frame("ada", keepalive_ms=3_600_000, lifetime_ms=600_000)
    async with running_harness(clock=clock) as harness, harness.peer(transport, first) as peer:
        await fill_socket(harness, peer)
        while harness.connection_count:  # the kernel may still have taken something the first time
            clock.seconds += 60.1
            await harness.run_timers()
        await harness.next_closed_session()
        assert harness.metrics.connections_closed["stalled"] == 1


@pytest.mark.asyncio
async def test_more_answers_than_a_connection_may_hold_end_it(transport: str) -> None:
    settings = replace(SETTINGS, rsocket=replace(SETTINGS.rsocket, outbound_bytes_max=1_000_000))
    async with running_harness(settings) as harness, harness.peer(transport) as peer:
        pause_reading(peer)
        for n in range(8):
            await peer.send(call_frame(1 + 2 * n, "test.wait", text_of("hall")))
        await harness.handlers.until_called("wait", 8)
        session = next(iter(harness.listener.dispatcher.peers))
        # Answers cannot be held back: they are made when the handlers are done, whatever the socket says.
        harness.authenticator.sessions[0].identity = replace(
            harness.authenticator.sessions[0].identity, user="u" * 2_000_000
        )
        harness.handlers.release_event("hall").set()
        await harness.next_closed_session()
        assert session.engine.closing
