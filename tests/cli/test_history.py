"""`tidings history`, `search` and `export`."""

import json
import os
from pathlib import Path

import pytest

from cli.command import CommandRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_history_pages_back_and_forth(run: CommandRunner, room: str) -> None:
    head = 0
    for number in range(6):
        head = int((await run.succeed("send", room, f"text {number}")).strip().removeprefix("#"))
    newest = await run("history", room, "--limit", "2")
    assert [line.rsplit(" ", 1)[1] for line in newest.stdout.splitlines()] == ["4", "5"]
    assert newest.stderr == f"there is more: add --before {head - 1}\n"
    before = await run.succeed("history", room, "-n", "2", "--before", str(head - 1))
    assert [line.rsplit(" ", 1)[1] for line in before.splitlines()] == ["2", "3"]
    after = await run("history", room, "-n", "2", "--after", str(head - 4))
    assert [line.rsplit(" ", 1)[1] for line in after.stdout.splitlines()] == ["2", "3"]
    assert after.stderr == f"there is more: add --after {head - 2}\n"


async def test_history_after_0_is_the_beginning_and_before_0_is_empty(run: CommandRunner, room: str) -> None:
    for number in range(3):
        await run.succeed("send", room, f"text {number}")
    first = await run("history", room, "-n", "1", "--after", "0", "--json")
    assert [json.loads(line)["seq"] for line in first.stdout.splitlines()] == ["1"]
    assert (await run("history", room, "--before", "0")) == (0, "", "")


async def test_history_as_json_is_one_event_a_line_and_nothing_else(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "天気\nがいい")
    result = await run("history", room, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["posted"]["text"] == "天気\nがいい"
    assert events[-1]["actor"] == "alice"
    assert result.stderr == ""


async def test_history_takes_one_direction_only(run: CommandRunner, room: str) -> None:
    result = await run("history", room, "--before", "3", "--after", "0")
    assert result == (2, "", "error: give --before or --after, not both\n")


async def test_search_finds_words_in_a_room_also_inside_japanese_text(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "今天天气很好")
    await run.succeed("send", room, "Guten Morgen")
    found = await run.succeed("search", "天气", "--room", room)
    assert found.startswith(f"{room} #")
    assert found.endswith(" alice: 今天天气很好\n")
    events = [
        json.loads(line) for line in (await run.succeed("search", "guten", "--room", room, "--json")).splitlines()
    ]
    assert [event["posted"]["text"] for event in events] == ["Guten Morgen"]


async def test_search_by_sender_and_nothing_found(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "kettle")
    assert await run("search", "kettle", "--room", room, "--from", "bob") == (0, "", "nothing found\n")
    assert "alice: kettle" in await run.succeed("search", "kettle", "--room", room, "--from", "alice")


async def test_a_search_without_a_room_says_where_it_did_not_look(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "teapot")
    result = await run("search", "teapot", user="stranger")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("no room was searched; you are a member of no room; open rooms: general, ")
    assert "; join one, for example: tidings join " in result.stderr
    assert result.stderr.endswith(", or search one with --room\n")
    await run.succeed("create", f"{room}-own", user="stranger")
    result = await run("search", "teapot", user="stranger")
    assert result == (0, "", "nothing found in the rooms you are a member of; search an open room with --room\n")
    await run.succeed("join", room, user="stranger")
    assert (await run.succeed("search", "teapot", user="stranger")).startswith(f"{room} #")


async def test_export_writes_the_whole_log_and_import_takes_it(run: CommandRunner, room: str, tmp_path: Path) -> None:
    for text in ("one", "two\nlines", "שלום"):
        await run.succeed("send", room, text)
    file = tmp_path / "log.jsonl"
    result = await run("export", room, str(file))
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert (result.exit_code, result.stderr) == (0, f"{len(events)} events\n")
    assert [int(event["seq"]) for event in events] == list(range(1, len(events) + 1))
    assert os.listdir(tmp_path) == ["log.jsonl"]
    copy = f"{room}-copy"
    await run.succeed("create", copy, "--open")
    await run.succeed("import", str(file), copy)
    lines = (await run.succeed("history", copy, "--json")).splitlines()
    texts = [json.loads(line)["posted"]["text"] for line in lines if "posted" in json.loads(line)]
    assert texts == ["one", "two\nlines", "שלום"]


async def test_export_to_stdout_goes_into_a_pipe(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "one")
    result = await run("export", room, "-")
    assert json.loads(result.stdout.splitlines()[-1])["posted"] == {"text": "one"}


async def test_export_of_a_room_that_is_not_there_leaves_no_file(run: CommandRunner, tmp_path: Path) -> None:
    result = await run("export", "nowhere", str(tmp_path / "log.jsonl"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: NOT_FOUND: ")
    assert os.listdir(tmp_path) == []
