"""RSocket by hand: bytes put together and taken apart here, so that a test can also put them together wrongly.

Nothing of the service's own engine is used. Layouts are those of the RSocket protocol 1.0.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import websockets.asyncio.client
import websockets.exceptions

# Types and flags, as in "Frame Types" and "Frame Header Format".
SETUP, KEEPALIVE, REQUEST_RESPONSE, FIRE_AND_FORGET = 0x01, 0x03, 0x04, 0x05
REQUEST_STREAM, REQUEST_CHANNEL, REQUEST_N, CANCEL = 0x06, 0x07, 0x08, 0x09
PAYLOAD, ERROR, METADATA_PUSH, RESUME, EXT = 0x0A, 0x0B, 0x0C, 0x0D, 0x3F
IGNORE, METADATA, FOLLOWS, COMPLETE, NEXT = 0x200, 0x100, 0x80, 0x40, 0x20
RESPOND, RESUME_ENABLE, LEASE = 0x80, 0x80, 0x40

COMPOSITE_MIME = b"message/x.rsocket.composite-metadata.v0"
PROTOBUF_MIME = b"application/vnd.google.protobuf"
ROUTING_ID, AUTHENTICATION_ID = 0x7E, 0x7C
FRAME_BYTES_MAX = 0xFF_FF_FF
# A guard against a wait that never ends; nothing is measured with it.
ANSWER_SECONDS = 30


class Frame(NamedTuple):
    """What came: `body` is everything behind the 6 bytes of the header."""

    stream: int
    type: int
    flags: int
    body: bytes

    @property
    def code(self) -> int:
        """An ERROR's code."""
        return int.from_bytes(self.body[:4])

    @property
    def text(self) -> str:
        """An ERROR's text."""
        return self.body[4:].decode()

    @property
    def data(self) -> bytes:
        """A PAYLOAD's data."""
        if self.flags & METADATA:
            return self.body[3 + int.from_bytes(self.body[:3]) :]
        return self.body


def frame(stream: int, kind: int, flags: int = 0, body: bytes = b"") -> bytes:
    """Any frame at all."""
    return struct.pack(">IH", stream, kind << 10 | flags) + body


def setup(
    *,
    stream: int = 0,
    flags: int = 0,
    version: tuple[int, int] = (1, 0),
    keepalive_ms: int = 60_000,
    lifetime_ms: int = 300_000,
    metadata_mime: bytes = COMPOSITE_MIME,
    data_mime: bytes = PROTOBUF_MIME,
    user: str = "mallory",
) -> bytes:
    """A SETUP frame; as it should be unless told otherwise."""
    mimes = b"".join(bytes([len(mime)]) + mime for mime in (metadata_mime, data_mime))
    metadata = entry(AUTHENTICATION_ID, simple(user, "any"))
    numbers = struct.pack(">HHII", *version, keepalive_ms, lifetime_ms)
    token = b"\x00\x05token" if flags & RESUME_ENABLE else b""
    return frame(stream, SETUP, flags | METADATA, numbers + token + mimes + sized(metadata))


def request(stream: int, kind: int, route: str, data: bytes = b"", *, n: int | None = None, flags: int = 0) -> bytes:
    """A request of a route; `n` is the initial credit where the type has one."""
    return request_with(stream, kind, entry(ROUTING_ID, tag(route.encode())), data, n=n, flags=flags)


def request_with(
    stream: int, kind: int, metadata: bytes, data: bytes = b"", *, n: int | None = None, flags: int = 0
) -> bytes:
    """A request with any metadata at all."""
    credit = b"" if n is None else struct.pack(">I", n)
    return frame(stream, kind, flags | METADATA, credit + sized(metadata) + data)


def keepalive(data: bytes = b"", *, flags: int = RESPOND) -> bytes:
    """A KEEPALIVE frame."""
    return frame(0, KEEPALIVE, flags, bytes(8) + data)


def sized(content: bytes) -> bytes:
    """Content behind its length in 24 bits."""
    return len(content).to_bytes(3) + content


def entry(mime_id: int, content: bytes) -> bytes:
    """An entry of composite metadata with a well-known MIME id."""
    return bytes([0x80 | mime_id]) + sized(content)


def tag(name: bytes) -> bytes:
    """A tag of routing metadata."""
    return bytes([len(name)]) + name


def simple(user: str, password: str) -> bytes:
    """Authentication metadata of type simple."""
    return b"\x80" + len(user.encode()).to_bytes(2) + user.encode() + password.encode()


class Wire(Protocol):
    """A connection that carries whole frames."""

    async def send(self, *frames: bytes) -> None:
        """Send frames; a connection that the peer has closed already swallows them."""

    async def receive(self) -> Frame | None:
        """The next frame, None where the peer has closed."""


class TcpWire:
    """RSocket over TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *frames: bytes) -> None:
        await self.send_bytes(b"".join(sized(each) for each in frames))

    async def send_bytes(self, data: bytes) -> None:
        """Bytes that need not be frames."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def receive(self) -> Frame | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                length = int.from_bytes(await self.reader.readexactly(3))
                return parsed(await self.reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


class WebSocketWire:
    """RSocket over WebSocket."""

    def __init__(self, socket: websockets.asyncio.client.ClientConnection) -> None:
        self.socket = socket

    async def send(self, *frames: bytes) -> None:
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            for each in frames:
                await self.socket.send(each)

    async def receive(self) -> Frame | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await self.socket.recv()
        except websockets.exceptions.ConnectionClosed:
            return None
        assert isinstance(message, bytes)
        return parsed(message)


def parsed(data: bytes) -> Frame:
    """The frame in these bytes."""
    stream, head = struct.unpack_from(">IH", data)
    return Frame(stream, head >> 10, head & 0x3FF, data[6:])


@contextlib.asynccontextmanager
async def dial(url: str) -> AsyncIterator[Wire]:
    """A connection on which nothing has been sent yet."""
    address = urlsplit(url)
    if address.scheme == "ws":
        async with websockets.asyncio.client.connect(url, max_size=None, compression=None) as socket:
            yield WebSocketWire(socket)
        return
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield TcpWire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer(wire: Wire, stream: int) -> Frame:
    """The next frame of a stream; KEEPALIVEs and other streams are passed over. Fails where the peer closes first."""
    while (heard := await wire.receive()) is not None:
        if heard.stream == stream and heard.type != KEEPALIVE:
            return heard
    raise EOFError(f"closed before anything came on stream {stream}")


async def rest(wire: Wire) -> list[Frame]:
    """Everything until the peer closes."""
    frames: list[Frame] = []
    while (heard := await wire.receive()) is not None:
        frames.append(heard)
    return frames


def errors(frames: Iterable[Frame]) -> list[tuple[int, int]]:
    """Stream and code of the ERRORs among frames."""
    return [(each.stream, each.code) for each in frames if each.type == ERROR]
