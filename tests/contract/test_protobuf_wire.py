"""The wire functions write the bytes that Protobuf writes, at every bound of a varint's length."""

import pytest

from tidings.contract import v1
from tidings.contract.codecs import JSON, PROTOBUF
from tidings.contract.protobuf_wire import encode_field, encode_varint

# The last number of each length in bytes, and the limits of other number types.
BOUNDS = sorted({
    number + step
    for number in (*(1 << 7 * count for count in range(1, 10)), 2**31, 2**32, 2**53, 2**63, 2**64 - 1)
    for step in (-1, 0, 1)
    if number + step < 2**64
})  # fmt: skip


@pytest.mark.parametrize("number", BOUNDS)
def test_a_varint_has_the_bytes_of_protobuf(number: int) -> None:
    assert b"\x10" + encode_varint(number) == v1.Cursor(seq=number).SerializeToString()


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 16_383, 16_384])
def test_a_field_has_the_bytes_of_protobuf(size: int) -> None:
    epoch = "e" * size
    assert (encode_field(1, epoch.encode()) if epoch else b"") == v1.Cursor(epoch=epoch).SerializeToString()
    assert encode_field(1, b"") == b"\x0a\x00"


@pytest.mark.parametrize("codec", [PROTOBUF, JSON], ids=["protobuf", "json"])
@pytest.mark.parametrize("number", BOUNDS)
def test_a_seq_is_the_same_after_encoding_and_decoding(codec: object, number: int) -> None:
    chosen = PROTOBUF if codec is PROTOBUF else JSON
    assert chosen.decode(v1.Cursor, chosen.encode(v1.Cursor(seq=number))).seq == number
