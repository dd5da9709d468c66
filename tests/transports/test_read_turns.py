"""How much of what one peer sends is read before the others are looked at, and what is refused while it arrives."""

from typing import Any

import pytest

from rsocket_kit import cancel, request_response, setup
from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.errors import Code, resource_exhausted
from tidings.rsocket import FrameSplitter, FrameType, decode, metadata, tcp_envelope
from tidings.rsocket.fragments import RUN_BYTES
from tidings.rsocket.frames import FOLLOWS
from tidings.transports.read_scheduler import ADMISSION_SECONDS, CONNECTION_SECONDS, TASK_SECONDS, WATCH_SECONDS
from tidings.transports.rsocket_tcp import RSocketTcp
from tidings.transports.settings import ConnectionLimits
from transports.fake_socket import Around, Transport, enveloped, turns
from transports.stage import Clock, Handlers, call, encoded, said, setup_of, watch
from transports.test_websocket import BINARY, CONTINUATION, PING, PONG, client_frame

TURN_MS = ConnectionLimits().read_turn_ms
SLOW_MS = 0.6
LONG = v1.SendRequest(text="e" * 700)  # two in a chunk


class SlowHandlers(Handlers):
    """An echo takes `SLOW_MS` of the loop."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def echo(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        self.clock.seconds += SLOW_MS / 1000
        return super().echo(request, call)

    @property
    def echoes(self) -> int:
        return self.noticed["echo"]


def slow(connections: ConnectionLimits = ConnectionLimits()) -> tuple[Around, SlowHandlers]:
    clock = Clock()
    handlers = SlowHandlers(clock)
    return Around(connections=connections, handlers=handlers, clock=clock), handlers


async def signed_in(around: Around, user: str = "ada") -> Transport:
    transport = around.tcp()
    transport.protocol.data_received(enveloped(setup_of(user)))
    await turns(5)
    return transport


def echoes(first: int, count: int) -> bytes:
    return b"".join(enveloped(call(first + 2 * n, "test.echo", LONG)) for n in range(count))


def answers(transport: Transport) -> list[Any]:
    return [decode(each) for each in FrameSplitter().feed(bytes(transport.written))]


async def gone(around: Around, *transports: Transport) -> None:
    for transport in transports:
        transport.abort()
    await turns(10)
    assert not around.service.sessions


# --- turns ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_turn_ends_by_time_and_the_rest_is_served_in_the_next_rounds_in_order() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(echoes(1, 10))
    assert handlers.echoes == 4, "two chunks of 1.2 ms"
    assert not ada.reading
    served = []
    while not ada.reading:
        await turns(1)
        served.append(handlers.echoes)
    assert handlers.echoes == 10
    assert len(served) >= 2
    assert [each.stream_id for each in answers(ada)] == [1 + 2 * n for n in range(10)]
    await gone(around, ada)


@pytest.mark.asyncio
async def test_a_turn_spans_all_reads_of_one_round() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    for n in range(4):
        assert ada.reading
        ada.protocol.data_received(echoes(1 + 2 * n, 1))
    assert handlers.echoes == 4
    assert not ada.reading, "the socket is not read again before the loop has looked at the others"
    ada.protocol.data_received(echoes(101, 1))
    assert handlers.echoes == 4, "what had been read already waits"
    await turns(3)
    assert handlers.echoes == 5
    assert ada.reading
    await gone(around, ada)


@pytest.mark.asyncio
async def test_connections_of_one_user_share_a_turn_and_another_user_is_served_at_once() -> None:
    around, handlers = slow()
    first, second, bob = await signed_in(around), await signed_in(around), await signed_in(around, "bob")
    first.protocol.data_received(echoes(1, 10))
    begun = handlers.echoes
    second.protocol.data_received(echoes(1, 1))
    assert handlers.echoes == begun
    bob.protocol.data_received(echoes(1, 1))
    assert handlers.echoes == begun + 1
    assert [each.stream_id for each in answers(bob)] == [1]
    while not (first.reading and second.reading):
        await turns(1)
    assert handlers.echoes == 12
    await gone(around, first, second, bob)


@pytest.mark.asyncio
async def test_frames_that_become_nothing_end_a_turn_as_well() -> None:
    around, _ = slow()
    stranger = around.websocket()
    ticks = 0

    def clock() -> float:
        nonlocal ticks
        ticks += 1
        return 1_000.0 + ticks * 0.0005  # every look at the clock finds half a millisecond gone

    around.service.clock = clock
    ada_frames = client_frame(BINARY, setup_of("ada")) + client_frame(BINARY, b"x" * 60) * 2_000
    stranger.protocol.data_received(ada_frames)
    assert not stranger.reading
    assert ticks < 10
    await gone(around, stranger)


@pytest.mark.asyncio
async def test_a_peer_whose_bytes_wait_is_not_taken_for_dead() -> None:
    around, _ = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(echoes(1, 10))
    assert ada.protocol.waits
    session = ada.protocol.session
    around.clock.seconds += session.connection.keepalives.lifetime_seconds + 1
    session.due(around.clock.seconds)
    assert not session.connection.closing
    while ada.protocol.waits:
        await turns(1)
    around.clock.seconds += session.connection.keepalives.lifetime_seconds + 1
    session.due(around.clock.seconds)
    assert session.connection.closing
    await gone(around, ada)


# --- charges ----------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_what_is_done_later_is_charged_before_the_payload_is_decoded() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    budget = ada.protocol.budget
    assert (budget.kind, budget.name) == ("user", "ada")
    budget.used = 0.0
    ada.protocol.data_received(enveloped(call(1, "test.wait", b"\xff")))
    assert budget.used == pytest.approx(TASK_SECONDS)
    assert handlers.noticed["wait"] == 0, "the payload is no message"
    ada.protocol.data_received(enveloped(watch(3, 1)))
    assert budget.used == pytest.approx(TASK_SECONDS + WATCH_SECONDS)
    await turns(3)  # until it is open
    budget.used = 0.0
    ada.protocol.data_received(enveloped(call(5, "test.whoami", user="bob")))
    assert budget.used == pytest.approx(ADMISSION_SECONDS), "charged to the connection's user, not to who is claimed"
    await gone(around, ada)


@pytest.mark.asyncio
async def test_connections_and_sign_ins_are_charged_to_the_address() -> None:
    around, _ = slow()
    transport = around.tcp()
    budget = transport.protocol.budget
    assert (budget.kind, budget.name) == ("address", "192.0.2.1")
    transport.protocol.data_received(enveloped(setup_of("slow")))
    assert budget.used == pytest.approx(CONNECTION_SECONDS + ADMISSION_SECONDS)
    await gone(around, transport)


@pytest.mark.asyncio
async def test_watches_that_are_opened_end_a_turn_by_what_they_will_cost() -> None:
    around, _ = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(b"".join(enveloped(watch(1 + 2 * n, 1)) for n in range(500)))
    assert not ada.reading
    assert len(ada.protocol.session.connection.streams) <= TURN_MS / 1000 / WATCH_SECONDS + 30
    await gone(around, ada)


@pytest.mark.asyncio
async def test_nothing_of_an_overdrawn_user_is_decoded_and_another_user_is_served() -> None:
    around, handlers = slow(ConnectionLimits(user_processor_ms_per_second_max=100.0, processor_burst_ms_max=5.0))
    later: list[Any] = []
    around.service.reading._call_later = lambda *what: later.append(what)  # time stands still
    ada, bob = await signed_in(around), await signed_in(around, "bob")
    ada.protocol.data_received(echoes(1, 40))
    await turns(20)
    spent = handlers.echoes
    assert ada.protocol.budget.overdrawn
    assert 8 <= spent < 40
    ada.protocol.data_received(echoes(101, 1))
    await turns(20)
    assert handlers.echoes == spent
    bob.protocol.data_received(echoes(1, 1))
    assert handlers.echoes == spent + 1
    around.clock.seconds += 10.0
    ((_, recover, budget),) = later
    recover(budget)
    await turns(3)
    assert handlers.echoes > spent + 1
    await gone(around, ada, bob)


@pytest.mark.asyncio
async def test_a_watch_that_is_cancelled_before_its_turn_is_never_begun() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(enveloped(watch(1, 1)) + enveloped(cancel(1)))
    await turns(5)
    assert not handlers.sources
    assert around.service.reading._budgets["user", "ada"].steps is None
    await gone(around, ada)


# --- floods -----------------------------------------------------------------------------------------------------


def closing_code(transport: Transport) -> tuple[int, bytes]:
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
    around, _ = slow()
    transport = around.websocket()
    if known:
        transport.protocol.data_received(client_frame(BINARY, setup_of("ada")))
        await turns(5)
    transport.protocol.data_received(flood)
    await turns(5)
    code, reason = closing_code(transport)
    assert code == 1008
    assert b"control_frames_per_second_max" in reason
    assert around.metrics.refused["control_frames_per_second_max"] == 1
    await gone(around, transport)


@pytest.mark.asyncio
async def test_control_frames_within_their_rate_are_taken_second_after_second() -> None:
    around, _ = slow()
    transport = around.websocket()
    for _ in range(3):
        transport.protocol.data_received(client_frame(PING, b"?") * 100)
        around.clock.seconds += 1.0
    await turns(5)
    assert not transport.over
    assert not transport.protocol.session.connection.closing
    await gone(around, transport)


@pytest.mark.asyncio
async def test_a_peer_that_goes_on_sending_after_the_end_is_cut_off() -> None:
    around, _ = slow(ConnectionLimits(closing_bytes_max=10_000))
    transport = around.websocket()
    transport.half_closes = True
    transport.protocol.data_received(client_frame(PONG) * 101)
    await turns(5)
    assert transport.protocol.session.connection.closing
    transport.protocol.data_received(client_frame(PONG) * 700)
    assert not transport.reading, "what is dropped is read in turns as well"
    await turns(2)
    assert transport.reading
    assert not transport.over
    for _ in range(2):
        transport.protocol.data_received(client_frame(PONG) * 700)
        await turns(2)
    assert transport.over
    await turns(5)
    assert not around.service.sessions


# --- metadata ---------------------------------------------------------------------------------------------------

MANY = metadata.write_composite([("application/x-unknown", b"")] * 64)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refused",
    [
        said("test.whoami") + MANY,
        metadata.write_composite([(metadata.ROUTING, b"\x0btest.whoami" + b"\0" * 64)]),
        said("test.whoami") + metadata.write_composite([(metadata.ACCEPT_MIME_TYPES, b"\x85" * 65)]),
    ],
    ids=["entries", "routing tags", "accepted types"],
)
async def test_metadata_with_too_many_entries_are_refused(refused: bytes) -> None:
    around, _ = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(enveloped(request_response(1, b"", refused)))
    (answer,) = answers(ada)
    assert answer.fields["code"] == Code.INVALID_ARGUMENT
    assert b"more than 64" in answer.data
    await gone(around, ada)


@pytest.mark.asyncio
async def test_setup_metadata_with_too_many_entries_are_refused() -> None:
    around, _ = slow()
    transport = around.tcp()
    transport.protocol.data_received(enveloped(setup(metadata=said(user="ada") + MANY)))
    await turns(5)
    (answer,) = answers(transport)
    assert answer.type is FrameType.ERROR
    assert b"more than 64 entries" in answer.data
    await gone(around, transport)


# --- what is refused while it arrives -----------------------------------------------------------------------------

SMALL = ConnectionLimits(request_bytes_max=10_000, metadata_bytes_max=1_000)


@pytest.mark.asyncio
async def test_a_frame_beyond_the_largest_request_is_refused_at_its_header() -> None:
    around, _ = slow(SMALL)
    ada = await signed_in(around)
    ada.protocol.data_received(tcp_envelope(11_014))
    await turns(5)
    assert b"request_bytes_max" in answers(ada)[-1].data
    web = around.websocket()
    web.protocol.data_received(client_frame(BINARY, setup_of("ada")))
    await turns(5)
    web.protocol.data_received(client_frame(BINARY, bytes(11_014))[:20])
    await turns(5)
    assert closing_code(web)[0] == 1009
    await gone(around, ada, web)


@pytest.mark.asyncio
async def test_a_payload_in_pieces_beyond_the_largest_request_ends_its_stream_alone() -> None:
    around, handlers = slow(SMALL)
    ada = await signed_in(around)
    piece = request_response(1, bytes(6_000), flags=0x80)
    ada.protocol.data_received(enveloped(piece))
    more = (1).to_bytes(4, "big") + (0x0A << 10 | 0xA0).to_bytes(2, "big") + bytes(6_000)
    ada.protocol.data_received(enveloped(more))
    (answer,) = answers(ada)
    assert answer.stream_id == 1
    assert b"11000 bytes" in answer.data
    ada.protocol.data_received(enveloped(call(3, "test.echo")))
    assert handlers.echoes == 1
    await gone(around, ada)


@pytest.mark.asyncio
async def test_unfinished_payloads_of_one_user_are_bounded_over_all_connections() -> None:
    around, _ = slow(ConnectionLimits(unfinished_bytes_max=1_000))
    first, second = await signed_in(around), await signed_in(around)
    bob = await signed_in(around, "bob")
    half = enveloped(call(1, "test.echo", LONG))[:-50]
    for transport in (first, bob):
        transport.protocol.data_received(half)
        assert not transport.protocol.session.connection.closing
    assert first.protocol.budget.unfinished_bytes == len(half)
    second.protocol.data_received(half)
    await turns(5)
    last = answers(second)[-1]
    assert b"RESOURCE_EXHAUSTED" in last.data
    assert b"unfinished_bytes_max" in last.data
    second.abort()
    await turns(5)
    assert first.protocol.budget.unfinished_bytes == len(half)
    first.protocol.data_received(enveloped(call(1, "test.echo", LONG))[-50:])
    assert first.protocol.budget.unfinished_bytes == 0
    assert [each.stream_id for each in answers(first)] == [1]
    await gone(around, first, second, bob)


@pytest.mark.asyncio
async def test_many_small_unfinished_payloads_of_one_user_count_as_more_than_their_bytes_until_they_end() -> None:
    around, _ = slow(ConnectionLimits(unfinished_bytes_max=4 * RUN_BYTES))
    first, second = await signed_in(around), await signed_in(around)
    for transport, count in ((first, 2), (second, 1)):
        for n in range(count):
            transport.protocol.data_received(enveloped(request_response(1 + 2 * n, b"x", flags=FOLLOWS)))
    budget = first.protocol.budget
    assert budget.unfinished_bytes == 3 * (RUN_BYTES + 1)
    second.protocol.data_received(enveloped(request_response(3, b"x", flags=FOLLOWS)))
    await turns(5)
    assert b"unfinished_bytes_max" in answers(second)[-1].data
    second.abort()
    await turns(5)
    assert budget.unfinished_bytes == 2 * (RUN_BYTES + 1)
    first.protocol.data_received(enveloped(cancel(1)))
    assert budget.unfinished_bytes == RUN_BYTES + 1
    await gone(around, first)
    assert budget.unfinished_bytes == 0


@pytest.mark.asyncio
async def test_unfinished_payloads_before_sign_in_are_bounded_by_address() -> None:
    around, _ = slow(ConnectionLimits(unfinished_bytes_max=1_000))
    first, second = around.websocket(), around.websocket()
    for transport in (first, second):
        transport.protocol.data_received(client_frame(BINARY, encoded(LONG))[:-10])
    await turns(5)
    assert not first.protocol.session.connection.closing
    assert second.protocol.session.connection.closing
    assert around.metrics.refused["unfinished_bytes_max"] == 1
    await gone(around, first, second)


@pytest.mark.asyncio
async def test_a_stranger_who_holds_little_is_not_ended_for_what_others_of_the_address_hold() -> None:
    around, _ = slow(ConnectionLimits(unfinished_bytes_max=1_000))
    greedy, honest, third = around.tcp(), around.tcp(), around.tcp()
    long = enveloped(encoded(LONG))
    greedy.protocol.data_received(long[:700])
    honest.protocol.data_received(long[:200])
    third.protocol.data_received(long[:400])
    honest.protocol.data_received(long[200:330])
    await turns(5)
    ended = [each.over for each in (greedy, honest, third)]
    assert ended == [False, False, True], "an equal part is 333 bytes"
    await gone(around, greedy, honest, third)


@pytest.mark.asyncio
async def test_a_connection_that_breaks_the_limit_while_it_is_let_in_leaves_the_gate_as_well() -> None:
    around, _ = slow(ConnectionLimits(unfinished_bytes_max=1_000))
    first, second = await signed_in(around), around.tcp()
    half = enveloped(call(1, "test.echo", LONG))[:-50]
    first.protocol.data_received(half)
    second.protocol.data_received(enveloped(setup_of("ada")) + half)
    await turns(5)
    (refused,) = answers(second)
    assert refused.type is FrameType.ERROR
    assert b"unfinished_bytes_max" in refused.data
    second.abort()
    await turns(5)
    assert [session.identity.user for session in around.gate.gone] == ["ada"]
    await gone(around, first)
    assert len(around.gate.gone) == len(around.gate.sessions) == 2


@pytest.mark.asyncio
async def test_what_came_is_not_held_any_more_once_the_end_was_told() -> None:
    around, _ = slow()
    ada = await signed_in(around)
    ada.half_closes = True
    ada.protocol.data_received(echoes(1, 10))
    ada.protocol.data_received(echoes(21, 10)[:-50])
    splitter = ada.protocol._splitter
    assert splitter.behind
    ada.protocol.session.close(resource_exhausted("too much"))
    await turns(3)
    assert not ada.over, "the peer may still read why"
    assert ada.reading
    assert (splitter.behind, splitter.rest, splitter._data) == (False, b"", b"")
    ada.protocol.data_received(echoes(41, 10))
    assert (splitter.behind, splitter.rest, splitter._data) == (False, b"", b"")
    await gone(around, ada)


class FaultyTcp(RSocketTcp):
    """A connection whose reading fails."""

    __slots__ = ()

    def _take(self, data: bytes, now: float) -> bool:
        raise RuntimeError("the password is swordfish")


@pytest.mark.asyncio
async def test_a_fault_of_ours_in_a_later_turn_ends_that_connection_only() -> None:
    around, _ = slow()
    first, second = await signed_in(around), await signed_in(around)
    for transport in (first, second):
        transport.protocol.data_received(echoes(1, 10))

    first.protocol.__class__ = FaultyTcp
    await turns(10)
    assert first.over
    assert [each.stream_id for each in answers(second)] == [1 + 2 * n for n in range(10)]
    second.protocol.data_received(echoes(21, 10))
    await turns(10)
    assert len(answers(second)) == 20
    await gone(around, second)


@pytest.mark.asyncio
async def test_a_setup_that_waits_for_its_turn_is_not_late() -> None:
    around, _ = slow()
    greedy, patient = around.tcp(), around.tcp()
    budget = greedy.protocol.budget
    budget.used += 10.0
    around.service.reading.spent(budget)
    await turns(2)
    assert not budget.open
    patient.protocol.data_received(enveloped(setup_of("ada")))
    session = patient.protocol.session
    for _ in range(3):
        around.clock.seconds += around.service.limits.first_frame_seconds - 1
        session.due(around.clock.seconds)
    assert not session.connection.closing
    around.service.reading._recover(budget)
    await turns(5)
    assert session.session is not None
    await gone(around, greedy, patient)
