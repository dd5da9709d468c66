"""Bytes ↔ frames.

Two ways through. `decode` and `encode` walk the table in `frames.py` and serve every type: for tests, inspectors
and frames that are rare. The encoders below them write the few frames that make up the traffic, straight into
bytes. They are pure functions, so what they make for one stream may be kept and sent to another reader of the
same stream id: frames of one item differ only in those four bytes.

What goes into our fragments is narrower than the specification, because peers are:
- N on every PAYLOAD fragment (rsocket-java closes the connection otherwise, rsocket-js 0.0.x loses the item);
- C on the last fragment only;
- every fragment but the last is filled to `fragment_bytes`, which is 64 at least (Java: "Fragment is too small");
- the last one is never empty (rsocket-js 1.0-alpha closes the connection).
"""

from collections.abc import Callable, Sequence
from struct import Struct
from struct import error as OutOfBytes
from typing import Final, TypeAlias

from tidings.rsocket.errors import Unreadable
from tidings.rsocket.frames import (
    COMPLETE,
    FLAG_BITS,
    FLAGS_MASK,
    FOLLOWS,
    FRAME_LIMIT,
    HEADER_BYTES,
    LAW,
    METADATA,
    NEXT,
    STREAM_ID_MAX,
    U31,
    Frame,
    FrameType,
    Kind,
    Rest,
)

Envelope: TypeAlias = Callable[[int], bytes]
"""The transport's own header for a frame of so many bytes."""

HEADER: Final = Struct(">IH")  # stream id, type and flags
HEADER_U32: Final = Struct(">IHI")  # the same, and one 32-bit field
HEADER_METADATA: Final = Struct(">IHBH")  # the same, and the 24-bit metadata length
U16: Final = Struct(">H")
U32: Final = Struct(">I")
U64: Final = Struct(">Q")


def no_envelope(_frame_bytes: int) -> bytes:
    """For transports that mark the ends of messages themselves."""
    return b""


def tcp_envelope(frame_bytes: int) -> bytes:
    """24-bit length, which does not count itself."""
    return frame_bytes.to_bytes(3, "big")


# --- any frame, by the table ------------------------------------------------------------------------------------


def decode(frame: bytes) -> Frame:
    """Read one whole frame by the table. Raises Unreadable for an unknown type and for a wrong layout.

    Flag bits that the type does not define are dropped. METADATA_PUSH without M is read as if it were set
    (rsocket-js 0.0.x sends it so).
    """
    if len(frame) < HEADER_BYTES:
        raise Unreadable(f"a frame has {HEADER_BYTES} bytes at least, this one has {len(frame)}")
    stream_id, type_and_flags = HEADER.unpack_from(frame)
    number = type_and_flags >> FLAG_BITS
    try:
        frame_type = FrameType(number)
    except ValueError:
        raise Unreadable(f"unknown frame type 0x{number:02x}") from None
    row = LAW[frame_type]
    flags = type_and_flags & FLAGS_MASK & row.flags
    fields: dict[str, int | str | bytes] = {}
    at = HEADER_BYTES
    try:
        for name, kind, flag in row.fields:
            if not flag or flags & flag:
                fields[name], at = _read_field(frame, at, kind)
    except (OutOfBytes, UnicodeDecodeError):
        raise Unreadable(f"{frame_type.name} is cut short or has letters that are not ASCII") from None
    metadata: bytes | None = None
    if row.rest is Rest.METADATA:
        if flags & METADATA or frame_type is FrameType.METADATA_PUSH:
            metadata, at = frame[at:], len(frame)
    elif row.rest is Rest.BOTH and flags & METADATA:
        metadata, at = _read_metadata(frame, at)
    data = frame[at:] if row.rest in (Rest.DATA, Rest.BOTH) else b""
    return Frame(frame_type, stream_id & STREAM_ID_MAX, flags, fields, metadata, data)


def encode(frame: Frame) -> bytes:
    """Write one frame by the table. ValueError for what does not fit the layout of its type."""
    frame_type, stream_id, flags, fields, metadata, data = frame
    row = LAW[frame_type]
    if flags & ~row.flags:
        raise ValueError(f"{frame_type.name} has no flag 0x{flags & ~row.flags:03x}")
    if (metadata is not None) != bool(flags & METADATA):
        raise ValueError("the M flag says whether there is metadata")
    parts = [HEADER.pack(stream_id, frame_type << FLAG_BITS | flags)]
    for name, kind, flag in row.fields:
        if not flag or flags & flag:
            parts.append(_write_field(name, kind, fields[name]))
    if metadata is not None:
        if row.rest is Rest.BOTH:
            parts.append(len(metadata).to_bytes(3, "big"))
        parts.append(metadata)
    if data and row.rest not in (Rest.DATA, Rest.BOTH):
        raise ValueError(f"{frame_type.name} carries no data")
    parts.append(data)
    whole = b"".join(parts)
    if len(whole) > FRAME_LIMIT:
        raise ValueError(f"a frame has {FRAME_LIMIT} bytes at most, this one has {len(whole)}")
    return whole


def _read_field(frame: bytes, at: int, kind: Kind) -> tuple[int | str | bytes, int]:
    match kind:
        case Kind.U16:
            return U16.unpack_from(frame, at)[0], at + 2
        case Kind.U31:
            return U32.unpack_from(frame, at)[0] & U31, at + 4
        case Kind.U32:
            return U32.unpack_from(frame, at)[0], at + 4
        case Kind.U63:
            return U64.unpack_from(frame, at)[0] & (1 << 63) - 1, at + 8
        case Kind.MIME:
            text, at = _read_run(frame, at + 1, frame[at] if at < len(frame) else len(frame))
            return text.decode("ascii"), at
        case Kind.TOKEN:
            return _read_run(frame, at + 2, U16.unpack_from(frame, at)[0])


def _read_run(frame: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(frame):
        raise OutOfBytes
    return frame[at : at + size], at + size


def _read_metadata(frame: bytes, at: int) -> tuple[bytes, int]:
    begin = at + 3
    end = begin + int.from_bytes(frame[at:begin], "big")
    if end > len(frame):
        raise Unreadable("metadata length points beyond the frame")
    return frame[begin:end], end


def _write_field(name: str, kind: Kind, value: int | str | bytes) -> bytes:
    match kind, value:
        case (Kind.U16, int()):
            return value.to_bytes(2, "big")
        case (Kind.U31, int()) if value <= U31:
            return value.to_bytes(4, "big")
        case (Kind.U32, int()):
            return value.to_bytes(4, "big")
        case (Kind.U63, int()) if value < 1 << 63:
            return value.to_bytes(8, "big")
        case (Kind.MIME, str()) if len(value) <= 255:
            return bytes((len(value),)) + value.encode("ascii")
        case (Kind.TOKEN, bytes()) if len(value) <= 0xFFFF:
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
    envelope: Envelope,
    fragment_bytes: int,
    *,
    complete: bool = False,
) -> bytes:
    """One item as enveloped PAYLOAD frames, fragmented where it must be; `complete` puts C on the last of them.

    Joined, so where frames have no envelope it is for items that fit in one; `cut` gives them one by one.
    """
    type_and_flags = _PAYLOAD_LAST if complete else _PAYLOAD_NEXT
    if metadata is None:
        size = 6 + len(data)
        if size <= fragment_bytes:
            return envelope(size) + HEADER.pack(stream_id, type_and_flags) + data
    else:
        length = len(metadata)
        size = 9 + length + len(data)
        if size <= fragment_bytes:
            head = HEADER_METADATA.pack(stream_id, type_and_flags | METADATA, length >> 16, length & 0xFFFF)
            return envelope(size) + head + metadata + data
    return b"".join(cut(FrameType.PAYLOAD, stream_id, None, data, metadata, envelope, fragment_bytes, complete))


def run_frames(
    stream_id: int, payloads: Sequence[bytes], metadata: bytes | None, envelope: Envelope, fragment_bytes: int
) -> bytes:
    """Several items of one stream as `payload_frames` makes each, in one piece. None of them ends the stream."""
    if metadata is not None:
        return b"".join(payload_frames(stream_id, data, metadata, envelope, fragment_bytes) for data in payloads)
    header = HEADER.pack(stream_id, _PAYLOAD_NEXT)
    pieces: list[bytes] = []
    for data in payloads:
        size = 6 + len(data)
        if size <= fragment_bytes:
            pieces += (envelope(size), header, data)
        else:
            pieces.append(payload_frames(stream_id, data, None, envelope, fragment_bytes))
    return b"".join(pieces)


def request_frames(
    frame_type: int,
    stream_id: int,
    initial_n: int | None,
    data: bytes,
    metadata: bytes | None,
    envelope: Envelope,
    fragment_bytes: int,
    *,
    complete: bool = False,
) -> list[bytes]:
    """One request as enveloped frames. `initial_n` for REQUEST_STREAM and REQUEST_CHANNEL, None for the others."""
    size = HEADER_BYTES + len(data)
    if initial_n is not None:
        size += 4
    if metadata is not None:
        size += 3 + len(metadata)
    if size > fragment_bytes:
        return cut(frame_type, stream_id, initial_n, data, metadata, envelope, fragment_bytes, complete)
    type_and_flags = frame_type << FLAG_BITS | COMPLETE if complete else frame_type << FLAG_BITS
    fixed = b"" if initial_n is None else U32.pack(initial_n)
    if metadata is None:
        return [envelope(size) + HEADER.pack(stream_id, type_and_flags) + fixed + data]
    head = HEADER.pack(stream_id, type_and_flags | METADATA) + fixed
    return [envelope(size) + head + len(metadata).to_bytes(3, "big") + metadata + data]


def cut(
    frame_type: int,
    stream_id: int,
    initial_n: int | None,
    data: bytes,
    metadata: bytes | None,
    envelope: Envelope,
    fragment_bytes: int,
    complete: bool,
) -> list[bytes]:
    """A payload of any size as frames of at most `fragment_bytes`: all metadata before any data, N on each PAYLOAD."""
    frames: list[bytes] = []
    metadata_at = data_at = 0
    metadata_bytes = 0 if metadata is None else len(metadata)
    metadata_open = metadata is not None
    while True:
        flags = NEXT if frame_type == FrameType.PAYLOAD else 0
        fixed = b"" if initial_n is None else U32.pack(initial_n)
        room = fragment_bytes - HEADER_BYTES - len(fixed)
        head = b""
        if metadata is not None and metadata_open:
            piece = metadata[metadata_at : metadata_at + room - 3]
            metadata_at += len(piece)
            metadata_open = metadata_at < metadata_bytes
            flags |= METADATA
            head = len(piece).to_bytes(3, "big") + piece
            room -= len(head)
        # The first frame often takes everything; then `data` itself is used and no slice is made of it.
        body = data[data_at : data_at + room] if data_at or room < len(data) else data
        if metadata_open:
            body = b""
        data_at += len(body)
        if metadata_open or data_at < len(data):
            flags |= FOLLOWS
        elif complete:
            flags |= COMPLETE
        size = HEADER_BYTES + len(fixed) + len(head) + len(body)
        header = HEADER.pack(stream_id, frame_type << FLAG_BITS | flags)
        frames.append(b"".join((envelope(size), header, fixed, head, body)))
        if not flags & FOLLOWS:
            return frames
        frame_type, initial_n = FrameType.PAYLOAD, None


def complete_frame(stream_id: int, envelope: Envelope) -> bytes:
    """PAYLOAD with C alone."""
    return envelope(6) + HEADER.pack(stream_id, FrameType.PAYLOAD << FLAG_BITS | COMPLETE)


def cancel_frame(stream_id: int, envelope: Envelope) -> bytes:
    """CANCEL."""
    return envelope(6) + HEADER.pack(stream_id, _CANCEL)


def request_n_frame(stream_id: int, n: int, envelope: Envelope) -> bytes:
    """REQUEST_N: the peer may send `n` more (1 to 2**31 - 1)."""
    return envelope(10) + HEADER_U32.pack(stream_id, _REQUEST_N, n)


def error_frame(stream_id: int, code: int, text: str, envelope: Envelope, text_bytes_max: int) -> bytes:
    """ERROR. The text becomes valid UTF-8 without NUL, cut between two characters if it is too long.

    A resumable rsocket-js counts positions from the decoded string, so a byte it cannot decode loses the session.
    """
    said = text.replace("\0", "").encode("utf-8", "replace")
    if len(said) > text_bytes_max:
        said = said[:text_bytes_max].decode("utf-8", "ignore").encode()
    return envelope(10 + len(said)) + HEADER_U32.pack(stream_id, _ERROR, code) + said
