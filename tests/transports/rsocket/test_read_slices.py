"""How much of what one peer sends is read before the others are looked at, and what is refused while it arrives."""

from typing import Any

import pytest

from kits.transport.fake_transport import FakeTransport, InProcessServer, length_prefixed, run_loop
from kits.transport.harness import (
    FakeClock,
    Handlers,
    call_frame,
    encode_message,
    request_metadata,
    setup_frame,
    watch_frame,
)
from rsocket_harness import cancel, request_response, setup
from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.contract.errors import Code, resource_exhausted
from tidings.dispatch.read_scheduler import (
    AUTHENTICATION_COST_SECONDS,
    CONNECTION_COST_SECONDS,
    TASK_COST_SECONDS,
    WATCH_COST_SECONDS,
)
from tidings.protocols.rsocket import FrameType, LengthFieldDecoder, decode, metadata, tcp_length_prefix
from tidings.protocols.rsocket.frames import FOLLOWS
from tidings.protocols.rsocket.reassembly import PARTIAL_PAYLOAD_BYTES
from tidings.server.settings import ConnectionLimits
from tidings.transports.rsocket.tcp import RSocketTcpProtocol
from transports.websocket.test_frames import BINARY, CONTINUATION, PING, PONG, client_frame

SLICE_MS = ConnectionLimits().read_slice_ms
SLOW_MS = 0.6
LONG_REQUEST = v1.SendRequest(text="e" * 700)  # two in a chunk


class SlowHandlers(Handlers):
    """An echo takes `SLOW_MS` of the loop."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def echo(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        self.clock.seconds += SLOW_MS / 1000
        return super().echo(request, context)

    @property
    def echo_count(self) -> int:
        return self.calls["echo"]


def slow_server(connections: ConnectionLimits = ConnectionLimits()) -> tuple[InProcessServer, SlowHandlers]:
    clock = FakeClock()
    handlers = SlowHandlers(clock)
    return InProcessServer(connections=connections, handlers=handlers, clock=clock), handlers


async def open_connection(server: InProcessServer, user: str = "ada") -> FakeTransport:
    transport = server.tcp()
    transport.protocol.data_received(length_prefixed(setup_frame(user)))
    await run_loop(5)
    return transport


def echoes(first: int, count: int) -> bytes:
    return b"".join(length_prefixed(call_frame(first + 2 * n, "test.echo", LONG_REQUEST)) for n in range(count))


def answers(transport: FakeTransport) -> list[Any]:
    return [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written))]


async def close_all(server: InProcessServer, *transports: FakeTransport) -> None:
    for transport in transports:
        transport.abort()
    await run_loop(10)
    assert not server.dispatcher.peers


# --- turns ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_turn_ends_by_time_and_the_rest_is_served_in_the_next_rounds_in_order() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(echoes(1, 10))
    assert handlers.echo_count == 4, "two chunks of 1.2 ms"
    assert not ada.reading_enabled
    served = []
    while not ada.reading_enabled:
        await run_loop(1)
        served.append(handlers.echo_count)
    assert handlers.echo_count == 10
    assert len(served) >= 2
    assert [each.stream_id for each in answers(ada)] == [1 + 2 * n for n in range(10)]
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_a_turn_spans_all_reads_of_one_round() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    for n in range(4):
        assert ada.reading_enabled
        ada.protocol.data_received(echoes(1 + 2 * n, 1))
    assert handlers.echo_count == 4
    assert not ada.reading_enabled, "the socket is not read again before the loop has looked at the others"
    ada.protocol.data_received(echoes(101, 1))
    assert handlers.echo_count == 4, "what had been read already waits"
    await run_loop(3)
    assert handlers.echo_count == 5
    assert ada.reading_enabled
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_connections_of_one_user_share_a_turn_and_another_user_is_served_at_once() -> None:
    server, handlers = slow_server()
    first, second, bob = (
        await open_connection(server),
        await open_connection(server),
        await open_connection(server, "bob"),
    )
    first.protocol.data_received(echoes(1, 10))
    begun = handlers.echo_count
    second.protocol.data_received(echoes(1, 1))
    assert handlers.echo_count == begun
    bob.protocol.data_received(echoes(1, 1))
    assert handlers.echo_count == begun + 1
    assert [each.stream_id for each in answers(bob)] == [1]
    while not (first.reading_enabled and second.reading_enabled):
        await run_loop(1)
    assert handlers.echo_count == 12
    await close_all(server, first, second, bob)


@pytest.mark.asyncio
async def test_frames_that_become_nothing_end_a_turn_as_well() -> None:
    server, _ = slow_server()
    stranger = server.websocket()
    ticks = 0

    def clock() -> float:
        nonlocal ticks
        ticks += 1
        return 1_000.0 + ticks * 0.0005  # every look at the clock finds half a millisecond gone

    server.rsocket_server.clock = clock
    ada_frames = client_frame(BINARY, setup_frame("ada")) + client_frame(BINARY, b"x" * 60) * 2_000
    stranger.protocol.data_received(ada_frames)
    assert not stranger.reading_enabled
    assert ticks < 10
    await close_all(server, stranger)


@pytest.mark.asyncio
async def test_a_peer_whose_bytes_wait_is_not_taken_for_dead() -> None:
    server, _ = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(echoes(1, 10))
    assert ada.protocol.is_waiting
    session = ada.protocol.connection
    server.clock.seconds += session.engine.keepalives.lifetime_seconds + 1
    session.on_timeout(server.clock.seconds)
    assert not session.engine.closing
    while ada.protocol.is_waiting:
        await run_loop(1)
    server.clock.seconds += session.engine.keepalives.lifetime_seconds + 1
    session.on_timeout(server.clock.seconds)
    assert session.engine.closing
    await close_all(server, ada)


# --- charges ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_is_done_later_is_charged_before_the_payload_is_decoded() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    budget = ada.protocol.budget
    assert (budget.kind, budget.name) == ("user", "ada")
    budget.used_seconds = 0.0
    ada.protocol.data_received(length_prefixed(call_frame(1, "test.wait", b"\xff")))
    assert budget.used_seconds == pytest.approx(TASK_COST_SECONDS)
    assert handlers.calls["wait"] == 0, "the payload is no message"
    ada.protocol.data_received(length_prefixed(watch_frame(3, 1)))
    assert budget.used_seconds == pytest.approx(TASK_COST_SECONDS + WATCH_COST_SECONDS)
    await run_loop(3)  # until it is open
    budget.used_seconds = 0.0
    ada.protocol.data_received(length_prefixed(call_frame(5, "test.whoami", user="bob")))
    assert budget.used_seconds == pytest.approx(AUTHENTICATION_COST_SECONDS), (
        "charged to the connection's user, not to who is claimed"
    )
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_connections_and_sign_ins_are_charged_to_the_address() -> None:
    server, _ = slow_server()
    transport = server.tcp()
    budget = transport.protocol.budget
    assert (budget.kind, budget.name) == ("address", "192.0.2.1")
    transport.protocol.data_received(length_prefixed(setup_frame("slow")))
    assert budget.used_seconds == pytest.approx(CONNECTION_COST_SECONDS + AUTHENTICATION_COST_SECONDS)
    await close_all(server, transport)


@pytest.mark.asyncio
async def test_watches_that_are_opened_end_a_turn_by_what_they_will_cost() -> None:
    server, _ = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(b"".join(length_prefixed(watch_frame(1 + 2 * n, 1)) for n in range(500)))
    assert not ada.reading_enabled
    assert len(ada.protocol.connection.engine.streams) <= SLICE_MS / 1000 / WATCH_COST_SECONDS + 30
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_nothing_of_an_overdrawn_user_is_decoded_and_another_user_is_served() -> None:
    server, handlers = slow_server(ConnectionLimits(user_cpu_ms_per_second_max=100.0, cpu_burst_ms_max=5.0))
    later: list[Any] = []
    server.rsocket_server.read_scheduler._call_later = lambda *what: later.append(what)  # time stands still
    ada, bob = await open_connection(server), await open_connection(server, "bob")
    ada.protocol.data_received(echoes(1, 40))
    await run_loop(20)
    spent = handlers.echo_count
    assert ada.protocol.budget.is_overdrawn
    assert 8 <= spent < 40
    ada.protocol.data_received(echoes(101, 1))
    await run_loop(20)
    assert handlers.echo_count == spent
    bob.protocol.data_received(echoes(1, 1))
    assert handlers.echo_count == spent + 1
    server.clock.seconds += 10.0
    ((_, recover, budget),) = later
    recover(budget)
    await run_loop(3)
    assert handlers.echo_count > spent + 1
    await close_all(server, ada, bob)


@pytest.mark.asyncio
async def test_a_watch_that_is_cancelled_before_its_turn_is_never_begun() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(length_prefixed(watch_frame(1, 1)) + length_prefixed(cancel(1)))
    await run_loop(5)
    assert not handlers.subscriptions
    assert server.rsocket_server.read_scheduler._budgets["user", "ada"].deferred_steps is None
    await close_all(server, ada)


# --- floods -----------------------------------------------------------------------------------------------------


def closing_code(transport: FakeTransport) -> tuple[int, bytes]:
    """Code and reason of the CLOSE that was sent last."""
    at = transport.written.rfind(b"\x88")
    size = transport.written[at + 1]
    body = bytes(transport.written[at + 2 : at + 2 + size])
    return int.from_bytes(body[:2], "big"), body[2:]


@pytest.mark.asyncio
@pytest.mark.parametrize("known", [False, True], ids=["before SETUP", "after SETUP"])
@pytest.mark.parametrize(
    "flood",
    [
        client_frame(PONG) * 101,
        client_frame(PING, b"?") * 101,
        client_frame(BINARY, b"\0", final=False) + client_frame(CONTINUATION, final=False) * 101,
    ],
    ids=["pongs", "pings", "empty pieces"],
)
async def test_control_frames_beyond_their_rate_close_with_1008(flood: bytes, known: bool) -> None:
    server, _ = slow_server()
    transport = server.websocket()
    if known:
        transport.protocol.data_received(client_frame(BINARY, setup_frame("ada")))
        await run_loop(5)
    transport.protocol.data_received(flood)
    await run_loop(5)
    code, reason = closing_code(transport)
    assert code == 1008
    assert b"control_frames_per_second_max" in reason
    assert server.metrics.connections_refused["control_frames_per_second_max"] == 1
    await close_all(server, transport)


@pytest.mark.asyncio
async def test_control_frames_within_their_rate_are_taken_second_after_second() -> None:
    server, _ = slow_server()
    transport = server.websocket()
    for _ in range(3):
        transport.protocol.data_received(client_frame(PING, b"?") * 100)
        server.clock.seconds += 1.0
    await run_loop(5)
    assert not transport.is_closed
    assert not transport.protocol.connection.engine.closing
    await close_all(server, transport)


@pytest.mark.asyncio
async def test_a_peer_that_goes_on_sending_after_the_end_is_cut_off() -> None:
    server, _ = slow_server(ConnectionLimits(discarded_bytes_max=10_000))
    transport = server.websocket()
    transport.supports_eof = True
    transport.protocol.data_received(client_frame(PONG) * 101)
    await run_loop(5)
    assert transport.protocol.connection.engine.closing
    transport.protocol.data_received(client_frame(PONG) * 700)
    assert not transport.reading_enabled, "what is dropped is read in turns as well"
    await run_loop(2)
    assert transport.reading_enabled
    assert not transport.is_closed
    for _ in range(2):
        transport.protocol.data_received(client_frame(PONG) * 700)
        await run_loop(2)
    assert transport.is_closed
    await run_loop(5)
    assert not server.dispatcher.peers


# --- metadata ---------------------------------------------------------------------------------------------------

MANY = metadata.write_composite([("application/x-unknown", b"")] * 64)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refused",
    [
        request_metadata("test.whoami") + MANY,
        metadata.write_composite([(metadata.ROUTING, b"\x0btest.whoami" + b"\0" * 64)]),
        request_metadata("test.whoami") + metadata.write_composite([(metadata.ACCEPT_MIME_TYPES, b"\x85" * 65)]),
    ],
    ids=["entries", "routing tags", "accepted types"],
)
async def test_metadata_with_too_many_entries_are_refused(refused: bytes) -> None:
    server, _ = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(length_prefixed(request_response(1, b"", refused)))
    (answer,) = answers(ada)
    assert answer.fields["code"] == Code.INVALID_ARGUMENT
    assert b"more than 64" in answer.data
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_setup_metadata_with_too_many_entries_are_refused() -> None:
    server, _ = slow_server()
    transport = server.tcp()
    transport.protocol.data_received(length_prefixed(setup(metadata=request_metadata(user="ada") + MANY)))
    await run_loop(5)
    (answer,) = answers(transport)
    assert answer.type is FrameType.ERROR
    assert b"more than 64 entries" in answer.data
    await close_all(server, transport)


# --- what is refused while it arrives -----------------------------------------------------------------------------

SMALL = ConnectionLimits(request_bytes_max=10_000, metadata_bytes_max=1_000)


@pytest.mark.asyncio
async def test_a_frame_beyond_the_largest_request_is_refused_at_its_header() -> None:
    server, _ = slow_server(SMALL)
    ada = await open_connection(server)
    ada.protocol.data_received(tcp_length_prefix(11_014))
    await run_loop(5)
    assert b"request_bytes_max" in answers(ada)[-1].data
    web = server.websocket()
    web.protocol.data_received(client_frame(BINARY, setup_frame("ada")))
    await run_loop(5)
    web.protocol.data_received(client_frame(BINARY, bytes(11_014))[:20])
    await run_loop(5)
    assert closing_code(web)[0] == 1009
    await close_all(server, ada, web)


@pytest.mark.asyncio
async def test_a_payload_in_pieces_beyond_the_largest_request_ends_its_stream_alone() -> None:
    server, handlers = slow_server(SMALL)
    ada = await open_connection(server)
    piece = request_response(1, bytes(6_000), flags=0x80)
    ada.protocol.data_received(length_prefixed(piece))
    more = (1).to_bytes(4, "big") + (0x0A << 10 | 0xA0).to_bytes(2, "big") + bytes(6_000)
    ada.protocol.data_received(length_prefixed(more))
    (answer,) = answers(ada)
    assert answer.stream_id == 1
    assert b"11000 bytes" in answer.data
    ada.protocol.data_received(length_prefixed(call_frame(3, "test.echo")))
    assert handlers.echo_count == 1
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_unfinished_payloads_of_one_user_are_bounded_over_all_connections() -> None:
    server, _ = slow_server(ConnectionLimits(incomplete_bytes_max=1_000))
    first, second = await open_connection(server), await open_connection(server)
    bob = await open_connection(server, "bob")
    half = length_prefixed(call_frame(1, "test.echo", LONG_REQUEST))[:-50]
    for transport in (first, bob):
        transport.protocol.data_received(half)
        assert not transport.protocol.connection.engine.closing
    assert first.protocol.budget.incomplete_bytes == len(half)
    second.protocol.data_received(half)
    await run_loop(5)
    last = answers(second)[-1]
    assert b"RESOURCE_EXHAUSTED" in last.data
    assert b"incomplete_bytes_max" in last.data
    second.abort()
    await run_loop(5)
    assert first.protocol.budget.incomplete_bytes == len(half)
    first.protocol.data_received(length_prefixed(call_frame(1, "test.echo", LONG_REQUEST))[-50:])
    assert first.protocol.budget.incomplete_bytes == 0
    assert [each.stream_id for each in answers(first)] == [1]
    await close_all(server, first, second, bob)


@pytest.mark.asyncio
async def test_many_small_unfinished_payloads_of_one_user_count_as_more_than_their_bytes_until_they_end() -> None:
    server, _ = slow_server(ConnectionLimits(incomplete_bytes_max=4 * PARTIAL_PAYLOAD_BYTES))
    first, second = await open_connection(server), await open_connection(server)
    for transport, count in ((first, 2), (second, 1)):
        for n in range(count):
            transport.protocol.data_received(length_prefixed(request_response(1 + 2 * n, b"x", flags=FOLLOWS)))
    budget = first.protocol.budget
    assert budget.incomplete_bytes == 3 * (PARTIAL_PAYLOAD_BYTES + 1)
    second.protocol.data_received(length_prefixed(request_response(3, b"x", flags=FOLLOWS)))
    await run_loop(5)
    assert b"incomplete_bytes_max" in answers(second)[-1].data
    second.abort()
    await run_loop(5)
    assert budget.incomplete_bytes == 2 * (PARTIAL_PAYLOAD_BYTES + 1)
    first.protocol.data_received(length_prefixed(cancel(1)))
    assert budget.incomplete_bytes == PARTIAL_PAYLOAD_BYTES + 1
    await close_all(server, first)
    assert budget.incomplete_bytes == 0


@pytest.mark.asyncio
async def test_unfinished_payloads_before_sign_in_are_bounded_by_address() -> None:
    server, _ = slow_server(ConnectionLimits(incomplete_bytes_max=1_000))
    first, second = server.websocket(), server.websocket()
    for transport in (first, second):
        transport.protocol.data_received(client_frame(BINARY, encode_message(LONG_REQUEST))[:-10])
    await run_loop(5)
    assert not first.protocol.connection.engine.closing
    assert second.protocol.connection.engine.closing
    assert server.metrics.connections_refused["incomplete_bytes_max"] == 1
    await close_all(server, first, second)


@pytest.mark.asyncio
async def test_a_stranger_who_holds_little_is_not_ended_for_what_others_of_the_address_hold() -> None:
    server, _ = slow_server(ConnectionLimits(incomplete_bytes_max=1_000))
    greedy, honest, third = server.tcp(), server.tcp(), server.tcp()
    long = length_prefixed(encode_message(LONG_REQUEST))
    greedy.protocol.data_received(long[:700])
    honest.protocol.data_received(long[:200])
    third.protocol.data_received(long[:400])
    honest.protocol.data_received(long[200:330])
    await run_loop(5)
    ended = [each.is_closed for each in (greedy, honest, third)]
    assert ended == [False, False, True], "an equal part is 333 bytes"
    await close_all(server, greedy, honest, third)


@pytest.mark.asyncio
async def test_a_connection_that_breaks_the_limit_while_it_is_let_in_leaves_the_gate_as_well() -> None:
    server, _ = slow_server(ConnectionLimits(incomplete_bytes_max=1_000))
    first, second = await open_connection(server), server.tcp()
    half = length_prefixed(call_frame(1, "test.echo", LONG_REQUEST))[:-50]
    first.protocol.data_received(half)
    second.protocol.data_received(length_prefixed(setup_frame("ada")) + half)
    await run_loop(5)
    (refused,) = answers(second)
    assert refused.type is FrameType.ERROR
    assert b"incomplete_bytes_max" in refused.data
    second.abort()
    await run_loop(5)
    assert [session.identity.user for session in server.authenticator.closed_sessions] == ["ada"]
    await close_all(server, first)
    assert len(server.authenticator.closed_sessions) == len(server.authenticator.sessions) == 2


@pytest.mark.asyncio
async def test_what_came_is_not_held_any_more_once_the_end_was_told() -> None:
    server, _ = slow_server()
    ada = await open_connection(server)
    ada.supports_eof = True
    ada.protocol.data_received(echoes(1, 10))
    ada.protocol.data_received(echoes(21, 10)[:-50])
    splitter = ada.protocol._decoder
    assert splitter.has_buffered_input
    ada.protocol.connection.close(resource_exhausted("too much"))
    await run_loop(3)
    assert not ada.is_closed, "the peer may still read why"
    assert ada.reading_enabled
    assert (splitter.has_buffered_input, splitter.partial, splitter._data) == (False, b"", b"")
    ada.protocol.data_received(echoes(41, 10))
    assert (splitter.has_buffered_input, splitter.partial, splitter._data) == (False, b"", b"")
    await close_all(server, ada)


class FaultyTcpProtocol(RSocketTcpProtocol):
    """A connection whose reading fails."""

    __slots__ = ()

    def _process_chunk(self, data: bytes, now: float) -> bool:
        raise RuntimeError("the password is swordfish")


@pytest.mark.asyncio
async def test_a_fault_of_ours_in_a_later_turn_ends_that_connection_only() -> None:
    server, _ = slow_server()
    first, second = await open_connection(server), await open_connection(server)
    for transport in (first, second):
        transport.protocol.data_received(echoes(1, 10))

    first.protocol.__class__ = FaultyTcpProtocol
    await run_loop(10)
    assert first.is_closed
    assert [each.stream_id for each in answers(second)] == [1 + 2 * n for n in range(10)]
    second.protocol.data_received(echoes(21, 10))
    await run_loop(10)
    assert len(answers(second)) == 20
    await close_all(server, second)


@pytest.mark.asyncio
async def test_a_setup_that_waits_for_its_turn_is_not_late() -> None:
    server, _ = slow_server()
    greedy, patient = server.tcp(), server.tcp()
    budget = greedy.protocol.budget
    budget.used_seconds += 10.0
    server.rsocket_server.read_scheduler.on_time_used(budget)
    await run_loop(2)
    assert not budget.is_open
    patient.protocol.data_received(length_prefixed(setup_frame("ada")))
    session = patient.protocol.connection
    for _ in range(3):
        server.clock.seconds += server.rsocket_server.limits.first_frame_seconds - 1
        session.on_timeout(server.clock.seconds)
    assert not session.engine.closing
    server.rsocket_server.read_scheduler._end_throttling(budget)
    await run_loop(5)
    assert session.client_session is not None
    await close_all(server, greedy, patient)
