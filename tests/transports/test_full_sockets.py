"""What the service holds for a user whose peers do not read is on the user's account, over all connections."""

import pytest

from rsocket_kit import frame
from tidings.contract.memory import Accounts
from tidings.rsocket import FrameSplitter, FrameType, decode
from transports.fake_socket import Around, Transport, enveloped, turns
from transports.stage import call, said, setup_of

LARGE = frame(FrameType.REQUEST_RESPONSE, 1, 0, said("test.echo"), bytes(300_000))
SHARE = 65_536  # `held_bytes_max`: every session has so much anyway


async def entered(around: Around, user: str) -> Transport:
    transport = around.tcp()
    transport.protocol.data_received(enveloped(setup_of(user)))
    await turns(5)
    return transport


def bring(transport: Transport, frame_bytes: bytes) -> None:
    """Bytes of the peer, in reads as the loop makes them."""
    data = enveloped(frame_bytes)
    for at in range(0, len(data), 65_536):
        transport.protocol.data_received(data[at : at + 65_536])


def error_of(transport: Transport) -> bytes:
    return [decode(each) for each in FrameSplitter().feed(bytes(transport.written))][-1].data or b""


@pytest.mark.asyncio
async def test_requests_that_wait_for_a_full_socket_are_on_the_account_beyond_the_share_of_a_session() -> None:
    around = Around()
    ada = await entered(around, "ada")
    memory = around.gate.accounts.of("ada")
    before = memory.held
    ada.protocol.pause_writing()
    bring(ada, call(3, "test.echo"))
    assert memory.held == before
    bring(ada, LARGE)
    assert memory.held == before + len(LARGE) + len(call(3, "test.echo")) - SHARE
    assert not ada.reading
    ada.protocol.resume_writing()
    await turns(10)
    assert ada.reading
    assert memory.held == before
    assert not ada.protocol.session.held


@pytest.mark.asyncio
async def test_the_connection_that_brings_too_much_for_its_users_account_ends_and_says_which_limit() -> None:
    around = Around()
    around.gate.accounts = Accounts(700_000)
    peers = [await entered(around, "ada") for _ in range(4)]
    other = await entered(around, "bob")
    memory = around.gate.accounts.of("ada")
    for each in peers:
        each.protocol.pause_writing()
        bring(each, LARGE)
    assert [each.protocol.session.connection.closing for each in peers] == [False, False, True, True]
    assert memory.held <= memory.bytes_max
    assert not other.protocol.session.connection.closing
    for each in peers[2:]:
        each.protocol.resume_writing()
        assert b"of 700000 bytes (user_bytes_max); take what was sent" in error_of(each)
    for each in peers:
        each.abort()
    await turns(5)
    assert memory.held == 0


@pytest.mark.asyncio
async def test_requests_that_are_not_complete_are_on_the_account_of_their_user() -> None:
    around = Around()
    around.gate.accounts = Accounts(500_000)
    ada, phone = await entered(around, "ada"), await entered(around, "ada")
    memory = around.gate.accounts.of("ada")
    before = memory.held
    half = enveloped(LARGE)[:250_000]
    ada.protocol.data_received(half)
    assert memory.held >= before + 200_000
    assert not ada.protocol.session.connection.closing
    phone.protocol.data_received(half)
    phone.protocol.data_received(enveloped(LARGE)[250_000:290_000])
    phone.protocol.read_on()
    assert phone.protocol.session.connection.closing
    assert b"user_bytes_max" in error_of(phone)
    ada.abort()
    phone.abort()
    await turns(5)
    assert memory.held == 0
