"""`tidings send` and `tidings tail`: sending a message to a room, and following a room."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tidings.cli.errors import CliError
from tidings.cli.options import DEFAULT_CONNECTION, SEQ_MAX, ConnectOptions, Json, Room, takes_connection

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

# The limit of chat.send; the service would reject a longer text, so no more is read into memory.
TEXT_BYTES_MAX: Final = 65_536


@takes_connection
def send(
    room: Room,
    text: Annotated[
        str,
        typer.Argument(
            help="The message; - reads it from stdin. After -- it may begin with a dash.",
            metavar="TEXT",
            show_default=False,
        ),
    ],
    reply_to: Annotated[
        int, typer.Option(help="The number of the message to reply to.", min=0, max=SEQ_MAX, metavar="SEQ")
    ] = 0,
    client_id: Annotated[
        str, typer.Option(help="An idempotency key: sending again with the same key stores nothing.", metavar="KEY")
    ] = "",
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Send a message and print its number. The message is on the service's disk then."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_json
    from tidings.cli.terminal import print_line

    message = _standard_input() if text == "-" else text

    async def work(client: "Client") -> "v1.SendReply":
        return await client.rooms[room].send(message, reply_to=reply_to, client_id=client_id or None)

    reply = with_client(connection, work)
    print_line(format_json(reply) if json else f"#{reply.cursor.seq}")
    return 0


@takes_connection
def tail(
    room: Room,
    after: Annotated[
        int | None,
        typer.Option(help="All events after this number; 0 is the beginning.", min=0, max=SEQ_MAX, metavar="SEQ"),
    ] = None,
    lines: Annotated[
        int, typer.Option("-n", "--lines", help="How many of the newest events to print first.", min=0, max=1000)
    ] = 10,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Print the events of a room as they happen, until Ctrl-C. Reconnects automatically without missing an event."""
    from tidings.cli.connect import with_client

    async def work(client: "Client") -> None:
        await _follow(client, room, after, lines, json)

    with_client(connection, work)
    return 0


async def _follow(client: "Client", name: str, after: int | None, lines: int, json: bool) -> None:
    from tidings.cli.connect import report_states

    room = client.rooms[name]
    start: v1.Cursor | int | None = after
    if after is None and lines:
        page = await room.history(limit=lines)
        start = page.head
        for event in page.events:
            _show(event, json)
    states = asyncio.create_task(report_states(client))
    try:
        async for event in room.watch(after=start):
            _show(event, json)
    finally:
        states.cancel()


def _show(event: "v1.Event", json: bool) -> None:
    from tidings.cli.format import format_event, format_json
    from tidings.cli.terminal import print_line

    print_line(format_json(event) if json else format_event(event))


def _standard_input() -> str:
    data = sys.stdin.buffer.read(TEXT_BYTES_MAX + 2)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        text = f"stdin is not UTF-8 (byte {error.start}); convert it, for example with: iconv -t utf-8"
        raise CliError(text) from error
    text = text.replace("\r\n", "\n").removesuffix("\n")
    if len(text.encode()) > TEXT_BYTES_MAX:
        raise CliError(f"a message has at most {TEXT_BYTES_MAX:,} bytes; to send many messages use: tidings import")
    return text
