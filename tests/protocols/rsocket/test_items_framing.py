"""Items 1 to 10: what a frame is."""

import pytest

from rsocket_harness import (
    assert_ended,
    begin,
    frame,
    fresh_server,
    keepalive,
    only_event,
    open_client,
    open_server,
    payload,
    request_response,
    request_stream,
    sent,
    sent_one,
    setup,
)
from tidings.protocols.rsocket import (
    Connection,
    ErrorCode,
    Frame,
    FrameType,
    LengthFieldDecoder,
    Limits,
    RemoteProtocolError,
    Setup,
    decode,
    encode,
    events,
    tcp_length_prefix,
)
from tidings.protocols.rsocket.frames import (
    COMPLETE,
    FOLLOWS,
    FRAME_LAYOUTS,
    IGNORE,
    METADATA,
    NEXT,
    RESPOND,
    PayloadLayout,
)


def test_item_01_header_is_31_bits_of_stream_6_of_type_10_of_flags_big_endian() -> None:
    raw = bytes.fromhex(
        "01020304"  # stream 0x01020304
        "2960"  # 001010 PAYLOAD, then I=0 M=1 F=0 C=1 N=1 and five zeros
        "000002"  # two bytes of metadata
        "6d6d"
        "6464"
    )
    read = decode(raw)
    assert read == Frame(FrameType.PAYLOAD, 0x01020304, METADATA | COMPLETE | NEXT, {}, b"mm", b"dd")
    assert encode(read) == raw


def test_item_01_flag_bits_are_where_the_specification_has_them() -> None:
    assert (IGNORE, METADATA, FOLLOWS, COMPLETE, NEXT) == (0x200, 0x100, 0x80, 0x40, 0x20)


def test_item_01_top_bit_of_the_stream_id_is_masked_on_receipt() -> None:
    raw = bytes.fromhex("8000000110003f")  # stream 1 with the reserved bit, REQUEST_RESPONSE, "?"
    assert begin(open_server(), raw).id == 1


def test_item_02_frame_above_16_777_215_bytes_ends_the_connection() -> None:
    server = open_server()
    told = server.receive(request_response(1) + bytes(16_777_215 - 6), 0.0)
    assert_ended(server, told, ErrorCode.CONNECTION_ERROR)


def test_item_02_biggest_frame_is_taken() -> None:
    biggest = request_response(1, bytes(16_777_215 - 6))
    assert len(only_event(open_server().receive(biggest, 0.0), events.RequestReceived).data) == 16_777_209


def test_item_02_payload_above_one_frame_leaves_in_fragments_never_in_a_longer_frame() -> None:
    server = open_server(Limits(fragment_bytes=16_777_215))
    server_envelopes: list[int] = []

    def envelope(size: int) -> bytes:
        server_envelopes.append(size)
        return b""

    server.transport_header = envelope
    begin(server, request_response(1)).next(bytes(16_777_216 + 10))
    server.outgoing()
    assert server_envelopes == [16_777_215, 6 + 16_777_226 - 16_777_209]


def test_item_02_encoder_refuses_a_longer_frame() -> None:
    with pytest.raises(ValueError, match="16777215"):
        encode(Frame(FrameType.PAYLOAD, 1, NEXT, {}, None, bytes(16_777_210)))


def test_item_03_tcp_length_excludes_itself_and_websocket_has_none() -> None:
    said = Setup(1000, 3000, "a/b", "c/d")
    over_tcp = Connection(server=False, now=0.0, setup=said, transport_header=tcp_length_prefix)
    over_websocket = Connection(server=False, now=0.0, setup=said)
    (bare,) = over_websocket.outgoing()
    assert over_tcp.outgoing() == [len(bare).to_bytes(3, "big") + bare]
    assert LengthFieldDecoder().feed(len(bare).to_bytes(3, "big") + bare) == [bare]


@pytest.mark.parametrize("frame_type", [FrameType.REQUEST_RESPONSE, FrameType.KEEPALIVE, FrameType.CANCEL])
def test_item_04_undefined_flag_bits_are_ignored_on_receipt(frame_type: FrameType) -> None:
    server = open_server()
    begin(server, request_response(3))
    body = bytes(8) if frame_type is FrameType.KEEPALIVE else b""
    undefined = 0x3FF & ~FRAME_LAYOUTS[frame_type].flags & ~IGNORE & ~(FOLLOWS if body else 0)
    raw = {FrameType.KEEPALIVE: 0, FrameType.REQUEST_RESPONSE: 1, FrameType.CANCEL: 3}[frame_type].to_bytes(4, "big")
    raw += (frame_type << 10 | undefined).to_bytes(2, "big") + body
    told = server.receive(raw, 0.0)
    assert not server.closing
    assert len(told) == 1


def test_item_04_undefined_flag_bits_are_sent_as_zero() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 10))
    stream.next(b"a", b"m")
    stream.next(b"b", complete=True)
    for each in server.outgoing():
        read = decode(each)
        assert int.from_bytes(each[4:6], "big") & 0x3FF == read.flags  # decode drops what the type does not define


def test_item_04_encoder_refuses_flags_the_type_does_not_define() -> None:
    with pytest.raises(ValueError, match="no flag"):
        encode(Frame(FrameType.CANCEL, 1, COMPLETE))


def test_item_05_metadata_length_is_there_exactly_when_m_is_set_and_data_may_follow() -> None:
    assert request_response(1, b"dd", b"mm")[6:] == b"\x00\x00\x02mmdd"
    assert request_response(1, b"dd")[6:] == b"dd"
    assert frame(FrameType.METADATA_PUSH, metadata=b"mm")[6:] == b"mm"
    assert frame(FrameType.LEASE, metadata=b"mm", ttl_ms=1, requests=2)[14:] == b"mm"


def test_item_05_only_types_with_metadata_and_data_have_the_length() -> None:
    both = {frame_type for frame_type, row in FRAME_LAYOUTS.items() if row.payload is PayloadLayout.BOTH}
    assert both == {
        FrameType.SETUP, FrameType.REQUEST_RESPONSE, FrameType.REQUEST_FNF, FrameType.REQUEST_STREAM,
        FrameType.REQUEST_CHANNEL, FrameType.PAYLOAD, FrameType.EXT,
    }  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        bytes.fromhex("000000011100ffffff41"),  # RR, M, length 16,777,215, one byte there
        bytes.fromhex("00000001150000000241"),  # FNF, one byte short
        bytes.fromhex("000000011900000000010000094141"),  # STREAM
        bytes.fromhex("000000011d0000000001000001"),  # CHANNEL, nothing there
        bytes.fromhex("0000000329200000034141"),  # PAYLOAD
        bytes.fromhex("0000000111000000"),  # the length itself is cut short
    ],
)
def test_item_06_inconsistent_metadata_length_is_a_connection_error(raw: bytes) -> None:
    server = open_server()
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.CONNECTION_ERROR)


def test_item_06_inconsistent_metadata_length_is_skipped_when_the_ignore_flag_is_set() -> None:
    server = open_server()
    assert server.receive(bytes.fromhex("000000011300ffffff41"), 0.0) == ()  # RR, I and M
    assert not server.closing
    begin(server, request_response(1))


def test_item_07_empty_metadata_is_not_absent_metadata_when_received() -> None:
    server = open_server()
    assert only_event(server.receive(request_response(1, b"d", b""), 0.0), events.RequestReceived).metadata == b""
    assert only_event(server.receive(request_response(3, b"d"), 0.0), events.RequestReceived).metadata is None


def test_item_07_empty_metadata_is_not_absent_metadata_when_sent() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 10))
    stream.next(b"d", b"")
    stream.next(b"d")
    empty, absent = sent(server)
    assert (empty.metadata, absent.metadata) == (b"", None)


def test_item_07_setup_with_data_only_may_have_metadata_of_length_zero() -> None:
    told = fresh_server().receive(setup(metadata=b"", data=b"only data"), 0.0)
    said = only_event(told, events.SetupReceived).setup
    assert (said.metadata, said.data) == (b"", b"only data")


@pytest.mark.parametrize("number", [0x00, 0x0F, 0x20, 0x3E, 0x3F])
def test_item_08_unknown_type_is_a_connection_error_without_the_ignore_flag(number: int) -> None:
    server = open_server()
    raw = (0).to_bytes(4, "big") + (number << 10).to_bytes(2, "big") + bytes(4)
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.CONNECTION_ERROR)


@pytest.mark.parametrize("number", [0x00, 0x0F, 0x20, 0x3E, 0x3F])
def test_item_08_unknown_type_is_skipped_with_the_ignore_flag(number: int) -> None:
    server = open_server()
    raw = (7).to_bytes(4, "big") + (number << 10 | IGNORE).to_bytes(2, "big") + b"whatever"
    assert server.receive(raw, 0.0) == ()
    begin(server, request_response(1))


@pytest.mark.parametrize("size", range(6))
def test_item_08_frame_shorter_than_a_header_is_a_connection_error(size: int) -> None:
    server = open_server()
    assert_ended(server, server.receive(bytes(size), 0.0), ErrorCode.CONNECTION_ERROR)


@pytest.mark.parametrize(
    "raw",
    [
        bytes.fromhex("0000000118000000"),  # REQUEST_STREAM without its n
        bytes.fromhex("000000012000000000"),  # REQUEST_N, three of four bytes
        bytes.fromhex("000000000c8000000000"),  # KEEPALIVE, half a position
        bytes.fromhex("000000012c000000"),  # ERROR, half a code
        bytes.fromhex("00000000080000000001"),  # LEASE without a number
    ],
)
def test_item_08_frame_too_short_for_its_type_is_a_connection_error(raw: bytes) -> None:
    server = open_server()
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.CONNECTION_ERROR)


def test_item_09_every_type_has_its_number() -> None:
    numbers = {frame_type.name: int(frame_type) for frame_type in FrameType}
    assert numbers == {
        "SETUP": 1, "LEASE": 2, "KEEPALIVE": 3, "REQUEST_RESPONSE": 4, "REQUEST_FNF": 5, "REQUEST_STREAM": 6,
        "REQUEST_CHANNEL": 7, "REQUEST_N": 8, "CANCEL": 9, "PAYLOAD": 0x0A, "ERROR": 0x0B, "METADATA_PUSH": 0x0C,
        "RESUME": 0x0D, "RESUME_OK": 0x0E, "EXT": 0x3F,
    }  # fmt: skip


def test_item_09_every_type_has_a_row_in_the_law() -> None:
    assert set(FRAME_LAYOUTS) == set(FrameType)


def test_item_09_unknown_type_is_not_decoded() -> None:
    with pytest.raises(RemoteProtocolError, match="0x0f"):
        decode(bytes.fromhex("000000003c00"))


def test_item_10_frames_of_one_stream_keep_their_order() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 100))
    for number in range(10):
        stream.next(bytes([number]))
    stream.complete()
    assert [each.data for each in sent(server)] == [bytes([number]) for number in range(10)] + [b""]
    client = open_client()
    client.request_stream(100, b"?")
    told = [event for number in range(10) for event in client.receive(payload(1, bytes([number])), 0.0)]
    assert [event.data for event in told if isinstance(event, events.PayloadReceived)] == [
        bytes([n]) for n in range(10)
    ]


def test_item_10_keepalive_is_answered_before_queued_data() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 100))
    for _ in range(10):
        stream.next(bytes(1000))
    server.receive(keepalive(b"ping"), 1.0)
    first, *rest = sent(server)
    assert (first.type, first.flags & RESPOND, first.data) == (FrameType.KEEPALIVE, 0, b"ping")
    assert len(rest) == 10


def test_item_10_stream_zero_passes_between_what_was_taken_and_what_waits() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 100))
    for _ in range(10):
        stream.next(bytes(1000))
    assert len(server.outgoing(2500)) == 2
    server.receive(keepalive(), 1.0)
    assert [decode(each).type for each in server.outgoing(1500)] == [FrameType.KEEPALIVE, FrameType.PAYLOAD]
    assert len(sent(server)) == 7
    assert server.outbound_bytes == 0


def test_item_10_client_setup_leaves_before_its_requests() -> None:
    client = Connection(server=False, now=0.0, setup=Setup(1000, 3000, "a/b", "c/d"))
    client.request_response(b"?")
    assert [each.type for each in sent(client)] == [FrameType.SETUP, FrameType.REQUEST_RESPONSE]


def test_item_10_reply_is_one_frame() -> None:
    server = open_server()
    begin(server, request_response(1)).next(b"data", b"metadata")
    assert sent_one(server) == Frame(FrameType.PAYLOAD, 1, METADATA | NEXT | COMPLETE, {}, b"metadata", b"data")
