"""The two encodings of a payload: Protobuf, and the canonical JSON mapping of the same messages.

Decoding is exact: a value that a message cannot hold is rejected with the field's name, never rounded, guessed or
replaced by a default. Only unknown fields are skipped, as in Protobuf.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message

from tidings.contract.enum_validation import UnknownEnumNumberError, check_enums
from tidings.contract.errors import invalid_argument
from tidings.contract.protojson.reader import read_message
from tidings.contract.protojson.text import JSON_VALUES_MAX, JsonError
from tidings.contract.protojson.writer import write_message, write_parts

M = TypeVar("M", bound=Message)


def encode_protobuf(message: Message) -> bytes:
    """The message in the Protobuf wire format."""
    return message.SerializeToString()


def encode_protobuf_in_parts(message: Message) -> Iterator[bytes]:
    """The same, in one part: encoding takes 1 to 3 ns per byte."""
    yield message.SerializeToString()


def decode_protobuf(message_type: type[M], data: bytes) -> M:
    """Decode a message. Raises INVALID_ARGUMENT for malformed data and for numbers that an enum does not have."""
    if not data:
        return message_type()
    message = decode_protobuf_reply(message_type, data)
    try:
        check_enums(message)
    except UnknownEnumNumberError as error:
        raise invalid_argument(f"the payload is not a valid {message_type.DESCRIPTOR.name}: {error}") from None
    return message


def decode_protobuf_reply(message_type: type[M], data: bytes) -> M:
    """The same, with any enum number: the reply of a newer service may have values that are not known yet."""
    if not data:
        return message_type()
    try:
        return message_type.FromString(data)
    except (DecodeError, UnicodeDecodeError, ValueError) as error:
        name = message_type.DESCRIPTOR.name
        raise invalid_argument(
            f"the payload is not a Protobuf {name}; send one, or set the data MIME type to application/json"
        ) from error


def encode_json(message: Message) -> bytes:
    """The message in Protobuf's JSON mapping, UTF-8, without white space, 64-bit numbers as strings."""
    return write_message(message).encode()


def encode_json_in_parts(message: Message) -> Iterator[bytes]:
    """The same in parts, one for each element of the message's own lists."""
    return map(str.encode, write_parts(message))


def decode_json(message_type: type[M], data: bytes) -> M:
    """Decode JSON. Raises INVALID_ARGUMENT if it is invalid, or has more values than `JSON_VALUES_MAX`."""
    return _decode_json(message_type, data, JSON_VALUES_MAX)


def decode_json_reply(message_type: type[M], data: bytes) -> M:
    """The same, without a limit on values: a page of history has tens of thousands."""
    return _decode_json(message_type, data, len(data))


def _decode_json(message_type: type[M], data: bytes, values_max: int) -> M:
    message = message_type()
    if data:
        try:
            read_message(message, data, values_max=values_max)
        except JsonError as error:
            name = message_type.DESCRIPTOR.name
            raise invalid_argument(f"the payload is not a valid JSON {name}: {error}") from None
    return message


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """One encoding. `decode` is for requests; `decode_reply` for replies, which may be of a newer service.

    `encode_in_parts` yields the bytes of `encode` in parts, for large messages.
    """

    name: str
    mime_type: str
    mime_types: tuple[str, ...]
    encode: Callable[[Message], bytes]
    encode_in_parts: Callable[[Message], Iterator[bytes]]
    decode: Callable[[type[Any], bytes], Any]
    decode_reply: Callable[[type[Any], bytes], Any]


PROTOBUF: Final = Codec(
    "protobuf",
    "application/vnd.google.protobuf",
    (
        "application/vnd.google.protobuf",
        "application/x-protobuf",
        "application/protobuf",
        "application/octet-stream",
        # rsocket-java's default.
        "application/binary",
    ),
    encode_protobuf,
    encode_protobuf_in_parts,
    decode_protobuf,
    decode_protobuf_reply,
)
JSON: Final = Codec(
    "json",
    "application/json",
    ("application/json",),
    encode_json,
    encode_json_in_parts,
    decode_json,
    decode_json_reply,
)
CODECS: Final = (PROTOBUF, JSON)

_CODEC_BY_MIME_TYPE: Final = {mime: codec for codec in CODECS for mime in codec.mime_types}


def codec_for(mime_type: str) -> Codec | None:
    """The codec of a data MIME type (parameters such as `;charset=utf-8` are ignored), or None."""
    return _CODEC_BY_MIME_TYPE.get(mime_type) or _CODEC_BY_MIME_TYPE.get(mime_type.partition(";")[0].strip().lower())


class PreparedMessage(Generic[M]):
    """A message for many readers, encoded at most once per codec.

    Made from Protobuf bytes (as stored in the log) or from a message; parsed only if a reader uses JSON.
    """

    __slots__ = ("_other_encodings", "channel_item", "message_type", "protobuf")

    def __init__(self, message_type: type[M], protobuf: bytes) -> None:
        self.message_type = message_type
        self.protobuf = protobuf
        self._other_encodings: dict[Codec, bytes] | None = (
            None  # in other codecs; rarely needed, and a dictionary is large
        )
        # The same item for channels, cached and shared as well.
        self.channel_item: PreparedMessage[Message] | None = None

    @classmethod
    def from_message(cls, message: M) -> "PreparedMessage[M]":
        """Prepare a message."""
        return cls(type(message), message.SerializeToString())

    def parse(self) -> M:
        """A new message, parsed from the bytes."""
        return self.message_type.FromString(self.protobuf)

    def encoded(self, codec: Codec) -> bytes:
        """The bytes in this codec."""
        if codec is PROTOBUF:
            return self.protobuf
        other_encodings = self._other_encodings
        if other_encodings is None:
            other_encodings = self._other_encodings = {}
        data = other_encodings.get(codec)
        if data is None:
            data = other_encodings[codec] = codec.encode(self.parse())
        return data
