"""What happens to the files of a data folder while the service runs, and before: it is noticed, said, and survived."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
import structlog.testing

from kits.store.assertions import raises_api_error
from kits.store.factories import (
    create_open_room,
    new_deletion,
    new_edit,
    new_message,
    new_reaction,
    parse,
    read_all,
    texts,
)
from tidings.contract.errors import Code
from tidings.domain.ports.store import Store
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.files import DatabaseLostError
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.store import DATABASE_FILE, INDEX_FILE, SqliteStore

FREQUENT_CHECKS = SqliteLimits(file_check_interval_seconds=0.01)


async def open_store(data: Path, *words: str, limits: SqliteLimits = FREQUENT_CHECKS) -> SqliteStore:
    """A store with a room `lobby` and these messages."""
    store = await SqliteStore.open(data, limits)
    await create_open_room(store)
    for text in words:
        await store.append(new_message("lobby", "ann", text))
    return store


async def wait_until(problems: Callable[[], bool]) -> None:
    """Wait for what a thread of the store notices."""
    while not problems():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def wait_for_problem(store: Store) -> str:
    """What is said to be wrong, once something is."""
    await wait_until(lambda: bool(store.problems()))
    (reason,) = store.problems()
    return reason


def run_shell(command: str) -> None:
    """Do what the operator is told to."""
    subprocess.run(command, shell=True, check=True)


def lose_index(data: Path) -> None:
    for file in data.glob(f"{INDEX_FILE}*"):
        file.unlink()


async def search_texts(store: Store, words: str) -> list[str]:
    return texts((await store.search(words, rooms=["lobby"], sender="", page_token="", limit=9)).events)


@pytest.fixture
def generous_umask() -> object:
    """As most machines have it: files are readable for everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.asyncio
@pytest.mark.usefixtures("generous_umask")
async def test_all_files_are_for_their_owner_only(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "data", "word")
    assert await search_texts(store, "word") == ["word"]
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()}
    await store.close()
    names = {name + suffix for name in (DATABASE_FILE, INDEX_FILE) for suffix in ("", "-wal", "-shm")}
    assert modes == dict.fromkeys(names | {"lock"}, 0o600)


@pytest.mark.asyncio
@pytest.mark.usefixtures("generous_umask")
async def test_files_that_others_may_read_are_reported_with_a_command_that_helps(tmp_path: Path) -> None:
    data = tmp_path / "da ta"
    await (await open_store(data)).close()
    data.chmod(0o755)
    (data / DATABASE_FILE).chmod(0o644)
    with structlog.testing.capture_logs() as lines:
        await (await SqliteStore.open(data)).close()
    [warning] = [line for line in lines if "other users" in line["event"]]
    assert any(name.endswith(f"{DATABASE_FILE} (0644)") for name in warning["files"])
    run_shell(warning["fix"])
    with structlog.testing.capture_logs() as lines:
        await (await SqliteStore.open(data)).close()
    assert [line for line in lines if "other users" in line["event"]] == []


@pytest.mark.asyncio
async def test_an_empty_database_is_refused_until_it_is_removed(tmp_path: Path) -> None:
    await (await open_store(tmp_path)).close()
    (tmp_path / DATABASE_FILE).write_bytes(b"")
    with pytest.raises(StoreError, match=r"tidings\.sqlite is empty \(0 bytes\).*restore a backup, or remove the file"):
        await SqliteStore.open(tmp_path)
    (tmp_path / DATABASE_FILE).unlink()
    await (await SqliteStore.open(tmp_path)).close()


@pytest.mark.asyncio
async def test_a_write_ahead_log_without_its_database_is_not_thrown_away(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "running", "word")
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    wal = data / f"{DATABASE_FILE}-wal"
    wal.write_bytes((tmp_path / "running" / wal.name).read_bytes())
    await store.close()
    with pytest.raises(StoreError, match=r"tidings\.sqlite is missing, but tidings\.sqlite-wal is there"):
        await SqliteStore.open(data)
    assert wal.stat().st_size
    wal.unlink()
    await (await SqliteStore.open(data)).close()


def remove(database: Path) -> None:
    database.unlink()


def replace(database: Path) -> None:
    database.rename(database.with_name("moved"))
    database.write_bytes(b"another file")


@pytest.mark.asyncio
@pytest.mark.parametrize("harm", [remove, replace])
@pytest.mark.parametrize("written", [True, False])
async def test_a_database_that_is_taken_away_is_copied_and_the_advice_brings_it_back(
    tmp_path: Path, harm: Callable[[Path], None], written: bool
) -> None:
    store = await open_store(
        tmp_path, "word one", "word two", limits=SqliteLimits(file_check_interval_seconds=3_600 if written else 0.01)
    )
    told: list[Exception] = []
    store.on_failure(told.append)
    harm(tmp_path / DATABASE_FILE)
    if written:
        with raises_api_error(Code.UNAVAILABLE):
            await store.append(new_message("lobby", "ann", "not answered"))
    await wait_until(lambda: "its content was copied" in " ".join(store.problems()))
    reason = await wait_for_problem(store)
    assert f"{tmp_path / DATABASE_FILE} was re" in reason
    with raises_api_error(Code.UNAVAILABLE):
        await store.append(new_message("lobby", "ann", "not answered"))
    # Reading goes on, and the service does not end because of it.
    assert len(await read_all(store, "lobby")) == 2
    assert [type(error) for error in told] == [DatabaseLostError]
    await store.close()
    if harm is remove:
        with pytest.raises(StoreError, match="is missing; to continue with the copy"):
            await SqliteStore.open(tmp_path)
    run_shell(reason.partition("stop the service, then run: ")[2])
    store = await SqliteStore.open(tmp_path)
    assert texts(await read_all(store, "lobby")) == ["word one", "word two"]
    assert await search_texts(store, "word") == ["word two", "word one"]
    assert (tmp_path / DATABASE_FILE).stat().st_mode & 0o777 == 0o600
    await store.append(new_message("lobby", "ann", "word three"))
    await store.close()


@pytest.mark.asyncio
async def test_a_lock_that_was_removed_is_taken_again(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    (tmp_path / "lock").unlink()
    assert "lock was removed while the service runs, and was created again" in await wait_for_problem(store)
    with pytest.raises(StoreError, match="in use by another Tidings"):
        await SqliteStore.open(tmp_path)
    await store.append(new_message("lobby", "ann", "word"))
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert store.problems() == []
    await store.close()


async def open_corrupted(data: Path, seq: int, damage: bytes) -> SqliteStore:
    """Three messages, of which one is damaged and not indexed yet."""
    await (await open_store(data, "word one", "word two", "word three")).close()
    lose_index(data)
    connection = apsw.Connection(str(data / DATABASE_FILE))
    connection.execute("UPDATE events SET data = ? WHERE id & 0xfffffffff = ?", (damage, seq))
    connection.close()
    return await SqliteStore.open(data, FREQUENT_CHECKS)


DAMAGE = [b"", b"\xff\xff\xff", b"\0" * 60, b"This is no event."]


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_event_is_named_and_the_room_is_read_around_it(tmp_path: Path, damage: bytes) -> None:
    store = await open_corrupted(tmp_path, 2, damage)
    log = await read_all(store, "lobby")
    assert texts(log) == ["word one", "", "word three"]
    assert [event.seq for event in log] == [1, 2, 3]
    assert parse(log[1]).posted.deleted
    assert parse(log[1]).actor == "ann"
    page = await store.page("lobby", before=None, after=None, limit=9)
    assert texts(page.events) == ["word one", "", "word three"]
    assert await search_texts(store, "word") == ["word three", "word one"]
    assert "event 2 of room lobby is damaged" in await wait_for_problem(store)
    await store.close()


@pytest.mark.asyncio
async def test_a_damaged_event_is_found_by_the_index_alone(tmp_path: Path) -> None:
    store = await open_corrupted(tmp_path, 2, DAMAGE[1])
    assert await search_texts(store, "word") == ["word three", "word one"]
    assert "event 2 of room lobby is damaged" in await wait_for_problem(store)
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("damage", DAMAGE)
async def test_deleting_a_damaged_message_removes_the_damage(tmp_path: Path, damage: bytes) -> None:
    store = await open_corrupted(tmp_path, 3, damage)
    assert await search_texts(store, "word") == ["word two", "word one"]
    assert len(await read_all(store, "lobby")) == 3
    assert await wait_for_problem(store)
    await store.append(new_deletion("lobby", "ann", 3))
    await wait_until(lambda: not store.problems())
    await store.close()
    store = await SqliteStore.open(tmp_path)
    log = await read_all(store, "lobby")
    assert parse(log[2]).posted.deleted
    assert store.problems() == []
    await store.close()


@pytest.mark.asyncio
async def test_a_damaged_message_can_be_written_anew_by_an_edit_and_is_found_again(tmp_path: Path) -> None:
    store = await open_corrupted(tmp_path, 1, DAMAGE[1])
    assert await search_texts(store, "word") == ["word three", "word two"]
    await store.append(new_reaction("lobby", "bob", 2, "🎉"))
    await store.append(new_edit("lobby", "ann", 1, "word again"))
    assert await search_texts(store, "word") == ["word three", "word two", "word again"]
    await store.close()


@pytest.mark.asyncio
async def test_a_list_of_rooms_survives_a_damaged_last_message(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    await store.create_room("den", kind=2, title="", creator="ann", members=["bob"], at_ms=1)
    await store.append(new_message("den", "ann", "word"))
    await store.close()
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    connection.execute("UPDATE events SET data = x'ffff' WHERE id = (SELECT max(id) FROM events)")
    connection.close()
    store = await SqliteStore.open(tmp_path)
    [record] = await store.room_list_page("bob", after="", limit=9)
    assert parse(record.last).posted.deleted
    assert [parse(one.last).seq for one in await store.room_list_entries("bob", ["den"])] == [4]
    await store.close()


@pytest.mark.asyncio
async def test_an_index_that_fails_while_it_runs_is_made_anew_by_the_restart_that_is_advised(tmp_path: Path) -> None:
    store = await open_store(tmp_path, limits=SqliteLimits(index_delay_seconds=3_600))
    breaker = apsw.Connection(str(tmp_path / INDEX_FILE))
    breaker.execute("DROP TABLE texts")
    breaker.close()
    await store.append(new_message("lobby", "ann", "word"))
    with raises_api_error(Code.UNAVAILABLE):
        await search_texts(store, "word")
    assert "restart the service" in await wait_for_problem(store)
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert await search_texts(store, "word") == ["word"]
    await store.close()


@pytest.mark.asyncio
async def test_an_index_of_another_database_is_made_to_fit(tmp_path: Path) -> None:
    one = await open_store(tmp_path / "one", "word one")
    two = await open_store(tmp_path / "two", "word two", "other two")
    assert (await search_texts(one, "word"), await search_texts(two, "word")) == (["word one"], ["word two"])
    await one.close()
    await two.close()
    lose_index(tmp_path / "one")
    (tmp_path / "one" / INDEX_FILE).write_bytes((tmp_path / "two" / INDEX_FILE).read_bytes())
    one = await SqliteStore.open(tmp_path / "one")
    assert await search_texts(one, "word") == ["word one"]
    assert await search_texts(one, "other") == []
    await one.close()
