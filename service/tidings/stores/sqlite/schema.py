"""Opening the database: what it must be, how connections are set up, how it grows from release to release.

Migrations are numbered SQL files, applied in order, each in a transaction of its own together with the note that it was
applied. A file that was released is never changed: its checksum stands in the database, and another one stops the
service before it writes.
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
        """Of its text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known_migrations() -> list[Migration]:
    """Those of this release, in order."""
    files = Path(__file__).with_name("migrations").iterdir()
    return sorted(
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in files
        if (match := _FILE_NAME.fullmatch(file.name))
    )


def pending_migrations(connection: apsw.Connection, known: Sequence[Migration]) -> list[Migration]:
    """What `migrate` would do. StoreError for a database that this release must not touch."""
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
                f"{path} was made with another text of migration {migration.number:04}_{migration.name}; "
                "install an official release of Tidings"
            )
    return [migration for migration in known if migration.number not in applied]


def migrate(connection: apsw.Connection, known: Sequence[Migration]) -> None:
    """Bring the database to this release."""
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
    """The connection that writes, on a database of this release's schema. StoreError otherwise."""
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
        raise StoreError(f"the disk of {path} is full; make room and start again") from None
    except apsw.Error as error:
        raise StoreError(f"{path} cannot be opened for writing ({error}); check its permissions and its disk") from None
    return connection
