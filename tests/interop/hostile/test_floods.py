"""Too much and too slow: streams, pieces, frames, connections, and readers who do not read."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from interop.hostile import raw_frames
from interop.hostile.raw_frames import (
    CANCEL,
    ERROR,
    FOLLOWS,
    METADATA,
    METADATA_PUSH,
    NEXT,
    PAYLOAD,
    REQUEST_RESPONSE,
    frame,
    keepalive,
    request,
    setup,
)
from interop.hostile.requests import (
    CONNECTION_ERROR,
    INVALID,
    INVALID_SETUP,
    REJECTED,
    RESOURCE_EXHAUSTED,
    ROOM,
    assert_alive,
    authenticate,
    create,
    page,
    parametrize_cases,
    ping,
    send,
    watch,
)
from service_runner import RunningService, running_service
from tidings.domain.limits.limits import DomainLimits
from tidings.protocols.rsocket import Limits
from tidings.server.settings import ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL_ROOM = "library"
STREAMS_MAX = Limits().streams_max
IGNORED_PER_SECOND_MAX = Limits().ignored_frames_per_second_max
REQUESTS_IN_FLIGHT_MAX = ConnectionLimits().requests_in_flight_max
REQUEST_BYTES_MAX = ConnectionLimits().request_bytes_max
ROOM_WATCHES_MAX = DomainLimits().user_room_watches_max
# A few of the pages that are asked for, not the thousand of them.
OUTBOUND_BYTES_FAIR = 16_000_000


async def outbound_bytes(service: RunningService) -> float:
    """What the service holds for sockets that are full, as /metrics tells it."""
    async with aiohttp.ClientSession() as http, http.get(f"{service.http_url}/metrics") as response:
        lines = (await response.text()).splitlines()
    (line,) = (line for line in lines if line.startswith("tidings_outbound_queue_bytes "))
    return float(line.split()[1])


async def test_streams_beyond_the_limit_are_refused_one_by_one(tmp_path: Path) -> None:
    async with (
        running_service(tmp_path, rsocket__streams_max=100) as service,
        raw_frames.open_connection(service.tcp_url) as author,
    ):
        await author.send(setup(user="owner"), create(1, ROOM))
        assert (await raw_frames.receive_on_stream(author, 1)).type == PAYLOAD
        for url in (service.tcp_url, service.ws_url):
            async with raw_frames.open_connection(url) as connection:
                await authenticate(connection)
                await request_beyond_limit(connection, 100, REJECTED)


async def test_watches_of_one_room_beyond_the_limit_are_refused_one_by_one(url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        await request_beyond_limit(connection, ROOM_WATCHES_MAX, RESOURCE_EXHAUSTED)


async def request_beyond_limit(connection: raw_frames.RawConnection, limit: int, code: int) -> None:
    """Open `most` watches, which are taken, and more, which are refused; the connection lives, and so do places."""
    for number in range(limit):
        await connection.send(watch(2 * number + 1))
        assert (await raw_frames.receive_on_stream(connection, 2 * number + 1)).type == PAYLOAD
    for number in range(limit, limit + 50):
        await connection.send(watch(2 * number + 1))
        refused = await raw_frames.receive_on_stream(connection, 2 * number + 1)
        assert (refused.type, refused.code) == (ERROR, code)
    await connection.send(frame(1, CANCEL))
    await assert_alive(connection)
    await connection.send(watch(2 * limit + 101))
    assert (await raw_frames.receive_on_stream(connection, 2 * limit + 101)).type == PAYLOAD


async def test_requests_beyond_what_may_wait_are_refused_and_the_others_served(url: str) -> None:
    asked = 5_000
    codes = {0: 0, RESOURCE_EXHAUSTED: 0}
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        sending = asyncio.create_task(connection.send(*(page(2 * number + 1, limit=1) for number in range(asked))))
        for _ in range(asked):
            answer = await connection.receive()
            assert answer is not None
            codes[answer.code if answer.type == ERROR else 0] += 1
        await sending
        await assert_alive(connection)
    assert codes[0] >= REQUESTS_IN_FLIGHT_MAX


async def test_streams_that_come_and_go_leave_nothing_behind(url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        for number in range(3 * STREAMS_MAX):
            await connection.send(watch(2 * number + 1), frame(2 * number + 1, CANCEL))
        await assert_alive(connection)


async def test_a_payload_in_pieces_that_never_ends_is_refused(url: str) -> None:
    piece = bytes(REQUEST_BYTES_MAX)
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        await connection.send(request(1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        await connection.send(*[frame(1, PAYLOAD, FOLLOWS | NEXT, piece)] * 20)
        error = await raw_frames.receive_on_stream(connection, 1)
        assert (error.type, error.code) == (ERROR, INVALID)
        await assert_alive(connection)


async def test_unfinished_payloads_share_a_limit(url: str) -> None:
    piece = bytes(1 << 19)
    begun = 10
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        for number in range(begun):
            await connection.send(request(2 * number + 1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        error = await raw_frames.receive_on_stream(connection, 2 * begun - 1)
        assert (error.type, error.code) == (ERROR, REJECTED)
        await assert_alive(connection)


FLOODS = {"keepalives": keepalive(b"?"), "pushed metadata": frame(0, METADATA_PUSH, METADATA, bytes(100))}


@parametrize_cases(FLOODS)
async def test_a_flood_that_asks_for_nothing_is_answered_in_part_or_dropped(case: bytes, url: str) -> None:
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        await connection.send(*[case] * (IGNORED_PER_SECOND_MAX // 2))
        await assert_alive(connection)


@parametrize_cases(FLOODS)
async def test_a_flood_without_an_end_ends_the_connection_with_a_reason(case: bytes, tmp_path: Path) -> None:
    # So few that a machine with other work to do reads more than that in a second as well.
    async with running_service(tmp_path, rsocket__ignored_frames_per_second_max=100) as service:
        for url in (service.tcp_url, service.ws_url):
            async with raw_frames.open_connection(url) as connection:
                await authenticate(connection)
                await connection.send(*[case] * 5_000)
                frames = await raw_frames.receive_until_closed(connection)
            assert raw_frames.error_codes(frames) == [(0, CONNECTION_ERROR)]
            assert "ignored_frames_per_second_max" in frames[-1].text


async def test_a_client_that_asks_and_never_reads_costs_only_itself(url: str, service: RunningService) -> None:
    async with raw_frames.open_connection(service.tcp_url) as author:
        await author.send(setup(user="owner"), create(1, FULL_ROOM))
        assert (await raw_frames.receive_on_stream(author, 1)).type == PAYLOAD
        for number in range(20):
            await author.send(send(2 * number + 3, room=FULL_ROOM, client_id=f"book-{number}", text="b" * 60_000))
        assert (await raw_frames.receive_on_stream(author, 41)).type == PAYLOAD
    async with raw_frames.open_connection(url) as connection:
        await authenticate(connection)
        await connection.send(*(page(2 * number + 1, room=FULL_ROOM, limit=1_000) for number in range(1_000)))
        async with raw_frames.open_connection(url) as other:
            await other.send(setup(user="patient"))
            await assert_alive(other)
        assert await outbound_bytes(service) < OUTBOUND_BYTES_FAIR


async def test_a_crowd_that_says_nothing_leaves_those_inside_alone(tmp_path: Path) -> None:
    async with (
        running_service(
            tmp_path,
            connections__unauthenticated_connections_per_address_max=10,
            connections__evictable_after_seconds=60,
        ) as service,
        raw_frames.open_connection(service.tcp_url) as inside,
        contextlib.AsyncExitStack() as stack,
    ):
        await authenticate(inside)
        crowd = [await stack.enter_async_context(raw_frames.open_connection(service.tcp_url)) for _ in range(30)]
        for turned_away in crowd[10:]:
            assert await turned_away.receive() is None
        await assert_alive(inside)
        await authenticate(crowd[0])
        async with raw_frames.open_connection(service.tcp_url) as newcomer:
            await authenticate(newcomer)


async def test_a_setup_that_never_comes_whole_is_not_waited_for_long(tmp_path: Path) -> None:
    async with running_service(tmp_path, rsocket__first_frame_seconds=0.1) as service:
        for url in (service.tcp_url, service.ws_url):
            async with raw_frames.open_connection(url) as connection:
                await connection.send_bytes(connection.encode_frame(setup())[:40])
                assert raw_frames.error_codes(await raw_frames.receive_until_closed(connection)) == [(0, INVALID_SETUP)]


async def test_a_setup_that_trickles_in_is_waited_for_while_others_are_served(service: RunningService) -> None:
    whole = raw_frames.length_prefixed(setup()) + raw_frames.length_prefixed(ping(1))
    async with (
        raw_frames.open_connection(service.tcp_url) as connection,
        raw_frames.open_connection(service.tcp_url) as other,
    ):
        assert isinstance(connection, raw_frames.RawTcpConnection)
        await other.send(setup())
        for number in range(len(whole)):
            await connection.send_bytes(whole[number : number + 1])
            if number % 16 == 0:
                await assert_alive(other)
        assert (await raw_frames.receive_on_stream(connection, 1)).type == PAYLOAD
