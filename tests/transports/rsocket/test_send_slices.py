"""What encoding for one user costs the others: small steps, charged to the user, who waits when the turn is over."""

from collections.abc import Iterator
from typing import Any

import pytest

from kits.transport.fake_transport import FakeTransport, InProcessServer, length_prefixed, run_loop
from kits.transport.harness import FakeClock, Handlers, call_frame, setup_frame, watch_frame, watch_item
from rsocket_harness import cancel
from tidings.contract import v1
from tidings.contract.codecs import JSON
from tidings.contract.errors import Code
from tidings.dispatch.call_responders import REPLY_COST_SECONDS_PER_BYTE, SMALL_REPLY_BYTES, CallResponder
from tidings.dispatch.read_scheduler import STEP_COST_SECONDS
from tidings.hub import PAUSED, Batch
from tidings.protocols.rsocket import FrameType, LengthFieldDecoder, decode
from tidings.server.settings import ConnectionLimits
from tidings.transports.rsocket.responders import RSocketCall, RSocketReplyStream

STEP_MS = 3.0  # of encoding; more than a turn
LAST_SEQ = 6
LOW_CPU_LIMITS = ConnectionLimits(user_cpu_ms_per_second_max=100.0, cpu_burst_ms_max=5.0)


class SlowSubscription:
    """Delivers one item in each callback, up to `LAST`."""

    def __init__(self, sink: Any, loop: Any) -> None:
        self.sink = sink
        self.loop = loop
        self.sent_count = 0
        self.is_scheduled = False

    def wake(self) -> None:
        if not self.is_scheduled:
            self.is_scheduled = True
            self.loop.call_soon(self.step)

    def step(self) -> None:
        self.is_scheduled = False
        if self.sink is not None and self.sent_count < LAST_SEQ and self.sink.demand() > 0:
            self.sent_count += 1
            self.wake()
            self.sink.deliver(Batch([watch_item(self.sent_count)], self.sent_count, self.sent_count))

    def close(self) -> None:
        self.sink = None


class SendingServer(InProcessServer):
    """Connections whose watches are slow to encode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connections: ConnectionLimits = ConnectionLimits()) -> None:
        clock, handlers = FakeClock(), Handlers()
        self.subscriptions: list[SlowSubscription] = []
        self.encoded_count = 0
        self.delayed_calls: list[Any] = []

        async def open_watch(_request: Any, _call: Any, sink: Any) -> Any:
            self.subscriptions.append(SlowSubscription(sink, self.rsocket_server.loop))
            return self.subscriptions[-1]

        handlers.watch = open_watch  # type: ignore[method-assign]
        super().__init__(connections=connections, handlers=handlers, clock=clock)
        self.rsocket_server.read_scheduler._call_later = lambda *what: self.delayed_calls.append(what)
        encode = RSocketReplyStream._encode

        def slow(responder: RSocketReplyStream, batch: Any) -> bytes:
            clock.seconds += STEP_MS / 1000
            self.encoded_count += 1
            return encode(responder, batch)

        monkeypatch.setattr(RSocketReplyStream, "_encode", slow)

    async def open_connection(self, user: str) -> FakeTransport:
        transport = self.tcp()
        transport.protocol.data_received(length_prefixed(setup_frame(user)))
        await run_loop(5)
        return transport

    async def until_sent(self, count: int) -> None:
        """Let the loop go round until so many batches were encoded."""
        for _ in range(200):
            if self.encoded_count >= count:
                return
            await run_loop(1)
        raise AssertionError(f"{self.encoded_count} of {count} were encoded")

    def pay_debts(self) -> None:
        """The debts are paid."""
        self.clock.seconds += 100.0
        later, self.delayed_calls = self.delayed_calls, []
        for _, recovered, budget in later:
            recovered(budget)


def open_watches(transport: FakeTransport, *stream_ids: int) -> None:
    transport.protocol.data_received(b"".join(length_prefixed(watch_frame(each, 1_000)) for each in stream_ids))


def received_seqs(transport: FakeTransport, stream_id: int) -> list[int]:
    """The numbers that came on a stream."""
    frames = [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written))]
    payloads = [each for each in frames if each.type is FrameType.PAYLOAD and each.stream_id == stream_id]
    return [v1.WatchItem.FromString(each.data).cursor.seq for each in payloads]


ALL_SEQS = list(range(1, LAST_SEQ + 1))


@pytest.mark.asyncio
async def test_streams_of_one_user_encode_one_step_in_a_round_and_all_comes_in_order_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = SendingServer(monkeypatch)
    ada = await server.open_connection("ada")
    open_watches(ada, 1, 3, 5)
    steps = []
    while server.encoded_count < 3 * LAST_SEQ:
        before = server.encoded_count
        await run_loop(1)
        steps.append(server.encoded_count - before)
        assert len(steps) < 500
    assert max(steps) == 1
    await run_loop(5)
    assert [received_seqs(ada, each) for each in (1, 3, 5)] == [ALL_SEQS] * 3
    assert not ada.protocol.budget.waiting
    assert ada.protocol.budget.is_open
    assert ada.reading_enabled


@pytest.mark.asyncio
async def test_what_was_encoded_is_charged_to_the_user_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SendingServer(monkeypatch)
    ada = await server.open_connection("ada")
    charged: list[float] = []
    charge = server.rsocket_server.read_scheduler.charge

    def noted(budget: Any, seconds: float) -> None:
        assert budget is ada.protocol.budget
        charged.append(seconds)
        charge(budget, seconds)

    monkeypatch.setattr(server.rsocket_server.read_scheduler, "charge", noted)
    open_watches(ada, 1)
    await server.until_sent(LAST_SEQ)
    assert charged == pytest.approx([STEP_MS / 1000 + STEP_COST_SECONDS] * LAST_SEQ)


@pytest.mark.asyncio
async def test_an_overdrawn_user_is_sent_nothing_until_the_debt_is_paid_and_another_is_not_affected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = SendingServer(monkeypatch, LOW_CPU_LIMITS)
    ada, bob = await server.open_connection("ada"), await server.open_connection("bob")
    open_watches(ada, 1, 3)
    await run_loop(50)
    assert ada.protocol.budget.is_overdrawn
    spent = server.encoded_count
    assert 2 <= spent < 2 * LAST_SEQ
    await run_loop(50)
    assert server.encoded_count == spent
    bob.protocol.data_received(length_prefixed(call_frame(1, "test.echo")))
    assert any(decode(each).stream_id == 1 for each in LengthFieldDecoder().feed(bytes(bob.written)))
    for _ in range(2 * LAST_SEQ):
        server.pay_debts()
        await run_loop(20)
    assert [received_seqs(ada, each) for each in (1, 3)] == [ALL_SEQS] * 2


@pytest.mark.asyncio
async def test_live_items_are_neither_charged_nor_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SendingServer(monkeypatch, LOW_CPU_LIMITS)
    ada = await server.open_connection("ada")
    open_watches(ada, 1)
    await run_loop(50)
    budget, (source,) = ada.protocol.budget, server.subscriptions
    assert budget.is_overdrawn
    assert source.sink.demand() == PAUSED
    used, sent = budget.used_seconds, server.encoded_count
    assert source.sink.deliver(Batch([watch_item(100)], 100, 100))
    assert (budget.used_seconds, server.encoded_count) == (used, sent + 1)
    assert received_seqs(ada, 1)[-1] == 100


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["cancel", "disconnect", "drain", "fail"])
async def test_a_stream_that_ends_while_it_waits_is_forgotten(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    server = SendingServer(monkeypatch, LOW_CPU_LIMITS)
    ada, other = await server.open_connection("ada"), await server.open_connection("ada")
    open_watches(ada, 1)
    await run_loop(50)
    budget = ada.protocol.budget
    assert budget.is_overdrawn
    assert [each for each in budget.waiting if isinstance(each, RSocketReplyStream)]
    if how == "cancel":
        ada.protocol.data_received(length_prefixed(cancel(1)))
    elif how == "disconnect":
        ada.abort()
    elif how == "drain":
        ada.protocol.connection.drain()
    else:
        server.subscriptions[0].sink.fail(RuntimeError("the log is gone"))
    await run_loop(5)
    server.pay_debts()
    await run_loop(10)
    assert not budget.waiting
    assert budget.granted_to is None
    assert budget.is_open
    sent = server.encoded_count
    other.protocol.data_received(length_prefixed(call_frame(1, "test.echo")))
    open_watches(other, 3)
    await server.until_sent(sent + 1)
    assert any(decode(each).stream_id == 1 for each in LengthFieldDecoder().feed(bytes(other.written)))


PAGE = v1.PageReply(
    events=[v1.Event(seq=seq, posted=v1.Posted(text="a" * 1_000)) for seq in range(1, 11)],
    head=v1.Cursor(epoch="den", seq=10),
)
PART_MS = 1.5  # to encode an element of it: two of them are a turn
PART_COUNT = sum(1 for _ in JSON.encode_in_parts(PAGE))


class AnsweringServer(InProcessServer):
    """Connections that speak JSON and whose `test.wait` answers with a large page."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connections: ConnectionLimits = ConnectionLimits()) -> None:
        clock, handlers = FakeClock(), Handlers()
        self.encoded_count = 0
        self.delayed_calls: list[Any] = []

        async def answer(_request: Any, _call: Any) -> Any:
            return PAGE

        handlers.wait = answer  # type: ignore[assignment, method-assign]
        super().__init__(connections=connections, handlers=handlers, clock=clock)
        self.rsocket_server.read_scheduler._call_later = lambda *what: self.delayed_calls.append(what)
        encode = CallResponder._encode_slice

        def slow(responder: CallResponder, reply: Any) -> bool:
            parts, reply.remaining_parts = reply.remaining_parts, self.encode_slowly(reply.remaining_parts)
            try:
                return encode(responder, reply)
            finally:
                reply.remaining_parts = parts

        monkeypatch.setattr(CallResponder, "_encode_slice", slow)

    def encode_slowly(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.encoded_count += 1
            self.clock.seconds += PART_MS / 1000
            yield part

    async def open_connection(self, user: str) -> FakeTransport:
        transport = self.tcp()
        transport.protocol.data_received(length_prefixed(setup_frame(user, data_mime=JSON.mime_type)))
        await run_loop(5)
        return transport


def answers(transport: FakeTransport, stream_id: int) -> list[bytes]:
    frames = [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written))]
    return [each.data for each in frames if each.type is FrameType.PAYLOAD and each.stream_id == stream_id]


@pytest.mark.asyncio
async def test_a_large_answer_is_encoded_a_turn_at_a_time_and_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAGE.ByteSize() > SMALL_REPLY_BYTES
    server = AnsweringServer(monkeypatch)
    ada = await server.open_connection("ada")
    ada.protocol.data_received(b"".join(length_prefixed(call_frame(each, "test.wait")) for each in (1, 3)))
    steps = []
    while server.encoded_count < 2 * PART_COUNT:
        before = server.encoded_count
        await run_loop(1)
        steps.append(server.encoded_count - before)
        assert len(steps) < 500
    await run_loop(5)
    assert 1 <= max(steps) <= 2
    assert [answers(ada, each) for each in (1, 3)] == [[JSON.encode(PAGE)]] * 2
    budget = ada.protocol.budget
    assert budget.is_open
    assert not budget.waiting
    assert ada.protocol.connection.client_session.session.memory.reserved_bytes == 0


@pytest.mark.asyncio
async def test_a_large_answer_is_charged_to_the_user_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AnsweringServer(monkeypatch)
    ada = await server.open_connection("ada")
    charged: list[float] = []
    monkeypatch.setattr(server.rsocket_server.read_scheduler, "charge", lambda budget, seconds: charged.append(seconds))
    ada.protocol.data_received(length_prefixed(call_frame(1, "test.wait")))
    for _ in range(50):
        await run_loop(1)
    assert answers(ada, 1)
    assert sum(charged) == pytest.approx(PART_COUNT * PART_MS / 1000 + PAGE.ByteSize() * REPLY_COST_SECONDS_PER_BYTE)


@pytest.mark.asyncio
async def test_an_overdrawn_user_waits_for_a_large_answer_and_gets_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AnsweringServer(monkeypatch, LOW_CPU_LIMITS)
    ada = await server.open_connection("ada")
    ada.protocol.data_received(length_prefixed(call_frame(1, "test.wait")))
    await run_loop(50)
    assert ada.protocol.budget.is_overdrawn
    spent = server.encoded_count
    assert 2 <= spent < PART_COUNT
    await run_loop(50)
    assert server.encoded_count == spent
    held = ada.protocol.connection.client_session.session.memory.reserved_bytes
    assert held > PAGE.ByteSize()
    responder = next(iter(ada.protocol.connection.client_session.active))
    connection = ada.protocol.connection
    small = RSocketCall(connection, connection.client_session, responder.binding, responder.stream, responder.context)
    small.on_result(v1.PageReply(events=PAGE.events[:1]))
    await run_loop(1)
    assert len(answers(ada, 1)) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["cancel", "disconnect", "stop"])
async def test_a_large_answer_that_nobody_waits_for_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    server = AnsweringServer(monkeypatch, LOW_CPU_LIMITS)
    ada, other = await server.open_connection("ada"), await server.open_connection("ada")
    ada.protocol.data_received(length_prefixed(call_frame(1, "test.wait")))
    await run_loop(50)
    budget, memory = ada.protocol.budget, ada.protocol.connection.client_session.session.memory
    assert [each for each in budget.waiting if isinstance(each, CallResponder)]
    if how == "cancel":
        ada.protocol.data_received(length_prefixed(cancel(1)))
        server.clock.seconds += 100.0
        for _, recovered, whose in server.delayed_calls:
            recovered(whose)
    elif how == "disconnect":
        ada.abort()
    else:
        ada.protocol.connection.close_now()
    await run_loop(10)
    assert not [each for each in budget.waiting if isinstance(each, CallResponder)]
    assert not answers(ada, 1)
    assert memory.reserved_bytes == 0
    assert other.protocol.connection.client_session.session.memory is memory


@pytest.mark.asyncio
async def test_a_large_answer_without_room_on_the_users_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AnsweringServer(monkeypatch)
    ada = await server.open_connection("ada")
    memory = ada.protocol.connection.client_session.session.memory
    memory.bytes_max = PAGE.ByteSize() + 5_000
    ada.protocol.data_received(length_prefixed(call_frame(1, "test.wait")))
    await run_loop(50)
    (frame,) = [
        each for each in map(decode, LengthFieldDecoder().feed(bytes(ada.written))) if each.type is FrameType.ERROR
    ]
    assert frame.fields["code"] == Code.RESOURCE_EXHAUSTED
    assert b"user_bytes_max" in frame.data
    assert memory.reserved_bytes == 0
    assert not ada.protocol.budget.waiting
