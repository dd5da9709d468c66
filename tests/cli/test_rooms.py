"""`tidings rooms` and `tidings create`."""

import json
import re

import pytest

import tidings_client
from cli.command import CommandRunner
from service_runner import RunningService
from tidings.contract import v1

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_room_that_was_made_is_listed_with_its_title(run: CommandRunner) -> None:
    made = await run.succeed("create", "tea", "--title", "Tea [bold]and[/bold] cake", "--member", "bob", user="ann")
    assert made == "group:ann:tea (group, 2 members)\n"
    row = (await run.succeed("rooms", user="bob")).rstrip("\n").split("\t")
    assert row[:3] == ["group:ann:tea", "group", "member"]
    assert row[-1] == "Tea [bold]and[/bold] cake"
    state = json.loads(await run.succeed("rooms", "--json", user="ann"))
    assert (state["room"]["room"], state["role"]) == ("group:ann:tea", "OWNER")


async def test_a_group_without_a_title_is_read_under_its_own_word_and_two_users_have_one_each(
    run: CommandRunner,
) -> None:
    for user in ("una", "una", "ulf"):
        made = await run.succeed("create", "plans", user=user)
        assert made == f"group:{user}:plans (group, 1 member)\n"
        assert (await run.succeed("rooms", user=user)).rstrip("\n").split("\t")[-1] == "plans"
    await run.succeed("send", "group:una:plans", "hello", user="una")


async def test_making_the_same_room_again_changes_nothing(run: CommandRunner) -> None:
    first = await run.succeed("create", "again", "--open", user="amy")
    assert await run.succeed("create", "again", "--open", user="amy") == first
    result = await run("create", "again", "--open", user="bob")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: CONFLICT: ")


async def test_who_is_in_no_room_is_told_of_open_ones_and_how_to_join(run: CommandRunner, room: str) -> None:
    result = await run("rooms", user="stranger")
    assert (result.exit_code, result.stdout) == (0, "")
    told = re.fullmatch(
        r"you are a member of no room; open rooms: (.+); join one, for example: tidings join (.+)\n", result.stderr
    )
    assert told
    assert "general" in told[1].split(", ")
    assert told[2] in told[1].split(", ")
    assert await run("rooms", "--json", user="stranger") == (0, "", "")
    assert room in [line.split("\t")[0] for line in (await run.succeed("rooms", "--all", user="stranger")).splitlines()]


async def test_who_joins_has_the_room_on_the_list_with_nothing_unread_until_somebody_writes(
    run: CommandRunner, room: str
) -> None:
    await run.succeed("send", room, "before", user="owner")
    assert await run.succeed("join", room, user="joy") == f"{room} (open, 2 members)\n"
    assert await run.succeed("join", room, user="joy") == f"{room} (open, 2 members)\n"
    assert (await run.succeed("rooms", user="joy")).split("\t")[:4] == [room, "open", "member", "0"]
    await run.succeed("send", room, "after", user="owner")
    assert (await run.succeed("rooms", user="joy")).split("\t")[3] == "1"


async def test_a_direct_room_is_off_the_list_until_its_next_message(
    run: CommandRunner, service: RunningService
) -> None:
    async with tidings_client.connect(service.ws_url, user="hal") as client:
        room = (await client.rooms.create(kind=v1.DIRECT, members=["ida"])).room.room
    assert await run("hide", room, user="hal") == (0, "", f"{room} is hidden until its next message\n")
    assert await run.succeed("rooms", "--json", user="hal") == ""
    result = await run("rooms", user="hal")
    assert result == (0, "", "all your rooms are hidden; list them with: tidings rooms --hidden\n")
    assert (await run.succeed("rooms", "--hidden", user="hal")).startswith(room)
    assert await run("hide", room, "--show", user="hal") == (0, "", f"{room} is on your list\n")
    await run.succeed("hide", room, user="hal")
    await run.succeed("send", room, "hello", user="ida")
    assert (await run.succeed("rooms", user="hal")).startswith(room)
    result = await run("hide", "general", user="hal")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "only those can be hidden" in result.stderr


async def test_an_owner_gives_others_a_role(run: CommandRunner) -> None:
    await run.succeed("create", "guild", user="gus")
    await run.succeed("join", "group:gus:guild", "--member", "mo", "--role", "moderator", user="gus")
    assert (await run.succeed("rooms", user="mo")).split("\t")[2] == "moderator"
    assert (await run("join", "group:gus:guild", "--member", "mo", "--role", "king", user="gus")).exit_code == 2


async def test_who_leaves_has_the_room_on_the_list_no_longer(run: CommandRunner, room: str) -> None:
    joined = json.loads(await run.succeed("join", room, "--json", user="leo"))
    assert (joined["room"]["room"], joined["role"]) == (room, "MEMBER")
    assert await run("leave", room, user="leo") == (0, "", f"you left {room}\n")
    assert await run("leave", room, user="leo") == (0, "", f"you left {room}\n")
    assert await run.succeed("rooms", user="leo") == ""


async def test_an_owner_brings_in_and_takes_out(run: CommandRunner) -> None:
    club = (await run.succeed("create", "club", user="amanda")).split()[0]
    assert await run.succeed("join", club, "--member", "ben", user="amanda") == f"{club} (group, 2 members)\n"
    assert (await run.succeed("rooms", user="ben")).startswith(f"{club}\t")
    assert await run("leave", club, "--member", "ben", user="amanda") == (0, "", f"ben was removed from {club}\n")
    result = await run("join", club, user="ben")
    assert (result.exit_code, result.stderr[:17]) == (1, "error: NOT_FOUND:")


async def test_writing_and_reading_an_open_room_joins_nobody(run: CommandRunner, room: str) -> None:
    await run.succeed("send", room, "hello", user="passer-by")
    await run.succeed("history", room, user="passer-by")
    assert await run.succeed("rooms", user="passer-by") == ""


async def test_a_name_that_breaks_the_rule_is_refused_with_the_rule(run: CommandRunner) -> None:
    result = await run("create", "no spaces")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: INVALID_ARGUMENT: ")
    assert len(result.stderr.splitlines()) == 1


async def test_a_group_says_how_it_is_reached_and_is_suggested_where_its_word_alone_is_asked_for(
    run: CommandRunner,
) -> None:
    made = await run("create", "pantry", user="fay")
    assert made == (0, "group:fay:pantry (group, 1 member)\n", "note: its full name is group:fay:pantry\n")
    assert (await run("create", "pantry-open", "--open", user="fay")).stderr == ""
    for command in (("send", "pantry", "hi"), ("history", "Pantry"), ("tail", "pantry")):
        result = await run(*command, user="fay")
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == "error: NOT_FOUND: there is no room of that name; did you mean group:fay:pantry?\n"
    assert "did you mean" not in (await run("send", "pantry", "hi", user="gil")).stderr


async def test_a_room_asked_for_in_upper_case_is_suggested_in_lower_case(run: CommandRunner, room: str) -> None:
    result = await run("send", room.upper(), "hi")
    assert result == (1, "", f"error: NOT_FOUND: there is no room of that name; did you mean {room}?\n")
