"""Compressed WebSocket messages (permessage-deflate, RFC 7692), made once for all readers of an event.

The theory. What readers of one event get differs in the first bytes of the frame, the stream id. Compressing the whole
message would be work for each reader; so it is put together of two pieces of DEFLATE:

    00 | LEN NLEN | head          a stored block: the frame's head of this reader, as it is, 5 bytes more
    block                         the event's bytes, compressed once, the same for everybody

A stored block ends on a byte, so `block` may follow whatever stands before it; and since it was compressed by itself,
its back-references never reach into the head. That needs `server_no_context_takeover`: every message begins with an
empty window. The other direction gets `client_no_context_takeover`, so that an idle connection holds no window either.

The rule a maintainer must not break: one message holds one event, and nothing is compressed together that comes from
two people of whom one must not read the other's words. That is what keeps sizes from telling secrets (CRIME, BREACH).
"""

import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

EXTENSION: Final = "permessage-deflate"
SYNC_FLUSH_TAIL: Final = b"\x00\x00\xff\xff"  # how a sync flush ends; left out on the wire (section 7.2.1)
# Behind a last block (BFINAL) stands an empty one, begun or whole (section 7.2.3.4), and the tail.
_ALLOWED_AFTER_FINAL_BLOCK: Final = frozenset((SYNC_FLUSH_TAIL, b"\x00" + SYNC_FLUSH_TAIL))
# English prose, 8 KB and 64 KB: level 1 leaves 46 and 43 % in 0.11 and 0.6 ms, level 4 43 and 38 % in 0.14 and 0.9 ms,
# level 6 43 and 37 % in 0.17 and 2.1 ms. The slowest texts of 64 KB, which have few different letters, take 0.8 ms at
# level 4, 5.6 at level 6, 28 at level 9.
COMPRESSION_LEVEL: Final = 4
WINDOW_BITS: Final = range(9, 16)  # zlib cannot do 8
MIN_SAVING_FRACTION: Final = 8  # an event goes as it is unless at least an eighth of it is saved


class InflatedTooLargeError(Exception):
    """A message inflates to more than it may."""


class Deflater:
    """Compresses for all connections that agreed on one size of the window."""

    __slots__ = ("_bytes_min", "_window_bits")

    def __init__(self, window_bits: int, bytes_min: int) -> None:
        self._window_bits = window_bits
        self._bytes_min = bytes_min

    def compress_block(self, data: bytes) -> bytes:
        """What `data` is behind a stored block; empty where it is too small, or does not shrink enough."""
        size = len(data)
        if size < self._bytes_min:
            return b""
        stream = zlib.compressobj(COMPRESSION_LEVEL, zlib.DEFLATED, -self._window_bits)
        block = (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC_FLUSH_TAIL)
        return block if len(block) <= size - size // MIN_SAVING_FRACTION else b""


def stored_block(head: bytes) -> bytes:
    """A stored block with `head` in it: nothing is compressed, and what follows begins on a byte."""
    size = len(head)
    return b"\x00" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + head


def inflate(data: bytes, bytes_max: int) -> bytes:
    """A client's message. Raises Inflated beyond `bytes_max`, before more than that is held; zlib.error for data that
    is none."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    message = stream.decompress(data + SYNC_FLUSH_TAIL, bytes_max + 1)
    if len(message) > bytes_max:
        raise InflatedTooLargeError
    if stream.eof and stream.unused_data not in _ALLOWED_AFTER_FINAL_BLOCK:
        raise zlib.error("something follows the last block")
    return message


class NegotiatedDeflate(NamedTuple):
    """What both sides will do; `answer` tells the client."""

    deflater: Deflater
    extension_header: str


class DeflateNegotiator:
    """Accepts what clients offer; with `bytes_min` 0, nothing."""

    def __init__(self, bytes_min: int) -> None:
        self._deflaters = {bits: Deflater(bits, bytes_min) for bits in WINDOW_BITS} if bytes_min else {}

    def negotiate(self, offers: Iterable[str]) -> NegotiatedDeflate | None:
        """The first acceptable offer of permessage-deflate (section 7.1), from the members of Sec-WebSocket-Extensions.

        One that cannot be read, or asks for what we do not do, is passed over (section 5.1).
        """
        for offer in offers:
            name, *parameters = (part.strip() for part in offer.split(";"))
            bits = self._accepted_window_bits(parameters) if name.lower() == EXTENSION else None
            if bits is not None:
                window = f"; server_max_window_bits={bits}" if bits < zlib.MAX_WBITS else ""
                extension_header = f"{EXTENSION}; server_no_context_takeover; client_no_context_takeover{window}"
                return NegotiatedDeflate(self._deflaters[bits], extension_header)
        return None

    def _accepted_window_bits(self, members: list[str]) -> int | None:
        """The window that an offer leaves us; None: it is not acceptable."""
        parameters: dict[str, str] = {}
        for parameter in members:
            name, _, value = (part.strip() for part in parameter.partition("="))
            if len(value) > 2 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if name in parameters or name not in _ALLOWED_PARAMETERS or value not in _ALLOWED_PARAMETERS[name]:
                return None
            parameters[name] = value
        bits = int(parameters.get("server_max_window_bits", zlib.MAX_WBITS))
        return bits if bits in self._deflaters else None


_WINDOW_BITS_VALUES: Final = frozenset(str(bits) for bits in range(8, 16))
# A client may say how small its own window will be, or ask to be told; we can read every size.
_ALLOWED_PARAMETERS: Final[dict[str, frozenset[str]]] = {
    "server_no_context_takeover": frozenset(("",)),
    "client_no_context_takeover": frozenset(("",)),
    "server_max_window_bits": _WINDOW_BITS_VALUES,
    "client_max_window_bits": _WINDOW_BITS_VALUES | {""},
}
