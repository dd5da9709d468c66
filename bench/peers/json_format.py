"""The service with `google.protobuf.json_format` in place of its own JSON: what that gains, or costs.

Takes the arguments of the command `tidings`.
"""

import sys
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from tidings.cli import main
from tidings.contract import codecs

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """The message in Protobuf's JSON mapping."""
    text: str = json_format.MessageToJson(message, indent=None, ensure_ascii=False)
    return text.encode()


def decode(message_type: type[M], data: bytes) -> M:
    """The message of the JSON text."""
    return json_format.Parse(data, message_type(), ignore_unknown_fields=True)


if __name__ == "__main__":
    for name, function in (("encode", encode), ("decode", decode)):
        object.__setattr__(codecs.JSON, name, function)  # a frozen dataclass, otherwise
    sys.exit(main())
