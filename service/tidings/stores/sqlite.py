"""The store on disk: one SQLite database with all logs, an index of words beside it, and a lock on the directory.

    tidings.sqlite   the truth: rooms, logs, members, positions (`migrations/`)
    search.sqlite    the index of words, made from the logs and rebuilt when it is gone (`index_file`)
    lock             held by the process that serves the directory

One thread writes (`writer`), one copies the WAL into the database (`checkpoints`), two read (`readers`), one keeps the
index (`indexer`). The loop never touches a file.

To back up: copy `tidings.sqlite` with SQLite's own backup or `VACUUM INTO` while the service runs, or the files while
it does not. `search.sqlite` need not be kept.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import apsw

from tidings.contract import v1
from tidings.domain.ports import (
    Committed,
    Head,
    InboxRecord,
    MemberRecord,
    Membership,
    Page,
    RoomRecord,
    SearchPage,
    StoredEvent,
    Written,
)
from tidings.stores import rules, search, sql_reads
from tidings.stores.asking import ask
from tidings.stores.condition import Condition
from tidings.stores.damage import Damage, is_sound
from tidings.stores.errors import StoreError
from tidings.stores.files import FilesLost, InPlace, check_database, make_private, report_wide_modes
from tidings.stores.index_file import attach_index, open_index
from tidings.stores.indexer import Indexer
from tidings.stores.limits import DEFAULTS, StoreLimits
from tidings.stores.lock import DataLock
from tidings.stores.readers import Readers
from tidings.stores.schema import open_reader, open_writer
from tidings.stores.tokens import seal, unseal
from tidings.stores.watching import FileWatch
from tidings.stores.words import phrases
from tidings.stores.writer import Writer

T = TypeVar("T")

DATABASE = "tidings.sqlite"
INDEX = "search.sqlite"


class _Opened(NamedTuple):
    """Everything that was opened, by whose it will be."""

    lock: DataLock
    database: InPlace
    writer: apsw.Connection
    copier: apsw.Connection
    readers: Sequence[apsw.Connection]
    indexing: apsw.Connection
    secret: bytes
    older_names: frozenset[str]


class SqliteStore:
    """A `domain.ports.Store`. Made by `open`, inside the loop that will use it."""

    def __init__(self, opened: _Opened, limits: StoreLimits) -> None:
        loop = asyncio.get_running_loop()
        self._limits = limits
        self._lock = opened.lock
        self._connection = opened.writer
        self._secret = opened.secret
        self._older_names = opened.older_names
        self._condition = Condition()
        self._damage = Damage(self._condition)
        self._readers = Readers(opened.readers, loop, limits.waiting_reads_max, self._condition)
        self._watch = FileWatch(
            opened.database, opened.lock, self._condition, self._damage, self._readers, limits.check_seconds
        )
        self._indexer = Indexer(opened.indexing, loop, limits, self._damage, self._condition)
        self._writer = Writer(opened.writer, opened.copier, loop, limits, self._indexer.committed, self._watch.check)
        self._writer.on_failure(self._writing_ended)
        self._report: Callable[[Exception], None] | None = None
        self._error: Exception | None = None
        self._rescuing: asyncio.Task[None] | None = None
        self._watching = loop.create_task(self._watch.run(self._writer))
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, directory: Path | str, limits: StoreLimits = DEFAULTS, *, vfs: str | None = None
    ) -> "SqliteStore":
        """Use a data directory, made if need be. StoreError, one line that says what to do, when it cannot be used.

        `vfs` names the SQLite VFS to go through: for tests that make a disk fail.
        """
        opened = await asyncio.to_thread(_open, Path(directory), limits, vfs)
        return cls(opened, limits)

    # the life of the store

    async def close(self) -> None:
        """Write what waits, put everything into the database, release the directory. Idempotent."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        self._watching.cancel()
        if self._rescuing is not None:
            await self._rescuing
        self._writer.close()
        await asyncio.to_thread(self._writer.join)
        self._readers.close()
        await asyncio.to_thread(self._readers.join)
        self._indexer.close()
        await asyncio.to_thread(self._indexer.join)
        # The last one to close: it takes the empty WAL away.
        await asyncio.to_thread(self._connection.close)
        self._lock.release()

    def on_committed(self, listener: Committed) -> None:
        """See `ports.Store`."""
        self._writer.listener = listener

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """See `ports.Store`."""
        self._report = report
        if self._error is not None:
            asyncio.get_running_loop().call_soon(report, self._error)

    def _writing_ended(self, error: Exception) -> None:
        if isinstance(error, FilesLost):
            self._rescuing = asyncio.get_running_loop().create_task(self._watch.rescue(error))
        self._error = error
        if self._report is not None:
            self._report(error)

    def older_names(self) -> Collection[str]:
        """See `ports.Store`."""
        return self._older_names

    def troubles(self) -> Sequence[str]:
        """See `ports.Store`."""
        return self._condition.reasons()

    def on_transaction(self, observe: Callable[[float], None]) -> None:
        """See `ports.Store`."""
        self._writer.observe = observe

    # Log

    def append(self, draft: v1.Event, *, moderates: bool = False) -> asyncio.Future[Written]:
        """See `ports.Log`."""
        return self._writer.append(draft, moderates)

    async def head(self, room: str) -> Head:
        """See `ports.Log`."""
        return await self._readers.run(lambda reader: sql_reads.head(reader, room))

    async def read(self, room: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `ports.Log`."""
        bytes_max = self._limits.read_bytes_max
        return await self._readers.run(
            lambda reader: self._damage.checked(reader, room, sql_reads.read(reader, room, after, limit, bytes_max))
        )

    async def page(self, room: str, *, before: int | None, after: int | None, limit: int) -> Page:
        """See `ports.Log`."""
        bytes_max = self._limits.page_bytes_max

        def look(reader: apsw.Connection) -> Page:
            page = sql_reads.page(reader, room, before=before, after=after, limit=limit, bytes_max=bytes_max)
            return page._replace(events=self._damage.checked(reader, room, page.events))

        return await self._readers.run(look)

    async def search(self, words: str, *, rooms: Sequence[str], sender: str, page: str, limit: int) -> SearchPage:
        """See `ports.Log`. What was committed in these rooms before the call is found."""
        behind = unseal(self._secret, page, words, sender) if page else None
        wanted = phrases(words)
        if not wanted:
            return SearchPage([], "")
        numbers = await self._readers.run(lambda reader: sql_reads.numbers(reader, rooms))
        await self._indexer.caught_up(numbers)
        found = await self._readers.run(lambda reader: search.find(reader, numbers, wanted, sender, behind, limit + 1))
        following = seal(self._secret, found[limit - 1].place, words, sender) if len(found) > limit else ""
        return SearchPage([one.event for one in found[:limit] if is_sound(*one.event)], following)

    # Directory

    async def create_room(
        self,
        room: str,
        *,
        kind: int,
        title: str,
        creator: str,
        members: Sequence[str],
        at_ms: int,
        created_max: int = 0,
    ) -> tuple[RoomRecord, Sequence[StoredEvent]]:
        """See `ports.Directory`."""
        return await self._writer.write(
            lambda tables, journal: rules.create_room(
                tables, journal, room, kind, title, creator, members, at_ms, created_max
            ),
            actor=creator,
            names=len(members),
        )

    async def room(self, room: str) -> RoomRecord | None:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.room(reader, room))

    async def role(self, room: str, user: str) -> int:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.role(reader, room, user))

    async def has_owner_besides(self, room: str, user: str) -> bool:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.has_owner_besides(reader, room, user))

    async def standing(self, room: str, user: str) -> Membership:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.standing(reader, room, user))

    async def sharing(self, user: str, others: Sequence[str]) -> set[str]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.sharing(reader, user, others))

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.members(reader, room, after, limit))

    async def rooms_of(self, user: str, *, after: str, limit: int) -> Sequence[InboxRecord]:
        """See `ports.Directory`."""
        return await self._readers.run(
            lambda reader: self._lasts(reader, sql_reads.rooms_of(reader, user, after, limit))
        )

    async def inbox(self, user: str, rooms: Sequence[str]) -> Sequence[InboxRecord]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: self._lasts(reader, sql_reads.inbox(reader, user, rooms)))

    def _lasts(self, reader: apsw.Connection, records: Sequence[InboxRecord]) -> Sequence[InboxRecord]:
        """The same with last messages that can be read."""
        return [
            record
            if record.last is None or is_sound(*record.last)
            else replace(record, last=self._damage.checked(reader, record.room.room, [record.last])[0])
            for record in records
        ]

    async def names_of(self, user: str) -> Sequence[str]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.names_of(reader, user))

    async def public_rooms(self, *, after: str, limit: int) -> Sequence[RoomRecord]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.public_rooms(reader, after, limit))

    async def mark(self, room: str, user: str, *, delivered: int, read: int) -> tuple[int, int, bool]:
        """See `ports.Directory`."""
        return await self._writer.write(
            lambda tables, journal: rules.mark(tables, journal, room, user, delivered, read), actor=user
        )

    async def hide(self, room: str, user: str, *, hidden: bool) -> bool:
        """See `ports.Directory`."""
        return await self._writer.write(lambda tables, _: rules.hide(tables, room, user, hidden), actor=user)

    async def last_seen(self, users: Sequence[str]) -> dict[str, int]:
        """See `ports.Directory`."""
        return await self._readers.run(lambda reader: sql_reads.last_seen(reader, users))

    async def saw(self, user: str, at_ms: int) -> None:
        """See `ports.Directory`."""
        await self._writer.write(lambda tables, _: tables.set_last_seen(user, at_ms))


def _open(directory: Path, limits: StoreLimits, vfs: str | None) -> _Opened:
    """All files, or none: whatever was opened before an error is closed again."""
    lock = DataLock.take(directory)
    connections: list[apsw.Connection] = []
    database, index_path = directory / DATABASE, directory / INDEX
    try:
        check_database(database)
        make_private(database)
        writer = open_writer(database, limits, vfs)
        connections.append(writer)
        ((secret,),) = ask(writer, "SELECT pages FROM secrets")
        older_names = frozenset(name for (name,) in ask(writer, "SELECT name FROM older_names"))
        copier = open_reader(database, limits, vfs)
        connections.append(copier)
        index = open_index(index_path, database, vfs)
        connections.append(index)
        for _ in range(limits.readers):
            reader = open_reader(database, limits, vfs)
            connections.append(reader)
            attach_index(reader, index_path)
    except (apsw.Error, OSError) as error:
        failure = StoreError(f"{directory} cannot be used for the data ({error}); check its disk and its permissions")
    except StoreError as error:
        failure = error
    else:
        report_wide_modes(directory)
        return _Opened(lock, InPlace.of(database), writer, copier, connections[3:], index, secret, older_names)
    for connection in connections:
        connection.close()
    lock.release()
    raise failure from None


def memory_bytes() -> int:
    """What SQLite holds in this process: the page caches of all connections, and little else."""
    return apsw.memory_used()
