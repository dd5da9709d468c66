"""`tidings rooms` and `tidings create`."""

import json

import pytest

from cli.command import Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_room_that_was_made_is_listed_with_its_title(run: Caller) -> None:
    made = await run.well("create", "tea", "--title", "Tea [bold]and[/bold] cake", "--member", "bob", user="ann")
    assert made == "tea (group, 2 members)\n"
    row = (await run.well("rooms", user="bob")).rstrip("\n").split("\t")
    assert row[:3] == ["tea", "group", "member"]
    assert row[-1] == "Tea [bold]and[/bold] cake"
    state = json.loads(await run.well("rooms", "--json", user="ann"))
    assert (state["room"]["room"], state["role"]) == ("tea", "OWNER")


async def test_making_the_same_room_again_changes_nothing(run: Caller) -> None:
    first = await run.well("create", "again", "--open", user="amy")
    assert await run.well("create", "again", "--open", user="amy") == first
    ran = await run("create", "again", "--open", user="bob")
    assert ran.code == 1
    assert ran.err.startswith("error: CONFLICT: ")


async def test_all_open_rooms_are_listed_for_who_is_in_none(run: Caller, room: str) -> None:
    ran = await run("rooms", user="stranger")
    assert ran == (0, "", "you are in no room; see the open ones with: tidings rooms --all\n")
    assert room in [line.split("\t")[0] for line in (await run.well("rooms", "--all", user="stranger")).splitlines()]


async def test_a_name_that_breaks_the_rule_is_refused_with_the_rule(run: Caller) -> None:
    ran = await run("create", "no spaces")
    assert ran.code == 1
    assert ran.err.startswith("error: INVALID_ARGUMENT: ")
    assert len(ran.err.splitlines()) == 1
