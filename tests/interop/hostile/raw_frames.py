"""RSocket by hand: bytes put together and taken apart here, so that a test can also put them together wrongly.

Nothing of the service's own engine is used. Layouts are those of the RSocket protocol 1.0.
"""

import abc
import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

# Types and flags, as in "Frame Types" and "Frame Header Format".
SETUP, KEEPALIVE, REQUEST_RESPONSE, FIRE_AND_FORGET = 0x01, 0x03, 0x04, 0x05
REQUEST_STREAM, REQUEST_CHANNEL, REQUEST_N, CANCEL = 0x06, 0x07, 0x08, 0x09
PAYLOAD, ERROR, METADATA_PUSH, RESUME, EXT = 0x0A, 0x0B, 0x0C, 0x0D, 0x3F
IGNORE, METADATA, FOLLOWS, COMPLETE, NEXT = 0x200, 0x100, 0x80, 0x40, 0x20
RESPOND, RESUME_ENABLE, LEASE = 0x80, 0x80, 0x40

# WebSocket: the final bit and the opcodes.
FINAL, CONTINUATION, TEXT, BINARY, CLOSE, PING = 0x80, 0x0, 0x1, 0x2, 0x8, 0x9

COMPOSITE_MIME = b"message/x.rsocket.composite-metadata.v0"
PROTOBUF_MIME = b"application/vnd.google.protobuf"
JSON_ID, MIME_TYPE_ID, AUTHENTICATION_ID, ROUTING_ID = 0x05, 0x7A, 0x7C, 0x7E
FRAME_BYTES_MAX = 0xFF_FF_FF
# A guard against a wait that never ends; nothing is measured with it.
REPLY_TIMEOUT_SECONDS = 30


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
    token: str = "",
) -> bytes:
    """A SETUP frame; as it should be unless told otherwise."""
    mimes = b"".join(bytes([len(mime)]) + mime for mime in (metadata_mime, data_mime))
    metadata = metadata_entry(AUTHENTICATION_ID, bearer_auth(token) if token else simple_auth(user, "any"))
    numbers = struct.pack(">HHII", *version, keepalive_ms, lifetime_ms)
    resume_token = b"\x00\x05token" if flags & RESUME_ENABLE else b""
    return frame(stream, SETUP, flags | METADATA, numbers + resume_token + mimes + length_prefixed(metadata))


def request(stream: int, kind: int, route: str, data: bytes = b"", *, n: int | None = None, flags: int = 0) -> bytes:
    """A request of a route; `n` is the initial credit where the type has one."""
    return request_with(stream, kind, metadata_entry(ROUTING_ID, routing_tag(route.encode())), data, n=n, flags=flags)


def request_with(
    stream: int, kind: int, metadata: bytes, data: bytes = b"", *, n: int | None = None, flags: int = 0
) -> bytes:
    """A request with any metadata at all."""
    credit = b"" if n is None else struct.pack(">I", n)
    return frame(stream, kind, flags | METADATA, credit + length_prefixed(metadata) + data)


def keepalive(data: bytes = b"", *, flags: int = RESPOND) -> bytes:
    """A KEEPALIVE frame."""
    return frame(0, KEEPALIVE, flags, bytes(8) + data)


def length_prefixed(content: bytes) -> bytes:
    """Content behind its length in 24 bits."""
    return len(content).to_bytes(3) + content


def metadata_entry(mime_id: int, content: bytes) -> bytes:
    """An entry of composite metadata with a well-known MIME id."""
    return bytes([0x80 | mime_id]) + length_prefixed(content)


def routing_tag(name: bytes) -> bytes:
    """A tag of routing metadata."""
    return bytes([len(name)]) + name


def simple_auth(user: str, password: str) -> bytes:
    """Authentication metadata of type simple."""
    return b"\x80" + len(user.encode()).to_bytes(2) + user.encode() + password.encode()


def bearer_auth(token: str) -> bytes:
    """Authentication metadata of type bearer."""
    return b"\x81" + token.encode()


class RawConnection(abc.ABC):
    """A connection that carries whole frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @abc.abstractmethod
    def encode_frame(self, data: bytes) -> bytes:
        """A frame as it goes over this transport."""

    @abc.abstractmethod
    async def read_frame(self) -> bytes:
        """The next frame; IncompleteReadError at the end."""

    async def send(self, *frames: bytes) -> None:
        """Send frames; a connection that the peer has closed already swallows them."""
        await self.send_bytes(b"".join(map(self.encode_frame, frames)))

    async def send_bytes(self, data: bytes) -> None:
        """Bytes that need not be frames."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def receive(self) -> Frame | None:
        """The next frame, None where the peer has closed."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_SECONDS):
                return parse_frame(await self.read_frame())
        except (asyncio.IncompleteReadError, ConnectionError):
            return None


class RawTcpConnection(RawConnection):
    """RSocket over TCP."""

    def encode_frame(self, data: bytes) -> bytes:
        return length_prefixed(data)

    async def read_frame(self) -> bytes:
        return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(3)))


class RawWebSocketConnection(RawConnection):
    """RSocket over WebSocket (RFC 6455). `close_code` is what the peer closed with."""

    close_code: int | None = None

    async def handshake(self, path: str) -> None:
        """The opening handshake."""
        head = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        self.writer.write(head.encode())
        answer = await self.reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer

    def encode_frame(self, data: bytes) -> bytes:
        return websocket_frame(data)

    async def read_frame(self) -> bytes:
        first, second = await self.reader.readexactly(2)
        length = second
        if length >= 126:
            length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
        content = await self.reader.readexactly(length)
        if first == FINAL | CLOSE:
            self.close_code = int.from_bytes(content[:2])
            raise asyncio.IncompleteReadError(b"", None)
        assert first == FINAL | BINARY
        return content


def websocket_frame(content: bytes, *, first: int = FINAL | BINARY, masked: bool = True) -> bytes:
    """A client's WebSocket frame. The mask is all zeros: that is allowed, and leaves the content as it is."""
    size = len(content)
    mark = 0x80 if masked else 0
    if size < 126:
        length = bytes([mark | size])
    elif size < 1 << 16:
        length = bytes([mark | 126]) + size.to_bytes(2)
    else:
        length = bytes([mark | 127]) + size.to_bytes(8)
    return bytes([first]) + length + (bytes(4) if masked else b"") + content


def parse_frame(data: bytes) -> Frame:
    """The frame in these bytes."""
    stream, head = struct.unpack_from(">IH", data)
    return Frame(stream, head >> 10, head & 0x3FF, data[6:])


@contextlib.asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[RawConnection]:
    """A connection on which nothing has been sent yet."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        if address.scheme == "ws":
            connection: RawConnection = (web := RawWebSocketConnection(reader, writer))
            await web.handshake(address.path)
        else:
            connection = RawTcpConnection(reader, writer)
        yield connection
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def receive_on_stream(connection: RawConnection, stream: int) -> Frame:
    """The next frame of a stream; KEEPALIVEs and other streams are passed over. Fails where the peer closes first."""
    while (heard := await connection.receive()) is not None:
        if heard.stream == stream and heard.type != KEEPALIVE:
            return heard
    raise EOFError(f"closed before anything came on stream {stream}")


async def receive_until_closed(connection: RawConnection) -> list[Frame]:
    """Everything until the peer closes."""
    frames: list[Frame] = []
    while (heard := await connection.receive()) is not None:
        frames.append(heard)
    return frames


def error_codes(frames: Iterable[Frame]) -> list[tuple[int, int]]:
    """Stream and code of the ERRORs among frames."""
    return [(each.stream, each.code) for each in frames if each.type == ERROR]
