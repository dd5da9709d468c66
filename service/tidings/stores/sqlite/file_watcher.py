"""Checks that the files of a running store are still where they were opened.

Everything written to a database file that was removed or replaced would be lost with its last descriptor. So writing
stops, reading continues, and the content is copied to a rescue file, which the next start names. A removed lock file
would let a second service use the directory: the lock is acquired again.
"""

import asyncio
import os

import apsw

from tidings.contract.errors import ApiError
from tidings.stores.sqlite.corrupt_events import CorruptEvents
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.files import DatabaseLostError, OpenedFile, create_rescue_file, recovery_command
from tidings.stores.sqlite.lock import LOCK_FILE, DataLock
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.sqlite.reader_pool import ReaderPool
from tidings.stores.sqlite.writer import Writer


class FileWatcher:
    """`run` checks periodically until it is cancelled."""

    def __init__(
        self,
        database: OpenedFile,
        lock: DataLock,
        problems: StoreProblems,
        corrupt_events: CorruptEvents,
        reader_pool: ReaderPool,
        interval_seconds: float,
    ) -> None:
        self._database = database
        self._lock = lock
        self._problems = problems
        self._corrupt_events = corrupt_events
        self._reader_pool = reader_pool
        self._interval_seconds = interval_seconds

    def check_database(self) -> None:
        """Raise DatabaseLostError when the database file was removed, replaced or emptied. From any thread."""
        reason = self._database.loss_reason()
        if reason:
            raise DatabaseLostError(f"{self._database.path} {reason} while the service runs")

    async def run(self, writer: Writer) -> None:
        """Check every `file_check_interval_seconds`. A lost database makes the writer fail by an empty commit."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await asyncio.to_thread(self._check_lock_file)
            if await asyncio.to_thread(self._database.loss_reason):
                writer.commit_empty()
            await self._reader_pool.read(self._corrupt_events.recheck)

    def _check_lock_file(self) -> None:
        if self._lock.is_intact():
            return
        path = self._database.path.with_name(LOCK_FILE)
        try:
            self._lock.reacquire()
        except StoreError as error:
            self._problems.report(LOCK_FILE, f"{path} was removed and cannot be created again: {error}")
        else:
            self._problems.report(
                LOCK_FILE,
                f"{path} was removed while the service runs, and was created again; keep other programs out of "
                f"{path.parent}, then restart the service",
            )

    async def rescue_database(self, lost: DatabaseLostError) -> None:
        """Copy the database, which is still open, to a rescue file, and report the command that restores it."""
        database = self._database.path
        self._problems.report(
            database.name, f"{lost}: nothing more is written, reading continues; do not stop the service yet"
        )
        try:
            path = await asyncio.to_thread(create_rescue_file, database.parent)
            await self._reader_pool.read(lambda reader: _copy_database(reader, str(path)))
        except (ApiError, OSError) as error:
            advice = f"its content could not be copied ({error}); restore a backup"
        else:
            advice = f"its content was copied; stop the service, then run: {recovery_command(database, path)}"
        self._problems.report(database.name, f"{lost}: nothing more is written, reading continues; {advice}")


def _copy_database(reader: apsw.Connection, path: str) -> None:
    try:
        reader.execute("VACUUM INTO ?", (path,))
    except BaseException:
        os.unlink(path)
        raise
