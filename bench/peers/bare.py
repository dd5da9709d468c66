"""The bare limit: the same bytes to the same sockets, answering the same bytes, with nothing else.

No engine, no credit, no store, no identity. A WebSocket handshake, then frames seen by three fixed places: the type of
the frame, the room of a reader, the body of a message. A message goes to the readers of its room with one write for
each of them and each read of the speaker's socket. Over TCP it answers requests with nothing, as `session.ping` does.

With `--deflate`, messages are compressed for each reader by itself, as most servers do it.
"""

import asyncio
import base64
import hashlib
import json
import struct
import sys
import zlib

from bench import codec
from bench.peers.message_log import LIVE, MessageLog
from tidings.contract import v1

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NEXT_COMPLETE = (codec.PAYLOAD << 10 | 0x60).to_bytes(2, "big")
PING_BYTES_MAX = 80  # a longer request carries a payload

DEFLATE = "--deflate" in sys.argv
EXTENSION = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"

LOG = MessageLog()
READERS: dict[str, list[asyncio.Transport]] = {}


def server_message(message: bytes) -> bytes:
    """A server's binary WebSocket message."""
    size = len(message)
    return (struct.pack(">BB", 0x82, size) if size < 126 else struct.pack(">BBH", 0x82, 126, size)) + message


def compressed(message: bytes) -> bytes:
    """The same, compressed as the service does it, but with all of it and for one reader."""
    stream = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = (stream.compress(message) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    whole = server_message(data)
    return bytes((whole[0] | 0x40,)) + whole[1:]


def handshake_response(head: bytes) -> bytes:
    """The answer to a handshake."""
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + (EXTENSION if DEFLATE else b"")
        + b"Sec-WebSocket-Accept: "
        + base64.b64encode(hashlib.sha1(key + GUID).digest())
        + b"\r\n\r\n"
    )


class BareWebSocket(asyncio.Protocol):
    """One socket."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the handshake."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = b""
        self.open = False
        self.room: str | None = None

    def connection_lost(self, error: Exception | None) -> None:
        """Write nothing more."""
        if self.room is not None:
            READERS[self.room].remove(self.transport)

    def data_received(self, data: bytes) -> None:
        """Handshake, then whole messages."""
        buffer = self.buffer + data if self.buffer else data
        if not self.open:
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self.buffer = head
                return
            self.transport.write(handshake_response(head))
            self.open = True
        start, size = 0, len(buffer)
        replies: list[bytes] = []
        bursts: dict[str, list[bytes]] = {}
        while size - start >= 6:
            length, head_bytes = buffer[start + 1] & 0x7F, 6
            if length == 126:
                length, head_bytes = int.from_bytes(buffer[start + 2 : start + 4], "big"), 8
            begin = start + head_bytes
            start = begin + length
            if start > size:
                start = begin - head_bytes
                break
            kind = buffer[begin + 4] >> 2
            if kind == codec.REQUEST_RESPONSE:
                if length <= PING_BYTES_MAX:
                    replies.append(b"\x82\x06" + buffer[begin : begin + 4] + NEXT_COMPLETE)
                else:
                    self.on_send(buffer[begin:start], replies, bursts)
            elif kind == codec.REQUEST_STREAM:
                self.on_watch(buffer[begin:start])
        self.buffer = buffer[start:]
        if replies:
            self.transport.write(b"".join(replies))
        for room, items in bursts.items():
            if DEFLATE:
                for reader in READERS.get(room, ()):
                    reader.write(b"".join([compressed(item) for item in items]))
                continue
            burst = b"".join([server_message(item) for item in items])
            for reader in READERS.get(room, ()):
                reader.write(burst)

    def on_send(self, frame: bytes, replies: list[bytes], bursts: dict[str, list[bytes]]) -> None:
        """A message: its bytes are made once."""
        metadata_bytes = int.from_bytes(frame[6:9], "big")
        room, item, reply = LOG.append(frame[9 + metadata_bytes :])
        bursts.setdefault(room, []).append(codec.frame(1, codec.PAYLOAD, codec.NEXT, item))
        replies.append(server_message(frame[:4] + NEXT_COMPLETE + reply))

    def on_watch(self, frame: bytes) -> None:
        """A reader."""
        metadata_bytes = int.from_bytes(frame[10:13], "big")
        self.room = v1.WatchRequest.FromString(frame[13 + metadata_bytes :]).room
        READERS.setdefault(self.room, []).append(self.transport)
        self.transport.write(server_message(codec.frame(1, codec.PAYLOAD, codec.NEXT, LIVE)))


class BareTcp(asyncio.Protocol):
    """Answers every request with nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        """Whole frames behind their lengths."""
        buffer = self.buffer + data if self.buffer else data
        start, size = 0, len(buffer)
        replies: list[bytes] = []
        while size - start >= 3:
            end = start + 3 + int.from_bytes(buffer[start : start + 3], "big")
            if end > size:
                break
            if buffer[start + 7] >> 2 == codec.REQUEST_RESPONSE:
                replies.append(b"\0\0\x06" + buffer[start + 3 : start + 7] + NEXT_COMPLETE)
            start = end
        self.buffer = buffer[start:]
        if replies:
            self.transport.write(b"".join(replies))


async def main() -> None:
    """Listen on free ports and print them; with `--tls CERTIFICATE`, encrypted."""
    loop = asyncio.get_running_loop()
    context = None
    if sys.argv[1:2] == ["--tls"]:
        import ssl

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[2])
    ports = {}
    for name, protocol in (("ws", BareWebSocket), ("tcp", BareTcp)):
        server = await loop.create_server(protocol, "127.0.0.1", 0, backlog=4096, ssl=context)
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
