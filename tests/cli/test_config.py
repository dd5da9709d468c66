"""`tidings config`, `token` and `version`."""

import json
from pathlib import Path

import pytest

from cli.command import tidings
from tidings import __version__
from tidings.cli.config import parse_duration
from tidings.cli.errors import CliError
from tidings.domain.identity.jwt import JwtSettings, JwtVerifier
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.validation.validator import Validator

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.asyncio
async def test_config_shows_each_setting_with_where_it_came_from_and_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "tidings.toml"
    file.write_text('data = "/var/lib/tidings"\n')
    env = {"TIDINGS_AUTH__SECRET": SECRET, "TIDINGS_HTTP__PORT": "8080"}
    result = await tidings("config", "--config", str(file), "--json", env=env)
    assert result.exit_code == 0
    rows = {row["name"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert (rows["data"]["value"], rows["data"]["from"]) == ("/var/lib/tidings", str(file))
    assert (rows["http.port"]["value"], rows["http.port"]["from"]) == ("8_080", "TIDINGS_HTTP__PORT")
    assert rows["hub.stall_seconds"]["unit"] == "seconds"
    assert rows["auth.secret"]["value"] == "(set)"
    assert SECRET not in result.stdout
    assert rows["hub.stall_seconds"]["reason"]


@pytest.mark.asyncio
async def test_config_in_a_pipe_is_one_setting_a_line(tmp_path: Path) -> None:
    result = await tidings("config", "--dev", cwd=tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    cells = [line.split("\t") for line in result.stdout.splitlines()]
    assert {len(row) for row in cells} == {5}
    assert cells[0][:2] == ["dev", "true"]


@pytest.mark.asyncio
async def test_config_without_a_secret_shows_those_of_development_and_says_why(tmp_path: Path) -> None:
    result = await tidings("config", cwd=tmp_path)
    assert result.exit_code == 0
    assert result.stderr.startswith("as with --dev, since auth.secret is not set")


@pytest.mark.asyncio
async def test_config_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    result = await tidings("config", env={"TIDINGS_HTTP__PORT": "many"}, cwd=tmp_path)
    assert result == (1, "", "error: http.port (from TIDINGS_HTTP__PORT): 'many' is not a whole number\n")


@pytest.mark.asyncio
async def test_a_token_says_who_for_how_long_and_is_taken_by_the_service() -> None:
    settings = {"TIDINGS_AUTH__SECRET": SECRET, "TIDINGS_AUTH__ISSUER": "here", "TIDINGS_AUTH__AUDIENCE": "tidings"}
    result = await tidings("token", "--user", "ada", "--ttl", "15m", "--operator", env=settings)
    assert result.exit_code == 0
    tokens = JwtVerifier(JwtSettings(SECRET.encode(), "here", "tidings"), Validator(DomainLimits()))
    identity = tokens.verify(result.stdout.strip(), now_ms=0)
    assert (identity.user, identity.operator) == ("ada", True)
    claims = identity.expires_at_ms
    assert claims % 1000 == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("arguments", "env", "code", "part"),
    [
        (("--user", "ada"), {}, 1, "set TIDINGS_AUTH__SECRET"),
        (("--user", "no spaces"), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "(--user)"),
        (("--user", "ada", "--ttl", "soon"), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "--ttl soon is not a duration"),
        ((), {"TIDINGS_AUTH__SECRET": SECRET}, 2, "Missing option '--user'"),
    ],
)
async def test_a_token_that_cannot_be_made_is_one_line(
    arguments: tuple[str, ...], env: dict[str, str], code: int, part: str
) -> None:
    result = await tidings("token", *arguments, env=env)
    assert (result.exit_code, result.stdout) == (code, "")
    assert part in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(("text", "number"), [("90s", 90), ("15m", 900), ("1h", 3_600), ("366d", 31_622_400)])
def test_a_time_is_a_number_and_its_unit(text: str, number: int) -> None:
    assert parse_duration(text) == number


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1h", "1.5h", "367d", "1 h", "9999999999s", "١h"])
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(CliError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.asyncio
@pytest.mark.parametrize("asked", ["version", "--version"])
async def test_the_version_is_the_package_s(asked: str) -> None:
    assert await tidings(asked) == (0, f"tidings {__version__}\n", "")


@pytest.mark.asyncio
async def test_a_token_without_a_secret_to_sign_it_says_where_the_secret_belongs(tmp_path: Path) -> None:
    result = await tidings("token", "--user", "ada", cwd=tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "set TIDINGS_AUTH__SECRET, to the same value here and for the service" in result.stderr
    assert "--dev" not in result.stderr
