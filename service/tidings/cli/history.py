"""`tidings history`, `search` and `export`: reading the log of a room."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.errors import EXIT_USAGE, CliError
from tidings.cli.options import DEFAULT_CONNECTION, SEQ_MAX, ConnectOptions, Json, Room, parse_path, takes_connection

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client


@takes_connection
def history(
    room: Room,
    before: Annotated[
        int | None,
        typer.Option(help="Only events before this number.", min=0, max=SEQ_MAX, metavar="SEQ", show_default=False),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            help="Only events after this number; 0: from the beginning.",
            min=0,
            max=SEQ_MAX,
            metavar="SEQ",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="The most events to print.", min=1, max=1000)] = 50,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Print a page of a room's history, by default the newest."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_event, format_json
    from tidings.cli.terminal import print_line, print_note

    if before is not None and after is not None:
        raise CliError("give --before or --after, not both", EXIT_USAGE)

    async def work(client: "Client") -> "v1.PageReply":
        return await client.rooms[room].history(before=before, after=after, limit=limit)

    page = with_client(connection, work)
    for event in page.events:
        print_line(format_json(event) if json else format_event(event))
    if page.more and page.events and not json:
        next_option = f"--after {page.events[-1].seq}" if after is not None else f"--before {page.events[0].seq}"
        print_note(f"there is more: add {next_option}")
    return 0


@takes_connection
def search(
    words: Annotated[list[str], typer.Argument(help="All words must occur.", metavar="WORDS…", show_default=False)],
    room: Annotated[
        str, typer.Option(help="Only in this room. Default: all rooms that you are a member of.", metavar="ROOM")
    ] = "",
    sender: Annotated[str, typer.Option("--from", help="Only messages of this user.", metavar="NAME")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="The most events to print.", min=1, max=100)] = 20,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Find messages, newest first. Chinese, Japanese and Korean words are also found inside longer text."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_event, format_json
    from tidings.cli.terminal import bidi_isolate, print_line, print_note, styled

    if not " ".join(words).strip():
        raise CliError("the search is empty; give at least one word", EXIT_USAGE)

    async def work(client: "Client") -> "tuple[v1.SearchReply, str]":
        reply = await client.search(" ".join(words), room=room, sender=sender, limit=limit)
        return reply, "" if json or reply.events else await _nothing_found_hint(client, room)

    reply, hint = with_client(connection, work)
    for event in reply.events:
        print_line(format_json(event) if json else f"{styled(bidi_isolate(event.room), 'cyan')} {format_event(event)}")
    if not json and reply.next:
        print_note("there is more: raise --limit, or add words")
    elif hint:
        print_note(hint)
    return 0


async def _nothing_found_hint(client: "Client", room: str) -> str:
    """A hint for a search that found nothing."""
    from tidings.cli.rooms import no_rooms_hint

    if room:
        return "nothing found"
    if (await client.rooms.list(limit=1)).rooms:
        return "nothing found in the rooms you are a member of; search an open room with --room"
    return f"no room was searched; {await no_rooms_hint(client)}, or search one with --room"


@takes_connection
def export(
    room: Room,
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            help="The file to write, one event per line; - is stdout.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    after: Annotated[
        int, typer.Option(help="Only what came after this number.", min=0, max=SEQ_MAX, metavar="SEQ")
    ] = 0,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Write a room's log as JSON, one event per line. A file is replaced once the export is complete."""
    from tidings.cli.atomic_file import open_atomic
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_json
    from tidings.cli.terminal import pluralize, print_line, print_note

    async def to_stdout(client: "Client") -> int:
        count = 0
        async for event in client.rooms[room].read(after=after):
            print_line(format_json(event))
            count += 1
        return count

    async def to_file(client: "Client") -> int:
        count = 0
        with open_atomic(file) as lines:
            async for event in client.rooms[room].read(after=after):
                lines.write(f"{format_json(event)}\n")
                count += 1
        return count

    count = with_client(connection, to_stdout if str(file) == "-" else to_file)
    print_note(pluralize(count, "event"))
    return 0
