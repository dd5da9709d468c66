"""A small service for the client's tests: the engine as a server, real sockets, and faults on demand.

It keeps rooms in memory and answers the routes that the client lives on. What the tests turn: where the connection is
cut (`cut_after_frames`), whether SETUP is taken (`refuse`), whether it says anything at all (`silent`), how many events
come twice after a resume (`overlap`), and answers of their own (`answers`). What they read: everything that
was asked, and how much credit was seen.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

import picows

from tidings.contract import v1
from tidings.contract.codecs import Codec, codec_for
from tidings.contract.errors import ApiError
from tidings.protocols.rsocket import (
    Connection,
    ErrorCode,
    Interaction,
    LengthFieldDecoder,
    Setup,
    Stream,
    events,
    metadata,
    tcp_length_prefix,
)
from tidings_client import BackoffPolicy

EPOCH = "e1"
# For clients that reconnect without long pauses.
FAST_BACKOFF = BackoffPolicy(base_seconds=0.005, cap_seconds=0.05)


def split_frames(chunk: bytes) -> list[bytes]:
    """The frames of an enveloped chunk, each with its length."""
    frames, at = [], 0
    while at < len(chunk):
        end = at + 3 + int.from_bytes(chunk[at : at + 3], "big")
        frames.append(chunk[at:end])
        at = end
    return frames


@dataclass
class FakeRoom:
    """A log."""

    name: str
    events: list[v1.Event] = field(default_factory=list)
    replies: dict[tuple[str, str], v1.SendReply] = field(default_factory=dict)

    def append(self, actor: str, client_id: str, text: str) -> v1.SendReply:
        """The reply to a send; the same key gets the same reply."""
        key = (actor, client_id)
        if key in self.replies:
            first = v1.SendReply()
            first.CopyFrom(self.replies[key])
            first.duplicate = True
            return first
        seq = len(self.events) + 1
        posted = v1.Posted(text=text)
        self.events.append(v1.Event(room=self.name, seq=seq, actor=actor, client_id=client_id, posted=posted))
        self.replies[key] = v1.SendReply(cursor=v1.Cursor(epoch=EPOCH, seq=seq))
        return self.replies[key]


class FakeWatch:
    """One watch of a room: a position and a stream. `wrap` makes what is sent of an item."""

    def __init__(
        self,
        session: "FakeSession",
        stream: Stream,
        room: FakeRoom,
        position: int,
        wrap: Callable[[v1.WatchItem], Any],
        *,
        is_finite: bool,
    ) -> None:
        self.session = session
        self.stream = stream
        self.room = room
        self.position = position
        self.wrap = wrap
        self.is_finite = is_finite
        self.live_sent = False

    def pump(self) -> None:
        """Send as much as the credit allows."""
        stream = self.stream
        while stream.available_credit():
            if self.position < len(self.room.events):
                event = self.room.events[self.position]
                self.position += 1
                item = v1.WatchItem(cursor=v1.Cursor(epoch=EPOCH, seq=event.seq), event=event)
                self.session.service.items_sent += 1
            elif self.is_finite:
                stream.complete()
                break
            elif not self.live_sent:
                self.live_sent = True
                item = v1.WatchItem(cursor=v1.Cursor(epoch=EPOCH, seq=self.position), live=v1.Live())
            else:
                break
            stream.next(self.session.codec.encode(self.wrap(item)))


class FakeChannel:
    """One channel: answers first, then what happens in the opened rooms."""

    def __init__(self, session: "FakeSession", stream: Stream) -> None:
        self.session = session
        self.stream = stream
        self.replies: deque[v1.ChannelItem] = deque()
        self.rooms: dict[str, FakeWatch] = {}

    def reply(self, item: v1.ChannelItem) -> None:
        """Send an answer as soon as there is credit."""
        self.replies.append(item)
        self.pump()

    def pump(self) -> None:
        """Send as much as the credit allows."""
        while self.replies and self.stream.available_credit():
            self.session.send_item(self.stream, self.replies.popleft())
        for watching in list(self.rooms.values()):
            watching.pump()


class FakeService:
    """The service; `tcp_url` and `ws_url` once it runs."""

    def __init__(self) -> None:
        self.rooms: dict[str, FakeRoom] = {}
        self.sessions: list[FakeSession] = []
        self.setups: list[Setup] = []
        self.requests: list[tuple[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()
        self.credit_seen_max = 0
        self.items_sent = 0
        self.frames = 0
        # What the tests turn.
        self.cut_after_frames: int | None = None
        self.setup_error: tuple[ErrorCode, str] | None = None
        self.is_silent = False
        self.repeated_events = 0
        self.info = v1.InfoReply(user="alice")
        self.handlers: dict[str, Callable[[FakeSession, Stream, Any], bool]] = {}
        self.changed = asyncio.Event()
        self._servers: list[asyncio.Server] = []
        self.tcp_port = self.ws_port = 0

    def room(self, name: str = "general") -> FakeRoom:
        """A room, made when it is first named."""
        return self.rooms.setdefault(name, FakeRoom(name))

    def post(self, count: int, room: str = "general") -> None:
        """Append `count` events and let the watchers know."""
        log = self.room(room)
        for _ in range(count):
            log.append("bob", f"b{len(log.events)}", f"text {len(log.events) + 1}")
        self.pump()

    def pump(self) -> None:
        for session in list(self.sessions):
            session.pump()

    def notify(self) -> None:
        """Something happened that `until` may be waiting for."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(20):
            while not condition():
                await self.changed.wait()

    async def start(self, ssl: SSLContext | None = None) -> None:
        loop = asyncio.get_running_loop()
        tcp = await loop.create_server(lambda: TcpServerProtocol(self), "127.0.0.1", self.tcp_port, ssl=ssl)
        ws = await picows.ws_create_server(lambda _: WebSocketServerListener(self), "127.0.0.1", self.ws_port, ssl=ssl)
        self._servers = [tcp, ws]
        self.tcp_port, self.ws_port = (server.sockets[0].getsockname()[1] for server in self._servers)

    def stop(self) -> None:
        """Nobody listens any more, and every connection is gone without a word."""
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.abort()

    def url(self, scheme: str) -> str:
        return f"tcp://127.0.0.1:{self.tcp_port}" if scheme == "tcp" else f"ws://127.0.0.1:{self.ws_port}/rsocket"


class FakeSession:
    """One connection."""

    def __init__(
        self,
        service: FakeService,
        write: Callable[[bytes], None],
        close: Callable[[], None],
        abort: Callable[[], None],
        socket: asyncio.Transport,
    ) -> None:
        self.service = service
        self.pause_reading, self.resume_reading = socket.pause_reading, socket.resume_reading
        self.codec: Codec
        self.watches: dict[int, FakeWatch] = {}
        self.channels: dict[int, FakeChannel] = {}
        self.routes: dict[int, str] = {}
        self.write, self.close, self.abort_socket = write, close, abort
        self.is_closed = False
        self.engine = Connection(server=True, now=self.now, transport_header=tcp_length_prefix)
        service.sessions.append(self)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def on_frame(self, frame: bytes) -> None:
        if self.is_closed or not self.count_frame():
            return
        for fact in self.engine.receive(frame, self.now):
            self.handle(fact)
        self.flush()
        self.pump()
        self.service.notify()

    def count_frame(self) -> bool:
        """Count a frame, in either direction; False: the connection has just been cut instead."""
        service = self.service
        service.frames += 1
        if service.cut_after_frames is not None:
            service.cut_after_frames -= 1
            if service.cut_after_frames < 0:
                service.cut_after_frames = None
                self.abort()
                return False
        return True

    def abort(self) -> None:
        if not self.is_closed:
            self.on_lost()
            self.abort_socket()

    def on_lost(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.service.sessions.remove(self)
            self.watches.clear()
            self.channels.clear()
            self.service.notify()

    def flush(self) -> None:
        if self.service.is_silent:
            return
        for chunk in self.engine.outgoing():
            for frame in split_frames(chunk):
                if self.is_closed or not self.count_frame():
                    return
                self.write(frame)
        if self.engine.closing:
            self.close()

    def pump(self) -> None:
        """Send until there is no credit or no room in the socket."""
        while True:
            for watching in list(self.watches.values()):
                watching.pump()
            for channel in list(self.channels.values()):
                channel.pump()
            if not self.engine.outbound_bytes or self.service.is_silent or self.is_closed:
                return
            self.flush()

    def handle(self, fact: events.ProtocolEvent) -> None:
        match fact:
            case events.SetupReceived(setup):
                self.service.setups.append(setup)
                codec = codec_for(setup.data_mime)
                assert codec is not None
                self.codec = codec
                if self.service.setup_error is not None:
                    self.engine.reject(*self.service.setup_error)
                else:
                    for queued in self.engine.accept(self.now):
                        self.handle(queued)
            case events.RequestReceived(stream, meta, data):
                route = metadata.read_request(meta, metadata.COMPOSITE).route
                assert route is not None
                self.routes[stream.id] = route
                self.service.counts[route] += 1
                self.record_credit(stream)
                try:
                    self.on_request(route, stream, data)
                except ApiError as failure:
                    stream.fail(failure.mapping.rsocket, failure.rsocket_data)
            case events.PayloadReceived(stream, _, data):
                stream.request(1)
                self.on_command(stream, data)
            case events.CreditGranted(stream):
                self.record_credit(stream)
                self.pump()
            case events.Cancelled(stream):
                self.service.cancelled[self.routes[stream.id]] += 1
                self.watches.pop(stream.id, None)
                self.channels.pop(stream.id, None)
            case events.ConnectionTerminated():
                self.on_lost()

    def record_credit(self, stream: Stream) -> None:
        if stream.interaction in (Interaction.REQUEST_STREAM, Interaction.REQUEST_CHANNEL):
            self.service.credit_seen_max = max(self.service.credit_seen_max, stream.credit)

    def on_request(self, route: str, stream: Stream, data: bytes) -> None:
        request_type = REQUEST_TYPES[route]
        request = self.codec.decode(request_type, data)
        self.service.requests.append((route, request))
        answer = self.service.handlers.get(route)
        if answer is not None and answer(self, stream, request):
            return
        match route:
            case "session.info":
                self.reply(stream, self.service.info)
            case "session.ping":
                self.reply(stream, v1.PingReply())
            case "session.refresh":
                self.reply(stream, v1.RefreshReply(expires_at_ms=self.service.info.expires_at_ms))
            case "chat.send":
                reply = self.service.room(request.room).append("alice", request.client_id, request.text)
                self.reply(stream, reply)
                self.service.pump()
            case "chat.watch" | "history.read":
                room = self.service.room(request.room)
                position = request.after.seq if request.HasField("after") else len(room.events)
                if request.after.epoch:
                    position = max(0, position - self.service.repeated_events)
                ends = route == "history.read"
                watching = FakeWatch(self, stream, room, position, lambda item: item, is_finite=ends)
                self.watches[stream.id] = watching
                watching.pump()
            case "history.page":
                events = self.service.room(request.room).events
                page = v1.PageReply(events=events[-(request.limit or 50) :])
                page.head.CopyFrom(v1.Cursor(epoch=EPOCH, seq=len(events)))
                self.reply(stream, page)
            case "presence.watch":
                for user in request.users:
                    state = v1.UserPresence(user=user, status=v1.ONLINE)
                    self.send_item(stream, v1.PresenceItem(cursor=v1.Cursor(epoch="p", seq=1), user=state))
                self.send_item(stream, v1.PresenceItem(cursor=v1.Cursor(epoch="p", seq=1), live=v1.Live()))
            case "chat.channel":
                self.channels[stream.id] = FakeChannel(self, stream)
                stream.request(8)
                self.run_command(stream, request)

    def on_command(self, stream: Stream, data: bytes) -> None:
        command = self.codec.decode(v1.ChannelCommand, data)
        self.service.requests.append(("chat.channel", command))
        self.run_command(stream, command)

    def run_command(self, stream: Stream, command: v1.ChannelCommand) -> None:
        channel = self.channels[stream.id]
        answer = self.service.handlers.get("command")
        if answer is not None and answer(self, stream, command):
            return
        match command.WhichOneof("command"):
            case "open":
                room, request = self.service.room(command.open.room), command.open
                position = request.after.seq if request.HasField("after") else len(room.events)
                name = room.name
                channel.rooms[name] = FakeWatch(
                    self, stream, room, position, lambda item: v1.ChannelItem(room=name, event=item), is_finite=False
                )
                channel.reply(v1.ChannelItem(ref=command.ref, done=v1.Done()))
            case "close":
                channel.rooms.pop(command.close.room, None)
                channel.reply(v1.ChannelItem(ref=command.ref, done=v1.Done()))
            case "send":
                request = command.send
                reply = self.service.room(request.room).append("alice", request.client_id, request.text)
                channel.reply(v1.ChannelItem(ref=command.ref, sent=reply))
                self.service.pump()
            case _:
                channel.reply(v1.ChannelItem(ref=command.ref, done=v1.Done()))

    def reply(self, stream: Stream, message: Any) -> None:
        stream.next(self.codec.encode(message))
        self.flush()

    def send_item(self, stream: Stream, message: Any) -> None:
        stream.next(self.codec.encode(message))


REQUEST_TYPES: dict[str, Any] = {
    "session.info": v1.InfoRequest,
    "session.ping": v1.PingRequest,
    "session.refresh": v1.RefreshRequest,
    "chat.send": v1.SendRequest,
    "chat.edit": v1.EditRequest,
    "chat.watch": v1.WatchRequest,
    "chat.channel": v1.ChannelCommand,
    "history.page": v1.PageRequest,
    "history.read": v1.ReadRequest,
    "history.search": v1.SearchRequest,
    "presence.typing": v1.TypingRequest,
    "presence.watch": v1.PresenceWatchRequest,
    "rooms.create": v1.CreateRequest,
    "rooms.watch": v1.RoomsWatchRequest,
}


class TcpServerProtocol(asyncio.Protocol):
    """The service's end of a TCP connection."""

    def __init__(self, service: FakeService) -> None:
        self.service = service

    def connection_made(self, transport: Any) -> None:
        self.splitter = LengthFieldDecoder()
        self.session = FakeSession(self.service, transport.write, transport.close, transport.abort, transport)

    def data_received(self, data: bytes) -> None:
        for frame in self.splitter.feed(data):
            self.session.on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.on_lost()


class WebSocketServerListener(picows.WSListener):
    """The service's end of a WebSocket."""

    def __init__(self, service: FakeService) -> None:
        self.service = service

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self.session = FakeSession(
            self.service,
            lambda frame: transport.send(picows.WSMsgType.BINARY, frame[3:]),
            transport.disconnect,
            lambda: transport.disconnect(graceful=False),
            transport.underlying_transport,
        )

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type is picows.WSMsgType.BINARY:
            self.session.on_frame(frame.get_payload_as_bytes())
        elif frame.msg_type is picows.WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.session.on_lost()

    def pause_writing(self) -> None:
        self.session.engine.writable = False

    def resume_writing(self) -> None:
        self.session.engine.writable = True
        self.session.pump()


@contextlib.asynccontextmanager
async def run_fake_service() -> AsyncIterator[FakeService]:
    """A service while the block runs."""
    service = FakeService()
    await service.start()
    try:
        yield service
    finally:
        service.stop()


def texts(events: Sequence[v1.Event]) -> list[str]:
    return [event.posted.text for event in events]
