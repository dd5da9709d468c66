"""WebSocket frames for a server (RFC 6455), bytes in and messages out: no socket, no clock.

Only what RSocket needs: binary messages, whole or in pieces; ping, pong, close; compressed ones where both sides have
agreed on it (`deflate`). What a server sends is not masked, which makes the header of a frame a pure function of its
length: the bytes for one reader are the bytes for all.

Nothing that a peer sends makes `MessageReader.feed` raise. What breaks a rule ends the reading and shows in
`close_info`, as does the peer's CLOSE; messages that came whole before it are still returned.
"""

import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from tidings.protocols.rsocket.frame_decoder import InputBuffer
from tidings.transports.websocket.deflate import InflatedTooLargeError, inflate, stored_block

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Close codes of section 7.4, and those of the application (4000 and up), which speak the numbers of HTTP.
NORMAL, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED_DATA, NO_STATUS = 1000, 1001, 1002, 1003, 1005
INVALID_DATA, POLICY_VIOLATION, MESSAGE_TOO_BIG = 1007, 1008, 1009
UNAUTHENTICATED: Final = 4401

_VALID_CLOSE_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))
CONTROL_BYTES_MAX: Final = 125
REASON_BYTES_MAX: Final = CONTROL_BYTES_MAX - 2

_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40  # RSV1, on the first frame of a message
_FINAL_BINARY: Final = _FINAL | BINARY
_MASKED: Final = 0x80
_MASKED_EXTENDED: Final = _MASKED | 126  # from here on the length stands in the bytes behind
_HEADER_BYTES_MIN: Final = 2  # of a frame, from which on it can be seen to be wrong
# One read of the socket may hold a quarter of a megabyte: 40,000 control frames, 30 requests that take 10 ms each, or
# messages that inflate to a thousand times their size. `feed` looks at so much of it at once; the rest waits as it
# came, and the caller looks at the clock. 1 KiB holds 27 of the smallest requests, 0.15 ms, or 170 control frames.
CHUNK_BYTES: Final = 1_024
INFLATED_BYTES_PER_CHUNK: Final = 4_096
INFLATED_BYTES_CHARGED_MIN: Final = 256  # as which a message counts there: an empty one is work as well

# From here on four passes over the bytes, one for each byte of the mask, are faster than one big integer.
_LARGE_PAYLOAD_BYTES: Final = 800
_MASK_MULTIPLIERS: Final = tuple(
    int.from_bytes(b"\1\0\0\0" * words, "little") for words in range((_LARGE_PAYLOAD_BYTES + 7 >> 2) + 1)
)
_XOR_TABLES: Final = tuple(bytes(value ^ mask for value in range(256)) for mask in range(256))


class CloseInfo(NamedTuple):
    """Why nothing more is read: the peer's own CLOSE (`remote`), or the rule it broke, with the code to say so."""

    code: int
    reason: str
    is_remote: bool


class _FrameError(Exception):
    """The peer broke a rule."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame_header(frame_bytes: int) -> bytes:
    """The header of one whole, unmasked binary message of so many bytes."""
    if frame_bytes < 126:
        return _SHORT_HEADERS[frame_bytes]
    if frame_bytes < 65_536:
        return b"\x82\x7e" + frame_bytes.to_bytes(2, "big")
    return b"\x82\x7f" + frame_bytes.to_bytes(8, "big")


def compressed_message(head: bytes, block: bytes) -> bytes:
    """One whole, unmasked binary message: `head`, and behind it what `block` inflates to
    (`Deflater.compress_block`)."""
    stored_head = stored_block(head)
    header = frame_header(len(stored_head) + len(block))
    return b"".join((bytes((header[0] | _COMPRESSED,)), header[1:], stored_head, block))


_SHORT_HEADERS: Final = tuple(bytes((_FINAL | BINARY, size)) for size in range(126))


def pong_frame(data: bytes) -> bytes:
    """The answer to a ping: the same data."""
    return bytes((_FINAL | PONG, len(data))) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """CLOSE; the reason is cut between two characters where it is longer than a control frame."""
    if code == NO_STATUS:
        return bytes((_FINAL | CLOSE, 0))
    encoded = reason.encode("utf-8", "replace")
    if len(encoded) > REASON_BYTES_MAX:
        encoded = encoded[:REASON_BYTES_MAX].decode("utf-8", "ignore").encode()
    return bytes((_FINAL | CLOSE, 2 + len(encoded))) + code.to_bytes(2, "big") + encoded


def unmask(data: bytes, begin: int, end: int) -> bytes:
    """The payload at `begin` to `end`, whose mask stands in the four bytes before it."""
    size = end - begin
    if size < _LARGE_PAYLOAD_BYTES:
        # Mask and payload are read as one number; its lowest word, repeated, is the key to all of it.
        words = size + 7 >> 2
        masked = int.from_bytes(data[begin - 4 : end], "little")
        plain = masked ^ (masked & 0xFFFFFFFF) * _MASK_MULTIPLIERS[words]
        return plain.to_bytes(words * 4, "little")[4 : 4 + size]
    mask, body = data[begin - 4 : begin], bytearray(data[begin:end])
    for index in range(4):
        body[index::4] = body[index::4].translate(_XOR_TABLES[mask[index]])
    return bytes(body)


class MessageReader(InputBuffer):
    """Bytes of a client → its binary messages.

    Holds at most one unfinished message (the frame that is still coming, and the pieces that came before it), and what
    is `behind`. `first_bytes_max` holds for the first message, which comes from an unknown peer; `message_bytes_max`
    for the others. `inflated_bytes_max` holds for compressed ones besides, before and after; 0: none was agreed on.
    `pending_pong` is the answer that is owed to the latest ping: the caller sends it and sets it to None.
    `control_frame_count`
    counts frames that bring nothing, pings, pongs and empty pieces, until the caller sets it to 0.
    """

    __slots__ = (
        "_bytes_max",
        "_inflated_bytes",
        "_inflated_bytes_max",
        "_is_compressed",
        "_is_fragmented",
        "_message_bytes_max",
        "close_info",
        "control_frame_count",
        "fragments",
        "pending_pong",
    )

    def __init__(self, message_bytes_max: int, first_bytes_max: int, inflated_bytes_max: int = 0) -> None:
        super().__init__()
        self._bytes_max = min(first_bytes_max, message_bytes_max)
        self._message_bytes_max = message_bytes_max
        self._inflated_bytes_max = inflated_bytes_max
        self._is_compressed = False  # the message that is still coming
        self._inflated_bytes = 0  # in this call of `feed`
        self.fragments = bytearray()
        self._is_fragmented = False
        self.control_frame_count = 0
        self.close_info: CloseInfo | None = None
        self.pending_pong: bytes | None = None

    @property
    def held_bytes(self) -> int:
        """What is kept of an unfinished message."""
        return len(self.partial) + len(self.fragments)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete in the next `CHUNK_BYTES`, however long the last one of them is.

        More may be `behind`. After an `close_info` there are none.
        """
        if self.close_info is not None:
            return []
        if self.has_buffered_input or self.partial:
            buffered = self._take_input(data)
            if buffered is None:
                return []
            data = buffered
        messages: list[bytes] = []
        self._inflated_bytes = 0
        try:
            self._decode(data, self._offset, messages)
        except _FrameError as error:
            self.fail(error.code, str(error))
        return messages

    def fail(self, code: int, text: str) -> None:
        """Read nothing more, for this reason; what is held is dropped."""
        self.close_info = CloseInfo(code, text, is_remote=False)
        self.clear()
        self.fragments.clear()

    def _decode(self, data: bytes, at: int, messages: list[bytes]) -> None:
        size = len(data)
        last_start = size - _HEADER_BYTES_MIN + 1
        stop = min(last_start, at + CHUNK_BYTES)
        needed = _HEADER_BYTES_MIN
        while at < stop:
            first, second = data[at], data[at + 1]
            # A whole binary message of less than 65,536 bytes is nearly all of the traffic, and needs no closer look,
            # which takes 0.6 µs.
            if first == _FINAL_BINARY and _MASKED <= second < _MASKED_EXTENDED and not self._is_fragmented:
                length = second - _MASKED
                begin = at + 6
            elif (
                first == _FINAL_BINARY
                and second == _MASKED_EXTENDED
                and size - at >= 4
                and 126 <= (length := data[at + 2] << 8 | data[at + 3]) <= self._bytes_max
                and not self._is_fragmented
            ):
                begin = at + 8
            else:
                length, begin = self._parse_header(data, at, first, second)
                if not begin:
                    stop = last_start
                    break
            end = begin + length
            if end > size:
                needed = end - at
                stop = last_start
                break
            if first == _FINAL_BINARY:
                messages.append(unmask(data, begin, end))
                self._bytes_max = self._message_bytes_max
            else:
                self._process_frame(first, unmask(data, begin, end), messages)
                if self.close_info is not None:
                    self.has_buffered_input = False
                    return
                if self._inflated_bytes >= INFLATED_BYTES_PER_CHUNK:
                    stop = min(stop, end)
            at = end
        if at < size or self.has_buffered_input:
            self._keep_remainder(data, at, needed, at < last_start and stop < last_start)

    def _parse_header(self, data: bytes, at: int, first: int, second: int) -> tuple[int, int]:
        """Length and beginning of a frame's payload, which is allowed where it stands; beginning 0: not known yet."""
        opcode, length = first & 0x0F, second & 0x7F
        reserved = first & _RESERVED
        is_compressed = reserved == _COMPRESSED and self._inflated_bytes_max > 0 and opcode in (BINARY, TEXT)
        if reserved and not is_compressed:
            raise _FrameError(PROTOCOL_ERROR, "a reserved bit is set where nothing was agreed on")
        if not second & _MASKED:
            raise _FrameError(PROTOCOL_ERROR, "a client masks its frames")
        check = _HEADER_CHECKS.get(opcode)
        if check is None:
            raise _FrameError(PROTOCOL_ERROR, f"unknown opcode 0x{opcode:x}")
        check(self, first, length)
        payload_start = at + 6
        if length >= 126:
            length_bytes = 2 if length == 126 else 8
            payload_start += length_bytes
            if len(data) - at < 2 + length_bytes:
                return 0, 0
            length = int.from_bytes(data[at + 2 : at + 2 + length_bytes], "big")
            if length < (126 if length_bytes == 2 else 65_536) or length >> 63:
                raise _FrameError(PROTOCOL_ERROR, "a length is written in more bytes than it needs")
        if opcode < CLOSE:
            bytes_max = self._compressed_bytes_max() if is_compressed or self._is_compressed else self._bytes_max
            if len(self.fragments) + length > bytes_max:
                raise self._message_too_big(bytes_max)
        return length, payload_start

    def _compressed_bytes_max(self) -> int:
        return min(self._bytes_max, self._inflated_bytes_max)

    def _message_too_big(self, bytes_max: int, when: str = "") -> _FrameError:
        if self._bytes_max > bytes_max:
            settings = "inflated_bytes_max"
        elif self._bytes_max < self._message_bytes_max:
            settings = "first_message_bytes_max"
        else:
            settings = "request_bytes_max and metadata_bytes_max"
        return _FrameError(MESSAGE_TOO_BIG, f"a message has {bytes_max} bytes at most{when} ({settings})")

    def _check_start(self, first: int, length: int) -> None:
        if self._is_fragmented:
            raise _FrameError(PROTOCOL_ERROR, "a new message before the last piece of the one before")

    def _check_continuation(self, first: int, length: int) -> None:
        if not self._is_fragmented:
            raise _FrameError(PROTOCOL_ERROR, "a continuation of no message")

    def _check_text(self, first: int, length: int) -> None:
        raise _FrameError(UNSUPPORTED_DATA, "RSocket speaks in binary messages")

    def _check_control(self, first: int, length: int) -> None:
        if not first & _FINAL or length > CONTROL_BYTES_MAX:
            raise _FrameError(PROTOCOL_ERROR, f"a control frame has one piece of {CONTROL_BYTES_MAX} bytes at most")

    def _process_frame(self, first: int, payload: bytes, messages: list[bytes]) -> None:
        """A frame that is not a whole message."""
        opcode = first & 0x0F
        if opcode >= PING or (not payload and (opcode == CONTINUATION or not first & _FINAL)):
            self.control_frame_count += 1
        if opcode == PING:
            self.pending_pong = payload  # of many pings the last one's answer is enough (section 5.5.3)
        elif opcode == CLOSE:
            self.close_info = _parse_close(payload)
        elif opcode != PONG:
            if opcode != CONTINUATION:
                self._is_compressed = bool(first & _COMPRESSED)
            self.fragments += payload
            self._is_fragmented = not first & _FINAL
            if not self._is_fragmented:
                message = bytes(self.fragments)
                messages.append(self._inflate_message(message) if self._is_compressed else message)
                self.fragments = bytearray()
                self._is_compressed = False
                self._bytes_max = self._message_bytes_max

    def _inflate_message(self, message: bytes) -> bytes:
        bytes_max = self._compressed_bytes_max()
        try:
            message = inflate(message, bytes_max)
        except InflatedTooLargeError:
            raise self._message_too_big(bytes_max, " when it is inflated") from None
        except zlib.error:
            raise _FrameError(INVALID_DATA, "a compressed message is not in the DEFLATE format") from None
        self._inflated_bytes += max(len(message), INFLATED_BYTES_CHARGED_MIN)
        return message


def _parse_close(payload: bytes) -> CloseInfo:
    if not payload:
        return CloseInfo(NO_STATUS, "", is_remote=True)
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _VALID_CLOSE_CODES or 3000 <= code < 5000):
        raise _FrameError(PROTOCOL_ERROR, "CLOSE with a code that nobody may send")
    try:
        return CloseInfo(code, payload[2:].decode(), is_remote=True)
    except UnicodeDecodeError:
        raise _FrameError(INVALID_DATA, "the reason of CLOSE is not UTF-8") from None


_HEADER_CHECKS: Final[dict[int, Callable[[MessageReader, int, int], None]]] = {
    CONTINUATION: MessageReader._check_continuation,
    TEXT: MessageReader._check_text,
    BINARY: MessageReader._check_start,
    CLOSE: MessageReader._check_control,
    PING: MessageReader._check_control,
    PONG: MessageReader._check_control,
}
