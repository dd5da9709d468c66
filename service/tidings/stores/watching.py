"""Looks whether the files of a running store are where they were opened.

A database that was removed or replaced would take everything with it that is written into it: its file has no name any
more. So nothing more is written, reading goes on, and what there is is copied to a file that the next start tells of. A
lock that was removed would let a second service in: it is taken again.
"""

import asyncio
import os

import apsw

from tidings.contract.errors import Failure
from tidings.stores.condition import Condition
from tidings.stores.damage import Damage
from tidings.stores.errors import StoreError
from tidings.stores.files import FilesLost, InPlace, recovery, rescue_path
from tidings.stores.lock import LOCK_FILE, DataLock
from tidings.stores.readers import Readers
from tidings.stores.writer import Writer


class FileWatch:
    """`run` looks now and then, until it is cancelled."""

    def __init__(
        self, database: InPlace, lock: DataLock, condition: Condition, damage: Damage, readers: Readers, seconds: float
    ) -> None:
        self._database = database
        self._lock = lock
        self._condition = condition
        self._damage = damage
        self._readers = readers
        self._seconds = seconds

    def check(self) -> None:
        """FilesLost when the database is no longer where it was. From any thread."""
        fault = self._database.fault()
        if fault:
            raise FilesLost(f"{self._database.path} {fault} while the service runs")

    async def run(self, writer: Writer) -> None:
        """Look every `check_seconds`; when the database is gone, have the writer find out by an empty commit."""
        while True:
            await asyncio.sleep(self._seconds)
            await asyncio.to_thread(self._look_for_lock)
            if await asyncio.to_thread(self._database.fault):
                writer.commit_nothing()
            await self._readers.run(self._damage.look_again)

    def _look_for_lock(self) -> None:
        if self._lock.is_in_place():
            return
        path = self._database.path.with_name(LOCK_FILE)
        try:
            self._lock.take_again()
        except StoreError as error:
            self._condition.note(LOCK_FILE, f"{path} was removed, and it cannot be made again: {error}")
        else:
            self._condition.note(
                LOCK_FILE,
                f"{path} was removed while the service runs, and was made again; keep other programs out of "
                f"{path.parent}, then restart the service",
            )

    async def rescue(self, lost: FilesLost) -> None:
        """Copy the database that is still open to a file with a name, and say how to go on with it."""
        database = self._database.path
        self._condition.note(
            database.name, f"{lost}: nothing more is written, and reading goes on; do not stop the service yet"
        )
        try:
            path = await asyncio.to_thread(rescue_path, database.parent)
            await self._readers.run(lambda reader: _copy(reader, str(path)))
        except (Failure, OSError) as error:
            advice = f"what is in it could not be copied ({error}); restore a backup"
        else:
            advice = f"what was in it was copied; stop the service, then: {recovery(database, path)}"
        self._condition.note(database.name, f"{lost}: nothing more is written, and reading goes on; {advice}")


def _copy(reader: apsw.Connection, path: str) -> None:
    try:
        reader.execute("VACUUM INTO ?", (path,))
    except BaseException:
        os.unlink(path)
        raise
