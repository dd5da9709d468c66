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

from rsocket_kit import COMPOSITE, frame, setup
from tidings.contract import v1
from tidings.contract.call import Call, Credentials, Identity, Session
from tidings.contract.codecs import Prepared
from tidings.contract.errors import not_found, unauthenticated
from tidings.contract.memory import Accounts
from tidings.contract.table import Permission, Row, Table, Verb
from tidings.hub import Batch, Sink
from tidings.metrics import Metrics
from tidings.rsocket import Frame, FrameType, decode, metadata
from tidings.transports.listener import Listener
from tidings.transports.settings import ConnectionLimits, HttpSettings, ListenerSettings, TcpSettings
from transports.bell import Bell, RingingDict, RingingSet

GUARD_SECONDS = 20  # against a wait that never ends; nothing is measured with it
SETTINGS = ListenerSettings(
    dev=True,
    http=HttpSettings(port=0),
    tcp=TcpSettings(port=0),
    connections=ConnectionLimits(deadline_tick_seconds=0.01),
)
# A service that reads whatever a frame can carry.
READING_ALL = replace(SETTINGS, connections=replace(SETTINGS.connections, request_bytes_max=16_777_215))


# --- handlers ---------------------------------------------------------------------------------------------------


class Source:
    """Delivers the numbers from 1 to `last` as there is demand; more when told to."""

    def __init__(self, sink: Sink[Any], last: int, text: str = "") -> None:
        self.sink: Sink[Any] | None = sink
        self.last = last
        self.text = text
        self.sent = 0
        self.woken = asyncio.Event()
        self.closed = asyncio.Event()

    def wake(self) -> None:
        self.woken.set()
        asyncio.get_running_loop().call_soon(self.deliver)

    def deliver(self) -> None:
        while self.sink is not None:
            count = min(self.sink.demand(), self.last - self.sent, 64)
            if count <= 0:
                return
            items = [item(self.sent + index + 1, self.text) for index in range(count)]
            self.sent += count
            self.sink.deliver(Batch(items, self.sent - count + 1, self.sent))

    def close(self) -> None:
        self.sink = None
        self.closed.set()


def item(seq: int, text: str = "") -> Prepared[v1.WatchItem]:
    return Prepared.of(v1.WatchItem(cursor=v1.Cursor(epoch=text, seq=seq)))


class Talk:
    """A conversation that answers every command with its ref, one at a time, when `release` is called or at once."""

    def __init__(self, sink: Sink[Any], most: int, notice: Callable[[str], None]) -> None:
        self.sink: Sink[Any] | None = sink
        self.most = most
        self.notice = notice
        self.held = False
        self.refs: list[int] = []
        self.waiting: list[int] = []
        self.completed = asyncio.Event()
        self.closed = asyncio.Event()

    def receive(self, message: v1.ChannelCommand) -> None:
        self.refs.append(message.ref)
        self.notice("command")
        if message.ref == 404:
            raise not_found("there is no command 404; send another")
        self.waiting.append(message.ref)
        self.wake()

    def complete(self) -> None:
        self.completed.set()

    def room(self) -> int:
        return self.most - len(self.waiting)

    def wake(self) -> None:
        while self.sink is not None and self.waiting and not self.held and self.sink.demand():
            ref = self.waiting.pop(0)
            self.sink.deliver(Batch([Prepared.of(v1.ChannelItem(ref=ref, done=v1.Done()))], ref, ref))

    def close(self) -> None:
        self.sink = None
        self.closed.set()


class Handlers:
    """What the routes of the test table do, and what they noticed."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.noticed: Counter[str] = Counter()
        self.sources: list[Source] = []
        self.talks: list[Talk] = []
        self.watch_last = 1_000_000_000
        self.channel_room = 8
        self.bell = Bell()

    def notice(self, what: str) -> None:
        self.noticed[what] += 1
        self.bell.ring()

    async def seen(self, what: str, times: int = 1) -> None:
        """Wait until something was noticed so often."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self.bell.until(lambda: self.noticed[what] >= times)

    def opened(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    def echo(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        self.notice("echo")
        return v1.SendReply(cursor=v1.Cursor(epoch=request.text), at_ms=len(request.text))

    def whoami(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        return v1.SendReply(cursor=v1.Cursor(epoch=call.user))

    def absent(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        raise not_found("there is no such thing; look elsewhere")

    def crash(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        raise RuntimeError("the password is swordfish")

    async def wait(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        self.notice("wait")
        try:
            await self.opened(request.room).wait()
        except asyncio.CancelledError:
            self.notice("wait cancelled")
            raise
        self.notice("wait done")
        return v1.SendReply(cursor=v1.Cursor(epoch=call.user))

    async def crash_later(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        await asyncio.sleep(0)
        raise RuntimeError("the password is swordfish")

    async def refresh(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        call.session.identity = replace(call.session.identity, expires_at_ms=int(request.text))
        return v1.SendReply()

    async def watch(self, request: v1.WatchRequest, call: Call, sink: Sink[Any]) -> Source:
        if request.room == "absent":
            raise not_found("there is no such room")
        source = Source(sink, self.watch_last, request.room)
        self.sources.append(source)
        self.notice("watch")
        return source

    async def slow_watch(self, request: v1.WatchRequest, call: Call, sink: Sink[Any]) -> Source:
        self.notice("slow watch")
        source = Source(sink, self.watch_last)
        self.sources.append(source)
        try:
            await self.opened(request.room).wait()
        except asyncio.CancelledError:
            # A handler that answers although it was cancelled: its source must be closed all the same.
            self.notice("slow watch cancelled")
        return source

    def channel(self, call: Call, sink: Sink[Any]) -> Talk:
        talk = Talk(sink, self.channel_room, self.notice)
        self.talks.append(talk)
        self.notice("channel")
        return talk


def rows(handlers: Handlers) -> Table:
    def row(name: str, verb: Verb, request: Any, reply: Any, handler: Any, permission: Permission) -> Row:
        return Row(name, verb, permission, request, reply, handler, asyncio.iscoroutinefunction(handler), True)

    user, send = Permission.USER, (v1.SendRequest, v1.SendReply)
    return Table(
        {
            each.route: each
            for each in (
                row("test.echo", Verb.CALL, *send, handlers.echo, user),
                row("test.whoami", Verb.CALL, *send, handlers.whoami, user),
                row("test.absent", Verb.CALL, *send, handlers.absent, user),
                row("test.crash", Verb.CALL, *send, handlers.crash, user),
                row("test.later", Verb.CALL, *send, handlers.crash_later, user),
                row("test.wait", Verb.CALL, *send, handlers.wait, user),
                row("test.refresh", Verb.CALL, *send, handlers.refresh, user),
                row("test.operate", Verb.CALL, *send, handlers.whoami, Permission.OPERATOR),
                row("test.watch", Verb.WATCH, v1.WatchRequest, v1.WatchItem, handlers.watch, user),
                row("test.slowwatch", Verb.WATCH, v1.WatchRequest, v1.WatchItem, handlers.slow_watch, user),
                row("test.channel", Verb.CHANNEL, v1.ChannelCommand, v1.ChannelItem, handlers.channel, user),
            )
        }
    )


class Gate:
    """Lets in whoever has a name, unless it is mallory; slow for who is called slow."""

    def __init__(self) -> None:
        self.accounts = Accounts(67_108_864, 2_048)
        self.sessions: list[Session] = []
        self.gone: list[Session] = []
        self.open = asyncio.Event()
        self.came = asyncio.Event()
        self.asked = asyncio.Event()
        self.expires_at_ms = 0
        self.lost: asyncio.Queue[Session] = asyncio.Queue()

    async def admit(self, credentials: Credentials) -> Identity:
        name = credentials.token or credentials.user
        self.asked.set()
        if name == "mallory":
            raise unauthenticated("mallory is not let in; be somebody else")
        if name == "broken":
            raise RuntimeError("the key is under the mat")
        if name.startswith("slow"):
            await self.open.wait()
        expires_at_ms = self.expires_at_ms if name.startswith("brief") else 0
        return Identity(name or "guest", guest=not name, operator=name == "root", expires_at_ms=expires_at_ms)

    def entered(self, session: Session) -> None:
        session.memory = self.accounts.of(session.identity.user)
        self.sessions.append(session)
        self.came.set()

    def left(self, session: Session) -> None:
        self.gone.append(session)
        self.lost.put_nowait(session)


# --- the stage --------------------------------------------------------------------------------------------------


class Clock:
    """Time that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.seconds * 1000)


class Told:
    """Waits for a deadline."""

    def __init__(self) -> None:
        self.slot = 0
        self.event = asyncio.Event()

    def due(self, now: float) -> None:
        self.event.set()


class Stage:
    """A running listener."""

    def __init__(self, settings: ListenerSettings = SETTINGS, clock: Clock | None = None) -> None:
        self.handlers = Handlers()
        self.gate = Gate()
        self.metrics = Metrics()
        self.clock = clock
        times: dict[str, Any] = {} if clock is None else {"clock": clock.monotonic, "wall_ms": clock.wall_ms}
        self.bell = self.handlers.bell
        self.listener = Listener(rows(self.handlers), self.gate, settings, self.metrics, **times)

    async def start(self) -> None:
        await self.listener.start()
        service = self.listener.service
        service.sessions, service.tasks = RingingDict(self.bell), RingingSet(self.bell)
        for thing in (service, self.listener.doorkeeper):
            self.bell.watch(thing)

    async def turn(self) -> None:
        """Wait until everybody whose time has come has been told."""
        told = Told()
        self.listener.service.deadlines.put(told, self.listener.service.clock() - 1)
        async with asyncio.timeout(GUARD_SECONDS):
            await told.event.wait()

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.http_port}/rsocket"

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.listener.http_port}"

    @property
    def sessions(self) -> int:
        """Sessions that the service still knows."""
        return len(self.listener.service.sessions)

    async def gone(self) -> Session:
        """The next session that has left."""
        async with asyncio.timeout(GUARD_SECONDS):
            return await self.gate.lost.get()

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until something is so: who is there (`sessions`, the doorkeeper's), what is done (tasks), draining."""
        async with asyncio.timeout(GUARD_SECONDS):
            await self.bell.until(true)

    def peer(self, transport: str, first: bytes | None = None) -> contextlib.AbstractAsyncContextManager[Peer]:
        """A peer that has said `first` (SETUP of ada, unless told otherwise; b"" for nothing)."""
        return opened(self, transport, setup_of("ada") if first is None else first)


@contextlib.asynccontextmanager
async def staged(settings: ListenerSettings = SETTINGS, clock: Clock | None = None) -> AsyncIterator[Stage]:
    """A listener while the block runs. At the end everything has gone: sessions, tasks, sockets, bytes held."""
    stage = Stage(settings, clock)
    await stage.start()
    try:
        yield stage
    finally:
        await stage.listener.close()
    service = stage.listener.service
    assert not service.sessions
    assert not service.tasks
    assert len(stage.gate.gone) == len(stage.gate.sessions)
    assert all(source.closed.is_set() for source in stage.handlers.sources)
    assert all(talk.closed.is_set() for talk in stage.handlers.talks)
    accounts = [session.memory for session in stage.gate.sessions]
    assert [(account.held, account.requests, account.queues) for account in accounts] == [(0, 0, {})] * len(accounts)


class Peer:
    """One end of a connection, frame by frame."""

    async def send(self, *frames: bytes) -> None:
        raise AssertionError

    async def _receive(self) -> bytes | None:
        raise AssertionError

    async def close(self) -> None:
        raise AssertionError

    def cut(self) -> None:
        """Vanish without a word."""
        raise AssertionError

    async def receive(self) -> Frame:
        """The next frame; keepalives of the server are left out."""
        while True:
            async with asyncio.timeout(GUARD_SECONDS):
                found = await self._receive()
            assert found is not None, "the connection has ended"
            read = decode(found)
            if read.type is not FrameType.KEEPALIVE:
                return read

    async def rest(self) -> list[Frame]:
        """What still comes, until the other end has closed."""
        frames = []
        async with asyncio.timeout(GUARD_SECONDS):
            while (found := await self._receive()) is not None:
                frames.append(decode(found))
        return frames

    async def failure(self) -> tuple[int, str]:
        """The next frame, which is an ERROR: code and text."""
        found = await self.receive()
        assert found.type is FrameType.ERROR, found
        return int(found.fields["code"]), found.data.decode()

    async def refusal(self) -> tuple[int, str]:
        """The ERROR on stream 0 with which the connection ends."""
        frames = await self.rest()
        last = frames[-1]
        assert (last.type, last.stream_id) == (FrameType.ERROR, 0)
        return int(last.fields["code"]), last.data.decode()

    async def ask(self, stream_id: int, route: str, message: Any = None, **entries: Any) -> Frame:
        """A request and its answer."""
        await self.send(call(stream_id, route, message, **entries))
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

    def cut(self) -> None:
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

    def cut(self) -> None:
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def opened(stage: Stage, transport: str, first: bytes) -> AsyncIterator[Any]:
    peer: Peer
    if transport == "websocket":
        peer = WebSocketPeer(await websockets.asyncio.client.connect(stage.ws_url, max_size=None, compression=None))
    else:
        peer = TcpPeer(*await asyncio.open_connection("127.0.0.1", stage.listener.tcp_port))
    try:
        if first:
            await peer.send(first)
        yield peer
    finally:
        peer.cut()


# --- frames -----------------------------------------------------------------------------------------------------


def said(route: str | None = None, user: str = "", mime: str = "", accept: tuple[str, ...] = ()) -> bytes:
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


def setup_of(user: str = "", **fields: Any) -> bytes:
    return setup(metadata=said(user=user) if user else None, **({"metadata_mime": COMPOSITE} | fields))


def encoded(message: Any) -> bytes:
    if message is None:
        return b""
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())


def call(stream_id: int, route: str, message: Any = None, **entries: Any) -> bytes:
    return frame(FrameType.REQUEST_RESPONSE, stream_id, 0, said(route, **entries), encoded(message))


def forget(stream_id: int, route: str, message: Any = None, **entries: Any) -> bytes:
    return frame(FrameType.REQUEST_FNF, stream_id, 0, said(route, **entries), encoded(message))


def watch(stream_id: int, n: int, route: str = "test.watch", message: Any = None, **entries: Any) -> bytes:
    return frame(FrameType.REQUEST_STREAM, stream_id, 0, said(route, **entries), encoded(message), initial_n=n)


def channel(stream_id: int, n: int, ref: int, flags: int = 0, **entries: Any) -> bytes:
    command = encoded(v1.ChannelCommand(ref=ref))
    return frame(FrameType.REQUEST_CHANNEL, stream_id, flags, said("test.channel", **entries), command, initial_n=n)


def reply(found: Frame) -> v1.SendReply:
    assert found.type is FrameType.PAYLOAD, found
    return v1.SendReply.FromString(found.data)


def seq(found: Frame) -> int:
    assert found.type is FrameType.PAYLOAD, found
    return v1.WatchItem.FromString(found.data).cursor.seq
