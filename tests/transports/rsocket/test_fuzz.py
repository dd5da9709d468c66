"""Sessions under any order of events: frames, a socket that is full and empty again, time, the end.

Whatever happens, nothing raises, and at the end nothing is left: no work, no task, no open source.
"""

import asyncio
from typing import Any

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from kits.transport.fake_transport import FakeTransport, InProcessServer, length_prefixed, run_loop
from kits.transport.harness import (
    FakeAuthenticator,
    FakeClock,
    Handlers,
    call_frame,
    channel_frame,
    encode_message,
    fire_and_forget_frame,
    setup_frame,
    watch_frame,
)
from rsocket_harness import cancel, complete, error, keepalive, payload, request_n
from tidings.contract import v1
from tidings.contract.errors import resource_exhausted
from tidings.log import LogLimits
from tidings.protocols.rsocket import LengthFieldDecoder, Limits, decode
from tidings.protocols.rsocket.frames import NEXT
from tidings.server.connection_limiter import ConnectionLimiter
from tidings.server.settings import ConnectionLimits
from tidings.transports.rsocket.server import RSocketServer

LIMITS = Limits(outbound_bytes_pause=2_000, outbound_bytes_max=100_000)
CONNECTIONS = ConnectionLimits(requests_in_flight_max=3, deferred_frames_max=30, timer_tick_seconds=0.001)


def start_connection() -> tuple[
    RSocketServer, ConnectionLimiter, FakeTransport, FakeAuthenticator, Handlers, FakeClock
]:
    server = InProcessServer(LIMITS, CONNECTIONS)
    transport = server.tcp()
    transport.high = 1_000
    return (
        server.rsocket_server,
        server.connection_limiter,
        transport,
        server.authenticator,
        server.handlers,
        server.clock,
    )


ids = st.sampled_from([1, 3, 5, 7])
frames = st.one_of(
    st.builds(lambda i: call_frame(i, "test.echo", v1.SendRequest(text="e" * 300)), ids),
    st.builds(lambda i, room: call_frame(i, "test.wait", v1.SendRequest(room=room)), ids, st.sampled_from("ab")),
    st.builds(lambda i: call_frame(i, "test.crash"), ids),
    st.builds(lambda i: call_frame(i, "test.echo", b"\xff"), ids),
    st.builds(lambda i: call_frame(i, "no.such"), ids),
    st.builds(
        lambda i, user: call_frame(i, "test.wait", v1.SendRequest(room="a"), user=user),
        ids,
        st.sampled_from(["slow", "brief"]),
    ),
    st.builds(
        lambda i, room: fire_and_forget_frame(i, "test.wait", v1.SendRequest(room=room)), ids, st.sampled_from("ab")
    ),
    st.builds(lambda i, n: watch_frame(i, n), ids, st.sampled_from([1, 5, 0x7FFFFFFF])),
    st.builds(
        lambda i, n: watch_frame(i, n, "test.slowwatch", v1.WatchRequest(room="b")), ids, st.sampled_from([1, 5])
    ),
    st.builds(lambda i, user: watch_frame(i, 3, user=user), ids, st.sampled_from(["slow", "brief", "mallory"])),
    st.builds(lambda i, n, ref: channel_frame(i, n, ref), ids, st.sampled_from([1, 50]), st.sampled_from([1, 404])),
    st.builds(lambda i, user: channel_frame(i, 5, 1, user=user), ids, st.sampled_from(["slow", "brief"])),
    st.builds(
        lambda i, ref: payload(i, encode_message(v1.ChannelCommand(ref=ref)), NEXT), ids, st.sampled_from([2, 404])
    ),
    st.builds(request_n, ids, st.sampled_from([1, 1_000])),
    st.builds(cancel, ids),
    st.builds(complete, ids),
    st.builds(lambda i: error(i, 0x201, "no"), ids),
    st.builds(keepalive),
    st.binary(max_size=12),
)
steps = st.one_of(
    st.tuples(st.just("frames"), st.lists(frames, min_size=1, max_size=5)),
    st.tuples(st.just("turn"), st.integers(1, 4)),
    st.tuples(st.just("drained"), st.none()),
    st.tuples(st.just("time"), st.sampled_from([0.2, 4.0, 30.0, 61.0])),
    st.tuples(st.just("open"), st.sampled_from("ab")),
    st.tuples(st.just("gate"), st.none()),
    st.tuples(st.just("drain"), st.none()),
    st.tuples(st.just("kick"), st.none()),
)


# What the log may say; not among it is that a deadline, a flush or a clean-up failed.
EXPECTED = {
    "a request failed",
    "a fire-and-forget request failed",
    "connection closed",
    "connection terminated",
    "connection refused",
    "connection stalled",
}


@pytest.mark.asyncio
async def test_what_was_read_while_the_socket_was_full_is_served_as_it_empties() -> None:
    service, _, transport, _, handlers, _ = start_connection()
    protocol = transport.protocol
    protocol.data_received(length_prefixed(setup_frame("ada")))
    await run_loop(5)
    echoes = [call_frame(1 + 2 * n, "test.echo", v1.SendRequest(text="e" * 700)) for n in range(40)]
    protocol.data_received(b"".join(map(length_prefixed, echoes)))
    assert transport.is_full
    assert not transport.reading_enabled
    rounds = 0
    while transport.is_full:
        served = handlers.calls["echo"]
        assert served - rounds * 3 <= 6, "no more is answered than the socket has room for"
        transport.drain()
        await run_loop(2)
        rounds += 1
    assert transport.reading_enabled
    answers = [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written))]
    assert [each.stream_id for each in answers] == [1 + 2 * n for n in range(40)]
    transport.abort()
    await run_loop(5)
    assert not service.dispatcher.peers


@pytest.mark.asyncio
async def test_keepalives_and_cancellations_pass_what_waits_for_a_full_socket() -> None:
    service, _, transport, _, handlers, _ = start_connection()
    protocol = transport.protocol
    protocol.data_received(length_prefixed(setup_frame("ada")) + length_prefixed(watch_frame(1, 2)))
    await run_loop(5)
    protocol.data_received(length_prefixed(call_frame(3, "test.echo", v1.SendRequest(text="e" * 3_000))))
    assert transport.is_full
    assert transport.reading_enabled
    written = len(transport.written)
    asked = (call_frame(5, "test.echo"), cancel(5), call_frame(7, "test.echo"), keepalive(b"there?"), cancel(1))
    for each in asked:
        protocol.data_received(length_prefixed(each))
    await run_loop(2)
    assert handlers.subscriptions[0].closed.is_set()
    assert handlers.calls["echo"] == 1, "requests wait"
    assert len(transport.written) == written
    transport.drain()
    await run_loop(2)
    answers = [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written[written:]))]
    assert [(each.stream_id, each.data) for each in answers[:1]] == [(0, b"there?")]
    assert [each.stream_id for each in answers[1:]] == [5, 7], "a CANCEL does not pass its own request"
    transport.abort()
    await run_loop(5)
    assert not service.dispatcher.peers


@pytest.mark.asyncio
async def test_a_flood_of_what_fails_and_wants_no_answer_is_counted_and_written_down_in_part() -> None:
    service, _, transport, _, _, _ = start_connection()
    transport.protocol.data_received(length_prefixed(setup_frame("ada")))
    await run_loop(5)
    with structlog.testing.capture_logs() as lines:
        transport.protocol.data_received(
            b"".join(length_prefixed(fire_and_forget_frame(1 + 2 * n, "test.absent")) for n in range(100))
        )
    assert len(lines) == LogLimits().lines_per_minute_max
    assert service.metrics.route_counters("test.absent").errors["NOT_FOUND"] == 100
    transport.abort()
    await run_loop(5)


async def play(script: list[tuple[str, Any]]) -> None:
    service, limiter, transport, authenticator, handlers, clock = start_connection()
    protocol = transport.protocol
    session = protocol.connection
    handlers.watch_last = 40
    authenticator.expires_at_ms = clock.now_ms() + 3_000
    inbox: list[bytes] = [setup_frame("ada", lifetime_ms=120_000)]
    for what, value in script:
        if what == "frames":
            inbox += value
        elif what == "turn":
            await run_loop(value)
        elif what == "drained":
            transport.drain()
        elif what == "time":
            clock.seconds += value
            session.on_timeout(clock.seconds)
        elif what == "open":
            handlers.release_event(value).set()
        elif what == "gate":
            authenticator.unblock.set()
        elif what == "drain":
            service.dispatcher.is_draining = True
            session.drain()
        elif authenticator.sessions:
            authenticator.sessions[0].close(resource_exhausted("out"))
        # Bytes arrive as long as the service reads; a byte that has arrived cannot be taken back.
        while inbox and transport.reading_enabled and not transport.is_closed:
            each = inbox.pop(0)
            protocol.data_received(length_prefixed(each) if len(each) >= 6 else each)
        connection = session.engine
        assert connection.outbound_bytes <= LIMITS.outbound_bytes_max
        if not connection.closing and session.client_session is not None:
            assert session.client_session.active.keys() <= {each.context for each in connection.streams.values()}
        await asyncio.sleep(0)
    transport.abort()
    authenticator.unblock.set()
    for room in "ab":
        handlers.release_event(room).set()
    await run_loop(50)
    assert not service.dispatcher.peers
    assert not service.dispatcher.tasks
    assert limiter.connection_count == 0
    assert len(authenticator.closed_sessions) == len(authenticator.sessions)
    assert all(source.closed.is_set() for source in handlers.subscriptions)
    assert all(channel_handler.closed.is_set() for channel_handler in handlers.channel_handlers)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25))
def test_any_order_of_events_leaves_nothing_behind(script: list[tuple[str, Any]]) -> None:
    async def guarded() -> None:
        failed: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failed.append(context))
        await play(script)
        assert not failed

    with structlog.testing.capture_logs() as logged:
        asyncio.run(guarded())
    assert {each["event"] for each in logged} <= EXPECTED
