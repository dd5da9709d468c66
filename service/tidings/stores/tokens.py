"""Where a search stands between two pages, as a text that only this store can have made."""

import base64
import binascii
import hashlib
import hmac
import struct
from typing import NamedTuple

from tidings.contract.errors import invalid_argument

SECRET_BYTES = 32
SEAL_BYTES = 8  # a guess is right once in 2**64, and then it only skips messages
_PLACE = struct.Struct(">qQ")


class Place(NamedTuple):
    """A message's place among all messages, oldest first: its time, then its number in the store."""

    at_ms: int
    number: int


def seal(secret: bytes, place: Place, words: str, sender: str) -> str:
    """The page that goes on behind `place` in the search for these words of this sender."""
    packed = _PLACE.pack(*place)
    return base64.urlsafe_b64encode(packed + _seal(secret, packed, words, sender)).decode()


def unseal(secret: bytes, page: str, words: str, sender: str) -> Place:
    """The place again; INVALID_ARGUMENT for what `seal` did not make for the same search."""
    try:
        raw = base64.b64decode(page.encode("ascii"), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    packed, sealed = raw[: _PLACE.size], raw[_PLACE.size :]
    if len(packed) != _PLACE.size or not hmac.compare_digest(sealed, _seal(secret, packed, words, sender)):
        raise invalid_argument("page is not one that this search answered; use its `next`, or leave it empty")
    return Place(*_PLACE.unpack(packed))


def _seal(secret: bytes, packed: bytes, words: str, sender: str) -> bytes:
    asked = repr((packed, words, sender)).encode()
    return hmac.digest(secret, asked, hashlib.sha256)[:SEAL_BYTES]
