"""`tidings rooms`, `create`, `join`, `leave` and `hide`: which rooms there are, making one, and who is in it.

Being in a room is about the own list: its unread count, searches, and being seen as a member. An OPEN room is read and
written without it, so no other command joins anything on the way.
"""

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.options import URL_DEFAULT, Json, Link, Room, Token, Url, User

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

Member = Annotated[
    str, typer.Option("--member", help="Somebody else; for owners and moderators.", metavar="NAME", show_default=False)
]


class RoleName(Enum):
    """What may be given with `tidings join --role`."""

    OWNER = "owner"
    MODERATOR = "moderator"
    MEMBER = "member"
    READER = "reader"


COLUMNS = ("room", "kind", "role", "unread", "events", "members", "title")
NUMBERS = ("unread", "events", "members")
PAGE_ROOMS = 1000
OPEN_NAMES_SHOWN = 5
ALL_HIDDEN = "all your rooms are hidden; list them with: tidings rooms --hidden"
NO_OPEN_ROOMS = "there are no open rooms; make one with: tidings create NAME --open"


def rooms(
    everyone: Annotated[bool, typer.Option("--all", help="All open rooms, not only those you are in.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Also those that you hid.")] = False,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """List your rooms, or all open ones. In a pipe the columns have no header; programs use --json."""
    from tidings.cli.events import json_line, word
    from tidings.cli.link import with_client
    from tidings.cli.screen import note, say, table
    from tidings.contract import v1

    async def work(client: "Client") -> tuple[list[v1.RoomState], str]:
        found: list[v1.RoomState] = []
        more = True
        while more:
            after = found[-1].room.room if found else ""
            page = await client.rooms.list(public=everyone, after=after, limit=PAGE_ROOMS)
            found.extend(page.rooms)
            more = page.more
        shown = [state for state in found if hidden or not state.hidden]
        if shown or everyone or json:
            return shown, ""
        return shown, ALL_HIDDEN if found else await in_no_room(client)

    states, hint = with_client(Link(url, token, user), work)
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
        note(NO_OPEN_ROOMS if everyone else hint)
    return 0


async def in_no_room(client: "Client") -> str:
    """What to say to somebody who is in no room: the open ones and how to join one."""
    from tidings.cli.screen import clean

    page = await client.rooms.list(public=True, limit=OPEN_NAMES_SHOWN)
    if not page.rooms:
        return f"you are in no room, and {NO_OPEN_ROOMS}"
    names = [clean(state.room.room) for state in page.rooms]
    further = " and more (tidings rooms --all)" if page.more else ""
    return f"you are in no room; open ones: {', '.join(names)}{further}; join one, for example: tidings join {names[0]}"


def create(
    room: Annotated[
        str,
        typer.Argument(
            help="Its name: lower-case letters, digits and . _ - @ : (a group's full name is said when it was made).",
            metavar="ROOM",
            show_default=False,
        ),
    ],
    everyone: Annotated[
        bool, typer.Option("--open/--group", help="Anyone signed in may read and write, or members only.")
    ] = False,
    title: Annotated[
        str, typer.Option(help="What people read above it; ROOM if not said.", metavar="TEXT", show_default=False)
    ] = "",
    member: Annotated[
        list[str] | None, typer.Option(help="Somebody to bring in; may be repeated.", metavar="NAME")
    ] = None,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Make a room; you become its owner. The same again changes nothing."""
    from tidings.cli.events import json_line
    from tidings.cli.link import with_client
    from tidings.cli.screen import clean, note, say
    from tidings.contract import v1

    kind = v1.OPEN if everyone else v1.GROUP

    async def work(client: "Client") -> v1.RoomReply:
        # A group's name is made from its maker's and this word: people shall read the word alone.
        shown = title or ("" if everyone else room)
        return await client.rooms.create(room, kind=kind, title=shown, members=member or [])

    reply = with_client(Link(url, token, user), work)
    say(json_line(reply) if json else _told(reply.room))
    if reply.room.room != room:
        note(f"note: reach it as {clean(reply.room.room)}")
    return 0


def join(
    room: Room,
    member: Member = "",
    role: Annotated[
        RoleName | None, typer.Option(help="Which role; member if not said.", show_default=False, case_sensitive=False)
    ] = None,
    json: Json = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Join an open room: it is then on your list, with what is unread, and searched. Or bring somebody in."""
    from tidings.cli.events import json_line
    from tidings.cli.link import with_client
    from tidings.cli.screen import say
    from tidings.contract import v1

    wanted = v1.ROLE_UNSPECIFIED if role is None else v1.Role.Value(role.value.upper())

    async def work(client: "Client") -> v1.RoomReply:
        return await client.rooms[room].join(member, role=wanted)

    reply = with_client(Link(url, token, user), work)
    say(json_line(reply) if json else _told(reply.room))
    return 0


def leave(room: Room, member: Member = "", url: Url = URL_DEFAULT, token: Token = "", user: User = "") -> int:
    """Leave a room, or take somebody out of it."""
    from tidings.cli.link import with_client
    from tidings.cli.screen import clean, note

    async def work(client: "Client") -> None:
        await client.rooms[room].leave(member)

    with_client(Link(url, token, user), work)
    note(f"{clean(member)} is out of {clean(room)}" if member else f"you left {clean(room)}")
    return 0


def hide(
    room: Room,
    shown: Annotated[bool, typer.Option("--show", help="Show it again.")] = False,
    url: Url = URL_DEFAULT,
    token: Token = "",
    user: User = "",
) -> int:
    """Hide a direct room from your list until its next message."""
    from tidings.cli.link import with_client
    from tidings.cli.screen import clean, note

    async def work(client: "Client") -> None:
        await client.rooms[room].hide(shown=shown)

    with_client(Link(url, token, user), work)
    note(f"{clean(room)} is on your list" if shown else f"{clean(room)} is hidden until its next message")
    return 0


def _told(room: "v1.Room") -> str:
    from tidings.cli.events import word
    from tidings.cli.screen import counted, isolated
    from tidings.contract import v1

    return f"{isolated(room.room)} ({word(v1.RoomKind.DESCRIPTOR, room.kind)}, {counted(room.members, 'member')})"
