"""What a person at a terminal sees: colours and a bar of ours, and nothing that others wrote acts."""

import asyncio
import json
import os
import pty
import re
from pathlib import Path

import pytest

from cli.command import TEST_TIMEOUT_SECONDS, TIDINGS, CommandRunner, environment

pytestmark = pytest.mark.asyncio(loop_scope="module")

STYLE = re.compile(r"\x1b\[[0-9;]*m")


async def run_in_terminal(run: CommandRunner, *arguments: str, **variables: str) -> str:
    """What a command writes to a terminal, stdout and stderr together."""
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "100", "TIDINGS_URL": run.service.ws_url, **variables}
    process = await asyncio.create_subprocess_exec(
        str(TIDINGS), *arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**env)
    )
    os.close(theirs)
    try:
        async with asyncio.timeout(TEST_TIMEOUT_SECONDS):
            shown = await asyncio.to_thread(read_all, ours)
            assert await process.wait() == 0, shown
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    return shown.replace("\r\n", "\n")


def read_all(terminal: int) -> str:
    """Everything until the program on the other side has gone, which Linux tells as an error."""
    data = b""
    while True:
        try:
            data += os.read(terminal, 65_536)
        except OSError:
            return data.decode()


async def test_names_and_numbers_have_styles_unless_somebody_wants_none(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "[bold]hello[/bold]")
    shown = await run_in_terminal(run, "history", room, "-n", "1")
    assert "\x1b[1malice\x1b[0m: [bold]hello[/bold]\n" in shown
    assert not STYLE.search(await run_in_terminal(run, "history", room, "-n", "1", NO_COLOR="1"))


async def test_text_from_right_to_left_stays_within_itself(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "שלום", user="דנה")
    shown = STYLE.sub("", await run_in_terminal(run, "history", room, "-n", "1"))
    assert " \u2068דנה\u2069: \u2068שלום\u2069\n" in shown


async def test_a_table_shows_markup_of_others_as_text(run: CommandRunner) -> None:
    await run.succeed("create", "cafe", "--open", "--title", "[red]tea[/red] \U0001f375", user="tom")
    shown = STYLE.sub("", await run_in_terminal(run, "rooms", TIDINGS_USER="tom"))
    heading, row = shown.splitlines()[:2]
    assert heading.split() == ["room", "kind", "role", "unread", "events", "members", "title"]
    assert row.rstrip().endswith("[red]tea[/red] \U0001f375")


async def test_a_terminal_too_narrow_for_the_table_gets_a_list_with_words_left_whole(run: CommandRunner) -> None:
    await run.succeed("create", "narrow", "--open", "--title", "茶室 [red]tea[/red]", user="tim")
    shown = STYLE.sub("", await run_in_terminal(run, "rooms", TIDINGS_USER="tim", COLUMNS="40"))
    cells = ["narrow", "kind open", "role owner", "unread 0", "events 2", "members 1", "title 茶室 [red]tea[/red]"]
    assert shown == "\n    ".join(cells) + "\n"


async def test_an_import_shows_how_far_it_is_and_reports_above_the_bar(
    run: CommandRunner, room: str, tmp_path: Path
) -> None:
    file = tmp_path / "chat[bold].jsonl"
    lines = [json.dumps({"text": f"message {number}"}) for number in range(200)]
    file.write_text("\n".join([*lines, "nonsense"]))
    shown = STYLE.sub("", await run_in_terminal(run, "import", str(file), room, "--skip-bad"))
    assert "chat[bold].jsonl" in shown
    assert "line 201: it is not an object" in shown
    assert shown.rstrip().endswith("200 sent, 1 invalid line skipped")


async def test_settings_are_shown_with_their_reason_below_them(run: CommandRunner) -> None:
    shown = STYLE.sub("", await run_in_terminal(run, "config", "--dev"))
    assert "hub.stall_seconds = 600.0 seconds  (default)\n    A reader that takes nothing for ten minutes" in shown
