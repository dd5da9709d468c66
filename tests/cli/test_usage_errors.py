"""Odd arguments and streams: misuse is exit code 2 and one line, and nothing that Python says of itself is printed."""

import os
import subprocess
from pathlib import Path

import pytest

from cli.command import TIDINGS, CommandRunner, environment, tidings

TOO_LARGE = str(2**64)

USAGE_ERRORS = {
    "a number of 65 bits before": ("history", "general", "--before", TOO_LARGE),
    "a number of 65 bits after": ("history", "general", "--after", TOO_LARGE),
    "a number of 65 bits to answer": ("send", "general", "hi", "--reply-to", TOO_LARGE),
    "a number of 65 bits to tail from": ("tail", "general", "--after", TOO_LARGE),
    "a number of 65 bits to export from": ("export", "general", "-", "--after", TOO_LARGE),
    "a text that is not UTF-8": ("send", "general", os.fsdecode(b"\xff")),
    "a room that is not UTF-8": ("send", os.fsdecode(b"\xff"), "hi"),
    "an option that is not UTF-8": ("join", "general", "--member", os.fsdecode(b"\xff")),
    "a URL that is not UTF-8": ("send", "general", "hi", "--url", os.fsdecode(b"ws://\xff/")),
    "a room without a name": ("create", ""),
    "an open room without a name": ("create", "", "--open"),
    "a message to no room": ("send", "", "hi"),
    "a message without text": ("send", "general", ""),
    "one empty name among others": ("presence", "ada", ""),
    "no words": ("search", "  "),
    "a data folder without a name": ("serve", "--dev", "--data", ""),
    "a settings file without a name": ("serve", "--dev", "--config", ""),
    "an export to no file": ("export", "general", ""),
    "an import of no file": ("import", "", "general"),
    "a token for nobody": ("token", "--user", ""),
    "a port of 65 bits": ("serve", "--dev", "--port", TOO_LARGE),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("arguments", USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
async def test_misuse_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    result = await tidings(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("error: ")
    assert "TIDINGS_DEBUG" not in result.stderr


@pytest.mark.asyncio(loop_scope="module")
async def test_settings_of_the_environment_are_utf_8_and_name_a_folder() -> None:
    for value in ("", os.fsdecode(b"\xff")):
        result = await tidings("config", "--dev", env={"TIDINGS_DATA": value})
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: data (from TIDINGS_DATA): ")


@pytest.mark.asyncio(loop_scope="module")
async def test_an_output_that_lacks_characters_gets_escapes_and_the_rest(run: CommandRunner) -> None:
    await run.succeed("create", "emoji", "--open")
    await run.succeed("send", "emoji", "hi 😀")
    shown = await run.succeed("history", "emoji", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert shown.isascii() or "😀" in shown
    assert "hi " in shown.splitlines()[-1]


def shell(line: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A line of sh, in which `tidings` is the command; its streams are the shell's to close and redirect."""
    return subprocess.run(
        ["sh", "-c", line.replace("tidings", str(TIDINGS))],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(TIDINGS_AUTH__SECRET="0123456789abcdef0123456789abcdef", **variables),
    )


def test_json_on_an_ascii_output_is_json(tmp_path: Path) -> None:
    from json import loads

    result = shell("tidings config --dev --json", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert all(loads(line) for line in result.stdout.splitlines())


@pytest.mark.parametrize("command", ["config", "version", "--help", "token --user ada"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_output_is_one_line(command: str) -> None:
    result = shell(f"tidings {command} > /dev/full")
    assert result.returncode == 1
    assert result.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["config", "version", "--help", "token --user ada"])
def test_a_closed_output_is_one_line(command: str) -> None:
    result = shell(f"tidings {command} >&-")
    assert result.returncode == 1
    assert result.stderr == "error: cannot write to standard output: Bad file descriptor\n"


def test_a_closed_error_output_and_a_closed_input_change_nothing() -> None:
    assert shell("tidings version 2>&- <&-").returncode == 0
    assert shell("tidings frobnicate 2>&-").returncode == 2
