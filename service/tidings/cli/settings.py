"""`tidings config`, `token` and `version`: what holds here."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tidings.cli.complaints import MISUSED, Complaint
from tidings.cli.options import ConfigFile

if TYPE_CHECKING:
    from tidings.config import Settings

SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
COLUMNS: Final = ("setting", "value", "unit", "from", "why")
NO_SECRET: Final = (
    "there is no secret to sign with; set TIDINGS_AUTH__SECRET, the same here and for the service "
    "(make one with: openssl rand -hex 32)"
)
TTL_SECONDS_MAX: Final = 366 * SECONDS["d"]  # nobody can take a token back, so it ends by itself


def config(
    config: ConfigFile = None,
    dev: Annotated[bool, typer.Option("--dev", help="As `tidings serve --dev` would run.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a setting and line, for programs.")] = False,
) -> int:
    """Show every setting: its value, its unit, why it is so, and where it came from."""
    from json import dumps

    from tidings.cli.screen import is_terminal, say, styled, table
    from tidings.config import describe

    rows = describe(_settings(config, dev))
    if json:
        for row in rows:
            named = {"name": row.name, "value": row.value, "unit": row.unit, "reason": row.reason, "from": row.source}
            say(dumps(named))
        return 0
    if not is_terminal(sys.stdout):
        table(COLUMNS, ((row.name, row.value, row.unit, row.source, row.reason) for row in rows))
        return 0
    # Side by side they would need 150 columns.
    for row in rows:
        value = " ".join(filter(None, (row.value or "(none)", row.unit)))
        say(f"{styled(row.name, 'bold')} = {value}  {styled(f'({row.source})', 'dim')}")
        if row.reason:
            say(f"    {row.reason}")
    return 0


def _settings(file: Path | None, dev: bool) -> "Settings":
    """The settings; without a secret those of development, and a note about it, so that there is something to see."""
    from tidings.cli.screen import note
    from tidings.config import ConfigError, load

    if dev:
        return load(file, os.environ, {"dev": True})
    try:
        return load(file, os.environ, {})
    except ConfigError as error:
        settings = load(file, os.environ, {"dev": True})
        if settings.auth.secret:
            raise
        note(f"as with --dev, since {error}")
        return settings


def token(
    user: Annotated[str, typer.Option("--user", help="Whose name it carries.", metavar="NAME", show_default=False)],
    ttl: Annotated[str, typer.Option(help="How long it holds: 90s, 15m, 1h, 7d.", metavar="TIME")] = "1h",
    operator: Annotated[bool, typer.Option("--operator", help="May do what operators may.")] = False,
    config: ConfigFile = None,
) -> int:
    """Make a token for a user, signed with the secret of the settings (auth.secret, TIDINGS_AUTH__SECRET)."""
    import time

    from tidings.cli.screen import say
    from tidings.config import ConfigError, load
    from tidings.contract.errors import Failure
    from tidings.domain.limits import DomainLimits
    from tidings.domain.rules import Rules
    from tidings.domain.tokens import issue_token

    try:
        auth = load(config, os.environ, {}).auth
    except ConfigError as error:
        if not str(error).startswith("auth.secret is not set"):
            raise
        raise Complaint(NO_SECRET) from error
    if not auth.secret:
        raise Complaint(NO_SECRET)
    try:
        name = Rules(DomainLimits()).user(user)
    except Failure as failure:
        raise Complaint(f"{failure.text} (--user)", MISUSED) from failure
    say(
        issue_token(
            name,
            secret=auth.secret.encode(),
            ttl_seconds=seconds(ttl),
            now_ms=time.time_ns() // 1_000_000,
            operator=operator,
            issuer=auth.issuer,
            audience=auth.audience,
        )
    )
    return 0


def seconds(text: str) -> int:
    """How many seconds `90s`, `15m`, `1h` or `7d` are; a Complaint for anything else."""
    found = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    number = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 1 <= number <= TTL_SECONDS_MAX:
        raise Complaint(f"--ttl {text} is no time from 1s to 366d; write 90s, 15m, 1h or 7d", MISUSED)
    return number


def version() -> int:
    """Say which version this is."""
    from tidings import __version__

    typer.echo(f"tidings {__version__}")
    return 0
