"""What a hostile or broken client can send. It gets a clear error, or nothing; everybody else is served as before.

The tables below say what is sent and what comes of it. Each line of them is a test over both transports, with a
bystander: another client, connected before and asked afterwards.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from interop import raw
from interop.people import token
from interop.raw import (
    BINARY,
    CANCEL,
    COMPLETE,
    CONTINUATION,
    ERROR,
    EXT,
    FINAL,
    FIRE_AND_FORGET,
    FOLLOWS,
    IGNORE,
    KEEPALIVE,
    METADATA,
    METADATA_PUSH,
    NEXT,
    PAYLOAD,
    PING,
    REQUEST_CHANNEL,
    REQUEST_N,
    REQUEST_RESPONSE,
    REQUEST_STREAM,
    RESUME,
    RESUME_ENABLE,
    TEXT,
    WebSocketWire,
    Wire,
    frame,
    keepalive,
    message,
    request,
    request_with,
    setup,
)
from running import RunningService, running_service
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID_SETUP, REJECTED_SETUP, REJECTED_RESUME = 0x001, 0x003, 0x004
CONNECTION_ERROR = 0x101
REJECTED, INVALID = 0x202, 0x204
INVALID_ARGUMENT, NOT_FOUND, CONFLICT, RESOURCE_EXHAUSTED = 0x301, 0x304, 0x305, 0x306
CURSOR_LOST, UNIMPLEMENTED = 0x307, 0x30B

ROOM, LIBRARY = "square", "library"
STREAMS_MAX = 4_096
REQUESTS_IN_FLIGHT_MAX = 1_024
LAST_STREAM = 0x7FFF_FFFF


class Case(NamedTuple):
    """What is sent, and the code of the ERROR that answers it."""

    frames: list[bytes]
    code: int


def ping(stream: int) -> bytes:
    return request(stream, REQUEST_RESPONSE, "session.ping")


def send(stream: int, *, kind: int = REQUEST_RESPONSE, **fields: object) -> bytes:
    wanted = {"room": ROOM, "client_id": "a", "text": "hello", **fields}
    return request(stream, kind, "chat.send", v1.SendRequest(**wanted).SerializeToString())  # type: ignore[arg-type]


def watch(stream: int, *, n: int = 1, room: str = ROOM, **cursor: object) -> bytes:
    wanted = v1.WatchRequest(room=room, after=v1.Cursor(**cursor) if cursor else None)  # type: ignore[arg-type]
    return request(stream, REQUEST_STREAM, "chat.watch", wanted.SerializeToString(), n=n)


def page(stream: int, *, room: str = ROOM, limit: int = 0) -> bytes:
    return request(stream, REQUEST_RESPONSE, "history.page", v1.PageRequest(room=room, limit=limit).SerializeToString())


def create(stream: int, room: str, kind: v1.RoomKind.ValueType = v1.OPEN) -> bytes:
    return request(stream, REQUEST_RESPONSE, "rooms.create", v1.CreateRequest(room=room, kind=kind).SerializeToString())


def json_send(stream: int, data: bytes) -> bytes:
    metadata = raw.entry(raw.ROUTING_ID, raw.tag(b"chat.send")) + raw.entry(
        raw.MIME_TYPE_ID, bytes([0x80 | raw.JSON_ID])
    )
    return request_with(stream, REQUEST_RESPONSE, metadata, data)


def cut(whole: bytes, size: int) -> bytes:
    return whole[:size]


# The first frame is wrong: ERROR on stream 0, and the connection closes.
BEGINNINGS = {
    "a request": Case([ping(1)], INVALID_SETUP),
    "a flood of requests": Case([send(2 * number + 1) for number in range(5_000)], INVALID_SETUP),
    "a KEEPALIVE": Case([keepalive()], INVALID_SETUP),
    "an unknown frame": Case([frame(0, 0x20)], INVALID_SETUP),
    "SETUP on stream 1": Case([setup(stream=1)], INVALID_SETUP),
    "SETUP of version 9.9": Case([setup(version=(9, 9))], INVALID_SETUP),
    "SETUP without keepalives": Case([setup(keepalive_ms=0)], INVALID_SETUP),
    "SETUP without a lifetime": Case([setup(lifetime_ms=0)], INVALID_SETUP),
    "SETUP that is cut short": Case([cut(setup(), 30)], INVALID_SETUP),
    "SETUP that wants to resume": Case([setup(flags=RESUME_ENABLE)], REJECTED_SETUP),
    "SETUP with a flood behind it": Case([setup(), *(send(2 * n + 1) for n in range(5_000))], REJECTED_SETUP),
    "SETUP of an unknown data type": Case([setup(data_mime=b"image/png")], REJECTED_SETUP),
    "RESUME": Case([frame(0, RESUME, 0, b"\0\1\0\0" + b"\0\5token" + bytes(16))], REJECTED_RESUME),
}

# The protocol is broken on a connection that was accepted: ERROR on stream 0, and the connection closes.
BREAKS = {
    "a metadata length beyond the frame": Case(
        [frame(1, REQUEST_RESPONSE, METADATA, b"\xff\xff\xff" + b"short")], CONNECTION_ERROR
    ),
    "a frame too short for its type": Case([frame(1, REQUEST_N, 0, b"\0\0")], CONNECTION_ERROR),
    "a request on a stream of the server's": Case([ping(2)], CONNECTION_ERROR),
    "a request on stream 0": Case([ping(0)], CONNECTION_ERROR),
    "RESUME on a living connection": Case([frame(0, RESUME)], CONNECTION_ERROR),
    "an unknown frame that matters": Case([frame(0, 0x20)], CONNECTION_ERROR),
    "an extension that matters": Case([frame(1, EXT, 0, bytes(4))], CONNECTION_ERROR),
    "a KEEPALIVE of 100 KB": Case([keepalive(bytes(100_000))], CONNECTION_ERROR),
}

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
    "a text of 16 MiB": Case([send(1, text="t" * (raw.FRAME_BYTES_MAX - 200))], INVALID_ARGUMENT),
    "a text with a NUL in it": Case([send(1, text="a\0b")], INVALID_ARGUMENT),
    "an answer to the future": Case([send(1, reply_to=1 << 40)], INVALID_ARGUMENT),
    "a room that does not exist": Case([send(1, room="nowhere")], NOT_FOUND),
    "a watch of a room that does not exist": Case([watch(1, room="nowhere")], NOT_FOUND),
    "a cursor of another epoch": Case([watch(1, epoch="other", seq=1)], CURSOR_LOST),
    "a cursor beyond the head": Case([watch(1, seq=1 << 40)], CURSOR_LOST),
    "a cursor of 2^64 - 1": Case([watch(1, seq=(1 << 64) - 1)], CURSOR_LOST),
    "a page of 4 billion events": Case([page(1, limit=0xFFFF_FFFF)], INVALID_ARGUMENT),
    "another room of the same name": Case([create(1, ROOM, v1.GROUP)], CONFLICT),
    "a channel of what is not Protobuf": Case(
        [request(1, REQUEST_CHANNEL, "chat.channel", b"\xff\xff", n=10)], INVALID_ARGUMENT
    ),
}

# Nothing is answered and nothing happens.
IGNORED = {
    "another SETUP as somebody else": [setup(user="root")],
    "an unknown frame that may be ignored": [frame(0, 0x20, IGNORE), frame(7, 0x20, IGNORE)],
    "an extension that may be ignored": [frame(1, EXT, IGNORE, bytes(4))],
    "items of a stream that never was": [frame(77, PAYLOAD, NEXT, b"item"), frame(77, PAYLOAD, COMPLETE)],
    "credit for a stream that never was": [frame(77, REQUEST_N, 0, b"\0\0\0\5"), frame(77, REQUEST_N, 0, bytes(4))],
    "the end of a stream that never was": [frame(77, CANCEL), frame(77, ERROR, 0, b"\0\0\2\1why")],
    "a KEEPALIVE on a stream": [frame(77, KEEPALIVE, raw.RESPOND, bytes(8))],
    "a KEEPALIVE that answers nothing": [keepalive(flags=0)],
    "pushed metadata": [frame(0, METADATA_PUSH, METADATA, b"?")] * 100,
    "a late refusal of our SETUP": [frame(0, ERROR, 0, b"\0\0\0\3no")],
    "fire and forget of an unknown route": [request(1, FIRE_AND_FORGET, "chat.shout")],
    "fire and forget of nonsense": [request(1, FIRE_AND_FORGET, "chat.send", b"\xff\xff")],
    "an unknown entry in the metadata": [
        request_with(1, FIRE_AND_FORGET, b"\xe0\x00\x00\x01x" + b"\x04a/b/c" + raw.sized(b"y"), b"")
    ],
}


def each(table: Mapping[str, object]) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Runs a test for each line of a table, by the line's name."""
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


@pytest.fixture(params=["tcp", "ws"])
def url(request: pytest.FixtureRequest, service: RunningService) -> str:
    """Where the hostile client connects."""
    return {"tcp": service.tcp_url, "ws": service.ws_url}[request.param]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def square(service: RunningService) -> None:
    """The room of these tests."""
    async with raw.dial(service.tcp_url) as wire:
        await wire.send(setup(user="owner"), create(1, ROOM))
        assert (await raw.answer(wire, 1)).type == PAYLOAD


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def bystander(service: RunningService, square: None) -> AsyncIterator[None]:
    """Another client that watches the room; what it and a newcomer say afterwards still arrives."""
    async with raw.dial(service.tcp_url) as wire:
        await wire.send(setup(user="bystander"), watch(1, n=1_000))
        live = v1.WatchItem.FromString((await raw.answer(wire, 1)).data)
        assert live.HasField("live")
        yield
        await wire.send(send(3, client_id=f"after-{live.cursor.seq}"))
        async with raw.dial(service.ws_url) as newcomer:
            await newcomer.send(setup(user="newcomer"), send(1, client_id=f"after-{live.cursor.seq}"))
            assert (await raw.answer(newcomer, 1)).type == PAYLOAD
        heard: set[str] = set()
        while heard < {"bystander", "newcomer"}:
            heard.add(v1.WatchItem.FromString((await raw.answer(wire, 1)).data).event.actor)


async def enter(wire: Wire) -> None:
    """SETUP, and wait until it was accepted: what comes in bulk behind it would be refused."""
    await wire.send(setup())
    await assert_alive(wire)


async def assert_alive(wire: Wire) -> None:
    """This connection still answers."""
    await wire.send(ping(LAST_STREAM))
    assert (await raw.answer(wire, LAST_STREAM)).type == PAYLOAD


@each(BEGINNINGS)
async def test_a_connection_that_begins_wrongly_is_refused_with_a_reason(case: Case, url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(*case.frames)
        frames = await raw.rest(wire)
    assert raw.errors(frames) == [(0, case.code)]
    assert frames[-1].text


@each(BREAKS)
async def test_a_client_that_breaks_the_protocol_is_told_and_closed(case: Case, url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(setup(), *case.frames)
        frames = await raw.rest(wire)
    assert raw.errors(frames) == [(0, case.code)]
    assert frames[-1].text


@each(REQUESTS)
async def test_a_wrong_request_fails_alone_and_says_why(case: Case, url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(setup(), *case.frames)
        error = await raw.answer(wire, 1)
        assert (error.type, hex(error.code)) == (ERROR, hex(case.code))
        assert error.text
        await assert_alive(wire)


@each(IGNORED)
async def test_what_means_nothing_changes_nothing(case: list[bytes], url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(setup(), *case, ping(LAST_STREAM))
        while (heard := await wire.receive()) is not None and heard.stream != LAST_STREAM:
            assert heard.type == KEEPALIVE
        assert heard is not None
        assert heard.type == PAYLOAD


async def test_credit_beyond_all_numbers_means_everything(url: str) -> None:
    most = frame(1, REQUEST_N, 0, b"\x7f\xff\xff\xff")
    async with raw.dial(url) as wire:
        await wire.send(setup(), watch(1, n=LAST_STREAM), most, most, most)
        assert v1.WatchItem.FromString((await raw.answer(wire, 1)).data).HasField("live")
        await wire.send(send(3, client_id=f"most-{url[:2]}"))
        assert v1.WatchItem.FromString((await raw.answer(wire, 1)).data).HasField("event")
        await assert_alive(wire)


async def test_a_setup_that_never_comes_whole_is_not_waited_for_long(tmp_path: Path) -> None:
    async with running_service(tmp_path, rsocket__first_frame_seconds=0.1) as service:
        for url in (service.tcp_url, service.ws_url):
            async with raw.dial(url) as wire:
                await wire.send_bytes(wire.wrapped(setup())[:40])
                assert raw.errors(await raw.rest(wire)) == [(0, INVALID_SETUP)]


async def test_a_crowd_that_says_nothing_leaves_those_inside_alone(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, connections__strangers_per_address_max=10) as service,
        raw.dial(service.tcp_url) as inside,
        contextlib.AsyncExitStack() as stack,
    ):
        await enter(inside)
        crowd = [await stack.enter_async_context(raw.dial(service.tcp_url)) for _ in range(30)]
        for turned_away in crowd[10:]:
            assert await turned_away.receive() is None
        await assert_alive(inside)
        await enter(crowd[0])
        async with raw.dial(service.tcp_url) as newcomer:
            await enter(newcomer)


async def test_who_is_refused_is_not_served_whatever_comes_behind_setup(guarded: RunningService, url: str) -> None:
    scheme = url.partition(":")[0]
    guarded_url = {"tcp": guarded.tcp_url, "ws": guarded.ws_url}[scheme]
    async with raw.dial(guarded.tcp_url) as owner, raw.dial(guarded_url) as wire:
        await owner.send(setup(token=token("owner")["token"]), create(1, scheme))
        assert (await raw.answer(owner, 1)).type == PAYLOAD
        await wire.send(setup(), send(1, room=scheme), send(3, kind=FIRE_AND_FORGET, room=scheme))
        assert [(each.stream, each.code) for each in await raw.rest(wire)] == [(0, REJECTED_SETUP)]
        await wire.send(send(5, room=scheme))
        await owner.send(page(3, room=scheme))
        written = v1.PageReply.FromString((await raw.answer(owner, 3)).data)
    assert not [event for event in written.events if event.HasField("posted")]


async def test_streams_beyond_the_limit_are_refused_one_by_one(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        for number in range(STREAMS_MAX):
            await wire.send(watch(2 * number + 1))
            assert (await raw.answer(wire, 2 * number + 1)).type == PAYLOAD
        for number in range(STREAMS_MAX, STREAMS_MAX + 100):
            await wire.send(watch(2 * number + 1))
            refused = await raw.answer(wire, 2 * number + 1)
            assert (refused.type, refused.code) == (ERROR, REJECTED)
        await wire.send(frame(1, CANCEL))
        await assert_alive(wire)


async def test_requests_beyond_what_may_wait_are_refused_and_the_others_served(url: str) -> None:
    asked = 5_000
    codes = {0: 0, RESOURCE_EXHAUSTED: 0}
    async with raw.dial(url) as wire:
        await enter(wire)
        sending = asyncio.create_task(wire.send(*(page(2 * number + 1, limit=1) for number in range(asked))))
        for _ in range(asked):
            answer = await wire.receive()
            assert answer is not None
            codes[answer.code if answer.type == ERROR else 0] += 1
        await sending
        await assert_alive(wire)
    assert codes[0] >= REQUESTS_IN_FLIGHT_MAX


async def test_streams_that_come_and_go_leave_nothing_behind(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        for number in range(3 * STREAMS_MAX):
            await wire.send(watch(2 * number + 1), frame(2 * number + 1, CANCEL))
        await assert_alive(wire)


async def test_a_payload_in_pieces_that_never_ends_is_refused(url: str) -> None:
    piece = bytes(1 << 20)
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(request(1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        await wire.send(*[frame(1, PAYLOAD, FOLLOWS | NEXT, piece)] * 20)
        error = await raw.answer(wire, 1)
        assert (error.type, error.code) == (ERROR, INVALID)
        await assert_alive(wire)


async def test_unfinished_payloads_share_a_limit(url: str) -> None:
    piece = bytes(1 << 20)
    begun = 40
    async with raw.dial(url) as wire:
        await enter(wire)
        for number in range(begun):
            await wire.send(request(2 * number + 1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        error = await raw.answer(wire, 2 * begun - 1)
        assert (error.type, error.code) == (ERROR, REJECTED)
        await assert_alive(wire)


async def test_a_flood_of_keepalives_is_answered_in_part(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(*[keepalive(b"?")] * 20_000)
        await assert_alive(wire)


async def test_a_flood_of_pushed_metadata_is_dropped(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(*[frame(0, METADATA_PUSH, METADATA, bytes(100))] * 20_000)
        await assert_alive(wire)


async def test_a_client_that_asks_and_never_reads_costs_only_itself(url: str, service: RunningService) -> None:
    async with raw.dial(service.tcp_url) as author:
        await author.send(setup(user="owner"), create(1, LIBRARY))
        assert (await raw.answer(author, 1)).type == PAYLOAD
        for number in range(20):
            await author.send(send(2 * number + 3, room=LIBRARY, client_id=f"book-{number}", text="b" * 60_000))
        assert (await raw.answer(author, 41)).type == PAYLOAD
    async with raw.dial(url) as wire:
        await enter(wire)
        sending = asyncio.create_task(
            wire.send(*(page(2 * number + 1, room=LIBRARY, limit=1_000) for number in range(1_000)))
        )
        async with raw.dial(url) as other:
            await other.send(setup(user="patient"))
            await assert_alive(other)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


async def test_a_setup_that_trickles_in_is_waited_for_while_others_are_served(service: RunningService) -> None:
    whole = raw.sized(setup()) + raw.sized(ping(1))
    async with raw.dial(service.tcp_url) as wire, raw.dial(service.tcp_url) as other:
        assert isinstance(wire, raw.TcpWire)
        await other.send(setup())
        for number in range(len(whole)):
            await wire.send_bytes(whole[number : number + 1])
            if number % 16 == 0:
                await assert_alive(other)
        assert (await raw.answer(wire, 1)).type == PAYLOAD


async def test_tcp_bytes_that_are_no_frames_end_the_connection(service: RunningService) -> None:
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(3), b"\x00\x00\x05short"):
        async with raw.dial(service.tcp_url) as wire:
            assert isinstance(wire, raw.TcpWire)
            await wire.send_bytes(garbage + bytes(1 << 16))
            frames = await raw.rest(wire)
        assert len(raw.errors(frames)) == 1


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
