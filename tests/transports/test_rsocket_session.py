"""Sessions over both wires: SETUP, verbs, errors, credit, cancellation, channels, credentials, encodings, the end."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from rsocket_kit import cancel, complete, error, frame, payload, request_n, setup
from tidings.contract import v1
from tidings.contract.errors import Code, resource_exhausted, unauthenticated
from tidings.hub import Batch
from tidings.rsocket import FrameType, metadata
from tidings.rsocket.frames import COMPLETE, NEXT
from tidings.transports.settings import ConnectionLimits
from transports.stage import (
    SETTINGS,
    Clock,
    Stage,
    call,
    channel,
    encoded,
    forget,
    item,
    reply,
    said,
    seq,
    setup_of,
    staged,
    watch,
)

pytestmark = pytest.mark.parametrize("transport", ["websocket", "tcp"])
UNSUPPORTED_SETUP, REJECTED_SETUP, CONNECTION_ERROR, CONNECTION_CLOSE, REJECTED = 0x002, 0x003, 0x101, 0x102, 0x202


def text_of(room: str = "", text: str = "") -> v1.SendRequest:
    return v1.SendRequest(room=room, text=text)


# --- SETUP ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_setup_with_credentials_opens_a_session_of_that_user(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        assert reply(await peer.ask(1, "test.whoami")).cursor.epoch == "ada"
        (session,) = stage.gate.sessions
        assert (session.identity.user, session.transport) == ("ada", transport)
        assert stage.metrics.connections_opened == {transport: 1}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "user"),
    [
        (setup(), "guest"),
        (setup(metadata=said(user="grace")), "grace"),
        (setup(metadata_mime=metadata.BEARER_LEGACY, metadata=b"token-of-joan"), "token-of-joan"),
    ],
)
async def test_credentials_come_as_composite_entry_or_in_the_legacy_way_or_not_at_all(
    transport: str, first: bytes, user: str
) -> None:
    async with staged() as stage, stage.peer(transport, first) as peer:
        await stage.gate.came.wait()
        assert stage.gate.sessions[0].identity.user == user
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 1, data=b""))
        assert (await peer.failure())[0] == Code.UNIMPLEMENTED


@pytest.mark.asyncio
async def test_refused_credentials_end_the_connection_and_say_why(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup_of("mallory")) as peer:
        await peer.send(call(1, "test.echo"))
        assert await peer.refusal() == (
            REJECTED_SETUP,
            "UNAUTHENTICATED: mallory is not let in; be somebody else",
        )
        if transport == "websocket":
            assert peer.socket.close_code == 4401
            assert peer.socket.close_reason == "UNAUTHENTICATED: mallory is not let in; be somebody else"
        assert not stage.handlers.noticed
        assert not stage.gate.sessions


@pytest.mark.asyncio
async def test_a_gate_that_breaks_tells_nothing_but_a_correlation_id(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup_of("broken")) as peer:
        code, text = await peer.refusal()
        assert code == REJECTED_SETUP
        assert text.startswith("INTERNAL: the service failed; if you report it, quote ")
        assert "mat" not in text


@pytest.mark.asyncio
async def test_a_user_with_too_many_connections_is_refused(transport: str) -> None:
    async with staged() as stage:

        def full(_session: Any) -> None:
            raise resource_exhausted("you have 2 connections; close one")

        stage.gate.entered = full  # type: ignore[method-assign]
        async with stage.peer(transport) as peer:
            assert await peer.refusal() == (REJECTED_SETUP, "RESOURCE_EXHAUSTED: you have 2 connections; close one")


@pytest.mark.asyncio
async def test_item_16_an_unknown_data_type_is_refused_as_unsupported_with_the_known_ones(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup(data_mime="application/cbor")) as peer:
        code, text = await peer.refusal()
        assert code == UNSUPPORTED_SETUP
        assert "application/cbor" in text
        assert "application/json" in text


@pytest.mark.asyncio
async def test_malformed_setup_metadata_is_refused(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup(metadata=b"\xfe\x00\x00\x09x")) as peer:
        code, text = await peer.refusal()
        assert code == REJECTED_SETUP
        assert text.startswith("INVALID_ARGUMENT: the metadata cannot be read")


@pytest.mark.asyncio
async def test_requests_behind_setup_wait_for_a_slow_gate_and_are_served_in_order(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup_of("slow")) as peer:
        await peer.send(call(1, "test.echo", text_of(text="one")), call(3, "test.echo", text_of(text="two")))
        await stage.gate.asked.wait()
        assert not stage.handlers.noticed
        stage.gate.open.set()
        assert [reply(await peer.receive()).cursor.epoch for _ in range(2)] == ["one", "two"]


@pytest.mark.asyncio
async def test_a_peer_that_leaves_while_it_is_looked_at_leaves_nothing(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage, stage.peer(transport, setup_of("slow")) as peer:
        await stage.gate.asked.wait()
        peer.cut()
        clock.seconds += 20  # what is not read from is only found out by its deadline
        await stage.until(lambda: not stage.sessions)
        stage.gate.open.set()
        await stage.until(lambda: not stage.listener.service.tasks)
        assert not stage.gate.sessions


@pytest.mark.asyncio
async def test_no_setup_in_time_ends_the_connection(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage, stage.peer(transport, b"") as peer:
        await stage.until(lambda: stage.sessions)
        clock.seconds += 10.1
        assert (await peer.refusal())[1] == "no SETUP came within 10 s (first_frame_seconds)"


# --- verbs and errors -------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_unknown_route_no_route_and_malformed_metadata_are_refused_on_the_stream(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "no.such"))
        assert await peer.failure() == (Code.UNIMPLEMENTED, "UNIMPLEMENTED: no such route: 'no.such'")
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 3))
        assert (await peer.failure())[0] == Code.UNIMPLEMENTED
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 5, metadata=b"\xfe\x00"))
        assert (await peer.failure())[0] == Code.INVALID_ARGUMENT
        assert reply(await peer.ask(7, "test.echo", text_of(text="still here"))).cursor.epoch == "still here"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "request_frame",
    [
        call(1, "test.watch"),
        call(1, "test.channel"),
        watch(1, 1, "test.echo"),
        watch(1, 1, "test.channel"),
        frame(FrameType.REQUEST_CHANNEL, 1, 0, said("test.watch"), b"", initial_n=1),
        frame(FrameType.REQUEST_CHANNEL, 1, 0, said("test.echo"), b"", initial_n=1),
    ],
)
async def test_another_interaction_than_the_verb_is_unimplemented(transport: str, request_frame: bytes) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(request_frame)
        code, text = await peer.failure()
        assert code == Code.UNIMPLEMENTED
        assert "ask with" in text


@pytest.mark.asyncio
async def test_fire_and_forget_is_carried_out_and_never_answered(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        stage.handlers.opened("hall").set()
        await peer.send(
            forget(1, "test.echo"),
            forget(3, "test.wait", text_of("hall")),
            forget(5, "test.absent"),
            forget(7, "test.crash"),
            forget(9, "test.later"),
            forget(11, "no.such"),
            forget(13, "test.watch"),
            forget(15, "test.echo", b"\xff"),
            forget(17, "test.echo", user="mallory"),
        )
        await stage.handlers.seen("wait done")
        assert (await peer.ask(19, "test.echo")).stream_id == 19
        assert stage.handlers.noticed["echo"] == 2
        await stage.until(lambda: not stage.listener.service.tasks)
        assert stage.metrics.outcomes("test.absent").failed["NOT_FOUND"] == 1
        assert stage.metrics.outcomes("test.crash").failed["INTERNAL"] == 1


@pytest.mark.asyncio
async def test_fire_and_forget_is_carried_out_although_the_caller_has_left(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(forget(1, "test.wait", text_of("hall")))
        await stage.handlers.seen("wait")
        await peer.close()
        await stage.gone()
        stage.handlers.opened("hall").set()
        await stage.handlers.seen("wait done")


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["test.crash", "test.later"])
async def test_what_nobody_expected_is_internal_and_tells_nothing(transport: str, route: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, route))
        code, text = await peer.failure()
        assert code == Code.INTERNAL
        assert text.startswith("INTERNAL: the service failed; if you report it, quote ")
        assert "swordfish" not in text


@pytest.mark.asyncio
async def test_a_failure_keeps_its_code_and_sentence(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.absent"))
        assert await peer.failure() == (Code.NOT_FOUND, "NOT_FOUND: there is no such thing; look elsewhere")
        await peer.send(watch(3, 1, message=v1.WatchRequest(room="absent")))
        assert await peer.failure() == (Code.NOT_FOUND, "NOT_FOUND: there is no such room")


@pytest.mark.asyncio
@pytest.mark.parametrize("route", ["test.echo", "test.wait"])
async def test_a_payload_that_is_no_message_is_an_invalid_argument(transport: str, route: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, route, b"\xff\xff"))
        assert (await peer.failure())[0] == Code.INVALID_ARGUMENT
        await peer.send(watch(3, 1, message=b"\xff"))
        assert (await peer.failure())[0] == Code.INVALID_ARGUMENT


@pytest.mark.asyncio
async def test_only_operators_call_what_is_for_operators(transport: str) -> None:
    async with staged() as stage:
        async with stage.peer(transport) as peer:
            await peer.send(call(1, "test.operate"))
            assert (await peer.failure())[0] == Code.PERMISSION_DENIED
            assert reply(await peer.ask(3, "test.operate", user="root")).cursor.epoch == "root"
        async with stage.peer(transport, setup_of("root")) as peer:
            assert reply(await peer.ask(1, "test.operate")).cursor.epoch == "root"


@pytest.mark.asyncio
async def test_calls_that_wait_do_not_hold_up_others(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", text_of("hall")), call(3, "test.echo", text_of(text="quick")))
        assert (await peer.receive()).stream_id == 3
        stage.handlers.opened("hall").set()
        found = await peer.receive()
        assert (found.stream_id, found.flags & (NEXT | COMPLETE)) == (1, NEXT | COMPLETE)


@pytest.mark.asyncio
async def test_too_many_waiting_calls_are_refused(transport: str) -> None:
    settings = replace(SETTINGS, connections=ConnectionLimits(requests_in_flight_max=2))
    async with staged(settings) as stage, stage.peer(transport) as peer:
        for stream_id in (1, 3, 5):
            await peer.send(call(stream_id, "test.wait", text_of("hall")))
        code, text = await peer.failure()
        assert code == Code.RESOURCE_EXHAUSTED
        assert "2 requests" in text
        stage.handlers.opened("hall").set()
        assert {(await peer.receive()).stream_id for _ in range(2)} == {1, 3}
        assert reply(await peer.ask(7, "test.wait", text_of("hall"))).cursor.epoch == "ada"


@pytest.mark.asyncio
async def test_a_client_that_asks_for_leases_gets_one_and_another_in_time(transport: str) -> None:
    clock = Clock()
    limits = replace(SETTINGS.connections, lease_requests=10, lease_seconds=60.0)
    first = setup(flags=0x40, keepalive_ms=600_000, lifetime_ms=600_000)
    async with staged(replace(SETTINGS, connections=limits), clock) as stage, stage.peer(transport, first) as peer:
        found = await peer.receive()
        assert (found.type, found.fields) == (FrameType.LEASE, {"ttl_ms": 60_000, "requests": 10})
        for n in range(5):
            await peer.send(call(1 + 2 * n, "test.echo"))
        kinds = [(await peer.receive()).type for _ in range(6)]
        assert kinds.count(FrameType.LEASE) == 1
        assert kinds.count(FrameType.PAYLOAD) == 5
        clock.seconds += 30.1
        assert (await peer.receive()).type is FrameType.LEASE


@pytest.mark.asyncio
async def test_thousands_of_requests_in_one_piece_are_all_answered_in_order(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        assert (await peer.ask(1, "test.echo")).stream_id == 1
        await peer.send(*(call(3 + 2 * n, "test.echo") for n in range(3_000)))
        assert [(await peer.receive()).stream_id for _ in range(3_000)] == [3 + 2 * n for n in range(3_000)]


# --- watches ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_watch_sends_as_many_items_as_there_is_credit(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(watch(1, 3))
        assert [seq(await peer.receive()) for _ in range(3)] == [1, 2, 3]
        assert reply(await peer.ask(3, "test.echo")).at_ms == 0
        assert stage.handlers.sources[0].sent == 3
        await peer.send(request_n(1, 2))
        assert [seq(await peer.receive()) for _ in range(2)] == [4, 5]


@pytest.mark.asyncio
async def test_credit_that_comes_while_a_watch_starts_is_not_lost(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(watch(1, 1, "test.slowwatch"), request_n(1, 2))
        await stage.handlers.seen("slow watch")
        assert (await peer.ask(3, "test.echo")).stream_id == 3
        stage.handlers.opened("").set()
        assert [seq(await peer.receive()) for _ in range(3)] == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_watch_that_ends_completes_or_fails_on_its_stream(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(watch(1, 1), watch(3, 1))
        await stage.handlers.seen("watch", 2)
        assert {(await peer.receive()).stream_id for _ in range(2)} == {1, 3}
        first, second = stage.handlers.sources
        assert first.sink is not None
        first.sink.complete()
        found = await peer.receive()
        assert (found.stream_id, found.flags & COMPLETE, found.data) == (1, COMPLETE, b"")
        assert second.sink is not None
        second.sink.fail(unauthenticated("no more"))
        assert await peer.failure() == (Code.UNAUTHENTICATED, "UNAUTHENTICATED: no more")
        assert first.closed.is_set()
        assert second.closed.is_set()


@pytest.mark.asyncio
async def test_items_that_many_readers_get_are_right_for_each_of_them(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as one, stage.peer(transport) as other:
        stage.handlers.watch_last = 0
        await one.send(watch(1, 10), watch(3, 10))
        await other.send(watch(1, 10))
        await stage.handlers.seen("watch", 3)
        for source in stage.handlers.sources:
            await source.woken.wait()
        batch = Batch([item(1, "a"), item(2, "b")], 1, 2)
        for source in stage.handlers.sources:
            assert source.sink is not None
            source.sink.deliver(batch)
        found = [await one.receive() for _ in range(4)]
        assert sorted((each.stream_id, seq(each)) for each in found) == [(1, 1), (1, 2), (3, 1), (3, 2)]
        assert [seq(await other.receive()) for _ in range(2)] == [1, 2]
        assert len(batch.shared) == 2


# --- cancellation in every phase --------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_cancel_ends_a_call_that_waits(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", text_of("hall")))
        await stage.handlers.seen("wait")
        await peer.send(cancel(1))
        assert (await peer.ask(3, "test.echo")).stream_id == 3
        await stage.handlers.seen("wait cancelled")
        assert stage.metrics.outcomes("test.wait").failed["cancelled"] == 1


@pytest.mark.asyncio
async def test_request_and_cancel_in_one_piece_leave_nothing(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(
            call(1, "test.wait", text_of("hall")), cancel(1),
            watch(3, 1), cancel(3),
            watch(5, 1, "test.slowwatch"), cancel(5),
            channel(7, 1, 1), cancel(7),
            watch(9, 1, user="slow"), cancel(9),
        )  # fmt: skip
        frames = [await peer.ask(11, "test.echo")]
        while frames[-1].stream_id != 11:
            frames.append(await peer.receive())
        await stage.until(lambda: not stage.listener.service.tasks)
        (session,) = stage.listener.service.sessions
        assert session.desk is not None
        assert not session.desk.live
        assert not session.connection.streams
        assert all(source.closed.is_set() for source in stage.handlers.sources)


@pytest.mark.asyncio
async def test_cancel_while_a_watch_starts_closes_the_source_that_comes_too_late(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(watch(1, 1, "test.slowwatch"))
        await stage.handlers.seen("slow watch")
        await peer.send(cancel(1))
        await stage.handlers.sources[0].closed.wait()
        assert stage.handlers.noticed["slow watch cancelled"] == 1
        assert stage.handlers.sources[0].sent == 0


@pytest.mark.asyncio
async def test_cancel_of_a_running_watch_closes_its_source(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(watch(1, 2))
        assert [seq(await peer.receive()) for _ in range(2)] == [1, 2]
        await peer.send(cancel(1))
        await stage.handlers.sources[0].closed.wait()
        await peer.send(request_n(1, 5))
        assert (await peer.ask(3, "test.echo")).stream_id == 3


# --- channels ---------------------------------------------------------------------------------------------------


def command(ref: int, flags: int = NEXT) -> bytes:
    return payload(1, encoded(v1.ChannelCommand(ref=ref)), flags)


async def answers(peer: Any, count: int) -> list[int]:
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
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 10, 7))
        assert await answers(peer, 1) == [7]
        await peer.send(command(8), command(9))
        assert await answers(peer, 2) == [8, 9]


@pytest.mark.asyncio
async def test_a_channel_grants_what_its_conversation_has_room_for(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        stage.handlers.channel_room = 4
        await peer.send(channel(1, 0x7FFFFFFF, 1))
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
    async with staged() as stage, stage.peer(transport) as peer:
        stage.handlers.channel_room = 2
        await peer.send(channel(1, 1, 1))
        await answers(peer, 1)
        talk = stage.handlers.talks[0]
        talk.held = True
        await peer.send(command(2), command(3))
        await stage.handlers.seen("command", 3)
        (session,) = stage.listener.service.sessions
        assert session.connection.streams[1].granted == 0
        talk.held = False
        await peer.send(request_n(1, 10))
        assert await answers(peer, 2) == [2, 3]
        assert session.connection.streams[1].granted == 2


@pytest.mark.asyncio
async def test_the_end_of_commands_is_told_and_answers_go_on(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 1, 1))
        await answers(peer, 1)
        talk = stage.handlers.talks[0]
        await peer.send(command(2, NEXT | COMPLETE))
        await talk.completed.wait()
        assert talk.refs == [1, 2]
        await peer.send(request_n(1, 1))
        assert await answers(peer, 1) == [2]
        assert talk.sink is not None
        talk.sink.complete()
        assert (await peer.receive()).flags & COMPLETE
        await talk.closed.wait()


@pytest.mark.asyncio
async def test_a_channel_that_only_says_complete_is_told_too(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 1, 1), complete(1))
        await answers(peer, 1)
        await stage.handlers.talks[0].completed.wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("ending", [cancel(1), error(1, 0x201, "enough")])
async def test_cancel_and_error_of_the_requester_close_the_conversation(transport: str, ending: bytes) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 1, 1))
        await answers(peer, 1)
        await peer.send(ending)
        await stage.handlers.talks[0].closed.wait()


@pytest.mark.asyncio
async def test_a_command_that_cannot_be_read_or_fails_ends_the_channel(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 1, 404))
        found = await peer.receive()
        while found.type is FrameType.REQUEST_N:
            found = await peer.receive()
        assert (found.type, found.fields["code"]) == (FrameType.ERROR, Code.NOT_FOUND)
        assert stage.handlers.talks[0].closed.is_set()
        await peer.send(channel(3, 1, 1), payload(3, b"\xff\xff"))
        failed = False
        while not failed:
            found = await peer.receive()
            failed = found.type is FrameType.ERROR
        assert found.fields["code"] == Code.INVALID_ARGUMENT
        assert stage.handlers.talks[1].closed.is_set()


# --- credentials and encodings of one request -------------------------------------------------------------------


@pytest.mark.asyncio
async def test_credentials_of_a_request_hold_for_that_request(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        assert reply(await peer.ask(1, "test.whoami", user="grace")).cursor.epoch == "grace"
        assert reply(await peer.ask(3, "test.whoami")).cursor.epoch == "ada"
        await peer.send(call(5, "test.whoami", user="mallory"))
        assert (await peer.failure())[0] == Code.UNAUTHENTICATED
        stage.handlers.opened("hall").set()
        assert reply(await peer.ask(7, "test.wait", text_of("hall"), user="joan")).cursor.epoch == "joan"
        await peer.send(watch(9, 1, user="grace"))
        assert seq(await peer.receive()) == 1


@pytest.mark.asyncio
async def test_a_channel_that_is_looked_at_loses_no_command(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(channel(1, 10, 1, user="slow"))
        await stage.gate.asked.wait()
        # One credit goes out by itself, since a channel must be answered.
        found = await peer.receive()
        assert (found.type, found.fields["n"]) == (FrameType.REQUEST_N, 1)
        await peer.send(command(2, NEXT | COMPLETE))
        assert (await peer.ask(3, "test.echo")).stream_id == 3
        stage.gate.open.set()
        assert await answers(peer, 2) == [1, 2]
        await stage.handlers.talks[0].completed.wait()


@pytest.mark.asyncio
async def test_json_connections_are_answered_in_json(transport: str) -> None:
    async with staged() as stage, stage.peer(transport, setup_of("ada", data_mime="application/json")) as peer:
        found = await peer.ask(1, "test.echo", b'{"text": "hi"}')
        assert json.loads(found.data) == {"cursor": {"epoch": "hi"}, "atMs": "2"}
        await peer.send(watch(3, 1, message=b"{}"))
        assert json.loads((await peer.receive()).data) == {"cursor": {"seq": "1"}}


@pytest.mark.asyncio
async def test_a_request_may_come_and_be_answered_in_another_type_than_the_connections(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        asked = await peer.ask(
            1, "test.echo", b'{"text": "hi"}', mime="application/json", accept=("application/cbor", "application/json")
        )
        assert json.loads(asked.data)["cursor"] == {"epoch": "hi"}
        assert asked.metadata is not None
        (entry,) = metadata.read_composite(asked.metadata)
        assert (entry.mime, metadata.read_mime_type(entry.content)) == (metadata.MIME_TYPE, "application/json")
        # The first that was asked for: nothing needs to be said about it.
        plain = await peer.ask(3, "test.echo", text_of(text="hi"), accept=("application/json",))
        assert plain.metadata is None
        assert json.loads(plain.data)["cursor"] == {"epoch": "hi"}
        # Nothing accepted is named: the answer is in the request's type, so nothing needs to be said about it either.
        other = await peer.ask(5, "test.echo", b'{"text": "hi"}', mime="application/json")
        assert json.loads(other.data)["cursor"] == {"epoch": "hi"}
        assert other.metadata is None
        await peer.send(call(7, "test.echo", accept=("application/cbor",)))
        assert (await peer.failure())[0] == Code.INVALID_ARGUMENT
        await peer.send(call(9, "test.echo", mime="application/cbor"))
        assert (await peer.failure())[0] == Code.INVALID_ARGUMENT


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("mime", "route"),
    [
        (metadata.TEXT_PLAIN, b"test.echo"),
        (metadata.ROUTING, metadata.write_route("test.echo")),
    ],
)
async def test_routes_come_as_plain_text_and_as_bare_routing_too(transport: str, mime: str, route: bytes) -> None:
    async with staged() as stage, stage.peer(transport, setup(metadata_mime=mime)) as peer:
        await peer.send(frame(FrameType.REQUEST_RESPONSE, 1, metadata=route))
        assert reply(await peer.receive()).at_ms == 0


@pytest.mark.asyncio
async def test_what_carries_a_secret_is_not_remembered(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.ask(1, "test.whoami", user="grace")
        await peer.ask(3, "test.whoami")
        for routes in stage.listener.service._routes.values():
            assert all(b"grace" not in (key or b"") for key in routes.known)
            assert len(routes.known) == 1


# --- the end ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_lost_transport_ends_everything_that_was_going_on(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(
            call(1, "test.wait", text_of("hall")), watch(3, 1), watch(5, 1, "test.slowwatch"), channel(7, 1, 1)
        )
        await stage.handlers.seen("wait")
        await stage.handlers.seen("watch")
        await stage.handlers.seen("slow watch")
        ran: list[str] = []
        session = stage.gate.sessions[0]
        session.left += [lambda: ran.append("left"), lambda: 1 / 0, lambda: ran.append("left too")]  # type: ignore[list-item]
        peer.cut()
        assert await stage.gone() is session
        await stage.until(lambda: not stage.sessions and not stage.listener.service.tasks)
        assert ran == ["left", "left too"]
        assert stage.handlers.noticed["wait cancelled"] == 1
        assert stage.gate.gone == [session]


@pytest.mark.asyncio
async def test_closing_a_session_says_why(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.ask(1, "test.echo")
        stage.handlers.watch_last = 100
        await peer.send(watch(3, 0x7FFFFFFF))
        await peer.receive()
        stage.gate.sessions[0].close(resource_exhausted("enough for today"))
        assert await peer.refusal() == (CONNECTION_ERROR, "RESOURCE_EXHAUSTED: enough for today")
        assert len(stage.gate.gone) == 1


@pytest.mark.asyncio
async def test_a_token_that_runs_out_ends_the_connection(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage:
        stage.gate.expires_at_ms = clock.wall_ms() + 5_000
        async with stage.peer(transport, setup_of("brief")) as peer:
            await peer.ask(1, "test.echo")
            clock.seconds += 9  # within the skew
            assert (await peer.ask(3, "test.echo")).stream_id == 3
            clock.seconds += 1.1
            code, text = await peer.refusal()
            assert code == CONNECTION_ERROR
            assert text.startswith("UNAUTHENTICATED: your token ran out")
            if transport == "websocket":
                assert peer.socket.close_code == 4401


@pytest.mark.asyncio
async def test_a_refreshed_token_keeps_the_connection(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage:
        stage.gate.expires_at_ms = clock.wall_ms() + 5_000
        async with stage.peer(transport, setup_of("brief", keepalive_ms=600_000, lifetime_ms=600_000)) as peer:
            await peer.ask(1, "test.refresh", text_of(text=str(clock.wall_ms() + 50_000)))
            clock.seconds += 20
            assert (await peer.ask(3, "test.echo")).stream_id == 3
            clock.seconds += 36
            assert (await peer.refusal())[1].startswith("UNAUTHENTICATED")


@pytest.mark.asyncio
async def test_the_token_of_a_single_watch_ends_that_watch_alone(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage, stage.peer(transport) as peer:
        stage.gate.expires_at_ms = clock.wall_ms() + 5_000
        await peer.send(watch(1, 1, user="brief"))
        await peer.receive()
        clock.seconds += 10.1
        assert (await peer.failure())[0] == Code.UNAUTHENTICATED
        assert (await peer.ask(3, "test.echo")).stream_id == 3


@pytest.mark.asyncio
async def test_a_silent_peer_is_taken_for_dead(transport: str) -> None:
    clock = Clock()
    async with staged(clock=clock) as stage, stage.peer(transport, setup_of("ada", lifetime_ms=30_000)) as peer:
        await stage.gate.came.wait()
        clock.seconds += 30.1
        assert (await peer.refusal())[1].startswith("No keep-alive acks")
        await stage.gone()


@pytest.mark.asyncio
async def test_draining_answers_what_was_asked_and_ends_what_never_would(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", text_of("hall")), watch(3, 1), channel(5, 1, 1))
        await stage.handlers.seen("wait")
        await stage.handlers.seen("watch")
        await stage.handlers.seen("channel")
        draining = asyncio.create_task(stage.listener.drain(30))
        await stage.until(lambda: stage.listener.service.draining)
        await peer.send(call(7, "test.echo"))
        refused = answered = False
        ended = set()
        while not (refused and answered and ended == {3, 5}):
            found = await peer.receive()
            if found.type is FrameType.ERROR and found.stream_id == 7:
                assert found.fields["code"] == REJECTED
                refused = True
                stage.handlers.opened("hall").set()
            elif found.type is FrameType.ERROR:
                assert found.fields["code"] == Code.UNAVAILABLE
                ended.add(found.stream_id)
            elif found.stream_id == 1:
                answered = True
        assert await peer.refusal() == (
            CONNECTION_CLOSE,
            "UNAVAILABLE: the service is stopping; connect again in a moment",
        )
        if transport == "websocket":
            assert peer.socket.close_code == 1001
        await peer.close()
        assert await draining is True


@pytest.mark.asyncio
async def test_whoever_comes_while_draining_is_sent_away(transport: str) -> None:
    async with staged() as stage:
        assert await stage.listener.drain(30)
        async with stage.peer(transport) as peer:
            code, text = await peer.refusal()
            assert (code, text.partition(":")[0]) == (REJECTED_SETUP, "UNAVAILABLE")


@pytest.mark.asyncio
async def test_draining_gives_up_when_its_time_is_over(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", text_of("hall")))
        await stage.handlers.seen("wait")
        assert not await stage.listener.drain(0.01)
        closing = asyncio.create_task(stage.listener.close())
        assert (await peer.refusal())[0] == CONNECTION_CLOSE
        await peer.close()
        await closing
        assert stage.handlers.noticed["wait cancelled"] == 1


# --- a full socket ----------------------------------------------------------------------------------------------


async def fill(stage: Stage, peer: Any) -> Any:
    """Watch without limit and read nothing, until the service calls the socket full."""
    stop_reading(peer)
    await peer.send(watch(1, 0x7FFFFFFF, message=v1.WatchRequest(room="x" * 2_000)))
    await stage.until(lambda: stage.listener.service.sessions)
    session = next(iter(stage.listener.service.sessions))
    stage.bell.watch(session.connection)
    await stage.until(lambda: not session.connection.writable)
    return session


def stop_reading(peer: Any) -> None:
    (peer.socket.transport if hasattr(peer, "socket") else peer.writer.transport).pause_reading()


def read_again(peer: Any) -> None:
    (peer.socket.transport if hasattr(peer, "socket") else peer.writer.transport).resume_reading()


@pytest.mark.asyncio
async def test_a_reader_that_stops_reading_holds_a_bounded_amount_and_hinders_nobody(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as slow, stage.peer(transport) as quick:
        session = await fill(stage, slow)
        limits = stage.listener.settings
        held = session.connection.outbound_bytes + session.wire.buffered_bytes()
        assert (
            held <= limits.connections.write_buffer_bytes + limits.rsocket.outbound_bytes_pause + 64 * 2_100 + 262_144
        )
        assert (await quick.ask(1, "test.echo")).stream_id == 1
        await quick.send(watch(3, 500))
        assert [seq(await quick.receive()) for _ in range(500)] == list(range(1, 501))
        read_again(slow)
        assert [seq(await slow.receive()) for _ in range(3_000)] == list(range(1, 3_001))


@pytest.mark.asyncio
async def test_requests_of_a_reader_that_stops_reading_wait_and_are_answered_later(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await stage.gate.came.wait()
        (session,) = stage.listener.service.sessions
        stage.bell.watch(session)
        # The socket is called full by hand: how much a real one takes, and when, is the kernel's business.
        session.wire.pause_writing()
        await peer.send(*(call(3 + 2 * n, "test.echo") for n in range(100)))
        await stage.until(lambda: len(session.held) == 100)
        assert not stage.handlers.noticed["echo"]
        session.wire.resume_writing()
        answered = {(await peer.receive()).stream_id for _ in range(100)}
        assert answered == {3 + 2 * n for n in range(100)}
        assert stage.handlers.noticed["echo"] == 100


@pytest.mark.asyncio
async def test_a_socket_that_takes_nothing_is_closed_in_the_end(transport: str) -> None:
    clock = Clock()
    first = setup_of("ada", keepalive_ms=3_600_000, lifetime_ms=600_000)
    async with staged(clock=clock) as stage, stage.peer(transport, first) as peer:
        await fill(stage, peer)
        while stage.sessions:  # the kernel may still have taken something the first time
            clock.seconds += 60.1
            await stage.turn()
        await stage.gone()
        assert stage.metrics.ended["stalled"] == 1


@pytest.mark.asyncio
async def test_more_answers_than_a_connection_may_hold_end_it(transport: str) -> None:
    settings = replace(SETTINGS, rsocket=replace(SETTINGS.rsocket, outbound_bytes_max=1_000_000))
    async with staged(settings) as stage, stage.peer(transport) as peer:
        stop_reading(peer)
        for n in range(8):
            await peer.send(call(1 + 2 * n, "test.wait", text_of("hall")))
        await stage.handlers.seen("wait", 8)
        session = next(iter(stage.listener.service.sessions))
        # Answers cannot be held back: they are made when the handlers are done, whatever the socket says.
        stage.gate.sessions[0].identity = replace(stage.gate.sessions[0].identity, user="u" * 2_000_000)
        stage.handlers.opened("hall").set()
        await stage.gone()
        assert session.connection.closing
