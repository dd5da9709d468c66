"""Requests that break the contract's rules, one after the other: what is sent, and the code of the answer."""

import pytest

from interop.hostile import raw
from interop.hostile.asking import (
    CONFLICT,
    CURSOR_LOST,
    INVALID,
    INVALID_ARGUMENT,
    NOT_FOUND,
    ROOM,
    UNIMPLEMENTED,
    Case,
    assert_alive,
    create,
    each,
    json_send,
    page,
    send,
    watch,
)
from interop.hostile.raw import (
    ERROR,
    FOLLOWS,
    NEXT,
    PAYLOAD,
    REQUEST_CHANNEL,
    REQUEST_RESPONSE,
    REQUEST_STREAM,
    frame,
    request,
    request_with,
    setup,
)
from tidings.contract import v1
from tidings.transports.settings import ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One request is wrong: ERROR on its stream, and the connection lives.
REQUESTS = {
    "no metadata": Case([frame(1, REQUEST_RESPONSE)], UNIMPLEMENTED),
    "metadata that is cut short": Case([request_with(1, REQUEST_RESPONSE, b"\xfe\x00\x00\x09short")], INVALID_ARGUMENT),
    "metadata of random bytes": Case([request_with(1, REQUEST_RESPONSE, bytes(range(256)))], INVALID_ARGUMENT),
    "a route that is not UTF-8": Case(
        [request_with(1, REQUEST_RESPONSE, raw.entry(raw.ROUTING_ID, raw.tag(b"\xff\xfe")))], INVALID_ARGUMENT
    ),
    "a route of another verb": Case([request(1, REQUEST_STREAM, "chat.send", n=1)], UNIMPLEMENTED),
    "an unknown route": Case([request(1, REQUEST_RESPONSE, "chat.shout")], UNIMPLEMENTED),
    "no initial credit": Case([watch(1, n=0)], INVALID),
    "an empty fragment": Case(
        [request(1, REQUEST_RESPONSE, "chat.send", flags=FOLLOWS), frame(1, PAYLOAD, FOLLOWS | NEXT)], INVALID
    ),
    "what is not Protobuf": Case([request(1, REQUEST_RESPONSE, "chat.send", b"\xff\xff\xff")], INVALID_ARGUMENT),
    "what is not UTF-8": Case([request(1, REQUEST_RESPONSE, "chat.send", b"\x1a\x02\xff\xfe")], INVALID_ARGUMENT),
    "what is not JSON": Case([json_send(1, b'{"room": "square"')], INVALID_ARGUMENT),
    "JSON that is not UTF-8": Case([json_send(1, b'{"text": "\xff\xfe"}')], INVALID_ARGUMENT),
    "JSON of another shape": Case([json_send(1, b'{"room": ["square"], "text": 5}')], INVALID_ARGUMENT),
    "JSON that is 100,000 brackets deep": Case([json_send(1, b"[" * 100_000)], INVALID_ARGUMENT),
    "no room": Case([send(1, room="")], INVALID_ARGUMENT),
    "a room name of 65 bytes": Case([send(1, room="r" * 65)], INVALID_ARGUMENT),
    "a room name with a space": Case([send(1, room="the square")], INVALID_ARGUMENT),
    "no client_id": Case([send(1, client_id="")], INVALID_ARGUMENT),
    "a client_id of 65 characters": Case([send(1, client_id="c" * 65)], INVALID_ARGUMENT),
    "no text": Case([send(1, text="")], INVALID_ARGUMENT),
    "a text of 64 KiB and one byte": Case([send(1, text="t" * 65_537)], INVALID_ARGUMENT),
    "a text of half a MiB": Case([send(1, text="t" * (ConnectionLimits().request_bytes_max - 100))], INVALID_ARGUMENT),
    "a text with a NUL in it": Case([send(1, text="a\0b")], INVALID_ARGUMENT),
    "an answer to the future": Case([send(1, reply_to=1 << 40)], INVALID_ARGUMENT),
    "a room that does not exist": Case([send(1, room="nowhere")], NOT_FOUND),
    "a watch of a room that does not exist": Case([watch(1, room="nowhere")], NOT_FOUND),
    "a cursor of another epoch": Case([watch(1, epoch="other", seq=1)], CURSOR_LOST),
    "a cursor beyond the head": Case([watch(1, seq=1 << 40)], CURSOR_LOST),
    "a cursor of 2^64 - 1": Case([watch(1, seq=(1 << 64) - 1)], CURSOR_LOST),
    "a page of 4 billion events": Case([page(1, limit=0xFFFF_FFFF)], INVALID_ARGUMENT),
    "another room of the same name": Case([create(1, ROOM)], CONFLICT),
    "a name that is for the service to give": Case([create(1, "group:x:y", v1.GROUP)], INVALID_ARGUMENT),
    "a channel of what is not Protobuf": Case(
        [request(1, REQUEST_CHANNEL, "chat.channel", b"\xff\xff", n=10)], INVALID_ARGUMENT
    ),
}


@each(REQUESTS)
async def test_a_wrong_request_fails_alone_and_says_why(case: Case, url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(setup(), *case.frames)
        error = await raw.answer(wire, 1)
        assert (error.type, hex(error.code)) == (ERROR, hex(case.code))
        assert error.text
        await assert_alive(wire)
