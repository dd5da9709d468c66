"""Authorization: who may do what in which room.

Every call is checked here, so what the answer depends on is kept in memory: what each room is, and each user's role in
it. It stays true because every change of a membership is an event of the room's log, and `on_member_changed` is called
for all of them, in their order, before anything else is. Where several nodes write, a notice of a change may be lost:
then roles are also read again after `cached_role_seconds`, and dropped when a notice is found to be missing.

Of a small room all roles are read at once; of a larger room each role is read by itself. A change received while a role
is being read overrides what was read.

The time that a refusal takes must not tell whether the room exists. So a refused caller is never answered from cached
room data: the first time the store is asked, by one statement whether the room exists or not. After that the refusal
itself is cached, until the caller becomes a member or an OPEN room is created. (An OPEN room can be created under any
free name, and then everyone may enter it.)
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, TypeVar

from tidings.contract import v1
from tidings.contract.errors import ApiError, not_found, permission_denied
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.ports.store import RoomRecord, Store
from tidings.hub.expiry import ExpiryQueue

A = TypeVar("A")

RoleKey: TypeAlias = tuple[str, str]
"""Room and user; an empty user: all roles of a small room."""
NewRoleExpiry: TypeAlias = Callable[[Callable[[RoleKey], None]], ExpiryQueue[RoleKey]]

NON_MEMBER: Final = v1.ROLE_UNSPECIFIED
MODERATOR_ROLES: Final = frozenset({v1.OWNER, v1.MODERATOR})


@dataclass(slots=True)
class RoomInfo:
    """Cached data of a room. `head` is the newest seq known."""

    room: str
    kind: int
    epoch: str
    head: int
    is_large: bool  # more than small_room_members_max members: roles are cached one by one


class RoleLookup:
    """A read of roles from the store that is under way; `role_changes` are changes received meanwhile."""

    __slots__ = ("is_stale", "role_changes")

    def __init__(self) -> None:
        self.role_changes: dict[str, int] = {}
        self.is_stale = False  # changes were lost meanwhile: the store is to be asked again


class RoomAccess(NamedTuple):
    """A user's access to a room that the user may read."""

    room_info: RoomInfo
    role: int

    @property
    def moderates(self) -> bool:
        """Whether the user may remove members and messages of others."""
        return self.role in MODERATOR_ROLES


class Authorizer:
    """Answers from the cache, else from the store."""

    def __init__(self, store: Store, limits: DomainLimits, new_expiry: NewRoleExpiry | None = None) -> None:
        """`new_expiry`: makes the queue after which roles are read again, where notices of changes may be lost."""
        self._store = store
        self._expiry = None if new_expiry is None else new_expiry(self._on_expired)
        self._rooms: LruCache[str, RoomInfo] = LruCache(limits.cached_rooms_max)
        self._roles: LruCache[tuple[str, str], int] = LruCache(limits.cached_roles_max)
        # All roles of small rooms; `_cache_small_room_roles` limits the rooms and the sum of their roles.
        self._small_room_roles: LruCache[str, dict[str, int]] = LruCache(limits.cached_rooms_max + 1)
        self._small_room_roles_count = 0
        self._limits = limits
        # (room, user) → the value of `_open_rooms_created` at the refusal, which is valid while that value is the same.
        self._refusals: LruCache[tuple[str, str], int] = LruCache(limits.cached_refusals_max)
        self._open_rooms_created = 1
        self._role_loads: dict[str, asyncio.Task[None]] = {}  # rooms of which all roles are being read
        self._lookups: dict[str, list[RoleLookup]] = {}  # reads of the store that are under way, by room

    async def authorize_read(self, room: str, user: str) -> RoomAccess:
        """The user's access; NOT_FOUND if there is no such room, or if the user may not know that it exists."""
        access = self.cached_access(room, user)
        if access is None:
            room_info = self._rooms.get(room)
            if room_info is None or room_info.kind != v1.OPEN:
                await self._check_visible(room, user)
                room_info = self._rooms.get(room) or await self.room_info(room)
            access = require_read(RoomAccess(room_info, await self.role(room, user)))
        return access

    async def authorize_write(self, room: str, user: str) -> RoomAccess:
        """The same for writing; also PERMISSION_DENIED for a READER."""
        return require_write(await self.authorize_read(room, user))

    def cached_access(self, room: str, user: str) -> RoomAccess | None:
        """The result of `authorize_read` if it is cached, else None. Never refuses."""
        room_info, role = self._rooms.get(room), self._cached_role(room, user)
        if room_info is None or role is None or (role == NON_MEMBER and room_info.kind != v1.OPEN):
            return None
        return RoomAccess(room_info, role)

    async def _check_visible(self, room: str, user: str) -> None:
        """NOT_FOUND if the user may not know of the room; the same work whether it exists or not."""
        open_rooms_created = self._open_rooms_created
        if self._refusals.get((room, user)) != open_rooms_created:
            (kind, role, _), role_changes = await self._lookup(room, lambda: self._store.membership(room, user))
            role = role_changes.get(user, role)
            if kind == v1.OPEN or role != NON_MEMBER:
                room_info = self._rooms.peek(room)
                if room_info is not None and room_info.is_large:  # of small ones all roles are read
                    self._put_role(room, user, role)
                return
            self._refusals.put((room, user), open_rooms_created)
            self._start_expiry(room, user)
        raise room_not_found(room)

    async def room_info(self, room: str) -> RoomInfo:
        """The room's data, for callers that authorize by themselves; NOT_FOUND."""
        room_info = self._rooms.get(room)
        if room_info is None:
            record = await self._store.room(room)
            if record is None:
                raise room_not_found(room)
            room_info = self._rooms.get(room) or self.cache_room(record)
        return room_info

    async def role(self, room: str, user: str) -> int:
        """A user's `v1.Role`, or NON_MEMBER."""
        role = self._cached_role(room, user)
        if role is not None:
            return role
        room_info = self._rooms.peek(room)
        if room_info is not None and not room_info.is_large:
            await self._load_roles_shared(room_info)
            role = self._cached_role(room, user)
            if role is not None:
                return role
        read, role_changes = await self._lookup(room, lambda: self._store.role(room, user))
        role = self._cached_role(room, user)
        if role is None:
            role = role_changes.get(user, read)
            self._put_role(room, user, role)
        return role

    def _cached_role(self, room: str, user: str) -> int | None:
        roles = self._small_room_roles.get(room)
        return self._roles.get((room, user)) if roles is None else roles.get(user, NON_MEMBER)

    async def _load_roles_shared(self, room_info: RoomInfo) -> None:
        """Read all roles of a small room, once for all concurrent callers. The room may turn out to be large."""
        task = self._role_loads.get(room_info.room)
        if task is None:
            task = self._role_loads[room_info.room] = asyncio.create_task(self._load_roles(room_info))
        await asyncio.shield(task)

    async def _load_roles(self, room_info: RoomInfo) -> None:
        room, members_max = room_info.room, self._limits.small_room_members_max
        try:
            members, role_changes = await self._lookup(
                room, lambda: self._store.members(room, after="", limit=members_max + 1)
            )
            roles = {member.user: member.role for member in members} | role_changes
            roles = {user: role for user, role in roles.items() if role != NON_MEMBER}
            room_info.is_large = max(len(members), len(roles)) > members_max
            if not room_info.is_large:
                self._cache_small_room_roles(room, roles)
        finally:
            del self._role_loads[room]

    def _cache_small_room_roles(self, room: str, roles: dict[str, int]) -> None:
        self._evict_small_room_roles(room)
        self._small_room_roles.put(room, roles)
        self._start_expiry(room, "")
        self._small_room_roles_count += len(roles)
        limits = self._limits
        while (
            self._small_room_roles_count > limits.cached_roles_max
            or len(self._small_room_roles) > limits.cached_rooms_max
        ):
            self._small_room_roles_count -= len(self._small_room_roles.pop_oldest())

    def _put_role(self, room: str, user: str, role: int) -> None:
        self._roles.put((room, user), role)
        self._start_expiry(room, user)

    def _start_expiry(self, room: str, user: str) -> None:
        if self._expiry is not None:
            self._expiry.start((room, user))

    def _on_expired(self, key: RoleKey) -> None:
        room, user = key
        if user:
            self._roles.pop(key)
            self._refusals.pop(key)
        else:
            self._evict_small_room_roles(room)

    def _evict_small_room_roles(self, room: str) -> None:
        self._small_room_roles_count -= len(self._small_room_roles.pop(room) or ())

    async def _lookup(self, room: str, read: Callable[[], Awaitable[A]]) -> tuple[A, dict[str, int]]:
        """What the store says, and the roles that were heard of while it was asked: they are no older."""
        lookup = RoleLookup()
        lookups = self._lookups.setdefault(room, [])
        lookups.append(lookup)
        try:
            while True:
                result = await read()
                if not lookup.is_stale:
                    return result, lookup.role_changes
                lookup.is_stale = False
                lookup.role_changes.clear()
        finally:
            lookups.remove(lookup)
            if not lookups:
                del self._lookups[room]

    def cache_room(self, record: RoomRecord) -> RoomInfo:
        """Cache a room that was read or created."""
        is_large = record.members > self._limits.small_room_members_max
        room_info = RoomInfo(record.room, record.kind, record.head.epoch, record.head.seq, is_large)
        self._rooms.put(record.room, room_info)
        return room_info

    def on_room_created(self, kind: int) -> None:
        """A room was made just now."""
        self._open_rooms_created += kind == v1.OPEN

    def cached_kind(self, room: str) -> int | None:
        """The room's kind if it is cached, else None."""
        room_info = self._rooms.peek(room)
        return None if room_info is None else room_info.kind

    def on_head_advanced(self, room: str, epoch: str, head: int) -> None:
        """Events up to `head` were committed."""
        room_info = self._rooms.peek(room)
        if room_info is None:
            return
        if room_info.epoch != epoch:
            self._rooms.pop(room)
            self._evict_small_room_roles(room)
        elif head > room_info.head:
            room_info.head = head

    def on_member_changed(self, room: str, member: v1.Member) -> None:
        """A `member` event was committed: a user joined, left, or got another role."""
        role = NON_MEMBER if member.left else member.role
        self._refusals.pop((room, member.user))
        for lookup in self._lookups.get(room, ()):
            lookup.role_changes[member.user] = role
        roles = self._small_room_roles.peek(room)
        if roles is None:
            self._put_role(room, member.user, role)
            return
        self._roles.pop((room, member.user))  # an older value must not be found later
        before = len(roles)
        if role == NON_MEMBER:
            roles.pop(member.user, None)
        else:
            roles[member.user] = role
        self._small_room_roles_count += len(roles) - before
        if len(roles) > self._limits.small_room_members_max:
            self._convert_to_large_room(room, roles)

    def drop_roles(self, room: str) -> None:
        """Forget all roles in the room: some may be wrong, since a notice of a change was lost or is late.

        Lookups that are under way read again. Roles that were read one by one are not kept by room, and to look through
        500,000 of them would hold the loop for 30 ms: all of those go.
        """
        self._evict_small_room_roles(room)
        self._roles.clear()
        for lookup in self._lookups.get(room, ()):
            lookup.is_stale = True

    def drop_all(self) -> None:
        """Forget all that was read, refusals too: any number of notices may have been lost."""
        self._small_room_roles.clear()
        self._small_room_roles_count = 0
        for cache in (self._rooms, self._roles, self._refusals):
            cache.clear()
        for lookups in self._lookups.values():
            for lookup in lookups:
                lookup.is_stale = True

    def _convert_to_large_room(self, room: str, roles: dict[str, int]) -> None:
        """The room outgrew the small-room cache: cache one entry for each role instead."""
        room_info = self._rooms.peek(room)
        if room_info is not None:
            room_info.is_large = True
        self._evict_small_room_roles(room)
        for user, role in roles.items():
            self._put_role(room, user, role)


def require_read(access: RoomAccess) -> RoomAccess:
    """The access, if it permits reading; else NOT_FOUND."""
    room_info, role = access
    if role == NON_MEMBER and room_info.kind != v1.OPEN:
        raise room_not_found(room_info.room)
    return access


def require_write(access: RoomAccess) -> RoomAccess:
    """The access, if it permits writing; else PERMISSION_DENIED."""
    room_info, role = access
    if role == v1.READER:
        raise permission_denied(
            f"you may only read in {room_info.room}; ask an owner or a moderator for the role MEMBER"
        )
    return access


def room_not_found(room: str) -> ApiError:
    """The error for a room that does not exist and for one that the caller may not know of: the same words."""
    return not_found(
        f"there is no room {room} that you may enter; make it with rooms.create, or ask somebody inside to bring you in"
    )
