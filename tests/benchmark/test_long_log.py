"""The long log of the benchmark is the one that the store would have written."""

from pathlib import Path
from typing import Any

import apsw
import pytest
from bench import long_log

from tidings.contract import v1
from tidings.stores.sqlite.search.fts_query import room_prefix
from tidings.stores.sqlite.store import SqliteStore

EVENTS = 60


def table(path: Path) -> list[tuple[Any, ...]]:
    connection = apsw.Connection(str(path / "tidings.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    found = list(connection.execute("SELECT * FROM events ORDER BY id"))
    connection.close()
    return found


@pytest.mark.asyncio
async def test_rows_in_bulk_are_those_that_the_store_writes(tmp_path: Path) -> None:
    bulk, slow = tmp_path / "bulk", tmp_path / "slow"
    first = await long_log.create_room(bulk) + 1
    made = list(long_log.event_rows(first, EVENTS))
    assert await long_log.create_room(slow) == first - 1
    store = await SqliteStore.open(slow)
    for *_, data in made:
        event = v1.Event.FromString(data)
        await store.append(v1.Event(room=event.room, actor=event.actor, client_id=event.client_id,
                                    at_ms=event.at_ms, posted=event.posted))  # fmt: skip
    await store.close()
    written = [(row[0], row[1], row[2], row[3], row[4], row[5], row[8]) for row in table(slow)][first - 1 :]
    assert written == made


def test_all_of_it_is_there_and_can_be_searched(tmp_path: Path) -> None:
    long_log.write_log(EVENTS, tmp_path)
    assert [row[0] & 0xFFFF for row in table(tmp_path)] == list(range(1, EVENTS + 1))
    common = room_prefix(long_log.ROOM_NUMBER) + long_log.COMMON
    index = apsw.Connection(str(tmp_path / "search.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    (found,) = index.execute("SELECT count(*) FROM words WHERE words MATCH ?", (common,)).fetchone() or (0,)
    (seq,) = index.execute("SELECT seq FROM rooms").fetchone() or (0,)
    index.close()
    assert found >= 5
    assert seq == EVENTS
