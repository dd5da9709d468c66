"""How writing behaves under load, with broken requests, and on disks that fail."""

import asyncio
import contextlib
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from kits.store.assertions import raises_api_error
from kits.store.factories import (
    RecordingListener,
    create_group,
    create_open_room,
    new_deletion,
    new_edit,
    new_message,
    read_all,
    texts,
)
from stores.sqlite.faulty_disk import Acknowledged, FaultyDisk, Sync
from tidings.contract.errors import ApiError, Code
from tidings.domain.ports.store import Store
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.store import SqliteStore


async def block_writer(store: SqliteStore) -> tuple[threading.Event, "asyncio.Future[Any]"]:
    """Keep the thread that writes busy, from now on, until the event is set."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(*_: object) -> bool:
        begun.set()
        return go_on.wait(60)

    held = store._writer.write(wait)
    assert await asyncio.to_thread(begun.wait, 60)
    return go_on, held


@pytest.mark.asyncio
async def test_what_came_while_the_last_commit_ran_is_committed_together(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    listener = RecordingListener()
    store.on_committed(listener)
    go_on, held = await block_writer(store)
    writes = [asyncio.ensure_future(store.append(new_message(room, "ann", str(number)))) for number in range(100)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(held, *writes)
    assert [len(events) for _, _, events, _ in listener.calls] == [100]
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("total", [1, 2, 3, 100, 895, 896, 897, 2_000, 2_048, 5_000])
async def test_commits_of_all_sizes_leave_no_hole_and_find_what_is_repeated(tmp_path: Path, total: int) -> None:
    store = await SqliteStore.open(tmp_path)
    rooms = [await create_open_room(store, f"room{number}") for number in range(3)]
    for repeated in (False, True):
        go_on, held = await block_writer(store)
        drafts = [
            new_message(rooms[number % 3], "ann", "x", client_id=f"{repeated}{number}") for number in range(total)
        ]
        if repeated:
            drafts[-1].client_id = "False0"
            drafts[-1].room = rooms[0]
        writes = [asyncio.ensure_future(store.append(draft)) for draft in drafts]
        await asyncio.sleep(0)
        go_on.set()
        await held
        answers = await asyncio.gather(*writes)
        assert [answer.duplicate for answer in answers] == [False] * (total - 1) + [repeated]
    for room in rooms:
        log = await read_all(store, room)
        assert [event.seq for event in log] == list(range(1, len(log) + 1))
    await store.close()


@pytest.mark.asyncio
async def test_more_writes_than_may_wait_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(pending_writes_max=10))
    room = await create_open_room(store)
    answers = await asyncio.gather(
        *(store.append(new_message(room, "ann", str(number))) for number in range(50)), return_exceptions=True
    )
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert len(refusals) == 40
    assert {refusal.code for refusal in refusals} == {Code.RESOURCE_EXHAUSTED}
    assert all(refusal.retry_after_ms for refusal in refusals)
    assert (await store.append(new_message(room, "ann", "later"))).seq == 11
    await store.close()


@pytest.mark.asyncio
async def test_more_bytes_than_may_wait_are_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(pending_write_bytes_max=100_000))
    room = await create_open_room(store)
    answers = await asyncio.gather(
        *(store.append(new_message(room, "ann", "x" * 30_000)) for _ in range(9)), return_exceptions=True
    )
    assert [isinstance(answer, ApiError) for answer in answers] == [False] * 4 + [True] * 5
    assert (await store.append(new_message(room, "ann", "later"))).seq == 5
    await store.close()


@pytest.mark.asyncio
async def test_more_bytes_of_one_user_than_may_wait_are_refused_and_others_are_written(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(user_pending_write_bytes_max=100_000))
    room = await create_open_room(store)
    answers = await asyncio.gather(
        *(store.append(new_message(room, who, "x" * 30_000)) for who in ["ann"] * 9 + ["ben"] * 3),
        return_exceptions=True,
    )
    refusals = [answer for answer in answers if isinstance(answer, ApiError)]
    assert [isinstance(answer, ApiError) for answer in answers] == [False] * 4 + [True] * 5 + [False] * 3
    assert all("of ann" in each.text and "user_pending_write_bytes_max" in each.text for each in refusals)
    assert (await store.append(new_message(room, "ann", "later"))).seq == 8
    await store.close()


@pytest.mark.asyncio
async def test_reads_that_were_given_up_cost_the_line_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(reader_threads=1))
    began, go_on = threading.Event(), threading.Event()
    looked: list[int] = []

    def hold_up(_: Any) -> None:
        began.set()
        go_on.wait()

    first = asyncio.ensure_future(store._reader_pool.read(hold_up))
    await asyncio.to_thread(began.wait)
    waiting = [asyncio.ensure_future(store._reader_pool.read(lambda _, n=n: looked.append(n))) for n in range(9)]
    await asyncio.sleep(0)
    for each in waiting[:8]:
        each.cancel()
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)
    assert looked == [8]
    await store.close()


@pytest.mark.asyncio
async def test_more_reads_than_may_wait_are_refused(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(pending_reads_max=10))
    room = await create_open_room(store)
    answers = await asyncio.gather(*(store.head(room) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(answer, ApiError) for answer in answers) == 20
    assert (await store.head(room)).seq == 0
    await store.close()


@pytest.mark.asyncio
async def test_a_request_that_breaks_in_the_middle_harms_nobody_else(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)

    def broken(tables: Any, change_set: Any) -> None:
        tables.set_last_seen("ghost", 1)
        raise ZeroDivisionError("a fault of the program")

    go_on, held = await block_writer(store)
    writes = [
        asyncio.ensure_future(store.append(new_message(room, "ann", "one"))),
        asyncio.ensure_future(store._writer.write(broken)),
        asyncio.ensure_future(store.append(new_edit(room, "ann", 1, "uno"))),
        asyncio.ensure_future(store.append(new_message(room, "ann", "two"))),
    ]
    await asyncio.sleep(0)
    go_on.set()
    await held
    one, failure, uno, two = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(failure, ApiError)
    assert failure.code is Code.INTERNAL
    assert "ZeroDivisionError" not in failure.text
    assert [getattr(answer, "seq", None) for answer in (one, uno, two)] == [1, 2, 3]
    assert texts(await read_all(store, room)) == ["uno", "", "two"]
    assert await store.last_seen(["ghost"]) == {}
    await store.close()


@pytest.mark.asyncio
async def test_whoever_stops_waiting_has_written_all_the_same(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    go_on, held = await block_writer(store)
    write = asyncio.ensure_future(store.append(new_message(room, "ann", "one", client_id="a")))
    await asyncio.sleep(0)
    write.cancel()
    go_on.set()
    await held
    assert (await store.append(new_message(room, "ann", "one", client_id="a"))).duplicate
    await store.close()


@pytest.mark.asyncio
async def test_closing_writes_what_waits(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    writes = [asyncio.ensure_future(store.append(new_message(room, "ann", str(number)))) for number in range(50)]
    await asyncio.sleep(0)
    await store.close()
    assert [write.result().seq for write in writes] == list(range(1, 51))
    with raises_api_error(Code.UNAVAILABLE):
        await store.head(room)
    store = await SqliteStore.open(tmp_path)
    assert len(await read_all(store, room)) == 50
    await store.close()


@pytest.mark.asyncio
async def test_the_wal_stays_short_while_much_is_written(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path, SqliteLimits(wal_pages_max=100))
    room = await create_open_room(store)
    for _ in range(60):
        await asyncio.gather(*(store.append(new_message(room, "ann", "x" * 4_000)) for _ in range(50)))
    assert (tmp_path / "tidings.sqlite").stat().st_size > 8_000_000
    assert (tmp_path / "tidings.sqlite-wal").stat().st_size < 8_000_000
    await store.close()
    assert not (tmp_path / "tidings.sqlite-wal").exists()


@pytest.mark.asyncio
async def test_a_deleted_text_is_not_on_the_disk_any_more(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    for number in range(100):
        await store.append(new_message(room, "ann", f"text {number}"))
        await store.append(new_message(room, "ann", f"confidence {number} {'x' * number * 100} confidence"))
    await store.append(new_edit(room, "ann", 100, "confidence too"))
    for number in range(100):
        await store.append(new_deletion(room, "ann", 2 * number + 2))
    await store.close()
    assert b"text 99" in (tmp_path / "tidings.sqlite").read_bytes()
    assert b"confidence" not in (tmp_path / "tidings.sqlite").read_bytes()


@pytest.mark.asyncio
async def test_a_full_disk_refuses_writes_until_there_is_room_again(tmp_path: Path) -> None:
    disk = FaultyDisk()
    store = await SqliteStore.open(tmp_path, vfs=disk.name)
    failures: list[Exception] = []
    store.on_failure(failures.append)
    room = await create_open_room(store)
    await store.append(new_message(room, "ann", "before"))
    disk.is_full = True
    answers = await asyncio.gather(
        *(store.append(new_message(room, "ann", f"lost {number}")) for number in range(5)), return_exceptions=True
    )
    assert {getattr(answer, "code", None) for answer in answers} == {Code.RESOURCE_EXHAUSTED}
    assert texts(await read_all(store, room)) == ["before"]
    disk.is_full = False
    assert (await store.append(new_message(room, "ann", "after"))).seq == 2
    assert failures == []
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert texts(await read_all(store, room)) == ["before", "after"]
    await store.close()


@pytest.mark.asyncio
async def test_a_database_that_may_not_grow_refuses_writes_until_it_may(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    store._connection.pragma("max_page_count", store._connection.pragma("page_count") + 3)
    written = 0
    with raises_api_error(Code.RESOURCE_EXHAUSTED):
        while True:
            written = (await store.append(new_message(room, "ann", "x" * 1_000))).seq
    store._connection.pragma("max_page_count", 1_000_000)
    assert (await store.append(new_message(room, "ann", "after"))).seq == written + 1
    await store.close()


@pytest.mark.asyncio
async def test_a_damaged_log_is_an_error_and_never_other_messages(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path)
    room = await create_open_room(store)
    for number in range(200):
        await store.append(new_message(room, "ann", f"text {number} " + "x" * 500))
    await store.close()
    damage(tmp_path / "tidings.sqlite")
    store = await SqliteStore.open(tmp_path)
    with raises_api_error(Code.INTERNAL):
        await read_all(store, room)
    await store.close()


def damage(file: Path) -> None:
    """Overwrite a part of the file that holds messages."""
    content = bytearray(file.read_bytes())
    place = content.index(b"text 150")
    content[place - 6_000 : place + 6_000] = b"\xa5" * 12_000
    file.write_bytes(content)


async def assert_writing_stopped(store: Store, room: str, failures: list[Exception], before: list[str]) -> None:
    """Nothing can be written any more, what was there can be read, and the domain has heard of it."""
    with raises_api_error(Code.UNAVAILABLE):
        await store.append(new_message(room, "ann", "never"))
    with raises_api_error(Code.UNAVAILABLE):
        await store.advance_positions(room, "ann", delivered=1, read=1)
    assert len(failures) == 1
    late: list[Exception] = []
    store.on_failure(late.append)
    await asyncio.sleep(0)
    assert late == failures
    assert texts(await read_all(store, room)) == before


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", ["sync_fails", "write_fails"])
async def test_after_an_error_of_the_disk_nothing_is_acknowledged_any_more(tmp_path: Path, fault: str) -> None:
    disk = FaultyDisk()
    store = await SqliteStore.open(tmp_path, vfs=disk.name)
    failures: list[Exception] = []
    store.on_failure(failures.append)
    room = await create_open_room(store)
    await store.append(new_message(room, "ann", "before"))
    setattr(disk, fault, lambda file: file.endswith("tidings.sqlite-wal"))
    answers = await asyncio.gather(
        *(store.append(new_message(room, "ann", f"lost {number}")) for number in range(5)), return_exceptions=True
    )
    assert {getattr(answer, "code", None) for answer in answers} == {Code.UNAVAILABLE}
    # The kernel would report success from now on: it must not be believed.
    setattr(disk, fault, lambda file: False)
    await assert_writing_stopped(store, room, failures, ["before"])
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert texts(await read_all(store, room))[:1] == ["before"]
    assert not (await store.append(new_message(room, "ann", "again"))).duplicate
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("thread", ["tidings-checkpoints", "tidings-writer"])
async def test_an_error_while_the_wal_is_copied_ends_writing_too(tmp_path: Path, thread: str) -> None:
    disk = FaultyDisk()
    store = await SqliteStore.open(tmp_path, SqliteLimits(wal_pages_max=1), vfs=disk.name)
    failed = asyncio.Event()
    failures: list[Exception] = []

    def report(error: Exception) -> None:
        failures.append(error)
        failed.set()

    store.on_failure(report)
    room = await create_open_room(store)
    met = threading.Event()

    def fails(file: str) -> bool:
        failing = file.endswith("tidings.sqlite") and threading.current_thread().name == thread
        if failing:
            met.set()
        return failing

    disk.sync_fails = fails
    written: list[str] = []
    # Both threads copy, and which of them has something to copy is for them to say.
    with contextlib.suppress(ApiError):
        while not met.is_set():
            await store.append(new_message(room, "ann", f"text {len(written)}"))
            written.append(f"text {len(written)}")
    # The error is reported even without further writes.
    await asyncio.wait_for(failed.wait(), 30)
    await assert_writing_stopped(store, room, failures, written)
    await store.close()
    store = await SqliteStore.open(tmp_path)
    assert texts(await read_all(store, room)) == written
    await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_no_acknowledged_message_is_lost_when_the_power_goes(tmp_path: Path, seed: int) -> None:
    random_source = random.Random(seed)
    disk = FaultyDisk()
    limits = SqliteLimits(wal_pages_max=20, index_delay_seconds=0.001, unindexed_events_max=20)
    store = await SqliteStore.open(tmp_path / "data", limits, vfs=disk.name)
    rooms = [await create_group(store, f"room{number}", "ann") for number in range(3)]

    async def talk(user: str) -> None:
        for number in range(30):
            room = random_source.choice(rooms)
            text = f"{user} says {number} {'x' * random_source.randint(0, 2_000)}"
            written = await store.append(new_message(room, user, text, client_id=str(number)))
            disk.acknowledge((room, written.seq, text))

    began = len(disk.operations)
    await asyncio.gather(*(talk(f"user{number}") for number in range(8)))
    ended = len(disk.operations)
    await store.close()

    syncs = [moment + 1 for moment in range(began, ended) if isinstance(disk.operations[moment], Sync)]
    moments = random_source.sample(syncs, 8) + [random_source.randint(began, ended) for _ in range(8)]
    for number, moment in enumerate(moments):
        target = tmp_path / f"cut{number}"
        disk.after_power_cut(moment, target, random_source)
        told: list[Any] = [
            operation.value for operation in disk.operations[:moment] if isinstance(operation, Acknowledged)
        ]
        store = await SqliteStore.open(target)
        logs = {room: await read_all(store, room) for room in rooms}
        for log in logs.values():
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
        for room, seq, text in told:
            assert texts([logs[room][seq - 1]]) == [text]
        found = await store.search("says", rooms=rooms, sender="", page_token="", limit=1000)
        assert len(found.events) == sum(len(log) - 2 for log in logs.values())
        assert store._connection.pragma("integrity_check") == "ok"
        await store.close()
