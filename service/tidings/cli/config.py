"""`tidings config`, `token` and `version`: the settings in force, tokens for users, and the version."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tidings.cli.errors import EXIT_USAGE, CliError
from tidings.cli.options import ConfigFile

if TYPE_CHECKING:
    from tidings.config import Settings

UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
COLUMNS: Final = ("setting", "value", "unit", "from", "why")
NO_SECRET_HINT: Final = (
    "there is no secret to sign with; set TIDINGS_AUTH__SECRET, to the same value here and for the service "
    "(make one with: openssl rand -hex 32)"
)
TTL_SECONDS_MAX: Final = 366 * UNIT_SECONDS["d"]  # a token cannot be revoked, so it must expire


def config(
    config: ConfigFile = None,
    dev: Annotated[bool, typer.Option("--dev", help="The settings of `tidings serve --dev`.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")] = False,
) -> int:
    """Print every setting: its value, unit, reason, and where the value comes from."""
    from json import dumps

    from tidings.cli.terminal import is_terminal, print_line, print_table, styled
    from tidings.config import describe

    rows = describe(_load_settings(config, dev))
    if json:
        for row in rows:
            named = {"name": row.name, "value": row.value, "unit": row.unit, "reason": row.reason, "from": row.source}
            print_line(dumps(named))
        return 0
    if not is_terminal(sys.stdout):
        print_table(COLUMNS, ((row.name, row.value, row.unit, row.source, row.reason) for row in rows))
        return 0
    # A table would need 150 columns.
    for row in rows:
        value = " ".join(filter(None, (row.value or "(none)", row.unit)))
        print_line(f"{styled(row.name, 'bold')} = {value}  {styled(f'({row.source})', 'dim')}")
        if row.reason:
            print_line(f"    {row.reason}")
    return 0


def _load_settings(file: Path | None, dev: bool) -> "Settings":
    """The settings; without a secret those of development, with a note on stderr."""
    from tidings.cli.terminal import print_note
    from tidings.config import ConfigError, load

    if dev:
        return load(file, os.environ, {"dev": True})
    try:
        return load(file, os.environ, {})
    except ConfigError as error:
        settings = load(file, os.environ, {"dev": True})
        if settings.auth.secret:
            raise
        print_note(f"as with --dev, since {error}")
        return settings


def token(
    user: Annotated[
        str, typer.Option("--user", help="The user that the token is for.", metavar="NAME", show_default=False)
    ],
    ttl: Annotated[str, typer.Option(help="How long it is valid: 90s, 15m, 1h, 7d.", metavar="TIME")] = "1h",
    operator: Annotated[bool, typer.Option("--operator", help="Grant the rights of an operator.")] = False,
    config: ConfigFile = None,
) -> int:
    """Print a token for a user, signed with the secret in the settings (auth.secret, TIDINGS_AUTH__SECRET)."""
    import time

    from tidings.cli.terminal import print_line
    from tidings.config import ConfigError, load
    from tidings.contract.errors import ApiError
    from tidings.domain.identity.jwt import issue_token
    from tidings.domain.limits.limits import DomainLimits
    from tidings.domain.validation.validator import Validator

    try:
        auth = load(config, os.environ, {}).auth
    except ConfigError as error:
        if not str(error).startswith("auth.secret is not set"):
            raise
        raise CliError(NO_SECRET_HINT) from error
    if not auth.secret:
        raise CliError(NO_SECRET_HINT)
    try:
        name = Validator(DomainLimits()).user(user)
    except ApiError as failure:
        raise CliError(f"{failure.text} (--user)", EXIT_USAGE) from failure
    print_line(
        issue_token(
            name,
            secret=auth.secret.encode(),
            ttl_seconds=parse_duration(ttl),
            now_ms=time.time_ns() // 1_000_000,
            operator=operator,
            issuer=auth.issuer,
            audience=auth.audience,
        )
    )
    return 0


def parse_duration(text: str) -> int:
    """The seconds that `90s`, `15m`, `1h` or `7d` stand for; CliError for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    number = int(found[1]) * UNIT_SECONDS[found[2]] if found else 0
    if not 1 <= number <= TTL_SECONDS_MAX:
        raise CliError(f"--ttl {text} is not a duration from 1s to 366d; write 90s, 15m, 1h or 7d", EXIT_USAGE)
    return number


def version() -> int:
    """Print the version."""
    from tidings import __version__

    typer.echo(f"tidings {__version__}")
    return 0
