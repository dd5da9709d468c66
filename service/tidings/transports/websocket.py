"""WebSocket frames for a server (RFC 6455), bytes in and messages out: no socket, no clock.

Only what RSocket needs: binary messages, whole or in pieces; ping, pong, close; compressed ones where both sides have
agreed on it (`deflate`). What a server sends is not masked, which makes the header of a frame a pure function of its
length: the bytes for one reader are the bytes for all.

Nothing that a peer sends makes `MessageReader.feed` raise. What breaks a rule ends the reading and shows in `ending`,
as does the peer's CLOSE; messages that came whole before it are still returned.
"""

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from tidings.rsocket.splitter import Backlog
from tidings.transports.deflate import Inflated, inflate, stored

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Close codes of section 7.4, and those of the application (4000 and up), which speak the numbers of HTTP.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED_DATA, NO_CODE = 1000, 1001, 1002, 1003, 1005
INVALID_DATA, POLICY_VIOLATION, TOO_BIG = 1007, 1008, 1009
UNAUTHENTICATED: Final = 4401

_CODES_PEERS_SEND: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
CONTROL_BYTES_MAX: Final = 125
REASON_BYTES_MAX: Final = CONTROL_BYTES_MAX - 2

_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40  # RSV1, on the first frame of a message
_WHOLE: Final = _FINAL | BINARY
_MASKED: Final = 0x80
_MASKED_LONG: Final = _MASKED | 126  # from here on the length stands in the bytes behind
_LOOK_BYTES: Final = 2  # of a frame, from which on it can be seen to be wrong
# One read of the socket may hold a quarter of a megabyte: 40,000 control frames, 30 requests that take 10 ms each, or
# messages that inflate to a thousand times their size. `feed` looks at so much of it at once; the rest waits as it
# came, and the caller looks at the clock. 1 KiB holds 27 of the smallest requests, 0.15 ms, or 170 control frames.
CHUNK_BYTES: Final = 1_024
INFLATED_BYTES_A_CHUNK: Final = 4_096
INFLATED_BYTES_MIN: Final = 256  # as which a message counts there: an empty one is work as well

# From here on four passes over the bytes, one for each byte of the mask, are faster than one big integer.
_BIG_BYTES: Final = 800
_REPEATED: Final = tuple(int.from_bytes(b"\1\0\0\0" * words, "little") for words in range((_BIG_BYTES + 7 >> 2) + 1))
_XOR: Final = tuple(bytes(value ^ mask for value in range(256)) for mask in range(256))


class Ending(NamedTuple):
    """Why nothing more is read: the peer's own CLOSE (`remote`), or the rule it broke, with the code to say so."""

    code: int
    text: str
    remote: bool


class _Broken(Exception):
    """The peer broke a rule."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def server_envelope(frame_bytes: int) -> bytes:
    """The header of one whole, unmasked binary message of so many bytes."""
    if frame_bytes < 126:
        return _SHORT_HEADERS[frame_bytes]
    if frame_bytes < 65_536:
        return b"\x82\x7e" + frame_bytes.to_bytes(2, "big")
    return b"\x82\x7f" + frame_bytes.to_bytes(8, "big")


def compressed_message(head: bytes, block: bytes) -> bytes:
    """One whole, unmasked binary message: `head`, and behind it what `block` inflates to (`Deflater.block`)."""
    begin = stored(head)
    header = server_envelope(len(begin) + len(block))
    return b"".join((bytes((header[0] | _COMPRESSED,)), header[1:], begin, block))


_SHORT_HEADERS: Final = tuple(bytes((_FINAL | BINARY, size)) for size in range(126))


def pong_frame(data: bytes) -> bytes:
    """The answer to a ping: the same data."""
    return bytes((_FINAL | PONG, len(data))) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """CLOSE; the reason is cut between two characters where it is longer than a control frame."""
    if code == NO_CODE:
        return bytes((_FINAL | CLOSE, 0))
    said = reason.encode("utf-8", "replace")
    if len(said) > REASON_BYTES_MAX:
        said = said[:REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
    return bytes((_FINAL | CLOSE, 2 + len(said))) + code.to_bytes(2, "big") + said


def unmask(data: bytes, begin: int, end: int) -> bytes:
    """The payload at `begin` to `end`, whose mask stands in the four bytes before it."""
    size = end - begin
    if size < _BIG_BYTES:
        # Mask and payload are read as one number; its lowest word, repeated, is the key to all of it.
        words = size + 7 >> 2
        masked = int.from_bytes(data[begin - 4 : end], "little")
        plain = masked ^ (masked & 0xFFFFFFFF) * _REPEATED[words]
        return plain.to_bytes(words * 4, "little")[4 : 4 + size]
    mask, body = data[begin - 4 : begin], bytearray(data[begin:end])
    for index in range(4):
        body[index::4] = body[index::4].translate(_XOR[mask[index]])
    return bytes(body)


class MessageReader(Backlog):
    """Bytes of a client → its binary messages.

    Holds at most one unfinished message (the frame that is still coming, and the pieces that came before it), and what
    is `behind`. `first_bytes_max` holds for the first message, which comes from an unknown peer; `message_bytes_max`
    for the others. `inflated_bytes_max` holds for compressed ones besides, before and after; 0: none was agreed on.
    `pong` is the answer that is owed to the latest ping: the caller sends it and sets it to None. `control_frames`
    counts frames that bring nothing, pings, pongs and empty pieces, until the caller sets it to 0.
    """

    __slots__ = (
        "_bytes_max",
        "_compressed",
        "_in_pieces",
        "_inflated_bytes",
        "_inflated_bytes_max",
        "_message_bytes_max",
        "control_frames",
        "ending",
        "pieces",
        "pong",
    )

    def __init__(self, message_bytes_max: int, first_bytes_max: int, inflated_bytes_max: int = 0) -> None:
        super().__init__()
        self._bytes_max = min(first_bytes_max, message_bytes_max)
        self._message_bytes_max = message_bytes_max
        self._inflated_bytes_max = inflated_bytes_max
        self._compressed = False  # the message that is still coming
        self._inflated_bytes = 0  # in this call of `feed`
        self.pieces = bytearray()
        self._in_pieces = False
        self.control_frames = 0
        self.ending: Ending | None = None
        self.pong: bytes | None = None

    @property
    def held_bytes(self) -> int:
        """What is kept of an unfinished message."""
        return len(self.rest) + len(self.pieces)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete in the next `CHUNK_BYTES`, however long the last one of them is.

        More may be `behind`. After an `ending` there are none.
        """
        if self.ending is not None:
            return []
        if self.behind or self.rest:
            begun = self._begin(data)
            if begun is None:
                return []
            data = begun
        messages: list[bytes] = []
        self._inflated_bytes = 0
        try:
            self._read(data, self._at, messages)
        except _Broken as broken:
            self.end(broken.code, str(broken))
        return messages

    def end(self, code: int, text: str) -> None:
        """Read nothing more, for this reason; what is held is dropped."""
        self.ending = Ending(code, text, remote=False)
        self.drop()
        self.pieces.clear()

    def _read(self, data: bytes, at: int, messages: list[bytes]) -> None:
        size = len(data)
        most = size - _LOOK_BYTES + 1
        stop = min(most, at + CHUNK_BYTES)
        wanted = _LOOK_BYTES
        while at < stop:
            first, second = data[at], data[at + 1]
            # A whole binary message of less than 65,536 bytes is nearly all of the traffic, and needs no closer look,
            # which takes 0.6 µs.
            if first == _WHOLE and _MASKED <= second < _MASKED_LONG and not self._in_pieces:
                length = second - _MASKED
                begin = at + 6
            elif (
                first == _WHOLE
                and second == _MASKED_LONG
                and size - at >= 4
                and 126 <= (length := data[at + 2] << 8 | data[at + 3]) <= self._bytes_max
                and not self._in_pieces
            ):
                begin = at + 8
            else:
                length, begin = self._look(data, at, first, second)
                if not begin:
                    stop = most
                    break
            end = begin + length
            if end > size:
                wanted = end - at
                stop = most
                break
            if first == _WHOLE:
                messages.append(unmask(data, begin, end))
                self._bytes_max = self._message_bytes_max
            else:
                self._take(first, unmask(data, begin, end), messages)
                if self.ending is not None:
                    self.behind = False
                    return
                if self._inflated_bytes >= INFLATED_BYTES_A_CHUNK:
                    stop = min(stop, end)
            at = end
        if at < size or self.behind:
            self._leave(data, at, wanted, at < most and stop < most)

    def _look(self, data: bytes, at: int, first: int, second: int) -> tuple[int, int]:
        """Length and beginning of a frame's payload, which is allowed where it stands; beginning 0: not known yet."""
        opcode, length = first & 0x0F, second & 0x7F
        reserved = first & _RESERVED
        compressed = reserved == _COMPRESSED and self._inflated_bytes_max > 0 and opcode in (BINARY, TEXT)
        if reserved and not compressed:
            raise _Broken(PROTOCOL_ERROR, "a reserved bit is set where nothing was agreed on")
        if not second & _MASKED:
            raise _Broken(PROTOCOL_ERROR, "a client masks its frames")
        check = _CHECKS.get(opcode)
        if check is None:
            raise _Broken(PROTOCOL_ERROR, f"unknown opcode 0x{opcode:x}")
        check(self, first, length)
        begin = at + 6
        if length >= 126:
            count = 2 if length == 126 else 8
            begin += count
            if len(data) - at < 2 + count:
                return 0, 0
            length = int.from_bytes(data[at + 2 : at + 2 + count], "big")
            if length < (126 if count == 2 else 65_536) or length >> 63:
                raise _Broken(PROTOCOL_ERROR, "a length is written in more bytes than it needs")
        if opcode < CLOSE:
            bytes_max = self._inflatable_bytes() if compressed or self._compressed else self._bytes_max
            if len(self.pieces) + length > bytes_max:
                raise self._too_large(bytes_max)
        return length, begin

    def _inflatable_bytes(self) -> int:
        return min(self._bytes_max, self._inflated_bytes_max)

    def _too_large(self, bytes_max: int, when: str = "") -> _Broken:
        if self._bytes_max > bytes_max:
            settings = "inflated_bytes_max"
        elif self._bytes_max < self._message_bytes_max:
            settings = "first_message_bytes_max"
        else:
            settings = "request_bytes_max and metadata_bytes_max"
        return _Broken(TOO_BIG, f"a message has {bytes_max} bytes at most{when} ({settings})")

    def _check_start(self, first: int, length: int) -> None:
        if self._in_pieces:
            raise _Broken(PROTOCOL_ERROR, "a new message before the last piece of the one before")

    def _check_continuation(self, first: int, length: int) -> None:
        if not self._in_pieces:
            raise _Broken(PROTOCOL_ERROR, "a continuation of no message")

    def _check_text(self, first: int, length: int) -> None:
        raise _Broken(UNSUPPORTED_DATA, "RSocket speaks in binary messages")

    def _check_control(self, first: int, length: int) -> None:
        if not first & _FINAL or length > CONTROL_BYTES_MAX:
            raise _Broken(PROTOCOL_ERROR, f"a control frame has one piece of {CONTROL_BYTES_MAX} bytes at most")

    def _take(self, first: int, payload: bytes, messages: list[bytes]) -> None:
        """A frame that is not a whole message."""
        opcode = first & 0x0F
        if opcode >= PING or (not payload and (opcode == CONTINUATION or not first & _FINAL)):
            self.control_frames += 1
        if opcode == PING:
            self.pong = payload  # of many pings the last one's answer is enough (section 5.5.3)
        elif opcode == CLOSE:
            self.ending = _read_close(payload)
        elif opcode != PONG:
            if opcode != CONTINUATION:
                self._compressed = bool(first & _COMPRESSED)
            self.pieces += payload
            self._in_pieces = not first & _FINAL
            if not self._in_pieces:
                message = bytes(self.pieces)
                messages.append(self._inflated(message) if self._compressed else message)
                self.pieces = bytearray()
                self._compressed = False
                self._bytes_max = self._message_bytes_max

    def _inflated(self, message: bytes) -> bytes:
        bytes_max = self._inflatable_bytes()
        try:
            message = inflate(message, bytes_max)
        except Inflated:
            raise self._too_large(bytes_max, " when it is inflated") from None
        except zlib.error:
            raise _Broken(INVALID_DATA, "a compressed message is not in the DEFLATE format") from None
        self._inflated_bytes += max(len(message), INFLATED_BYTES_MIN)
        return message


def _read_close(payload: bytes) -> Ending:
    if not payload:
        return Ending(NO_CODE, "", remote=True)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CODES_PEERS_SEND or 3000 <= code < 5000):
        raise _Broken(PROTOCOL_ERROR, "CLOSE with a code that nobody may send")
    try:
        return Ending(code, payload[2:].decode(), remote=True)
    except UnicodeDecodeError:
        raise _Broken(INVALID_DATA, "the reason of CLOSE is not UTF-8") from None


_CHECKS: Final[dict[int, Callable[[MessageReader, int, int], None]]] = {
    CONTINUATION: MessageReader._check_continuation,
    TEXT: MessageReader._check_text,
    BINARY: MessageReader._check_start,
    CLOSE: MessageReader._check_control,
    PING: MessageReader._check_control,
    PONG: MessageReader._check_control,
}
