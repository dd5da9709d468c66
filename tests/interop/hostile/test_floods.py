"""Too much and too slow: streams, pieces, frames, connections, and readers who do not read."""

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest

from interop.hostile import raw
from interop.hostile.asking import (
    CONNECTION_ERROR,
    INVALID,
    INVALID_SETUP,
    REJECTED,
    RESOURCE_EXHAUSTED,
    ROOM,
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
from running import RunningService, running_service
from tidings.domain.limits import DomainLimits
from tidings.rsocket import Limits
from tidings.transports.settings import ConnectionLimits

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIBRARY = "library"
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
    (line,) = (line for line in lines if line.startswith("tidings_outbound_bytes "))
    return float(line.split()[1])


async def test_streams_beyond_the_limit_are_refused_one_by_one(tmp_path: Path) -> None:
    async with running_service(tmp_path, rsocket__streams_max=100) as service, raw.dial(service.tcp_url) as author:
        await author.send(setup(user="owner"), create(1, ROOM))
        assert (await raw.answer(author, 1)).type == PAYLOAD
        for url in (service.tcp_url, service.ws_url):
            async with raw.dial(url) as wire:
                await enter(wire)
                await ask_beyond(wire, 100, REJECTED)


async def test_watches_of_one_room_beyond_the_limit_are_refused_one_by_one(url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        await ask_beyond(wire, ROOM_WATCHES_MAX, RESOURCE_EXHAUSTED)


async def ask_beyond(wire: raw.Wire, most: int, code: int) -> None:
    """Open `most` watches, which are taken, and more, which are refused; the connection lives, and so do places."""
    for number in range(most):
        await wire.send(watch(2 * number + 1))
        assert (await raw.answer(wire, 2 * number + 1)).type == PAYLOAD
    for number in range(most, most + 50):
        await wire.send(watch(2 * number + 1))
        refused = await raw.answer(wire, 2 * number + 1)
        assert (refused.type, refused.code) == (ERROR, code)
    await wire.send(frame(1, CANCEL))
    await assert_alive(wire)
    await wire.send(watch(2 * most + 101))
    assert (await raw.answer(wire, 2 * most + 101)).type == PAYLOAD


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
    piece = bytes(REQUEST_BYTES_MAX)
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(request(1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        await wire.send(*[frame(1, PAYLOAD, FOLLOWS | NEXT, piece)] * 20)
        error = await raw.answer(wire, 1)
        assert (error.type, error.code) == (ERROR, INVALID)
        await assert_alive(wire)


async def test_unfinished_payloads_share_a_limit(url: str) -> None:
    piece = bytes(1 << 19)
    begun = 10
    async with raw.dial(url) as wire:
        await enter(wire)
        for number in range(begun):
            await wire.send(request(2 * number + 1, REQUEST_RESPONSE, "chat.send", piece, flags=FOLLOWS))
        error = await raw.answer(wire, 2 * begun - 1)
        assert (error.type, error.code) == (ERROR, REJECTED)
        await assert_alive(wire)


FLOODS = {"keepalives": keepalive(b"?"), "pushed metadata": frame(0, METADATA_PUSH, METADATA, bytes(100))}


@each(FLOODS)
async def test_a_flood_that_asks_for_nothing_is_answered_in_part_or_dropped(case: bytes, url: str) -> None:
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(*[case] * (IGNORED_PER_SECOND_MAX // 2))
        await assert_alive(wire)


@each(FLOODS)
async def test_a_flood_without_an_end_ends_the_connection_with_a_reason(case: bytes, tmp_path: Path) -> None:
    # So few that a machine with other work to do reads more than that in a second as well.
    async with running_service(tmp_path, rsocket__ignored_frames_per_second_max=100) as service:
        for url in (service.tcp_url, service.ws_url):
            async with raw.dial(url) as wire:
                await enter(wire)
                await wire.send(*[case] * 5_000)
                frames = await raw.rest(wire)
            assert raw.errors(frames) == [(0, CONNECTION_ERROR)]
            assert "ignored_frames_per_second_max" in frames[-1].text


async def test_a_client_that_asks_and_never_reads_costs_only_itself(url: str, service: RunningService) -> None:
    async with raw.dial(service.tcp_url) as author:
        await author.send(setup(user="owner"), create(1, LIBRARY))
        assert (await raw.answer(author, 1)).type == PAYLOAD
        for number in range(20):
            await author.send(send(2 * number + 3, room=LIBRARY, client_id=f"book-{number}", text="b" * 60_000))
        assert (await raw.answer(author, 41)).type == PAYLOAD
    async with raw.dial(url) as wire:
        await enter(wire)
        await wire.send(*(page(2 * number + 1, room=LIBRARY, limit=1_000) for number in range(1_000)))
        async with raw.dial(url) as other:
            await other.send(setup(user="patient"))
            await assert_alive(other)
        assert await outbound_bytes(service) < OUTBOUND_BYTES_FAIR


async def test_a_crowd_that_says_nothing_leaves_those_inside_alone(tmp_path: Path) -> None:
    async with (
        running_service(
            tmp_path, connections__strangers_per_address_max=10, connections__evictable_seconds=60
        ) as service,
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


async def test_a_setup_that_never_comes_whole_is_not_waited_for_long(tmp_path: Path) -> None:
    async with running_service(tmp_path, rsocket__first_frame_seconds=0.1) as service:
        for url in (service.tcp_url, service.ws_url):
            async with raw.dial(url) as wire:
                await wire.send_bytes(wire.wrapped(setup())[:40])
                assert raw.errors(await raw.rest(wire)) == [(0, INVALID_SETUP)]


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
