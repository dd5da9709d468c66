"""RSocket over TCP on the wire: lengths, pieces, halves. Item 89."""

import asyncio
import socket

import pytest

from rsocket_kit import setup
from tidings.contract import v1
from tidings.rsocket import FrameType, decode
from transports.stage import GUARD_SECONDS, READING_ALL, Stage, TcpPeer, call, reply, said, setup_of, staged


async def raw(stage: Stage) -> TcpPeer:
    return TcpPeer(*await asyncio.open_connection("127.0.0.1", stage.listener.tcp_port))


def enveloped(*frames: bytes) -> bytes:
    return b"".join(len(each).to_bytes(3, "big") + each for each in frames)


@pytest.mark.asyncio
async def test_item_89_frames_in_single_bytes_are_served() -> None:
    async with staged() as stage:
        peer = await raw(stage)
        for byte in enveloped(setup_of("ada"), call(1, "test.echo", v1.SendRequest(text="slowly"))):
            peer.writer.write(bytes((byte,)))
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert reply(await peer.receive()).cursor.epoch == "slowly"
        peer.cut()


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [0, 5])
async def test_item_89_a_length_below_a_header_ends_the_connection(length: int) -> None:
    async with staged() as stage, stage.peer("tcp") as peer:
        assert (await peer.ask(1, "test.echo")).stream_id == 1
        peer.writer.write(length.to_bytes(3, "big") + bytes(length))
        assert (await peer.refusal())[0] == 0x101
        await stage.gone()


@pytest.mark.asyncio
async def test_item_89_a_length_below_a_header_before_setup_is_an_invalid_setup() -> None:
    async with staged() as stage, stage.peer("tcp", b"") as peer:
        peer.writer.write(bytes(3))
        assert (await peer.refusal())[0] == 0x001


@pytest.mark.asyncio
async def test_item_89_a_frame_of_16777215_bytes_is_taken() -> None:
    async with staged(READING_ALL) as stage, stage.peer("tcp") as peer:
        head = call(1, "test.echo")
        text = "a" * (16_777_215 - len(head) - 5)
        await peer.send(call(1, "test.echo", v1.SendRequest(text=text)))
        size = 0
        found = await peer.receive()
        while found.flags & 0x80:
            size += len(found.data)
            found = await peer.receive()
        assert size + len(found.data) > len(text)


@pytest.mark.asyncio
async def test_item_89_an_end_of_file_ends_the_connection_for_both_directions() -> None:
    async with staged() as stage, stage.peer("tcp") as peer:
        assert (await peer.ask(1, "test.echo")).stream_id == 1
        peer.writer.write_eof()
        assert await peer.rest() == []
        await stage.gone()


@pytest.mark.asyncio
async def test_a_first_frame_that_is_too_big_for_a_stranger_is_not_kept() -> None:
    async with staged() as stage, stage.peer("tcp", b"") as peer:
        peer.writer.write((16_000_000).to_bytes(3, "big") + bytes(70_000))
        code, text = await peer.refusal()
        assert code == 0x001
        assert "65536 bytes at most (first_message_bytes_max)" in text


@pytest.mark.asyncio
async def test_a_frame_behind_setup_that_is_too_big_is_told_its_own_limit() -> None:
    async with staged() as stage:
        peer = await raw(stage)
        peer.writer.write(enveloped(setup(metadata=said(user="mallory"))) + (700_000).to_bytes(3, "big") + bytes(100))
        _, text = await peer.refusal()
        assert "bytes at most (request_bytes_max and metadata_bytes_max)" in text
        assert "65536" not in text


@pytest.mark.asyncio
async def test_a_refusal_arrives_although_much_was_sent_behind_setup() -> None:
    async with staged() as stage:
        peer = await raw(stage)
        peer.writer.write(
            enveloped(setup(metadata=said(user="mallory")), *(call(1 + 2 * n, "test.echo") for n in range(100)))
        )
        frames = [decode(each) for each in await whole_rest(peer)]
        assert (frames[-1].type, frames[-1].fields["code"]) == (FrameType.ERROR, 0x003)
        peer.cut()


async def whole_rest(peer: TcpPeer) -> list[bytes]:
    data = await asyncio.wait_for(peer.reader.read(), GUARD_SECONDS)
    frames = []
    while data:
        size = int.from_bytes(data[:3], "big")
        frames.append(data[3 : 3 + size])
        data = data[3 + size :]
    return frames


@pytest.mark.asyncio
async def test_small_frames_are_not_held_back() -> None:
    async with staged() as stage, stage.peer("tcp") as peer:
        await peer.ask(1, "test.echo")
        (session,) = stage.listener.service.sessions
        accepted = session.wire.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.asyncio
async def test_the_kernel_receives_no_more_ahead_than_the_setting_says() -> None:
    async with staged() as stage, stage.peer("tcp") as peer:
        await peer.ask(1, "test.echo")
        (session,) = stage.listener.service.sessions
        accepted = session.wire.transport.get_extra_info("socket")  # type: ignore[attr-defined]
        buffer_bytes = stage.listener.settings.connections.receive_buffer_bytes
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * buffer_bytes  # Linux doubles it
