"""What the domain asks to read, in SQL. Every function is one short look at one state of the database."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from tidings.contract import v1
from tidings.contract.errors import not_found
from tidings.domain.ports import (
    UNREAD_MAX,
    Head,
    InboxRecord,
    MemberRecord,
    Membership,
    Page,
    RoomRecord,
    StoredEvent,
)
from tidings.stores.asking import ask
from tidings.stores.rows import POSTED, SEQ_BITS, SEQ_MAX
from tidings.stores.sql_tables import bounds

P = ParamSpec("P")
T = TypeVar("T")

ROOM = "SELECT number, epoch FROM rooms WHERE name = ?"
HEAD = "SELECT id, latest FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
ASCENDING = "SELECT id, data FROM events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
DESCENDING = "SELECT id, data FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?"
EVENT = "SELECT data FROM events WHERE id = ?"
UNREAD = f"""SELECT count(*) FROM
             (SELECT 1 FROM events WHERE id BETWEEN ? AND ? AND kind = {POSTED} AND actor <> ? LIMIT {UNREAD_MAX})"""
RECORD = "r.number, r.name, r.kind, r.title, r.creator, r.epoch, r.created_at_ms, r.members"
ROOM_RECORD = f"SELECT {RECORD} FROM rooms r WHERE r.name = ?"
PUBLIC = f"SELECT {RECORD} FROM rooms r WHERE r.kind = {v1.OPEN} AND r.name > ? ORDER BY r.name LIMIT ?"
# One row, whether there is such a room or not: how long it takes shall not tell.
STANDING = """SELECT coalesce(r.kind, 0), coalesce(m.role, 0), coalesce(m.consented, 0)
              FROM (SELECT ? AS name, ? AS user) asked
              LEFT JOIN rooms r ON r.name = asked.name
              LEFT JOIN members m ON m.room = coalesce(r.number, 0) AND m.user = asked.user"""
# The rooms of the other one first: who asks about a thousand users may be in thousands of rooms.
SHARING = """SELECT 1 FROM members other CROSS JOIN members me ON me.room = other.room AND me.user = ?
             WHERE other.user = ? AND other.consented = 1 AND me.consented = 1 LIMIT 1"""
HAS_OWNER_BESIDES = f"""SELECT 1 FROM rooms r JOIN members m ON m.room = r.number AND m.role = {v1.OWNER}
                        WHERE r.name = ? AND m.user <> ? LIMIT 1"""
ROLE = "SELECT m.role FROM rooms r JOIN members m ON m.room = r.number WHERE r.name = ? AND m.user = ?"
MEMBERS = """SELECT m.user, m.role, coalesce(p.delivered, 0), coalesce(p.read, 0), m.consented
             FROM members m LEFT JOIN positions p ON p.room = m.room AND p.user = m.user
             WHERE m.room = ? AND m.user > ? ORDER BY m.user LIMIT ?"""
INBOX = f"""SELECT {RECORD}, m.role, coalesce(p.delivered, 0), coalesce(p.read, 0), m.hidden
            FROM members m JOIN rooms r ON r.number = m.room
            LEFT JOIN positions p ON p.room = m.room AND p.user = m.user"""
INBOX_AFTER = f"{INBOX} WHERE m.user = ? AND r.name > ? ORDER BY r.name LIMIT ?"
INBOX_NAMED = f"{INBOX} WHERE m.user = ? AND r.name = ?"
NAMES = "SELECT r.name FROM members m JOIN rooms r ON r.number = m.room WHERE m.user = ? ORDER BY r.name"
LAST_SEEN = "SELECT last_seen_ms FROM users WHERE name = ?"


def at_once(
    look: Callable[Concatenate[apsw.Connection, P], T],
) -> Callable[Concatenate[apsw.Connection, P], T]:
    """Several statements see one state."""

    def looking(connection: apsw.Connection, /, *arguments: P.args, **named: P.kwargs) -> T:
        connection.execute("BEGIN")
        try:
            return look(connection, *arguments, **named)
        finally:
            connection.execute("ROLLBACK")

    return looking


def head(connection: apsw.Connection, room: str) -> Head:
    """See `ports.Log`."""
    number, epoch = _room(connection, room)
    return Head(epoch, _end(connection, number)[0])


def read(connection: apsw.Connection, room: str, after: int, limit: int, bytes_max: int) -> Sequence[StoredEvent]:
    """See `ports.Log`."""
    number, _ = _room(connection, room)
    first, last = bounds(number)
    rows = ask(connection, ASCENDING, (first + min(after, SEQ_MAX) + 1, last, limit))
    return _bounded(rows, bytes_max)[0]


@at_once
def page(
    connection: apsw.Connection, room: str, *, before: int | None, after: int | None, limit: int, bytes_max: int
) -> Page:
    """See `ports.Log`."""
    number, epoch = _room(connection, room)
    first, last = bounds(number)
    if after is not None:
        rows = ask(connection, ASCENDING, (first + min(after, SEQ_MAX) + 1, last, limit + 1))
    else:
        end = last if before is None or before > SEQ_MAX else first + before - 1
        rows = ask(connection, DESCENDING, (first, end, limit + 1))
    events, cut = _bounded(rows, bytes_max)
    more = cut or len(events) > limit
    del events[limit:]
    return Page(events[::-1] if after is None else events, more, Head(epoch, _end(connection, number)[0]))


@at_once
def room(connection: apsw.Connection, name: str) -> RoomRecord | None:
    """See `ports.Directory`."""
    for found in ask(connection, ROOM_RECORD, (name,)):
        return _record(connection, found)[0]
    return None


@at_once
def public_rooms(connection: apsw.Connection, after: str, limit: int) -> Sequence[RoomRecord]:
    """See `ports.Directory`."""
    return [_record(connection, found)[0] for found in list(ask(connection, PUBLIC, (after, limit)))]


def role(connection: apsw.Connection, room: str, user: str) -> int:
    """See `ports.Directory`."""
    for (found,) in ask(connection, ROLE, (room, user)):
        return int(found)
    return 0


def has_owner_besides(connection: apsw.Connection, room: str, user: str) -> bool:
    """See `ports.Directory`."""
    return any(True for _ in ask(connection, HAS_OWNER_BESIDES, (room, user)))


def standing(connection: apsw.Connection, room: str, user: str) -> Membership:
    """See `ports.Directory`."""
    ((kind, role, consented),) = ask(connection, STANDING, (room, user))
    return Membership(kind, role, consented == 1)


@at_once
def sharing(connection: apsw.Connection, user: str, others: Sequence[str]) -> set[str]:
    """See `ports.Directory`."""
    return {other for other in others for _ in ask(connection, SHARING, (user, other))}


@at_once
def members(connection: apsw.Connection, room: str, after: str, limit: int) -> Sequence[MemberRecord]:
    """See `ports.Directory`."""
    for number, _ in ask(connection, ROOM, (room,)):
        return [
            MemberRecord(user, role, delivered, read, consented == 1)
            for user, role, delivered, read, consented in ask(connection, MEMBERS, (number, after, limit))
        ]
    return []


@at_once
def rooms_of(connection: apsw.Connection, user: str, after: str, limit: int) -> Sequence[InboxRecord]:
    """See `ports.Directory`."""
    return [_seen_by(connection, user, row) for row in list(ask(connection, INBOX_AFTER, (user, after, limit)))]


@at_once
def inbox(connection: apsw.Connection, user: str, rooms: Sequence[str]) -> Sequence[InboxRecord]:
    """See `ports.Directory`."""
    return [
        _seen_by(connection, user, row)
        for name in dict.fromkeys(rooms)
        for row in list(ask(connection, INBOX_NAMED, (user, name)))
    ]


def names_of(connection: apsw.Connection, user: str) -> Sequence[str]:
    """See `ports.Directory`."""
    return [name for (name,) in ask(connection, NAMES, (user,))]


def last_seen(connection: apsw.Connection, users: Sequence[str]) -> dict[str, int]:
    """See `ports.Directory`."""
    return {user: at_ms for user in users for (at_ms,) in ask(connection, LAST_SEEN, (user,))}


def numbers(connection: apsw.Connection, rooms: Sequence[str]) -> list[int]:
    """The numbers of those rooms that there are."""
    return [number for room in dict.fromkeys(rooms) for number, _ in ask(connection, ROOM, (room,))]


def _room(connection: apsw.Connection, name: str) -> tuple[int, str]:
    for number, epoch in ask(connection, ROOM, (name,)):
        return number, epoch
    raise not_found(f"there is no room {name}; make it with rooms.create first")


def _end(connection: apsw.Connection, number: int) -> tuple[int, int]:
    """(seq of the last event, seq of the newest message); zeros in an empty log."""
    for event_id, latest in ask(connection, HEAD, bounds(number)):
        return event_id & SEQ_MAX, latest
    return 0, 0


def _record(connection: apsw.Connection, found: Sequence[Any]) -> tuple[RoomRecord, int]:
    """A room's record and the seq of its newest message."""
    number, name, kind, title, creator, epoch, created_at_ms, count = found[:8]
    end, latest = _end(connection, number)
    return RoomRecord(name, kind, title, creator, created_at_ms, Head(epoch, end), count), latest


def _seen_by(connection: apsw.Connection, user: str, found: Sequence[Any]) -> InboxRecord:
    record, latest = _record(connection, found)
    my_role, delivered, read, hidden = found[8:]
    first = found[0] << SEQ_BITS
    last = None
    if latest:
        for (data,) in ask(connection, EVENT, (first + latest,)):
            last = StoredEvent(latest, data)
    unread = 0
    if read < latest:
        ((unread,),) = ask(connection, UNREAD, (first + read + 1, first + latest, user))
    return InboxRecord(record, my_role, last, delivered, read, unread, hidden >= max(latest, 1))


def _bounded(rows: Iterable[tuple[Any, ...]], bytes_max: int) -> tuple[list[StoredEvent], bool]:
    """As many of the rows as fit, at least one; and whether some did not."""
    events: list[StoredEvent] = []
    size = 0
    for event_id, data in rows:
        size += len(data)
        if events and size > bytes_max:
            return events, True
        events.append(StoredEvent(event_id & SEQ_MAX, data))
    return events, False
