"""Opening the database and migrating its schema.

Migrations are numbered SQL files, applied in order, each in its own transaction together with its row in `migrations`.
A released file is never changed: its checksum is in the database, and a different one stops the start before any write.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

from tidings.stores.sqlite.connections import configure_writer, select, select_one
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.limits import SqliteLimits

APPLICATION_ID = 0x54494449  # "TIDI", in the file's header
_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """The migrations of this release, in order."""
    files = Path(__file__).with_name("migrations").iterdir()
    return sorted(
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in files
        if (match := _FILE_NAME.fullmatch(file.name))
    )


def pending_migrations(connection: apsw.Connection, known: Sequence[Migration]) -> list[Migration]:
    """The migrations that `migrate` would apply. StoreError for a database that this release must not change."""
    path = connection.filename
    if connection.pragma("application_id") != APPLICATION_ID:
        if select_one(connection, "SELECT 1 FROM sqlite_schema LIMIT 1"):
            raise StoreError(f"{path} is a database of another program; name another data directory")
        return list(known)
    applied: dict[int, str] = {row[0]: row[1] for row in select(connection, "SELECT number, checksum FROM migrations")}
    newest = max(applied, default=0)
    if newest > known[-1].number:
        raise StoreError(
            f"{path} was written by a newer Tidings (schema {newest}, this one knows {known[-1].number}); "
            "install that release, or restore an older backup"
        )
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise StoreError(
                f"{path} was migrated with another version of migration {migration.number:04}_{migration.name}; "
                "install an official release of Tidings"
            )
    return [migration for migration in known if migration.number not in applied]


def migrate(connection: apsw.Connection, known: Sequence[Migration]) -> None:
    """Apply the pending migrations."""
    for migration in pending_migrations(connection, known):
        with connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                " checksum TEXT NOT NULL, applied_at_ms INTEGER NOT NULL) STRICT"
            )
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.number, migration.name, migration.checksum, time.time_ns() // 1_000_000),
            )


def open_writer(path: Path, limits: SqliteLimits, vfs: str | None = None) -> apsw.Connection:
    """Open the connection that writes, and migrate the database to this release. StoreError when that fails."""
    try:
        connection = apsw.Connection(str(path), vfs=vfs)
        try:
            configure_writer(connection, limits)
            migrate(connection, known_migrations())
        except BaseException:
            connection.close()
            raise
    except (apsw.NotADBError, apsw.CorruptError):
        raise StoreError(f"{path} is damaged; restore a backup, or move the file away to start empty") from None
    except apsw.FullError:
        raise StoreError(f"the disk of {path} is full; free space and start again") from None
    except apsw.Error as error:
        raise StoreError(f"{path} cannot be opened for writing ({error}); check its permissions and its disk") from None
    return connection
