"""Page tokens of a search: the position after a page, signed so that only this store can make one."""

import base64
import binascii
import hashlib
import hmac
import struct
from typing import NamedTuple

from tidings.contract.errors import invalid_argument

SECRET_BYTES = 32
SIGNATURE_BYTES = 8  # a guess succeeds once in 2**64, and then only skips messages
_POSITION = struct.Struct(">qQ")


class SearchPosition(NamedTuple):
    """The position of a message among all messages, oldest first: its time in Unix ms, then its id in the store."""

    at_ms: int
    event_id: int


def encode_page_token(secret: bytes, position: SearchPosition, words: str, sender: str) -> str:
    """The token of the page after `position` in the search for these words of this sender."""
    packed = _POSITION.pack(*position)
    return base64.urlsafe_b64encode(packed + _sign(secret, packed, words, sender)).decode()


def decode_page_token(secret: bytes, page_token: str, words: str, sender: str) -> SearchPosition:
    """The position of a token; INVALID_ARGUMENT if `encode_page_token` did not make it for the same search."""
    try:
        raw = base64.b64decode(page_token.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    packed, signature = raw[: _POSITION.size], raw[_POSITION.size :]
    if len(packed) != _POSITION.size or not hmac.compare_digest(signature, _sign(secret, packed, words, sender)):
        raise invalid_argument("page is not a token of this search; use `next` of its last reply, or leave it empty")
    return SearchPosition(*_POSITION.unpack(packed))


def _sign(secret: bytes, packed: bytes, words: str, sender: str) -> bytes:
    message = repr((packed, words, sender)).encode()
    return hmac.digest(secret, message, hashlib.sha256)[:SIGNATURE_BYTES]
