"""Checking the bytes of events as the log holds them, and what to use in place of damaged ones.

The other columns of a row still say who acted, when, and on which message. Checking costs 0.13 us an event.
"""

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from tidings.contract import v1
from tidings.domain.ports.store import StoredEvent
from tidings.stores.tables import EDITED, MESSAGE_KINDS, EventRow

FIELD_PREFIXES_MAX = 10_000  # more lengths than events of one log usually have; 0.1 KiB each
_FIELD_PREFIXES: dict[int, bytes] = {}


def parse_or_placeholder(room: str, row: EventRow) -> v1.Event:
    """The event of a row; for damaged bytes, an event made from the other columns."""
    try:
        event = v1.Event.FromString(row.data)
        if event.seq == row.seq:
            return event
    except DecodeError:
        pass
    return placeholder_event(room, row.seq, row.kind, row.actor, row.client_id, row.at_ms, row.target)


def placeholder_event(room: str, seq: int, kind: int, actor: str, client_id: str, at_ms: int, target: int) -> v1.Event:
    """An event without its content: a `posted` without text, an `edited` with its target, else no `what`."""
    event = v1.Event(room=room, seq=seq, actor=actor, client_id=client_id, at_ms=at_ms)
    if kind in MESSAGE_KINDS:
        event.posted.SetInParent()
    elif kind == EDITED:
        event.edited.target = target
    return event


def is_valid_event(seq: int, data: bytes) -> bool:
    """Whether these are the bytes of an event with this seq."""
    try:
        return v1.Event.FromString(data).seq == seq
    except DecodeError:
        return False


def can_parse_all(events: Sequence[StoredEvent]) -> bool:
    """Whether every event can be parsed: as one message, which takes half of the time."""
    fields: list[bytes] = []
    for _, data in events:
        if not data:
            return False
        fields += (_field_prefix(len(data)), data)
    try:
        v1.PageReply.FromString(b"".join(fields))
    except DecodeError:
        return False
    return True


def _field_prefix(length: int) -> bytes:
    """The bytes before an event of this length in a PageReply: the field's tag, then the length as a varint."""
    prefix = _FIELD_PREFIXES.get(length)
    if prefix is None:
        digits, rest = bytearray([v1.PageReply.EVENTS_FIELD_NUMBER << 3 | 2]), length
        while rest > 0x7F:
            digits.append(rest & 0x7F | 0x80)
            rest >>= 7
        digits.append(rest)
        if len(_FIELD_PREFIXES) >= FIELD_PREFIXES_MAX:
            _FIELD_PREFIXES.clear()
        prefix = _FIELD_PREFIXES[length] = bytes(digits)
    return prefix
