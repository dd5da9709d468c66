"""Sessions under any order of events: frames, a socket that is full and empty again, time, the end.

Whatever happens, nothing raises, and at the end nothing is left: no work, no task, no open source.
"""

import asyncio
from typing import Any

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from rsocket_kit import cancel, complete, error, keepalive, payload, request_n
from tidings.contract import v1
from tidings.contract.errors import resource_exhausted
from tidings.log import LogLimits
from tidings.rsocket import FrameSplitter, Limits, decode
from tidings.rsocket.frames import NEXT
from tidings.transports.doorkeeper import Doorkeeper
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.settings import ConnectionLimits
from transports.fake_socket import Around, Transport, enveloped, turns
from transports.stage import Clock, Gate, Handlers, call, channel, encoded, forget, setup_of, watch

LIMITS = Limits(outbound_bytes_pause=2_000, outbound_bytes_max=100_000)
CONNECTIONS = ConnectionLimits(requests_in_flight_max=3, held_frames_max=30, deadline_tick_seconds=0.001)


def stage() -> tuple[RSocketService, Doorkeeper, Transport, Gate, Handlers, Clock]:
    around = Around(LIMITS, CONNECTIONS)
    transport = around.tcp()
    transport.high = 1_000
    return around.service, around.doorkeeper, transport, around.gate, around.handlers, around.clock


ids = st.sampled_from([1, 3, 5, 7])
frames = st.one_of(
    st.builds(lambda i: call(i, "test.echo", v1.SendRequest(text="e" * 300)), ids),
    st.builds(lambda i, room: call(i, "test.wait", v1.SendRequest(room=room)), ids, st.sampled_from("ab")),
    st.builds(lambda i: call(i, "test.crash"), ids),
    st.builds(lambda i: call(i, "test.echo", b"\xff"), ids),
    st.builds(lambda i: call(i, "no.such"), ids),
    st.builds(
        lambda i, user: call(i, "test.wait", v1.SendRequest(room="a"), user=user),
        ids,
        st.sampled_from(["slow", "brief"]),
    ),
    st.builds(lambda i, room: forget(i, "test.wait", v1.SendRequest(room=room)), ids, st.sampled_from("ab")),
    st.builds(lambda i, n: watch(i, n), ids, st.sampled_from([1, 5, 0x7FFFFFFF])),
    st.builds(lambda i, n: watch(i, n, "test.slowwatch", v1.WatchRequest(room="b")), ids, st.sampled_from([1, 5])),
    st.builds(lambda i, user: watch(i, 3, user=user), ids, st.sampled_from(["slow", "brief", "mallory"])),
    st.builds(lambda i, n, ref: channel(i, n, ref), ids, st.sampled_from([1, 50]), st.sampled_from([1, 404])),
    st.builds(lambda i, user: channel(i, 5, 1, user=user), ids, st.sampled_from(["slow", "brief"])),
    st.builds(lambda i, ref: payload(i, encoded(v1.ChannelCommand(ref=ref)), NEXT), ids, st.sampled_from([2, 404])),
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
    "a request without answer failed",
    "connection closed",
    "connection ended",
    "connection refused",
    "connection stalled",
}


@pytest.mark.asyncio
async def test_what_was_read_while_the_socket_was_full_is_served_as_it_empties() -> None:
    service, _, transport, _, handlers, _ = stage()
    protocol = transport.protocol
    protocol.data_received(enveloped(setup_of("ada")))
    await turns(5)
    echoes = [call(1 + 2 * n, "test.echo", v1.SendRequest(text="e" * 700)) for n in range(40)]
    protocol.data_received(b"".join(map(enveloped, echoes)))
    assert transport.full
    assert not transport.reading
    rounds = 0
    while transport.full:
        served = handlers.noticed["echo"]
        assert served - rounds * 3 <= 6, "no more is answered than the socket has room for"
        transport.drained()
        await turns(2)
        rounds += 1
    assert transport.reading
    answers = [decode(each) for each in FrameSplitter().feed(bytes(transport.written))]
    assert [each.stream_id for each in answers] == [1 + 2 * n for n in range(40)]
    transport.abort()
    await turns(5)
    assert not service.sessions


@pytest.mark.asyncio
async def test_keepalives_and_cancellations_pass_what_waits_for_a_full_socket() -> None:
    service, _, transport, _, handlers, _ = stage()
    protocol = transport.protocol
    protocol.data_received(enveloped(setup_of("ada")) + enveloped(watch(1, 2)))
    await turns(5)
    protocol.data_received(enveloped(call(3, "test.echo", v1.SendRequest(text="e" * 3_000))))
    assert transport.full
    assert transport.reading
    written = len(transport.written)
    asked = (call(5, "test.echo"), cancel(5), call(7, "test.echo"), keepalive(b"there?"), cancel(1))
    for each in asked:
        protocol.data_received(enveloped(each))
    await turns(2)
    assert handlers.sources[0].closed.is_set()
    assert handlers.noticed["echo"] == 1, "requests wait"
    assert len(transport.written) == written
    transport.drained()
    await turns(2)
    answers = [decode(each) for each in FrameSplitter().feed(bytes(transport.written[written:]))]
    assert [(each.stream_id, each.data) for each in answers[:1]] == [(0, b"there?")]
    assert [each.stream_id for each in answers[1:]] == [5, 7], "a CANCEL does not pass its own request"
    transport.abort()
    await turns(5)
    assert not service.sessions


@pytest.mark.asyncio
async def test_a_flood_of_what_fails_and_wants_no_answer_is_counted_and_written_down_in_part() -> None:
    service, _, transport, _, _, _ = stage()
    transport.protocol.data_received(enveloped(setup_of("ada")))
    await turns(5)
    with structlog.testing.capture_logs() as lines:
        transport.protocol.data_received(b"".join(enveloped(forget(1 + 2 * n, "test.absent")) for n in range(100)))
    assert len(lines) == LogLimits().lines_per_minute_max
    assert service.metrics.outcomes("test.absent").failed["NOT_FOUND"] == 100
    transport.abort()
    await turns(5)


async def play(script: list[tuple[str, Any]]) -> None:
    service, doorkeeper, transport, gate, handlers, clock = stage()
    protocol = transport.protocol
    session = protocol.session
    handlers.watch_last = 40
    gate.expires_at_ms = clock.wall_ms() + 3_000
    inbox: list[bytes] = [setup_of("ada", lifetime_ms=120_000)]
    for what, value in script:
        if what == "frames":
            inbox += value
        elif what == "turn":
            await turns(value)
        elif what == "drained":
            transport.drained()
        elif what == "time":
            clock.seconds += value
            session.due(clock.seconds)
        elif what == "open":
            handlers.opened(value).set()
        elif what == "gate":
            gate.open.set()
        elif what == "drain":
            service.draining = True
            session.drain()
        elif gate.sessions:
            gate.sessions[0].close(resource_exhausted("out"))
        # Bytes arrive as long as the service reads; a byte that has arrived cannot be taken back.
        while inbox and transport.reading and not transport.over:
            each = inbox.pop(0)
            protocol.data_received(enveloped(each) if len(each) >= 6 else each)
        connection = session.connection
        assert connection.outbound_bytes <= LIMITS.outbound_bytes_max
        if not connection.closing and session.desk is not None:
            assert session.desk.live.keys() <= set(connection.streams.values())
        await asyncio.sleep(0)
    transport.abort()
    gate.open.set()
    for room in "ab":
        handlers.opened(room).set()
    await turns(50)
    assert not service.sessions
    assert not service.tasks
    assert doorkeeper.present == 0
    assert len(gate.gone) == len(gate.sessions)
    assert all(source.closed.is_set() for source in handlers.sources)
    assert all(talk.closed.is_set() for talk in handlers.talks)


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
