"""The file that holds the index of words, and how it is filled.

The index is a reader of the logs like any other: it has a cursor in every room, kept in the same transaction as what it
indexed, and goes on from there. Nothing has to be written down for it with a message, and nothing is lost in a crash;
what the file misses, the logs say. So the file may also be deleted: it is made anew.

The words of a message that was deleted are found no more, but stay in the file, without their text, until SQLite merges
the part of the index that they are in.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from tidings.contract import v1
from tidings.log import log
from tidings.stores.asking import ask, ask_one
from tidings.stores.rows import EDITED, KINDS, POSTED, SEQ_BITS, SEQ_MAX
from tidings.stores.schema import BUSY_MS
from tidings.stores.search import sender_token
from tidings.stores.sql_tables import bounds
from tidings.stores.words import TOKEN_CHARS_MAX, tokens

VERSION = 1  # of the tables and of how texts are cut up: a file with another one is made anew
CACHE_KIB = 32_768
# Tried once for each word, at its beginning.
LONG_WORD = re.compile(f"(?<![0-9A-Za-z])[0-9A-Za-z]{{{TOKEN_CHARS_MAX + 1}}}")
CHANGES = {EDITED, KINDS["deleted"]}

TABLES = f"""
CREATE VIRTUAL TABLE words USING fts5(
  text, sender, content = '', contentless_delete = 1, tokenize = 'ascii', prefix = '1 2');
CREATE TABLE rooms (number INTEGER PRIMARY KEY, epoch TEXT NOT NULL, seq INTEGER NOT NULL) STRICT;
PRAGMA user_version = {VERSION};
"""
ADD = "INSERT INTO words (rowid, text, sender) VALUES (?, ?, ?)"
DROP = "DELETE FROM words WHERE rowid = ?"
DROP_ROOM = "DELETE FROM words WHERE rowid BETWEEN ? AND ?"
CURSORS = "SELECT number, epoch, seq FROM rooms"
CURSOR = "SELECT seq FROM rooms WHERE number = ?"
MOVE = """INSERT INTO rooms (number, epoch, seq) VALUES (?, ?, ?)
          ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq"""
HEADS = f"""SELECT number, epoch, coalesce((SELECT id FROM log.events
            WHERE id BETWEEN number << {SEQ_BITS} AND (number << {SEQ_BITS}) + {SEQ_MAX} ORDER BY id DESC LIMIT 1), 0)
            FROM log.rooms"""
EVENTS = "SELECT id, kind, actor, target, data FROM log.events WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?"
EVENT = "SELECT id, kind, actor, target, data FROM log.events WHERE id = ?"


class Reached(NamedTuple):
    """How far one room's log goes, or has been indexed."""

    epoch: str
    seq: int


def open_index(path: Path, database: Path, vfs: str | None = None) -> apsw.Connection:
    """The connection that fills the index, with the logs attached as `log`.

    A file that cannot be read, or is of another version, is made anew.
    """
    if path.exists():
        connection = None
        try:
            connection = _connect(path, database, vfs)
            if connection.pragma("user_version") == VERSION:
                connection.execute("SELECT rowid FROM words WHERE words MATCH 'a' LIMIT 1").fetchall()
                return connection
        except apsw.Error as error:
            log.warning("the search index cannot be read", error=str(error))
        if connection is not None:
            connection.close()
        log.info("the search index is made anew from the logs")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    connection = _connect(path, database, vfs)
    connection.pragma("journal_mode", "wal")
    with connection:
        connection.execute(TABLES)
    return connection


def _connect(path: Path, database: Path, vfs: str | None) -> apsw.Connection:
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("ATTACH ? AS log", (str(database),))
    # Consistent after every crash and power cut, but not always the newest: the logs have the rest.
    connection.pragma("synchronous", "normal")
    connection.pragma("secure_delete", "fast")
    connection.pragma("cache_size", -CACHE_KIB)
    # The logs' WAL belongs to the writer, even if it has failed and this is the last one to close.
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def attach_index(reader: apsw.Connection, path: Path) -> None:
    """Let a reader of the logs look into the index, under the names that `search` uses."""
    reader.execute("ATTACH ? AS search", (str(path),))
    reader.execute("CREATE VIRTUAL TABLE temp.terms USING fts5vocab('search', 'words', 'instance')")


def unindexed(connection: apsw.Connection) -> dict[int, Reached]:
    """Rooms whose logs go on behind their cursors, with their heads. What is of another log is forgotten."""
    cursors = {number: Reached(epoch, seq) for number, epoch, seq in ask(connection, CURSORS)}
    behind: dict[int, Reached] = {}
    for number, epoch, event_id in list(ask(connection, HEADS)):
        head = Reached(epoch, event_id & SEQ_MAX)
        cursor = cursors.pop(number, Reached(epoch, 0))
        if cursor.epoch != epoch or cursor.seq > head.seq:
            _forget(connection, number, epoch)
            cursor = Reached(epoch, 0)
        if cursor.seq < head.seq:
            behind[number] = head
    for number, cursor in cursors.items():
        _forget(connection, number, cursor.epoch)
    return behind


def _forget(connection: apsw.Connection, number: int, epoch: str) -> None:
    with connection:
        connection.execute(DROP_ROOM, bounds(number))
        connection.execute(MOVE, (number, epoch, 0))


def index_room(connection: apsw.Connection, number: int, head: Reached, events_max: int) -> int:
    """Index up to `events_max` events behind a room's cursor; how many events that was, 0 at the head."""
    first, _ = bounds(number)
    (cursor,) = ask_one(connection, CURSOR, (number,)) or (0,)
    rows = list(ask(connection, EVENTS, (first + cursor + 1, first + head.seq, events_max)))
    if not rows:
        return 0
    with connection:
        fresh = {event_id for event_id, *_ in rows}
        connection.executemany(ADD, (_entry(row) for row in rows if row[1] == POSTED))
        for target in sorted({first + row[3] for row in rows if row[1] in CHANGES} - fresh):
            connection.execute(DROP, (target,))
            connection.executemany(ADD, (_entry(row) for row in ask(connection, EVENT, (target,)) if row[1] == POSTED))
        connection.execute(MOVE, (number, head.epoch, rows[-1][0] & SEQ_MAX))
    return len(rows)


def _entry(row: Sequence[Any]) -> tuple[int, str, str]:
    event_id, _, actor, _, data = row
    text = v1.Event.FromString(data).posted.text
    # The tokenizer cuts ASCII as `tokens` does, and is quicker.
    as_it_is = text.isascii() and not LONG_WORD.search(text)
    return event_id, text if as_it_is else " ".join(tokens(text)), sender_token(actor)
