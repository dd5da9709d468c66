"""All commands in the order of `tidings --help`.

A table of names: only the requested command is imported and built; the help imports all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from tidings.cli.errors import EXIT_USAGE

if TYPE_CHECKING:
    from typer.core import TyperGroup

ABOUT: Final = "Messaging you host yourself, over RSocket. Start it with `tidings serve --dev`."
PANEL_SERVICE, PANEL_MESSAGES, PANEL_ROOMS = "Service", "Messages", "Rooms and users"


class Command(NamedTuple):
    """One command: its heading in the help, its name, and the module and function that execute it."""

    panel: str
    name: str
    module: str
    function: str


COMMANDS: Final = (
    Command(PANEL_SERVICE, "serve", "serve", "serve"),
    Command(PANEL_SERVICE, "config", "config", "config"),
    Command(PANEL_SERVICE, "token", "config", "token"),
    Command(PANEL_SERVICE, "version", "config", "version"),
    Command(PANEL_MESSAGES, "send", "messages", "send"),
    Command(PANEL_MESSAGES, "tail", "messages", "tail"),
    Command(PANEL_MESSAGES, "history", "history", "history"),
    Command(PANEL_MESSAGES, "search", "history", "search"),
    Command(PANEL_MESSAGES, "import", "import_", "import_"),
    Command(PANEL_MESSAGES, "export", "history", "export"),
    Command(PANEL_ROOMS, "rooms", "rooms", "rooms"),
    Command(PANEL_ROOMS, "create", "rooms", "create"),
    Command(PANEL_ROOMS, "join", "rooms", "join"),
    Command(PANEL_ROOMS, "leave", "rooms", "leave"),
    Command(PANEL_ROOMS, "hide", "rooms", "hide"),
    Command(PANEL_ROOMS, "presence", "presence", "presence"),
)
COMMAND_NAMES: Final = frozenset(command.name for command in COMMANDS)


def build_program(command_name: str = "") -> "TyperGroup":
    """The command line: with the command of this name only, or with all commands where there is none of this name."""
    app = typer.Typer(help=ABOUT, invoke_without_command=True, pretty_exceptions_enable=False)
    app.callback()(_root)
    for command in COMMANDS:
        if command_name == command.name or command_name not in COMMAND_NAMES:
            function = getattr(import_module(f"tidings.cli.{command.module}"), command.function)
            app.command(command.name, rich_help_panel=command.panel)(function)
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    for built in group.commands.values():
        for parameter in built.params:
            parameter.callback = check_text
    return group


def check_text(context: Any, parameter: Any, value: Any) -> Any:
    """Reject text that cannot be sent: bytes that are not UTF-8, and an empty required value."""
    for text in value if isinstance(value, list | tuple) else (value,):
        if isinstance(text, str) and not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
            raise typer.BadParameter("it is not UTF-8", ctx=context, param=parameter)
        if text == "" and parameter.required:
            raise typer.BadParameter("it is empty", ctx=context, param=parameter)
    return value


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from tidings.cli.config import version

        version()
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> int:
    """The options of the program itself; without a command it prints the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return EXIT_USAGE
    return 0
