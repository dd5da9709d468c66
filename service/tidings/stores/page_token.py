"""Where a search stands between two pages, as a text that only this store can have made."""

import base64
import binascii
import hashlib
import hmac
import struct
from typing import NamedTuple

from tidings.contract.errors import invalid_argument

SECRET_BYTES = 32
SIGNATURE_BYTES = 8  # a guess is right once in 2**64, and then it only skips messages
_POSITION = struct.Struct(">qQ")


class SearchPosition(NamedTuple):
    """A message's place among all messages, oldest first: its time, then its number in the store."""

    at_ms: int
    event_id: int


def encode_page_token(secret: bytes, position: SearchPosition, words: str, sender: str) -> str:
    """The page that goes on behind `place` in the search for these words of this sender."""
    packed = _POSITION.pack(*position)
    return base64.urlsafe_b64encode(packed + _sign(secret, packed, words, sender)).decode()


def decode_page_token(secret: bytes, page_token: str, words: str, sender: str) -> SearchPosition:
    """The place again; INVALID_ARGUMENT for what `encode_page_token` did not make for the same search."""
    try:
        raw = base64.b64decode(page_token.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    packed, signature = raw[: _POSITION.size], raw[_POSITION.size :]
    if len(packed) != _POSITION.size or not hmac.compare_digest(signature, _sign(secret, packed, words, sender)):
        raise invalid_argument("page is not one that this search answered; use its `next`, or leave it empty")
    return SearchPosition(*_POSITION.unpack(packed))


def _sign(secret: bytes, packed: bytes, words: str, sender: str) -> bytes:
    message = repr((packed, words, sender)).encode()
    return hmac.digest(secret, message, hashlib.sha256)[:SIGNATURE_BYTES]
