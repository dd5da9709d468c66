"""Requests that break the contract's rules, one after the other: what is sent, and the code of the answer."""

import pytest

from interop.hostile import raw_frames
from interop.hostile.raw_frames import (
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
from interop.hostile.requests import (
    CONFLICT,
    CURSOR_LOST,
    INVALID,
    INVALID_ARGUMENT,
    NOT_FOUND,
    ROOM,
    UNIMPLEMENTED,
    RejectedCase,
    assert_alive,
    create,
    page,
    parametrize_cases,
    send,
    send_json,
    watch,
)
from tidings.contract import v1
from tidings.server.settings import ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One request is wrong: ERROR on its stream, and the connection lives.
REQUESTS = {
    "no metadata": RejectedCase([frame(1, REQUEST_RESPONSE)], UNIMPLEMENTED),
    "metadata that is cut short": RejectedCase(
        [request_with(1, REQUEST_RESPONSE, b"\xfe\x00\x00\x09short")], INVALID_ARGUMENT
    ),
    "metadata of random bytes": RejectedCase([request_with(1, REQUEST_RESPONSE, bytes(range(256)))], INVALID_ARGUMENT),
    "a route that is not UTF-8": RejectedCase(
        [
            request_with(
                1,
                REQUEST_RESPONSE,
                raw_frames.metadata_entry(raw_frames.ROUTING_ID, raw_frames.routing_tag(b"\xff\xfe")),
            )
        ],
        INVALID_ARGUMENT,
    ),
    "a route of another verb": RejectedCase([request(1, REQUEST_STREAM, "chat.send", n=1)], UNIMPLEMENTED),
    "an unknown route": RejectedCase([request(1, REQUEST_RESPONSE, "chat.shout")], UNIMPLEMENTED),
    "no initial credit": RejectedCase([watch(1, n=0)], INVALID),
    "an empty fragment": RejectedCase(
        [request(1, REQUEST_RESPONSE, "chat.send", flags=FOLLOWS), frame(1, PAYLOAD, FOLLOWS | NEXT)], INVALID
    ),
    "what is not Protobuf": RejectedCase(
        [request(1, REQUEST_RESPONSE, "chat.send", b"\xff\xff\xff")], INVALID_ARGUMENT
    ),
    "what is not UTF-8": RejectedCase(
        [request(1, REQUEST_RESPONSE, "chat.send", b"\x1a\x02\xff\xfe")], INVALID_ARGUMENT
    ),
    "what is not JSON": RejectedCase([send_json(1, b'{"room": "square"')], INVALID_ARGUMENT),
    "JSON that is not UTF-8": RejectedCase([send_json(1, b'{"text": "\xff\xfe"}')], INVALID_ARGUMENT),
    "JSON of another shape": RejectedCase([send_json(1, b'{"room": ["square"], "text": 5}')], INVALID_ARGUMENT),
    "JSON that is 100,000 brackets deep": RejectedCase([send_json(1, b"[" * 100_000)], INVALID_ARGUMENT),
    "no room": RejectedCase([send(1, room="")], INVALID_ARGUMENT),
    "a room name of 65 bytes": RejectedCase([send(1, room="r" * 65)], INVALID_ARGUMENT),
    "a room name with a space": RejectedCase([send(1, room="the square")], INVALID_ARGUMENT),
    "no client_id": RejectedCase([send(1, client_id="")], INVALID_ARGUMENT),
    "a client_id of 65 characters": RejectedCase([send(1, client_id="c" * 65)], INVALID_ARGUMENT),
    "no text": RejectedCase([send(1, text="")], INVALID_ARGUMENT),
    "a text of 64 KiB and one byte": RejectedCase([send(1, text="t" * 65_537)], INVALID_ARGUMENT),
    "a text of half a MiB": RejectedCase(
        [send(1, text="t" * (ConnectionLimits().request_bytes_max - 100))], INVALID_ARGUMENT
    ),
    "a text with a NUL in it": RejectedCase([send(1, text="a\0b")], INVALID_ARGUMENT),
    "an answer to the future": RejectedCase([send(1, reply_to=1 << 40)], INVALID_ARGUMENT),
    "a room that does not exist": RejectedCase([send(1, room="nowhere")], NOT_FOUND),
    "a watch of a room that does not exist": RejectedCase([watch(1, room="nowhere")], NOT_FOUND),
    "a cursor of another epoch": RejectedCase([watch(1, epoch="other", seq=1)], CURSOR_LOST),
    "a cursor beyond the head": RejectedCase([watch(1, seq=1 << 40)], CURSOR_LOST),
    "a cursor of 2^64 - 1": RejectedCase([watch(1, seq=(1 << 64) - 1)], CURSOR_LOST),
    "a page of 4 billion events": RejectedCase([page(1, limit=0xFFFF_FFFF)], INVALID_ARGUMENT),
    "another room of the same name": RejectedCase([create(1, ROOM)], CONFLICT),
    "a name that is for the service to give": RejectedCase([create(1, "group:x:y", v1.GROUP)], INVALID_ARGUMENT),
    "a channel of what is not Protobuf": RejectedCase(
        [request(1, REQUEST_CHANNEL, "chat.channel", b"\xff\xff", n=10)], INVALID_ARGUMENT
    ),
}


@parametrize_cases(REQUESTS)
async def test_a_wrong_request_fails_alone_and_says_why(case: RejectedCase, url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(), *case.frames)
        error = await raw_frames.receive_on_stream(connection, 1)
        assert (error.type, hex(error.code)) == (ERROR, hex(case.code))
        assert error.text
        await assert_alive(connection)
