"""All commands in the order of `tidings --help`.

A table of names, so that the one that was asked for is imported and built, and the others only for the help.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from tidings.cli.complaints import MISUSED

if TYPE_CHECKING:
    from typer.core import TyperGroup

ABOUT: Final = "Messaging you host yourself, over RSocket. Start it with `tidings serve --dev`."
TALK, LOOK, RUN = "Talk", "Look", "Run"


class Command(NamedTuple):
    """One command: under which heading of the help, its name, the module and the function that carry it out."""

    panel: str
    name: str
    module: str
    function: str


COMMANDS: Final = (
    Command(RUN, "serve", "serving", "serve"),
    Command(RUN, "config", "settings", "config"),
    Command(RUN, "token", "settings", "token"),
    Command(RUN, "version", "settings", "version"),
    Command(TALK, "send", "talking", "send"),
    Command(TALK, "tail", "talking", "tail"),
    Command(TALK, "create", "rooms", "create"),
    Command(TALK, "join", "rooms", "join"),
    Command(TALK, "leave", "rooms", "leave"),
    Command(TALK, "hide", "rooms", "hide"),
    Command(TALK, "import", "importing", "import_"),
    Command(LOOK, "rooms", "rooms", "rooms"),
    Command(LOOK, "history", "reading", "history"),
    Command(LOOK, "search", "reading", "search"),
    Command(LOOK, "presence", "presence", "presence"),
    Command(LOOK, "export", "reading", "export"),
)
NAMES: Final = frozenset(command.name for command in COMMANDS)


def program(asked: str = "") -> "TyperGroup":
    """The command line: with the command `asked` alone if there is one of this name, else with all of them."""
    made = typer.Typer(help=ABOUT, invoke_without_command=True, pretty_exceptions_enable=False)
    made.callback()(_program)
    for command in COMMANDS:
        if asked == command.name or asked not in NAMES:
            function = getattr(import_module(f"tidings.cli.{command.module}"), command.function)
            made.command(command.name, rich_help_panel=command.panel)(function)
    group = typer.main.get_command(made)
    assert isinstance(group, typer.core.TyperGroup)
    for known in group.commands.values():
        for parameter in known.params:
            parameter.callback = checked
    return group


def checked(context: Any, parameter: Any, value: Any) -> Any:
    """Refuse text that cannot be sent: bytes that are not UTF-8, and nothing where something is needed."""
    for text in value if isinstance(value, list | tuple) else (value,):
        if isinstance(text, str) and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise typer.BadParameter("it is not UTF-8", ctx=context, param=parameter)
        if text == "" and parameter.required:
            raise typer.BadParameter("it is empty", ctx=context, param=parameter)
    return value


def _tell_version(wanted: bool) -> None:
    if wanted:
        from tidings.cli.settings import version

        version()
        raise typer.Exit


def _program(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Say which version this is.", callback=_tell_version, is_eager=True)
    ] = False,
) -> int:
    """Options of the program itself; without a command, the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return MISUSED
    return 0
