"""`tidings import`: all of it, in order, once."""

import asyncio
import json
from pathlib import Path

import pytest

from cli.command import CommandRunner

pytestmark = pytest.mark.asyncio(loop_scope="module")

LANGUAGES = [
    "Hello, everybody",
    "今天天气很好，我们去公园吧",
    "おはようございます",
    "안녕하세요",
    "שלום לכולם",
    "مرحبا بالجميع",
    "Ἐν ἀρχῇ ἦν ὁ λόγος",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "👩\u200d👩\u200d👧 says: two\nlines and a tab\there",
]


def write(path: Path, lines: list[str]) -> str:
    """A file of these lines; its name."""
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def messages(*texts: str) -> list[str]:
    return [json.dumps({"text": text}, ensure_ascii=False) for text in texts]


async def texts_in(run: CommandRunner, room: str) -> list[str]:
    """The messages of a room, in order."""
    events = [json.loads(line) for line in (await run.succeed("export", room, "-")).splitlines()]
    return [event["posted"]["text"] for event in events if "posted" in event]


async def test_every_language_arrives_in_order_and_a_second_run_doubles_nothing(
    run: CommandRunner, room: str, tmp_path: Path
) -> None:
    texts = [f"{LANGUAGES[n % len(LANGUAGES)]} {n}" for n in range(1_000)]
    file = write(tmp_path / "chat.jsonl", messages(*texts))
    assert await run("import", file, room) == (0, "", "1,000 sent\n")
    assert await texts_in(run, room) == texts
    assert await run("import", file, room) == (0, "", "0 sent, 1,000 already sent\n")
    write(tmp_path / "chat.jsonl", messages(*texts, "one more"))
    assert await run("import", file, room) == (0, "", "1 sent, 1,000 already sent\n")
    assert await texts_in(run, room) == [*texts, "one more"]


async def test_a_bad_line_stops_it_and_says_where_and_why(run: CommandRunner, room: str, tmp_path: Path) -> None:
    lines = [*messages("a"), "{broken", *messages("b")]
    file = write(tmp_path / "chat.jsonl", lines)
    result = await run("import", file, room)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        'line 2: it is not JSON from character 2 on; write {"text": "…"}',
        "1 sent",
        "error: stopped at line 2; correct it, or skip invalid lines with --skip-bad, and run the command again: "
        "nothing is sent twice",
    ]
    lines[1] = messages("mended")[0]
    write(tmp_path / "chat.jsonl", lines)
    assert await run("import", file, room) == (0, "", "2 sent, 1 already sent\n")
    assert await texts_in(run, room) == ["a", "mended", "b"]


async def test_bad_lines_are_left_out_when_asked_for_also_those_the_service_refuses(
    run: CommandRunner, room: str, tmp_path: Path
) -> None:
    lines = [*messages("a"), "nonsense", *messages("bell \x07", "x" * 65_537, "b"), '{"text": "c", "reply_to": 99999}']
    result = await run("import", write(tmp_path / "chat.jsonl", lines), room, "--skip-bad")
    assert result.exit_code == 0
    told = result.stderr.splitlines()
    assert sorted(line.split(":")[0] for line in told[:-1]) == ["line 2", "line 3", "line 4", "line 6"]
    assert told[-1] == "2 sent, 4 invalid lines skipped"
    assert await texts_in(run, room) == ["a", "b"]


async def test_a_run_that_was_killed_is_finished_by_the_next_one(run: CommandRunner, room: str, tmp_path: Path) -> None:
    texts = [f"message {n}" for n in range(5_000)]
    file = write(tmp_path / "chat.jsonl", messages(*texts))
    async with run.running("import", file, room) as first:
        async with run.running("tail", room, "-n", "0", user="bob") as tail:
            assert tail.stdout is not None
            await tail.stdout.readline()
        first.kill()
        await first.wait()
    result = await run("import", file, room)
    assert result.exit_code == 0
    assert await texts_in(run, room) == texts


async def test_a_room_that_is_not_there_is_said_once(run: CommandRunner, tmp_path: Path) -> None:
    file = write(tmp_path / "chat.jsonl", messages(*"abc"))
    result = await run("import", file, "nowhere")
    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert told[0] == "0 sent"
    assert told[1].startswith("error: NOT_FOUND: ")
    assert len(told) == 2


async def test_a_file_that_is_not_there_is_said_in_one_line(run: CommandRunner, tmp_path: Path) -> None:
    result = await run("import", str(tmp_path / "none.jsonl"), "general")
    assert result == (1, "", f"error: cannot open {tmp_path / 'none.jsonl'}: No such file or directory\n")


async def test_two_imports_of_one_file_at_once_double_nothing(run: CommandRunner, room: str, tmp_path: Path) -> None:
    texts = [f"message {n}" for n in range(500)]
    file = write(tmp_path / "chat.jsonl", messages(*texts))
    await asyncio.gather(run.succeed("import", file, room), run.succeed("import", file, room))
    assert sorted(await texts_in(run, room)) == sorted(texts)


async def test_a_room_that_may_be_meant_is_suggested_and_stdin_is_read(run: CommandRunner, room: str) -> None:
    lines = "".join(f"{line}\n" for line in messages("a", "b")).encode()
    result = await run("import", "-", room.upper(), stdin=lines)
    assert (result.exit_code, result.stderr.splitlines()[-1].partition("; ")[2]) == (1, f"did you mean {room}?")
    assert await run("import", "-", room, stdin=lines) == (0, "", "2 sent\n")
    assert await run("import", "-", room, stdin=lines) == (0, "", "0 sent, 2 already sent\n")
    assert await texts_in(run, room) == ["a", "b"]
