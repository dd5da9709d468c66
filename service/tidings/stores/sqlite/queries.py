"""The read operations in SQL. Every function reads one consistent state of the database."""

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from tidings.contract import v1
from tidings.contract.errors import not_found
from tidings.domain.ports.store import (
    UNREAD_MAX,
    EventPage,
    LogHead,
    MemberRecord,
    Membership,
    RoomListEntry,
    RoomRecord,
    StoredEvent,
)
from tidings.stores.sqlite.connections import select
from tidings.stores.tables import POSTED, SEQ_BITS, SEQ_MAX, event_id_range, take_within

P = ParamSpec("P")
T = TypeVar("T")

ROOM = "SELECT number, epoch FROM rooms WHERE name = ?"
LAST_EVENT = "SELECT id, latest FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
ASCENDING = "SELECT id, data FROM events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
DESCENDING = "SELECT id, data FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?"
EVENT = "SELECT data FROM events WHERE id = ?"
COUNT_UNREAD = f"""SELECT count(*) FROM
             (SELECT 1 FROM events WHERE id BETWEEN ? AND ? AND kind = {POSTED} AND actor <> ? LIMIT {UNREAD_MAX})"""
ROOM_COLUMNS = "r.number, r.name, r.kind, r.title, r.creator, r.epoch, r.created_at_ms, r.members"
ROOM_RECORD = f"SELECT {ROOM_COLUMNS} FROM rooms r WHERE r.name = ?"
PUBLIC_ROOMS = f"SELECT {ROOM_COLUMNS} FROM rooms r WHERE r.kind = {v1.OPEN} AND r.name > ? ORDER BY r.name LIMIT ?"
# One row, whether or not the room exists: the time must not reveal it.
KIND_AND_ROLE = """SELECT coalesce(r.kind, 0), coalesce(m.role, 0), coalesce(m.consented, 0)
              FROM (SELECT ? AS name, ? AS user) asked
              LEFT JOIN rooms r ON r.name = asked.name
              LEFT JOIN members m ON m.room = coalesce(r.number, 0) AND m.user = asked.user"""
# The other user's rooms first: a caller who asks about a thousand users may be in thousands of rooms.
SHARES_ROOM = """SELECT 1 FROM members other CROSS JOIN members me ON me.room = other.room AND me.user = ?
             WHERE other.user = ? AND other.consented = 1 AND me.consented = 1 LIMIT 1"""
HAS_OTHER_OWNER = f"""SELECT 1 FROM rooms r JOIN members m ON m.room = r.number AND m.role = {v1.OWNER}
                        WHERE r.name = ? AND m.user <> ? LIMIT 1"""
ROLE = "SELECT m.role FROM rooms r JOIN members m ON m.room = r.number WHERE r.name = ? AND m.user = ?"
MEMBERS = """SELECT m.user, m.role, coalesce(p.delivered, 0), coalesce(p.read, 0), m.consented
             FROM members m LEFT JOIN positions p ON p.room = m.room AND p.user = m.user
             WHERE m.room = ? AND m.user > ? ORDER BY m.user LIMIT ?"""
ROOM_LIST_ENTRY = f"""SELECT {ROOM_COLUMNS}, m.role, coalesce(p.delivered, 0), coalesce(p.read, 0), m.hidden
            FROM members m JOIN rooms r ON r.number = m.room
            LEFT JOIN positions p ON p.room = m.room AND p.user = m.user"""
ROOM_LIST_PAGE = f"{ROOM_LIST_ENTRY} WHERE m.user = ? AND r.name > ? ORDER BY r.name LIMIT ?"
ROOM_LIST_ENTRY_BY_NAME = f"{ROOM_LIST_ENTRY} WHERE m.user = ? AND r.name = ?"
ROOM_NAMES = "SELECT r.name FROM members m JOIN rooms r ON r.number = m.room WHERE m.user = ? ORDER BY r.name"
LAST_SEEN = "SELECT last_seen_ms FROM users WHERE name = ?"


def in_snapshot(
    read: Callable[Concatenate[apsw.Connection, P], T],
) -> Callable[Concatenate[apsw.Connection, P], T]:
    """Decorator: the statements of `read` see one state of the database."""

    def read_in_snapshot(connection: apsw.Connection, /, *arguments: P.args, **keywords: P.kwargs) -> T:
        connection.execute("BEGIN")
        try:
            return read(connection, *arguments, **keywords)
        finally:
            connection.execute("ROLLBACK")

    return read_in_snapshot


def head(connection: apsw.Connection, room: str) -> LogHead:
    """See `ports.store.RoomLog`."""
    number, epoch = _require_room(connection, room)
    return LogHead(epoch, _room_end(connection, number)[0])


@in_snapshot
def heads(connection: apsw.Connection, rooms: Sequence[str]) -> dict[str, LogHead]:
    """See `ports.store.RoomLog`."""
    found = {room: row for room in rooms for row in select(connection, ROOM, (room,))}
    return {room: LogHead(epoch, _room_end(connection, number)[0]) for room, (number, epoch) in found.items()}


def read(connection: apsw.Connection, room: str, after: int, limit: int, bytes_max: int) -> Sequence[StoredEvent]:
    """See `ports.store.RoomLog`."""
    number, _ = _require_room(connection, room)
    first, last = event_id_range(number)
    rows = select(connection, ASCENDING, (first + min(after, SEQ_MAX) + 1, last, limit))
    return take_within(rows, bytes_max)[0]


@in_snapshot
def page(
    connection: apsw.Connection, room: str, *, before: int | None, after: int | None, limit: int, bytes_max: int
) -> EventPage:
    """See `ports.store.RoomLog`."""
    number, epoch = _require_room(connection, room)
    first, last = event_id_range(number)
    if after is not None:
        rows = select(connection, ASCENDING, (first + min(after, SEQ_MAX) + 1, last, limit + 1))
    else:
        end = last if before is None or before > SEQ_MAX else first + before - 1
        rows = select(connection, DESCENDING, (first, end, limit + 1))
    events, is_cut = take_within(rows, bytes_max)
    more = is_cut or len(events) > limit
    del events[limit:]
    return EventPage(events[::-1] if after is None else events, more, LogHead(epoch, _room_end(connection, number)[0]))


@in_snapshot
def room(connection: apsw.Connection, name: str) -> RoomRecord | None:
    """See `ports.store.RoomDirectory`."""
    for found in select(connection, ROOM_RECORD, (name,)):
        return _room_record(connection, found)[0]
    return None


@in_snapshot
def public_rooms(connection: apsw.Connection, after: str, limit: int) -> Sequence[RoomRecord]:
    """See `ports.store.RoomDirectory`."""
    return [_room_record(connection, found)[0] for found in list(select(connection, PUBLIC_ROOMS, (after, limit)))]


def role(connection: apsw.Connection, room: str, user: str) -> int:
    """See `ports.store.RoomDirectory`."""
    for (found,) in select(connection, ROLE, (room, user)):
        return int(found)
    return 0


def has_other_owner(connection: apsw.Connection, room: str, user: str) -> bool:
    """See `ports.store.RoomDirectory`."""
    return any(True for _ in select(connection, HAS_OTHER_OWNER, (room, user)))


def kind_and_role(connection: apsw.Connection, room: str, user: str) -> Membership:
    """See `ports.store.RoomDirectory`."""
    ((kind, role, consented),) = select(connection, KIND_AND_ROLE, (room, user))
    return Membership(kind, role, consented == 1)


@in_snapshot
def users_sharing_room(connection: apsw.Connection, user: str, others: Sequence[str]) -> set[str]:
    """See `ports.store.RoomDirectory`."""
    return {other for other in others for _ in select(connection, SHARES_ROOM, (user, other))}


@in_snapshot
def members(connection: apsw.Connection, room: str, after: str, limit: int) -> Sequence[MemberRecord]:
    """See `ports.store.RoomDirectory`."""
    for number, _ in select(connection, ROOM, (room,)):
        return [
            MemberRecord(user, role, delivered, read, consented == 1)
            for user, role, delivered, read, consented in select(connection, MEMBERS, (number, after, limit))
        ]
    return []


@in_snapshot
def room_list_page(connection: apsw.Connection, user: str, after: str, limit: int) -> Sequence[RoomListEntry]:
    """See `ports.store.RoomDirectory`."""
    return [
        _room_list_entry(connection, user, row)
        for row in list(select(connection, ROOM_LIST_PAGE, (user, after, limit)))
    ]


@in_snapshot
def room_list_entries(connection: apsw.Connection, user: str, rooms: Sequence[str]) -> Sequence[RoomListEntry]:
    """See `ports.store.RoomDirectory`."""
    return [
        _room_list_entry(connection, user, row)
        for name in dict.fromkeys(rooms)
        for row in list(select(connection, ROOM_LIST_ENTRY_BY_NAME, (user, name)))
    ]


def room_names_of(connection: apsw.Connection, user: str) -> Sequence[str]:
    """See `ports.store.RoomDirectory`."""
    return [name for (name,) in select(connection, ROOM_NAMES, (user,))]


def last_seen(connection: apsw.Connection, users: Sequence[str]) -> dict[str, int]:
    """See `ports.store.RoomDirectory`."""
    return {user: at_ms for user in users for (at_ms,) in select(connection, LAST_SEEN, (user,))}


def room_numbers(connection: apsw.Connection, rooms: Sequence[str]) -> list[int]:
    """The numbers of the rooms that exist."""
    return [number for room in dict.fromkeys(rooms) for number, _ in select(connection, ROOM, (room,))]


def _require_room(connection: apsw.Connection, name: str) -> tuple[int, str]:
    for number, epoch in select(connection, ROOM, (name,)):
        return number, epoch
    raise not_found(f"there is no room {name}; make it with rooms.create first")


def _room_end(connection: apsw.Connection, number: int) -> tuple[int, int]:
    """(seq of the last event, seq of the newest message); zeros in an empty log."""
    for event_id, latest in select(connection, LAST_EVENT, event_id_range(number)):
        return event_id & SEQ_MAX, latest
    return 0, 0


def _room_record(connection: apsw.Connection, found: Sequence[Any]) -> tuple[RoomRecord, int]:
    """A room's record and the seq of its newest message."""
    number, name, kind, title, creator, epoch, created_at_ms, count = found[:8]
    end, latest = _room_end(connection, number)
    return RoomRecord(name, kind, title, creator, created_at_ms, LogHead(epoch, end), count), latest


def _room_list_entry(connection: apsw.Connection, user: str, found: Sequence[Any]) -> RoomListEntry:
    record, latest = _room_record(connection, found)
    member_role, delivered, read, hidden = found[8:]
    first = found[0] << SEQ_BITS
    last = None
    if latest:
        for (data,) in select(connection, EVENT, (first + latest,)):
            last = StoredEvent(latest, data)
    unread = 0
    if read < latest:
        ((unread,),) = select(connection, COUNT_UNREAD, (first + read + 1, first + latest, user))
    return RoomListEntry(record, member_role, last, delivered, read, unread, hidden >= max(latest, 1))
