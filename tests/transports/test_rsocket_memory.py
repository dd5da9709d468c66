"""What the requests of one user hold while they are served, and what waits for full sockets: on the user's account."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from rsocket_kit import cancel, frame, request_response
from tidings.contract import v1
from tidings.contract.memory import Accounts
from tidings.rsocket import FrameType, decode
from tidings.transports.rsocket_desk import REQUEST_BYTES_PER_BYTE, STREAM_BYTES
from transports.stage import call, channel, forget, said, staged, watch

pytestmark = pytest.mark.parametrize("transport", ["websocket", "tcp"])
IN_HALL = v1.SendRequest(room="hall", text="x" * 500)
WEIGHT = STREAM_BYTES + REQUEST_BYTES_PER_BYTE * IN_HALL.ByteSize()


@contextmanager
def left_to_the_collector() -> Iterator[set[str]]:
    """The names of our classes whose objects were left in cycles; known at the end."""
    found: set[str] = set()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield found
        gc.collect()
        found |= {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("tidings.")}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.asyncio
async def test_a_request_holds_its_bytes_until_it_is_answered_or_given_up(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", IN_HALL), call(3, "test.wait", IN_HALL), forget(5, "test.wait", IN_HALL))
        await stage.handlers.seen("wait", 3)
        account = stage.gate.accounts.of("ada")
        assert (account.held, account.requests) == (3 * WEIGHT, 3)
        await peer.send(cancel(3))
        await stage.handlers.seen("wait cancelled")
        assert account.held == 2 * WEIGHT
        stage.handlers.opened("hall").set()
        assert (await peer.receive()).stream_id == 1
        await stage.until(lambda: not stage.listener.service.tasks)
        assert (account.held, account.requests) == (0, 0)


@pytest.mark.asyncio
async def test_a_forgotten_request_holds_its_bytes_although_the_caller_has_left(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(forget(1, "test.wait", IN_HALL))
        await stage.handlers.seen("wait")
        account = stage.gate.accounts.of("ada")
        await peer.close()
        await stage.gone()
        assert account.held == WEIGHT
        stage.handlers.opened("hall").set()
        await stage.until(lambda: not stage.listener.service.tasks)
        assert account.held == 0


@pytest.mark.asyncio
async def test_an_open_watch_and_a_channel_hold_their_streams_and_not_their_requests(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(
            watch(1, 1, message=v1.WatchRequest(room="y" * 900)),
            channel(3, 1, ref=1),
        )
        await stage.handlers.seen("channel")
        await stage.handlers.seen("watch")
        account = stage.gate.accounts.of("ada")
        await stage.until(lambda: not stage.listener.service.tasks)
        assert account.held == 2 * STREAM_BYTES


@pytest.mark.asyncio
async def test_beyond_the_limit_a_request_is_refused_over_every_connection_of_that_user(transport: str) -> None:
    async with staged() as stage:
        stage.gate.accounts = Accounts(2 * WEIGHT + 100)
        async with stage.peer(transport) as peer, stage.peer(transport) as phone:
            await peer.send(call(1, "test.wait", IN_HALL), call(3, "test.wait", IN_HALL))
            await stage.handlers.seen("wait", 2)
            await phone.send(call(1, "test.wait", IN_HALL), forget(3, "test.wait", IN_HALL))
            _, text = await phone.failure()
            assert text.startswith("RESOURCE_EXHAUSTED: ada makes the service hold ")
            assert "user_bytes_max" in text
            stage.handlers.opened("hall").set()
            await peer.receive()
            await peer.receive()
            assert (await phone.ask(5, "test.wait", IN_HALL)).data
            assert stage.handlers.noticed["wait"] == 3, "what was refused was not begun"


@pytest.mark.asyncio
async def test_so_many_requests_of_one_user_wait_over_all_connections(transport: str) -> None:
    async with staged() as stage:
        stage.gate.accounts = Accounts(67_108_864, 2)
        async with stage.peer(transport) as peer, stage.peer(transport) as phone:
            await peer.send(call(1, "test.wait", IN_HALL), forget(3, "test.wait", IN_HALL))
            await stage.handlers.seen("wait", 2)
            await phone.send(call(1, "test.wait", IN_HALL))
            assert "user_requests_max" in (await phone.failure())[1]
            stage.handlers.opened("hall").set()
            await peer.receive()
            await stage.until(lambda: not stage.listener.service.tasks)
            assert (await phone.ask(3, "test.wait", IN_HALL)).data


@pytest.mark.asyncio
async def test_a_large_answer_is_refused_when_full_sockets_of_its_user_hold_too_much_and_small_ones_never_are(
    transport: str,
) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(1, "test.wait", IN_HALL), call(3, "test.wait", v1.SendRequest(room="garden")))
        await stage.handlers.seen("wait", 2)
        account = stage.gate.accounts.of("ada")
        session = stage.gate.sessions[0]
        name, session.identity = session.identity, replace(session.identity, user="a" * 100_000)
        # Another connection's socket is full.
        account.queues["phone"] = lambda: account.bytes_max - 50_000
        stage.handlers.opened("hall").set()
        _, text = await peer.failure()
        assert text.startswith("RESOURCE_EXHAUSTED: ")
        assert "user_bytes_max" in text
        session.identity = name
        stage.handlers.opened("garden").set()
        assert (await peer.receive()).data
        account.queues.clear()


@pytest.mark.asyncio
async def test_what_waits_for_a_full_socket_is_on_the_account_until_the_socket_is_free_or_gone(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer, stage.peer(transport) as other:
        await stage.until(lambda: len(stage.gate.sessions) == 2)
        account = stage.gate.accounts.of("ada")
        sessions = list(stage.listener.service.sessions)
        for session in sessions:
            session.wire.pause_writing()
            session.connection.send_first(b"\0" * 5_000)
        assert account.queued >= 10_000
        sessions[0].wire.resume_writing()
        assert account.queues.keys() == {sessions[1]}
        for each in (peer, other):
            each.cut()
        await stage.gone()
        await stage.gone()
        await stage.until(lambda: not stage.sessions)
        assert account.queues == {}


@pytest.mark.asyncio
async def test_a_connection_that_is_gone_is_freed_at_once_and_not_left_to_the_garbage_collector(transport: str) -> None:
    async with staged() as stage:
        for number in range(3):
            async with stage.peer(transport) as peer:
                await peer.send(watch(1, 5), channel(3, 1, ref=1), call(5, "test.wait", IN_HALL))
                await stage.handlers.seen("wait", number + 1)
                with left_to_the_collector() as found:
                    peer.cut()
                    await stage.gone()
                    await stage.until(lambda: not stage.sessions and not stage.listener.service.tasks)
                    for held in (stage.gate.sessions, stage.gate.gone, stage.handlers.sources, stage.handlers.talks):
                        held.clear()  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
                assert found == set()


@pytest.mark.asyncio
async def test_a_refused_request_is_freed_at_once_and_not_left_to_the_garbage_collector(transport: str) -> None:
    async with staged() as stage, stage.peer(transport) as peer:
        await peer.send(call(11, "test.echo", IN_HALL))  # from then on such a call is answered at once
        await peer.receive()
        refused = (
            request_response(1, b"\xff" * 900, metadata=said("test.echo")),  # not the route's message
            request_response(3, b"\xff" * 900, metadata=said("test.wait")),
            request_response(5, b"\xff" * 900, metadata=said("test.watch")),  # not how one asks for it
            request_response(7, b"\xff" * 900, metadata=said("test.nothing")),  # no such route
            frame(FrameType.REQUEST_STREAM, 9, 0, said("test.watch"), b"\xff" * 900, initial_n=1),
        )
        for each in refused:
            with left_to_the_collector() as found:
                await peer.send(each)
                await peer.failure()
            assert found == set(), decode(each)
