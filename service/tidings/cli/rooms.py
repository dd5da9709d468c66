"""`tidings rooms`, `create`, `join`, `leave` and `hide`: listing rooms, creating them, and their members.

A member has the room on their list with its unread count, finds its messages by a search, and is listed as a member. An
OPEN room can be read and written without joining, so no other command joins a room.
"""

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from tidings.cli.options import DEFAULT_CONNECTION, ConnectOptions, Json, Room, takes_connection

if TYPE_CHECKING:
    from tidings.contract import v1
    from tidings_client import Client

Member = Annotated[
    str, typer.Option("--member", help="Another user; for owners and moderators.", metavar="NAME", show_default=False)
]


class RoleName(Enum):
    """The values of `tidings join --role`."""

    OWNER = "owner"
    MODERATOR = "moderator"
    MEMBER = "member"
    READER = "reader"


COLUMNS = ("room", "kind", "role", "unread", "events", "members", "title")
RIGHT_ALIGNED = ("unread", "events", "members")
ROOMS_PER_PAGE = 1000
OPEN_NAMES_SHOWN = 5
ALL_HIDDEN_HINT = "all your rooms are hidden; list them with: tidings rooms --hidden"
NO_OPEN_ROOMS_HINT = "there are no open rooms; create one with: tidings create NAME --open"


@takes_connection
def rooms(
    public: Annotated[bool, typer.Option("--all", help="All open rooms, not only those you are a member of.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Also rooms that you hid.")] = False,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """List your rooms, or all open ones. In a pipe the table has no header; programs use --json."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import enum_label, format_json
    from tidings.cli.terminal import print_line, print_note, print_table
    from tidings.contract import v1

    async def work(client: "Client") -> tuple[list[v1.RoomState], str]:
        found: list[v1.RoomState] = []
        more = True
        while more:
            after = found[-1].room.room if found else ""
            page = await client.rooms.list(public=public, after=after, limit=ROOMS_PER_PAGE)
            found.extend(page.rooms)
            more = page.more
        shown = [state for state in found if hidden or not state.hidden]
        if shown or public or json:
            return shown, ""
        return shown, ALL_HIDDEN_HINT if found else await no_rooms_hint(client)

    states, hint = with_client(connection, work)
    if json:
        for state in states:
            print_line(format_json(state))
        return 0
    print_table(
        COLUMNS,
        (
            (
                state.room.room,
                enum_label(v1.RoomKind.DESCRIPTOR, state.room.kind),
                enum_label(v1.Role.DESCRIPTOR, state.role),
                str(state.unread),
                str(state.room.head.seq),
                str(state.room.members),
                state.room.title,
            )
            for state in states
        ),
        right=RIGHT_ALIGNED,
    )
    if not states:
        print_note(NO_OPEN_ROOMS_HINT if public else hint)
    return 0


async def no_rooms_hint(client: "Client") -> str:
    """A hint for a user who is a member of no room: the open rooms and how to join one."""
    from tidings.cli.terminal import escape_controls

    page = await client.rooms.list(public=True, limit=OPEN_NAMES_SHOWN)
    if not page.rooms:
        return f"you are a member of no room, and {NO_OPEN_ROOMS_HINT}"
    names = [escape_controls(state.room.room) for state in page.rooms]
    further = " and more (tidings rooms --all)" if page.more else ""
    return (
        f"you are a member of no room; open rooms: {', '.join(names)}{further}; "
        f"join one, for example: tidings join {names[0]}"
    )


@takes_connection
def create(
    room: Annotated[
        str,
        typer.Argument(
            help="Its name: lower-case letters, digits and . _ - @ : (create prints the full name of a group).",
            metavar="ROOM",
            show_default=False,
        ),
    ],
    public: Annotated[
        bool, typer.Option("--open/--group", help="Every user may read and write, or members only.")
    ] = False,
    title: Annotated[
        str, typer.Option(help="The title that clients show. Default: ROOM.", metavar="TEXT", show_default=False)
    ] = "",
    member: Annotated[list[str] | None, typer.Option(help="A user to add; can be repeated.", metavar="NAME")] = None,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Create a room with you as its owner. Creating the same room again changes nothing."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_json
    from tidings.cli.terminal import escape_controls, print_line, print_note
    from tidings.contract import v1

    kind = v1.OPEN if public else v1.GROUP

    async def work(client: "Client") -> v1.RoomReply:
        # A group's full name contains its creator's name and this word; the title is the word alone.
        shown = title or ("" if public else room)
        return await client.rooms.create(room, kind=kind, title=shown, members=member or [])

    reply = with_client(connection, work)
    print_line(format_json(reply) if json else _format_room(reply.room))
    if reply.room.room != room:
        print_note(f"note: its full name is {escape_controls(reply.room.room)}")
    return 0


@takes_connection
def join(
    room: Room,
    member: Member = "",
    role: Annotated[
        RoleName | None,
        typer.Option(help="The role to give. Default: member.", show_default=False, case_sensitive=False),
    ] = None,
    json: Json = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Join an open room: it is on your list with its unread count, and in your searches. Or add another user."""
    from tidings.cli.connect import with_client
    from tidings.cli.format import format_json
    from tidings.cli.terminal import print_line
    from tidings.contract import v1

    role_value = v1.ROLE_UNSPECIFIED if role is None else v1.Role.Value(role.value.upper())

    async def work(client: "Client") -> v1.RoomReply:
        return await client.rooms[room].join(member, role=role_value)

    reply = with_client(connection, work)
    print_line(format_json(reply) if json else _format_room(reply.room))
    return 0


@takes_connection
def leave(room: Room, member: Member = "", connection: ConnectOptions = DEFAULT_CONNECTION) -> int:
    """Leave a room, or remove another member."""
    from tidings.cli.connect import with_client
    from tidings.cli.terminal import escape_controls, print_note

    async def work(client: "Client") -> None:
        await client.rooms[room].leave(member)

    with_client(connection, work)
    print_note(
        f"{escape_controls(member)} was removed from {escape_controls(room)}"
        if member
        else f"you left {escape_controls(room)}"
    )
    return 0


@takes_connection
def hide(
    room: Room,
    shown: Annotated[bool, typer.Option("--show", help="Show it again.")] = False,
    connection: ConnectOptions = DEFAULT_CONNECTION,
) -> int:
    """Hide a direct room from your list until its next message."""
    from tidings.cli.connect import with_client
    from tidings.cli.terminal import escape_controls, print_note

    async def work(client: "Client") -> None:
        await client.rooms[room].hide(shown=shown)

    with_client(connection, work)
    print_note(
        f"{escape_controls(room)} is on your list"
        if shown
        else f"{escape_controls(room)} is hidden until its next message"
    )
    return 0


def _format_room(room: "v1.Room") -> str:
    from tidings.cli.format import enum_label
    from tidings.cli.terminal import bidi_isolate, pluralize
    from tidings.contract import v1

    kind = enum_label(v1.RoomKind.DESCRIPTOR, room.kind)
    return f"{bidi_isolate(room.room)} ({kind}, {pluralize(room.members, 'member')})"
