"""Presence: who is there."""

import asyncio
from collections.abc import Iterable

from tidings.contract import v1
from tidings_client.client_context import ClientContext
from tidings_client.errors import ApiError, Code
from tidings_client.resume_point import SnapshotResumePoint
from tidings_client.watch import Watch
from tidings_client.watch_stream import WatchStream


class Presence:
    """`client.presence`. Being online needs no call: a connected client is online."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    async def set(self, status: "v1.Status.ValueType", text: str = "") -> None:
        """My status on all my devices until I change it: ONLINE, AWAY, BUSY or INVISIBLE; up to 256 bytes of text."""
        request = v1.SetPresenceRequest(status=status, text=text)
        await self._context.call("presence.set", request, v1.SetPresenceReply)

    def watch(
        self, users: Iterable[str] = (), *, room: str = "", after: v1.Cursor | None = None
    ) -> Watch[v1.PresenceItem]:
        """The state of `users`, or of a room's members: everybody, then `live`, then what changes.

        With a room also its `typing` and `receipt` items, and above a size only `count`. A slow reader gets the newest
        state of each user, never a backlog. After a reconnect the changes since come, or, if the service cannot tell
        them, everybody and `live` anew: take each item as the state of its user.
        """
        names = list(users)
        if bool(names) == bool(room):
            raise ApiError(Code.INVALID_ARGUMENT, "say users or a room, and not both")
        resume_point = SnapshotResumePoint(
            after, lambda position: v1.PresenceWatchRequest(users=names, room=room, after=position)
        )
        stream = WatchStream(
            self._context.reconnector,
            "presence.watch",
            resume_point,
            v1.PresenceItem,
            self._context.new_window(),
            is_endless=True,
        )
        return Watch(stream, lambda item: item, asyncio.get_running_loop())
