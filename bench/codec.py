"""The bytes that the load sends: RSocket frames inside masked WebSocket messages, or behind a TCP length.

Independent of `tidings.protocols.rsocket`, so that the load cannot share its mistakes. The mask is zero: valid on the
wire, and free for the sender. It is the same for every measured server.
"""

import struct
import zlib
from functools import lru_cache

SETUP, REQUEST_RESPONSE, REQUEST_STREAM, REQUEST_N, PAYLOAD, ERROR = 0x01, 0x04, 0x06, 0x08, 0x0A, 0x0B
METADATA, COMPLETE, NEXT = 0x100, 0x40, 0x20
UNBOUNDED = 0x7FFFFFFF
KEEPALIVE_MS = 600_000  # nothing but the work measured is on the wire
COMPOSITE = b"message/x.rsocket.composite-metadata.v0"
PROTOBUF = b"application/vnd.google.protobuf"
JSON = b"application/json"
ROUTING_ID = 0x7E
AUTHENTICATION_ID = 0x7C


def frame(stream: int, kind: int, flags: int, *parts: bytes) -> bytes:
    """One RSocket frame."""
    return b"".join((struct.pack(">IH", stream, kind << 10 | flags), *parts))


def metadata_entry(mime_id: int, content: bytes) -> bytes:
    """One entry of composite metadata with a well-known MIME id."""
    return bytes((0x80 | mime_id,)) + len(content).to_bytes(3, "big") + content


def route_metadata(route: str) -> bytes:
    """Composite metadata with a route."""
    name = route.encode()
    return metadata_entry(ROUTING_ID, bytes((len(name),)) + name)


def with_metadata(metadata: bytes, data: bytes) -> bytes:
    """Metadata behind its length, then data."""
    return len(metadata).to_bytes(3, "big") + metadata + data


def setup(user: str, data_mime: bytes = PROTOBUF) -> bytes:
    """SETUP with simple authentication."""
    name = user.encode()
    return _setup(b"\x80" + struct.pack(">H", len(name)) + name + b"secret", data_mime)


def setup_bearer(token: str, data_mime: bytes = PROTOBUF) -> bytes:
    """SETUP with a bearer token."""
    return _setup(b"\x81" + token.encode(), data_mime)


def _setup(credentials: bytes, data_mime: bytes) -> bytes:
    return frame(
        0,
        SETUP,
        METADATA,
        struct.pack(">HHII", 1, 0, KEEPALIVE_MS, KEEPALIVE_MS * 3),
        bytes((len(COMPOSITE),)) + COMPOSITE,
        bytes((len(data_mime),)) + data_mime,
        with_metadata(metadata_entry(AUTHENTICATION_ID, credentials), b""),
    )


def request_response(stream: int, route: str, data: bytes) -> bytes:
    """REQUEST_RESPONSE for a route."""
    return frame(stream, REQUEST_RESPONSE, METADATA, with_metadata(route_metadata(route), data))


@lru_cache(1_024)
def _request_template(route: str, size: int) -> tuple[bytes, bytes]:
    """What stands before and behind the stream id of a masked REQUEST_RESPONSE whose data has `size` bytes."""
    whole = websocket_message(request_response(0, route, bytes(size)))
    at = len(whole) - len(request_response(0, route, bytes(size)))
    return whole[:at], whole[at + 4 : len(whole) - size]


def websocket_request(stream: int, route: str, data: bytes) -> bytes:
    """`masked(request_response(…))` for a fifth of the load's time: the quicker a server, the more the load counts."""
    before, behind = _request_template(route, len(data))
    return before + stream.to_bytes(4, "big") + behind + data


def request_stream(stream: int, route: str, data: bytes, n: int = UNBOUNDED) -> bytes:
    """REQUEST_STREAM for a route."""
    return frame(stream, REQUEST_STREAM, METADATA, n.to_bytes(4, "big"), with_metadata(route_metadata(route), data))


def request_n(stream: int, n: int) -> bytes:
    """REQUEST_N."""
    return frame(stream, REQUEST_N, 0, n.to_bytes(4, "big"))


def websocket_message(message: bytes) -> bytes:
    """A client's binary WebSocket message."""
    size = len(message)
    if size < 126:
        head = struct.pack(">BB", 0x82, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x82, 0xFE, size)
    else:
        head = struct.pack(">BBQ", 0x82, 0xFF, size)
    return head + b"\0\0\0\0" + message


def tcp_message(message: bytes) -> bytes:
    """A frame on TCP."""
    return len(message).to_bytes(3, "big") + message


def upgrade(host: str, path: str, *, deflate: bool = False) -> bytes:
    """The WebSocket handshake of a client; with `deflate`, it offers compression as browsers do."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" if deflate else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offer}"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def is_compressed(buffer: bytes | bytearray, begin: int, end: int) -> bool:
    """Whether a server's message, which has its payload there, is compressed."""
    length = end - begin
    head = 2 if length < 126 else 4 if length < 65_536 else 10
    return bool(buffer[begin - head] & 0x40)


def inflate(payload: bytes) -> bytes:
    """A compressed payload as it was."""
    return zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")


def split_websocket_messages(buffer: bytes | bytearray, start: int = 0) -> tuple[list[tuple[int, int]], int]:
    """(begin, end) of each whole server message in the buffer, and where the rest begins."""
    found: list[tuple[int, int]] = []
    size = len(buffer)
    while size - start >= 2:
        length, head = buffer[start + 1] & 0x7F, 2
        if length == 126:
            if size - start < 4:
                break
            length, head = int.from_bytes(buffer[start + 2 : start + 4], "big"), 4
        elif length == 127:
            if size - start < 10:
                break
            length, head = int.from_bytes(buffer[start + 2 : start + 10], "big"), 10
        begin = start + head
        if begin + length > size:
            break
        found.append((begin, begin + length))
        start = begin + length
    return found, start


def split_tcp_frames(buffer: bytes | bytearray, start: int = 0) -> tuple[list[tuple[int, int]], int]:
    """(begin, end) of each whole frame of RSocket over TCP in the buffer, and where the rest begins."""
    found: list[tuple[int, int]] = []
    while len(buffer) - start >= 3:
        end = start + 3 + int.from_bytes(buffer[start : start + 3], "big")
        if end > len(buffer):
            break
        found.append((start + 3, end))
        start = end
    return found, start


def frame_type(buffer: bytes | bytearray | memoryview, begin: int = 0) -> int:
    """The type of the RSocket frame at `begin`: the upper six bits of the 16 after the stream id."""
    return (buffer[begin + 4] << 8 | buffer[begin + 5]) >> 10
