"""The WebSocket frame codec: what a client may send, in any pieces, and what ends the reading."""

import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.transports.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INFLATED_BYTES_CHARGED_MIN,
    INFLATED_BYTES_PER_CHUNK,
    PING,
    PONG,
    TEXT,
    CloseInfo,
    MessageReader,
    close_frame,
    frame_header,
    pong_frame,
    unmask,
)

FIN = 0x80
RSV1 = 0x40
MASK = bytes((0x37, 0xFA, 0x21, 0x3D))


def client_frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, mask: bytes = MASK
) -> bytes:
    """A frame as a client sends it, put together by the letter of section 5.2."""
    size = len(payload)
    head = bytes((FIN * final | reserved | opcode,))
    if size < 126:
        head += bytes((0x80 | size,))
    elif size < 65_536:
        head += bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    else:
        head += bytes((0x80 | 127,)) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def new_reader(message_bytes_max: int = 1 << 20, first_bytes_max: int = 1 << 20) -> MessageReader:
    return MessageReader(message_bytes_max, first_bytes_max)


def new_inflating_reader(message_bytes_max: int = 1 << 24, inflated_bytes_max: int = 1 << 20) -> MessageReader:
    """Where permessage-deflate was agreed on."""
    return MessageReader(message_bytes_max, message_bytes_max, inflated_bytes_max)


def feed_all(got: MessageReader, data: bytes) -> list[bytes]:
    """The messages of all chunks."""
    messages = got.feed(data)
    while got.has_buffered_input:
        messages += got.feed(b"")
    return messages


def deflated(data: bytes) -> bytes:
    """A message as a client compresses it."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


def compressed_frame(data: bytes) -> bytes:
    return client_frame(BINARY, deflated(data), reserved=RSV1)


# --- out --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, "8200"),
        (125, "827d"),
        (126, "827e007e"),  # 126 says: the length is in the next two bytes
        (65_535, "827effff"),
        (65_536, "827f0000000000010000"),  # 127: in the next eight
    ],
)
def test_a_server_header_is_as_short_as_it_can_be(size: int, header: str) -> None:
    assert frame_header(size) == bytes.fromhex(header)


def test_close_carries_code_and_reason_cut_between_two_characters() -> None:
    assert close_frame(1000) == bytes.fromhex("880203e8")
    assert close_frame(1005) == bytes.fromhex("8800")
    long = close_frame(1008, "x" * 122 + "ü" + "more")
    assert long == bytes((0x88, 2 + 122)) + (1008).to_bytes(2, "big") + b"x" * 122


def test_pong_says_what_ping_said() -> None:
    assert pong_frame(b"abc") == bytes.fromhex("8a03") + b"abc"


# --- in ---------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=2_000), st.binary(min_size=4, max_size=4))
def test_unmasking_is_what_the_specification_says(payload: bytes, mask: bytes) -> None:
    data = b"head" + mask + payload
    assert unmask(data, 8, len(data)) == bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 799, 800, 65_535, 65_536, 200_001])
def test_messages_of_every_length_form_come_out_whole(size: int) -> None:
    payload = os.urandom(size)
    got = new_reader()
    assert feed_all(got, client_frame(BINARY, payload) + client_frame(BINARY, b"next")) == [payload, b"next"]
    assert got.held_bytes == 0


@given(st.data())
def test_messages_come_out_the_same_from_pieces_of_any_size(data: st.DataObject) -> None:
    messages = data.draw(st.lists(st.binary(max_size=300), max_size=6))
    wire = b""
    for message in messages:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=3)))
        parts = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
        for index, part in enumerate(parts):
            opcode = CONTINUATION if index else BINARY
            wire += client_frame(opcode, part, final=index == len(parts) - 1)
            if data.draw(st.booleans()):
                wire += client_frame(data.draw(st.sampled_from([PING, PONG])), b"between")
    got = new_reader()
    found = []
    at = 0
    while at < len(wire):
        size = data.draw(st.integers(1, 40))
        found += got.feed(wire[at : at + size])
        at += size
    assert found == messages
    assert got.close_info is None
    assert got.held_bytes == 0


def test_of_many_pings_the_last_one_is_owed_an_answer() -> None:
    got = new_reader()
    assert got.feed(client_frame(PING, b"1") + client_frame(PING, b"2")) == []
    assert got.pending_pong == b"2"


def test_a_big_message_in_small_pieces_is_looked_at_once_it_is_whole() -> None:
    payload = os.urandom(1 << 20)
    wire = client_frame(BINARY, payload)
    got = new_reader()
    pieces = [wire[at : at + 1_000] for at in range(0, len(wire), 1_000)]
    assert [message for piece in pieces for message in got.feed(piece)] == [payload]


CUT_OFF = client_frame(BINARY, b"whole") + client_frame(BINARY, b"cut", final=False)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (bytes((0x82, 0x01)) + b"a", 1002),  # not masked
        (client_frame(BINARY, b"a", reserved=0x40), 1002),  # RSV1: compressed, and nobody agreed to that
        (client_frame(BINARY, b"a", reserved=0x20), 1002),
        (client_frame(BINARY, b"a", reserved=0x10), 1002),
        (client_frame(0x3, b"a"), 1002),  # unknown opcodes
        (client_frame(0xB, b"a"), 1002),
        (client_frame(CONTINUATION, b"a"), 1002),  # of no message
        (CUT_OFF + client_frame(BINARY, b"b"), 1002),  # a new message within another
        (client_frame(PING, b"a" * 126), 1002),
        (client_frame(PING, b"a", final=False), 1002),
        (client_frame(CLOSE, b"a"), 1002),  # half a code
        (client_frame(CLOSE, (1005).to_bytes(2, "big")), 1002),  # codes that are never sent
        (client_frame(CLOSE, (999).to_bytes(2, "big")), 1002),
        (client_frame(CLOSE, (5000).to_bytes(2, "big")), 1002),
        (client_frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"), 1007),
        (client_frame(TEXT, b"undefined"), 1003),
        (bytes((0x82, 0xFE, 0x00, 0x7D)) + MASK, 1002),  # 125 in two bytes
        (bytes((0x82, 0xFF)) + (65_535).to_bytes(8, "big") + MASK, 1002),
        (bytes((0x82, 0xFF)) + (1 << 63).to_bytes(8, "big") + MASK, 1002),
    ],
)
def test_what_breaks_a_rule_ends_the_reading(wire: bytes, code: int) -> None:
    for pieces in ([wire], [bytes((byte,)) for byte in wire]):
        got = new_reader()
        whole = client_frame(BINARY, b"before")
        messages = [message for piece in [whole, *pieces] for message in got.feed(piece)]
        assert messages[0] == b"before"
        assert got.close_info is not None
        assert (got.close_info.code, got.close_info.is_remote) == (code, False)
        assert got.feed(whole) == []


def test_messages_before_a_broken_rule_in_the_same_bytes_are_not_lost() -> None:
    got = new_reader()
    assert got.feed(client_frame(BINARY, b"1") + client_frame(BINARY, b"2") + client_frame(TEXT, b"3")) == [b"1", b"2"]
    assert got.close_info is not None


def test_close_ends_the_reading_with_its_code_and_reason() -> None:
    got = new_reader()
    assert got.feed(client_frame(BINARY, b"1") + client_frame(CLOSE, (4000).to_bytes(2, "big") + b"bye")) == [b"1"]
    assert got.close_info == CloseInfo(4000, "bye", is_remote=True)
    silent = new_reader()
    silent.feed(client_frame(CLOSE))
    assert silent.close_info == CloseInfo(1005, "", is_remote=True)


def test_too_big_is_said_at_the_header_before_the_bytes_have_come() -> None:
    got = new_reader(message_bytes_max=1_000)
    got.feed(client_frame(BINARY, bytes(1_001))[:14])
    assert got.close_info is not None
    assert got.close_info.code == 1009


def test_pieces_count_together() -> None:
    got = new_reader(message_bytes_max=1_000)
    got.feed(client_frame(BINARY, bytes(600), final=False))
    got.feed(client_frame(CONTINUATION, bytes(400), final=False))
    assert got.close_info is None
    assert got.held_bytes == 1_000
    got.feed(client_frame(CONTINUATION, b"a"))
    assert got.close_info is not None
    assert got.close_info.code == 1009
    assert got.held_bytes == 0


def test_the_first_message_has_a_limit_of_its_own() -> None:
    got = new_reader(first_bytes_max=200)
    assert got.feed(client_frame(BINARY, bytes(200)) + client_frame(BINARY, bytes(5_000))) == [bytes(200), bytes(5_000)]
    other = new_reader(first_bytes_max=200)
    other.feed(client_frame(BINARY, bytes(201)))
    assert other.close_info is not None


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_bytes_make_it_raise_or_hold_more_than_a_message(pieces: list[bytes]) -> None:
    got = new_reader(message_bytes_max=200, first_bytes_max=200)
    for piece in pieces:
        for message in got.feed(piece):
            assert len(message) <= 200
        assert got.held_bytes <= 200 + 14 + 200


# --- compressed -------------------------------------------------------------------------------------------------


@given(st.data())
def test_compressed_and_plain_messages_in_pieces_with_control_frames_between_come_out_in_order(
    data: st.DataObject,
) -> None:
    messages = data.draw(st.lists(st.binary(max_size=300), max_size=6))
    wire = b""
    for message in messages:
        reserved = data.draw(st.sampled_from([0, RSV1]))
        said = deflated(message) if reserved else message
        cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=3)))
        parts = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        for index, part in enumerate(parts):
            opcode, bit = (CONTINUATION, 0) if index else (BINARY, reserved)
            wire += client_frame(opcode, part, final=index == len(parts) - 1, reserved=bit)
            if data.draw(st.booleans()):
                wire += client_frame(data.draw(st.sampled_from([PING, PONG])), b"between")
    got = new_inflating_reader()
    found = []
    at = 0
    while at < len(wire):
        size = data.draw(st.integers(1, 40))
        found += got.feed(wire[at : at + size])
        at += size
    assert found == messages
    assert got.close_info is None
    assert not got.has_buffered_input
    assert got.held_bytes == 0


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (client_frame(PING, b"a", reserved=RSV1), 1002),  # control frames are never compressed
        (client_frame(CLOSE, reserved=RSV1), 1002),
        (client_frame(BINARY, b"\x02", final=False) + client_frame(CONTINUATION, b"\0", reserved=RSV1), 1002),
        (client_frame(BINARY, deflated(b"a"), reserved=RSV1 | 0x20), 1002),
        (client_frame(TEXT, deflated(b"undefined"), reserved=RSV1), 1003),
        (client_frame(BINARY, b"\xff" * 9, reserved=RSV1), 1007),
        (compressed_frame(bytes(1 << 20 | 1)), 1009),  # of one byte more than it may inflate to
        (client_frame(BINARY, bytes(1 << 20 | 1), reserved=RSV1), 1009),  # so big already
    ],
)
def test_what_breaks_a_rule_of_compression_ends_the_reading(wire: bytes, code: int) -> None:
    got = new_inflating_reader()
    assert got.feed(client_frame(BINARY, b"before") + wire) == [b"before"]
    assert got.close_info is not None
    assert (got.close_info.code, got.close_info.is_remote) == (code, False)


def test_a_message_that_is_not_compressed_may_be_as_big_as_ever() -> None:
    payload = bytes(1 << 20 | 1)
    assert new_inflating_reader().feed(client_frame(BINARY, payload)) == [payload]


def test_a_compressed_first_message_has_the_limit_of_a_stranger() -> None:
    got = MessageReader(1 << 20, 200, 1 << 20)
    got.feed(compressed_frame(bytes(201)))
    assert got.close_info is not None
    assert got.close_info.code == 1009


@pytest.mark.parametrize(
    ("got", "wire", "text"),
    [
        (MessageReader(1_000, 200), client_frame(BINARY, bytes(201)), "200 bytes at most (first_message_bytes_max)"),
        (
            MessageReader(1_000, 1_000),
            client_frame(BINARY, bytes(1_001)),
            "1000 bytes at most (request_bytes_max and metadata_bytes_max)",
        ),
        (
            MessageReader(1_000, 1_000, 500),
            compressed_frame(bytes(501)),
            "500 bytes at most when it is inflated (inflated_bytes_max)",
        ),
        (
            MessageReader(1_000, 1_000, 500),
            client_frame(BINARY, bytes(501), reserved=RSV1),
            "500 bytes at most (inflated_bytes_max)",
        ),
    ],
)
def test_a_message_that_is_too_big_is_told_the_setting_of_its_limit(got: MessageReader, wire: bytes, text: str) -> None:
    got.feed(wire)
    assert got.close_info is not None
    assert got.close_info.reason == f"a message has {text}"


def test_many_bombs_in_one_piece_are_inflated_a_turn_at_a_time() -> None:
    big = bytes(1 << 19)
    got = new_inflating_reader()
    messages = got.feed(compressed_frame(big) * 20 + client_frame(BINARY, b"last"))
    assert messages == [big]
    turns = 0
    while got.has_buffered_input:
        messages += got.feed(b"")
        turns += 1
    assert messages == [big] * 20 + [b"last"]
    assert turns == 20
    assert len(big) > INFLATED_BYTES_PER_CHUNK


def test_many_compressed_messages_of_nothing_are_read_a_turn_at_a_time_as_well() -> None:
    got = new_inflating_reader()
    count = INFLATED_BYTES_PER_CHUNK // INFLATED_BYTES_CHARGED_MIN
    assert len(got.feed(compressed_frame(b"") * (2 * count + 1))) == count
    assert got.has_buffered_input
    assert [len(got.feed(b"")) for _ in range(3)] == [count, 1, 0]
    assert not got.has_buffered_input


def test_what_a_turn_leaves_does_not_hide_what_comes_behind_it() -> None:
    big = bytes(INFLATED_BYTES_PER_CHUNK)
    wire = (compressed_frame(big) + client_frame(PING, b"?")) * 3
    got = new_inflating_reader()
    assert got.feed(wire[:-3]) == [big]
    assert got.feed(wire[-3:]) == [big]
    assert got.has_buffered_input
    assert got.feed(b"") == [big]
    while got.has_buffered_input:
        assert got.feed(b"") == []
    assert got.pending_pong == b"?"


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_bytes_make_an_inflating_reader_raise_or_hold_more_than_a_message(pieces: list[bytes]) -> None:
    got = new_inflating_reader(200, 100)
    for piece in [client_frame(BINARY, b"\x02\x00", reserved=RSV1), *pieces]:
        for message in got.feed(piece):
            assert len(message) <= 200
        assert got.held_bytes <= 200 + 14 + 200
