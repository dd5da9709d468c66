"""Opening and ending streams in steps: however many a user has, the others are looked at in between."""

from typing import Any

import pytest

from rsocket_kit import cancel
from tidings.contract import v1
from tidings.contract.call import Call
from tidings.hub import Sink
from tidings.transports.settings import ConnectionLimits
from transports.fake_socket import Around, Transport, enveloped, turns
from transports.stage import Clock, Handlers, Source, call, watch
from transports.test_read_turns import gone, signed_in

STEP_MS = 0.6
STEPS_A_TURN = 4  # of 2 ms


class SlowSource(Source):
    """Takes `STEP_MS` of the loop to close."""

    clock: Clock

    def close(self) -> None:
        self.clock.seconds += STEP_MS / 1000
        super().close()


class SlowWatches(Handlers):
    """A watch takes `STEP_MS` of the loop to open, and as long to close."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    async def watch(self, request: Any, call: Call, sink: Sink[Any]) -> Source:
        self.clock.seconds += STEP_MS / 1000
        source = SlowSource(sink, self.watch_last)
        source.clock = self.clock
        self.sources.append(source)
        return source

    async def slow_watch(self, request: Any, call: Call, sink: Sink[Any]) -> Source:
        source = await super().slow_watch(request, call, sink)
        self.clock.seconds += STEP_MS / 1000
        return source

    @property
    def closed(self) -> int:
        return sum(source.closed.is_set() for source in self.sources)


def slow(connections: ConnectionLimits = ConnectionLimits()) -> tuple[Around, SlowWatches]:
    clock = Clock()
    handlers = SlowWatches(clock)
    return Around(connections=connections, handlers=handlers, clock=clock), handlers


def watches(count: int, first: int = 1) -> bytes:
    return b"".join(enveloped(watch(first + 2 * n, 1)) for n in range(count))


async def rounds(count: int, done: Any) -> list[int]:
    """What `done` said after each round of the loop."""
    said = []
    for _ in range(count):
        await turns(1)
        said.append(done())
    return said


def most(said: list[int]) -> int:
    """The most that was done in one round."""
    return max(after - before for before, after in zip([0, *said], said, strict=False))


async def opened(around: Around, handlers: SlowWatches, count: int) -> Transport:
    ada = await signed_in(around)
    ada.protocol.data_received(watches(count))
    await rounds(3 * count, lambda: 0)
    assert len(handlers.sources) == count
    return ada


@pytest.mark.asyncio
async def test_watches_open_as_many_in_one_round_as_a_turn_has_time_for() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(watches(40))
    assert not handlers.sources
    said = await rounds(100, lambda: len(handlers.sources))
    assert said[-1] == 40
    assert most(said) <= STEPS_A_TURN
    await gone(around, ada)


@pytest.mark.asyncio
async def test_watches_of_several_users_open_within_one_round_of_all() -> None:
    around, handlers = slow()
    users = [await signed_in(around, f"user{n}") for n in range(8)]
    for user in users:
        user.protocol.data_received(watches(10))
    said = await rounds(200, lambda: len(handlers.sources))
    assert said[-1] == 80
    assert most(said) <= 2 * STEPS_A_TURN, "two turns of 2 ms are the 4 ms of a round"
    await gone(around, *users)


@pytest.mark.asyncio
async def test_another_user_is_served_while_watches_open() -> None:
    around, handlers = slow()
    ada, bob = await signed_in(around), await signed_in(around, "bob")
    ada.protocol.data_received(watches(40))
    await turns(1)
    bob.protocol.data_received(enveloped(call(1, "test.echo")))
    assert handlers.noticed["echo"] == 1
    assert len(handlers.sources) < 40
    await gone(around, ada, bob)


@pytest.mark.asyncio
async def test_what_a_watch_does_after_it_has_waited_is_charged_to_its_user() -> None:
    around, handlers = slow()
    ada = await signed_in(around)
    ada.protocol.data_received(enveloped(watch(1, 1, "test.slowwatch", v1.WatchRequest(room="hall"))))
    await turns(3)
    assert handlers.noticed["slow watch"] == 1
    budget = ada.protocol.budget
    charged: list[float] = []
    around.service.reading.charge = lambda of, seconds: charged.append(seconds) if of is budget else None  # type: ignore[method-assign]
    handlers.opened("hall").set()
    await turns(5)
    assert max(charged) == pytest.approx(STEP_MS / 1000)
    await gone(around, ada)


@pytest.mark.asyncio
async def test_cancels_end_as_many_watches_in_one_round_as_a_turn_has_time_for() -> None:
    around, handlers = slow()
    ada = await opened(around, handlers, 40)
    ada.protocol.data_received(b"".join(enveloped(cancel(1 + 2 * n)) for n in range(40)))
    assert not ada.protocol.session.desk.live, "nothing is sent on them any more"
    said = await rounds(100, lambda: handlers.closed)
    assert said[-1] == 40
    assert most(said) <= STEPS_A_TURN
    await gone(around, ada)


@pytest.mark.asyncio
async def test_a_watch_that_follows_a_cancel_opens_when_the_old_one_has_ended() -> None:
    around, handlers = slow()
    ada = await opened(around, handlers, 1)
    (old,) = handlers.sources
    ada.protocol.data_received(enveloped(cancel(1)) + enveloped(watch(3, 1)))
    while len(handlers.sources) < 2:
        await turns(1)
    assert old.closed.is_set()
    await gone(around, ada)


@pytest.mark.asyncio
async def test_a_lost_connection_is_gone_at_once_and_its_watches_end_in_steps() -> None:
    around, handlers = slow()
    ada = await opened(around, handlers, 40)
    session, sinks = ada.protocol.session, [source.sink for source in handlers.sources]
    ada.abort()
    await turns(1)
    assert session not in around.service.sessions
    assert session.desk is None
    assert all(sink is not None and sink.demand() == 0 for sink in sinks), "nothing is delivered any more"
    said = await rounds(150, lambda: handlers.closed)
    assert said[0] <= STEPS_A_TURN
    assert said[-1] == 40
    assert most(said) <= STEPS_A_TURN
    await gone(around)


@pytest.mark.asyncio
async def test_a_user_who_comes_back_has_the_budget_that_still_ends_the_old_watches() -> None:
    around, handlers = slow()
    ada = await opened(around, handlers, 40)
    budget = ada.protocol.budget
    ada.abort()
    await turns(2)
    assert handlers.closed < 40
    again = await signed_in(around)
    assert again.protocol.budget is budget
    await rounds(150, lambda: 0)
    assert handlers.closed == 40
    assert (budget.steps, budget.connections) == (None, 1)
    await gone(around, again)


@pytest.mark.asyncio
async def test_requests_whose_own_tokens_run_out_end_in_steps() -> None:
    around, handlers = slow()
    around.gate.expires_at_ms = 1 << 50
    ada = await signed_in(around)
    ada.protocol.data_received(b"".join(enveloped(watch(1 + 2 * n, 1, user="brief")) for n in range(20)))
    await rounds(100, lambda: 0)
    assert len(handlers.sources) == 20
    desk = ada.protocol.session.desk
    desk.end_expired(1 << 60)
    assert desk.first_ending_ms() is None, "it is not asked for again"
    said = await rounds(100, lambda: handlers.closed)
    assert said[-1] == 20
    assert most(said) <= STEPS_A_TURN
    await gone(around, ada)


@pytest.mark.asyncio
async def test_a_step_that_fails_does_not_keep_the_next_one_from_being_done() -> None:
    around, _ = slow()
    done: list[int] = []

    def fails() -> None:
        raise RuntimeError

    budget = around.service.reading.join("user", "ada")
    for step in (lambda: done.append(1), fails, lambda: done.append(2)):
        around.service.reading.later(budget, step)
    await turns(2)
    assert done == [1, 2]
