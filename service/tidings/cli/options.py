"""The options that commands share, each with its variable of the environment."""

import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

URL_DEFAULT: Final = "ws://127.0.0.1:7878/rsocket"
USER_BYTES_MAX: Final = 64
USER_PUNCTUATION: Final = "._-@:"

SEQ_MAX: Final = 2**64 - 1


def parse_path(text: str) -> Path:
    """A file or folder that was named; an empty name would be this folder."""
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="TIDINGS_URL", help="Where the service is: ws://, wss://, tcp:// or tls://.", metavar="URL"
    ),
]
Token = Annotated[
    str,
    typer.Option("--token", envvar="TIDINGS_TOKEN", help="Who you are, signed (see: tidings token).", metavar="JWT"),
]
User = Annotated[
    str,
    typer.Option(
        "--user",
        envvar="TIDINGS_USER",
        help="Who you are, unsigned; for a service in development. Your login name if not said.",
        metavar="NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Room = Annotated[str, typer.Argument(help="The room's name.", metavar="ROOM", show_default=False)]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        parser=parse_path,
        envvar="TIDINGS_CONFIG",
        help="Settings in TOML (see: tidings config).",
        metavar="FILE",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class ConnectOptions:
    """Which service to talk to, and as whom. A token names its user; else `user` does."""

    url: str = URL_DEFAULT
    token: str = ""
    user: str = ""

    @property
    def user_name(self) -> str:
        """The user's name to sign in with, None needed where there is a token."""
        return self.user or login_name()


def login_name() -> str:
    """The name of who is logged in here, made to fit the rule for names; `guest` where there is none."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return "guest"
    fitting = "".join(c if c.isalpha() or c.isdecimal() or c in USER_PUNCTUATION else "-" for c in login)
    return fitting.encode()[:USER_BYTES_MAX].decode(errors="ignore") or "guest"
