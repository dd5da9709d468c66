"""What encoding for one user costs the others: small steps, charged to the user, who waits when the turn is over."""

from typing import Any

import pytest

from rsocket_kit import cancel
from tidings.contract import v1
from tidings.hub import PAUSED, Batch
from tidings.rsocket import FrameSplitter, FrameType, decode
from tidings.transports.read_scheduler import STEP_SECONDS
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
