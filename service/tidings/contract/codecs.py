"""The two encodings of a payload: Protobuf, and the canonical JSON mapping of the same messages."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from tidings.contract.errors import invalid_argument

M = TypeVar("M", bound=Message)

# Upb stops at 100 levels of nesting by itself; the JSON reader gets the same number.
JSON_DEPTH_MAX: Final = 100
# Values in one JSON text, a thousand names and more to spare. Each takes the reader some 2 us of Python, and a byte or
# two, or none to speak of where the text came compressed.
JSON_VALUES_MAX: Final = 4_096


def encode_protobuf(message: Message) -> bytes:
    """The message in the Protobuf wire format."""
    return message.SerializeToString()


def decode_protobuf(message_type: type[M], data: bytes) -> M:
    """The message that `data` says; INVALID_ARGUMENT when it says none."""
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
    text: str = json_format.MessageToJson(message, indent=None, ensure_ascii=False)
    return text.encode()


def decode_json(message_type: type[M], data: bytes) -> M:
    """The message that the JSON says; INVALID_ARGUMENT if none. Unknown fields are skipped, as in Protobuf."""
    message = message_type()
    if not data:
        return message
    try:
        if not data.lstrip().startswith(b"{"):
            raise ValueError("it is not an object")
        said = json.loads(data.decode(), object_pairs_hook=_once_each)
        if _exceeds(said, JSON_VALUES_MAX):
            raise ValueError(f"it has more than {JSON_VALUES_MAX:,} values; ask in several requests")
        json_format.ParseDict(said, message, ignore_unknown_fields=True, max_recursion_depth=JSON_DEPTH_MAX)
    except Exception as error:  # the library stumbles in many ways over what is no message
        reason = " ".join(str(error).split())[:200]
        name = message_type.DESCRIPTOR.name
        raise invalid_argument(f"the payload is not the JSON of a {name}: {reason}") from error
    return message


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; ValueError where a name comes twice, for nobody could tell which one is meant."""
    said = dict(pairs)
    if len(said) < len(pairs):
        raise ValueError("a name comes twice in one object")
    return said


def _exceeds(said: Any, values_max: int) -> bool:
    """Whether there are more values in it, at any depth. Looks at no more than that."""
    seen = 0
    left = [said]
    while left:
        value = left.pop()
        inside = value.values() if type(value) is dict else value if type(value) is list else ()
        seen += len(inside)
        if seen > values_max:
            return True
        left += inside
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """One encoding."""

    name: str
    mime: str
    mimes: tuple[str, ...]
    encode: Callable[[Message], bytes]
    decode: Callable[[type[Any], bytes], Any]


PROTOBUF: Final = Codec(
    "protobuf",
    "application/vnd.google.protobuf",
    (
        "application/vnd.google.protobuf",
        "application/x-protobuf",
        "application/protobuf",
        "application/octet-stream",
        # rsocket-java's default where nothing is said.
        "application/binary",
    ),
    encode_protobuf,
    decode_protobuf,
)
JSON: Final = Codec("json", "application/json", ("application/json",), encode_json, decode_json)
CODECS: Final = (PROTOBUF, JSON)

_BY_MIME: Final = {mime: codec for codec in CODECS for mime in codec.mimes}


def codec_for(mime: str) -> Codec | None:
    """The codec of a data MIME type (parameters such as `;charset=utf-8` do not matter), or None."""
    return _BY_MIME.get(mime) or _BY_MIME.get(mime.partition(";")[0].strip().lower())


class Prepared(Generic[M]):
    """A message on its way to many readers: its bytes are made at most once per codec.

    Made from Protobuf bytes (as they lie in the log) or from a message; parsed only if somebody wants JSON.
    """

    __slots__ = ("_others", "message_type", "protobuf", "wrapped")

    def __init__(self, message_type: type[M], protobuf: bytes) -> None:
        self.message_type = message_type
        self.protobuf = protobuf
        self._others: dict[Codec, bytes] | None = None  # in other codecs; hardly ever, and a dictionary is large
        # Room for one wrapping made of this item and shared as well (the channel's envelope).
        self.wrapped: Prepared[Message] | None = None

    @classmethod
    def of(cls, message: M) -> "Prepared[M]":
        """Prepare a message that is at hand."""
        return cls(type(message), message.SerializeToString())

    def message(self) -> M:
        """A message of one's own, parsed from the bytes."""
        return self.message_type.FromString(self.protobuf)

    def data(self, codec: Codec) -> bytes:
        """The bytes in this codec."""
        if codec is PROTOBUF:
            return self.protobuf
        others = self._others
        if others is None:
            others = self._others = {}
        data = others.get(codec)
        if data is None:
            data = others[codec] = codec.encode(self.message())
        return data
