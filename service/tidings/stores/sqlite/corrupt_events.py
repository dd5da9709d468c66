"""Events whose bytes in the log are damaged.

Events read from the disk are checked before they leave the store, since one that cannot be parsed would make its whole
page unreadable. It is replaced by an event made from the other columns of its row: the user, the time, and its kind; a
message is shown as a deleted one.
"""

from collections.abc import Sequence

import apsw

from tidings.contract import v1
from tidings.domain.ports.store import StoredEvent
from tidings.stores.event_bytes import can_parse_all, is_valid_event, placeholder_event
from tidings.stores.sqlite.connections import select, select_one
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.tables import MESSAGE_KINDS, SEQ_BITS, SEQ_MAX

EVENT_COLUMNS = """SELECT e.kind, e.actor, e.client_id, e.at_ms, e.target, e.data FROM rooms r JOIN events e
         ON e.id = (r.number << ?) + ? WHERE r.name = ?"""
ROOM_NAME = "SELECT name FROM log.rooms WHERE number = ?"


class CorruptEvents:
    """Replaces damaged events by readable ones and reports them as problems."""

    def __init__(self, problems: StoreProblems) -> None:
        self._problems = problems
        self._known: set[tuple[str, int]] = set()

    def replace_corrupt(
        self, reader: apsw.Connection, room: str, events: Sequence[StoredEvent]
    ) -> Sequence[StoredEvent]:
        """The same events of a room, with damaged ones replaced."""
        if can_parse_all(events):
            return events
        return [event if is_valid_event(*event) else self._placeholder(reader, room, event.seq) for event in events]

    def on_corrupt_event(self, connection: apsw.Connection, event_id: int) -> None:
        """Report a damaged event that the index found; its connection has the logs attached as `log`."""
        (room,) = select_one(connection, ROOM_NAME, (event_id >> SEQ_BITS,)) or ("",)
        self._report(room, event_id & SEQ_MAX)

    def recheck(self, reader: apsw.Connection) -> None:
        """Resolve the problems of events that are readable again, after they were deleted or edited."""
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
            event = placeholder_event(room, seq, kind, actor, client_id, at_ms, target)
            event.posted.deleted = kind in MESSAGE_KINDS
            return StoredEvent(seq, event.SerializeToString())
        return StoredEvent(seq, v1.Event(room=room, seq=seq).SerializeToString())
