"""`tidings history`, `search` and `export`: what was said before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.errors import EXIT_USAGE, CliError
from tidings.cli.options import SEQ_MAX, URL_DEFAULT, ConnectOptions, Json, Room, Token, Url, User, parse_path

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client


def history(
    room: Room,
    before: Annotated[
        int | None,
        typer.Option(help="Only what came before this number.", min=0, max=SEQ_MAX, metavar="SEQ", show_default=False),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option(
            help="Only what came after this number; 0: from the beginning.",
            min=0,
            max=SEQ_MAX,
            metavar="SEQ",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.", min=1, max=1000)] = 50,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Show a page of a room's history, the newest if neither --before nor --after is said."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_event, format_json
    from tidings.cli.terminal import print_line, print_note

    if before is not None and after is not None:
        raise CliError("say --before or --after, not both", EXIT_USAGE)

    async def work(client: "Client") -> "v1.PageReply":
        return await client.rooms[room].history(before=before, after=after, limit=limit)

    page = with_client(ConnectOptions(url, token, user), work)
    for event in page.events:
        print_line(format_json(event) if json else format_event(event))
    if page.more and page.events and not json:
        next_option = f"--after {page.events[-1].seq}" if after is not None else f"--before {page.events[0].seq}"
        print_note(f"there is more: add {next_option}")
    return 0


def search(
    words: Annotated[list[str], typer.Argument(help="All must occur.", metavar="WORDS…", show_default=False)],
    room: Annotated[str, typer.Option(help="Only in this room; else in all you are a member of.", metavar="ROOM")] = "",
    sender: Annotated[str, typer.Option("--from", help="Only what this user wrote.", metavar="NAME")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.", min=1, max=100)] = 20,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Find messages, newest first. Chinese, Japanese and Korean words are found inside longer text too."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_event, format_json
    from tidings.cli.terminal import bidi_isolate, print_line, print_note, styled

    if not " ".join(words).strip():
        raise CliError("there are no words to search for", EXIT_USAGE)

    async def work(client: "Client") -> "tuple[v1.SearchReply, str]":
        reply = await client.search(" ".join(words), room=room, sender=sender, limit=limit)
        return reply, "" if json or reply.events else await _nothing_found_hint(client, room)

    reply, hint = with_client(ConnectOptions(url, token, user), work)
    for event in reply.events:
        print_line(format_json(event) if json else f"{styled(bidi_isolate(event.room), 'cyan')} {format_event(event)}")
    if not json and reply.next:
        print_note("there is more: add --limit, or more words")
    elif hint:
        print_note(hint)
    return 0


async def _nothing_found_hint(client: "Client", room: str) -> str:
    """Why a search found nothing."""
    from tidings.cli.rooms import no_rooms_hint

    if room:
        return "nothing found"
    if (await client.rooms.list(limit=1)).rooms:
        return "nothing found in rooms you are a member of; name an open one with --room"
    return f"nothing was searched; {await no_rooms_hint(client)}, or search one with --room"


def export(
    room: Room,
    file: Annotated[
        Path,
        typer.Argument(
            parser=parse_path,
            help="Where to write it, one event a line; - is stdout.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    after: Annotated[
        int, typer.Option(help="Only what came after this number.", min=0, max=SEQ_MAX, metavar="SEQ")
    ] = 0,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Write a room's log as JSON, one event a line. A file is replaced when it is complete; a pipe gets each line."""
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

    count = with_client(ConnectOptions(url, token, user), to_stdout if str(file) == "-" else to_file)
    print_note(pluralize(count, "event"))
    return 0
