"""The store on disk: a SQLite database with all logs, a search index, and a lock on the directory.

    tidings.sqlite   the data: rooms, logs, members, positions (`migrations/`)
    search.sqlite    the search index, made from the logs and rebuilt when it is missing (`index_file`)
    lock             held by the process that serves the directory

One thread writes (`writer`), one copies the WAL into the database (`checkpointer`), `reader_threads` read
(`reader_pool`), and one updates the index (`indexer`). The loop never accesses a file.

To back up: copy `tidings.sqlite` with SQLite's backup or `VACUUM INTO` while the service runs, or the files while it
does not. `search.sqlite` need not be copied.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import apsw

from tidings.contract import v1
from tidings.domain.ports.store import (
    AppendResult,
    CommitListener,
    EventPage,
    LogHead,
    MemberDecision,
    MemberRecord,
    Membership,
    RoomListEntry,
    RoomRecord,
    SearchPage,
    StoredEvent,
)
from tidings.stores import member_mutations, mutations
from tidings.stores.event_bytes import is_valid_event
from tidings.stores.page_token import decode_page_token, encode_page_token
from tidings.stores.sqlite import queries
from tidings.stores.sqlite.connections import open_reader, select
from tidings.stores.sqlite.corrupt_events import CorruptEvents
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.file_watcher import FileWatcher
from tidings.stores.sqlite.files import (
    DatabaseLostError,
    OpenedFile,
    check_database_file,
    make_private,
    warn_about_file_modes,
)
from tidings.stores.sqlite.limits import DEFAULT_LIMITS, SqliteLimits
from tidings.stores.sqlite.lock import DataLock
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.sqlite.reader_pool import ReaderPool
from tidings.stores.sqlite.schema import open_writer
from tidings.stores.sqlite.search import fts_query
from tidings.stores.sqlite.search.index_file import attach_index, open_index
from tidings.stores.sqlite.search.indexer import Indexer
from tidings.stores.sqlite.writer import Writer
from tidings.stores.tokenizer import parse_query

T = TypeVar("T")

DATABASE_FILE = "tidings.sqlite"
INDEX_FILE = "search.sqlite"


class _OpenHandles(NamedTuple):
    """Everything that `_open` opened."""

    lock: DataLock
    database: OpenedFile
    writer_connection: apsw.Connection
    checkpoint_connection: apsw.Connection
    reader_connections: Sequence[apsw.Connection]
    index_connection: apsw.Connection
    page_token_secret: bytes
    older_names: frozenset[str]


class SqliteStore:
    """A `domain.ports.store.Store`. Created by `open`, in the loop that uses it."""

    def __init__(self, handles: _OpenHandles, limits: SqliteLimits) -> None:
        loop = asyncio.get_running_loop()
        self._limits = limits
        self._lock = handles.lock
        self._connection = handles.writer_connection
        self._page_token_secret = handles.page_token_secret
        self._older_names = handles.older_names
        self._problems = StoreProblems()
        self._corrupt_events = CorruptEvents(self._problems)
        self._reader_pool = ReaderPool(handles.reader_connections, loop, limits.pending_reads_max, self._problems)
        self._file_watcher = FileWatcher(
            handles.database,
            handles.lock,
            self._problems,
            self._corrupt_events,
            self._reader_pool,
            limits.file_check_interval_seconds,
        )
        self._indexer = Indexer(handles.index_connection, loop, limits, self._corrupt_events, self._problems)
        self._writer = Writer(
            handles.writer_connection,
            handles.checkpoint_connection,
            loop,
            limits,
            self._indexer.on_commit,
            self._file_watcher.check_database,
        )
        self._writer.on_failure(self._on_write_failure)
        self._on_failure: Callable[[Exception], None] | None = None
        self._error: Exception | None = None
        self._rescue_task: asyncio.Task[None] | None = None
        self._watch_task = loop.create_task(self._file_watcher.run(self._writer))
        self._close_task: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, directory: Path | str, limits: SqliteLimits = DEFAULT_LIMITS, *, vfs: str | None = None
    ) -> "SqliteStore":
        """Open a data directory, created if it is missing. StoreError, one line with the fix, when it cannot be used.

        `vfs` names the SQLite VFS to use: for tests that make a disk fail.
        """
        handles = await asyncio.to_thread(_open, Path(directory), limits, vfs)
        return cls(handles, limits)

    # --- lifetime

    async def close(self) -> None:
        """Execute the waiting writes, copy the WAL, release the directory. Idempotent."""
        if self._close_task is None:
            self._close_task = asyncio.create_task(self._close())
        await asyncio.shield(self._close_task)

    async def _close(self) -> None:
        self._watch_task.cancel()
        if self._rescue_task is not None:
            await self._rescue_task
        self._writer.close()
        await asyncio.to_thread(self._writer.join)
        self._reader_pool.close()
        await asyncio.to_thread(self._reader_pool.join)
        self._indexer.close()
        await asyncio.to_thread(self._indexer.join)
        # The last connection to close: it removes the empty WAL.
        await asyncio.to_thread(self._connection.close)
        self._lock.release()

    def on_committed(self, listener: CommitListener) -> None:
        """See `ports.Store`."""
        self._writer.commit_listener = listener

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """See `ports.Store`."""
        self._on_failure = report
        if self._error is not None:
            asyncio.get_running_loop().call_soon(report, self._error)

    def _on_write_failure(self, error: Exception) -> None:
        if isinstance(error, DatabaseLostError):
            self._rescue_task = asyncio.get_running_loop().create_task(self._file_watcher.rescue_database(error))
        self._error = error
        if self._on_failure is not None:
            self._on_failure(error)

    def legacy_names(self) -> Collection[str]:
        """See `ports.Store`."""
        return self._older_names

    def problems(self) -> Sequence[str]:
        """See `ports.Store`."""
        return self._problems.descriptions()

    def on_transaction(self, observe: Callable[[float], None]) -> None:
        """See `ports.Store`."""
        self._writer.on_transaction = observe

    # Log

    def append(self, draft: v1.Event, *, moderates: bool = False) -> asyncio.Future[AppendResult]:
        """See `ports.store.RoomLog`."""
        return self._writer.append(draft, moderates)

    def change_member(self, draft: v1.Event, decision: MemberDecision) -> asyncio.Future[AppendResult]:
        """See `ports.store.RoomLog`."""
        return self._writer.write(
            lambda tables, change_set: mutations.change_member(tables, change_set, draft, decision), actor=draft.actor
        )

    async def head(self, room: str) -> LogHead:
        """See `ports.store.RoomLog`."""
        return await self._reader_pool.read(lambda reader: queries.head(reader, room))

    async def heads(self, rooms: Sequence[str]) -> dict[str, LogHead]:
        """See `ports.store.RoomLog`."""
        return await self._reader_pool.read(lambda reader: queries.heads(reader, rooms))

    async def read(self, room: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `ports.store.RoomLog`."""
        bytes_max = self._limits.read_bytes_max
        return await self._reader_pool.read(
            lambda reader: self._corrupt_events.replace_corrupt(
                reader, room, queries.read(reader, room, after, limit, bytes_max)
            )
        )

    async def page(self, room: str, *, before: int | None, after: int | None, limit: int) -> EventPage:
        """See `ports.store.RoomLog`."""
        bytes_max = self._limits.page_bytes_max

        def read_page(reader: apsw.Connection) -> EventPage:
            page = queries.page(reader, room, before=before, after=after, limit=limit, bytes_max=bytes_max)
            return page._replace(events=self._corrupt_events.replace_corrupt(reader, room, page.events))

        return await self._reader_pool.read(read_page)

    async def search(self, words: str, *, rooms: Sequence[str], sender: str, page_token: str, limit: int) -> SearchPage:
        """See `ports.store.RoomLog`. Finds everything that was committed in these rooms before the call."""
        older_than = decode_page_token(self._page_token_secret, page_token, words, sender) if page_token else None
        phrases = parse_query(words)
        if not phrases:
            return SearchPage([], "")
        numbers = await self._reader_pool.read(lambda reader: queries.room_numbers(reader, rooms))
        await self._indexer.wait_until_indexed(numbers)
        hits = await self._reader_pool.read(
            lambda reader: fts_query.search_messages(reader, numbers, phrases, sender, older_than, limit + 1)
        )
        next_page = (
            encode_page_token(self._page_token_secret, hits[limit - 1].position, words, sender)
            if len(hits) > limit
            else ""
        )
        return SearchPage([hit.event for hit in hits[:limit] if is_valid_event(*hit.event)], next_page)

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
        """See `ports.store.RoomDirectory`."""
        return await self._writer.write(
            lambda tables, change_set: member_mutations.create_room(
                tables, change_set, room, kind, title, creator, members, at_ms, created_max
            ),
            actor=creator,
            user_count=len(members),
        )

    async def room(self, room: str) -> RoomRecord | None:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.room(reader, room))

    async def role(self, room: str, user: str) -> int:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.role(reader, room, user))

    async def has_other_owner(self, room: str, user: str) -> bool:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.has_other_owner(reader, room, user))

    async def membership(self, room: str, user: str) -> Membership:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.kind_and_role(reader, room, user))

    async def users_sharing_room(self, user: str, others: Sequence[str]) -> set[str]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.users_sharing_room(reader, user, others))

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.members(reader, room, after, limit))

    async def room_list_page(self, user: str, *, after: str, limit: int) -> Sequence[RoomListEntry]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(
            lambda reader: self._with_readable_last(reader, queries.room_list_page(reader, user, after, limit))
        )

    async def room_list_entries(self, user: str, rooms: Sequence[str]) -> Sequence[RoomListEntry]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(
            lambda reader: self._with_readable_last(reader, queries.room_list_entries(reader, user, rooms))
        )

    def _with_readable_last(self, reader: apsw.Connection, records: Sequence[RoomListEntry]) -> Sequence[RoomListEntry]:
        """The same entries with damaged last messages replaced."""
        return [
            record
            if record.last is None or is_valid_event(*record.last)
            else replace(record, last=self._corrupt_events.replace_corrupt(reader, record.room.room, [record.last])[0])
            for record in records
        ]

    async def room_names_of(self, user: str) -> Sequence[str]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.room_names_of(reader, user))

    async def public_rooms(self, *, after: str, limit: int) -> Sequence[RoomRecord]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.public_rooms(reader, after, limit))

    async def advance_positions(self, room: str, user: str, *, delivered: int, read: int) -> tuple[int, int, bool]:
        """See `ports.store.RoomDirectory`."""
        return await self._writer.write(
            lambda tables, change_set: member_mutations.advance_positions(
                tables, change_set, room, user, delivered, read
            ),
            actor=user,
        )

    async def set_hidden(self, room: str, user: str, *, hidden: bool) -> bool:
        """See `ports.store.RoomDirectory`."""
        return await self._writer.write(
            lambda tables, _: member_mutations.set_hidden(tables, room, user, hidden), actor=user
        )

    async def last_seen(self, users: Sequence[str]) -> dict[str, int]:
        """See `ports.store.RoomDirectory`."""
        return await self._reader_pool.read(lambda reader: queries.last_seen(reader, users))

    async def set_last_seen(self, user: str, at_ms: int) -> None:
        """See `ports.store.RoomDirectory`."""
        await self._writer.write(lambda tables, _: tables.set_last_seen(user, at_ms))


def _open(directory: Path, limits: SqliteLimits, vfs: str | None) -> _OpenHandles:
    """Open all files; after an error all of them are closed again."""
    lock = DataLock.acquire(directory)
    connections: list[apsw.Connection] = []
    database, index_path = directory / DATABASE_FILE, directory / INDEX_FILE
    try:
        check_database_file(database)
        make_private(database)
        writer_connection = open_writer(database, limits, vfs)
        connections.append(writer_connection)
        ((secret,),) = select(writer_connection, "SELECT pages FROM secrets")
        older_names = frozenset(name for (name,) in select(writer_connection, "SELECT name FROM older_names"))
        checkpoint_connection = open_reader(database, limits, vfs)
        connections.append(checkpoint_connection)
        index_connection = open_index(index_path, database, vfs)
        connections.append(index_connection)
        for _ in range(limits.reader_threads):
            reader = open_reader(database, limits, vfs)
            connections.append(reader)
            attach_index(reader, index_path)
    except (apsw.Error, OSError) as error:
        store_error = StoreError(
            f"{directory} cannot be used for the data ({error}); check its disk and its permissions"
        )
    except StoreError as error:
        store_error = error
    else:
        warn_about_file_modes(directory)
        return _OpenHandles(
            lock,
            OpenedFile.at_path(database),
            writer_connection,
            checkpoint_connection,
            connections[3:],
            index_connection,
            secret,
            older_names,
        )
    for connection in connections:
        connection.close()
    lock.release()
    raise store_error from None


def sqlite_memory_bytes() -> int:
    """The memory of SQLite in this process in bytes: mostly the page caches of all connections."""
    return apsw.memory_used()
