"""Opening and ending streams in steps: however many a user has, the others are looked at in between."""

from typing import Any

import pytest

from kits.transport.fake_transport import FakeTransport, InProcessServer, length_prefixed, run_loop
from kits.transport.harness import FakeClock, FakeSubscription, Handlers, call_frame, watch_frame
from rsocket_harness import cancel
from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.hub import Sink
from tidings.server.settings import ConnectionLimits
from transports.rsocket.test_read_slices import close_all, open_connection

STEP_MS = 0.6
STEPS_PER_SLICE = 4  # of 2 ms


class SlowSubscription(FakeSubscription):
    """Takes `STEP_MS` of the loop to close."""

    clock: FakeClock

    def close(self) -> None:
        self.clock.seconds += STEP_MS / 1000
        super().close()


class SlowWatches(Handlers):
    """A watch takes `STEP_MS` of the loop to open, and as long to close."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    async def watch(self, request: Any, context: CallContext, sink: Sink[Any]) -> FakeSubscription:
        self.clock.seconds += STEP_MS / 1000
        source = SlowSubscription(sink, self.watch_last)
        source.clock = self.clock
        self.subscriptions.append(source)
        return source

    async def slow_watch(self, request: Any, context: CallContext, sink: Sink[Any]) -> FakeSubscription:
        source = await super().slow_watch(request, context, sink)
        self.clock.seconds += STEP_MS / 1000
        return source

    @property
    def closed_count(self) -> int:
        return sum(source.closed.is_set() for source in self.subscriptions)


def slow_server(connections: ConnectionLimits = ConnectionLimits()) -> tuple[InProcessServer, SlowWatches]:
    clock = FakeClock()
    handlers = SlowWatches(clock)
    return InProcessServer(connections=connections, handlers=handlers, clock=clock), handlers


def watch_frames(count: int, first: int = 1) -> bytes:
    return b"".join(length_prefixed(watch_frame(first + 2 * n, 1)) for n in range(count))


async def run_rounds(count: int, done: Any) -> list[int]:
    """What `done` said after each round of the loop."""
    said = []
    for _ in range(count):
        await run_loop(1)
        said.append(done())
    return said


def max_per_round(said: list[int]) -> int:
    """The most that was done in one round."""
    return max(after - before for before, after in zip([0, *said], said, strict=False))


async def open_watches(server: InProcessServer, handlers: SlowWatches, count: int) -> FakeTransport:
    ada = await open_connection(server)
    ada.protocol.data_received(watch_frames(count))
    await run_rounds(3 * count, lambda: 0)
    assert len(handlers.subscriptions) == count
    return ada


@pytest.mark.asyncio
async def test_watches_open_as_many_in_one_round_as_a_turn_has_time_for() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(watch_frames(40))
    assert not handlers.subscriptions
    said = await run_rounds(100, lambda: len(handlers.subscriptions))
    assert said[-1] == 40
    assert max_per_round(said) <= STEPS_PER_SLICE
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_watches_of_several_users_open_within_one_round_of_all() -> None:
    server, handlers = slow_server()
    users = [await open_connection(server, f"user{n}") for n in range(8)]
    for user in users:
        user.protocol.data_received(watch_frames(10))
    said = await run_rounds(200, lambda: len(handlers.subscriptions))
    assert said[-1] == 80
    assert max_per_round(said) <= 2 * STEPS_PER_SLICE, "two turns of 2 ms are the 4 ms of a round"
    await close_all(server, *users)


@pytest.mark.asyncio
async def test_another_user_is_served_while_watches_open() -> None:
    server, handlers = slow_server()
    ada, bob = await open_connection(server), await open_connection(server, "bob")
    ada.protocol.data_received(watch_frames(40))
    await run_loop(1)
    bob.protocol.data_received(length_prefixed(call_frame(1, "test.echo")))
    assert handlers.calls["echo"] == 1
    assert len(handlers.subscriptions) < 40
    await close_all(server, ada, bob)


@pytest.mark.asyncio
async def test_what_a_watch_does_after_it_has_waited_is_charged_to_its_user() -> None:
    server, handlers = slow_server()
    ada = await open_connection(server)
    ada.protocol.data_received(length_prefixed(watch_frame(1, 1, "test.slowwatch", v1.WatchRequest(room="hall"))))
    await run_loop(3)
    assert handlers.calls["slow watch"] == 1
    budget = ada.protocol.budget
    charged: list[float] = []
    server.rsocket_server.read_scheduler.charge = lambda of, seconds: charged.append(seconds) if of is budget else None  # type: ignore[method-assign]
    handlers.release_event("hall").set()
    await run_loop(5)
    assert max(charged) == pytest.approx(STEP_MS / 1000)
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_cancels_end_as_many_watches_in_one_round_as_a_turn_has_time_for() -> None:
    server, handlers = slow_server()
    ada = await open_watches(server, handlers, 40)
    ada.protocol.data_received(b"".join(length_prefixed(cancel(1 + 2 * n)) for n in range(40)))
    assert not ada.protocol.connection.client_session.active, "nothing is sent on them any more"
    said = await run_rounds(100, lambda: handlers.closed_count)
    assert said[-1] == 40
    assert max_per_round(said) <= STEPS_PER_SLICE
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_a_watch_that_follows_a_cancel_opens_when_the_old_one_has_ended() -> None:
    server, handlers = slow_server()
    ada = await open_watches(server, handlers, 1)
    (old,) = handlers.subscriptions
    ada.protocol.data_received(length_prefixed(cancel(1)) + length_prefixed(watch_frame(3, 1)))
    while len(handlers.subscriptions) < 2:
        await run_loop(1)
    assert old.closed.is_set()
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_a_lost_connection_is_gone_at_once_and_its_watches_end_in_steps() -> None:
    server, handlers = slow_server()
    ada = await open_watches(server, handlers, 40)
    session, sinks = ada.protocol.connection, [source.sink for source in handlers.subscriptions]
    ada.abort()
    await run_loop(1)
    assert session not in server.dispatcher.peers
    assert session.client_session is None
    assert all(sink is not None and sink.demand() == 0 for sink in sinks), "nothing is delivered any more"
    said = await run_rounds(150, lambda: handlers.closed_count)
    assert said[0] <= STEPS_PER_SLICE
    assert said[-1] == 40
    assert max_per_round(said) <= STEPS_PER_SLICE
    await close_all(server)


@pytest.mark.asyncio
async def test_a_user_who_comes_back_has_the_budget_that_still_ends_the_old_watches() -> None:
    server, handlers = slow_server()
    ada = await open_watches(server, handlers, 40)
    budget = ada.protocol.budget
    ada.abort()
    await run_loop(2)
    assert handlers.closed_count < 40
    again = await open_connection(server)
    assert again.protocol.budget is budget
    await run_rounds(150, lambda: 0)
    assert handlers.closed_count == 40
    assert (budget.deferred_steps, budget.connection_count) == (None, 2)  # the connection and its session
    await close_all(server, again)


@pytest.mark.asyncio
async def test_requests_whose_own_tokens_run_out_end_in_steps() -> None:
    server, handlers = slow_server()
    server.authenticator.expires_at_ms = 1 << 50
    ada = await open_connection(server)
    ada.protocol.data_received(b"".join(length_prefixed(watch_frame(1 + 2 * n, 1, user="brief")) for n in range(20)))
    await run_rounds(100, lambda: 0)
    assert len(handlers.subscriptions) == 20
    client_session = ada.protocol.connection.client_session
    client_session.fail_expired(1 << 60)
    assert client_session.next_expiry_ms() is None, "it is not asked for again"
    said = await run_rounds(100, lambda: handlers.closed_count)
    assert said[-1] == 20
    assert max_per_round(said) <= STEPS_PER_SLICE
    await close_all(server, ada)


@pytest.mark.asyncio
async def test_a_step_that_fails_does_not_keep_the_next_one_from_being_done() -> None:
    server, _ = slow_server()
    done: list[int] = []

    def fails() -> None:
        raise RuntimeError

    budget = server.rsocket_server.read_scheduler.acquire("user", "ada")
    for step in (lambda: done.append(1), fails, lambda: done.append(2)):
        server.rsocket_server.read_scheduler.defer(budget, step)
    await run_loop(2)
    assert done == [1, 2]
