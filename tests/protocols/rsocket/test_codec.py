"""Bytes ↔ frames by the table, and the quick encoders beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.protocols.rsocket import (
    Frame,
    FrameType,
    RemoteProtocolError,
    decode,
    encode,
    multi_payload_frames,
    no_transport_header,
    payload_frames,
    tcp_length_prefix,
)
from tidings.protocols.rsocket.codec import (
    cancel_frame,
    complete_frame,
    error_frame,
    fragment_payload,
    request_frames,
    request_n_frame,
)
from tidings.protocols.rsocket.frames import (
    COMPLETE,
    FRAME_LAYOUTS,
    IGNORE,
    METADATA,
    NEXT,
    STREAM_ID_MAX,
    FieldType,
    PayloadLayout,
    StreamScope,
)

FIELDS = {
    FieldType.U16: st.integers(0, 0xFFFF),
    FieldType.U31: st.integers(0, 0x7FFFFFFF),
    FieldType.U32: st.integers(0, 0xFFFFFFFF),
    FieldType.U63: st.integers(0, (1 << 63) - 1),
    FieldType.MIME: st.text(st.characters(max_codepoint=127), max_size=255),
    FieldType.TOKEN: st.binary(max_size=300),
}


@st.composite
def any_frame(draw: st.DrawFn) -> Frame:
    """Any frame that the law allows."""
    frame_type = draw(st.sampled_from(FrameType))
    row = FRAME_LAYOUTS[frame_type]
    bits = [bit for bit in (0x200, 0x100, 0x80, 0x40, 0x20) if row.flags & bit]
    flags = sum(bit for bit in bits if draw(st.booleans()))
    if frame_type is FrameType.METADATA_PUSH:
        flags |= METADATA  # the only type that is read as if it were set
    fields = {name: draw(FIELDS[kind]) for name, kind, flag in row.fields if not flag or flags & flag}
    metadata = draw(st.binary(max_size=100)) if flags & METADATA else None
    data = draw(st.binary(max_size=100)) if row.payload in (PayloadLayout.DATA, PayloadLayout.BOTH) else b""
    stream_id = 0 if row.stream_scope is StreamScope.CONNECTION else draw(st.integers(0, STREAM_ID_MAX))
    return Frame(frame_type, stream_id, flags, fields, metadata, data)


@given(any_frame())
def test_every_frame_survives_the_way(frame: Frame) -> None:
    assert decode(encode(frame)) == frame


@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused_but_never_break(raw: bytes) -> None:
    try:
        decode(raw)
    except RemoteProtocolError as broken:
        assert str(broken)


@given(any_frame(), st.data())
def test_frame_cut_anywhere_is_decoded_or_refused_but_never_breaks(frame: Frame, data: st.DataObject) -> None:
    raw = encode(frame)
    try:
        decode(raw[: data.draw(st.integers(0, len(raw)))])
    except RemoteProtocolError as broken:
        assert str(broken)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(FrameType.REQUEST_N, 1, 0, {"n": 0x80000000}),
        Frame(FrameType.SETUP, 0, 0, {"major": 1, "minor": 0, "keepalive_ms": 1, "lifetime_ms": 1, "metadata_mime": "x" * 256, "data_mime": ""}),  # noqa: E501
        Frame(FrameType.KEEPALIVE, 0, 0, {"position": 1 << 63}),
        Frame(FrameType.PAYLOAD, 1, NEXT, {}, b"metadata without its flag"),
        Frame(FrameType.PAYLOAD, 1, NEXT | METADATA, {}, None),
        Frame(FrameType.CANCEL, 1, 0, {}, None, b"data"),
        Frame(FrameType.CANCEL, 1, NEXT),
    ],
)  # fmt: skip
def test_encoder_refuses_what_the_law_has_no_room_for(frame: Frame) -> None:
    with pytest.raises(ValueError):
        encode(frame)


@given(st.integers(1, STREAM_ID_MAX), st.binary(max_size=300), st.none() | st.binary(max_size=300), st.booleans())
def test_quick_payload_is_what_the_table_says(stream_id: int, data: bytes, metadata: bytes | None, last: bool) -> None:
    flags = NEXT | (COMPLETE if last else 0) | (METADATA if metadata is not None else 0)
    slow = encode(Frame(FrameType.PAYLOAD, stream_id, flags, {}, metadata, data))
    assert payload_frames(stream_id, data, metadata, no_transport_header, 65_536, complete=last) == slow
    assert fragment_payload(FrameType.PAYLOAD, stream_id, None, data, metadata, no_transport_header, 65_536, last) == [
        slow
    ]
    enveloped = payload_frames(stream_id, data, metadata, tcp_length_prefix, 65_536, complete=last)
    assert enveloped == len(slow).to_bytes(3, "big") + slow


@given(
    st.sampled_from([4, 5, 6, 7]), st.binary(max_size=300), st.none() | st.binary(max_size=300), st.integers(64, 400)
)
def test_quick_request_is_what_the_table_says(number: int, data: bytes, metadata: bytes | None, most: int) -> None:
    frame_type = FrameType(number)
    initial_n = 9 if number >= 6 else None
    frames = request_frames(frame_type, 1, initial_n, data, metadata, tcp_length_prefix, most)
    assert all(int.from_bytes(each[:3], "big") == len(each) - 3 <= most for each in frames)
    read = [decode(each[3:]) for each in frames]
    assert [each.type for each in read] == [frame_type] + [FrameType.PAYLOAD] * (len(read) - 1)
    assert b"".join(each.data for each in read) == data
    joined = b"".join(each.metadata or b"" for each in read)
    assert (joined if read[0].metadata is not None else None) == metadata
    assert read[0].fields == ({} if initial_n is None else {"initial_n": 9})


def test_joined_payload_is_its_fragments_one_after_another() -> None:
    fragments = fragment_payload(FrameType.PAYLOAD, 1, None, bytes(500), b"m", tcp_length_prefix, 100, False)
    assert payload_frames(1, bytes(500), b"m", tcp_length_prefix, 100) == b"".join(fragments)
    assert len(fragments) > 1


@given(st.lists(st.binary(max_size=200)), st.none() | st.binary(max_size=30), st.integers(64, 300))
def test_many_payloads_are_each_of_them_one_after_another(
    payloads: list[bytes], metadata: bytes | None, fragment_bytes: int
) -> None:
    each = [payload_frames(1, data, metadata, tcp_length_prefix, fragment_bytes) for data in payloads]
    assert multi_payload_frames(1, payloads, metadata, tcp_length_prefix, fragment_bytes) == b"".join(each)


def test_metadata_above_24_bits_is_cut() -> None:
    frames = request_frames(FrameType.REQUEST_RESPONSE, 1, None, b"", bytes(0x1000001), no_transport_header, 0xFFFFFF)
    assert [len(each) for each in frames] == [0xFFFFFF, 9 + 0x1000001 - (0xFFFFFF - 9)]


def test_small_frames_are_what_the_table_says() -> None:
    assert cancel_frame(7, no_transport_header) == encode(Frame(FrameType.CANCEL, 7))
    assert complete_frame(7, no_transport_header) == encode(Frame(FrameType.PAYLOAD, 7, COMPLETE))
    assert request_n_frame(7, 16, no_transport_header) == encode(Frame(FrameType.REQUEST_N, 7, 0, {"n": 16}))
    error = encode(Frame(FrameType.ERROR, 7, 0, {"code": 0x301}, None, b"why"))
    assert error_frame(7, 0x301, "why", no_transport_header, 100) == error
    assert cancel_frame(7, tcp_length_prefix) == b"\0\0\6" + cancel_frame(7, no_transport_header)


def test_ignore_flag_is_allowed_everywhere() -> None:
    assert all(row.flags & IGNORE for row in FRAME_LAYOUTS.values())
