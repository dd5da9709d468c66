"""Bytes ↔ frames.

There are two ways. `decode` and `encode` use the table in `frames.py` and handle every type: for tests, inspectors and
rare frames. The encoders below write the few frequent frames directly into bytes. They are pure functions, so their
results may be kept and sent to another reader with the same stream id: frames of one item differ only in those four
bytes.

Our fragments are stricter than the specification requires, because of peers:
- N on every PAYLOAD fragment (rsocket-java closes the connection otherwise, rsocket-js 0.0.x loses the item);
- C on the last fragment only;
- every fragment but the last is filled to `fragment_bytes`, which is 64 at least (Java: "Fragment is too small");
- the last one is never empty (rsocket-js 1.0-alpha closes the connection).
"""

from collections.abc import Callable, Sequence
from struct import Struct
from struct import error as StructError
from typing import Final, TypeAlias

from tidings.protocols.rsocket.errors import MalformedFrameError
from tidings.protocols.rsocket.frames import (
    COMPLETE,
    FLAG_BITS,
    FLAGS_MASK,
    FOLLOWS,
    FRAME_BYTES_MAX,
    FRAME_LAYOUTS,
    HEADER_BYTES,
    METADATA,
    NEXT,
    STREAM_ID_MAX,
    U31,
    FieldType,
    Frame,
    FrameType,
    PayloadLayout,
)

TransportHeader: TypeAlias = Callable[[int], bytes]
"""The transport's header for a frame of the given number of bytes."""

FRAME_HEADER: Final = Struct(">IH")  # stream id, type and flags
FRAME_HEADER_U32: Final = Struct(">IHI")  # the same, and one 32-bit field
FRAME_HEADER_METADATA: Final = Struct(">IHBH")  # the same, and the 24-bit metadata length
U16: Final = Struct(">H")
U32: Final = Struct(">I")
U64: Final = Struct(">Q")


def no_transport_header(_frame_bytes: int) -> bytes:
    """For transports with message boundaries of their own."""
    return b""


def tcp_length_prefix(frame_bytes: int) -> bytes:
    """The 24-bit length of a frame, which does not include itself."""
    return frame_bytes.to_bytes(3, "big")


# --- any frame, by the table ------------------------------------------------------------------------------------


def decode(frame: bytes) -> Frame:
    """Read one whole frame by the table. Raises MalformedFrameError for an unknown type or a wrong layout.

    Flag bits that the type does not define are dropped. METADATA_PUSH without M is read as if it were set
    (rsocket-js 0.0.x sends it so).
    """
    if len(frame) < HEADER_BYTES:
        raise MalformedFrameError(f"a frame has {HEADER_BYTES} bytes at least, this one has {len(frame)}")
    stream_id, type_and_flags = FRAME_HEADER.unpack_from(frame)
    number = type_and_flags >> FLAG_BITS
    try:
        frame_type = FrameType(number)
    except ValueError:
        raise MalformedFrameError(f"unknown frame type 0x{number:02x}") from None
    layout = FRAME_LAYOUTS[frame_type]
    flags = type_and_flags & FLAGS_MASK & layout.flags
    fields: dict[str, int | str | bytes] = {}
    offset = HEADER_BYTES
    try:
        for name, field_type, flag in layout.fields:
            if not flag or flags & flag:
                fields[name], offset = _read_field(frame, offset, field_type)
    except (StructError, UnicodeDecodeError):
        raise MalformedFrameError(f"{frame_type.name} is too short or has characters that are not ASCII") from None
    metadata: bytes | None = None
    if layout.payload is PayloadLayout.METADATA:
        if flags & METADATA or frame_type is FrameType.METADATA_PUSH:
            metadata, offset = frame[offset:], len(frame)
    elif layout.payload is PayloadLayout.BOTH and flags & METADATA:
        metadata, offset = _read_metadata(frame, offset)
    data = frame[offset:] if layout.payload in (PayloadLayout.DATA, PayloadLayout.BOTH) else b""
    return Frame(frame_type, stream_id & STREAM_ID_MAX, flags, fields, metadata, data)


def encode(frame: Frame) -> bytes:
    """Write one frame by the table. Raises ValueError for what does not fit the layout of its type."""
    frame_type, stream_id, flags, fields, metadata, data = frame
    layout = FRAME_LAYOUTS[frame_type]
    if flags & ~layout.flags:
        raise ValueError(f"{frame_type.name} has no flag 0x{flags & ~layout.flags:03x}")
    if (metadata is not None) != bool(flags & METADATA):
        raise ValueError("the M flag says whether there is metadata")
    parts = [FRAME_HEADER.pack(stream_id, frame_type << FLAG_BITS | flags)]
    for name, field_type, flag in layout.fields:
        if not flag or flags & flag:
            parts.append(_write_field(name, field_type, fields[name]))
    if metadata is not None:
        if layout.payload is PayloadLayout.BOTH:
            parts.append(len(metadata).to_bytes(3, "big"))
        parts.append(metadata)
    if data and layout.payload not in (PayloadLayout.DATA, PayloadLayout.BOTH):
        raise ValueError(f"{frame_type.name} carries no data")
    parts.append(data)
    encoded = b"".join(parts)
    if len(encoded) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame has {FRAME_BYTES_MAX} bytes at most, this one has {len(encoded)}")
    return encoded


def _read_field(frame: bytes, offset: int, field_type: FieldType) -> tuple[int | str | bytes, int]:
    match field_type:
        case FieldType.U16:
            return U16.unpack_from(frame, offset)[0], offset + 2
        case FieldType.U31:
            return U32.unpack_from(frame, offset)[0] & U31, offset + 4
        case FieldType.U32:
            return U32.unpack_from(frame, offset)[0], offset + 4
        case FieldType.U63:
            return U64.unpack_from(frame, offset)[0] & (1 << 63) - 1, offset + 8
        case FieldType.MIME:
            text, offset = _read_bytes(frame, offset + 1, frame[offset] if offset < len(frame) else len(frame))
            return text.decode("ascii"), offset
        case FieldType.TOKEN:
            return _read_bytes(frame, offset + 2, U16.unpack_from(frame, offset)[0])


def _read_bytes(frame: bytes, offset: int, size: int) -> tuple[bytes, int]:
    if offset + size > len(frame):
        raise StructError
    return frame[offset : offset + size], offset + size


def _read_metadata(frame: bytes, offset: int) -> tuple[bytes, int]:
    begin = offset + 3
    end = begin + int.from_bytes(frame[offset:begin], "big")
    if end > len(frame):
        raise MalformedFrameError("metadata length points beyond the frame")
    return frame[begin:end], end


def _write_field(name: str, field_type: FieldType, value: int | str | bytes) -> bytes:
    match field_type, value:
        case (FieldType.U16, int()):
            return value.to_bytes(2, "big")
        case (FieldType.U31, int()) if value <= U31:
            return value.to_bytes(4, "big")
        case (FieldType.U32, int()):
            return value.to_bytes(4, "big")
        case (FieldType.U63, int()) if value < 1 << 63:
            return value.to_bytes(8, "big")
        case (FieldType.MIME, str()) if len(value) <= 255:
            return bytes((len(value),)) + value.encode("ascii")
        case (FieldType.TOKEN, bytes()) if len(value) <= 0xFFFF:
            return U16.pack(len(value)) + value
    raise ValueError(f"{name} does not fit its field: {value!r:.60}")


# --- the frames that make up the traffic ------------------------------------------------------------------------

_PAYLOAD_NEXT: Final = FrameType.PAYLOAD << FLAG_BITS | NEXT
_PAYLOAD_LAST: Final = _PAYLOAD_NEXT | COMPLETE
_CANCEL: Final = FrameType.CANCEL << FLAG_BITS
_ERROR: Final = FrameType.ERROR << FLAG_BITS
_REQUEST_N: Final = FrameType.REQUEST_N << FLAG_BITS


def payload_frames(
    stream_id: int,
    data: bytes,
    metadata: bytes | None,
    transport_header: TransportHeader,
    fragment_bytes: int,
    *,
    complete: bool = False,
) -> bytes:
    """One item as PAYLOAD frames with transport headers, fragmented if necessary; `complete`: C on the last one.

    The frames are joined, so without transport headers it is for items that fit in one; `fragment_payload` returns a
    list.
    """
    type_and_flags = _PAYLOAD_LAST if complete else _PAYLOAD_NEXT
    if metadata is None:
        size = 6 + len(data)
        if size <= fragment_bytes:
            return transport_header(size) + FRAME_HEADER.pack(stream_id, type_and_flags) + data
    else:
        length = len(metadata)
        size = 9 + length + len(data)
        if size <= fragment_bytes:
            header = FRAME_HEADER_METADATA.pack(stream_id, type_and_flags | METADATA, length >> 16, length & 0xFFFF)
            return transport_header(size) + header + metadata + data
    return b"".join(
        fragment_payload(FrameType.PAYLOAD, stream_id, None, data, metadata, transport_header, fragment_bytes, complete)
    )


def multi_payload_frames(
    stream_id: int,
    payloads: Sequence[bytes],
    metadata: bytes | None,
    transport_header: TransportHeader,
    fragment_bytes: int,
) -> bytes:
    """Several items of one stream, each as by `payload_frames`, joined. None of them ends the stream."""
    if metadata is not None:
        return b"".join(
            payload_frames(stream_id, data, metadata, transport_header, fragment_bytes) for data in payloads
        )
    header = FRAME_HEADER.pack(stream_id, _PAYLOAD_NEXT)
    chunks: list[bytes] = []
    for data in payloads:
        size = 6 + len(data)
        if size <= fragment_bytes:
            chunks += (transport_header(size), header, data)
        else:
            chunks.append(payload_frames(stream_id, data, None, transport_header, fragment_bytes))
    return b"".join(chunks)


def request_frames(
    frame_type: int,
    stream_id: int,
    initial_n: int | None,
    data: bytes,
    metadata: bytes | None,
    transport_header: TransportHeader,
    fragment_bytes: int,
    *,
    complete: bool = False,
) -> list[bytes]:
    """One request as frames with transport headers. `initial_n`: None but for REQUEST_STREAM and REQUEST_CHANNEL."""
    size = HEADER_BYTES + len(data)
    if initial_n is not None:
        size += 4
    if metadata is not None:
        size += 3 + len(metadata)
    if size > fragment_bytes:
        return fragment_payload(
            frame_type, stream_id, initial_n, data, metadata, transport_header, fragment_bytes, complete
        )
    type_and_flags = frame_type << FLAG_BITS | COMPLETE if complete else frame_type << FLAG_BITS
    fixed_fields = b"" if initial_n is None else U32.pack(initial_n)
    if metadata is None:
        return [transport_header(size) + FRAME_HEADER.pack(stream_id, type_and_flags) + fixed_fields + data]
    header = FRAME_HEADER.pack(stream_id, type_and_flags | METADATA) + fixed_fields
    return [transport_header(size) + header + len(metadata).to_bytes(3, "big") + metadata + data]


def fragment_payload(
    frame_type: int,
    stream_id: int,
    initial_n: int | None,
    data: bytes,
    metadata: bytes | None,
    transport_header: TransportHeader,
    fragment_bytes: int,
    complete: bool,
) -> list[bytes]:
    """A payload of any size as frames of at most `fragment_bytes`: all metadata before any data, N on each PAYLOAD."""
    frames: list[bytes] = []
    metadata_offset = data_offset = 0
    metadata_bytes = 0 if metadata is None else len(metadata)
    has_more_metadata = metadata is not None
    while True:
        flags = NEXT if frame_type == FrameType.PAYLOAD else 0
        fixed_fields = b"" if initial_n is None else U32.pack(initial_n)
        space = fragment_bytes - HEADER_BYTES - len(fixed_fields)
        metadata_part = b""
        if metadata is not None and has_more_metadata:
            metadata_fragment = metadata[metadata_offset : metadata_offset + space - 3]
            metadata_offset += len(metadata_fragment)
            has_more_metadata = metadata_offset < metadata_bytes
            flags |= METADATA
            metadata_part = len(metadata_fragment).to_bytes(3, "big") + metadata_fragment
            space -= len(metadata_part)
        # The first frame often takes everything; then `data` itself is used and no slice is made of it.
        data_part = data[data_offset : data_offset + space] if data_offset or space < len(data) else data
        if has_more_metadata:
            data_part = b""
        data_offset += len(data_part)
        if has_more_metadata or data_offset < len(data):
            flags |= FOLLOWS
        elif complete:
            flags |= COMPLETE
        size = HEADER_BYTES + len(fixed_fields) + len(metadata_part) + len(data_part)
        header = FRAME_HEADER.pack(stream_id, frame_type << FLAG_BITS | flags)
        frames.append(b"".join((transport_header(size), header, fixed_fields, metadata_part, data_part)))
        if not flags & FOLLOWS:
            return frames
        frame_type, initial_n = FrameType.PAYLOAD, None


def complete_frame(stream_id: int, transport_header: TransportHeader) -> bytes:
    """PAYLOAD with C alone."""
    return transport_header(6) + FRAME_HEADER.pack(stream_id, FrameType.PAYLOAD << FLAG_BITS | COMPLETE)


def cancel_frame(stream_id: int, transport_header: TransportHeader) -> bytes:
    """CANCEL."""
    return transport_header(6) + FRAME_HEADER.pack(stream_id, _CANCEL)


def request_n_frame(stream_id: int, n: int, transport_header: TransportHeader) -> bytes:
    """REQUEST_N: the peer may send `n` more (1 to 2**31 - 1)."""
    return transport_header(10) + FRAME_HEADER_U32.pack(stream_id, _REQUEST_N, n)


def error_frame(stream_id: int, code: int, text: str, transport_header: TransportHeader, text_bytes_max: int) -> bytes:
    """ERROR. The text becomes valid UTF-8 without NUL, cut between two characters if it is too long.

    A resumable rsocket-js counts positions from the decoded string, so a byte it cannot decode loses the session.
    """
    encoded = text.replace("\0", "").encode("utf-8", "replace")
    if len(encoded) > text_bytes_max:
        encoded = encoded[:text_bytes_max].decode("utf-8", "ignore").encode()
    return transport_header(10 + len(encoded)) + FRAME_HEADER_U32.pack(stream_id, _ERROR, code) + encoded
