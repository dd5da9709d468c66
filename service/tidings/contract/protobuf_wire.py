"""Writes parts of the Protobuf wire format, to assemble items from encoded bytes. Standard library only."""

from typing import Final

LAST_BYTES: Final = tuple(bytes((number,)) for number in range(0x80))
CONTINUATION_BYTES: Final = tuple(bytes((number | 0x80,)) for number in range(0x80))


def encode_varint(number: int) -> bytes:
    """A varint, for 0 to 2**64 - 1: seven bits per byte, lowest first."""
    if number < 0x80:
        return LAST_BYTES[number]
    if number < 0x4000:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 0x200000:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_field(number: int, content: bytes) -> bytes:
    """A length-delimited field: bytes, a string or a message."""
    return b"".join((encode_varint(number << 3 | 2), encode_varint(len(content)), content))
