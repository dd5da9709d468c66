"""What was deleted, or replaced by an edit, leaves all files of the data folder."""

import asyncio
import random
import threading
import time
from pathlib import Path

import apsw
import pytest

from stores.drafts import deleted, edited, open_room, posted
from stores.faulty_disk import FaultyDisk
from tidings.contract import v1
from tidings.domain.ports import StoredEvent
from tidings.stores import checkpoints, indexer
from tidings.stores.condition import Condition
from tidings.stores.damage import Damage
from tidings.stores.index_file import open_index
from tidings.stores.limits import StoreLimits
from tidings.stores.rows import Room
from tidings.stores.rules import Entry, Journal
from tidings.stores.sqlite import SqliteStore

NEVER = StoreLimits(erase_seconds_max=3_600)
SOON = StoreLimits(erase_seconds_max=0.02)
FIRST, SECOND, CJK = "qwertyhorse77", "staplebattery", "麒麟鳳凰"


def holding(data: Path, *words: str) -> set[str]:
    """The names of the files that hold one of the words, or the same in the terms of the index."""
    needles = [word.encode() for word in words] + [word[:2].encode() for word in words if not word.isascii()]
    return {file.name for file in data.iterdir() if any(needle in file.read_bytes() for needle in needles)}


async def until_gone(data: Path) -> None:
    """Until no file holds one of the words."""
    while holding(data, FIRST, SECOND, CJK):  # noqa: ASYNC110  files tell nobody
        await asyncio.sleep(0.02)


def rewrite(data: Path) -> None:
    """What the guide says of a stopped service."""
    for file in data.glob("search.sqlite*"):
        file.unlink()
    database = apsw.Connection(str(data / "tidings.sqlite"))
    database.execute("VACUUM")
    database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    database.close()


async def said_and_withdrawn(store: SqliteStore) -> None:
    """Three words that nobody shall read any more: one edited away, one deleted, one edited in and then deleted."""
    room = await open_room(store)
    for text in (f"the {FIRST}", f"the {CJK}", "harmless", "words that stay"):
        await store.append(posted(room, "ann", text))
    assert len((await store.search(FIRST, rooms=[room], sender="", page="", limit=9)).events) == 1
    await store.append(edited(room, "ann", 1, "harmless"))
    await store.append(deleted(room, "ann", 2))
    await store.append(edited(room, "ann", 3, SECOND))
    assert len((await store.search(SECOND, rooms=[room], sender="", page="", limit=9)).events) == 1
    await store.append(deleted(room, "ann", 3))


@pytest.mark.asyncio
async def test_texts_leave_all_files_while_the_service_runs(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SOON)
    await said_and_withdrawn(store)
    await until_gone(tmp_path)
    assert len(holding(tmp_path, "stay")) > 0
    await store.close()


@pytest.mark.asyncio
async def test_texts_leave_the_files_though_the_index_is_never_idle(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, StoreLimits(erase_seconds_max=0.02, index_idle_seconds=3_600))
    await said_and_withdrawn(store)
    while holding(tmp_path, FIRST, SECOND, CJK):
        await store.append(posted("lobby", "ann", "and on it goes"))
    await store.close()


@pytest.mark.asyncio
async def test_texts_have_left_all_files_when_the_service_has_stopped(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, NEVER)
    await said_and_withdrawn(store)
    # The write-ahead log still holds them: what the two tests above wait for.
    assert "tidings.sqlite-wal" in holding(tmp_path, FIRST, SECOND, CJK)
    await store.search("x", rooms=["lobby"], sender="", page="", limit=1)
    await store.close()
    assert holding(tmp_path, FIRST, SECOND, CJK) == set()


@pytest.mark.asyncio
async def test_texts_that_a_crash_left_in_the_files_leave_them_after_the_next_start(tmp_path: Path) -> None:
    crashed = await SqliteStore.open(tmp_path / "crashed", NEVER)
    await said_and_withdrawn(crashed)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    for file in (tmp_path / "crashed").iterdir():
        (data / file.name).write_bytes(file.read_bytes())
        (data / file.name).chmod(0o600)
    await crashed.close()
    assert holding(data, FIRST, SECOND, CJK)
    store = await SqliteStore.open(data, StoreLimits(erase_seconds_max=0.02, index_idle_seconds=3_600))
    await until_gone(data)
    await store.close()


@pytest.mark.asyncio
async def test_what_a_split_of_a_page_may_leave_in_its_unused_space_goes_as_the_security_policy_says(
    tmp_path: Path,
) -> None:
    chance = random.Random(7)
    store = await SqliteStore.open(tmp_path, StoreLimits(index_idle_seconds=0.001, erase_seconds_max=3_600))
    rooms = [await open_room(store, f"room{number}") for number in range(12)]
    withdrawn: list[str] = []
    alive: list[tuple[str, int, str]] = []
    for _ in range(15):
        for _ in range(60):
            room, word = chance.choice(rooms), f"zq{chance.randrange(10**12):012}"
            filling = " ".join(chance.choices(["lorem", "ipsum", "dolor", "sit"], k=chance.randrange(60)))
            written = await store.append(posted(room, "ann", f"{filling} {word}"))
            alive.append((room, written.seq, word))
        for _ in range(15):
            room, seq, word = alive.pop(chance.randrange(len(alive)))
            gone = deleted(room, "ann", seq) if chance.random() < 0.5 else edited(room, "ann", seq, "another")
            await store.append(gone)
            withdrawn.append(word)
    await store.search("zq", rooms=rooms, sender="", page="", limit=1)
    await store.close()
    rewrite(tmp_path)
    store = await SqliteStore.open(tmp_path)
    assert len((await store.search("zq", rooms=rooms, sender="", page="", limit=999)).events) == len(alive)
    await store.close()
    assert {word: holding(tmp_path, word) for word in withdrawn if holding(tmp_path, word)} == {}
    assert all(holding(tmp_path, word) == {"tidings.sqlite", "search.sqlite"} for _, _, word in alive)


@pytest.mark.asyncio
async def test_a_full_disk_puts_erasing_off_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "FULL_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(indexer, "FULL_PAUSE_SECONDS", 0.02)
    disk = FaultyDisk()
    store = await SqliteStore.open(tmp_path, SOON, vfs=disk.name)
    disk.full_for = lambda file: not file.endswith("-wal")
    await said_and_withdrawn(store)
    while not all(disk.refusals[file] > 1 for file in ("tidings.sqlite", "search.sqlite")):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    disk.full_for = lambda file: False
    await until_gone(tmp_path)
    assert store.troubles() == []
    await store.close()


def test_a_copy_that_a_full_disk_refused_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "FULL_RETRY_SECONDS", 3_600.0)
    disk = FaultyDisk()
    path = str(tmp_path / "log.sqlite")
    writer, copier = apsw.Connection(path, vfs=disk.name), apsw.Connection(path, vfs=disk.name)
    writer.pragma("journal_mode", "wal")
    writer.wal_autocheckpoint(0)
    writer.execute("CREATE TABLE texts (text)")
    copier.execute("SELECT text FROM texts").fetchall()
    disk.is_full = True
    copying = checkpoints.Checkpoints(writer, copier, 100, lambda: None, 0.0)
    while not disk.refusals:
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
    room = await open_room(store)
    await store.append(posted(room, "ann", "text 1"))
    await store.close()
    index = open_index(tmp_path / "search.sqlite", tmp_path / "tidings.sqlite")
    condition = Condition()
    limits = StoreLimits(erase_seconds_max=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda thread: None)  # the test takes the thread's steps
        steps = indexer.Indexer(index, asyncio.get_running_loop(), limits, Damage(condition), condition)
    ((number, epoch),) = index.execute("SELECT number, epoch FROM log.rooms WHERE name = ?", (room,)).fetchall()
    record = Room(number, room, v1.GROUP, "", "", epoch, 0, b"")
    for _ in range(2):
        journal = Journal()
        journal.replaces_text = True
        journal.rooms[number] = Entry(record, [StoredEvent(1, b"")], {}, [])
        steps.committed(journal)
        steps._note()
        steps._work()
    # Indexed, then erased, though the room had changed again by then.
    assert (tmp_path / "search.sqlite-wal").stat().st_size == 0
    index.close()
