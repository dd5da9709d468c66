"""`tables.Tables` in SQL. Used by the writer thread only, inside its transaction."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import apsw

from tidings.contract import v1
from tidings.stores.sqlite.connections import select, select_one
from tidings.stores.tables import EDITED, POSTED, SEQ_BITS, SEQ_MAX, EventRow, RoomRow, event_id_range

EVENT_COLUMNS = f"id & {SEQ_MAX}, kind, actor, client_id, at_ms, latest, target, asked, data"

# The messages of a commit are mostly written by one statement that is its own transaction. Between two statements the
# thread waits for the interpreter's lock, which the loop may hold for milliseconds, and one long statement costs SQLite
# half as much as many short ones. A statement has a fixed number of rows: the rest are padded with rows of NULL, which
# are not inserted. 896 rows are the longest statement that apsw keeps prepared.
INSERT_SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 640, 768, 896)
INSERT_ROWS_MAX = INSERT_SIZES[-1]
INSERT_COLUMNS = "(id,kind,actor,client_id,at_ms,latest,target,data)"
INSERT = {
    rows: f"INSERT INTO events{INSERT_COLUMNS} SELECT * FROM"
    f" (VALUES {','.join(['(?,?,?,?,?,?,?,?)'] * rows)}) WHERE column1"
    for rows in INSERT_SIZES
}
PADDING_ROW = (None,) * 8
INSERT_IF_NEW = f"INSERT OR IGNORE INTO events{INSERT_COLUMNS} VALUES (?,?,?,?,?,?,?,?)"
# The terms are written as in the index `keys`; otherwise SQLite would not use it.
EVENT_BY_CLIENT_ID = f"""SELECT {EVENT_COLUMNS} FROM events
            WHERE actor = ? AND client_id = ? AND id >> {SEQ_BITS} = ? AND client_id <> ''"""
EVENT = f"SELECT {EVENT_COLUMNS} FROM events WHERE id = ?"
UPDATE_EVENT = "UPDATE events SET kind = ?, asked = ?, data = ? WHERE id = ?"
LOWER_TIMES = """UPDATE events SET at_ms = ? WHERE id <= ? AND id > coalesce(
                 (SELECT id FROM events WHERE id BETWEEN ? AND ? AND at_ms <= ? ORDER BY id DESC LIMIT 1), ?)"""
EDITS_WITH_TEXT = f"""SELECT {EVENT_COLUMNS} FROM events WHERE id >> {SEQ_BITS} = ? AND target = ? AND kind = {EDITED}
                      AND asked IS NULL ORDER BY id"""
HAS_EDITS = f"""SELECT 1 FROM events WHERE id >> {SEQ_BITS} = ? AND target = ? AND kind = {EDITED}
                LIMIT 1 OFFSET ?"""
ROOM = """SELECT number, name, kind, title, creator, epoch, created_at_ms, asked, members FROM rooms WHERE name = ?"""
LAST_EVENT = "SELECT id, latest, at_ms FROM events WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1"
ADD_ROOM = """INSERT INTO rooms (name, kind, title, creator, epoch, created_at_ms, asked, members)
              VALUES (?, ?, ?, ?, ?, ?, ?, 0)"""
COUNT_CREATED_ROOMS = "SELECT count(*) FROM rooms WHERE creator = ? AND kind <> 0"
# The validator allows no such name for a room, and 0 is no `v1.RoomKind`.
ARCHIVE_ROOM = "UPDATE rooms SET name = 'archived ' || number, kind = 0 WHERE number = ?"
UPDATE_ROOM = "UPDATE rooms SET kind = ?, title = ?, members = ? WHERE number = ?"
REACTION_USERS = "SELECT user FROM reactions WHERE message = ? AND emoji = ? ORDER BY seq LIMIT ?"
HAS_REACTED = "SELECT 1 FROM reactions WHERE message = ? AND emoji = ? AND user = ?"
ADD_REACTION = "INSERT INTO reactions (message, emoji, user, seq) VALUES (?, ?, ?, ?)"
DELETE_REACTION = "DELETE FROM reactions WHERE message = ? AND emoji = ? AND user = ?"
# 0.4 us per reaction in the writer thread, a hundredth of the time that writing the reaction took.
DELETE_REACTIONS = "DELETE FROM reactions WHERE message = ?"
ROLE = "SELECT role FROM members WHERE room = ? AND user = ?"
SET_ROLE = """INSERT INTO members (room, user, role, since, consented) VALUES (?, ?, ?, ?, 0)
              ON CONFLICT DO UPDATE SET role = excluded.role"""
HAS_OTHER_OWNER = f"SELECT 1 FROM members WHERE room = ? AND role = {v1.OWNER} AND user <> ? LIMIT 1"
# Reads all members of the room, 6 ms for 100,000, when its last owner leaves. An index would make every join cost 1.5
# times as much.
NEXT_OWNER = f"""SELECT user FROM members WHERE room = ? AND role IN ({v1.MODERATOR}, {v1.MEMBER})
                ORDER BY role, since, user LIMIT 1"""
NEEDS_CONSENT = "SELECT 1 FROM members WHERE room = ? AND user = ? AND consented = 0"
SET_CONSENT = "UPDATE members SET consented = ? WHERE room = ? AND user = ?"
HIDDEN = "SELECT hidden FROM members WHERE room = ? AND user = ?"
SET_HIDDEN = "UPDATE members SET hidden = ? WHERE room = ? AND user = ?"
DELETE_ROLE = "DELETE FROM members WHERE room = ? AND user = ?"
POSITIONS = "SELECT delivered, read FROM positions WHERE room = ? AND user = ?"
SET_POSITIONS = """INSERT INTO positions (room, user, delivered, read) VALUES (?, ?, ?, ?)
                   ON CONFLICT DO UPDATE SET delivered = excluded.delivered, read = excluded.read"""
SET_LAST_SEEN = """INSERT INTO users (name, last_seen_ms) VALUES (?, ?)
                   ON CONFLICT DO UPDATE SET last_seen_ms = excluded.last_seen_ms"""


class DuplicateKeyError(Exception):
    """A message inserted as new repeats an earlier one. Roll back and write again with `check_duplicates`."""


class SqliteTables:
    """Caches rooms with their heads; call `clear_cache` after a transaction that was rolled back.

    Messages are assumed to be new and collected until `commit`, or until another statement must read or write. If one
    of them is a repetition, later seqs are wrong: `DuplicateKeyError`. While `check_duplicates` is set, each message is
    inserted at once, and `insert_event` detects a repetition.
    """

    def __init__(self, connection: apsw.Connection, cached_rooms_max: int, cached_consents_max: int) -> None:
        self._connection = connection
        self._rooms: dict[str, RoomRow] = {}
        self._cached_rooms_max = cached_rooms_max
        # (room number, user) of users who need no consent, members or not: looked up for each message's author.
        self._consent_not_needed: set[tuple[int, str]] = set()
        self._cached_consents_max = cached_consents_max
        self._pending_inserts: list[tuple[int, int, str, str, int, int, int, bytes]] = []
        self.check_duplicates = False

    def commit(self) -> None:
        """Commit everything written since the last commit. Raises DuplicateKeyError, or an error of SQLite."""
        if len(self._pending_inserts) > INSERT_ROWS_MAX or self._connection.in_transaction:
            self._flush_inserts()
            self._connection.execute("COMMIT")
        else:
            self._insert_pending()

    def clear_cache(self) -> None:
        """Clear the caches and the pending inserts, which may be wrong after a rollback."""
        self._rooms.clear()
        self._consent_not_needed.clear()
        self._pending_inserts.clear()

    def _flush_inserts(self) -> None:
        """Insert the collected messages in a transaction that stays open."""
        if self._pending_inserts:
            self._begin()
            self._insert_pending()

    def _insert_pending(self) -> None:
        rows, self._pending_inserts = sorted(self._pending_inserts), []  # by room, which changes fewer pages
        for start in range(0, len(rows), INSERT_ROWS_MAX):
            chunk = rows[start : start + INSERT_ROWS_MAX]
            size = INSERT_SIZES[bisect_left(INSERT_SIZES, len(chunk))]
            values = chain(chunk, repeat(PADDING_ROW, size - len(chunk)))
            try:
                self._connection.execute(INSERT[size], tuple(chain.from_iterable(values)))
            except apsw.ConstraintError:
                raise DuplicateKeyError from None

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")

    def room(self, name: str) -> RoomRow | None:
        return self._rooms.get(name) or self._load_room(name)

    def _cache_room(self, room: RoomRow) -> RoomRow:
        """Cache a room; evicts the oldest entry beyond `cached_rooms_max`."""
        rooms = self._rooms
        rooms[room.name] = room
        if len(rooms) > self._cached_rooms_max:
            del rooms[next(iter(rooms))]
        return room

    def _load_room(self, name: str) -> RoomRow | None:
        found = self._query_one(ROOM, (name,))
        if found is None:
            return None
        room = RoomRow(*found)
        last = self._query_one(LAST_EVENT, event_id_range(room.number))
        if last is not None:
            event_id, room.latest_message, room.last_at_ms = last
            room.head = event_id & SEQ_MAX
        return self._cache_room(room)

    def add_room(
        self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, request_digest: bytes
    ) -> RoomRow:
        self._execute(ADD_ROOM, (name, kind, title, creator, epoch, at_ms, request_digest))
        number = self._connection.last_insert_rowid()
        return self._cache_room(RoomRow(number, name, kind, title, creator, epoch, at_ms, request_digest))

    def count_created_rooms(self, creator: str) -> int:
        found = self._query_one(COUNT_CREATED_ROOMS, (creator,))
        return int(found[0]) if found else 0

    def archive_room(self, room: RoomRow) -> None:
        self._execute(ARCHIVE_ROOM, (room.number,))
        self._rooms.pop(room.name, None)

    def update_room(self, room: RoomRow) -> None:
        self._execute(UPDATE_ROOM, (room.kind, room.title, room.members, room.number))

    def insert_event(self, room: RoomRow, row: EventRow) -> bool:
        seq, kind, actor, client_id, at_ms, latest_message, target, _, data = row
        values = (room.number << SEQ_BITS | seq, kind, actor, client_id, at_ms, latest_message, target, data)
        if kind == POSTED and not self.check_duplicates:
            self._pending_inserts.append(values)
            return True
        self._execute(INSERT_IF_NEW, values)
        return self._connection.changes() == 1

    def find_by_client_id(self, room: RoomRow, actor: str, client_id: str) -> EventRow | None:
        return self._query_event(EVENT_BY_CLIENT_ID, (actor, client_id, room.number))

    def find_event(self, room: RoomRow, seq: int) -> EventRow | None:
        return self._query_event(EVENT, (room.number << SEQ_BITS | seq,))

    def update_event(self, room: RoomRow, row: EventRow) -> None:
        self._execute(UPDATE_EVENT, (row.kind, row.request_digest, row.data, room.number << SEQ_BITS | row.seq))

    def lower_times(self, room: RoomRow, at_ms: int) -> None:
        first, last = event_id_range(room.number)
        self._execute(LOWER_TIMES, (at_ms, last, first, last, at_ms, first))

    def edits_with_text(self, room: RoomRow, target: int) -> Sequence[EventRow]:
        self._flush_inserts()
        return [EventRow(*found) for found in select(self._connection, EDITS_WITH_TEXT, (room.number, target))]

    def has_edits(self, room: RoomRow, target: int, edits: int) -> bool:
        return self._query_one(HAS_EDITS, (room.number, target, edits - 1)) is not None

    def reaction_users(self, room: RoomRow, target: int, emoji: str, users_max: int) -> Sequence[str]:
        self._flush_inserts()
        message = room.number << SEQ_BITS | target
        return [user for (user,) in select(self._connection, REACTION_USERS, (message, emoji, users_max))]

    def has_reacted(self, room: RoomRow, target: int, emoji: str, user: str) -> bool:
        return self._query_one(HAS_REACTED, (room.number << SEQ_BITS | target, emoji, user)) is not None

    def add_reaction(self, room: RoomRow, target: int, emoji: str, user: str, seq: int) -> None:
        self._execute(ADD_REACTION, (room.number << SEQ_BITS | target, emoji, user, seq))

    def remove_reaction(self, room: RoomRow, target: int, emoji: str, user: str) -> None:
        self._execute(DELETE_REACTION, (room.number << SEQ_BITS | target, emoji, user))

    def remove_reactions(self, room: RoomRow, target: int) -> None:
        self._execute(DELETE_REACTIONS, (room.number << SEQ_BITS | target,))

    def role(self, room: RoomRow, user: str) -> int:
        found = self._query_one(ROLE, (room.number, user))
        return int(found[0]) if found else 0

    def set_role(self, room: RoomRow, user: str, role: int) -> None:
        if role:
            self._consent_not_needed.discard((room.number, user))
            self._execute(SET_ROLE, (room.number, user, role, room.head + 1))
        else:
            self._execute(DELETE_ROLE, (room.number, user))

    def needs_consent(self, room: RoomRow, user: str) -> bool:
        key = (room.number, user)
        if key in self._consent_not_needed:
            return False
        # Collected messages need not be inserted for this: they change no member.
        if select_one(self._connection, NEEDS_CONSENT, key) is not None:
            return True
        if len(self._consent_not_needed) >= self._cached_consents_max:
            self._consent_not_needed.clear()
        self._consent_not_needed.add(key)
        return False

    def set_consent(self, room: RoomRow, user: str, consented: bool) -> None:
        self._consent_not_needed.discard((room.number, user))
        self._execute(SET_CONSENT, (int(consented), room.number, user))

    def has_other_owner(self, room: RoomRow, user: str) -> bool:
        return self._query_one(HAS_OTHER_OWNER, (room.number, user)) is not None

    def next_owner(self, room: RoomRow) -> str:
        found = self._query_one(NEXT_OWNER, (room.number,))
        return str(found[0]) if found else ""

    def hidden_at_head(self, room: RoomRow, user: str) -> int:
        found = self._query_one(HIDDEN, (room.number, user))
        return int(found[0]) if found else 0

    def set_hidden_at_head(self, room: RoomRow, user: str, head: int) -> None:
        self._execute(SET_HIDDEN, (head, room.number, user))

    def positions(self, room: RoomRow, user: str) -> tuple[int, int]:
        found = self._query_one(POSITIONS, (room.number, user))
        return (found[0], found[1]) if found else (0, 0)

    def set_positions(self, room: RoomRow, user: str, delivered: int, read: int) -> None:
        self._execute(SET_POSITIONS, (room.number, user, delivered, read))

    def set_last_seen(self, user: str, at_ms: int) -> None:
        self._execute(SET_LAST_SEEN, (user, at_ms))

    def _query_event(self, sql: str, values: tuple[Any, ...]) -> EventRow | None:
        found = self._query_one(sql, values)
        return None if found is None else EventRow(*found)

    def _query_one(self, sql: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        self._flush_inserts()
        return select_one(self._connection, sql, values)

    def _execute(self, sql: str, values: tuple[Any, ...]) -> None:
        self._flush_inserts()
        self._begin()
        self._connection.execute(sql, values)
