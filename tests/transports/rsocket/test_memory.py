"""What the requests of one user hold while they are served, and what waits for full sockets: on the user's account."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from kits.transport.harness import (
    call_frame,
    channel_frame,
    fire_and_forget_frame,
    request_metadata,
    running_harness,
    watch_frame,
)
from rsocket_harness import cancel, frame, request_response
from tidings.contract import v1
from tidings.contract.memory_account import MemoryAccounts
from tidings.dispatch.limits import MEMORY_BYTES_PER_REQUEST_BYTE, STREAM_MEMORY_BYTES
from tidings.protocols.rsocket import FrameType, decode

pytestmark = pytest.mark.parametrize("transport", ["websocket", "tcp"])
HALL_REQUEST = v1.SendRequest(room="hall", text="x" * 500)
REQUEST_MEMORY_BYTES = STREAM_MEMORY_BYTES + MEMORY_BYTES_PER_REQUEST_BYTE * HALL_REQUEST.ByteSize()


@contextmanager
def collected_garbage() -> Iterator[set[str]]:
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
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(
            call_frame(1, "test.wait", HALL_REQUEST),
            call_frame(3, "test.wait", HALL_REQUEST),
            fire_and_forget_frame(5, "test.wait", HALL_REQUEST),
        )
        await harness.handlers.until_called("wait", 3)
        account = harness.authenticator.accounts.get("ada")
        assert (account.reserved_bytes, account.active_requests) == (3 * REQUEST_MEMORY_BYTES, 3)
        await peer.send(cancel(3))
        await harness.handlers.until_called("wait cancelled")
        assert account.reserved_bytes == 2 * REQUEST_MEMORY_BYTES
        harness.handlers.release_event("hall").set()
        assert (await peer.receive()).stream_id == 1
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        assert (account.reserved_bytes, account.active_requests) == (0, 0)


@pytest.mark.asyncio
async def test_a_forgotten_request_holds_its_bytes_although_the_caller_has_left(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(fire_and_forget_frame(1, "test.wait", HALL_REQUEST))
        await harness.handlers.until_called("wait")
        account = harness.authenticator.accounts.get("ada")
        await peer.close()
        await harness.next_closed_session()
        assert account.reserved_bytes == REQUEST_MEMORY_BYTES
        harness.handlers.release_event("hall").set()
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        assert account.reserved_bytes == 0


@pytest.mark.asyncio
async def test_an_open_watch_and_a_channel_hold_their_streams_and_not_their_requests(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(
            watch_frame(1, 1, message=v1.WatchRequest(room="y" * 900)),
            channel_frame(3, 1, ref=1),
        )
        await harness.handlers.until_called("channel")
        await harness.handlers.until_called("watch")
        account = harness.authenticator.accounts.get("ada")
        await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
        assert account.reserved_bytes == 2 * STREAM_MEMORY_BYTES


@pytest.mark.asyncio
async def test_beyond_the_limit_a_request_is_refused_over_every_connection_of_that_user(transport: str) -> None:
    async with running_harness() as harness:
        harness.authenticator.accounts = MemoryAccounts(2 * REQUEST_MEMORY_BYTES + 100)
        async with harness.peer(transport) as peer, harness.peer(transport) as phone:
            await peer.send(call_frame(1, "test.wait", HALL_REQUEST), call_frame(3, "test.wait", HALL_REQUEST))
            await harness.handlers.until_called("wait", 2)
            await phone.send(
                call_frame(1, "test.wait", HALL_REQUEST), fire_and_forget_frame(3, "test.wait", HALL_REQUEST)
            )
            _, text = await phone.receive_error()
            assert text.startswith("RESOURCE_EXHAUSTED: the service holds ")
            assert "user_bytes_max" in text
            harness.handlers.release_event("hall").set()
            await peer.receive()
            await peer.receive()
            assert (await phone.request(5, "test.wait", HALL_REQUEST)).data
            assert harness.handlers.calls["wait"] == 3, "what was refused was not begun"


@pytest.mark.asyncio
async def test_so_many_requests_of_one_user_wait_over_all_connections(transport: str) -> None:
    async with running_harness() as harness:
        harness.authenticator.accounts = MemoryAccounts(67_108_864, 2)
        async with harness.peer(transport) as peer, harness.peer(transport) as phone:
            await peer.send(
                call_frame(1, "test.wait", HALL_REQUEST), fire_and_forget_frame(3, "test.wait", HALL_REQUEST)
            )
            await harness.handlers.until_called("wait", 2)
            await phone.send(call_frame(1, "test.wait", HALL_REQUEST))
            assert "user_requests_max" in (await phone.receive_error())[1]
            harness.handlers.release_event("hall").set()
            await peer.receive()
            await harness.wait_until(lambda: not harness.listener.dispatcher.tasks)
            assert (await phone.request(3, "test.wait", HALL_REQUEST)).data


@pytest.mark.asyncio
async def test_a_large_answer_is_refused_when_full_sockets_of_its_user_hold_too_much_and_small_ones_never_are(
    transport: str,
) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(
            call_frame(1, "test.wait", HALL_REQUEST), call_frame(3, "test.wait", v1.SendRequest(room="garden"))
        )
        await harness.handlers.until_called("wait", 2)
        account = harness.authenticator.accounts.get("ada")
        session = harness.authenticator.sessions[0]
        name, session.identity = session.identity, replace(session.identity, user="a" * 100_000)
        # Another connection's socket is full.
        account.queue_sizes["phone"] = lambda: account.bytes_max - 50_000
        harness.handlers.release_event("hall").set()
        _, text = await peer.receive_error()
        assert text.startswith("RESOURCE_EXHAUSTED: ")
        assert "user_bytes_max" in text
        session.identity = name
        harness.handlers.release_event("garden").set()
        assert (await peer.receive()).data
        account.queue_sizes.clear()


@pytest.mark.asyncio
async def test_what_waits_for_a_full_socket_is_on_the_account_until_the_socket_is_free_or_gone(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer, harness.peer(transport) as other:
        for each in (peer, other):
            await each.request(1, "test.echo")
        account = harness.authenticator.accounts.get("ada")
        sessions = list(harness.listener.dispatcher.peers)
        for session in sessions:
            session.transport.pause_writing()
            session.engine.send_priority(b"\0" * 5_000)
        assert account.queued_bytes >= 10_000
        sessions[0].transport.resume_writing()
        assert account.queue_sizes.keys() == {sessions[1]}
        for each in (peer, other):
            each.abort()
        await harness.next_closed_session()
        await harness.next_closed_session()
        await harness.wait_until(lambda: not harness.connection_count)
        assert account.queue_sizes == {}


@pytest.mark.asyncio
async def test_a_connection_that_is_gone_is_freed_at_once_and_not_left_to_the_garbage_collector(transport: str) -> None:
    async with running_harness() as harness:
        for number in range(3):
            async with harness.peer(transport) as peer:
                await peer.send(watch_frame(1, 5), channel_frame(3, 1, ref=1), call_frame(5, "test.wait", HALL_REQUEST))
                await harness.handlers.until_called("wait", number + 1)
                with collected_garbage() as found:
                    peer.abort()
                    await harness.next_closed_session()
                    await harness.wait_until(
                        lambda: not harness.connection_count and not harness.listener.dispatcher.tasks
                    )
                    for held in (
                        harness.authenticator.sessions,
                        harness.authenticator.closed_sessions,
                        harness.handlers.subscriptions,
                        harness.handlers.channel_handlers,
                    ):
                        held.clear()  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
                assert found == set()


@pytest.mark.asyncio
async def test_a_refused_request_is_freed_at_once_and_not_left_to_the_garbage_collector(transport: str) -> None:
    async with running_harness() as harness, harness.peer(transport) as peer:
        await peer.send(call_frame(11, "test.echo", HALL_REQUEST))  # from then on such a call is answered at once
        await peer.receive()
        refused = (
            request_response(1, b"\xff" * 900, metadata=request_metadata("test.echo")),  # not the route's message
            request_response(3, b"\xff" * 900, metadata=request_metadata("test.wait")),
            request_response(5, b"\xff" * 900, metadata=request_metadata("test.watch")),  # not how one asks for it
            request_response(7, b"\xff" * 900, metadata=request_metadata("test.nothing")),  # no such route
            frame(FrameType.REQUEST_STREAM, 9, 0, request_metadata("test.watch"), b"\xff" * 900, initial_n=1),
        )
        for each in refused:
            with collected_garbage() as found:
                await peer.send(each)
                await peer.receive_error()
            assert found == set(), decode(each)
