"""What the operating guide says about backups is what happens."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from cli.command import environment, tidings
from cli.markdown import ROOT, blocks
from service_runner import RunningService, ServiceProcess

GUIDE = ROOT / "docs" / "guides" / "operating.md"


async def run_block(title: str, folder: Path) -> None:
    """Run the block of this title there."""
    [code] = [block.code for block in blocks(GUIDE) if block.title == title]
    process = await asyncio.create_subprocess_shell(f"set -e\n{code}", cwd=folder, env=environment())
    assert await process.wait() == 0


@pytest.mark.asyncio
async def test_a_backup_made_while_it_runs_is_restored_and_old_positions_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    service = ServiceProcess(tmp_path / "data", environment=environment())
    await service.start()
    try:
        env = environment(TIDINGS_URL=service.ws_url)
        await tidings("send", "general", "kept", env=env)
        await run_block("backup", tmp_path)
        await tidings("send", "general", "lost", env=env)
        before = await tidings("export", "general", "-", env=env)
        assert before.stdout.count('"posted"') == 2
        assert await service.stop() == 0
        await run_block("restore", tmp_path)
        # Another process may use the old port by now.
        service = ServiceProcess(tmp_path / "data", environment=environment())
        await service.start()
        env = environment(TIDINGS_URL=service.ws_url)
        after = await tidings("history", "general", env=env)
        assert after.stdout.endswith(" alice: kept\n")
        found = await tidings("search", "kept", "--room", "general", env=env)
        assert found.stdout.endswith(" alice: kept\n")
        assert (tmp_path / "compact.sqlite").stat().st_size > 0
    finally:
        await service.stop()


@pytest.mark.asyncio
async def test_a_group_that_everybody_left_is_deleted_from_the_disk_and_other_rooms_stay(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    data = tmp_path / "data"
    service = ServiceProcess(data, environment=environment())
    await service.start()
    try:
        env = environment(TIDINGS_URL=service.ws_url)
        await tidings("send", "general", "kept", env=env)
        room = (await tidings("create", "attic", env=env)).stdout.split()[0]
        await tidings("send", room, "qwertyhorse77", env=env)
        assert (await tidings("leave", room, env=env)).exit_code == 0
        assert await service.stop() == 0
        assert b"qwertyhorse77" in (data / "tidings.sqlite").read_bytes()
        await run_block("delete archived rooms", tmp_path)
        assert not any(b"qwertyhorse77" in file.read_bytes() for file in data.iterdir())
        service = ServiceProcess(data, environment=environment())
        await service.start()
        env = environment(TIDINGS_URL=service.ws_url)
        assert (await tidings("history", "general", env=env)).stdout.endswith(" alice: kept\n")
        found = await tidings("search", "kept", "--room", "general", env=env)
        assert found.stdout.endswith(" alice: kept\n")
    finally:
        await service.stop()


@pytest.mark.asyncio(loop_scope="module")
async def test_every_metric_that_the_guide_names_is_there(service: RunningService) -> None:
    page = service.app.metrics.render().decode()
    for name in re.findall(r"tidings_(?!client\b)[a-z_]+", GUIDE.read_text()):
        assert f"# TYPE {name} " in page or f"# TYPE {name.removesuffix('_total')} " in page, name
