"""The load's ends of the sockets: readers that only compare bytes, one that looks inside, callers with requests.

A reader must cost less than the server that feeds it, or the load is measured. All readers of a room get the same
bytes, so one of them, the witness, is parsed and checked event by event, and the others are compared with it by length
and checksum: the same guarantee for a thousandth of the work.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator

from bench import codec

STREAM_ID = 1


class WebSocketClient(asyncio.Protocol):
    """A WebSocket client after its handshake: `received(data)` gets raw bytes of the stream."""

    def __init__(self, host: str, path: str, first: bytes) -> None:
        self.host = host
        self.path = path
        self.first_bytes = first
        self.transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.deflate = False
        self._handshake = bytearray()
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(codec.upgrade(self.host, self.path, deflate=self.deflate))

    def data_received(self, data: bytes) -> None:
        """The handshake's response, then the server's frames."""
        if self._is_open:
            self.on_data(data)
            return
        self._handshake += data
        head, found, rest = bytes(self._handshake).partition(b"\r\n\r\n")
        if not found:
            return
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.ready.set_exception(ConnectionError(head.decode(errors="replace")))
            return
        self._is_open = True
        if self.first_bytes:
            self.transport.write(self.first_bytes)
        self.ready.set_result(None)
        if rest:
            self.on_data(rest)

    def on_data(self, data: bytes) -> None:
        """The server's frames."""

    def connection_lost(self, error: Exception | None) -> None:
        """It is a fault of the run when this happens before `close`."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed during the handshake"))


class EventReader(WebSocketClient):
    """Counts and sums what it gets."""

    def __init__(self, host: str, path: str, first: bytes, room: "ReaderGroup") -> None:
        super().__init__(host, path, first)
        self.group = room
        self.bytes = 0
        self.checksum = 0

    def on_data(self, data: bytes) -> None:
        """Add up; tell the room when everything expected is there."""
        self.bytes += len(data)
        self.checksum = zlib.adler32(data, self.checksum)
        if self.bytes >= self.group.expected_bytes:
            self.group.on_reader_done(self)


class ReferenceReader(EventReader):
    """Keeps its bytes, counts messages, and knows by them what the others must have."""

    def __init__(self, host: str, path: str, first: bytes, room: "ReaderGroup") -> None:
        super().__init__(host, path, first, room)
        self.buffer = bytearray()
        self.parsed_bytes = 0
        self.message_spans: list[tuple[int, int]] = []

    def on_data(self, data: bytes) -> None:
        """Count messages."""
        self.bytes += len(data)
        self.checksum = zlib.adler32(data, self.checksum)
        self.buffer += data
        found, self.parsed_bytes = codec.split_websocket_messages(self.buffer, self.parsed_bytes)
        self.message_spans += found
        self.group.on_reference_progress(len(self.message_spans), self.bytes)

    def payloads(self) -> Iterator[bytes]:
        """The data of each PAYLOAD frame."""
        for begin, end in self.message_spans:
            frame = bytes(self.buffer[begin:end])
            if codec.is_compressed(self.buffer, begin, end):
                frame = codec.inflate(frame)
            if codec.frame_type(frame) == codec.PAYLOAD:
                yield frame[6:]


class ReaderGroup:
    """Readers of the same events. `arrival` completes when each of them has `messages` messages."""

    def __init__(self, name: str, done: Callable[["ReaderGroup"], None]) -> None:
        self.name = name
        self.readers: list[EventReader] = []
        self.reference: ReferenceReader | None = None
        self.messages = 0
        self.expected_bytes = 1 << 62
        self._unfinished: set[EventReader] = set()
        self.on_done = done

    def expect(self, messages: int) -> None:
        """Everybody must get so many messages, counted from the start."""
        self.messages = messages
        self.expected_bytes = 1 << 62
        self._unfinished = set(self.readers)
        if self.reference is not None:
            self.on_reference_progress(len(self.reference.message_spans), self.reference.bytes)

    def on_reference_progress(self, messages: int, size: int) -> None:
        """The witness has so many messages in so many bytes."""
        if messages >= self.messages and self.expected_bytes == 1 << 62 and self._unfinished:
            self.expected_bytes = size
            for reader in list(self._unfinished):
                if reader.bytes >= size:
                    self.on_reader_done(reader)

    def on_reader_done(self, reader: EventReader) -> None:
        """This reader has everything that was expected."""
        self._unfinished.discard(reader)
        if not self._unfinished and self.expected_bytes < 1 << 62:
            self.expected_bytes = 1 << 62
            self.on_done(self)

    def mismatched_readers(self) -> list[EventReader]:
        """Readers whose bytes differ from the witness's: a correct run has none."""
        assert self.reference is not None
        return [r for r in self.readers if (r.bytes, r.checksum) != (self.reference.bytes, self.reference.checksum)]


class RequestClient(WebSocketClient):
    """Requests in flight on one connection; every answer is one message."""

    def __init__(self, host: str, path: str, first: bytes, on_replies: Callable[["RequestClient", int], None]) -> None:
        super().__init__(host, path, first)
        self.on_replies = on_replies
        self.next_stream = 1
        self.errors: list[bytes] = []
        self._buffer = b""

    def send_requests(self, route: str, *payloads: bytes) -> None:
        """Send requests, all in one write."""
        out = []
        for data in payloads:
            out.append(codec.websocket_request(self.next_stream, route, data))
            self.next_stream += 2
        self.transport.write(b"".join(out))

    def on_data(self, data: bytes) -> None:
        """Count answers; remember refusals."""
        buffer = self._buffer + data if self._buffer else data
        found, rest = codec.split_websocket_messages(buffer)
        self._buffer = buffer[rest:]
        answers = 0
        for begin, end in found:
            kind = codec.frame_type(buffer, begin)
            if kind == codec.PAYLOAD:
                answers += 1
            elif kind == codec.ERROR:
                self.errors.append(buffer[begin:end])
                answers += 1
        if answers:
            self.on_replies(self, answers)
