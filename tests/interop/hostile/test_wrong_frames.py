"""Frames that break the protocol, and frames that mean nothing: what is sent, and what comes of it.

Each line of the tables is a test over both transports. Beside it stands a bystander: another client, connected before
and asked afterwards.
"""

import asyncio

import pytest

from interop.hostile import raw
from interop.hostile.asking import (
    CONNECTION_ERROR,
    INVALID_SETUP,
    LAST_STREAM,
    REJECTED_RESUME,
    REJECTED_SETUP,
    RESOURCE_EXHAUSTED,
    UNSUPPORTED_SETUP,
    Case,
    assert_alive,
    create,
    each,
    enter,
    page,
    ping,
    send,
    watch,
)
from interop.hostile.raw import (
    CANCEL,
    COMPLETE,
    ERROR,
    EXT,
    FIRE_AND_FORGET,
    IGNORE,
    KEEPALIVE,
    METADATA,
    METADATA_PUSH,
    NEXT,
    PAYLOAD,
    REQUEST_N,
    REQUEST_RESPONSE,
    RESUME,
    RESUME_ENABLE,
    frame,
    keepalive,
    request,
    request_with,
    setup,
)
from interop.people import token
from running import RunningService
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
    "SETUP that is cut short": Case([setup()[:30]], INVALID_SETUP),
    "SETUP that wants to resume": Case([setup(flags=RESUME_ENABLE)], REJECTED_SETUP),
    "SETUP of an unknown data type": Case([setup(data_mime=b"image/png")], UNSUPPORTED_SETUP),
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

# Nothing is answered and nothing happens.
IGNORED = {
    "another SETUP": [setup()],
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


@each(IGNORED)
async def test_what_means_nothing_changes_nothing(case: list[bytes], url: str) -> None:
    async with raw.dial(url) as wire:
        await wire.send(setup(), *case, ping(LAST_STREAM))
        while (heard := await wire.receive()) is not None and heard.stream != LAST_STREAM:
            assert heard.type == KEEPALIVE
        assert heard is not None
        assert heard.type == PAYLOAD


async def test_another_setup_makes_nobody_somebody_else(url: str) -> None:
    info = request(1, REQUEST_RESPONSE, "session.info")
    async with raw.dial(url) as wire:
        await wire.send(setup(user="mallory"), setup(user="root"), info)
        assert v1.InfoReply.FromString((await raw.answer(wire, 1)).data).user == "mallory"


async def test_credit_beyond_all_numbers_means_everything(url: str) -> None:
    most = frame(1, REQUEST_N, 0, b"\x7f\xff\xff\xff")
    async with raw.dial(url) as wire:
        await wire.send(setup(), watch(1, n=LAST_STREAM), most, most, most)
        assert v1.WatchItem.FromString((await raw.answer(wire, 1)).data).HasField("live")
        await wire.send(send(3, client_id=f"most-{url[:2]}"))
        assert v1.WatchItem.FromString((await raw.answer(wire, 1)).data).HasField("event")
        await assert_alive(wire)


async def test_a_flood_behind_setup_is_answered_request_by_request(url: str) -> None:
    streams = {2 * number + 1 for number in range(5_000)}
    answered: list[int] = []
    async with raw.dial(url) as wire:
        sending = asyncio.create_task(wire.send(setup(), *map(send, sorted(streams))))
        while len(answered) < len(streams) and (heard := await wire.receive()) is not None:
            assert heard.type == PAYLOAD or heard.code == RESOURCE_EXHAUSTED
            answered.append(heard.stream)
        await sending
        await assert_alive(wire)
    assert sorted(answered) == sorted(streams)


async def test_a_frame_larger_than_any_request_ends_the_connection(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(send(1, text="t" * 700_000))
        frames = await raw.rest(wire)
    assert raw.errors(frames) == [(0, CONNECTION_ERROR)]
    assert "589837" in frames[-1].text


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


async def test_tcp_bytes_that_are_no_frames_end_the_connection(service: RunningService) -> None:
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(3), b"\x00\x00\x05short"):
        async with raw.dial(service.tcp_url) as wire:
            assert isinstance(wire, raw.TcpWire)
            await wire.send_bytes(garbage + bytes(1 << 16))
            frames = await raw.rest(wire)
        assert len(raw.errors(frames)) == 1
