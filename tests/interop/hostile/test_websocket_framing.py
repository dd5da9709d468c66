"""WebSocket messages that are no frames, and WebSocket frames that are no messages."""

import pytest

from interop.hostile import raw
from interop.hostile.asking import enter, ping, send
from interop.hostile.raw import BINARY, CONTINUATION, FINAL, PAYLOAD, PING, TEXT, WebSocketWire, message
from running import RunningService

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_websocket_messages_that_are_no_frames_end_the_connection(service: RunningService) -> None:
    for content, first in ((b"text", TEXT), (b"", BINARY), (b"short", BINARY)):
        async with raw.dial(service.ws_url) as wire:
            assert isinstance(wire, WebSocketWire)
            await enter(wire)
            await wire.send_bytes(message(content, first=FINAL | first))
            await raw.rest(wire)
            assert wire.close_code in {1002, 1003, 1008}


async def test_a_websocket_that_breaks_its_own_rules_is_closed(service: RunningService) -> None:
    broken = {
        "not masked": message(ping(3), masked=False),
        "a reserved bit": message(ping(3), first=FINAL | BINARY | 0x40),
        "an unknown opcode": message(ping(3), first=FINAL | 0x3),
        "a continuation of nothing": message(ping(3), first=FINAL | CONTINUATION),
        "a message inside a message": message(ping(3), first=BINARY) + message(ping(3)),
        "a ping of 126 bytes": message(bytes(126), first=FINAL | PING),
        "a length of 2^63": b"\x82\xff" + b"\xff" * 8,
    }
    for how, data in broken.items():
        async with raw.dial(service.ws_url) as wire:
            assert isinstance(wire, WebSocketWire)
            await enter(wire)
            await wire.send_bytes(data)
            assert [each for each in await raw.rest(wire) if each.type == PAYLOAD] == [], how
            assert wire.close_code in {1002, 1009}, how


async def test_a_frame_may_come_in_many_websocket_pieces(service: RunningService) -> None:
    whole = ping(3)
    pieces = [bytes([octet]) for octet in whole]
    async with raw.dial(service.ws_url) as wire:
        await enter(wire)
        await wire.send_bytes(message(pieces[0], first=BINARY))
        for piece in pieces[1:-1]:
            await wire.send_bytes(message(piece, first=CONTINUATION))
        await wire.send_bytes(message(pieces[-1], first=FINAL | CONTINUATION))
        assert (await raw.answer(wire, 3)).type == PAYLOAD


async def test_a_websocket_message_above_16_mib_ends_the_connection(service: RunningService) -> None:
    async with raw.dial(service.ws_url) as wire:
        assert isinstance(wire, WebSocketWire)
        await enter(wire)
        await wire.send(send(1, text="t" * (1 << 24)))
        await raw.rest(wire)
