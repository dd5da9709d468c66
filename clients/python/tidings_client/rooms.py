"""Rooms: sending, watching, reading, and who is in them."""

import asyncio
from collections.abc import Iterable
from typing import Literal, overload

from tidings.contract import v1
from tidings_client.calls import new_client_id
from tidings_client.client_context import ClientContext
from tidings_client.presence import Presence
from tidings_client.resume_point import After, LogResumePoint, SnapshotResumePoint, cursor_from
from tidings_client.search import search
from tidings_client.watch import Watch
from tidings_client.watch_stream import WatchStream

TYPING_CALL_SECONDS = 5.0  # typing is over by then; later it would be a lie


class Rooms:
    """`client.rooms`: one room by its name, and what concerns all of them."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    def __getitem__(self, name: str) -> "Room":
        """The room of this name. Nothing is asked for yet, so it need not exist."""
        return Room(self._context, name)

    async def create(
        self,
        name: str = "",
        *,
        kind: "v1.RoomKind.ValueType" = v1.GROUP,
        title: str = "",
        members: Iterable[str] = (),
    ) -> v1.RoomReply:
        """Make a room; you become its owner. The same again gives the same answer.

        Its name is `reply.room.room`. An OPEN room has the name asked for, or one that nobody can guess; CONFLICT is
        raised for one that is taken. A GROUP's is made from your name and the one asked for, which so is yours alone
        (`group:ada:kitchen`); the title is what people see. A DIRECT room (with exactly one member, the other person)
        always has the name that its two users give it.
        """
        # A name made here is the same one when the request has to be repeated.
        room = name or ("" if kind == v1.DIRECT else new_client_id())
        request = v1.CreateRequest(room=room, kind=kind, title=title, members=members)
        return await self._context.call("rooms.create", request, v1.RoomReply)

    async def list(self, *, public: bool = False, after: str = "", limit: int = 0) -> v1.ListReply:
        """A page of my rooms by name, or of all open ones; the next page begins `after` the last name.

        Rooms that I hid are among them, with `hidden` set. `limit` is 1 to 1000, 0 means 100.
        """
        scope = v1.PUBLIC if public else v1.MINE
        return await self._context.call(
            "rooms.list", v1.ListRequest(scope=scope, after=after, limit=limit), v1.ListReply
        )

    def watch(self, *, after: v1.Cursor | None = None) -> Watch[v1.RoomsItem]:
        """My rooms with their heads, last messages and unread counts: all of them, then `live`, then what changes.

        Rooms that I hid are among them, with `hidden` set; they are shown again by their next message.

        A slow reader gets the newest state of each room, never a backlog. After a reconnect the changes since come, or,
        if the service cannot tell them, all rooms and `live` anew: take each item as the state of its room.
        """
        resume_point = SnapshotResumePoint(after, lambda position: v1.RoomsWatchRequest(after=position))
        stream = WatchStream(
            self._context.reconnector,
            "rooms.watch",
            resume_point,
            v1.RoomsItem,
            self._context.new_window(),
            is_endless=True,
        )
        return Watch(stream, lambda item: item, asyncio.get_running_loop())


class Room:
    """One room, by name: `client.rooms["general"]`. Holds nothing; make as many as you like."""

    def __init__(self, context: ClientContext, name: str) -> None:
        self._context = context
        self.name = name

    def __repr__(self) -> str:
        return f"<Room {self.name!r}>"

    # --- writing ----------------------------------------------------------------------------------------------------

    async def send(self, text: str, *, reply_to: int = 0, client_id: str | None = None) -> v1.SendReply:
        """Append a message; answered when it is durable. Tried again until then, and never doubled.

        `reply_to` is the seq of the message answered. `client_id` (1 to 64 characters) is for programs that want to
        send the same message again after they themselves were restarted; without it the client makes one.
        """
        request = v1.SendRequest(room=self.name, client_id=client_id or "", text=text, reply_to=reply_to)
        return await self._context.call("chat.send", request, v1.SendReply)

    async def edit(self, seq: int, text: str, *, client_id: str | None = None) -> v1.SendReply:
        """Give your message `seq` another text."""
        request = v1.EditRequest(room=self.name, client_id=client_id or "", target=seq, text=text)
        return await self._context.call("chat.edit", request, v1.SendReply)

    async def delete(self, seq: int, *, client_id: str | None = None) -> v1.SendReply:
        """Remove the text and reactions of message `seq` for everybody. Its author may, and moderators."""
        request = v1.DeleteRequest(room=self.name, client_id=client_id or "", target=seq)
        return await self._context.call("chat.delete", request, v1.SendReply)

    async def react(self, seq: int, emoji: str, *, remove: bool = False, client_id: str | None = None) -> v1.SendReply:
        """React to message `seq`, or take the reaction back."""
        request = v1.ReactRequest(room=self.name, client_id=client_id or "", target=seq, emoji=emoji, remove=remove)
        return await self._context.call("chat.react", request, v1.SendReply)

    async def typing(self, *, stopped: bool = False) -> None:
        """I am typing; dies by itself after a few seconds. Not worth long attempts: given up after 5 s."""
        request = v1.TypingRequest(room=self.name, stopped=stopped)
        await self._context.call("presence.typing", request, v1.TypingReply, seconds=TYPING_CALL_SECONDS)

    async def mark(self, *, read: int = 0, delivered: int = 0) -> v1.MarkReply:
        """My positions, as seqs; 0 leaves one as it is. They never go back, and what was read was delivered."""
        request = v1.MarkRequest(room=self.name, delivered=delivered, read=read)
        return await self._context.call("receipts.mark", request, v1.MarkReply)

    # --- reading ----------------------------------------------------------------------------------------------------

    @overload
    def watch(
        self, *, after: After = None, lag: "v1.Lag.ValueType" = ..., items: Literal[False] = False
    ) -> Watch[v1.Event]: ...

    @overload
    def watch(
        self, *, after: After = None, lag: "v1.Lag.ValueType" = ..., items: Literal[True]
    ) -> Watch[v1.WatchItem]: ...

    def watch(
        self, *, after: After = None, lag: "v1.Lag.ValueType" = v1.CATCH_UP, items: bool = False
    ) -> Watch[v1.Event] | Watch[v1.WatchItem]:
        """The room's events behind `after`: those of the past first, then each as it happens.

        None: only what happens from now on. 0: from the beginning. A cursor (of an earlier watch, or `head` of a page):
        from there on. With `items` the marks come too: Live once everything old was sent (again after a reconnect), Gap
        for what was skipped by `lag=LATEST` or removed by retention.

        Raises CURSOR_LOST when `after` is not in this log any more, NOT_FOUND, PERMISSION_DENIED.
        """
        name = self.name
        resume_point = LogResumePoint(
            cursor_from(after), lambda position: v1.WatchRequest(room=name, after=position, lag=lag)
        )
        stream = WatchStream(
            self._context.reconnector,
            "chat.watch",
            resume_point,
            v1.WatchItem,
            self._context.new_window(),
            is_endless=True,
        )
        return _watch_log(stream, items)

    @overload
    def read(self, *, after: After = 0, to: int | None = None, items: Literal[False] = False) -> Watch[v1.Event]: ...

    @overload
    def read(self, *, after: After = 0, to: int | None = None, items: Literal[True]) -> Watch[v1.WatchItem]: ...

    def read(
        self, *, after: After = 0, to: int | None = None, items: bool = False
    ) -> Watch[v1.Event] | Watch[v1.WatchItem]:
        """The events behind `after` up to `to` (None: what is the newest now), at your pace; then the loop ends."""
        name = self.name
        resume_point = LogResumePoint(
            cursor_from(after), lambda position: v1.ReadRequest(room=name, after=position, to=to)
        )
        stream = WatchStream(
            self._context.reconnector,
            "history.read",
            resume_point,
            v1.WatchItem,
            self._context.new_window(),
            is_endless=False,
        )
        return _watch_log(stream, items)

    async def history(self, *, before: int | None = None, after: int | None = None, limit: int = 0) -> v1.PageReply:
        """A page of events in seq order: before or after a seq (after 0: from the beginning), or (neither) the newest.

        `limit` is 1 to 1000, 0 means 50. `more`: there are further ones in that direction. `head` is a cursor to begin
        a watch with that misses nothing.
        """
        request = v1.PageRequest(room=self.name, before=before, after=after, limit=limit)
        return await self._context.call("history.page", request, v1.PageReply)

    async def search(self, query: str, *, sender: str = "", page: str = "", limit: int = 0) -> v1.SearchReply:
        """Messages of this room with all the words of `query`, newest first; see `Client.search`."""
        return await search(self._context, query, room=self.name, sender=sender, page=page, limit=limit)

    # --- people -----------------------------------------------------------------------------------------------------

    async def get(self) -> v1.RoomReply:
        """The room and my role in it."""
        return await self._context.call("rooms.get", v1.GetRequest(room=self.name), v1.RoomReply)

    async def join(self, user: str = "", *, role: "v1.Role.ValueType" = v1.ROLE_UNSPECIFIED) -> v1.RoomReply:
        """Join an open room; or, as owner or moderator, bring `user` in or give them another role."""
        request = v1.JoinRequest(room=self.name, user=user, role=role)
        return await self._context.call("rooms.join", request, v1.RoomReply)

    async def leave(self, user: str = "") -> None:
        """Leave; or, as owner or moderator, remove `user`.

        When the last owner leaves, the moderator or else the member who has been in for longest becomes owner. A GROUP
        that everybody left is gone.
        """
        await self._context.call("rooms.leave", v1.LeaveRequest(room=self.name, user=user), v1.LeaveReply)

    async def hide(self, *, shown: bool = False) -> None:
        """Hide a DIRECT room from my list until its next message; `shown` takes that back.

        Lists still hold the room, with `hidden` set. The other person does not learn of it.
        """
        await self._context.call("rooms.hide", v1.HideRequest(room=self.name, shown=shown), v1.HideReply)

    async def members(self, *, after: str = "", limit: int = 0) -> v1.MembersReply:
        """A page of members by name, with how far each has read. `limit` is 1 to 1000, 0 means 100."""
        request = v1.MembersRequest(room=self.name, after=after, limit=limit)
        return await self._context.call("rooms.members", request, v1.MembersReply)

    def presence(self) -> Watch[v1.PresenceItem]:
        """Who of the room is there, who is typing, who has read what; see `Presence.watch`."""
        return Presence(self._context).watch(room=self.name)


def _watch_log(stream: WatchStream[v1.WatchItem], items: bool) -> Watch[v1.Event] | Watch[v1.WatchItem]:
    loop = asyncio.get_running_loop()
    return Watch(stream, _select_item, loop) if items else Watch(stream, _select_event, loop)


def _select_item(item: v1.WatchItem) -> v1.WatchItem:
    return item


def _select_event(item: v1.WatchItem) -> v1.Event | None:
    return item.event if item.HasField("event") else None
