"""What encoding for one user costs the others: small steps, charged to the user, who waits when the turn is over."""

from collections.abc import Iterator
from typing import Any

import pytest

from rsocket_kit import cancel
from tidings.contract import v1
from tidings.contract.codecs import JSON
from tidings.contract.errors import Code
from tidings.hub import PAUSED, Batch
from tidings.rsocket import FrameSplitter, FrameType, decode
from tidings.transports.read_scheduler import STEP_SECONDS
from tidings.transports.rsocket_calls import MAKING_SECONDS_PER_BYTE, SMALL_ANSWER_BYTES, CallWork
from tidings.transports.rsocket_work import SinkWork
from tidings.transports.settings import ConnectionLimits
from transports.fake_socket import Around, Transport, enveloped, turns
from transports.stage import Clock, Handlers, call, item, setup_of, watch

STEP_MS = 3.0  # of encoding; more than a turn
LAST = 6
POOR = ConnectionLimits(user_processor_ms_per_second_max=100.0, processor_burst_ms_max=5.0)


class StepSource:
    """Delivers one item in each callback, up to `LAST`."""

    def __init__(self, sink: Any, loop: Any) -> None:
        self.sink = sink
        self.loop = loop
        self.sent = 0
        self.scheduled = False

    def wake(self) -> None:
        if not self.scheduled:
            self.scheduled = True
            self.loop.call_soon(self.step)

    def step(self) -> None:
        self.scheduled = False
        if self.sink is not None and self.sent < LAST and self.sink.demand() > 0:
            self.sent += 1
            self.wake()
            self.sink.deliver(Batch([item(self.sent)], self.sent, self.sent))

    def close(self) -> None:
        self.sink = None


class Sending(Around):
    """Connections whose watches are slow to encode."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connections: ConnectionLimits = ConnectionLimits()) -> None:
        clock, handlers = Clock(), Handlers()
        self.sources: list[StepSource] = []
        self.encoded = 0
        self.later: list[Any] = []

        async def open_watch(_request: Any, _call: Any, sink: Any) -> Any:
            self.sources.append(StepSource(sink, self.service.loop))
            return self.sources[-1]

        handlers.watch = open_watch  # type: ignore[method-assign]
        super().__init__(connections=connections, handlers=handlers, clock=clock)
        self.service.reading._call_later = lambda *what: self.later.append(what)
        encode = SinkWork._encode

        def slow(work: SinkWork, batch: Any) -> bytes:
            clock.seconds += STEP_MS / 1000
            self.encoded += 1
            return encode(work, batch)

        monkeypatch.setattr(SinkWork, "_encode", slow)

    async def enter(self, user: str) -> Transport:
        transport = self.tcp()
        transport.protocol.data_received(enveloped(setup_of(user)))
        await turns(5)
        return transport

    async def until_sent(self, count: int) -> None:
        """Let the loop go round until so many batches were encoded."""
        for _ in range(200):
            if self.encoded >= count:
                return
            await turns(1)
        raise AssertionError(f"{self.encoded} of {count} were encoded")

    def recover(self) -> None:
        """The debts are paid."""
        self.clock.seconds += 100.0
        later, self.later = self.later, []
        for _, recovered, budget in later:
            recovered(budget)


def open_watches(transport: Transport, *stream_ids: int) -> None:
    transport.protocol.data_received(b"".join(enveloped(watch(each, 1_000)) for each in stream_ids))


def received(transport: Transport, stream_id: int) -> list[int]:
    """The numbers that came on a stream."""
    frames = [decode(each) for each in FrameSplitter().feed(bytes(transport.written))]
    payloads = [each for each in frames if each.type is FrameType.PAYLOAD and each.stream_id == stream_id]
    return [v1.WatchItem.FromString(each.data).cursor.seq for each in payloads]


EVERYTHING = list(range(1, LAST + 1))


@pytest.mark.asyncio
async def test_streams_of_one_user_encode_one_step_in_a_round_and_all_comes_in_order_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Sending(monkeypatch)
    ada = await around.enter("ada")
    open_watches(ada, 1, 3, 5)
    steps = []
    while around.encoded < 3 * LAST:
        before = around.encoded
        await turns(1)
        steps.append(around.encoded - before)
        assert len(steps) < 500
    assert max(steps) == 1
    await turns(5)
    assert [received(ada, each) for each in (1, 3, 5)] == [EVERYTHING] * 3
    assert not ada.protocol.budget.waiting
    assert ada.protocol.budget.open
    assert ada.reading


@pytest.mark.asyncio
async def test_what_was_encoded_is_charged_to_the_user_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Sending(monkeypatch)
    ada = await around.enter("ada")
    charged: list[float] = []
    charge = around.service.reading.charge

    def noted(budget: Any, seconds: float) -> None:
        assert budget is ada.protocol.budget
        charged.append(seconds)
        charge(budget, seconds)

    monkeypatch.setattr(around.service.reading, "charge", noted)
    open_watches(ada, 1)
    await around.until_sent(LAST)
    assert charged == pytest.approx([STEP_MS / 1000 + STEP_SECONDS] * LAST)


@pytest.mark.asyncio
async def test_an_overdrawn_user_is_sent_nothing_until_the_debt_is_paid_and_another_is_not_affected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    around = Sending(monkeypatch, POOR)
    ada, bob = await around.enter("ada"), await around.enter("bob")
    open_watches(ada, 1, 3)
    await turns(50)
    assert ada.protocol.budget.overdrawn
    spent = around.encoded
    assert 2 <= spent < 2 * LAST
    await turns(50)
    assert around.encoded == spent
    bob.protocol.data_received(enveloped(call(1, "test.echo")))
    assert any(decode(each).stream_id == 1 for each in FrameSplitter().feed(bytes(bob.written)))
    for _ in range(2 * LAST):
        around.recover()
        await turns(20)
    assert [received(ada, each) for each in (1, 3)] == [EVERYTHING] * 2


@pytest.mark.asyncio
async def test_live_items_are_neither_charged_nor_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Sending(monkeypatch, POOR)
    ada = await around.enter("ada")
    open_watches(ada, 1)
    await turns(50)
    budget, (source,) = ada.protocol.budget, around.sources
    assert budget.overdrawn
    assert source.sink.demand() == PAUSED
    used, sent = budget.used, around.encoded
    assert source.sink.deliver(Batch([item(100)], 100, 100))
    assert (budget.used, around.encoded) == (used, sent + 1)
    assert received(ada, 1)[-1] == 100


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["cancel", "disconnect", "drain", "fail"])
async def test_a_stream_that_ends_while_it_waits_is_forgotten(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    around = Sending(monkeypatch, POOR)
    ada, other = await around.enter("ada"), await around.enter("ada")
    open_watches(ada, 1)
    await turns(50)
    budget = ada.protocol.budget
    assert budget.overdrawn
    assert [each for each in budget.waiting if isinstance(each, SinkWork)]
    if how == "cancel":
        ada.protocol.data_received(enveloped(cancel(1)))
    elif how == "disconnect":
        ada.abort()
    elif how == "drain":
        ada.protocol.session.drain()
    else:
        around.sources[0].sink.fail(RuntimeError("the log is gone"))
    await turns(5)
    around.recover()
    await turns(10)
    assert not budget.waiting
    assert budget.granted is None
    assert budget.open
    sent = around.encoded
    other.protocol.data_received(enveloped(call(1, "test.echo")))
    open_watches(other, 3)
    await around.until_sent(sent + 1)
    assert any(decode(each).stream_id == 1 for each in FrameSplitter().feed(bytes(other.written)))


PAGE = v1.PageReply(
    events=[v1.Event(seq=seq, posted=v1.Posted(text="a" * 1_000)) for seq in range(1, 11)],
    head=v1.Cursor(epoch="den", seq=10),
)
PART_MS = 1.5  # to encode an element of it: two of them are a turn
PARTS = sum(1 for _ in JSON.encode_in_parts(PAGE))


class Answering(Around):
    """Connections that speak JSON and whose `test.wait` answers with a large page."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, connections: ConnectionLimits = ConnectionLimits()) -> None:
        clock, handlers = Clock(), Handlers()
        self.encoded = 0
        self.later: list[Any] = []

        async def answer(_request: Any, _call: Any) -> Any:
            return PAGE

        handlers.wait = answer  # type: ignore[assignment, method-assign]
        super().__init__(connections=connections, handlers=handlers, clock=clock)
        self.service.reading._call_later = lambda *what: self.later.append(what)
        encode = CallWork._encode_a_turn

        def slow(work: CallWork, parts: Iterator[bytes]) -> bool:
            return encode(work, self.slowly(parts))

        monkeypatch.setattr(CallWork, "_encode_a_turn", slow)

    def slowly(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.encoded += 1
            self.clock.seconds += PART_MS / 1000
            yield part

    async def enter(self, user: str) -> Transport:
        transport = self.tcp()
        transport.protocol.data_received(enveloped(setup_of(user, data_mime=JSON.mime)))
        await turns(5)
        return transport


def answers(transport: Transport, stream_id: int) -> list[bytes]:
    frames = [decode(each) for each in FrameSplitter().feed(bytes(transport.written))]
    return [each.data for each in frames if each.type is FrameType.PAYLOAD and each.stream_id == stream_id]


@pytest.mark.asyncio
async def test_a_large_answer_is_encoded_a_turn_at_a_time_and_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PAGE.ByteSize() > SMALL_ANSWER_BYTES
    around = Answering(monkeypatch)
    ada = await around.enter("ada")
    ada.protocol.data_received(b"".join(enveloped(call(each, "test.wait")) for each in (1, 3)))
    steps = []
    while around.encoded < 2 * PARTS:
        before = around.encoded
        await turns(1)
        steps.append(around.encoded - before)
        assert len(steps) < 500
    await turns(5)
    assert 1 <= max(steps) <= 2
    assert [answers(ada, each) for each in (1, 3)] == [[JSON.encode(PAGE)]] * 2
    budget = ada.protocol.budget
    assert budget.open
    assert not budget.waiting
    assert ada.protocol.session.session.memory.held == 0


@pytest.mark.asyncio
async def test_a_large_answer_is_charged_to_the_user_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Answering(monkeypatch)
    ada = await around.enter("ada")
    charged: list[float] = []
    monkeypatch.setattr(around.service.reading, "charge", lambda budget, seconds: charged.append(seconds))
    ada.protocol.data_received(enveloped(call(1, "test.wait")))
    for _ in range(50):
        await turns(1)
    assert answers(ada, 1)
    assert sum(charged) == pytest.approx(PARTS * PART_MS / 1000 + PAGE.ByteSize() * MAKING_SECONDS_PER_BYTE)


@pytest.mark.asyncio
async def test_an_overdrawn_user_waits_for_a_large_answer_and_gets_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Answering(monkeypatch, POOR)
    ada = await around.enter("ada")
    ada.protocol.data_received(enveloped(call(1, "test.wait")))
    await turns(50)
    assert ada.protocol.budget.overdrawn
    spent = around.encoded
    assert 2 <= spent < PARTS
    await turns(50)
    assert around.encoded == spent
    held = ada.protocol.session.session.memory.held
    assert held > PAGE.ByteSize()
    work = next(iter(ada.protocol.session.desk.live.values()))
    small = CallWork(work.desk, work.route, work.stream, work.call)
    small.arrived(v1.PageReply(events=PAGE.events[:1]))
    await turns(1)
    assert len(answers(ada, 1)) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("how", ["cancel", "disconnect", "stop"])
async def test_a_large_answer_that_nobody_waits_for_any_more_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    around = Answering(monkeypatch, POOR)
    ada, other = await around.enter("ada"), await around.enter("ada")
    ada.protocol.data_received(enveloped(call(1, "test.wait")))
    await turns(50)
    budget, memory = ada.protocol.budget, ada.protocol.session.session.memory
    assert [each for each in budget.waiting if isinstance(each, CallWork)]
    if how == "cancel":
        ada.protocol.data_received(enveloped(cancel(1)))
        around.clock.seconds += 100.0
        for _, recovered, whose in around.later:
            recovered(whose)
    elif how == "disconnect":
        ada.abort()
    else:
        ada.protocol.session.stop()
    await turns(10)
    assert not [each for each in budget.waiting if isinstance(each, CallWork)]
    assert not answers(ada, 1)
    assert memory.held == 0
    assert other.protocol.session.session.memory is memory


@pytest.mark.asyncio
async def test_a_large_answer_without_room_on_the_users_account_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Answering(monkeypatch)
    ada = await around.enter("ada")
    memory = ada.protocol.session.session.memory
    memory.bytes_max = PAGE.ByteSize() + 5_000
    ada.protocol.data_received(enveloped(call(1, "test.wait")))
    await turns(50)
    (frame,) = [each for each in map(decode, FrameSplitter().feed(bytes(ada.written))) if each.type is FrameType.ERROR]
    assert frame.fields["code"] == Code.RESOURCE_EXHAUSTED
    assert b"user_bytes_max" in frame.data
    assert memory.held == 0
    assert not ada.protocol.budget.waiting
