"""How messages reach the database: many in one statement, and one by one after a repetition was found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from kits.store.assertions import raises_api_error
from kits.store.factories import NOW_MS, create_open_room, new_deletion, new_edit, new_message, texts
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.stores import mutations
from tidings.stores.change_set import ChangeSet
from tidings.stores.member_mutations import create_room
from tidings.stores.sqlite.limits import DEFAULT_LIMITS
from tidings.stores.sqlite.schema import open_writer
from tidings.stores.sqlite.store import DATABASE_FILE, SqliteStore
from tidings.stores.sqlite.tables import DuplicateKeyError, SqliteTables
from tidings.stores.tables import SEQ_BITS, SEQ_MAX


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A new database, open for writing."""
    connection = open_writer(tmp_path / DATABASE_FILE, DEFAULT_LIMITS)
    yield connection
    connection.close()


@pytest.fixture
def tables(connection: apsw.Connection) -> SqliteTables:
    """The tables of a database with one open room, `lobby`."""
    tables = SqliteTables(connection, DEFAULT_LIMITS.cached_rooms_max, DEFAULT_LIMITS.cached_consents_max)
    create_room(tables, ChangeSet(), "lobby", v1.OPEN, "", "", [], NOW_MS)
    tables.commit()
    return tables


def count_inserts(connection: apsw.Connection) -> list[str]:
    """The statements that insert events from now on."""
    inserts: list[str] = []

    def record(_: apsw.Cursor, sql: str, __: Any) -> bool:
        if sql.startswith("INSERT") and "INTO events" in sql:
            inserts.append(sql)
        return True

    connection.exec_trace = record
    return inserts


def post(tables: SqliteTables, client_id: str, text: str = "hello") -> bool:
    """Append a message without committing; whether it was a repetition."""
    draft = new_message("lobby", "ann", text, client_id=client_id)
    return mutations.append(tables, ChangeSet(), draft).duplicate


def test_messages_of_one_commit_are_written_by_one_statement(tables: SqliteTables, connection: apsw.Connection) -> None:
    inserts = count_inserts(connection)
    for number in range(50):
        post(tables, f"key {number}")
    assert inserts == []
    tables.commit()
    assert len(inserts) == 1


def test_a_repetition_among_new_messages_is_found_by_the_commit_and_nothing_is_written(
    tables: SqliteTables, connection: apsw.Connection
) -> None:
    assert not post(tables, "first")
    assert not post(tables, "again")
    assert not post(tables, "again")  # taken for a new one
    with pytest.raises(DuplicateKeyError):
        tables.commit()
    assert connection.execute("SELECT count(*) FROM events").fetchall() == [(0,)]


def test_a_repetition_is_found_at_once_when_duplicates_are_checked(
    tables: SqliteTables, connection: apsw.Connection
) -> None:
    tables.check_duplicates = True
    inserts = count_inserts(connection)
    assert [post(tables, key) for key in ("first", "again", "again", "last")] == [False, False, True, False]
    tables.commit()
    assert len(inserts) == 4
    assert connection.execute(f"SELECT id & {SEQ_MAX} FROM events ORDER BY id").fetchall() == [(1,), (2,), (3,)]


async def open_store_at_seq(directory: Path, seq: int) -> SqliteStore:
    """A store whose room `lobby` has its head at `seq`, with one event there; the room after it has a message."""
    store = await SqliteStore.open(directory)
    await create_open_room(store, "lobby")
    await create_open_room(store, "next")
    await store.append(new_message("next", "ann", "another room"))
    await store.close()
    event = v1.Event(room="lobby", seq=seq, actor="ann", at_ms=NOW_MS, posted=v1.Posted(text="word of old"))
    connection = apsw.Connection(str(directory / DATABASE_FILE))
    ((number,),) = connection.execute("SELECT number FROM rooms WHERE name = 'lobby'").fetchall()
    connection.execute(
        "INSERT INTO events (id, kind, actor, client_id, at_ms, latest, target, data)"
        " VALUES (?, 10, 'ann', '', ?, ?, 0, ?)",
        (number << SEQ_BITS | seq, NOW_MS, seq, event.SerializeToString()),
    )
    connection.close()
    return await SqliteStore.open(directory)


@pytest.mark.asyncio
async def test_a_log_takes_events_up_to_the_last_seq_and_no_more(tmp_path: Path) -> None:
    store = await open_store_at_seq(tmp_path, SEQ_MAX - 1)
    last = await store.append(new_message("lobby", "ann", "the last word"))
    assert last.seq == SEQ_MAX
    for draft in (
        new_message("lobby", "ann", "too late"),
        new_edit("lobby", "ann", SEQ_MAX, "too late"),
        new_deletion("lobby", "ann", SEQ_MAX),
    ):
        with raises_api_error(Code.RESOURCE_EXHAUSTED):
            await store.append(draft)
    assert (await store.head("lobby")).seq == SEQ_MAX
    assert texts((await store.page("next", before=None, after=None, limit=9)).events) == ["another room"]
    await store.close()


@pytest.mark.asyncio
async def test_reads_at_the_last_seq_stay_in_their_room(tmp_path: Path) -> None:
    store = await open_store_at_seq(tmp_path, SEQ_MAX - 1)
    await store.append(new_message("lobby", "ann", "the last word"))
    both, first = ["word of old", "the last word"], ["word of old"]
    for after, expected in ((0, both), (SEQ_MAX - 2, both), (SEQ_MAX - 1, both[1:]), (SEQ_MAX, []), (2**53, [])):
        assert texts(await store.read("lobby", after, 9)) == expected
        assert texts((await store.page("lobby", before=None, after=after, limit=9)).events) == expected
    for before, expected in ((SEQ_MAX, first), (SEQ_MAX + 1, both), (2**53, both), (SEQ_MAX - 1, []), (0, [])):
        assert texts((await store.page("lobby", before=before, after=None, limit=9)).events) == expected
    found = await store.search("word", rooms=["lobby", "next"], sender="", page_token="", limit=9)
    assert texts(found.events) == both[::-1]
    await store.close()
