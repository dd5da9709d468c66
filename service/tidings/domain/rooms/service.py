"""Rooms, who is in them, and the list of mine."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, conflict, invalid_argument, permission_denied
from tidings.domain.limits.rate_limiter import RateLimiter, WriteLimiter
from tidings.domain.limits.read_limiter import UserReadLimiter
from tidings.domain.permissions import role_policy
from tidings.domain.permissions.authorizer import NON_MEMBER, Authorizer, RoomAccess, room_not_found
from tidings.domain.permissions.visibility_check import VisibilityCheck
from tidings.domain.ports.commit_feed import CommitFeed, RoomCreated, RoomHidden
from tidings.domain.ports.store import PAGE_BYTES_MAX, Clock, MemberDecision, RolesChangedError, RoomListEntry, Store
from tidings.domain.rooms.room_list import RoomListRegistry
from tidings.domain.rooms.room_names import direct_room_name, group_room_name, new_room_name
from tidings.domain.rooms.to_proto import to_member_state, to_room, to_room_reply, to_room_state
from tidings.domain.validation.names import GROUP_PREFIX
from tidings.domain.validation.validator import Validator
from tidings.hub import Sink, Subscription

MEMBER_DECISIONS_MAX = 5  # a change is decided so often at most, when roles change at the same moment each time
EVENT_BYTES = 128  # of a `member` event, with names of ordinary length
LIST_PORTION_ROOMS = 100  # of a list, at a time: each comes with its last message, which may be a long one
LIST_BYTES_MAX = 2 * PAGE_BYTES_MAX  # what a list may hold until it is answered: one such portion more than a page


class RoomsService:
    """The service `Rooms`.

    A change of a member is decided by cached roles and written only if these still hold in the store's transaction.
    What becomes of a room whose last owner or last member leaves is the store's to do, in the same transaction
    (`ports.store.RoomLog.append`, ADR 32).
    """

    def __init__(
        self,
        *,
        store: Store,
        feed: CommitFeed,
        authorizer: Authorizer,
        room_lists: RoomListRegistry,
        validator: Validator,
        read_limiter: UserReadLimiter,
        write_limiter: WriteLimiter,
        update_limiter: RateLimiter,
        call_limiter: RateLimiter,
        clock: Clock,
        check_visibility: Callable[[str, str], AbstractContextManager[VisibilityCheck]],
    ) -> None:
        """`check_visibility(room, user)` is a context within which the check stays up to date."""
        self._store = store
        self._feed = feed
        self._authorizer = authorizer
        self._room_lists = room_lists
        self._validator = validator
        self._limits = validator.limits
        self._read_limiter = read_limiter
        self._write_limiter = write_limiter
        self._update_limiter = update_limiter
        self._call_limiter = call_limiter
        self._clock = clock
        self._check_visibility = check_visibility

    async def create(self, request: v1.CreateRequest, context: CallContext) -> v1.RoomReply:
        """Make a room; for the same two people a DIRECT room is made once, whoever asks."""
        self._call_limiter.acquire(context.limit_key)
        self._write_limiter.check(context.user)  # before many names are looked at
        title = self._validator.title(request.title)
        members = self._parse_members(request, context.user)
        if request.kind == v1.DIRECT:
            return await self._create_direct(request.room, title, members, context)
        if request.kind not in (v1.GROUP, v1.OPEN):
            raise invalid_argument("kind is missing; use DIRECT for two people, GROUP for members, OPEN for everybody")
        if request.kind == v1.GROUP:
            room = await self._group_room_name(request.room or new_room_name(), context)
        else:
            room = self._validator.new_room(request.room) if request.room else new_room_name()
        return await self._create(room, request.kind, title, members, context)

    async def get(self, request: v1.GetRequest, context: CallContext) -> v1.RoomReply:
        """What a room is."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        access = await self._authorizer.authorize_read(room, context.user)
        return await self._room_reply(room, access.role)

    async def join(self, request: v1.JoinRequest, context: CallContext) -> v1.RoomReply:
        """Join an open room, bring somebody in, or give somebody another role."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        user = self._validator.user(request.user) if request.user else context.user

        async def decide(access: RoomAccess, before: int) -> tuple[v1.Member | None, bool]:
            after = role_policy.role_after_join(request.role, before)
            is_claim = after == v1.OWNER and user == context.user and context.session.identity.operator
            needs_no_owner = is_claim and await self._can_claim(access)
            if not needs_no_owner:
                role_policy.check_join(access, user, context.user, before, after)
            if before == after and user != context.user:
                return None, False
            # A member who was brought in and joins by an own call consents to being seen in the room.
            return v1.Member(user=user, role=v1.Role.ValueType(after)), needs_no_owner

        access, before = await self._change_member(room, user, context, decide)
        after = role_policy.role_after_join(request.role, before)
        return await self._room_reply(room, after if user == context.user else access.role)

    async def leave(self, request: v1.LeaveRequest, context: CallContext) -> v1.LeaveReply:
        """Leave a room, or remove somebody."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        user = self._validator.user(request.user) if request.user else context.user

        async def decide(access: RoomAccess, before: int) -> tuple[v1.Member | None, bool]:
            role_policy.check_leave(access, user, context.user, before)
            if before == NON_MEMBER:
                return None, False
            return v1.Member(user=user, role=v1.Role.ValueType(before), left=True), False

        await self._change_member(room, user, context, decide)
        return v1.LeaveReply()

    async def hide(self, request: v1.HideRequest, context: CallContext) -> v1.HideReply:
        """Hide a DIRECT room from the caller's list until its next message, or show it again."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        access = await self._authorizer.authorize_read(room, context.user)
        if access.room_info.kind != v1.DIRECT:
            raise invalid_argument(f"{room} is no DIRECT room, and only those can be hidden; leave it with rooms.leave")
        self._update_limiter.acquire(context.user)
        await self._set_hidden(room, hidden=not request.shown, context=context)
        return v1.HideReply()

    async def members(self, request: v1.MembersRequest, context: CallContext) -> v1.MembersReply:
        """Who is in a room, by name."""
        self._call_limiter.acquire(context.limit_key)
        limit = self._limit(request.limit)
        room = self._validator.room(request.room)
        await self._authorizer.authorize_read(room, context.user)
        records = await self._read_limiter.wait(
            context, lambda: self._store.members(room, after=request.after, limit=limit + 1)
        )
        with self._check_visibility(room, context.user) as check:
            await check.load()
            # The right may have been lost in the line.
            await self._authorizer.authorize_read(room, context.user)
            members = [
                to_member_state(record, with_positions=check.can_see_member(record)) for record in records[:limit]
            ]
        return v1.MembersReply(members=members, more=len(records) > limit)

    async def list(self, request: v1.ListRequest, context: CallContext) -> v1.ListReply:
        """My rooms, or all open ones, by name."""
        self._call_limiter.acquire(context.limit_key)
        limit = self._limit(request.limit)
        if request.scope == v1.MINE:
            mine, more = await self._read_limiter.wait(
                context, lambda: self._list_mine(context.user, request.after, limit), bytes_max=LIST_BYTES_MAX
            )
            return v1.ListReply(rooms=map(to_room_state, mine), more=more)
        if request.scope != v1.PUBLIC:
            raise invalid_argument(f"scope is {request.scope}; use MINE or PUBLIC")
        rooms = await self._read_limiter.wait(
            context, lambda: self._store.public_rooms(after=request.after, limit=limit + 1)
        )
        names = [record.room for record in rooms[:limit]]
        entries, looked_up = await self._read_limiter.wait(
            context, lambda: self._list_entries(context.user, names), bytes_max=LIST_BYTES_MAX
        )
        states = {record.room.room: to_room_state(record) for record in entries}
        return v1.ListReply(
            rooms=[states.get(record.room) or v1.RoomState(room=to_room(record)) for record in rooms[:looked_up]],
            more=len(rooms) > looked_up,
        )

    async def watch(self, request: v1.RoomsWatchRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """My rooms as they are, then as they change."""
        self._call_limiter.acquire(context.limit_key)
        return await self._room_lists.subscribe(request, context, sink)

    async def _list_mine(self, user: str, after: str, limit: int) -> tuple[Sequence[RoomListEntry], bool]:
        """Up to `limit` of the user's rooms by name, last messages up to PAGE_BYTES_MAX; whether there are more."""
        rooms: list[RoomListEntry] = []
        size = 0
        while True:
            count = min(LIST_PORTION_ROOMS, limit - len(rooms))
            found = await self._store.room_list_page(user, after=after, limit=count + 1)
            rooms += found[:count]
            size += _last_message_bytes(found)
            if len(found) <= count or len(rooms) >= limit or size > PAGE_BYTES_MAX:
                return rooms, len(found) > count
            after = rooms[-1].room.room

    async def _list_entries(self, user: str, names: Sequence[str]) -> tuple[Sequence[RoomListEntry], int]:
        """The user's rows of these rooms, in the same portions; how many of the names were looked at."""
        entries: list[RoomListEntry] = []
        looked_up = size = 0
        while looked_up < len(names) and size <= PAGE_BYTES_MAX:
            found = await self._store.room_list_entries(user, names[looked_up : looked_up + LIST_PORTION_ROOMS])
            entries += found
            size += _last_message_bytes(found)
            looked_up = min(looked_up + LIST_PORTION_ROOMS, len(names))
        return entries, looked_up

    # making rooms

    async def _create_direct(self, room: str, title: str, members: Sequence[str], context: CallContext) -> v1.RoomReply:
        if len(members) != 1:
            raise invalid_argument("a DIRECT room is for two; name exactly one other person in members")
        name = direct_room_name(context.user, members[0], self._limits.id_bytes_max)
        if room not in ("", name):
            raise invalid_argument("a DIRECT room's name is made from its two users; leave room empty")
        return await self._create(name, v1.DIRECT, title, members, context)

    async def _group_room_name(self, requested_name: str, context: CallContext) -> str:
        """The name of the GROUP room that the caller makes under this word.

        A room that the caller made when such rooms still had the name that was asked for keeps it.
        """
        requested_name = self._validator.room(requested_name)
        with contextlib.suppress(ApiError):  # the same work whether such a room is there or not
            await self._authorizer.authorize_read(requested_name, context.user)
            record = await self._store.room(requested_name)
            if record is not None and record.kind == v1.GROUP and record.creator == context.user:
                return requested_name
        requested_name = self._validator.new_room(requested_name.removeprefix(f"{GROUP_PREFIX}{context.user}:"))
        return group_room_name(context.user, requested_name, self._limits.id_bytes_max)

    async def _create(
        self, room: str, kind: int, title: str, members: Sequence[str], context: CallContext
    ) -> v1.RoomReply:
        events_max = 2 + len(members)  # that it was made, and who is in it
        self._write_limiter.acquire_events(context.user, events_max, events_max * EVENT_BYTES)
        record, events = await self._store.create_room(
            room,
            kind=kind,
            title=title,
            creator=context.user,
            members=members,
            at_ms=self._clock.now_ms(),
            created_max=self._limits.created_rooms_max,
        )
        if not events:
            # It was there already: the creator may have another role by now, or none.
            role = await self._authorizer.role(room, context.user)
            if role == NON_MEMBER and kind != v1.OPEN:
                raise conflict(
                    f"you made {room} and left it; ask somebody inside to bring you in, or take another name"
                )
            if kind == v1.DIRECT:
                await self._set_hidden(room, hidden=False, context=context)
            return to_room_reply(record, role)
        self._feed.publish(RoomCreated(room, kind))
        return to_room_reply(record, v1.MEMBER if kind == v1.DIRECT else v1.OWNER)

    def _parse_members(self, request: v1.CreateRequest, caller: str) -> Sequence[str]:
        members_max = self._limits.create_members_max
        if len(request.members) > members_max:
            raise invalid_argument(
                f"at most {members_max} members can be brought in at once (create_members_max); let the others "
                f"join afterwards"
            )
        members = dict.fromkeys(self._validator.user(user) for user in request.members)
        members.pop(caller, None)
        return tuple(members)

    # people come and go

    async def _change_member(
        self,
        room: str,
        user: str,
        context: CallContext,
        decide: Callable[[RoomAccess, int], Awaitable[tuple[v1.Member | None, bool]]],
    ) -> tuple[RoomAccess, int]:
        """Append what `decide` makes of the caller's access and the user's role; both, as they were decided by.

        The store refuses a decision by roles that changed meanwhile, on whatever node; then it is decided again.
        """
        for _ in range(MEMBER_DECISIONS_MAX - 1):
            with contextlib.suppress(RolesChangedError):
                return await self._decide_member(room, user, context, decide)
            self._authorizer.drop_roles(room)
        return await self._decide_member(room, user, context, decide)

    async def _decide_member(
        self,
        room: str,
        user: str,
        context: CallContext,
        decide: Callable[[RoomAccess, int], Awaitable[tuple[v1.Member | None, bool]]],
    ) -> tuple[RoomAccess, int]:
        access, before = await self._authorize_change(room, user, context.user)
        member, needs_no_owner = await decide(access, before)
        if member is not None:
            event = v1.Event(room=room, actor=context.user, at_ms=self._clock.now_ms(), member=member)
            self._write_limiter.acquire(event)
            await self._store.change_member(event, MemberDecision(access.role, before, needs_no_owner))
        return access, before

    async def _authorize_change(self, room: str, user: str, caller: str) -> tuple[RoomAccess, int]:
        """The caller's access, and the role of whom it is about."""
        access = await self._authorizer.authorize_read(room, caller)
        if user == caller:
            return access, access.role
        if access.role not in (v1.OWNER, v1.MODERATOR):
            raise permission_denied(f"in {room} only owners and moderators bring in, change or remove others; ask one")
        return access, await self._authorizer.role(room, user)

    async def _can_claim(self, access: RoomAccess) -> bool:
        """Whether an operator may become OWNER of a room: of one that everybody may see and that has no owner."""
        return access.room_info.kind == v1.OPEN and not await self._store.has_other_owner(access.room_info.room, "")

    async def _set_hidden(self, room: str, *, hidden: bool, context: CallContext) -> None:
        if await self._store.set_hidden(room, context.user, hidden=hidden):
            self._feed.publish(RoomHidden(room, context.user))

    # answers

    async def _room_reply(self, room: str, role: int) -> v1.RoomReply:
        record = await self._store.room(room)
        if record is None:
            raise room_not_found(room)
        return to_room_reply(record, role)

    def _limit(self, requested: int) -> int:
        return self._validator.limit(requested, "list_items")


def _last_message_bytes(entries: Sequence[RoomListEntry]) -> int:
    return sum(len(row.last.data) for row in entries if row.last is not None)
