"""RSocket over TCP on the wire: lengths, pieces, halves. Item 89."""

import asyncio
import socket

import pytest

from kits.transport.harness import (
    LARGE_REQUEST_SETTINGS,
    TEST_TIMEOUT_SECONDS,
    TcpPeer,
    TransportHarness,
    call_frame,
    decode_reply,
    request_metadata,
    running_harness,
    setup_frame,
)
from rsocket_harness import setup
from tidings.contract import v1
from tidings.protocols.rsocket import FrameType, decode


async def raw(harness: TransportHarness) -> TcpPeer:
    return TcpPeer(*await asyncio.open_connection("127.0.0.1", harness.listener.tcp_port))


def length_prefixed(*frames: bytes) -> bytes:
    return b"".join(len(each).to_bytes(3, "big") + each for each in frames)


@pytest.mark.asyncio
async def test_item_89_frames_in_single_bytes_are_served() -> None:
    async with running_harness() as harness:
        peer = await raw(harness)
        for byte in length_prefixed(setup_frame("ada"), call_frame(1, "test.echo", v1.SendRequest(text="slowly"))):
            peer.writer.write(bytes((byte,)))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert decode_reply(await peer.receive()).cursor.epoch == "slowly"
        peer.abort()


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [0, 5])
async def test_item_89_a_length_below_a_header_ends_the_connection(length: int) -> None:
    async with running_harness() as harness, harness.peer("tcp") as peer:
        assert (await peer.request(1, "test.echo")).stream_id == 1
        peer.writer.write(length.to_bytes(3, "big") + bytes(length))
        assert (await peer.receive_connection_error())[0] == 0x101
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_item_89_a_length_below_a_header_before_setup_is_an_invalid_setup() -> None:
    async with running_harness() as harness, harness.peer("tcp", b"") as peer:
        peer.writer.write(bytes(3))
        assert (await peer.receive_connection_error())[0] == 0x001


@pytest.mark.asyncio
async def test_item_89_a_frame_of_16777215_bytes_is_taken() -> None:
    async with running_harness(LARGE_REQUEST_SETTINGS) as harness, harness.peer("tcp") as peer:
        head = call_frame(1, "test.echo")
        text = "a" * (16_777_215 - len(head) - 5)
        await peer.send(call_frame(1, "test.echo", v1.SendRequest(text=text)))
        size = 0
        found = await peer.receive()
        while found.flags & 0x80:
            size += len(found.data)
            found = await peer.receive()
        assert size + len(found.data) > len(text)


@pytest.mark.asyncio
async def test_item_89_an_end_of_file_ends_the_connection_for_both_directions() -> None:
    async with running_harness() as harness, harness.peer("tcp") as peer:
        assert (await peer.request(1, "test.echo")).stream_id == 1
        peer.writer.write_eof()
        assert await peer.read_until_closed() == []
        await harness.next_closed_session()


@pytest.mark.asyncio
async def test_a_first_frame_that_is_too_big_for_a_stranger_is_not_kept() -> None:
    async with running_harness() as harness, harness.peer("tcp", b"") as peer:
        peer.writer.write((16_000_000).to_bytes(3, "big") + bytes(70_000))
        code, text = await peer.receive_connection_error()
        assert code == 0x001
        assert "65536 bytes at most (first_message_bytes_max)" in text


@pytest.mark.asyncio
async def test_a_frame_behind_setup_that_is_too_big_is_told_its_own_limit() -> None:
    async with running_harness() as harness:
        peer = await raw(harness)
        peer.writer.write(
            length_prefixed(setup(metadata=request_metadata(user="mallory")))
            + (700_000).to_bytes(3, "big")
            + bytes(100)
        )
        _, text = await peer.receive_connection_error()
        assert "bytes at most (request_bytes_max and metadata_bytes_max)" in text
        assert "65536" not in text


@pytest.mark.asyncio
async def test_a_refusal_arrives_although_much_was_sent_behind_setup() -> None:
    async with running_harness() as harness:
        peer = await raw(harness)
        peer.writer.write(
            length_prefixed(
                setup(metadata=request_metadata(user="mallory")),
                *(call_frame(1 + 2 * n, "test.echo") for n in range(100)),
            )
        )
        frames = [decode(each) for each in await read_all(peer)]
        assert (frames[-1].type, frames[-1].fields["code"]) == (FrameType.ERROR, 0x003)
        peer.abort()


async def read_all(peer: TcpPeer) -> list[bytes]:
    data = await asyncio.wait_for(peer.reader.read(), TEST_TIMEOUT_SECONDS)
    frames = []
    while data:
        size = int.from_bytes(data[:3], "big")
        frames.append(data[3 : 3 + size])
        data = data[3 + size :]
    return frames


@pytest.mark.asyncio
async def test_small_frames_are_not_held_back() -> None:
    async with running_harness() as harness, harness.peer("tcp") as peer:
        await peer.request(1, "test.echo")
        (session,) = harness.listener.dispatcher.peers
        accepted = session.transport.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.asyncio
async def test_the_kernel_receives_no_more_ahead_than_the_setting_says() -> None:
    async with running_harness() as harness, harness.peer("tcp") as peer:
        await peer.request(1, "test.echo")
        (session,) = harness.listener.dispatcher.peers
        accepted = session.transport.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        buffer_bytes = harness.listener.settings.connections.receive_buffer_bytes
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * buffer_bytes  # Linux doubles it
