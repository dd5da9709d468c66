"""The load's ends of the sockets: readers that only compare bytes, one that looks inside, callers with requests.

A reader must cost less than the server that feeds it, or the load is measured. All readers of a room get the same
bytes, so one of them, the witness, is parsed and checked event by event, and the others are compared with it by length
and checksum: the same guarantee for a thousandth of the work.
"""

import asyncio
import zlib
from collections.abc import Callable, Iterator

from bench import wire

STREAM = 1


class Socket(asyncio.Protocol):
    """A WebSocket client after its handshake: `received(data)` gets raw bytes of the stream."""

    def __init__(self, host: str, path: str, first: bytes) -> None:
        self.host = host
        self.path = path
        self.first = first
        self.transport: asyncio.Transport
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.deflate = False
        self._head = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport = transport  # type: ignore[assignment]
        self.transport.write(wire.upgrade(self.host, self.path, deflate=self.deflate))

    def data_received(self, data: bytes) -> None:
        """The handshake's answer, then what the server says."""
        if self._open:
            self.received(data)
            return
        self._head += data
        head, found, rest = bytes(self._head).partition(b"\r\n\r\n")
        if not found:
            return
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.ready.set_exception(ConnectionError(head.decode(errors="replace")))
            return
        self._open = True
        if self.first:
            self.transport.write(self.first)
        self.ready.set_result(None)
        if rest:
            self.received(rest)

    def received(self, data: bytes) -> None:
        """What the server says."""

    def connection_lost(self, error: Exception | None) -> None:
        """It is a fault of the run when this happens before `close`."""
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed during the handshake"))


class Reader(Socket):
    """Counts and sums what it gets."""

    def __init__(self, host: str, path: str, first: bytes, room: "Room") -> None:
        super().__init__(host, path, first)
        self.room = room
        self.bytes = 0
        self.sum = 0

    def received(self, data: bytes) -> None:
        """Add up; tell the room when everything expected is there."""
        self.bytes += len(data)
        self.sum = zlib.adler32(data, self.sum)
        if self.bytes >= self.room.expected:
            self.room.arrived(self)


class Witness(Reader):
    """Keeps its bytes, counts messages, and knows by them what the others must have."""

    def __init__(self, host: str, path: str, first: bytes, room: "Room") -> None:
        super().__init__(host, path, first, room)
        self.kept = bytearray()
        self.parsed = 0
        self.spans: list[tuple[int, int]] = []

    def received(self, data: bytes) -> None:
        """Count messages."""
        self.bytes += len(data)
        self.sum = zlib.adler32(data, self.sum)
        self.kept += data
        found, self.parsed = wire.messages(self.kept, self.parsed)
        self.spans += found
        self.room.witnessed(len(self.spans), self.bytes)

    def payloads(self) -> Iterator[bytes]:
        """The data of each PAYLOAD frame."""
        for begin, end in self.spans:
            frame = bytes(self.kept[begin:end])
            if wire.is_compressed(self.kept, begin, end):
                frame = wire.inflated(frame)
            if int.from_bytes(frame[4:6], "big") >> 10 == wire.PAYLOAD:
                yield frame[6:]


class Room:
    """Readers of the same events. `arrival` completes when each of them has `messages` messages."""

    def __init__(self, name: str, done: Callable[["Room"], None]) -> None:
        self.name = name
        self.readers: list[Reader] = []
        self.witness: Witness | None = None
        self.messages = 0
        self.expected = 1 << 62
        self._missing: set[Reader] = set()
        self.done = done

    def expect(self, messages: int) -> None:
        """Everybody must get so many messages, counted from the start."""
        self.messages = messages
        self.expected = 1 << 62
        self._missing = set(self.readers)
        if self.witness is not None:
            self.witnessed(len(self.witness.spans), self.witness.bytes)

    def witnessed(self, messages: int, size: int) -> None:
        """The witness has so many messages in so many bytes."""
        if messages >= self.messages and self.expected == 1 << 62 and self._missing:
            self.expected = size
            for reader in list(self._missing):
                if reader.bytes >= size:
                    self.arrived(reader)

    def arrived(self, reader: Reader) -> None:
        """This reader has everything that was expected."""
        self._missing.discard(reader)
        if not self._missing and self.expected < 1 << 62:
            self.expected = 1 << 62
            self.done(self)

    def odd_ones(self) -> list[Reader]:
        """Readers whose bytes differ from the witness's: a correct run has none."""
        assert self.witness is not None
        return [r for r in self.readers if (r.bytes, r.sum) != (self.witness.bytes, self.witness.sum)]


class Caller(Socket):
    """Requests in flight on one connection; every answer is one message."""

    def __init__(self, host: str, path: str, first: bytes, answered: Callable[["Caller", int], None]) -> None:
        super().__init__(host, path, first)
        self.answered = answered
        self.next_stream = 1
        self.failures: list[bytes] = []
        self._buffer = b""

    def ask(self, route: str, *payloads: bytes) -> None:
        """Send requests, all in one write."""
        out = []
        for data in payloads:
            out.append(wire.masked_request(self.next_stream, route, data))
            self.next_stream += 2
        self.transport.write(b"".join(out))

    def received(self, data: bytes) -> None:
        """Count answers; remember refusals."""
        buffer = self._buffer + data if self._buffer else data
        found, rest = wire.messages(buffer)
        self._buffer = buffer[rest:]
        answers = 0
        for begin, end in found:
            kind = (buffer[begin + 4] << 8 | buffer[begin + 5]) >> 10
            if kind == wire.PAYLOAD:
                answers += 1
            elif kind == wire.ERROR:
                self.failures.append(buffer[begin:end])
                answers += 1
        if answers:
            self.answered(self, answers)
