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
from client.fake_service import FAST_BACKOFF, FakeRoom, texts
from tidings.contract import v1
from tidings.protocols.rsocket import Setup, metadata
from tidings_client.address import parse_address
from tidings_client.connection import ClientConnection, open_connection
from tidings_client.errors import ApiError, Code, ConnectionLostError, RequestRejectedError

pytestmark = pytest.mark.asyncio


class ItemPublisher(DefaultPublisher, DefaultSubscription):
    """Sends items as they are asked for, and notes what it was asked."""

    def __init__(self, items: list[bytes], *, is_finite: bool) -> None:
        self.items = items
        self.is_finite = is_finite
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
            last = self.is_finite and self.sent == len(self.items)
            assert self.subscriber is not None
            self.subscriber.on_next(Payload(self.items[self.sent - 1]), last)

    def cancel(self) -> None:
        self.cancelled.set()


class ItemSubscriber(DefaultSubscriber):
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


class RSocketPyHandler(BaseRequestHandler):  # type: ignore[misc]
    """The server's side: a few routes of nobody in particular, and as much of Tidings as a client needs to live."""

    def __init__(self) -> None:
        self.fire_and_forget_data: asyncio.Queue[bytes] = asyncio.Queue()
        self.stream = ItemPublisher([str(n).encode() for n in range(1000)], is_finite=True)
        self.subscriber = ItemSubscriber()
        self.room = FakeRoom("general")
        self.watch = ItemPublisher([], is_finite=False)

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
                self.publish_room()
            case route:
                raise ValueError(f"no handler for {route}")
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        future.set_result(Payload(answer))
        return future

    async def request_fire_and_forget(self, payload: Payload) -> None:
        self.fire_and_forget_data.put_nowait(payload.data)

    async def request_stream(self, payload: Payload) -> ItemPublisher:
        match self.route(payload):
            case "count":
                return self.stream
            case "chat.watch":
                request = v1.WatchRequest.FromString(payload.data)
                self.watch = ItemPublisher([], is_finite=False)
                self.watching_from = request.after.seq
                self.publish_room()
                return self.watch
        raise ValueError("no such stream")

    async def request_channel(self, payload: Payload) -> tuple[ItemPublisher, ItemSubscriber]:
        self.subscriber.items.append(payload.data)
        return self.stream, self.subscriber

    def publish_room(self) -> None:
        for event in self.room.events[getattr(self, "watching_from", 0) + len(self.watch.items) :]:
            cursor = v1.Cursor(epoch="e1", seq=event.seq)
            self.watch.items.append(v1.WatchItem(cursor=cursor, event=event).SerializeToString())
        if self.watch.subscriber is not None:
            self.watch.pump()


class RecordingObserver:
    """A receiver that keeps what it gets."""

    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.is_complete = False
        self.error: ApiError | ConnectionLostError | RequestRejectedError | None = None
        self.changed = asyncio.Event()

    def on_next(self, data: bytes) -> None:
        self.items.append(data)
        self.notify()

    def on_completed(self) -> None:
        self.is_complete = True
        self.notify()

    def on_error(self, error: ApiError | ConnectionLostError | RequestRejectedError) -> None:
        self.error = error
        self.notify()

    def on_credit(self) -> None:
        self.notify()

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait_for_items(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.items) < count:
                await self.changed.wait()

    async def wait_for_end(self) -> None:
        async with asyncio.timeout(20):
            while not self.is_complete and self.error is None:
                await self.changed.wait()


@contextlib.asynccontextmanager
async def run_rsocket_py_server(scheme: str, handler: RSocketPyHandler) -> AsyncIterator[str]:
    """An rsocket-py server while the block runs; its address."""
    made: list[RSocketServer] = []
    if scheme == "tcp":

        def session(*streams: Any) -> None:
            made.append(RSocketServer(TransportTCP(*streams), handler_factory=lambda: handler))

        server = await asyncio.start_server(session, "127.0.0.1", 0)
        try:
            yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for one in made:
                await one.close()
            server.close()
        return
    app = web.Application()
    app.router.add_get("/rsocket", websocket_handler_factory(made.append, handler_factory=lambda: handler))
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
async def handler() -> RSocketPyHandler:
    return RSocketPyHandler()


@pytest_asyncio.fixture
async def connection(scheme: str, handler: RSocketPyHandler) -> AsyncIterator[ClientConnection]:
    """A link to the foreign server."""
    setup = Setup(
        20_000,
        90_000,
        metadata.COMPOSITE,
        "application/octet-stream",
        metadata.write_composite([metadata.Entry(metadata.AUTHENTICATION, metadata.write_simple_auth("me", "pw"))]),
    )
    async with run_rsocket_py_server(scheme, handler) as url:
        opened = await open_connection(parse_address(url), setup, ssl=None, seconds=10)
        yield opened
        await opened.close()


async def test_request_response(connection: ClientConnection) -> None:
    assert await connection.request_response("echo", b"hello") == b"hello"
    many = await asyncio.gather(*(connection.request_response("echo", str(n).encode()) for n in range(200)))
    assert many == [str(n).encode() for n in range(200)]


async def test_request_response_as_big_as_fragments_allow(connection: ClientConnection) -> None:
    data = bytes(range(256)) * 4096
    assert await connection.request_response("echo", data) == data


async def test_an_error_of_the_other_side_is_a_failure_with_its_text(connection: ClientConnection) -> None:
    with pytest.raises(ApiError) as raised:
        await connection.request_response("nowhere", b"")
    assert (raised.value.code, raised.value.text) == (Code.INTERNAL, "no handler for nowhere")
    assert await connection.request_response("echo", b"still there") == b"still there"


async def test_fire_and_forget(connection: ClientConnection, handler: RSocketPyHandler) -> None:
    connection.fire_and_forget("note", b"one")
    assert await handler.fire_and_forget_data.get() == b"one"


async def test_a_stream_sends_what_was_granted_and_no_more(
    connection: ClientConnection, handler: RSocketPyHandler
) -> None:
    gathering = RecordingObserver()
    stream = connection.request_stream("count", 5, b"", gathering)
    await gathering.wait_for_items(5)
    await connection.request_response("echo", b"")
    assert (len(gathering.items), handler.stream.demands) == (5, [5])
    connection.request_n(stream, 3)
    await gathering.wait_for_items(8)
    await connection.request_response("echo", b"")
    assert (len(gathering.items), handler.stream.demands) == (8, [5, 3])
    connection.request_n(stream, 1000)
    await gathering.wait_for_end()
    assert gathering.items == [str(n).encode() for n in range(1000)]


async def test_a_cancelled_stream_is_cancelled_over_there(
    connection: ClientConnection, handler: RSocketPyHandler
) -> None:
    gathering = RecordingObserver()
    stream = connection.request_stream("count", 5, b"", gathering)
    await gathering.wait_for_items(5)
    connection.cancel(stream)
    await handler.stream.cancelled.wait()
    assert await connection.request_response("echo", b"x") == b"x"


async def test_a_stream_that_fails_says_why(connection: ClientConnection) -> None:
    gathering = RecordingObserver()
    connection.request_stream("nowhere", 5, b"", gathering)
    await gathering.wait_for_end()
    assert isinstance(gathering.error, ApiError)


async def test_a_channel_goes_both_ways(connection: ClientConnection, handler: RSocketPyHandler) -> None:
    gathering = RecordingObserver()
    stream = connection.request_channel("talk", 4, b"first", gathering)
    await gathering.wait_for_items(4)
    for n in range(5):
        while not stream.available_credit():
            await gathering.changed.wait()
        connection.send(stream, str(n).encode())
    while len(handler.subscriber.items) < 6:
        handler.subscriber.changed.clear()
        await handler.subscriber.changed.wait()
    assert handler.subscriber.items == [b"first", b"0", b"1", b"2", b"3", b"4"]
    assert handler.stream.demands[0] == 4
    connection.request_n(stream, 996)
    await gathering.wait_for_end()
    assert len(gathering.items) == 1000


async def test_a_lost_server_fails_what_is_under_way(scheme: str, handler: RSocketPyHandler) -> None:
    gathering = RecordingObserver()
    setup = Setup(20_000, 90_000, metadata.COMPOSITE, "application/octet-stream")
    async with run_rsocket_py_server(scheme, handler) as url:
        connection = await open_connection(parse_address(url), setup, ssl=None, seconds=10)
        connection.request_stream("count", 5, b"", gathering)
        await gathering.wait_for_items(5)
    await gathering.wait_for_end()
    assert isinstance(gathering.error, ConnectionLostError)
    await connection.close()


async def test_the_whole_client_lives_on_a_service_of_that_make(scheme: str, handler: RSocketPyHandler) -> None:
    async with (
        run_rsocket_py_server(scheme, handler) as url,
        tidings_client.connect(url, user="alice", backoff=FAST_BACKOFF) as client,
        client.rooms["general"].watch(after=0) as watch,
    ):
        for n in range(200):
            await client.rooms["general"].send(str(n))
        events = [await anext(watch) for _ in range(200)]
        assert texts(events) == [str(n) for n in range(200)]
        assert handler.watch.demands[:2] == [64, 48]
