"""The name of a room that was probably meant, where there is none of the name that was asked for."""

import re
from typing import TYPE_CHECKING, Final

from tidings_client import Code, Failure

if TYPE_CHECKING:
    from tidings_client import Client

NO_ROOM: Final = re.compile(r"there is no room (\S+?)(?:;| that you may enter)")
LOOK_SECONDS: Final = 2.0  # the user waits for an error message


async def room_meant(client: "Client", error: BaseException) -> str:
    """The room that `error` may have meant and that this user can read, or empty.

    Asked for are the name in lower case, and the user's own group of that name: `group:USER:NAME`.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    found = NO_ROOM.match(error.text) if isinstance(error, Failure) and error.code is Code.NOT_FOUND else None
    if found is None:
        return ""
    asked = found[1]
    names = [asked.lower()]
    if ":" not in asked:
        names.append(f"group:{client.user}:{asked.lower()}")
    for name in names:
        if name != asked and await _is_there(client, name):
            return name
    return ""


async def _is_there(client: "Client", room: str) -> bool:
    from tidings.contract import v1

    try:
        await client.call("rooms.get", v1.GetRequest(room=room), v1.RoomReply, seconds=LOOK_SECONDS)
    except Failure:
        return False
    return True
