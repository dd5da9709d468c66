"""A similar room name to suggest when there is no room of the requested name."""

import re
from typing import TYPE_CHECKING, Final

from tidings_client import ApiError, Code

if TYPE_CHECKING:
    from tidings_client import Client

ROOM_NOT_FOUND: Final = re.compile(r"there is no room (\S+?)(?:;| that you may enter)")
LOOKUP_SECONDS: Final = 2.0  # the user waits for an error message


async def suggest_room(client: "Client", error: BaseException) -> str:
    """A room that this user can read, for a NOT_FOUND error of a similar name; empty if there is none.

    Tries the name in lower case, and the user's own group of that name: `group:USER:NAME`.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    found = ROOM_NOT_FOUND.match(error.text) if isinstance(error, ApiError) and error.code is Code.NOT_FOUND else None
    if found is None:
        return ""
    requested = found[1]
    names = [requested.lower()]
    if ":" not in requested:
        names.append(f"group:{client.user}:{requested.lower()}")
    for name in names:
        if name != requested and await _room_exists(client, name):
            return name
    return ""


async def _room_exists(client: "Client", room: str) -> bool:
    from tidings.contract import v1

    try:
        await client.call("rooms.get", v1.GetRequest(room=room), v1.RoomReply, seconds=LOOKUP_SECONDS)
    except ApiError:
        return False
    return True
