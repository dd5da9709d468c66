"""What the service holds for a user whose peers do not read is on the user's account, over all connections."""

import pytest

from kits.transport.fake_transport import FakeTransport, InProcessServer, length_prefixed, run_loop
from kits.transport.harness import call_frame, request_metadata, setup_frame
from rsocket_harness import frame
from tidings.contract.memory_account import MemoryAccounts
from tidings.protocols.rsocket import FrameType, LengthFieldDecoder, decode

LARGE_REQUEST = frame(FrameType.REQUEST_RESPONSE, 1, 0, request_metadata("test.echo"), bytes(300_000))
SHARE_BYTES = 65_536  # `held_bytes_max`: every session has so much anyway


async def open_connection(server: InProcessServer, user: str) -> FakeTransport:
    transport = server.tcp()
    transport.protocol.data_received(length_prefixed(setup_frame(user)))
    await run_loop(5)
    return transport


def send_partial(transport: FakeTransport, frame_bytes: bytes) -> None:
    """Bytes of the peer, in reads as the loop makes them."""
    data = length_prefixed(frame_bytes)
    for at in range(0, len(data), 65_536):
        transport.protocol.data_received(data[at : at + 65_536])


def connection_error(transport: FakeTransport) -> bytes:
    return [decode(each) for each in LengthFieldDecoder().feed(bytes(transport.written))][-1].data or b""


@pytest.mark.asyncio
async def test_requests_that_wait_for_a_full_socket_are_on_the_account_beyond_the_share_of_a_session() -> None:
    server = InProcessServer()
    ada = await open_connection(server, "ada")
    memory = server.authenticator.accounts.get("ada")
    before = memory.reserved_bytes
    ada.protocol.pause_writing()
    send_partial(ada, call_frame(3, "test.echo"))
    assert memory.reserved_bytes == before
    send_partial(ada, LARGE_REQUEST)
    assert memory.reserved_bytes == before + len(LARGE_REQUEST) + len(call_frame(3, "test.echo")) - SHARE_BYTES
    assert not ada.reading_enabled
    ada.protocol.resume_writing()
    await run_loop(10)
    assert ada.reading_enabled
    assert memory.reserved_bytes == before
    assert not ada.protocol.connection.deferred_frames


@pytest.mark.asyncio
async def test_the_connection_that_brings_too_much_for_its_users_account_ends_and_says_which_limit() -> None:
    server = InProcessServer()
    server.authenticator.accounts = MemoryAccounts(700_000)
    peers = [await open_connection(server, "ada") for _ in range(4)]
    other = await open_connection(server, "bob")
    memory = server.authenticator.accounts.get("ada")
    for each in peers:
        each.protocol.pause_writing()
        send_partial(each, LARGE_REQUEST)
    assert [each.protocol.connection.engine.closing for each in peers] == [False, False, True, True]
    assert memory.reserved_bytes <= memory.bytes_max
    assert not other.protocol.connection.engine.closing
    for each in peers[2:]:
        each.protocol.resume_writing()
        assert b"of 700000 bytes for ada (user_bytes_max); read what was sent" in connection_error(each)
    for each in peers:
        each.abort()
    await run_loop(5)
    assert memory.reserved_bytes == 0


@pytest.mark.asyncio
async def test_requests_that_are_not_complete_are_on_the_account_of_their_user() -> None:
    server = InProcessServer()
    server.authenticator.accounts = MemoryAccounts(500_000)
    ada, phone = await open_connection(server, "ada"), await open_connection(server, "ada")
    memory = server.authenticator.accounts.get("ada")
    before = memory.reserved_bytes
    half = length_prefixed(LARGE_REQUEST)[:250_000]
    ada.protocol.data_received(half)
    assert memory.reserved_bytes >= before + 200_000
    assert not ada.protocol.connection.engine.closing
    phone.protocol.data_received(half)
    phone.protocol.data_received(length_prefixed(LARGE_REQUEST)[250_000:290_000])
    phone.protocol.run_slice()
    assert phone.protocol.connection.engine.closing
    assert b"user_bytes_max" in connection_error(phone)
    ada.abort()
    phone.abort()
    await run_loop(5)
    assert memory.reserved_bytes == 0
