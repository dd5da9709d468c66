"""The index of words follows the logs, whatever happens to its file."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest
import structlog.testing

from kits.store.assertions import raises_api_error
from kits.store.factories import create_open_room, new_edit, new_message, texts
from kits.store.search_kit import CASES, MESSAGES
from tidings.contract.errors import Code
from tidings.domain.ports.store import Store
from tidings.stores.memory.store import MemoryStore
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.search import fts_query, indexer
from tidings.stores.sqlite.search.index_file import IndexResult, find_lagging_rooms, index_room, open_index
from tidings.stores.sqlite.store import DATABASE_FILE, INDEX_FILE, SqliteStore


async def search_texts(store: Store, words: str, *rooms: str) -> list[str]:
    """The texts that are found, newest first."""
    return texts((await store.search(words, rooms=rooms, sender="", page_token="", limit=100)).events)


async def send_texts(data: Path, *words: str) -> None:
    """A room with these messages, all of them indexed."""
    store = await SqliteStore.open(data)
    room = await create_open_room(store)
    for text in words:
        await store.append(new_message(room, "ann", text))
    assert await search_texts(store, "word", room) == list(reversed(words))
    await store.close()


def lose_index(data: Path) -> None:
    """Its files are deleted."""
    for file in data.glob(f"{INDEX_FILE}*"):
        file.unlink()


@pytest.mark.asyncio
async def test_an_index_that_is_gone_is_made_anew(tmp_path: Path) -> None:
    await send_texts(tmp_path, "word one", "word two")
    lose_index(tmp_path)
    store = await SqliteStore.open(tmp_path)
    assert await search_texts(store, "word", "lobby") == ["word two", "word one"]
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", [b"", b"no database at all " * 1000])
async def test_an_index_that_is_damaged_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    await send_texts(tmp_path, "word one", "word two")
    (tmp_path / INDEX_FILE).write_bytes(damage)
    with structlog.testing.capture_logs() as lines:
        store = await SqliteStore.open(tmp_path)
    assert [line["event"] for line in lines][-1:] == ["the search index is rebuilt from the logs"]
    assert await search_texts(store, "word", "lobby") == ["word two", "word one"]
    await store.close()


@pytest.mark.asyncio
async def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    await send_texts(tmp_path, "word one")
    connection = apsw.Connection(str(tmp_path / INDEX_FILE))
    connection.execute("DROP TABLE words; PRAGMA user_version = 9999")
    connection.close()
    store = await SqliteStore.open(tmp_path)
    assert await search_texts(store, "word", "lobby") == ["word one"]
    await store.close()


@pytest.mark.asyncio
async def test_an_index_that_is_ahead_of_a_restored_backup_forgets_what_is_not_there(tmp_path: Path) -> None:
    await send_texts(tmp_path, "word one")
    shutil.copy(tmp_path / DATABASE_FILE, tmp_path / "backup")
    store = await SqliteStore.open(tmp_path)
    await create_open_room(store, "later")
    for room in ("lobby", "later"):
        await store.append(new_message(room, "ann", "word two"))
    assert await search_texts(store, "word", "lobby", "later") == ["word two", "word two", "word one"]
    await store.close()
    shutil.move(tmp_path / "backup", tmp_path / DATABASE_FILE)
    store = await SqliteStore.open(tmp_path)
    await create_open_room(store, "other")
    await store.append(new_message("other", "ann", "something else"))
    assert await search_texts(store, "word", "lobby", "later", "other") == ["word one"]
    assert await search_texts(store, "else", "other") == ["something else"]
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("texts_of_the_other_log", [1, 2, 3])
async def test_the_index_of_another_log_with_the_same_room_number_is_cleared_whatever_the_length_of_the_logs(
    tmp_path: Path, texts_of_the_other_log: int
) -> None:
    await send_texts(tmp_path / "ours", "word one", "word two")
    await send_texts(tmp_path / "other", *[f"word other {number}" for number in range(texts_of_the_other_log)])
    for file in (tmp_path / "other").glob(f"{DATABASE_FILE}*"):
        file.replace(tmp_path / "ours" / file.name)
    store = await SqliteStore.open(tmp_path / "ours")
    assert await search_texts(store, "one", "lobby") == []
    assert len(await search_texts(store, "other", "lobby")) == texts_of_the_other_log
    await store.close()


@pytest.mark.asyncio
async def test_an_index_that_is_complete_is_not_rebuilt_by_the_next_start(tmp_path: Path) -> None:
    await send_texts(tmp_path, "word one", "word two")
    connection = open_index(tmp_path / INDEX_FILE, tmp_path / DATABASE_FILE)
    before = connection.total_changes()
    assert find_lagging_rooms(connection) == {}
    assert connection.total_changes() == before
    connection.close()


@pytest.mark.asyncio
async def test_an_edit_that_was_not_indexed_before_the_end_is_found_after_it(tmp_path: Path) -> None:
    await send_texts(tmp_path, "word one")
    store = await SqliteStore.open(tmp_path, SqliteLimits(index_delay_seconds=3600))
    await store.append(new_edit("lobby", "ann", 1, "another"))
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await search_texts(store, "word", "lobby") == []
    assert await search_texts(store, "another", "lobby") == ["another"]
    await store.close()


@pytest.mark.asyncio
async def test_a_search_waits_for_its_own_rooms_when_much_is_not_indexed(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(index_delay_seconds=3600))
    busy, quiet = await create_open_room(store, "busy"), await create_open_room(store, "quiet")
    await asyncio.gather(*(store.append(new_message(busy, "ann", f"word {number}")) for number in range(3_000)))
    await store.append(new_message(quiet, "ann", "word"))
    assert await search_texts(store, "word", quiet) == ["word"]
    assert len((await store.search("word", rooms=[busy], sender="", page_token="", limit=5_000)).events) == 3_000
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("limits", [SqliteLimits(index_delay_seconds=0.0), SqliteLimits(unindexed_events_max=10)])
async def test_the_index_catches_up_without_being_asked(tmp_path: Path, limits: SqliteLimits) -> None:
    store = await SqliteStore.open(tmp_path, limits)
    room = await create_open_room(store)
    index = apsw.Connection(str(tmp_path / INDEX_FILE))
    while not index.execute("SELECT seq FROM rooms WHERE seq > 20").fetchall():
        await store.append(new_message(room, "ann", "word"))
    index.close()
    await store.close()


@pytest.mark.asyncio
async def test_long_texts_are_indexed_and_removed_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "CHUNK_BYTES", 3_000)
    sizes: list[int] = []

    def noted(*arguments: Any) -> IndexResult:
        done = index_room(*arguments)
        sizes.append(done.events)
        return done

    monkeypatch.setattr(indexer, "index_room", noted)
    store = await SqliteStore.open(tmp_path, SqliteLimits(index_delay_seconds=3_600))
    room = await create_open_room(store)
    for number in range(6):
        await store.append(new_message(room, "ann", f"word {number} {'long ' * 180}"))
    assert len(await search_texts(store, "word", room)) == 6
    assert sizes == [3, 3]
    sizes.clear()
    for number in range(6):
        await store.append(new_edit(room, "ann", number + 1, f"another {number}"))
    assert len(await search_texts(store, "another", room)) == 6
    assert sizes == [1] * 6
    await store.append(new_message(room, "ann", "word " * 5_000))
    assert len(await search_texts(store, "word", room)) == 1
    await store.close()


@pytest.mark.asyncio
async def test_when_the_index_breaks_only_searching_is_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(index_delay_seconds=3600))
    room = await create_open_room(store)
    breaker = apsw.Connection(str(tmp_path / INDEX_FILE))
    breaker.execute("DROP TABLE words")
    breaker.close()
    await store.append(new_message(room, "ann", "word"))
    for _ in range(2):
        with raises_api_error(Code.UNAVAILABLE):
            await search_texts(store, "word", room)
    assert (await store.append(new_message(room, "ann", "word"))).seq == 2
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await search_texts(store, "word", room) == ["word", "word"]
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("rare_max", "rooms_few", "endings_max"), [(500, 0, 200), (0, 0, 200), (0, 0, 1), (0, 100, 200), (3, 2, 3)]
)
async def test_every_way_of_searching_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rare_max: int, rooms_few: int, endings_max: int
) -> None:
    monkeypatch.setattr(fts_query, "RARE_MATCHES_MAX", rare_max)
    monkeypatch.setattr(fts_query, "FEW_ROOMS_MAX", rooms_few)
    monkeypatch.setattr(fts_query, "PREFIX_TERMS_MAX", endings_max)
    disk, memory = await SqliteStore.open(tmp_path), MemoryStore()
    rooms = [f"room{number}" for number in range(6)]
    for store in (disk, memory):
        for room in rooms:
            await create_open_room(store, room)
        for number, text in enumerate(MESSAGES * 3):
            await store.append(
                new_message(rooms[number % 5], f"user{number % 2}", text, client_id="", at_ms=number // 4)
            )
    for asked, _ in CASES:
        for sender in ("", "user1"):
            pages = ["", ""]
            while True:
                one = await disk.search(asked, rooms=rooms[1:], sender=sender, page_token=pages[0], limit=2)
                two = await memory.search(asked, rooms=rooms[1:], sender=sender, page_token=pages[1], limit=2)
                assert one.events == two.events, asked
                assert bool(one.next_page_token) == bool(two.next_page_token), asked
                pages = [one.next_page_token, two.next_page_token]
                if not one.next_page_token:
                    break
    await disk.close()
