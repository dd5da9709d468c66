"""permessage-deflate: what is agreed on, what is sent, what is read. Independent readers: zlib and `websockets`."""

import contextlib
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from tidings.transports.websocket.deflate import (
    SYNC_FLUSH_TAIL,
    WINDOW_BITS,
    DeflateNegotiator,
    Deflater,
    InflatedTooLargeError,
    inflate,
    stored_block,
)
from tidings.transports.websocket.frames import compressed_message

PROSE = (
    b"It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. "
)
BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
WINDOW_12 = "; server_max_window_bits=12"


def compressed(data: bytes, bits: int = 15) -> bytes:
    """A message as a client compresses it."""
    stream = zlib.compressobj(wbits=-bits)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC_FLUSH_TAIL)


# --- agreeing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        (["permessage-deflate"], BOTH),  # Firefox
        (["permessage-deflate; client_max_window_bits"], BOTH),  # Chromium, Node's ws
        (["permessage-deflate;server_no_context_takeover;client_no_context_takeover"], BOTH),
        (["permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"], BOTH + WINDOW_12),
        (["permessage-deflate; server_max_window_bits=15"], BOTH),
        (['Permessage-Deflate; server_max_window_bits = "10"'], BOTH + "; server_max_window_bits=10"),
        (["x-webkit-deflate-frame", "permessage-deflate"], BOTH),
        # What we cannot do, or nobody can mean, is passed over; the next offer may do.
        (["permessage-deflate; server_max_window_bits=8", "permessage-deflate"], BOTH),
        (["permessage-deflate; server_max_window_bits=16"], None),
        (["permessage-deflate; server_max_window_bits"], None),
        (["permessage-deflate; server_max_window_bits=09"], None),
        (["permessage-deflate; server_max_window_bits=１０"], None),
        (['permessage-deflate; server_max_window_bits="10'], None),
        (['permessage-deflate; client_max_window_bits=""'], None),
        (["permessage-deflate; client_max_window_bits=7"], None),
        (["permessage-deflate; client_no_context_takeover=1"], None),
        (["permessage-deflate; client_no_context_takeover; client_no_context_takeover"], None),
        (["permessage-deflate; level=9"], None),
        (["permessage-deflate;"], None),
        (["permessage-bzip2"], None),
        ([""], None),
        ([], None),
    ],
)  # fmt: skip
def test_the_first_offer_that_can_be_kept_is_accepted(offers: list[str], answer: str | None) -> None:
    agreement = DeflateNegotiator(1_024).negotiate(offers)
    assert (agreement.extension_header if agreement else None) == answer


def test_nothing_is_agreed_on_where_compression_is_off() -> None:
    assert DeflateNegotiator(0).negotiate(["permessage-deflate"]) is None


def test_connections_with_the_same_window_share_a_deflater() -> None:
    negotiation = DeflateNegotiator(1)
    one, two = negotiation.negotiate(["permessage-deflate"]), negotiation.negotiate(["permessage-deflate"])
    small = negotiation.negotiate(["permessage-deflate; server_max_window_bits=9"])
    assert one is not None
    assert two is not None
    assert small is not None
    assert one.deflater is two.deflater
    assert one.deflater is not small.deflater


# --- out --------------------------------------------------------------------------------------------------------


@given(
    head=st.binary(max_size=300),
    pieces=st.lists(st.sampled_from([PROSE, "君子之交淡如水".encode(), b"ab", b"\0" * 70]), min_size=1, max_size=200),
    bits=st.sampled_from(WINDOW_BITS),
)
def test_head_and_block_inflate_to_head_and_data(head: bytes, pieces: list[bytes], bits: int) -> None:
    data = b"".join(pieces) + b"".join(pieces)
    block = Deflater(bits, 1).compress_block(data)
    if not block:  # too small to be worth it
        assert len(data) < 200
        return
    message = stored_block(head) + block
    assert zlib.decompressobj(-bits).decompress(message + SYNC_FLUSH_TAIL) == head + data
    peer = PerMessageDeflate(True, True, bits, bits)
    assert peer.decode(Frame(Opcode.BINARY, message, rsv1=True)).data == head + data


def test_readers_differ_in_the_head_alone() -> None:
    block = Deflater(15, 1).compress_block(repr(list(range(500))).encode())
    one, two = compressed_message(b"\0\0\0\x01\x28\x20", block), compressed_message(b"\0\0\0\x03\x28\x20", block)
    # FIN, RSV1, binary; 126: the length in two bytes; a stored block of 6 bytes, their number and its complement.
    assert one[:15] == b"\xc2\x7e" + (11 + len(block)).to_bytes(2, "big") + b"\0\x06\0\xf9\xff" + b"\0\0\0\x01\x28\x20"
    assert [at for at in range(len(one)) if one[at] != two[at]] == [12]


def test_small_events_and_those_that_do_not_shrink_go_as_they_are() -> None:
    deflater = Deflater(15, 1_024)
    assert deflater.compress_block(b"a" * 1_023) == b""
    assert deflater.compress_block(b"a" * 1_024) != b""
    assert deflater.compress_block(os.urandom(8_192)) == b""


# --- in ---------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=2_000), bits=st.sampled_from(WINDOW_BITS))
def test_what_a_client_compresses_is_read(data: bytes, bits: int) -> None:
    assert inflate(compressed(data, bits), 2_000) == data


@pytest.mark.parametrize(
    "message",
    [
        "f248cdc9c90700",  # the examples of section 7.2.3: "Hello" in a fixed block
        "000500faff48656c6c6f00",  # stored
        "f348cdc9c9070000",  # in a last block, and an empty one begun
        "f248050000 00ffffcac9c90700",  # in two
    ],
)
def test_the_examples_of_the_specification_are_read(message: str) -> None:
    assert inflate(bytes.fromhex(message), 5) == b"Hello"


def test_a_bomb_is_not_inflated_beyond_its_limit() -> None:
    bomb = compressed(bytes(100_000_000))
    assert len(bomb) < 100_000
    with pytest.raises(InflatedTooLargeError):
        inflate(bomb, 1_000_000)
    assert inflate(compressed(bytes(1_000)), 1_000) == bytes(1_000)
    with pytest.raises(InflatedTooLargeError):
        inflate(compressed(bytes(1_001)), 1_000)


@pytest.mark.parametrize("message", [b"\xff" * 20, b"\x07\x00", b"\x00\x05\x00\x00\x00Hello", b"\x03\x00" * 1_000])
def test_what_is_no_deflate_is_refused(message: bytes) -> None:
    with pytest.raises(zlib.error):
        inflate(message, 1_000)


@given(st.binary(max_size=100))
def test_no_bytes_inflate_to_more_than_the_limit_or_raise_something_else(message: bytes) -> None:
    with contextlib.suppress(InflatedTooLargeError, zlib.error):
        assert len(inflate(message, 50)) <= 50
