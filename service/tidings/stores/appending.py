"""Appending events at the head of a room's log: their seq, their time, and the rows that a change rewrites."""

from collections.abc import Sequence

from tidings.contract import v1
from tidings.contract.errors import not_found
from tidings.domain.ports.store import AppendResult, StoredEvent
from tidings.stores.change_set import ChangeSet
from tidings.stores.tables import EVENT_KINDS, EventRow, RoomRow, Tables

CLOCK_STEP_MS_MAX = 5_000  # time services correct so much at once; a clock set back further had been wrong


def append_event(
    tables: Tables, room: RoomRow, draft: v1.Event, kind: int, latest: int, target: int = 0
) -> StoredEvent | None:
    """Append the draft at the room's head; None when its key was used before."""
    seq = room.head + 1
    at_ms = draft.at_ms
    if at_ms < room.last_at_ms:
        draft.at_ms = at_ms = event_time(room, at_ms)
        if at_ms < room.last_at_ms:
            tables.lower_times(room, at_ms)
    draft.seq = seq
    data = draft.SerializeToString()
    row = EventRow(seq, kind, draft.actor, draft.client_id, at_ms, latest, target, None, data)
    if not tables.insert_event(room, row):
        return None
    room.head = seq
    room.last_at_ms = at_ms
    return StoredEvent(seq, data)


def append_change(
    tables: Tables,
    change_set: ChangeSet,
    room: RoomRow,
    draft: v1.Event,
    rewritten_rows: Sequence[EventRow] = (),
    target: int = 0,
) -> AppendResult:
    """Append a change whose rules were checked, and write the earlier rows that it rewrites."""
    event = append_event(tables, room, draft, EVENT_KINDS[draft.WhichOneof("what") or ""], room.latest_message, target)
    assert event is not None, "a key appeared between its look-up and the insert"
    for row in rewritten_rows:
        tables.update_event(room, row)
    rewritten = [StoredEvent(row.seq, row.data) for row in rewritten_rows]
    change_set.add_change(room, event, draft, rewritten)
    return AppendResult(room.epoch, event.seq, room.last_at_ms, False, event, rewritten)


def event_time(room: RoomRow, at_ms: int) -> int:
    """The time of the room's next event, given the clock's; Unix ms.

    When the clock is set back by up to CLOCK_STEP_MS_MAX, the time of the last event is used again. A clock that is set
    back further was ahead before: its new time is used, and `lower_times` corrects the earlier rows.
    """
    return room.last_at_ms if 0 < room.last_at_ms - at_ms <= CLOCK_STEP_MS_MAX else at_ms


def no_change(room: RoomRow) -> AppendResult:
    """The result of a change that was in effect already: no event, so no reader gets one."""
    return AppendResult(room.epoch, room.head, room.last_at_ms, True, None)


def room_not_found(name: str) -> Exception:
    """NOT_FOUND for a room."""
    return not_found(f"there is no room {name}; make it with rooms.create first")
