"""Who may do what in which room.

Every call is checked here, so what the answer depends on is kept in memory: what each room is, and each user's role in
it. It stays true because every change of a membership is an event of the room's log, and `changed` hears of all of
them, in their order, before anybody else does.

Of a room with few members all roles are read at once, for whoever asks: then nobody else has to be looked up, members
or not. Of larger rooms each role is read by itself.

A role that is read while it changes: whoever reads hears of the change, and what was read gives way to it, wherever
else it may have been noted and forgotten again.

How long a refusal takes must not tell whether there is such a room. So a refused caller is never answered from what is
known of a room: the first time the store is asked, by one statement whether the room is there or not, and from then on
the refusal itself is remembered, until the caller is brought in or an OPEN room is made. (An OPEN room can be made
under any free name, and then everybody may enter it.)
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from tidings.contract import v1
from tidings.contract.errors import Failure, not_found, permission_denied
from tidings.domain.limits import DomainLimits
from tidings.domain.lru import Lru
from tidings.domain.ports import RoomRecord, Store

A = TypeVar("A")

STRANGER: Final = v1.ROLE_UNSPECIFIED
MODERATING: Final = frozenset({v1.OWNER, v1.MODERATOR})


@dataclass(slots=True)
class Place:
    """What is known of a room. `head` is the newest seq heard of."""

    room: str
    kind: int
    epoch: str
    head: int
    large: bool  # it has too many members to know them all


class Look:
    """Somebody asks the store about a room's roles; `heard` are those that changed meanwhile."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        self.heard: dict[str, int] = {}


class Standing(NamedTuple):
    """Where a user stands in a room that this user may read."""

    place: Place
    role: int

    @property
    def moderates(self) -> bool:
        """May remove people and other people's messages."""
        return self.role in MODERATING


class Access:
    """Answers from memory, from the store where memory does not reach."""

    def __init__(self, store: Store, limits: DomainLimits) -> None:
        self._store = store
        self._places: Lru[str, Place] = Lru(limits.known_rooms_max)
        self._roles: Lru[tuple[str, str], int] = Lru(limits.known_roles_max)
        # All roles of small rooms, bounded below: by rooms, and by the roles in all of them together.
        self._everybody: Lru[str, dict[str, int]] = Lru(limits.known_rooms_max + 1)
        self._everybodys_roles = 0
        self._limits = limits
        # (room, user) → how many OPEN rooms had been made by then; it holds while no further one was.
        self._refusals: Lru[tuple[str, str], int] = Lru(limits.known_refusals_max)
        self._opened = 1
        self._reading: dict[str, asyncio.Task[None]] = {}  # rooms of which all roles are being read
        self._looks: dict[str, list[Look]] = {}  # the looks at the store that are under way, by room

    async def may_read(self, room: str, user: str) -> Standing:
        """The user's standing; NOT_FOUND for no such room, and for one whose name the user may not even know."""
        standing = self.standing(room, user)
        if standing is None:
            place = self._places.get(room)
            if place is None or place.kind != v1.OPEN:
                await self._check(room, user)
                place = self._places.get(room) or await self.place(room)
            standing = reading(Standing(place, await self.role(room, user)))
        return standing

    async def may_write(self, room: str, user: str) -> Standing:
        """The same, for who wants to say something; PERMISSION_DENIED for a READER."""
        return writing(await self.may_read(room, user))

    def standing(self, room: str, user: str) -> Standing | None:
        """What `may_read` answers, if it can be told without asking the store. It never refuses."""
        place, role = self._places.get(room), self._known_role(room, user)
        if place is None or role is None or (role == STRANGER and place.kind != v1.OPEN):
            return None
        return Standing(place, role)

    async def _check(self, room: str, user: str) -> None:
        """NOT_FOUND for who may not know of the room; the same work whether there is one or not."""
        opened = self._opened
        if self._refusals.get((room, user)) != opened:
            (kind, role, _), heard = await self._look(room, self._store.standing(room, user))
            role = heard.get(user, role)
            if kind == v1.OPEN or role != STRANGER:
                place = self._places.peek(room)
                if place is not None and place.large:  # of small ones all roles are read
                    self._roles.put((room, user), role)
                return
            self._refusals.put((room, user), opened)
        raise no_such_room(room)

    async def place(self, room: str) -> Place:
        """What is known of the room, whoever asks; NOT_FOUND."""
        place = self._places.get(room)
        if place is None:
            record = await self._store.room(room)
            if record is None:
                raise no_such_room(room)
            place = self._places.get(room) or self.learn(record)
        return place

    async def role(self, room: str, user: str) -> int:
        """A `v1.Role`, STRANGER for who is not a member."""
        role = self._known_role(room, user)
        if role is not None:
            return role
        place = self._places.peek(room)
        if place is not None and not place.large:
            await self._read_roles(place)
            role = self._known_role(room, user)
            if role is not None:
                return role
        read, heard = await self._look(room, self._store.role(room, user))
        role = self._known_role(room, user)
        if role is None:
            role = heard.get(user, read)
            self._roles.put((room, user), role)
        return role

    def _known_role(self, room: str, user: str) -> int | None:
        roles = self._everybody.get(room)
        return self._roles.get((room, user)) if roles is None else roles.get(user, STRANGER)

    async def _read_roles(self, place: Place) -> None:
        """Read all roles of a small room, once for all who ask meanwhile. It may turn out to be a large one."""
        task = self._reading.get(place.room)
        if task is None:
            task = self._reading[place.room] = asyncio.create_task(self._roles_of(place))
        await asyncio.shield(task)

    async def _roles_of(self, place: Place) -> None:
        room, most = place.room, self._limits.small_room_members_max
        try:
            members, heard = await self._look(room, self._store.members(room, after="", limit=most + 1))
            roles = {member.user: member.role for member in members} | heard
            roles = {user: role for user, role in roles.items() if role != STRANGER}
            place.large = max(len(members), len(roles)) > most
            if not place.large:
                self._know_everybody(room, roles)
        finally:
            del self._reading[room]

    def _know_everybody(self, room: str, roles: dict[str, int]) -> None:
        self._forget_everybody(room)
        self._everybody.put(room, roles)
        self._everybodys_roles += len(roles)
        limits = self._limits
        while self._everybodys_roles > limits.known_roles_max or len(self._everybody) > limits.known_rooms_max:
            self._everybodys_roles -= len(self._everybody.drop_oldest())

    def _forget_everybody(self, room: str) -> None:
        self._everybodys_roles -= len(self._everybody.drop(room) or ())

    async def _look(self, room: str, read: Awaitable[A]) -> tuple[A, dict[str, int]]:
        """What the store says, and the roles that were heard of while it was asked: they are no older."""
        look = Look()
        looks = self._looks.setdefault(room, [])
        looks.append(look)
        try:
            return await read, look.heard
        finally:
            looks.remove(look)
            if not looks:
                del self._looks[room]

    def learn(self, record: RoomRecord) -> Place:
        """A room was read or made."""
        large = record.members > self._limits.small_room_members_max
        place = Place(record.room, record.kind, record.head.epoch, record.head.seq, large)
        self._places.put(record.room, place)
        return place

    def created(self, record: RoomRecord) -> None:
        """A room was made just now."""
        self._opened += record.kind == v1.OPEN

    def kind(self, room: str) -> int | None:
        """What kind of room it is, if that is known without asking."""
        place = self._places.peek(room)
        return None if place is None else place.kind

    def reached(self, room: str, epoch: str, head: int) -> None:
        """The log has come to `head`."""
        place = self._places.peek(room)
        if place is None:
            return
        if place.epoch != epoch:
            self._places.drop(room)
            self._forget_everybody(room)
        elif head > place.head:
            place.head = head

    def changed(self, room: str, member: v1.Member) -> None:
        """Somebody came, left, or got another role: a `member` event was committed."""
        role = STRANGER if member.left else member.role
        self._refusals.drop((room, member.user))
        for look in self._looks.get(room, ()):
            look.heard[member.user] = role
        roles = self._everybody.peek(room)
        if roles is None:
            self._roles.put((room, member.user), role)
            return
        self._roles.drop((room, member.user))  # what was known before must not come to light again
        before = len(roles)
        if role == STRANGER:
            roles.pop(member.user, None)
        else:
            roles[member.user] = role
        self._everybodys_roles += len(roles) - before
        if len(roles) > self._limits.small_room_members_max:
            self._grew_large(room, roles)

    def _grew_large(self, room: str, roles: dict[str, int]) -> None:
        """There are too many members to go on knowing them all."""
        place = self._places.peek(room)
        if place is not None:
            place.large = True
        self._forget_everybody(room)
        for user, role in roles.items():
            self._roles.put((room, user), role)


def reading(standing: Standing) -> Standing:
    """The standing of who may read; NOT_FOUND for others."""
    place, role = standing
    if role == STRANGER and place.kind != v1.OPEN:
        raise no_such_room(place.room)
    return standing


def writing(standing: Standing) -> Standing:
    """The standing of who may write; PERMISSION_DENIED for others."""
    place, role = standing
    if role == v1.READER:
        raise permission_denied(f"you may only read in {place.room}; ask an owner or a moderator for the role MEMBER")
    return standing


def no_such_room(room: str) -> Failure:
    """The same words for a room that is not there and for one that the caller may not know of."""
    return not_found(
        f"there is no room {room} that you may enter; make it with rooms.create, or ask somebody inside to bring you in"
    )
