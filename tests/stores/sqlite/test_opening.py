"""What a data directory must be, and what is said of one that cannot be used."""

import asyncio
import concurrent.futures.thread  # noqa: F401  asyncio loads it late, when `stranger` may not read it any more
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from kits.store.factories import create_open_room, new_message
from tidings.contract import v1
from tidings.stores.sqlite.errors import StoreError
from tidings.stores.sqlite.schema import Migration, known_migrations, migrate, pending_migrations
from tidings.stores.sqlite.store import DATABASE_FILE, SqliteStore


async def open_error(directory: Path) -> str:
    """Why the directory cannot be used, in one line."""
    with pytest.raises(StoreError) as caught:
        await SqliteStore.open(directory)
    text = str(caught.value)
    assert "\n" not in text
    assert str(directory) in text
    return text


async def create_database(directory: Path) -> Path:
    """A directory with a room and a message; its database."""
    store = await SqliteStore.open(directory)
    await store.append(new_message(await create_open_room(store), "ann", "hello"))
    await store.close()
    return directory / DATABASE_FILE


@pytest.mark.asyncio
async def test_a_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    await create_database(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


@pytest.mark.asyncio
async def test_a_second_server_is_told_who_has_the_directory(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    text = await open_error(tmp_path)
    assert f"process {os.getpid()}" in text
    assert "stop it" in text
    await store.close()
    await (await SqliteStore.open(tmp_path)).close()


@pytest.mark.asyncio
async def test_a_directory_is_free_when_its_server_was_killed(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from tidings.stores.sqlite.store import SqliteStore
async def main():
    store = await SqliteStore.open(sys.argv[1])
    print("open", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    assert f"process {process.pid}" in await open_error(tmp_path)
    process.kill()
    await process.wait()
    await (await SqliteStore.open(tmp_path)).close()


@pytest.mark.asyncio
async def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "not a directory" in await open_error(tmp_path / "file")
    assert "not a directory" in await open_error(tmp_path / "file" / "below")


@pytest.fixture
def other_database(tmp_path: Path) -> Iterator[Path]:
    """A directory in which this process may not write, not even as root."""
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.seteuid(65_534)
        yield data
        os.seteuid(0)
    else:
        data.chmod(0o500)
        yield data
        data.chmod(0o700)


@pytest.mark.asyncio
async def test_a_directory_that_may_not_be_written_to_is_refused(other_database: Path) -> None:
    assert "permission denied" in await open_error(other_database)
    assert "may write to" in await open_error(other_database / "below")


@pytest.mark.asyncio
async def test_a_read_only_directory_is_refused_though_its_files_may_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_database(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: Path(path) != tmp_path)
    assert "permission denied" in await open_error(tmp_path)


@pytest.mark.asyncio
async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"This is a text, and not a short one. " * 100)
    assert "damaged" in await open_error(tmp_path)


@pytest.mark.asyncio
async def test_a_database_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    database = await create_database(tmp_path)
    database.write_bytes(database.read_bytes()[:-8192])
    assert "restore a backup" in await open_error(tmp_path)


@pytest.mark.asyncio
async def test_a_directory_in_the_place_of_the_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).mkdir()
    await open_error(tmp_path)


@pytest.mark.asyncio
async def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = (tmp_path / DATABASE_FILE).read_bytes()
    assert "another program" in await open_error(tmp_path)
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    assert len((tmp_path / DATABASE_FILE).read_bytes()) == len(before)
    connection.close()


@pytest.mark.asyncio
async def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    database = await create_database(tmp_path)
    connection = apsw.Connection(str(database))
    connection.execute("INSERT INTO migrations VALUES (9999, 'from_the_future', 'abc', 1)")
    connection.close()
    text = await open_error(tmp_path)
    assert "newer Tidings" in text
    assert "9999" in text


@pytest.mark.asyncio
async def test_a_database_made_with_another_text_of_a_migration_is_refused(tmp_path: Path) -> None:
    database = await create_database(tmp_path)
    connection = apsw.Connection(str(database))
    connection.execute("UPDATE migrations SET checksum = 'abc' WHERE number = 1")
    connection.close()
    assert "0001_" in await open_error(tmp_path)


@pytest.mark.asyncio
async def test_groups_that_everybody_had_left_are_archived_by_the_upgrade(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    migrate(connection, known_migrations()[:1])
    rooms = [("left", v1.GROUP, 0), ("lived in", v1.GROUP, 1), ("open", v1.OPEN, 0)]
    for name, kind, members in rooms:
        connection.execute("INSERT INTO rooms VALUES (NULL, ?, ?, '', 'ann', 'e', 0, x'', ?)", (name, kind, members))
    connection.execute("INSERT INTO members VALUES (2, 'ann', 1)")
    connection.close()
    store = await SqliteStore.open(tmp_path)
    assert [await store.room(name) is not None for name, _, _ in rooms] == [False, True, True]
    await store.create_room("left", kind=v1.GROUP, title="", creator="ann", members=(), at_ms=0)
    assert [member.role for member in await store.members("lived in", after="", limit=9)] == [v1.OWNER]
    await store.close()


@pytest.mark.asyncio
async def test_the_upgrade_notes_names_beyond_ascii_that_there_are(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    migrate(connection, known_migrations()[:1])
    for name, members in (("ﾃｽﾄ", 1), ("kitchen", 1), ("админы", 0)):
        connection.execute("INSERT INTO rooms VALUES (NULL, ?, 2, '', 'ann', 'e', 0, x'', ?)", (name, members))
    connection.execute("INSERT INTO members VALUES (1, 'ann', 1), (2, '\u0261uy', 1)")
    connection.execute("INSERT INTO users VALUES ('ﾎﾞﾌﾞ', 0)")
    connection.close()
    store = await SqliteStore.open(tmp_path)
    assert set(store.legacy_names()) == {"ﾃｽﾄ", "\u0261uy", "ﾎﾞﾌﾞ"}
    await store.close()


@pytest.mark.asyncio
async def test_after_the_upgrade_members_have_consented_but_those_of_direct_rooms_who_read_nothing(
    tmp_path: Path,
) -> None:
    connection = apsw.Connection(str(tmp_path / DATABASE_FILE))
    migrate(connection, known_migrations()[:4])
    for name, kind in (("team", v1.GROUP), ("square", v1.OPEN), ("@ann:bob", v1.DIRECT), ("@ann:cem", v1.DIRECT)):
        connection.execute("INSERT INTO rooms VALUES (NULL, ?, ?, '', 'ann', 'e', 0, x'', 2)", (name, kind))
    connection.execute("INSERT INTO members (room, user, role) SELECT number, 'ann', 1 FROM rooms")
    others = [(1, "dan", v1.READER), (2, "dan", v1.MEMBER), (2, "eve", v1.READER), (3, "bob", 3), (4, "cem", 3)]
    connection.executemany("INSERT INTO members (room, user, role) VALUES (?, ?, ?)", others)
    connection.execute("INSERT INTO positions VALUES (3, 'bob', 2, 0), (4, 'cem', 2, 2)")
    connection.close()
    store = await SqliteStore.open(tmp_path)
    members = {
        room: await store.members(room, after="", limit=9) for room in ("team", "square", "@ann:bob", "@ann:cem")
    }
    assert {room: [(one.user, one.consented) for one in found] for room, found in members.items()} == {
        "team": [("ann", True), ("dan", True)],
        "square": [("ann", True), ("dan", True), ("eve", False)],
        "@ann:bob": [("ann", True), ("bob", False)],
        "@ann:cem": [("ann", True), ("cem", True)],
    }
    assert await store.users_sharing_room("ann", ["bob", "cem", "dan", "eve"]) == {"cem", "dan"}
    await store.advance_positions("@ann:bob", "bob", delivered=0, read=1)
    assert await store.users_sharing_room("bob", ["ann"]) == {"ann"}
    await store.close()


@pytest.mark.asyncio
async def test_after_a_complaint_the_directory_is_free(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"no database " * 1000)
    await open_error(tmp_path)
    (tmp_path / DATABASE_FILE).unlink()
    await (await SqliteStore.open(tmp_path)).close()


def test_migrations_are_numbered_from_one_without_holes() -> None:
    known = known_migrations()
    assert [migration.number for migration in known] == list(range(1, len(known) + 1))
    assert all(re.fullmatch(r"[a-z_]+", migration.name) for migration in known)


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "new.sqlite"))
    one = Migration(1, "one", "CREATE TABLE a (x); INSERT INTO a VALUES (1);")
    two = Migration(2, "two", "INSERT INTO a SELECT x + 1 FROM a;")
    migrate(connection, [one])
    assert pending_migrations(connection, [one, two]) == [two]
    migrate(connection, [one, two])
    migrate(connection, [one, two])
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,), (2,)]
    assert pending_migrations(connection, [one, two]) == []


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "new.sqlite"))
    one = Migration(1, "one", "CREATE TABLE a (x);")
    broken = Migration(2, "broken", "INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1);")
    migrate(connection, [one])
    with pytest.raises(apsw.SQLError):
        migrate(connection, [one, broken])
    assert connection.execute("SELECT x FROM a").fetchall() == []
    assert pending_migrations(connection, [one, broken]) == [broken]
