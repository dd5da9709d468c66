"""The process is killed while it writes."""

import asyncio
import sys
from pathlib import Path

import pytest

from kits.store.factories import new_message, parse, read_all
from stores.sqlite.crash_writer import ROOMS
from tidings.stores.sqlite.store import SqliteStore

TESTS = Path(__file__).parents[2]
LINES_BEFORE_KILL = 400


async def run_until_killed(data: Path, run: str) -> list[tuple[str, int, str, str]]:
    """What it had acknowledged when it was killed: (room, seq, user, key)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stores.sqlite.crash_writer", str(data), run, cwd=TESTS, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 60) for _ in range(LINES_BEFORE_KILL + 1)]
    process.kill()
    lines += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    assert lines[0] == b"begun\n"
    told = [line.decode().split() for line in lines[1:] if line.endswith(b"\n")]
    return [(room, int(seq), user, key) for room, seq, user, key in told]


@pytest.mark.asyncio
async def test_no_acknowledged_message_is_lost_or_doubled_when_the_process_is_killed(tmp_path: Path) -> None:
    told: list[tuple[str, int, str, str]] = []
    for run in ("one", "two", "three"):
        told += await run_until_killed(tmp_path, run)
        store = await SqliteStore.open(tmp_path)
        logs = {}
        for number in range(ROOMS):
            log = [parse(event) for event in await read_all(store, f"room{number}")]
            assert [event.seq for event in log] == list(range(1, len(log) + 1))
            keys = [(event.actor, event.client_id) for event in log]
            assert len(keys) == len(set(keys))
            logs[f"room{number}"] = log
        for room, seq, user, key in told:
            event = logs[room][seq - 1]
            assert (event.actor, event.client_id, event.posted.text) == (user, key, f"text {key}")
        # A client that did not hear the answer asks again, and gets it.
        room, seq, user, key = told[-1]
        again = await store.append(new_message(room, user, f"text {key}", client_id=key))
        assert (again.seq, again.duplicate) == (seq, True)
        await store.close()
    assert len(told) >= 3 * LINES_BEFORE_KILL
