"""All commands in the order of `tidings --help`."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli import importing, presence, reading, rooms, serving, settings, talking
from tidings.cli.complaints import MISUSED

if TYPE_CHECKING:
    from typer.core import TyperGroup

ABOUT = "Messaging you host yourself, over RSocket. Start it with `tidings serve --dev`."
TALK, LOOK, RUN = "Talk", "Look", "Run"


def command() -> "TyperGroup":
    """The command line, ready to be run."""
    program = typer.Typer(help=ABOUT, invoke_without_command=True, pretty_exceptions_enable=False, add_completion=True)
    program.callback()(_program)
    for panel, name, function in (
        (RUN, "serve", serving.serve),
        (RUN, "config", settings.config),
        (RUN, "token", settings.token),
        (RUN, "version", settings.version),
        (TALK, "send", talking.send),
        (TALK, "tail", talking.tail),
        (TALK, "create", rooms.create),
        (TALK, "import", importing.import_),
        (LOOK, "rooms", rooms.rooms),
        (LOOK, "history", reading.history),
        (LOOK, "search", reading.search),
        (LOOK, "presence", presence.presence),
        (LOOK, "export", reading.export),
    ):
        program.command(name, rich_help_panel=panel)(function)
    group = typer.main.get_command(program)
    assert isinstance(group, typer.core.TyperGroup)
    return group


def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Say which version this is.", callback=settings.tell_version, is_eager=True),
    ] = False,
) -> int:
    """Options of the program itself; without a command, the help."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        return MISUSED
    return 0
