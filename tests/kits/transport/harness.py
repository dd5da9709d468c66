"""What these tests share: a listener on free ports with a table of its own, and peers that speak raw frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import websockets.asyncio.client
import websockets.exceptions

from kits.transport.change_notifier import ChangeNotifier, NotifyingDict, NotifyingSet
from rsocket_harness import COMPOSITE, frame, setup
from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext, Credentials, Identity, Session
from tidings.contract.errors import not_found, unauthenticated
from tidings.contract.memory_account import MemoryAccounts
from tidings.contract.methods import Method, MethodKind, MethodTable, Permission
from tidings.frontend import Frontend
from tidings.hub import Batch, Sink
from tidings.metrics.registry import Metrics
from tidings.protocols.rsocket import Frame, FrameType, decode, metadata
from tidings.server.settings import ConnectionLimits, HttpSettings, ListenerSettings, TcpSettings

TEST_TIMEOUT_SECONDS = 20  # against a wait that never ends; nothing is measured with it
SETTINGS = ListenerSettings(
    dev=True,
    http=HttpSettings(port=0),
    tcp=TcpSettings(port=0),
    connections=ConnectionLimits(timer_tick_seconds=0.01),
)
# A service that reads whatever a frame can carry.
LARGE_REQUEST_SETTINGS = replace(SETTINGS, connections=replace(SETTINGS.connections, request_bytes_max=16_777_215))


# --- handlers ---------------------------------------------------------------------------------------------------


class FakeSubscription:
    """Delivers the numbers from 1 to `last` as there is demand; more when told to."""

    def __init__(self, sink: Sink[Any], last: int, text: str = "") -> None:
        self.sink: Sink[Any] | None = sink
        self.last_seq = last
        self.text = text
        self.sent_count = 0
        self.woke = asyncio.Event()
        self.closed = asyncio.Event()

    def wake(self) -> None:
        self.woke.set()
        asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        while self.sink is not None:
            count = min(self.sink.demand(), self.last_seq - self.sent_count, 64)
            if count <= 0:
                return
            items = [watch_item(self.sent_count + index + 1, self.text) for index in range(count)]
            self.sent_count += count
            self.sink.deliver(Batch(items, self.sent_count - count + 1, self.sent_count))

    def close(self) -> None:
        self.sink = None
        self.closed.set()


def watch_item(seq: int, text: str = "") -> PreparedMessage[v1.WatchItem]:
    return PreparedMessage.from_message(v1.WatchItem(cursor=v1.Cursor(epoch=text, seq=seq)))


class FakeChannelHandler:
    """A conversation that answers every command with its ref, one at a time, when `release` is called or at once."""

    def __init__(self, sink: Sink[Any], capacity: int, record: Callable[[str], None]) -> None:
        self.sink: Sink[Any] | None = sink
        self.capacity = capacity
        self.record = record
        self.is_held = False
        self.refs: list[int] = []
        self.unanswered: list[int] = []
        self.completed = asyncio.Event()
        self.closed = asyncio.Event()

    def receive(self, message: v1.ChannelCommand) -> None:
        self.refs.append(message.ref)
        self.record("command")
        if message.ref == 404:
            raise not_found("there is no command 404; send another")
        self.unanswered.append(message.ref)
        self.wake()

    def complete(self) -> None:
        self.completed.set()

    def command_capacity(self) -> int:
        return self.capacity - len(self.unanswered)

    def wake(self) -> None:
        while self.sink is not None and self.unanswered and not self.is_held and self.sink.demand():
            ref = self.unanswered.pop(0)
            self.sink.deliver(Batch([PreparedMessage.from_message(v1.ChannelItem(ref=ref, done=v1.Done()))], ref, ref))

    def close(self) -> None:
        self.sink = None
        self.closed.set()


class Handlers:
    """What the routes of the test table do, and what they noticed."""

    def __init__(self) -> None:
        self.releases: dict[str, asyncio.Event] = {}
        self.calls: Counter[str] = Counter()
        self.subscriptions: list[FakeSubscription] = []
        self.channel_handlers: list[FakeChannelHandler] = []
        self.watch_last = 1_000_000_000
        self.channel_capacity = 8
        self.notifier = ChangeNotifier()

    def record(self, name: str) -> None:
        self.calls[name] += 1
        self.notifier.notify()

    async def until_called(self, name: str, times: int = 1) -> None:
        """Wait until something was noticed so often."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            await self.notifier.wait_until(lambda: self.calls[name] >= times)

    def release_event(self, name: str) -> asyncio.Event:
        return self.releases.setdefault(name, asyncio.Event())

    def echo(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        self.record("echo")
        return v1.SendReply(cursor=v1.Cursor(epoch=request.text), at_ms=len(request.text))

    def whoami(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        return v1.SendReply(cursor=v1.Cursor(epoch=context.user))

    def absent(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        raise not_found("there is no such thing; look elsewhere")

    def crash(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        raise RuntimeError("the password is swordfish")

    async def wait(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        self.record("wait")
        try:
            await self.release_event(request.room).wait()
        except asyncio.CancelledError:
            self.record("wait cancelled")
            raise
        self.record("wait done")
        return v1.SendReply(cursor=v1.Cursor(epoch=context.user))

    async def crash_later(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        await asyncio.sleep(0)
        raise RuntimeError("the password is swordfish")

    async def refresh(self, request: v1.SendRequest, context: CallContext) -> v1.SendReply:
        context.session.identity = replace(context.session.identity, expires_at_ms=int(request.text))
        return v1.SendReply()

    async def watch(self, request: v1.WatchRequest, context: CallContext, sink: Sink[Any]) -> FakeSubscription:
        if request.room == "absent":
            raise not_found("there is no such room")
        subscription = FakeSubscription(sink, self.watch_last, request.room)
        self.subscriptions.append(subscription)
        self.record("watch")
        return subscription

    async def slow_watch(self, request: v1.WatchRequest, context: CallContext, sink: Sink[Any]) -> FakeSubscription:
        self.record("slow watch")
        subscription = FakeSubscription(sink, self.watch_last)
        self.subscriptions.append(subscription)
        try:
            await self.release_event(request.room).wait()
        except asyncio.CancelledError:
            # A handler that answers although it was cancelled: its source must be closed all the same.
            self.record("slow watch cancelled")
        return subscription

    def channel(self, context: CallContext, sink: Sink[Any]) -> FakeChannelHandler:
        channel_handler = FakeChannelHandler(sink, self.channel_capacity, self.record)
        self.channel_handlers.append(channel_handler)
        self.record("channel")
        return channel_handler


def method_table(handlers: Handlers) -> MethodTable:
    def method(name: str, verb: MethodKind, request: Any, reply: Any, handler: Any, permission: Permission) -> Method:
        return Method(name, verb, permission, request, reply, handler, asyncio.iscoroutinefunction(handler), True)

    user, send = Permission.USER, (v1.SendRequest, v1.SendReply)
    return MethodTable(
        {
            each.route: each
            for each in (
                method("test.echo", MethodKind.CALL, *send, handlers.echo, user),
                method("test.whoami", MethodKind.CALL, *send, handlers.whoami, user),
                method("test.absent", MethodKind.CALL, *send, handlers.absent, user),
                method("test.crash", MethodKind.CALL, *send, handlers.crash, user),
                method("test.later", MethodKind.CALL, *send, handlers.crash_later, user),
                method("test.wait", MethodKind.CALL, *send, handlers.wait, user),
                method("test.refresh", MethodKind.CALL, *send, handlers.refresh, user),
                method("test.operate", MethodKind.CALL, *send, handlers.whoami, Permission.OPERATOR),
                method("test.watch", MethodKind.WATCH, v1.WatchRequest, v1.WatchItem, handlers.watch, user),
                method("test.slowwatch", MethodKind.WATCH, v1.WatchRequest, v1.WatchItem, handlers.slow_watch, user),
                method("test.channel", MethodKind.CHANNEL, v1.ChannelCommand, v1.ChannelItem, handlers.channel, user),
            )
        }
    )


class FakeAuthenticator:
    """Lets in whoever has a name, unless it is mallory; slow for who is called slow."""

    def __init__(self) -> None:
        self.accounts = MemoryAccounts(67_108_864, 2_048)
        self.sessions: list[Session] = []
        self.closed_sessions: list[Session] = []
        self.unblock = asyncio.Event()
        self.session_opened = asyncio.Event()
        self.authenticate_called = asyncio.Event()
        self.expires_at_ms = 0
        self.closed_queue: asyncio.Queue[Session] = asyncio.Queue()

    async def authenticate(self, credentials: Credentials) -> Identity:
        name = credentials.token or credentials.user
        self.authenticate_called.set()
        if name == "mallory":
            raise unauthenticated("mallory is not let in; be somebody else")
        if name == "broken":
            raise RuntimeError("the key is under the mat")
        if name.startswith("slow"):
            await self.unblock.wait()
        expires_at_ms = self.expires_at_ms if name.startswith("brief") else 0
        return Identity(name or "guest", guest=not name, operator=name == "root", expires_at_ms=expires_at_ms)

    def assign_memory(self, session: Session) -> None:
        session.memory = self.accounts.get(session.identity.user)

    def register(self, session: Session) -> None:
        self.assign_memory(session)
        self.sessions.append(session)
        self.session_opened.set()

    def unregister(self, session: Session) -> None:
        self.closed_sessions.append(session)
        self.closed_queue.put_nowait(session)


# --- the stage --------------------------------------------------------------------------------------------------


class FakeClock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def now_ms(self) -> int:
        return 1_700_000_000_000 + int(self.seconds * 1000)


class TimeoutRecorder:
    """Waits for a deadline."""

    def __init__(self) -> None:
        self.timer_slot = 0
        self.event = asyncio.Event()

    def on_timeout(self, now: float) -> None:
        self.event.set()


class TransportHarness:
    """A running listener."""

    def __init__(self, settings: ListenerSettings = SETTINGS, clock: FakeClock | None = None) -> None:
        self.handlers = Handlers()
        self.authenticator = FakeAuthenticator()
        self.metrics = Metrics()
        self.clock = clock
        times: dict[str, Any] = {} if clock is None else {"clock": clock.monotonic, "now_ms": clock.now_ms}
        self.notifier = self.handlers.notifier
        self.listener = Frontend(
            method_table(self.handlers), self.authenticator, self.authenticator, settings, self.metrics, **times
        )

    async def start(self) -> None:
        await self.listener.start()
        dispatcher = self.listener.dispatcher
        dispatcher.peers, dispatcher.tasks = NotifyingDict(self.notifier), NotifyingSet(self.notifier)
        for thing in (dispatcher, self.listener.connection_limiter):
            self.notifier.watch(thing)

    async def run_timers(self) -> None:
        """Wait until everybody whose time has come has been told."""
        recorder = TimeoutRecorder()
        self.listener.rsocket_server.timer_wheel.schedule(recorder, self.listener.rsocket_server.clock() - 1)
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            await recorder.event.wait()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.http_port}/rsocket"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.listener.http_port}"

    @property
    def connection_count(self) -> int:
        """Sessions that the service still knows."""
        return len(self.listener.dispatcher.peers)

    async def next_closed_session(self) -> Session:
        """The next session that has left."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            return await self.authenticator.closed_queue.get()

    async def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until something is so: who is there (`sessions`, the doorkeeper's), what is done (tasks), draining."""
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            await self.notifier.wait_until(condition)

    def peer(self, transport: str, first: bytes | None = None) -> contextlib.AbstractAsyncContextManager[Peer]:
        """A peer that has said `first` (SETUP of ada, unless told otherwise; b"" for nothing)."""
        return open_peer(self, transport, setup_frame("ada") if first is None else first)


@contextlib.asynccontextmanager
async def running_harness(
    settings: ListenerSettings = SETTINGS, clock: FakeClock | None = None
) -> AsyncIterator[TransportHarness]:
    """A listener while the block runs. At the end everything has gone: sessions, tasks, sockets, bytes held."""
    harness = TransportHarness(settings, clock)
    await harness.start()
    try:
        yield harness
    finally:
        await harness.listener.close()
    assert not harness.listener.dispatcher.peers
    assert not harness.listener.dispatcher.tasks
    assert len(harness.authenticator.closed_sessions) == len(harness.authenticator.sessions)
    assert all(source.closed.is_set() for source in harness.handlers.subscriptions)
    assert all(talk.closed.is_set() for talk in harness.handlers.channel_handlers)
    accounts = [session.memory for session in harness.authenticator.sessions]
    assert [(account.reserved_bytes, account.active_requests, account.queue_sizes) for account in accounts] == [
        (0, 0, {})
    ] * len(accounts)


class Peer:
    """One end of a connection, frame by frame."""

    async def send(self, *frames: bytes) -> None:
        raise AssertionError

    async def _receive(self) -> bytes | None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError

    def abort(self) -> None:
        """Vanish without a word."""
        raise AssertionError

    async def receive(self) -> Frame:
        """The next frame; keepalives of the server are left out."""
        while True:
            async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
                found = await self._receive()
            assert found is not None, "the connection has ended"
            read = decode(found)
            if read.type is not FrameType.KEEPALIVE:
                return read

    async def read_until_closed(self) -> list[Frame]:
        """What still comes, until the other end has closed."""
        frames = []
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            while (found := await self._receive()) is not None:
                frames.append(decode(found))
        return frames

    async def receive_error(self) -> tuple[int, str]:
        """The next frame, which is an ERROR: code and text."""
        found = await self.receive()
        assert found.type is FrameType.ERROR, found
        return int(found.fields["code"]), found.data.decode()

    async def receive_connection_error(self) -> tuple[int, str]:
        """The ERROR on stream 0 with which the connection ends."""
        frames = await self.read_until_closed()
        last = frames[-1]
        assert (last.type, last.stream_id) == (FrameType.ERROR, 0)
        return int(last.fields["code"]), last.data.decode()

    async def request(self, stream_id: int, route: str, message: Any = None, **entries: Any) -> Frame:
        """A request and its answer."""
        await self.send(call_frame(stream_id, route, message, **entries))
        return await self.receive()


class WebSocketPeer(Peer):
    def __init__(self, socket: websockets.asyncio.client.ClientConnection) -> None:
        self.socket = socket

    async def send(self, *frames: bytes) -> None:
        for each in frames:
            await self.socket.send(each)

    async def _receive(self) -> bytes | None:
        try:
            found = await self.socket.recv()
        except websockets.exceptions.ConnectionClosed:
            return None
        assert isinstance(found, bytes)
        return found

    async def close(self) -> None:
        await self.socket.close()

    def abort(self) -> None:
        self.socket.transport.abort()


class TcpPeer(Peer):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(len(each).to_bytes(3, "big") + each for each in frames))
        await self.writer.drain()

    async def _receive(self) -> bytes | None:
        try:
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(3), "big"))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def abort(self) -> None:
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def open_peer(harness: TransportHarness, transport: str, first: bytes) -> AsyncIterator[Any]:
    peer: Peer
    if transport == "websocket":
        peer = WebSocketPeer(await websockets.asyncio.client.connect(harness.ws_url, max_size=None, compression=None))
    else:
        peer = TcpPeer(*await asyncio.open_connection("127.0.0.1", harness.listener.tcp_port))
    try:
        if first:
            await peer.send(first)
        yield peer
    finally:
        peer.abort()


# --- frames -----------------------------------------------------------------------------------------------------


def request_metadata(route: str | None = None, user: str = "", mime: str = "", accept: tuple[str, ...] = ()) -> bytes:
    """Composite metadata."""
    entries = []
    if route is not None:
        entries.append((metadata.ROUTING, metadata.write_route(route)))
    if user:
        entries.append((metadata.AUTHENTICATION, metadata.write_simple_auth(user, "any")))
    if mime:
        entries.append((metadata.MIME_TYPE, metadata.write_mime_type(mime)))
    if accept:
        entries.append((metadata.ACCEPT_MIME_TYPES, metadata.write_accept_mime_types(accept)))
    return metadata.write_composite(entries)


def setup_frame(user: str = "", **fields: Any) -> bytes:
    return setup(metadata=request_metadata(user=user) if user else None, **({"metadata_mime": COMPOSITE} | fields))


def encode_message(message: Any) -> bytes:
    if message is None:
        return b""
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def call_frame(stream_id: int, route: str, message: Any = None, **entries: Any) -> bytes:
    return frame(FrameType.REQUEST_RESPONSE, stream_id, 0, request_metadata(route, **entries), encode_message(message))


def fire_and_forget_frame(stream_id: int, route: str, message: Any = None, **entries: Any) -> bytes:
    return frame(FrameType.REQUEST_FNF, stream_id, 0, request_metadata(route, **entries), encode_message(message))


def watch_frame(stream_id: int, n: int, route: str = "test.watch", message: Any = None, **entries: Any) -> bytes:
    return frame(
        FrameType.REQUEST_STREAM, stream_id, 0, request_metadata(route, **entries), encode_message(message), initial_n=n
    )


def channel_frame(stream_id: int, n: int, ref: int, flags: int = 0, **entries: Any) -> bytes:
    command = encode_message(v1.ChannelCommand(ref=ref))
    return frame(
        FrameType.REQUEST_CHANNEL, stream_id, flags, request_metadata("test.channel", **entries), command, initial_n=n
    )


def decode_reply(found: Frame) -> v1.SendReply:
    assert found.type is FrameType.PAYLOAD, found
    return v1.SendReply.FromString(found.data)


def item_seq(found: Frame) -> int:
    assert found.type is FrameType.PAYLOAD, found
    return v1.WatchItem.FromString(found.data).cursor.seq
