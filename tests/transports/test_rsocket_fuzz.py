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
from tidings.metrics import Metrics
from tidings.rsocket import FrameSplitter, Limits, decode, tcp_envelope
from tidings.rsocket.frames import NEXT
from tidings.transports.doorkeeper import Doorkeeper
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_session import FRAMES_A_TURN
from tidings.transports.rsocket_tcp import RSocketTcp
from tidings.transports.settings import ConnectionLimits
from transports.stage import Clock, Gate, Handlers, call, channel, encoded, forget, rows, setup_of, watch

LIMITS = Limits(outbound_bytes_pause=2_000, outbound_bytes_max=100_000)
CONNECTIONS = ConnectionLimits(requests_in_flight_max=3, held_frames_max=30, deadline_tick_seconds=0.001)


class Transport(asyncio.Transport):
    """A socket whose peer reads when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.buffered = 0
        self.high = 1_000
        self.full = False
        self.reading = True
        self.over = False
        self.written = bytearray()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def write(self, data: Any) -> None:
        if self.over:
            return
        self.buffered += len(data)
        self.written += data
        if self.buffered > self.high and not self.full:
            self.full = True
            self.protocol.pause_writing()

    def drained(self) -> None:
        self.buffered = 0
        if self.full and not self.over:
            self.full = False
            self.protocol.resume_writing()

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.over

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.over:
            self.over = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


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


def stage() -> tuple[RSocketService, Doorkeeper, Transport, Gate, Handlers, Clock]:
    clock, gate, handlers, metrics = Clock(), Gate(), Handlers(), Metrics()
    service = RSocketService(
        rows(handlers), gate, metrics, LIMITS, CONNECTIONS, clock=clock.monotonic, wall_ms=clock.wall_ms
    )
    doorkeeper = Doorkeeper(CONNECTIONS, metrics)
    visit = doorkeeper.enter(("192.0.2.1", 1))
    assert visit is not None
    transport = Transport()
    transport.protocol = RSocketTcp(service, visit)
    transport.protocol.connection_made(transport)
    return service, doorkeeper, transport, gate, handlers, clock


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
    assert handlers.sources[0].closed.is_set()
    assert handlers.noticed["echo"] == 1, "requests wait"
    assert len(transport.written) == written
    transport.drained()
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
    assert len(lines) == CONNECTIONS.forgotten_lines_per_second_max
    assert service.metrics.outcomes("test.absent").failed["NOT_FOUND"] == 100
    transport.abort()
    await turns(5)


async def turns(count: int) -> None:
    """Let the loop go round so often; there is no socket to wait for."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_one_connection_does_not_keep_the_loop_from_the_others() -> None:
    service, _, transport, _, handlers, _ = stage()
    protocol = transport.protocol
    protocol.data_received(enveloped(setup_of("ada")))
    await turns(5)
    transport.high = 1 << 30
    protocol.data_received(b"".join(enveloped(call(1 + 2 * n, "test.echo")) for n in range(3 * FRAMES_A_TURN)))
    assert handlers.noticed["echo"] == FRAMES_A_TURN
    assert not transport.reading
    protocol.data_received(enveloped(call(9_001, "test.echo")))
    await turns(1)
    assert handlers.noticed["echo"] == 2 * FRAMES_A_TURN
    await turns(5)
    answers = [decode(each).stream_id for each in FrameSplitter().feed(bytes(transport.written))]
    assert answers == [*(1 + 2 * n for n in range(3 * FRAMES_A_TURN)), 9_001]
    assert transport.reading
    transport.abort()
    await turns(5)
    assert not service.sessions


def enveloped(frame: bytes) -> bytes:
    return tcp_envelope(len(frame)) + frame


async def play(script: list[tuple[str, Any]]) -> None:
    service, doorkeeper, transport, gate, handlers, clock = stage()
    protocol = transport.protocol
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
            protocol.session.due(clock.seconds)
        elif what == "open":
            handlers.opened(value).set()
        elif what == "gate":
            gate.open.set()
        elif what == "drain":
            service.draining = True
            protocol.session.drain()
        elif gate.sessions:
            gate.sessions[0].close(resource_exhausted("out"))
        # Bytes arrive as long as the service reads; a byte that has arrived cannot be taken back.
        while inbox and transport.reading and not transport.over:
            each = inbox.pop(0)
            protocol.data_received(enveloped(each) if len(each) >= 6 else each)
        connection = protocol.session.connection
        assert connection.outbound_bytes <= LIMITS.outbound_bytes_max
        if not connection.closing and protocol.session.desk is not None:
            assert protocol.session.desk.live.keys() <= set(connection.streams.values())
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
