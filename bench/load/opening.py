"""Opening connections, and what the scenarios have in common."""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from bench import wire
from bench.sockets import STREAM, Caller, Reader, Room, Socket, Witness
from tidings.contract import v1

TEXT = "x" * 100
RUN = secrets.token_hex(4)  # a client_id is unique for ever, also over runs against one server
HOST = "127.0.0.1"
PATH = "/rsocket"
CONNECTS_AT_ONCE = 100
WAIT_SECONDS = 120

S = TypeVar("S", bound=Socket)


class Refused(Exception):
    """The server does not take what a load needs; the text is what it said."""


def trusting() -> ssl.SSLContext:
    """TLS with whoever answers: the certificate is of this run's own making."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def open_all(port: int, makers: Sequence[Callable[[], S]], *, tls: bool = False) -> list[S]:
    """Connect all of them, some at a time."""
    loop = asyncio.get_running_loop()
    context = trusting() if tls else None
    opened: list[S] = []
    for start in range(0, len(makers), CONNECTS_AT_ONCE):
        opening = [
            loop.create_connection(maker, HOST, port, ssl=context) for maker in makers[start:][:CONNECTS_AT_ONCE]
        ]
        protocols = [protocol for _, protocol in await asyncio.gather(*opening)]
        await asyncio.gather(*(protocol.ready for protocol in protocols))
        opened += protocols
    return opened


class Speaker:
    """One user who makes rooms and sends messages."""

    def __init__(self, user: str = "bench") -> None:
        self._answers = 0
        self._awaited = 0
        self._enough = asyncio.Event()
        self.caller = Caller(HOST, PATH, wire.masked(wire.setup(user)), self._answered)
        self.numbers = 0

    @classmethod
    async def opened(cls, port: int, *, tls: bool = False, user: str = "bench") -> "Speaker":
        """Connected."""
        speaker = cls(user)
        await open_all(port, [lambda: speaker.caller], tls=tls)
        return speaker

    def _answered(self, _caller: Caller, count: int) -> None:
        self._answers += count
        if self._answers >= self._awaited:
            self._enough.set()

    async def create(self, rooms: Sequence[str]) -> None:
        """Open rooms, there already or not. Raises Refused: without its rooms, a load would wait for ever."""
        for start in range(0, len(rooms), 50):
            some = rooms[start : start + 50]
            await self.ask(
                "rooms.create",
                *[v1.CreateRequest(room=room, kind=v1.OPEN).SerializeToString() for room in some],
            )
        if self.complaints:
            raise Refused(f"rooms.create: {self.complaints}")

    async def ask(self, route: str, *payloads: bytes) -> None:
        """Send requests and wait for all answers."""
        self._awaited = self._answers + len(payloads)
        self._enough.clear()
        self.caller.ask(route, *payloads)
        await asyncio.wait_for(self._enough.wait(), WAIT_SECONDS)

    def messages(self, room: str, count: int, text: str = TEXT) -> list[bytes]:
        """The next SendRequests."""
        first, self.numbers = self.numbers, self.numbers + count
        return [
            v1.SendRequest(room=room, client_id=f"{RUN}-{first + n}", text=text).SerializeToString()
            for n in range(count)
        ]

    @property
    def complaints(self) -> list[str]:
        """What was refused."""
        return [failure.decode(errors="replace") for failure in self.caller.failures[:3]]


def watching(room: str, after: v1.Cursor | None = None) -> bytes:
    """A REQUEST_STREAM for all that happens in a room."""
    request = v1.WatchRequest(room=room, after=after)
    return wire.masked(wire.request_stream(STREAM, "chat.watch", request.SerializeToString()))


async def seat_readers(
    port: int, rooms: Sequence[Room], readers: int, *, tls: bool = False, deflate: bool = False
) -> list[Reader]:
    """Readers in every room, each of them somebody else, as in life: one user may have only so many connections.
    The first of a room is its witness. Returns when all of them are live."""
    makers: list[Callable[[], Reader]] = []
    for room in rooms:
        asked = watching(room.name)
        for number in range(readers):
            first = wire.masked(wire.setup(f"reader{len(makers)}")) + asked
            makers.append(partial(_reader, Reader if number else Witness, first, room, deflate))
    opened = await open_all(port, makers, tls=tls)
    for reader in opened:
        reader.room.readers.append(reader)
        if isinstance(reader, Witness):
            reader.room.witness = reader
    live = asyncio.Event()
    missing = set(rooms)

    def arrived(room: Room) -> None:
        missing.discard(room)
        if not missing:
            live.set()

    for room in rooms:
        room.done = arrived
        room.expect(1)
    await asyncio.wait_for(live.wait(), WAIT_SECONDS)
    return opened


def _reader(kind: type[Reader], first: bytes, room: Room, deflate: bool) -> Reader:
    reader = kind(HOST, PATH, first, room)
    reader.deflate = deflate
    return reader


def faults(rooms: Sequence[Room], sent: dict[Room, int]) -> list[str]:
    """What shows that somebody did not get every message once, in order."""
    found = []
    for room in rooms:
        assert room.witness is not None
        odd = room.odd_ones()
        if odd:
            found.append(f"{room.name}: {len(odd)} readers got other bytes than their neighbour")
        seqs = [
            item.event.seq for item in map(v1.WatchItem.FromString, room.witness.payloads()) if item.HasField("event")
        ]
        if seqs != list(range(seqs[0], seqs[0] + sent[room]) if seqs else range(sent[room])):
            found.append(f"{room.name}: the witness did not get {sent[room]} messages in sequence")
    return found
