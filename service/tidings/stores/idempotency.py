"""Telling a repeated request from another one with the same key.

A row keeps a digest of what was requested once later events have changed its bytes. A request with the key of a row is
a repetition when both have the same digest; otherwise it is a CONFLICT.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from tidings.contract import v1
from tidings.contract.errors import conflict
from tidings.domain.ports.store import AppendResult
from tidings.domain.validation.emoji import canonical_emoji, strip_variation_selectors
from tidings.stores.event_bytes import parse_or_placeholder
from tidings.stores.tables import EventRow, RoomRow

# The fields that the caller set, without those that the service added.
REQUEST_FIELDS: Mapping[str, Callable[[Any], tuple[object, ...]]] = {
    "posted": lambda what: (what.reply_to, what.text),
    "edited": lambda what: (what.target, what.text),
    "deleted": lambda what: (what.target,),
    "reacted": lambda what: (what.target, canonical_emoji(strip_variation_selectors(what.emoji)), what.removed),
    "member": lambda what: (what.user, what.role, what.left),
    "changed": lambda what: (what.title, what.kind, what.created),
}
# The text was erased, and a digest of it would still identify it. The rest of the row, its kind and its target, must be
# the same (`_digest_without_text`).
ERASED_DIGEST = b""


def replay_or_conflict(room: RoomRow, first: EventRow, draft: v1.Event) -> AppendResult:
    """The result of the first request again, or CONFLICT when the draft requests something else."""
    event = parse_or_placeholder(room.name, first)
    if first.request_digest == ERASED_DIGEST:
        is_repetition = _digest_without_text(event) == _digest_without_text(draft)
    else:
        original_digest = request_digest(event) if first.request_digest is None else first.request_digest
        is_repetition = original_digest == request_digest(draft)
    if not is_repetition:
        raise conflict(f"client_id {draft.client_id} was used in {room.name} for something else; use a new one")
    return AppendResult(room.epoch, first.seq, event.at_ms, True, None)


def request_digest(event: v1.Event) -> bytes:
    """A digest of the fields that the caller set; 12 bytes."""
    kind = event.WhichOneof("what") or ""
    return hash_fields((kind, *REQUEST_FIELDS[kind](getattr(event, kind))))


def hash_fields(fields: tuple[object, ...]) -> bytes:
    """A digest of these values, 12 bytes; equal for equal values only."""
    return hashlib.blake2b(repr(fields).encode(), digest_size=12).digest()


def _digest_without_text(event: v1.Event) -> bytes:
    """The digest of an event whose text was erased, and of one that may be a repetition of it."""
    bare = v1.Event()
    bare.CopyFrom(event)
    what = bare.WhichOneof("what")
    if what in ("posted", "edited"):
        getattr(bare, what).text = ""
    return request_digest(bare)
