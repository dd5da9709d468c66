"""Connections to SQLite: how they are set up, and queries with typed rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.limits import SqliteLimits

BUSY_TIMEOUT_MS = 10_000  # how long a statement waits for a lock of another program, a backup for example


def select(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """The rows, as they are fetched. Their columns' types are those of the statement."""
    return cast(Iterator[tuple[Any, ...]], connection.execute(sql, values))


def select_one(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row, or None."""
    return next(select(connection, sql, values), None)


def open_reader(path: Path, limits: SqliteLimits, vfs: str | None = None) -> apsw.Connection:
    """A connection that reads. It does not copy the WAL when it closes: the writer does."""
    connection = apsw.Connection(str(path), vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # No text may reach a temporary file.
    connection.pragma("temp_store", "memory")
    connection.pragma("cache_size", -(limits.reader_cache_bytes // 1024))
    connection.wal_autocheckpoint(0)
    return connection


def configure_writer(connection: apsw.Connection, limits: SqliteLimits) -> None:
    """Set up the connection that writes. StoreError when its file cannot be written to or shared."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if connection.readonly("main"):
        raise StoreError(f"{connection.filename} is read-only; give this user the right to write to it")
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StoreError(
            f"{connection.filename} is on a file system without shared memory (WAL mode failed); use a local disk"
        )
    # Durable once acknowledged: the WAL is synced at every commit.
    connection.pragma("synchronous", "full")
    # Deleted content is overwritten. Rows of logs are seldom deleted, so this costs next to nothing.
    connection.pragma("secure_delete", True)
    connection.pragma("cache_size", -(limits.writer_cache_bytes // 1024))
    # Statements that change many rows keep a journal to undo it; no text may reach a temporary file.
    connection.pragma("temp_store", "memory")
    # `Checkpointer` copies the WAL into the database: it sees the errors, and no commit waits for the copy.
    connection.wal_autocheckpoint(0)
