"""The file of the full-text index, and updating it.

The index follows the logs with a cursor per room, which is stored in the same transaction as the terms. A message needs
no further write for it, and a crash loses nothing: missing events are read from the logs again. So the file may be
deleted; it is rebuilt.

Every term begins with the number of its room (`fts_query.room_prefix`), so the rows that a search reads, and its time,
depend only on the terms of the rooms that it searches.

The table `texts` keeps the tokens that each message was indexed with. FTS5 needs them to remove a message from its
segments at once and overwrite its terms (option `secure-delete`). A table that does not need them (option
`contentless_delete`) leaves the terms of deleted messages in the file until the segment is merged.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from google.protobuf.message import DecodeError

from tidings.contract import v1
from tidings.log import log
from tidings.stores.sqlite.connections import BUSY_TIMEOUT_MS, select, select_one
from tidings.stores.sqlite.files import make_private
from tidings.stores.sqlite.search.fts_query import INDEXED_PREFIX_CHARS, ROOM_PREFIX_CHARS, room_prefix, sender_token
from tidings.stores.tables import EDITED, EVENT_KINDS, POSTED, SEQ_BITS, SEQ_MAX, event_id_range
from tidings.stores.tokenizer import tokenize

INDEX_VERSION = 3  # of the tables and the tokenizer: a file with another version is rebuilt
CACHE_KIB = 32_768
# Removing a text takes about ten times as long as adding it: 0.25 s for the longest, in a large index.
REMOVAL_COST_FACTOR = 10
CHANGE_KINDS = {EDITED, EVENT_KINDS["deleted"]}

CREATE_TABLES = f"""
CREATE VIRTUAL TABLE words USING fts5(
  text, sender, content = '', columnsize = 0, tokenize = 'ascii',
  prefix = '{" ".join(str(ROOM_PREFIX_CHARS + chars) for chars in range(1, INDEXED_PREFIX_CHARS + 1))}');
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
CREATE TABLE texts (id INTEGER PRIMARY KEY, sender TEXT NOT NULL, tokens TEXT NOT NULL) STRICT;
CREATE TABLE rooms (number INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
PRAGMA user_version = {INDEX_VERSION};
"""
INSERT_TERMS = "INSERT INTO words (rowid, text, sender) VALUES (?, ?, ?)"
INSERT_TOKENS = "INSERT INTO texts (id, sender, tokens) VALUES (?, ?, ?)"
DELETE_TERMS = "INSERT INTO words (words, rowid, text, sender) VALUES ('delete', ?, ?, ?)"
TOKENS_LENGTH = "SELECT length(tokens) FROM texts WHERE id = ?"
SELECT_TOKENS = "SELECT id, sender, tokens FROM texts WHERE id BETWEEN ? AND ?"
DELETE_TOKENS = "DELETE FROM texts WHERE id BETWEEN ? AND ?"
CURSORS = "SELECT number, epoch, seq FROM rooms"
CURSOR = "SELECT seq FROM rooms WHERE number = ?"
SET_CURSOR = """INSERT INTO rooms (number, epoch, seq) VALUES (?, ?, ?)
          ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq"""
HEADS = f"""SELECT number, epoch, coalesce((SELECT id FROM log.events
            WHERE id BETWEEN number << {SEQ_BITS} AND (number << {SEQ_BITS}) + {SEQ_MAX} ORDER BY id DESC LIMIT 1), 0)
            FROM log.rooms"""
EVENTS = "SELECT id, kind, actor, target, data FROM log.events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
EVENT = "SELECT id, kind, actor, target, data FROM log.events WHERE id = ?"


class IndexPosition(NamedTuple):
    """The head of a room's log, or the cursor of the index in it."""

    epoch: str
    seq: int


def open_index(path: Path, database: Path, vfs: str | None = None) -> apsw.Connection:
    """Open the connection that updates the index, with the logs attached as `log`.

    A file that cannot be read, or has another version, is replaced by an empty one.
    """
    if path.exists():
        connection = None
        try:
            connection = _connect(path, database, vfs)
            version = connection.pragma("user_version")
            if version == INDEX_VERSION:
                connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchall()
                return connection
            reason = f"it has version {version} and this release needs {INDEX_VERSION}"
        except apsw.Error as error:
            reason = f"it cannot be read: {error}"
        if connection is not None:
            connection.close()
        log.warning("the search index is rebuilt from the logs", reason=reason)
    remove_index(path)
    make_private(path)
    connection = _connect(path, database, vfs)
    connection.pragma("journal_mode", "wal")
    with connection:
        connection.execute(CREATE_TABLES)
    return connection


def remove_index(path: Path) -> None:
    """Remove its files; the next start rebuilds it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connect(path: Path, database: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("ATTACH ? AS log", (str(database),))
    # After a crash or power cut the file is consistent, but may lack the newest terms: the logs have them.
    connection.pragma("synchronous", "normal")
    # Deleted content is overwritten.
    connection.pragma("secure_delete", True)
    # No text may reach a temporary file.
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -CACHE_KIB)
    # Only the writer copies the WAL of the logs, even if it has failed and this connection is closed last.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def attach_index(reader: apsw.Connection, path: Path) -> None:
    """Attach the index to a connection that reads the logs, under the names that `fts_query` uses."""
    reader.execute("ATTACH ? AS search", (str(path),))
    reader.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('search', 'words', 'instance')")


def find_lagging_rooms(connection: apsw.Connection) -> dict[int, IndexPosition]:
    """Rooms with events after their cursors, with their heads. Terms of other logs (by epoch) are removed."""
    cursors = {number: IndexPosition(epoch, seq) for number, epoch, seq in select(connection, CURSORS)}
    behind: dict[int, IndexPosition] = {}
    for number, epoch, event_id in list(select(connection, HEADS)):
        head = IndexPosition(epoch, event_id & SEQ_MAX)
        cursor = cursors.pop(number, IndexPosition(epoch, 0))
        if cursor.epoch != epoch or cursor.seq > head.seq:
            _clear_room(connection, number, epoch)
            cursor = IndexPosition(epoch, 0)
        if cursor.seq < head.seq:
            behind[number] = head
    for number, cursor in cursors.items():
        _clear_room(connection, number, cursor.epoch)
    return behind


def _clear_room(connection: apsw.Connection, number: int, epoch: str) -> None:
    with connection:
        _remove_messages(connection, *event_id_range(number))
        connection.execute(SET_CURSOR, (number, epoch, 0))


class IndexResult(NamedTuple):
    """What one transaction indexed: the number of events, and whether it reached the head."""

    events: int
    is_complete: bool


def index_room(
    connection: apsw.Connection,
    number: int,
    head: IndexPosition,
    events_max: int,
    bytes_max: int,
    on_corrupt_event: Callable[[int], None],
) -> IndexResult:
    """Index events after a room's cursor, up to `events_max` events and `bytes_max`, but at least one event.

    A removed text counts REMOVAL_COST_FACTOR times its bytes. `on_corrupt_event` is called with the ids of events that
    cannot be parsed; they are not indexed.
    """
    first, _ = event_id_range(number)
    (cursor,) = select_one(connection, CURSOR, (number,)) or (0,)
    rows = list(select(connection, EVENTS, (first + cursor + 1, first + head.seq, events_max)))
    if not rows:
        return IndexResult(0, True)
    rows = _limit_to_bytes(connection, first, rows, bytes_max)
    with connection:
        new_ids = {event_id for event_id, *_ in rows}
        _add_messages(connection, rows, on_corrupt_event)
        for target in sorted({first + row[3] for row in rows if row[1] in CHANGE_KINDS} - new_ids):
            _remove_messages(connection, target, target)
            _add_messages(connection, list(select(connection, EVENT, (target,))), on_corrupt_event)
        last_seq = rows[-1][0] & SEQ_MAX
        connection.execute(SET_CURSOR, (number, head.epoch, last_seq))
    return IndexResult(len(rows), last_seq >= head.seq)


def _limit_to_bytes(
    connection: apsw.Connection, first: int, rows: list[tuple[Any, ...]], bytes_max: int
) -> list[tuple[Any, ...]]:
    """The first events that fit into `bytes_max`, at least one."""
    size = 0
    for index, (_, kind, _, target, data) in enumerate(rows):
        size += len(data)
        if kind in CHANGE_KINDS:
            (token_chars,) = select_one(connection, TOKENS_LENGTH, (first + target,)) or (0,)
            size += REMOVAL_COST_FACTOR * token_chars
        if size > bytes_max and index:
            return rows[:index]
    return rows


def _add_messages(
    connection: apsw.Connection, rows: Sequence[tuple[Any, ...]], on_corrupt_event: Callable[[int], None]
) -> None:
    """Index the messages among these events."""
    messages: list[tuple[int, str, str]] = []
    for event_id, kind, actor, _, data in rows:
        if kind == POSTED:
            try:
                text = v1.Event.FromString(data).posted.text
            except DecodeError:
                on_corrupt_event(event_id)
            else:
                messages.append((event_id, actor, " ".join(tokenize(text))))
    connection.executemany(INSERT_TOKENS, messages)
    connection.executemany(INSERT_TERMS, [_term_row(*message) for message in messages])


def _remove_messages(connection: apsw.Connection, first: int, last: int) -> None:
    """Remove the messages with ids from `first` to `last` from the index, overwriting their terms in the file."""
    connection.executemany(DELETE_TERMS, (_term_row(*row) for row in select(connection, SELECT_TOKENS, (first, last))))
    connection.execute(DELETE_TOKENS, (first, last))


def _term_row(event_id: int, sender: str, tokens: str) -> tuple[int, str, str]:
    """A row of `words`: id, terms of the text, term of the sender."""
    prefix = room_prefix(event_id >> SEQ_BITS)
    return event_id, " ".join([prefix + token for token in tokens.split()]), prefix + sender_token(sender)
