"""`tidings config`, `token` and `version`."""

import json
from pathlib import Path

import pytest

from cli.command import tidings
from tidings import __version__
from tidings.cli.complaints import Complaint
from tidings.cli.settings import seconds
from tidings.domain.limits import DomainLimits
from tidings.domain.rules import Rules
from tidings.domain.tokens import Tokens, TokenSettings

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.asyncio
async def test_config_shows_each_setting_with_where_it_came_from_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text('data = "/var/lib/tidings"\n')
    env = {"TIDINGS_AUTH__SECRET": SECRET, "TIDINGS_HTTP__PORT": "8080"}
    ran = await tidings("config", "--config", str(file), "--json", env=env)
    assert ran.code == 0
    rows = {row["name"]: row for row in map(json.loads, ran.out.splitlines())}
    assert (rows["data"]["value"], rows["data"]["from"]) == ("/var/lib/tidings", str(file))
    assert (rows["http.port"]["value"], rows["http.port"]["from"]) == ("8_080", "TIDINGS_HTTP__PORT")
    assert rows["hub.stall_seconds"]["unit"] == "seconds"
    assert rows["auth.secret"]["value"] == "(set)"
    assert SECRET not in ran.out
    assert rows["hub.stall_seconds"]["reason"]


@pytest.mark.asyncio
async def test_config_in_a_pipe_is_one_setting_a_line(tmp_path: Path) -> None:
    ran = await tidings("config", "--dev", cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    cells = [line.split("\t") for line in ran.out.splitlines()]
    assert {len(row) for row in cells} == {5}
    assert cells[0][:2] == ["dev", "true"]


@pytest.mark.asyncio
async def test_config_without_a_secret_shows_those_of_development_and_says_why(tmp_path: Path) -> None:
    ran = await tidings("config", cwd=tmp_path)
    assert ran.code == 0
    assert ran.err.startswith("as with --dev, since auth.secret is not set")


@pytest.mark.asyncio
async def test_config_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    ran = await tidings("config", env={"TIDINGS_HTTP__PORT": "many"}, cwd=tmp_path)
    assert ran == (1, "", "error: http.port (from TIDINGS_HTTP__PORT): 'many' is not a whole number\n")


@pytest.mark.asyncio
async def test_a_token_says_who_for_how_long_and_is_taken_by_the_service() -> None:
    settings = {"TIDINGS_AUTH__SECRET": SECRET, "TIDINGS_AUTH__ISSUER": "here", "TIDINGS_AUTH__AUDIENCE": "tidings"}
    ran = await tidings("token", "--user", "ada", "--ttl", "15m", "--operator", env=settings)
    assert ran.code == 0
    tokens = Tokens(TokenSettings(SECRET.encode(), "here", "tidings"), Rules(DomainLimits()))
    identity = tokens.identity(ran.out.strip(), now_ms=0)
    assert (identity.user, identity.operator) == ("ada", True)
    claims = identity.expires_at_ms
    assert claims % 1000 == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "env", "code", "part"),
    [
        (("--user", "ada"), {}, 1, "set TIDINGS_AUTH__SECRET"),
        (("--user", "no spaces"), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "(--user)"),
        (("--user", "ada", "--ttl", "soon"), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "--ttl soon is no time"),
        ((), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "Missing option '--user'"),
    ],
)
async def test_a_token_that_cannot_be_made_is_one_line(
    arguments: tuple[str, ...], env: dict[str, str], code: int, part: str
) -> None:
    ran = await tidings("token", *arguments, env=env)
    assert (ran.code, ran.out) == (code, "")
    assert part in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(("text", "number"), [("90s", 90), ("15m", 900), ("1h", 3_600), ("366d", 31_622_400)])
def test_a_time_is_a_number_and_its_unit(text: str, number: int) -> None:
    assert seconds(text) == number


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1h", "1.5h", "367d", "1 h", "9999999999s", "١h"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(Complaint, match="is no time"):
        seconds(text)


@pytest.mark.asyncio
@pytest.mark.parametrize("asked", ["version", "--version"])
async def test_the_version_is_the_package_s(asked: str) -> None:
    assert await tidings(asked) == (0, f"tidings {__version__}\n", "")


@pytest.mark.asyncio
async def test_a_token_without_a_secret_to_sign_it_says_where_the_secret_belongs(tmp_path: Path) -> None:
    ran = await tidings("token", "--user", "ada", cwd=tmp_path)
    assert (ran.code, ran.out) == (1, "")
    assert "set TIDINGS_AUTH__SECRET, the same here and for the service" in ran.err
    assert "--dev" not in ran.err
