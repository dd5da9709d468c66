"""Frames that break the protocol, and frames that mean nothing: what is sent, and what comes of it.

Each line of the tables is a test over both transports. Beside it stands a bystander: another client, connected before
and asked afterwards.
"""

import asyncio

import pytest

from interop.credentials import token
from interop.hostile import raw_frames
from interop.hostile.raw_frames import (
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
from interop.hostile.requests import (
    CONNECTION_ERROR,
    INVALID_SETUP,
    LAST_STREAM,
    REJECTED_RESUME,
    REJECTED_SETUP,
    RESOURCE_EXHAUSTED,
    UNSUPPORTED_SETUP,
    RejectedCase,
    assert_alive,
    authenticate,
    create,
    page,
    parametrize_cases,
    ping,
    send,
    watch,
)
from service_runner import RunningService
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The first frame is wrong: ERROR on stream 0, and the connection closes.
BEGINNINGS = {
    "a request": RejectedCase([ping(1)], INVALID_SETUP),
    "a flood of requests": RejectedCase([send(2 * number + 1) for number in range(5_000)], INVALID_SETUP),
    "a KEEPALIVE": RejectedCase([keepalive()], INVALID_SETUP),
    "an unknown frame": RejectedCase([frame(0, 0x20)], INVALID_SETUP),
    "SETUP on stream 1": RejectedCase([setup(stream=1)], INVALID_SETUP),
    "SETUP of version 9.9": RejectedCase([setup(version=(9, 9))], INVALID_SETUP),
    "SETUP without keepalives": RejectedCase([setup(keepalive_ms=0)], INVALID_SETUP),
    "SETUP without a lifetime": RejectedCase([setup(lifetime_ms=0)], INVALID_SETUP),
    "SETUP that is cut short": RejectedCase([setup()[:30]], INVALID_SETUP),
    "SETUP that wants to resume": RejectedCase([setup(flags=RESUME_ENABLE)], REJECTED_SETUP),
    "SETUP of an unknown data type": RejectedCase([setup(data_mime=b"image/png")], UNSUPPORTED_SETUP),
    "RESUME": RejectedCase([frame(0, RESUME, 0, b"\0\1\0\0" + b"\0\5token" + bytes(16))], REJECTED_RESUME),
}

# The protocol is broken on a connection that was accepted: ERROR on stream 0, and the connection closes.
BREAKS = {
    "a metadata length beyond the frame": RejectedCase(
        [frame(1, REQUEST_RESPONSE, METADATA, b"\xff\xff\xff" + b"short")], CONNECTION_ERROR
    ),
    "a frame too short for its type": RejectedCase([frame(1, REQUEST_N, 0, b"\0\0")], CONNECTION_ERROR),
    "a request on a stream of the server's": RejectedCase([ping(2)], CONNECTION_ERROR),
    "a request on stream 0": RejectedCase([ping(0)], CONNECTION_ERROR),
    "RESUME on a living connection": RejectedCase([frame(0, RESUME)], CONNECTION_ERROR),
    "an unknown frame that matters": RejectedCase([frame(0, 0x20)], CONNECTION_ERROR),
    "an extension that matters": RejectedCase([frame(1, EXT, 0, bytes(4))], CONNECTION_ERROR),
    "a KEEPALIVE of 100 KB": RejectedCase([keepalive(bytes(100_000))], CONNECTION_ERROR),
}

# Nothing is answered and nothing happens.
IGNORED = {
    "another SETUP": [setup()],
    "an unknown frame that may be ignored": [frame(0, 0x20, IGNORE), frame(7, 0x20, IGNORE)],
    "an extension that may be ignored": [frame(1, EXT, IGNORE, bytes(4))],
    "items of a stream that never was": [frame(77, PAYLOAD, NEXT, b"item"), frame(77, PAYLOAD, COMPLETE)],
    "credit for a stream that never was": [frame(77, REQUEST_N, 0, b"\0\0\0\5"), frame(77, REQUEST_N, 0, bytes(4))],
    "the end of a stream that never was": [frame(77, CANCEL), frame(77, ERROR, 0, b"\0\0\2\1why")],
    "a KEEPALIVE on a stream": [frame(77, KEEPALIVE, raw_frames.RESPOND, bytes(8))],
    "a KEEPALIVE that answers nothing": [keepalive(flags=0)],
    "pushed metadata": [frame(0, METADATA_PUSH, METADATA, b"?")] * 100,
    "a late refusal of our SETUP": [frame(0, ERROR, 0, b"\0\0\0\3no")],
    "fire and forget of an unknown route": [request(1, FIRE_AND_FORGET, "chat.shout")],
    "fire and forget of nonsense": [request(1, FIRE_AND_FORGET, "chat.send", b"\xff\xff")],
    "an unknown entry in the metadata": [
        request_with(1, FIRE_AND_FORGET, b"\xe0\x00\x00\x01x" + b"\x04a/b/c" + raw_frames.length_prefixed(b"y"), b"")
    ],
}


@parametrize_cases(BEGINNINGS)
async def test_a_connection_that_begins_wrongly_is_refused_with_a_reason(case: RejectedCase, url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await connection.send(*case.frames)
        frames = await raw_frames.receive_until_closed(connection)
    assert raw_frames.error_codes(frames) == [(0, case.code)]
    assert frames[-1].text


@parametrize_cases(BREAKS)
async def test_a_client_that_breaks_the_protocol_is_told_and_closed(case: RejectedCase, url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(), *case.frames)
        frames = await raw_frames.receive_until_closed(connection)
    assert raw_frames.error_codes(frames) == [(0, case.code)]
    assert frames[-1].text


@parametrize_cases(IGNORED)
async def test_what_means_nothing_changes_nothing(case: list[bytes], url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(), *case, ping(LAST_STREAM))
        while (heard := await connection.receive()) is not None and heard.stream != LAST_STREAM:
            assert heard.type == KEEPALIVE
        assert heard is not None
        assert heard.type == PAYLOAD


async def test_another_setup_makes_nobody_somebody_else(url: str) -> None:
    info = request(1, REQUEST_RESPONSE, "session.info")
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(user="mallory"), setup(user="root"), info)
        assert v1.InfoReply.FromString((await raw_frames.receive_on_stream(connection, 1)).data).user == "mallory"


async def test_credit_beyond_all_numbers_means_everything(url: str) -> None:
    most = frame(1, REQUEST_N, 0, b"\x7f\xff\xff\xff")
    async with raw_frames.open_connection(url) as connection:
        await connection.send(setup(), watch(1, n=LAST_STREAM), most, most, most)
        assert v1.WatchItem.FromString((await raw_frames.receive_on_stream(connection, 1)).data).HasField("live")
        await connection.send(send(3, client_id=f"most-{url[:2]}"))
        assert v1.WatchItem.FromString((await raw_frames.receive_on_stream(connection, 1)).data).HasField("event")
        await assert_alive(connection)


async def test_a_flood_behind_setup_is_answered_request_by_request(url: str) -> None:
    streams = {2 * number + 1 for number in range(5_000)}
    answered: list[int] = []
    async with raw_frames.open_connection(url) as connection:
        sending = asyncio.create_task(connection.send(setup(), *map(send, sorted(streams))))
        while len(answered) < len(streams) and (heard := await connection.receive()) is not None:
            assert heard.type == PAYLOAD or heard.code == RESOURCE_EXHAUSTED
            answered.append(heard.stream)
        await sending
        await assert_alive(connection)
    assert sorted(answered) == sorted(streams)


async def test_a_frame_larger_than_any_request_ends_the_connection(url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        await connection.send(send(1, text="t" * 700_000))
        frames = await raw_frames.receive_until_closed(connection)
    assert raw_frames.error_codes(frames) == [(0, CONNECTION_ERROR)]
    assert "589837" in frames[-1].text


async def test_who_is_refused_is_not_served_whatever_comes_behind_setup(
    production_service: RunningService, url: str
) -> None:
    scheme = url.partition(":")[0]
    guarded_url = {"tcp": production_service.tcp_url, "ws": production_service.ws_url}[scheme]
    async with (
        raw_frames.open_connection(production_service.tcp_url) as owner,
        raw_frames.open_connection(guarded_url) as connection,
    ):
        await owner.send(setup(token=token("owner")["token"]), create(1, scheme))
        assert (await raw_frames.receive_on_stream(owner, 1)).type == PAYLOAD
        await connection.send(setup(), send(1, room=scheme), send(3, kind=FIRE_AND_FORGET, room=scheme))
        assert [(each.stream, each.code) for each in await raw_frames.receive_until_closed(connection)] == [
            (0, REJECTED_SETUP)
        ]
        await connection.send(send(5, room=scheme))
        await owner.send(page(3, room=scheme))
        written = v1.PageReply.FromString((await raw_frames.receive_on_stream(owner, 3)).data)
    assert not [event for event in written.events if event.HasField("posted")]


async def test_tcp_bytes_that_are_no_frames_end_the_connection(service: RunningService) -> None:
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(3), b"\x00\x00\x05short"):
        async with raw_frames.open_connection(service.tcp_url) as connection:
            assert isinstance(connection, raw_frames.RawTcpConnection)
            await connection.send_bytes(garbage + bytes(1 << 16))
            frames = await raw_frames.receive_until_closed(connection)
        assert len(raw_frames.error_codes(frames)) == 1
