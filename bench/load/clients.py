"""Opening connections, and what the scenarios have in common."""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from bench import codec
from bench.sockets import STREAM_ID, EventReader, ReaderGroup, ReferenceReader, RequestClient, WebSocketClient
from tidings.contract import v1

TEXT = "x" * 100
RUN_ID = secrets.token_hex(4)  # a client_id is unique for ever, also over runs against one server
HOST = "127.0.0.1"
PATH = "/rsocket"
CONNECTS_IN_FLIGHT_MAX = 100
WAIT_SECONDS = 120

S = TypeVar("S", bound=WebSocketClient)


class RequestRefusedError(Exception):
    """The server does not take what a load needs; the text is what it said."""


def insecure_tls() -> ssl.SSLContext:
    """TLS without verification: the certificate was made for this run."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connect_all(port: int, factories: Sequence[Callable[[], S]], *, tls: bool = False) -> list[S]:
    """Connect all of them, some at a time."""
    loop = asyncio.get_running_loop()
    context = insecure_tls() if tls else None
    opened: list[S] = []
    for start in range(0, len(factories), CONNECTS_IN_FLIGHT_MAX):
        opening = [
            loop.create_connection(maker, HOST, port, ssl=context)
            for maker in factories[start:][:CONNECTS_IN_FLIGHT_MAX]
        ]
        protocols = [protocol for _, protocol in await asyncio.gather(*opening)]
        await asyncio.gather(*(protocol.ready for protocol in protocols))
        opened += protocols
    return opened


class MessageSender:
    """One user who makes rooms and sends messages."""

    def __init__(self, user: str = "bench") -> None:
        self._replies = 0
        self._expected_replies = 0
        self._all_replied = asyncio.Event()
        self.client = RequestClient(HOST, PATH, codec.websocket_message(codec.setup(user)), self._on_replies)
        self.next_number = 0

    @classmethod
    async def connect(cls, port: int, *, tls: bool = False, user: str = "bench") -> "MessageSender":
        """Connected."""
        sender = cls(user)
        await connect_all(port, [lambda: sender.client], tls=tls)
        return sender

    def _on_replies(self, _caller: RequestClient, count: int) -> None:
        self._replies += count
        if self._replies >= self._expected_replies:
            self._all_replied.set()

    async def create_rooms(self, rooms: Sequence[str]) -> None:
        """Open rooms, there already or not. Raises Refused: without its rooms, a load would wait for ever."""
        for start in range(0, len(rooms), 50):
            some = rooms[start : start + 50]
            await self.request(
                "rooms.create",
                *[v1.CreateRequest(room=room, kind=v1.OPEN).SerializeToString() for room in some],
            )
        if self.errors:
            raise RequestRefusedError(f"rooms.create: {self.errors}")

    async def request(self, route: str, *payloads: bytes) -> None:
        """Send requests and wait for all answers."""
        self._expected_replies = self._replies + len(payloads)
        self._all_replied.clear()
        self.client.send_requests(route, *payloads)
        await asyncio.wait_for(self._all_replied.wait(), WAIT_SECONDS)

    def next_messages(self, room: str, count: int, text: str = TEXT) -> list[bytes]:
        """The next SendRequests."""
        first, self.next_number = self.next_number, self.next_number + count
        return [
            v1.SendRequest(room=room, client_id=f"{RUN_ID}-{first + n}", text=text).SerializeToString()
            for n in range(count)
        ]

    @property
    def errors(self) -> list[str]:
        """What was refused."""
        return [failure.decode(errors="replace") for failure in self.client.errors[:3]]


def watch_request(room: str, after: v1.Cursor | None = None) -> bytes:
    """A REQUEST_STREAM for all that happens in a room."""
    request = v1.WatchRequest(room=room, after=after)
    return codec.websocket_message(codec.request_stream(STREAM_ID, "chat.watch", request.SerializeToString()))


async def connect_readers(
    port: int, rooms: Sequence[ReaderGroup], readers: int, *, tls: bool = False, deflate: bool = False
) -> list[EventReader]:
    """Readers in every room, each a different user: the connections of one user are limited.
    The first of a room is its witness. Returns when all of them are live."""
    makers: list[Callable[[], EventReader]] = []
    for room in rooms:
        asked = watch_request(room.name)
        for number in range(readers):
            first = codec.websocket_message(codec.setup(f"reader{len(makers)}")) + asked
            makers.append(partial(_new_reader, EventReader if number else ReferenceReader, first, room, deflate))
    opened = await connect_all(port, makers, tls=tls)
    for reader in opened:
        reader.group.readers.append(reader)
        if isinstance(reader, ReferenceReader):
            reader.group.reference = reader
    live = asyncio.Event()
    missing = set(rooms)

    def arrived(room: ReaderGroup) -> None:
        missing.discard(room)
        if not missing:
            live.set()

    for room in rooms:
        room.on_done = arrived
        room.expect(1)
    await asyncio.wait_for(live.wait(), WAIT_SECONDS)
    return opened


def _new_reader(kind: type[EventReader], first: bytes, room: ReaderGroup, deflate: bool) -> EventReader:
    reader = kind(HOST, PATH, first, room)
    reader.deflate = deflate
    return reader


def delivery_errors(rooms: Sequence[ReaderGroup], sent: dict[ReaderGroup, int]) -> list[str]:
    """Errors of readers that did not get every message once, in order."""
    found = []
    for room in rooms:
        assert room.reference is not None
        odd = room.mismatched_readers()
        if odd:
            found.append(f"{room.name}: {len(odd)} readers got other bytes than their neighbour")
        seqs = [
            item.event.seq for item in map(v1.WatchItem.FromString, room.reference.payloads()) if item.HasField("event")
        ]
        if seqs != list(range(seqs[0], seqs[0] + sent[room]) if seqs else range(sent[room])):
            found.append(f"{room.name}: the witness did not get {sent[room]} messages in sequence")
    return found
