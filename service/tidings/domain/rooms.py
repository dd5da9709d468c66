"""Rooms, who is in them, and the list of mine."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any
from weakref import WeakValueDictionary

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.errors import Failure, conflict, invalid_argument, permission_denied
from tidings.domain import roles
from tidings.domain.access import STRANGER, Access, Standing, no_such_room
from tidings.domain.inbox import Inboxes
from tidings.domain.lines import Lines
from tidings.domain.names import GROUP_PREFIX, direct_name, group_name, new_name
from tidings.domain.pace import Pace, WriteLimiter
from tidings.domain.ports import PAGE_BYTES_MAX, Clock, InboxRecord, Store
from tidings.domain.rows import member_state, room_message, room_reply, room_state
from tidings.domain.rules import Rules
from tidings.domain.visibility import Visibility
from tidings.hub import Sink, Source

EVENT_BYTES = 128  # of a `member` event, with names of ordinary length
LIST_READ_ROOMS = 100  # of a list, at a time: each comes with its last message, which may be a long one
LIST_BYTES_MAX = 2 * PAGE_BYTES_MAX  # what a list may hold until it is answered: one such portion more than a page


class Rooms:
    """The service `Rooms`.

    Changes of one room's members wait for one another, so that each is decided by the roles that hold when it is made.
    What becomes of a room whose last owner or last member leaves is the store's to do, in the same transaction
    (`ports.Log.append`, ADR 32).
    """

    def __init__(
        self,
        *,
        store: Store,
        access: Access,
        inboxes: Inboxes,
        rules: Rules,
        lines: Lines,
        writes: WriteLimiter,
        updates: Pace,
        calls: Pace,
        clock: Clock,
        visibility: Visibility,
    ) -> None:
        self._store = store
        self._access = access
        self._inboxes = inboxes
        self._rules = rules
        self._limits = rules.limits
        self._lines = lines
        self._writes = writes
        self._updates = updates
        self._calls = calls
        self._clock = clock
        self._visibility = visibility
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, request: v1.CreateRequest, call: Call) -> v1.RoomReply:
        """Make a room; for the same two people a DIRECT room is made once, whoever asks."""
        self._calls.take(call.session.id)
        self._writes.check(call.user)  # before many names are looked at
        title = self._rules.title(request.title)
        members = self._members(request, call.user)
        if request.kind == v1.DIRECT:
            return await self._create_direct(request.room, title, members, call)
        if request.kind not in (v1.GROUP, v1.OPEN):
            raise invalid_argument("kind is missing; use DIRECT for two people, GROUP for members, OPEN for everybody")
        if request.kind == v1.GROUP:
            room = await self._group_name(request.room or new_name(), call)
        else:
            room = self._rules.new_room(request.room) if request.room else new_name()
        return await self._create(room, request.kind, title, members, call)

    async def get(self, request: v1.GetRequest, call: Call) -> v1.RoomReply:
        """What a room is."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        standing = await self._access.may_read(room, call.user)
        return await self._reply(room, standing.role)

    async def join(self, request: v1.JoinRequest, call: Call) -> v1.RoomReply:
        """Join an open room, bring somebody in, or give somebody another role."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        user = self._rules.user(request.user) if request.user else call.user
        async with self._turn(room):
            standing, before = await self._standings(room, user, call.user)
            after = roles.joining(request.role, before)
            claims = after == v1.OWNER and user == call.user and call.session.identity.operator
            if not (claims and await self._may_claim(standing)):
                roles.check_join(standing, user, call.user, before, after)
            if before == v1.OWNER and after != before and not await self._store.has_owner_besides(room, user):
                raise permission_denied(f"{user} is the only owner of {room}; make another owner first")
            if before != after or user == call.user:
                # Who was brought in and joins by themselves consents to being seen in the room.
                await self._change(room, v1.Member(user=user, role=v1.Role.ValueType(after)), call)
        return await self._reply(room, after if user == call.user else standing.role)

    async def leave(self, request: v1.LeaveRequest, call: Call) -> v1.LeaveReply:
        """Leave a room, or remove somebody."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        user = self._rules.user(request.user) if request.user else call.user
        async with self._turn(room):
            standing, before = await self._standings(room, user, call.user)
            roles.check_leave(standing, user, call.user, before)
            if before != STRANGER:
                await self._change(room, v1.Member(user=user, role=v1.Role.ValueType(before), left=True), call)
        return v1.LeaveReply()

    async def hide(self, request: v1.HideRequest, call: Call) -> v1.HideReply:
        """Hide a DIRECT room from the caller's list until its next message, or show it again."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        standing = await self._access.may_read(room, call.user)
        if standing.place.kind != v1.DIRECT:
            raise invalid_argument(f"{room} is no DIRECT room, and only those can be hidden; leave it with rooms.leave")
        self._updates.take(call.user)
        await self._hide(room, hidden=not request.shown, call=call)
        return v1.HideReply()

    async def members(self, request: v1.MembersRequest, call: Call) -> v1.MembersReply:
        """Who is in a room, by name."""
        self._calls.take(call.session.id)
        limit = self._limit(request.limit)
        room = self._rules.room(request.room)
        await self._access.may_read(room, call.user)
        records = await self._lines.wait(call, lambda: self._store.members(room, after=request.after, limit=limit + 1))
        with self._visibility.looking(room, call.user) as look:
            await look.ask()
            # The right may have been lost in the line.
            await self._access.may_read(room, call.user)
            members = [member_state(record, positions=look.sees_member(record)) for record in records[:limit]]
        return v1.MembersReply(members=members, more=len(records) > limit)

    async def list(self, request: v1.ListRequest, call: Call) -> v1.ListReply:
        """My rooms, or all open ones, by name."""
        self._calls.take(call.session.id)
        limit = self._limit(request.limit)
        if request.scope == v1.MINE:
            mine, more = await self._lines.wait(
                call, lambda: self._mine(call.user, request.after, limit), bytes_max=LIST_BYTES_MAX
            )
            return v1.ListReply(rooms=map(room_state, mine), more=more)
        if request.scope != v1.PUBLIC:
            raise invalid_argument(f"scope is {request.scope}; use MINE or PUBLIC")
        rooms = await self._lines.wait(call, lambda: self._store.public_rooms(after=request.after, limit=limit + 1))
        names = [record.room for record in rooms[:limit]]
        inbox, seen = await self._lines.wait(call, lambda: self._rows_of(call.user, names), bytes_max=LIST_BYTES_MAX)
        states = {record.room.room: room_state(record) for record in inbox}
        return v1.ListReply(
            rooms=[states.get(record.room) or v1.RoomState(room=room_message(record)) for record in rooms[:seen]],
            more=len(rooms) > seen,
        )

    async def watch(self, request: v1.RoomsWatchRequest, call: Call, sink: Sink[Any]) -> Source:
        """My rooms as they are, then as they change."""
        self._calls.take(call.session.id)
        return await self._inboxes.open(request, call, sink)

    async def _mine(self, user: str, after: str, limit: int) -> tuple[Sequence[InboxRecord], bool]:
        """Up to `limit` of the user's rooms by name, last messages up to PAGE_BYTES_MAX; whether there are more."""
        rooms: list[InboxRecord] = []
        size = 0
        while True:
            wanted = min(LIST_READ_ROOMS, limit - len(rooms))
            found = await self._store.rooms_of(user, after=after, limit=wanted + 1)
            rooms += found[:wanted]
            size += _last_bytes(found)
            if len(found) <= wanted or len(rooms) >= limit or size > PAGE_BYTES_MAX:
                return rooms, len(found) > wanted
            after = rooms[-1].room.room

    async def _rows_of(self, user: str, names: Sequence[str]) -> tuple[Sequence[InboxRecord], int]:
        """The user's rows of these rooms, in the same portions; how many of the names were looked at."""
        rows: list[InboxRecord] = []
        seen = size = 0
        while seen < len(names) and size <= PAGE_BYTES_MAX:
            found = await self._store.inbox(user, names[seen : seen + LIST_READ_ROOMS])
            rows += found
            size += _last_bytes(found)
            seen = min(seen + LIST_READ_ROOMS, len(names))
        return rows, seen

    # making rooms

    async def _create_direct(self, room: str, title: str, members: Sequence[str], call: Call) -> v1.RoomReply:
        if len(members) != 1:
            raise invalid_argument("a DIRECT room is for two; name exactly one other person in members")
        name = direct_name(call.user, members[0], self._limits.id_bytes_max)
        if room not in ("", name):
            raise invalid_argument("a DIRECT room's name is made from its two users; leave room empty")
        return await self._create(name, v1.DIRECT, title, members, call)

    async def _group_name(self, word: str, call: Call) -> str:
        """The name of the GROUP room that the caller makes under this word.

        A room that the caller made when such rooms still had the name that was asked for keeps it.
        """
        word = self._rules.room(word)
        with contextlib.suppress(Failure):  # the same work whether such a room is there or not
            await self._access.may_read(word, call.user)
            record = await self._store.room(word)
            if record is not None and record.kind == v1.GROUP and record.creator == call.user:
                return word
        word = self._rules.new_room(word.removeprefix(f"{GROUP_PREFIX}{call.user}:"))
        return group_name(call.user, word, self._limits.id_bytes_max)

    async def _create(self, room: str, kind: int, title: str, members: Sequence[str], call: Call) -> v1.RoomReply:
        events_max = 2 + len(members)  # that it was made, and who is in it
        self._writes.take_events(call.user, events_max, events_max * EVENT_BYTES)
        record, events = await self._store.create_room(
            room,
            kind=kind,
            title=title,
            creator=call.user,
            members=members,
            at_ms=self._clock.now_ms(),
            created_max=self._limits.created_rooms_max,
        )
        if not events:
            # It was there already: the creator may have another role by now, or none.
            role = await self._access.role(room, call.user)
            if role == STRANGER and kind != v1.OPEN:
                raise conflict(
                    f"you made {room} and left it; ask somebody inside to bring you in, or take another name"
                )
            if kind == v1.DIRECT:
                await self._hide(room, hidden=False, call=call)
            return room_reply(record, role)
        self._access.created(record)
        return room_reply(record, v1.MEMBER if kind == v1.DIRECT else v1.OWNER)

    def _members(self, request: v1.CreateRequest, caller: str) -> Sequence[str]:
        most = self._limits.create_members_max
        if len(request.members) > most:
            raise invalid_argument(
                f"at most {most} members can be brought in at once (create_members_max); let the others join afterwards"
            )
        members = dict.fromkeys(self._rules.user(user) for user in request.members)
        members.pop(caller, None)
        return tuple(members)

    # people come and go

    def _turn(self, room: str) -> asyncio.Lock:
        return self._turns.setdefault(room, asyncio.Lock())

    async def _standings(self, room: str, user: str, caller: str) -> tuple[Standing, int]:
        """The caller's standing, and the role of whom it is about."""
        standing = await self._access.may_read(room, caller)
        if user == caller:
            return standing, standing.role
        if standing.role not in (v1.OWNER, v1.MODERATOR):
            raise permission_denied(f"in {room} only owners and moderators bring in, change or remove others; ask one")
        return standing, await self._access.role(room, user)

    async def _may_claim(self, standing: Standing) -> bool:
        """Whether an operator may become OWNER of a room: of one that everybody may see and that has no owner."""
        return standing.place.kind == v1.OPEN and not await self._store.has_owner_besides(standing.place.room, "")

    async def _hide(self, room: str, *, hidden: bool, call: Call) -> None:
        if await self._store.hide(room, call.user, hidden=hidden):
            self._inboxes.touch(room, call.user)

    async def _change(self, room: str, member: v1.Member, call: Call) -> None:
        event = v1.Event(room=room, actor=call.user, at_ms=self._clock.now_ms(), member=member)
        self._writes.take(event)
        await self._store.append(event, moderates=True)

    # answers

    async def _reply(self, room: str, role: int) -> v1.RoomReply:
        record = await self._store.room(room)
        if record is None:
            raise no_such_room(room)
        return room_reply(record, role)

    def _limit(self, asked: int) -> int:
        return self._rules.limit(asked, "list_items")


def _last_bytes(rows: Sequence[InboxRecord]) -> int:
    return sum(len(row.last.data) for row in rows if row.last is not None)
