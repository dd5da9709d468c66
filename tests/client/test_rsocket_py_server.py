"""The other way round: the client's engine against a server that is not ours, rsocket-py 0.4.20.

Over TCP and over a WebSocket of aiohttp, with all four interactions; and the whole client on a service of that make.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from reactivestreams.publisher import DefaultPublisher
from reactivestreams.subscriber import DefaultSubscriber, Subscriber
from reactivestreams.subscription import DefaultSubscription, Subscription
from rsocket.extensions.composite_metadata import CompositeMetadata
from rsocket.extensions.routing import RoutingMetadata
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.rsocket_server import RSocketServer
from rsocket.transports.aiohttp_websocket import websocket_handler_factory
from rsocket.transports.tcp import TransportTCP

import tidings_client
from client.service import QUICK, Room, texts
from tidings.contract import v1
from tidings.rsocket import Setup, metadata
from tidings_client.address import read_address
from tidings_client.errors import Code, Failure, Lost, Refused
from tidings_client.link import Link, open_link

pytestmark = pytest.mark.asyncio


class Items(DefaultPublisher, DefaultSubscription):
    """Sends items as they are asked for, and notes what it was asked."""

    def __init__(self, items: list[bytes], *, ends: bool) -> None:
        self.items = items
        self.ends = ends
        self.sent = 0
        self.demands: list[int] = []
        self.demand = 0
        self.cancelled = asyncio.Event()
        self.subscriber: Subscriber | None = None

    def subscribe(self, subscriber: Subscriber) -> None:
        self.subscriber = subscriber
        subscriber.on_subscribe(self)

    def request(self, n: int) -> None:
        self.demands.append(n)
        self.demand += n
        self.pump()

    def pump(self) -> None:
        while self.demand and self.sent < len(self.items) and not self.cancelled.is_set():
            self.demand -= 1
            self.sent += 1
            last = self.ends and self.sent == len(self.items)
            assert self.subscriber is not None
            self.subscriber.on_next(Payload(self.items[self.sent - 1]), last)

    def cancel(self) -> None:
        self.cancelled.set()


class Arrivals(DefaultSubscriber):
    """Takes what a channel's requester sends, two at a time."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.completed = asyncio.Event()
        self.changed = asyncio.Event()

    def on_subscribe(self, subscription: Subscription) -> None:
        self.subscription = subscription
        subscription.request(2)

    def on_next(self, value: Payload, is_complete: bool = False) -> None:
        if value.data is not None:
            self.items.append(value.data)
            self.subscription.request(1)
        self.changed.set()
        if is_complete:
            self.completed.set()

    def on_complete(self) -> None:
        self.completed.set()


class Foreign(BaseRequestHandler):  # type: ignore[misc]
    """The server's side: a few routes of nobody in particular, and as much of Tidings as a client needs to live."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[bytes] = asyncio.Queue()
        self.stream = Items([str(n).encode() for n in range(1000)], ends=True)
        self.arrivals = Arrivals()
        self.room = Room("general")
        self.watching = Items([], ends=False)

    def route(self, payload: Payload) -> str:
        entries = CompositeMetadata()
        entries.parse(payload.metadata)
        (route,) = [entry.tags[0].decode() for entry in entries.items if isinstance(entry, RoutingMetadata)]
        return str(route)

    async def request_response(self, payload: Payload) -> Awaitable[Payload]:
        match self.route(payload):
            case "echo":
                answer = payload.data
            case "session.info":
                answer = v1.InfoReply(user="alice").SerializeToString()
            case "chat.send":
                request = v1.SendRequest.FromString(payload.data)
                answer = self.room.append("alice", request.client_id, request.text).SerializeToString()
                self.see_room()
            case route:
                raise ValueError(f"no handler for {route}")
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        future.set_result(Payload(answer))
        return future

    async def request_fire_and_forget(self, payload: Payload) -> None:
        self.told.put_nowait(payload.data)

    async def request_stream(self, payload: Payload) -> Items:
        match self.route(payload):
            case "count":
                return self.stream
            case "chat.watch":
                request = v1.WatchRequest.FromString(payload.data)
                self.watching = Items([], ends=False)
                self.watching_from = request.after.seq
                self.see_room()
                return self.watching
        raise ValueError("no such stream")

    async def request_channel(self, payload: Payload) -> tuple[Items, Arrivals]:
        self.arrivals.items.append(payload.data)
        return self.stream, self.arrivals

    def see_room(self) -> None:
        for event in self.room.events[getattr(self, "watching_from", 0) + len(self.watching.items) :]:
            cursor = v1.Cursor(epoch="e1", seq=event.seq)
            self.watching.items.append(v1.WatchItem(cursor=cursor, event=event).SerializeToString())
        if self.watching.subscriber is not None:
            self.watching.pump()


class Gathering:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.is_complete = False
        self.error: Failure | Lost | Refused | None = None
        self.changed = asyncio.Event()

    def item(self, data: bytes) -> None:
        self.items.append(data)
        self.note()

    def completed(self) -> None:
        self.is_complete = True
        self.note()

    def failed(self, error: Failure | Lost | Refused) -> None:
        self.error = error
        self.note()

    def credited(self) -> None:
        self.note()

    def note(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.items) < count:
                await self.changed.wait()

    async def end(self) -> None:
        async with asyncio.timeout(20):
            while not self.is_complete and self.error is None:
                await self.changed.wait()


@contextlib.asynccontextmanager
async def serving(scheme: str, foreign: Foreign) -> AsyncIterator[str]:
    """An rsocket-py server while the block runs; its address."""
    made: list[RSocketServer] = []
    if scheme == "tcp":

        def session(*streams: Any) -> None:
            made.append(RSocketServer(TransportTCP(*streams), handler_factory=lambda: foreign))

        server = await asyncio.start_server(session, "127.0.0.1", 0)
        try:
            yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for one in made:
                await one.close()
            server.close()
        return
    app = web.Application()
    app.router.add_get("/rsocket", websocket_handler_factory(made.append, handler_factory=lambda: foreign))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/rsocket"
    finally:
        for one in made:
            await one.close()
        await runner.cleanup()


@pytest_asyncio.fixture
async def foreign() -> Foreign:
    return Foreign()


@pytest_asyncio.fixture
async def link(scheme: str, foreign: Foreign) -> AsyncIterator[Link]:
    """A link to the foreign server."""
    setup = Setup(
        20_000,
        90_000,
        metadata.COMPOSITE,
        "application/octet-stream",
        metadata.write_composite([metadata.Entry(metadata.AUTHENTICATION, metadata.write_simple_auth("me", "pw"))]),
    )
    async with serving(scheme, foreign) as url:
        opened = await open_link(read_address(url), setup, ssl=None, seconds=10)
        yield opened
        await opened.close()


async def test_request_response(link: Link) -> None:
    assert await link.call("echo", b"hello") == b"hello"
    many = await asyncio.gather(*(link.call("echo", str(n).encode()) for n in range(200)))
    assert many == [str(n).encode() for n in range(200)]


async def test_request_response_as_big_as_fragments_allow(link: Link) -> None:
    data = bytes(range(256)) * 4096
    assert await link.call("echo", data) == data


async def test_an_error_of_the_other_side_is_a_failure_with_its_text(link: Link) -> None:
    with pytest.raises(Failure) as raised:
        await link.call("nowhere", b"")
    assert (raised.value.code, raised.value.text) == (Code.INTERNAL, "no handler for nowhere")
    assert await link.call("echo", b"still there") == b"still there"


async def test_fire_and_forget(link: Link, foreign: Foreign) -> None:
    link.tell("note", b"one")
    assert await foreign.told.get() == b"one"


async def test_a_stream_sends_what_was_granted_and_no_more(link: Link, foreign: Foreign) -> None:
    gathering = Gathering()
    stream = link.watch("count", 5, b"", gathering)
    await gathering.until(5)
    await link.call("echo", b"")
    assert (len(gathering.items), foreign.stream.demands) == (5, [5])
    link.request(stream, 3)
    await gathering.until(8)
    await link.call("echo", b"")
    assert (len(gathering.items), foreign.stream.demands) == (8, [5, 3])
    link.request(stream, 1000)
    await gathering.end()
    assert gathering.items == [str(n).encode() for n in range(1000)]


async def test_a_cancelled_stream_is_cancelled_over_there(link: Link, foreign: Foreign) -> None:
    gathering = Gathering()
    stream = link.watch("count", 5, b"", gathering)
    await gathering.until(5)
    link.cancel(stream)
    await foreign.stream.cancelled.wait()
    assert await link.call("echo", b"x") == b"x"


async def test_a_stream_that_fails_says_why(link: Link) -> None:
    gathering = Gathering()
    link.watch("nowhere", 5, b"", gathering)
    await gathering.end()
    assert isinstance(gathering.error, Failure)


async def test_a_channel_goes_both_ways(link: Link, foreign: Foreign) -> None:
    gathering = Gathering()
    stream = link.channel("talk", 4, b"first", gathering)
    await gathering.until(4)
    for n in range(5):
        while not stream.sendable():
            await gathering.changed.wait()
        link.send(stream, str(n).encode())
    while len(foreign.arrivals.items) < 6:
        foreign.arrivals.changed.clear()
        await foreign.arrivals.changed.wait()
    assert foreign.arrivals.items == [b"first", b"0", b"1", b"2", b"3", b"4"]
    assert foreign.stream.demands[0] == 4
    link.request(stream, 996)
    await gathering.end()
    assert len(gathering.items) == 1000


async def test_a_lost_server_fails_what_is_under_way(scheme: str, foreign: Foreign) -> None:
    gathering = Gathering()
    setup = Setup(20_000, 90_000, metadata.COMPOSITE, "application/octet-stream")
    async with serving(scheme, foreign) as url:
        link = await open_link(read_address(url), setup, ssl=None, seconds=10)
        link.watch("count", 5, b"", gathering)
        await gathering.until(5)
    await gathering.end()
    assert isinstance(gathering.error, Lost)
    await link.close()


async def test_the_whole_client_lives_on_a_service_of_that_make(scheme: str, foreign: Foreign) -> None:
    async with (
        serving(scheme, foreign) as url,
        tidings_client.connect(url, user="alice", jitter=QUICK) as client,
        client.rooms["general"].watch(after=0) as watch,
    ):
        for n in range(200):
            await client.rooms["general"].send(str(n))
        events = [await anext(watch) for _ in range(200)]
        assert texts(events) == [str(n) for n in range(200)]
        assert foreign.watching.demands[:2] == [64, 48]
