"""WebSocket messages that are no frames, and WebSocket frames that are no messages."""

import pytest

from interop.hostile import raw_frames
from interop.hostile.raw_frames import (
    BINARY,
    CONTINUATION,
    FINAL,
    PAYLOAD,
    PING,
    TEXT,
    RawWebSocketConnection,
    websocket_frame,
)
from interop.hostile.requests import authenticate, ping, send
from service_runner import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_websocket_messages_that_are_no_frames_end_the_connection(service: RunningService) -> None:
    for content, first in ((b"text", TEXT), (b"", BINARY), (b"short", BINARY)):
        async with raw_frames.open_connection(service.ws_url) as connection:
            assert isinstance(connection, RawWebSocketConnection)
            await authenticate(connection)
            await connection.send_bytes(websocket_frame(content, first=FINAL | first))
            await raw_frames.receive_until_closed(connection)
            assert connection.close_code in {1002, 1003, 1008}


async def test_a_websocket_that_breaks_its_own_rules_is_closed(service: RunningService) -> None:
    broken = {
        "not masked": websocket_frame(ping(3), masked=False),
        "a reserved bit": websocket_frame(ping(3), first=FINAL | BINARY | 0x40),
        "an unknown opcode": websocket_frame(ping(3), first=FINAL | 0x3),
        "a continuation of nothing": websocket_frame(ping(3), first=FINAL | CONTINUATION),
        "a message inside a message": websocket_frame(ping(3), first=BINARY) + websocket_frame(ping(3)),
        "a ping of 126 bytes": websocket_frame(bytes(126), first=FINAL | PING),
        "a length of 2^63": b"\x82\xff" + b"\xff" * 8,
    }
    for how, data in broken.items():
        async with raw_frames.open_connection(service.ws_url) as connection:
            assert isinstance(connection, RawWebSocketConnection)
            await authenticate(connection)
            await connection.send_bytes(data)
            assert [each for each in await raw_frames.receive_until_closed(connection) if each.type == PAYLOAD] == [], (
                how
            )
            assert connection.close_code in {1002, 1009}, how


async def test_a_frame_may_come_in_many_websocket_pieces(service: RunningService) -> None:
    whole = ping(3)
    pieces = [bytes([octet]) for octet in whole]
    async with raw_frames.open_connection(service.ws_url) as connection:
        await authenticate(connection)
        await connection.send_bytes(websocket_frame(pieces[0], first=BINARY))
        for piece in pieces[1:-1]:
            await connection.send_bytes(websocket_frame(piece, first=CONTINUATION))
        await connection.send_bytes(websocket_frame(pieces[-1], first=FINAL | CONTINUATION))
        assert (await raw_frames.receive_on_stream(connection, 3)).type == PAYLOAD


async def test_a_websocket_message_above_16_mib_ends_the_connection(service: RunningService) -> None:
    async with raw_frames.open_connection(service.ws_url) as connection:
        assert isinstance(connection, RawWebSocketConnection)
        await authenticate(connection)
        await connection.send(send(1, text="t" * (1 << 24)))
        await raw_frames.receive_until_closed(connection)
