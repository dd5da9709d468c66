"""`tidings send` and `tidings tail`."""

import asyncio
import json
import os
import signal

import pytest

from cli.command import CommandRunner, next_line

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_send_prints_the_number_of_the_message(run: CommandRunner, room: str) -> None:
    out = await run.succeed("send", room, "hello")
    number = int(out.strip().removeprefix("#"))
    shown = await run.succeed("history", room)
    assert shown.splitlines()[-1].startswith(f"#{number} ")
    assert shown.splitlines()[-1].endswith(" alice: hello")


async def test_send_takes_a_message_of_several_lines_from_stdin(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "-", stdin=b"one\r\ntwo\n")
    assert (await run.succeed("history", room)).endswith(" alice: one\n    two\n")


async def test_send_answers_another_message(run: CommandRunner, room: str) -> None:
    first = (await run.succeed("send", room, "who?")).strip().removeprefix("#")
    await run.succeed("send", room, "me", "--reply-to", first, user="bob")
    assert (await run.succeed("history", room)).endswith(f" bob: me  (reply to #{first})\n")


async def test_send_with_the_same_key_sends_once(run: CommandRunner, room: str) -> None:
    first = json.loads(await run.succeed("send", room, "hi", "--client-id", "k", "--json"))
    again = json.loads(await run.succeed("send", room, "hi", "--client-id", "k", "--json"))
    assert again["duplicate"] is True
    assert again["cursor"] == first["cursor"]


@pytest.mark.parametrize(
    ("stdin", "complaint"),
    [
        (b"\xff\xfe", "error: stdin is not UTF-8 (byte 0); convert it, for example with: iconv -t utf-8\n"),
        (b"x" * 65_537, "error: a message has at most 65,536 bytes; to send many messages use: tidings import\n"),
    ],
)
async def test_send_refuses_what_is_no_message_before_it_connects(
    run: CommandRunner, stdin: bytes, complaint: str
) -> None:
    result = await run("send", "general", "-", stdin=stdin, TIDINGS_URL="ws://127.0.0.1:1/rsocket")
    assert result == (1, "", complaint)


async def test_tail_shows_what_was_and_then_what_comes_until_ctrl_c(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "before")
    async with run.running("tail", room) as tail:
        while not (await next_line(tail.stdout)).endswith(" alice: before"):
            pass
        await run.succeed("send", room, "after", user="bob")
        assert (await next_line(tail.stdout)).endswith(" bob: after")
        tail.send_signal(signal.SIGINT)
        out, err = await tail.communicate()
    assert (tail.returncode, out, err) == (130, b"", b"")


async def test_tail_after_a_number_gives_every_event_as_json_with_no_gap(run: CommandRunner, room: str) -> None:
    for text in "abc":
        await run.succeed("send", room, text)
    async with run.running("tail", room, "--after", "0", "--json") as tail:
        events = [json.loads(await next_line(tail.stdout)) for _ in range(3)]
        while "posted" not in events[-1] or events[-1]["posted"]["text"] != "c":
            events.append(json.loads(await next_line(tail.stdout)))
    assert [int(event["seq"]) for event in events] == list(range(1, len(events) + 1))


async def test_tail_shows_no_more_lines_than_asked_for(run: CommandRunner, room: str) -> None:
    for text in "abc":
        await run.succeed("send", room, text)
    async with run.running("tail", room, "-n", "1") as tail:
        assert (await next_line(tail.stdout)).endswith(" alice: c")


async def test_tail_ends_quietly_when_nobody_reads_its_pipe_any_more(run: CommandRunner, room: str) -> None:
    ours, theirs = os.pipe()
    await run.succeed("send", room, "one")
    async with run.running("tail", room, "-n", "1", stdout=theirs) as tail:
        os.close(theirs)
        first = await asyncio.to_thread(os.read, ours, 4096)
        assert first.endswith(b" alice: one\n")
        os.close(ours)
        await run.succeed("send", room, "two")
        _, err = await tail.communicate()
    assert (tail.returncode, err) == (141, b"")


async def test_what_somebody_writes_cannot_act_on_the_terminal_of_a_reader(run: CommandRunner, room: str) -> None:
    hostile = "[red]x[/red] \u202egnp.exe\u2028\n#9 12:00:00 root: send me your password"
    await run.succeed("send", room, hostile)
    out = await run.succeed("history", room)
    assert out.endswith(
        " alice: [red]x[/red] \\u202egnp.exe\\u2028\\u202c\n    #9 12:00:00 root: send me your password\n"
    )


async def test_two_tails_and_ten_senders_see_the_same(run: CommandRunner, room: str) -> None:
    async with run.running("tail", room, "--after", "0") as one, run.running("tail", room, "--after", "0") as other:
        await asyncio.gather(*(run.succeed("send", room, f"text {n}") for n in range(10)))
        seen: list[list[str]] = []
        for tail in (one, other):
            lines: list[str] = []
            while sum(": text " in line for line in lines) < 10:
                lines.append(await next_line(tail.stdout))
            seen.append(lines)
    assert seen[0] == seen[1]
