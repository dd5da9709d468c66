"""All commands in the order of `tidings --help`.

A table of names, so that the one that was asked for is imported and built, and the others only for the help.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from tidings.cli.errors import EXIT_USAGE

if TYPE_CHECKING:
    from typer.core import TyperGroup

ABOUT: Final = "Messaging you host yourself, over RSocket. Start it with `tidings serve --dev`."
PANEL_TALK, PANEL_LOOK, PANEL_RUN = "Talk", "Look", "Run"


class Command(NamedTuple):
    """One command: under which heading of the help, its name, the module and the function that carry it out."""

    panel: str
    name: str
    module: str
    function: str


COMMANDS: Final = (
    Command(PANEL_RUN, "serve", "serve", "serve"),
    Command(PANEL_RUN, "config", "config", "config"),
    Command(PANEL_RUN, "token", "config", "token"),
    Command(PANEL_RUN, "version", "config", "version"),
    Command(PANEL_TALK, "send", "messages", "send"),
    Command(PANEL_TALK, "tail", "messages", "tail"),
    Command(PANEL_TALK, "create", "rooms", "create"),
    Command(PANEL_TALK, "join", "rooms", "join"),
    Command(PANEL_TALK, "leave", "rooms", "leave"),
    Command(PANEL_TALK, "hide", "rooms", "hide"),
    Command(PANEL_TALK, "import", "import_", "import_"),
    Command(PANEL_LOOK, "rooms", "rooms", "rooms"),
    Command(PANEL_LOOK, "history", "history", "history"),
    Command(PANEL_LOOK, "search", "history", "search"),
    Command(PANEL_LOOK, "presence", "presence", "presence"),
    Command(PANEL_LOOK, "export", "history", "export"),
)
COMMAND_NAMES: Final = frozenset(command.name for command in COMMANDS)


def build_program(command_name: str = "") -> "TyperGroup":
    """The command line: with the command `asked` alone if there is one of this name, else with all of them."""
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
    """Refuse text that cannot be sent: bytes that are not UTF-8, and nothing where something is needed."""
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
        bool, typer.Option("--version", help="Say which version this is.", callback=_print_version, is_eager=True)
    ] = False,
) -> int:
    """Options of the program itself; without a command, the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return EXIT_USAGE
    return 0
