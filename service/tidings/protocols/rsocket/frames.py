"""Frame layouts as a table: every frame type with its number, fields, flags, sender and stream.

A frame is a 6-byte header (31-bit stream id; 6-bit type and 10-bit flags), the fixed fields of its type, and a
payload. All integers are big-endian. The codec, the validation and the tests are driven by `FRAME_LAYOUTS`;
a new frame is a new row here. The hot paths in `stream_frames.py` read the same layouts by offset.
"""

from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple


class FrameType(IntEnum):
    """The six bits of a frame's type."""

    SETUP = 0x01
    LEASE = 0x02
    KEEPALIVE = 0x03
    REQUEST_RESPONSE = 0x04
    REQUEST_FNF = 0x05
    REQUEST_STREAM = 0x06
    REQUEST_CHANNEL = 0x07
    REQUEST_N = 0x08
    CANCEL = 0x09
    PAYLOAD = 0x0A
    ERROR = 0x0B
    METADATA_PUSH = 0x0C
    RESUME = 0x0D
    RESUME_OK = 0x0E
    EXT = 0x3F


class Interaction(IntEnum):
    """The four interaction models, with the numbers of the frames that start them."""

    REQUEST_RESPONSE = 0x04
    FIRE_AND_FORGET = 0x05
    REQUEST_STREAM = 0x06
    REQUEST_CHANNEL = 0x07


# Flags. Three bits have one meaning per frame type.
IGNORE: Final = 0x200  # a receiver that does not understand the frame may skip it
METADATA: Final = 0x100
FOLLOWS: Final = 0x080  # more fragments of this payload follow
RESUME_ENABLED: Final = 0x080  # SETUP: a resume token is present
RESPOND: Final = 0x080  # KEEPALIVE: a reply is required
COMPLETE: Final = 0x040  # the sender's half ends with this frame
LEASE_ENABLED: Final = 0x040  # SETUP: the client honours leases
NEXT: Final = 0x020  # PAYLOAD: an item is present, even if it is empty

FLAG_BITS: Final = 10
FLAGS_MASK: Final = 0x3FF
STREAM_ID_MAX: Final = 0x7FFFFFFF
U31: Final = 0x7FFFFFFF
UNBOUNDED: Final = 0x7FFFFFFF  # credit that rsocket-java never tops up again, so it must never run out
HEADER_BYTES: Final = 6
FRAME_BYTES_MAX: Final = 0xFFFFFF  # 24 bits of length on TCP; WebSocket is held to it as well
VERSION: Final = (1, 0)


class FieldType(Enum):
    """How one fixed field is written."""

    U16 = 2
    U31 = 4  # four bytes; the top bit is sent 0 and masked on receipt
    U32 = 5  # four bytes, all of them meant
    U63 = 8
    MIME = 0  # 8-bit length, ASCII
    TOKEN = 1  # 16-bit length, opaque bytes


class Field(NamedTuple):
    """One fixed field: its name, how it is written, and the flag that says whether it is there."""

    name: str
    type: FieldType
    flag: int = 0  # present only when this flag is set; 0 means always


class PayloadLayout(Enum):
    """What follows the fixed fields."""

    NOTHING = "nothing"
    DATA = "data"
    METADATA = "metadata"  # M set, and no length: it is all the rest
    BOTH = "both"  # M set: 24-bit length, metadata, data; M clear: data


class StreamScope(Enum):
    """Which stream ids a frame may have."""

    CONNECTION = "stream 0"
    STREAM = "a stream"
    ANY = "either"


class Sender(Enum):
    """Who may send a frame."""

    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"


class FrameLayout(NamedTuple):
    """The layout of one frame type."""

    fields: tuple[Field, ...]
    payload: PayloadLayout
    flags: int  # the flags this type defines; I is allowed everywhere, other bits are sent 0 and ignored
    stream_scope: StreamScope
    sender: Sender


def _layout(
    *fields: Field, payload: PayloadLayout, flags: int, stream_scope: StreamScope, sender: Sender = Sender.BOTH
) -> FrameLayout:
    return FrameLayout(fields, payload, flags | IGNORE, stream_scope, sender)


_INITIAL_N = Field("initial_n", FieldType.U31)

FRAME_LAYOUTS: Final = MappingProxyType({
    FrameType.SETUP: _layout(
        Field("major", FieldType.U16), Field("minor", FieldType.U16),
        Field("keepalive_ms", FieldType.U31), Field("lifetime_ms", FieldType.U31),
        Field("resume_token", FieldType.TOKEN, RESUME_ENABLED),
        Field("metadata_mime", FieldType.MIME), Field("data_mime", FieldType.MIME),
        payload=PayloadLayout.BOTH, flags=METADATA | RESUME_ENABLED | LEASE_ENABLED,
        stream_scope=StreamScope.CONNECTION, sender=Sender.CLIENT),
    FrameType.LEASE: _layout(
        Field("ttl_ms", FieldType.U31), Field("requests", FieldType.U31),
        payload=PayloadLayout.METADATA, flags=METADATA, stream_scope=StreamScope.CONNECTION),
    FrameType.KEEPALIVE: _layout(
        Field("position", FieldType.U63),
        payload=PayloadLayout.DATA, flags=RESPOND, stream_scope=StreamScope.CONNECTION),
    FrameType.REQUEST_RESPONSE: _layout(
        payload=PayloadLayout.BOTH, flags=METADATA | FOLLOWS, stream_scope=StreamScope.STREAM),
    FrameType.REQUEST_FNF: _layout(
        payload=PayloadLayout.BOTH, flags=METADATA | FOLLOWS, stream_scope=StreamScope.STREAM),
    FrameType.REQUEST_STREAM: _layout(
        _INITIAL_N, payload=PayloadLayout.BOTH, flags=METADATA | FOLLOWS, stream_scope=StreamScope.STREAM),
    FrameType.REQUEST_CHANNEL: _layout(
        _INITIAL_N, payload=PayloadLayout.BOTH, flags=METADATA | FOLLOWS | COMPLETE, stream_scope=StreamScope.STREAM),
    FrameType.REQUEST_N: _layout(
        Field("n", FieldType.U31), payload=PayloadLayout.NOTHING, flags=0, stream_scope=StreamScope.STREAM),
    FrameType.CANCEL: _layout(
        payload=PayloadLayout.NOTHING, flags=0, stream_scope=StreamScope.STREAM),
    FrameType.PAYLOAD: _layout(
        payload=PayloadLayout.BOTH, flags=METADATA | FOLLOWS | COMPLETE | NEXT, stream_scope=StreamScope.STREAM),
    FrameType.ERROR: FrameLayout(
        # On stream 0 it ends the connection.
        (Field("code", FieldType.U32),), PayloadLayout.DATA, IGNORE, StreamScope.ANY, Sender.BOTH),
    FrameType.METADATA_PUSH: _layout(
        payload=PayloadLayout.METADATA, flags=METADATA, stream_scope=StreamScope.CONNECTION),
    FrameType.RESUME: _layout(
        Field("major", FieldType.U16), Field("minor", FieldType.U16), Field("resume_token", FieldType.TOKEN),
        Field("last_server_position", FieldType.U63), Field("first_client_position", FieldType.U63),
        payload=PayloadLayout.NOTHING, flags=0, stream_scope=StreamScope.CONNECTION, sender=Sender.CLIENT),
    FrameType.RESUME_OK: _layout(
        Field("last_client_position", FieldType.U63),
        payload=PayloadLayout.NOTHING, flags=0, stream_scope=StreamScope.CONNECTION, sender=Sender.SERVER),
    FrameType.EXT: FrameLayout(
        (Field("extended_type", FieldType.U31),), PayloadLayout.BOTH, IGNORE | METADATA, StreamScope.ANY, Sender.BOTH),
})  # fmt: skip


class Frame(NamedTuple):
    """One frame in readable form, for tests, inspectors and cold paths. `fields` are named as in `FRAME_LAYOUTS`."""

    type: FrameType
    stream_id: int
    flags: int = 0
    fields: dict[str, int | str | bytes] = {}  # noqa: RUF012 - never changed in place
    metadata: bytes | None = None
    data: bytes = b""
