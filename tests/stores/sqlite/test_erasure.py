"""What was deleted, or replaced by an edit, leaves all files of the data folder."""

import asyncio
import random
import threading
import time
from pathlib import Path

import apsw
import pytest

from kits.store.factories import create_open_room, new_deletion, new_edit, new_message
from stores.sqlite.faulty_disk import FaultyDisk
from tidings.contract import v1
from tidings.domain.ports.store import StoredEvent
from tidings.stores.change_set import ChangeSet, RoomChanges
from tidings.stores.sqlite import checkpointer
from tidings.stores.sqlite.corrupt_events import CorruptEvents
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.problems import StoreProblems
from tidings.stores.sqlite.search import indexer
from tidings.stores.sqlite.search.index_file import open_index
from tidings.stores.sqlite.store import SqliteStore
from tidings.stores.tables import RoomRow

NEVER = SqliteLimits(erase_seconds_max=3_600)
SOON = SqliteLimits(erase_seconds_max=0.02)
FIRST, SECOND, CJK = "qwertyhorse77", "staplebattery", "麒麟鳳凰"


def files_containing(data: Path, *words: str) -> set[str]:
    """The names of the files that hold one of the words, or the same in the terms of the index."""
    needles = [word.encode() for word in words] + [word[:2].encode() for word in words if not word.isascii()]
    return {file.name for file in data.iterdir() if any(needle in file.read_bytes() for needle in needles)}


async def wait_until_erased(data: Path) -> None:
    """Until no file holds one of the words."""
    while files_containing(data, FIRST, SECOND, CJK):  # noqa: ASYNC110  files have no events
        await asyncio.sleep(0.02)


def vacuum(data: Path) -> None:
    """What the guide says of a stopped service."""
    for file in data.glob("search.sqlite*"):
        file.unlink()
    database = apsw.Connection(str(data / "tidings.sqlite"))
    database.execute("VACUUM")
    database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    database.close()


async def send_edit_delete(store: SqliteStore) -> None:
    """Three words that must be erased: one edited away, one deleted, one edited in and then deleted."""
    room = await create_open_room(store)
    for text in (f"the {FIRST}", f"the {CJK}", "harmless", "words that stay"):
        await store.append(new_message(room, "ann", text))
    assert len((await store.search(FIRST, rooms=[room], sender="", page_token="", limit=9)).events) == 1
    await store.append(new_edit(room, "ann", 1, "harmless"))
    await store.append(new_deletion(room, "ann", 2))
    await store.append(new_edit(room, "ann", 3, SECOND))
    assert len((await store.search(SECOND, rooms=[room], sender="", page_token="", limit=9)).events) == 1
    await store.append(new_deletion(room, "ann", 3))


@pytest.mark.asyncio
async def test_texts_leave_all_files_while_the_service_runs(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SOON)
    await send_edit_delete(store)
    await wait_until_erased(tmp_path)
    assert len(files_containing(tmp_path, "stay")) > 0
    await store.close()


@pytest.mark.asyncio
async def test_texts_leave_the_files_though_the_index_is_never_idle(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(erase_seconds_max=0.02, index_delay_seconds=3_600))
    await send_edit_delete(store)
    while files_containing(tmp_path, FIRST, SECOND, CJK):
        await store.append(new_message("lobby", "ann", "and on it goes"))
    await store.close()


@pytest.mark.asyncio
async def test_texts_have_left_all_files_when_the_service_has_stopped(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, NEVER)
    await send_edit_delete(store)
    # The write-ahead log still holds them: what the two tests above wait for.
    assert "tidings.sqlite-wal" in files_containing(tmp_path, FIRST, SECOND, CJK)
    await store.search("x", rooms=["lobby"], sender="", page_token="", limit=1)
    await store.close()
    assert files_containing(tmp_path, FIRST, SECOND, CJK) == set()


@pytest.mark.asyncio
async def test_texts_that_a_crash_left_in_the_files_leave_them_after_the_next_start(tmp_path: Path) -> None:
    crashed = await SqliteStore.open(tmp_path / "crashed", NEVER)
    await send_edit_delete(crashed)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    for file in (tmp_path / "crashed").iterdir():
        (data / file.name).write_bytes(file.read_bytes())
        (data / file.name).chmod(0o600)
    await crashed.close()
    assert files_containing(data, FIRST, SECOND, CJK)
    store = await SqliteStore.open(data, SqliteLimits(erase_seconds_max=0.02, index_delay_seconds=3_600))
    await wait_until_erased(data)
    await store.close()


@pytest.mark.asyncio
async def test_what_a_split_of_a_page_may_leave_in_its_unused_space_goes_as_the_security_policy_says(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)
    store = await SqliteStore.open(tmp_path, SqliteLimits(index_delay_seconds=0.001, erase_seconds_max=3_600))
    rooms = [await create_open_room(store, f"room{number}") for number in range(12)]
    withdrawn: list[str] = []
    alive: list[tuple[str, int, str]] = []
    for _ in range(15):
        for _ in range(60):
            room, word = chance.choice(rooms), f"zq{chance.randrange(10**12):012}"
            filling = " ".join(chance.choices(["lorem", "ipsum", "dolor", "sit"], k=chance.randrange(60)))
            written = await store.append(new_message(room, "ann", f"{filling} {word}"))
            alive.append((room, written.seq, word))
        for _ in range(15):
            room, seq, word = alive.pop(chance.randrange(len(alive)))
            gone = new_deletion(room, "ann", seq) if chance.random() < 0.5 else new_edit(room, "ann", seq, "another")
            await store.append(gone)
            withdrawn.append(word)
    await store.search("zq", rooms=rooms, sender="", page_token="", limit=1)
    await store.close()
    vacuum(tmp_path)
    store = await SqliteStore.open(tmp_path)
    assert len((await store.search("zq", rooms=rooms, sender="", page_token="", limit=999)).events) == len(alive)
    await store.close()
    assert {word: files_containing(tmp_path, word) for word in withdrawn if files_containing(tmp_path, word)} == {}
    assert all(files_containing(tmp_path, word) == {"tidings.sqlite", "search.sqlite"} for _, _, word in alive)


@pytest.mark.asyncio
async def test_a_full_disk_puts_erasing_off_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointer, "FULL_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(indexer, "FULL_RETRY_SECONDS", 0.02)
    disk = FaultyDisk()
    store = await SqliteStore.open(tmp_path, SOON, vfs=disk.name)
    disk.is_full_for = lambda file: not file.endswith("-wal")
    await send_edit_delete(store)
    while not all(disk.full_errors[file] > 1 for file in ("tidings.sqlite", "search.sqlite")):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    disk.is_full_for = lambda file: False
    await wait_until_erased(tmp_path)
    assert store.problems() == []
    await store.close()


def test_a_copy_that_a_full_disk_refused_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "FULL_RETRY_SECONDS", 3_600.0)
    disk = FaultyDisk()
    path = str(tmp_path / "log.sqlite")
    writer, checkpoint_connection = apsw.Connection(path, vfs=disk.name), apsw.Connection(path, vfs=disk.name)
    writer.pragma("journal_mode", "wal")
    writer.wal_autocheckpoint(0)
    writer.execute("CREATE TABLE texts (text)")
    checkpoint_connection.execute("SELECT text FROM texts").fetchall()
    disk.is_full = True
    copying = checkpointer.Checkpointer(writer, checkpoint_connection, 100, lambda: None, 0.0)
    while not disk.full_errors:
        time.sleep(0.001)
    copying.stop()
    assert (copying._seconds_to_erase() or 0.0) > 60.0
    disk.is_full = False
    writer.close()


@pytest.mark.asyncio
async def test_what_is_replaced_while_files_are_erased_waits_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    await store.append(new_message(room, "ann", "text 1"))
    await store.close()
    index = open_index(tmp_path / "search.sqlite", tmp_path / "tidings.sqlite")
    problems = StoreProblems()
    limits = SqliteLimits(erase_seconds_max=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: None)  # the test takes the thread's steps
        steps = indexer.Indexer(index, asyncio.get_running_loop(), limits, CorruptEvents(problems), problems)
    ((number, epoch),) = index.execute("SELECT number, epoch FROM log.rooms WHERE name = ?", (room,)).fetchall()
    record = RoomRow(number, room, v1.GROUP, "", "", epoch, 0, b"")
    for _ in range(2):
        change_set = ChangeSet()
        change_set.has_replaced_text = True
        change_set.rooms[number] = RoomChanges(record, [StoredEvent(1, b"")], {}, [])
        steps.on_commit(change_set)
        steps._drain_commits()
        steps._index_chunk()
    # Indexed, then erased, though the room had changed again by then.
    assert (tmp_path / "search.sqlite-wal").stat().st_size == 0
    index.close()
