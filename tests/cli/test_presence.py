"""`tidings presence`."""

import json

import pytest

from cli.command import CommandRunner, next_line

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_is_connected_is_online_and_who_never_was_is_not(run: CommandRunner, room: str) -> None:
    async with run.running("tail", room, "--after", "0", user="carol") as tail:
        await next_line(tail.stdout)
        lines = (await run.succeed("presence", "carol", "nobody")).splitlines()
    assert sorted(lines) == ["carol online", "nobody offline"]


async def test_a_change_is_shown_to_who_stays(run: CommandRunner, room: str) -> None:
    async with run.running("presence", "dave", "--watch", "--json") as watching:
        first = json.loads(await next_line(watching.stdout))
        assert first["user"] == "dave"
        assert first.get("status", "OFFLINE") == "OFFLINE"
        async with run.running("tail", room, user="dave"):
            assert json.loads(await next_line(watching.stdout))["status"] == "ONLINE"
