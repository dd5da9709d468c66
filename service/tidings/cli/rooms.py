"""`tidings rooms` and `tidings create`: which rooms there are, and making one."""

from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.options import URL_DEFAULT, Json, Link, Token, Url, User

if TYPE_CHECKING:
    from tidings_client import Client

COLUMNS = ("room", "kind", "role", "unread", "events", "members", "title")
NUMBERS = ("unread", "events", "members")
PAGE_ROOMS = 1000
NO_ROOMS = "you are in no room; see the open ones with: tidings rooms --all"
NO_OPEN_ROOMS = "there are no open rooms; make one with: tidings create NAME --open"


def rooms(
    everyone: Annotated[bool, typer.Option("--all", help="All open rooms, not only those you are in.")] = False,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """List your rooms, or all open ones."""
    from tidings.cli.events import json_line, word
    from tidings.cli.link import with_client
    from tidings.cli.screen import note, say, table
    from tidings.contract import v1

    async def work(client: "Client") -> list[v1.RoomState]:
        found: list[v1.RoomState] = []
        more = True
        while more:
            after = found[-1].room.room if found else ""
            page = await client.rooms.list(public=everyone, after=after, limit=PAGE_ROOMS)
            found.extend(page.rooms)
            more = page.more
        return found

    states = with_client(Link(url, token, user), work)
    if json:
        for state in states:
            say(json_line(state))
        return 0
    table(
        COLUMNS,
        (
            (
                state.room.room,
                word(v1.RoomKind.DESCRIPTOR, state.room.kind),
                word(v1.Role.DESCRIPTOR, state.role),
                str(state.unread),
                str(state.room.head.seq),
                str(state.room.members),
                state.room.title,
            )
            for state in states
        ),
        right=NUMBERS,
    )
    if not states:
        note(NO_OPEN_ROOMS if everyone else NO_ROOMS)
    return 0


def create(
    room: Annotated[
        str, typer.Argument(help="Its name: letters, digits and . _ - @ :", metavar="ROOM", show_default=False)
    ],
    everyone: Annotated[
        bool, typer.Option("--open/--group", help="Anyone signed in may read and write, or members only.")
    ] = False,
    title: Annotated[str, typer.Option(help="What people read above it.", metavar="TEXT")] = "",
    member: Annotated[
        list[str] | None, typer.Option(help="Somebody to bring in; may be repeated.", metavar="NAME")
    ] = None,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Make a room; you become its owner. The same again changes nothing."""
    from tidings.cli.events import json_line, word
    from tidings.cli.link import with_client
    from tidings.cli.screen import counted, isolated, say
    from tidings.contract import v1

    kind = v1.OPEN if everyone else v1.GROUP

    async def work(client: "Client") -> v1.RoomReply:
        return await client.rooms.create(room, kind=kind, title=title, members=member or [])

    reply = with_client(Link(url, token, user), work)
    made = reply.room
    say(
        json_line(reply)
        if json
        else f"{isolated(made.room)} ({word(v1.RoomKind.DESCRIPTOR, made.kind)}, {counted(made.members, 'member')})"
    )
    return 0
