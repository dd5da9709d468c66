"""The options that commands share, each with its environment variable.

`takes_connection` gives a command the options of a connection: --url, --token and --user.
"""

import getpass
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

URL_DEFAULT: Final = "ws://127.0.0.1:7878/rsocket"
USER_BYTES_MAX: Final = 64
USER_PUNCTUATION: Final = "._-@:"
SEQ_MAX: Final = 2**64 - 1  # of the field `seq`, a uint64; the service checks its own bound


def parse_path(text: str) -> Path:
    """A file or folder; an empty name is rejected, since it would be the current folder."""
    if not text:
        raise typer.BadParameter("the name is empty")
    return Path(text)


Url = Annotated[
    str,
    typer.Option(
        "--url", envvar="TIDINGS_URL", help="The service's address: ws://, wss://, tcp:// or tls://.", metavar="URL"
    ),
]
Token = Annotated[
    str,
    typer.Option(
        "--token", envvar="TIDINGS_TOKEN", help="The token to sign in with (see: tidings token).", metavar="JWT"
    ),
]
User = Annotated[
    str,
    typer.Option(
        "--user",
        envvar="TIDINGS_USER",
        help="The user to sign in as, without a token; for a service in development. Default: your login name.",
        metavar="NAME",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line, for programs.")]
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
    """The service to connect to, and the user to sign in as: the token's, or `user` where there is no token."""

    url: str = URL_DEFAULT
    token: str = ""
    user: str = ""

    @property
    def user_name(self) -> str:
        """The user to sign in as without a token."""
        return self.user or login_name()


DEFAULT_CONNECTION: Final = ConnectOptions()


def takes_connection(command: Callable[..., int]) -> Callable[..., int]:
    """Replace a command's parameter `connection` by the options --url, --token and --user."""

    @wraps(command)
    def run(*, url: str, token: str, user: str, **values: Any) -> int:
        return command(**values, connection=ConnectOptions(url, token, user))

    options = {"url": (Url, URL_DEFAULT), "token": (Token, ""), "user": (User, "")}
    signature = inspect.signature(command)
    parameters = [parameter for name, parameter in signature.parameters.items() if name != "connection"]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in options.items()
    ]
    # typer reads both.
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters} | {"return": int}
    return run


def login_name() -> str:
    """The name of the operating system's user, changed to fit the rules for names; `guest` where there is none."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        # In a container the user id may have no name.
        return "guest"
    fitting = "".join(c if c.isalpha() or c.isdecimal() or c in USER_PUNCTUATION else "-" for c in login)
    return fitting.encode()[:USER_BYTES_MAX].decode(errors="ignore") or "guest"
