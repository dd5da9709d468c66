"""A store that forgets everything at its end: for tests, demonstrations, and as the model of the others."""

import asyncio
import secrets
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import TypeVar

from tidings.contract import v1
from tidings.contract.errors import not_found, unavailable
from tidings.domain.ports import (
    PAGE_BYTES_MAX,
    READ_BYTES_MAX,
    UNREAD_MAX,
    Committed,
    Head,
    InboxRecord,
    MemberRecord,
    Membership,
    Page,
    RoomRecord,
    SearchPage,
    StoredEvent,
    Written,
)
from tidings.stores import rules
from tidings.stores.listening import tell
from tidings.stores.rows import EDITED, MESSAGES, POSTED, SEQ_BITS, Room, Row
from tidings.stores.tokens import SECRET_BYTES, Place, seal, unseal
from tidings.stores.words import Phrase, matches, phrases, tokens

T = TypeVar("T")


class MemoryTables:
    """`rows.Tables` in dictionaries."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        # Each room's rows; the row of seq n is at n - 1.
        self.logs: dict[str, list[Row]] = {}
        self.keys: dict[tuple[str, str, str], int] = {}
        # user → role, in the order in which they came.
        self.roles: dict[str, dict[str, int]] = {}
        self.owing_consent: set[tuple[str, str]] = set()
        self.hidden_at: dict[tuple[str, str], int] = {}
        self.numbers = count(1)
        self.rooms_of: dict[str, set[str]] = {}
        self.marks: dict[tuple[str, str], tuple[int, int]] = {}
        # (room, message) → emoji → users in order of arrival.
        self.reactions: dict[tuple[str, int], dict[str, dict[str, None]]] = {}
        self.last_seen: dict[str, int] = {}

    def room(self, name: str) -> Room | None:
        return self.rooms.get(name)

    def add_room(self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, asked: bytes) -> Room:
        room = self.rooms[name] = Room(next(self.numbers), name, kind, title, creator, epoch, at_ms, asked)
        self.logs[name] = []
        self.roles[name] = {}
        return room

    def created(self, creator: str) -> int:
        return sum(room.creator == creator for room in self.rooms.values())

    def archive(self, room: Room) -> None:
        """The log can no longer be read, so none is kept."""
        name = room.name
        del self.rooms[name], self.logs[name], self.roles[name]
        self.keys = {key: seq for key, seq in self.keys.items() if key[0] != name}
        self.marks = {key: positions for key, positions in self.marks.items() if key[0] != name}
        self.reactions = {key: users for key, users in self.reactions.items() if key[0] != name}
        self.hidden_at = {key: head for key, head in self.hidden_at.items() if key[0] != name}
        self.owing_consent = {key for key in self.owing_consent if key[0] != name}

    def describe(self, room: Room) -> None:
        assert self.rooms[room.name] is room  # it is the record itself

    def insert(
        self,
        room: Room,
        seq: int,
        kind: int,
        actor: str,
        client_id: str,
        at_ms: int,
        latest: int,
        target: int,
        data: bytes,
    ) -> bool:
        if client_id:
            key = (room.name, actor, client_id)
            if key in self.keys:
                return False
            self.keys[key] = seq
        self.logs[room.name].append(Row(seq, kind, actor, client_id, at_ms, latest, target, None, data))
        return True

    def first(self, room: Room, actor: str, client_id: str) -> Row | None:
        seq = self.keys.get((room.name, actor, client_id))
        return None if seq is None else self.logs[room.name][seq - 1]

    def event(self, room: Room, seq: int) -> Row | None:
        log = self.logs[room.name]
        return log[seq - 1] if 0 < seq <= len(log) else None

    def rewrite(self, room: Room, row: Row) -> None:
        self.logs[room.name][row.seq - 1] = row

    def lower_times(self, room: Room, at_ms: int) -> None:
        log = self.logs[room.name]
        log[:] = [row._replace(at_ms=min(row.at_ms, at_ms)) for row in log]

    def edits_with_text(self, room: Room, target: int) -> Sequence[Row]:
        return [row for row in self._edits(room, target) if row.asked is None]

    def _edits(self, room: Room, target: int) -> Sequence[Row]:
        return [row for row in self.logs[room.name][target:] if row.kind == EDITED and row.target == target]

    def has_edits(self, room: Room, target: int, edits: int) -> bool:
        return len(self._edits(room, target)) >= edits

    def reactors(self, room: Room, target: int, emoji: str, users_max: int) -> Sequence[str]:
        return list(self.reactions.get((room.name, target), {}).get(emoji, ()))[:users_max]

    def has_reacted(self, room: Room, target: int, emoji: str, user: str) -> bool:
        return user in self.reactions.get((room.name, target), {}).get(emoji, ())

    def add_reaction(self, room: Room, target: int, emoji: str, user: str, seq: int) -> None:
        self.reactions.setdefault((room.name, target), {}).setdefault(emoji, {})[user] = None

    def drop_reaction(self, room: Room, target: int, emoji: str, user: str) -> None:
        del self.reactions[room.name, target][emoji][user]

    def drop_reactions(self, room: Room, target: int) -> None:
        self.reactions.pop((room.name, target), None)

    def role(self, room: Room, user: str) -> int:
        return self.roles[room.name].get(user, 0)

    def set_role(self, room: Room, user: str, role: int) -> None:
        if role:
            if user not in self.roles[room.name]:
                self.owing_consent.add((room.name, user))
            self.roles[room.name][user] = role
            self.rooms_of.setdefault(user, set()).add(room.name)
        else:
            self.roles[room.name].pop(user, None)
            self.hidden_at.pop((room.name, user), None)
            self.owing_consent.discard((room.name, user))
            self.rooms_of[user].discard(room.name)

    def owes_consent(self, room: Room, user: str) -> bool:
        return (room.name, user) in self.owing_consent

    def set_consent(self, room: Room, user: str, consented: bool) -> None:
        if consented:
            self.owing_consent.discard((room.name, user))
        else:
            self.owing_consent.add((room.name, user))

    def consented(self, name: str, user: str) -> bool:
        """Whether the user is a member who has."""
        return user in self.roles.get(name, ()) and (name, user) not in self.owing_consent

    def has_owner(self, room: Room) -> bool:
        return v1.OWNER in self.roles[room.name].values()

    def successor(self, room: Room) -> str:
        roles = self.roles[room.name]
        ranked = sorted((role, place, user) for place, (user, role) in enumerate(roles.items()))
        return next((user for role, _, user in ranked if role in (v1.MODERATOR, v1.MEMBER)), "")

    def hidden(self, room: Room, user: str) -> int:
        return self.hidden_at.get((room.name, user), 0)

    def set_hidden(self, room: Room, user: str, head: int) -> None:
        self.hidden_at[room.name, user] = head

    def positions(self, room: Room, user: str) -> tuple[int, int]:
        return self.marks.get((room.name, user), (0, 0))

    def set_positions(self, room: Room, user: str, delivered: int, read: int) -> None:
        self.marks[room.name, user] = (delivered, read)

    def set_last_seen(self, user: str, at_ms: int) -> None:
        self.last_seen[user] = at_ms


class MemoryStore:
    """A `domain.ports.Store`. Every call is done before it first waits, so calls take effect in the order made."""

    def __init__(self, *, read_bytes_max: int = READ_BYTES_MAX, page_bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._tables = MemoryTables()
        self._secret = secrets.token_bytes(SECRET_BYTES)
        self._listener: Committed | None = None
        self._closed = False
        self._read_bytes_max = read_bytes_max
        self._page_bytes_max = page_bytes_max

    # the life of the store

    async def close(self) -> None:
        """From now on nothing can be written."""
        self._closed = True

    def on_committed(self, listener: Committed) -> None:
        """Called before the call that wrote returns."""
        self._listener = listener

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """Memory does not fail."""

    def older_names(self) -> Collection[str]:
        """None in memory."""
        return ()

    def troubles(self) -> Sequence[str]:
        """None in memory."""
        return ()

    def on_transaction(self, observe: Callable[[float], None]) -> None:
        """See `ports.Store`; here nothing takes time."""

    def _write(self, change: Callable[[rules.Journal], T]) -> T:
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        journal = rules.Journal()
        answer = change(journal)
        tell(asyncio.get_running_loop(), self._listener, journal)
        return answer

    # Log

    async def append(self, draft: v1.Event, *, moderates: bool = False) -> Written:
        """See `ports.Log`."""
        return self._write(lambda journal: rules.append(self._tables, journal, draft, moderates))

    async def head(self, room: str) -> Head:
        """See `ports.Log`."""
        return self._room(room).record().head

    async def read(self, room: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `ports.Log`."""
        log = self._log(room)
        return _bounded(log[after : after + limit], self._read_bytes_max)

    async def page(self, room: str, *, before: int | None, after: int | None, limit: int) -> Page:
        """See `ports.Log`."""
        log = self._log(room)
        head = self._room(room).record().head
        if after is not None:
            asked = log[after:]
            events = _bounded(asked[:limit], self._page_bytes_max)
        else:
            asked = log[:] if before is None else log[: max(before - 1, 0)]
            events = _bounded(asked[::-1][:limit], self._page_bytes_max)[::-1]
        return Page(events, len(events) < len(asked), head)

    async def search(self, words: str, *, rooms: Sequence[str], sender: str, page: str, limit: int) -> SearchPage:
        """See `ports.Log`."""
        behind = unseal(self._secret, page, words, sender) if page else None
        wanted = phrases(words)
        found = sorted(self._found(wanted, rooms, sender), reverse=True) if wanted else []
        found = [(place, event) for place, event in found if behind is None or place < behind]
        more = len(found) > limit
        following = seal(self._secret, found[limit - 1][0], words, sender) if more else ""
        return SearchPage([event for _, event in found[:limit]], following)

    def _found(
        self, wanted: Sequence[Phrase], rooms: Iterable[str], sender: str
    ) -> Iterator[tuple[Place, StoredEvent]]:
        for name in dict.fromkeys(rooms):
            room = self._tables.room(name)
            for row in self._tables.logs.get(name, ()):
                if room is None or row.kind != POSTED or sender not in ("", row.actor):
                    continue
                if matches(wanted, tokens(v1.Event.FromString(row.data).posted.text)):
                    yield Place(row.at_ms, room.number << SEQ_BITS | row.seq), StoredEvent(row.seq, row.data)

    # Directory

    async def create_room(
        self,
        room: str,
        *,
        kind: int,
        title: str,
        creator: str,
        members: Sequence[str],
        at_ms: int,
        created_max: int = 0,
    ) -> tuple[RoomRecord, Sequence[StoredEvent]]:
        """See `ports.Directory`."""
        return self._write(
            lambda journal: rules.create_room(
                self._tables, journal, room, kind, title, creator, members, at_ms, created_max
            )
        )

    async def room(self, room: str) -> RoomRecord | None:
        """See `ports.Directory`."""
        found = self._tables.room(room)
        return None if found is None else found.record()

    async def role(self, room: str, user: str) -> int:
        """See `ports.Directory`."""
        return self._tables.roles.get(room, {}).get(user, 0)

    async def has_owner_besides(self, room: str, user: str) -> bool:
        """See `ports.Directory`."""
        roles = self._tables.roles.get(room, {})
        return any(role == v1.OWNER and name != user for name, role in roles.items())

    async def standing(self, room: str, user: str) -> Membership:
        """See `ports.Directory`."""
        found = self._tables.room(room)
        if found is None:
            return Membership(0, 0, False)
        return Membership(found.kind, self._tables.role(found, user), self._tables.consented(room, user))

    async def sharing(self, user: str, others: Sequence[str]) -> set[str]:
        """See `ports.Directory`."""
        tables = self._tables
        mine = [room for room in tables.rooms_of.get(user, ()) if tables.consented(room, user)]
        return {other for other in others for room in mine if tables.consented(room, other)}

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        """See `ports.Directory`."""
        roles = self._tables.roles.get(room, {})
        return [
            MemberRecord(
                user,
                roles[user],
                *self._tables.marks.get((room, user), (0, 0)),
                consented=self._tables.consented(room, user),
            )
            for user in _after(roles, after, limit)
        ]

    async def rooms_of(self, user: str, *, after: str, limit: int) -> Sequence[InboxRecord]:
        """See `ports.Directory`."""
        return [self._seen_by(user, name) for name in _after(self._tables.rooms_of.get(user, ()), after, limit)]

    async def inbox(self, user: str, rooms: Sequence[str]) -> Sequence[InboxRecord]:
        """See `ports.Directory`."""
        mine = self._tables.rooms_of.get(user, set())
        return [self._seen_by(user, name) for name in dict.fromkeys(rooms) if name in mine]

    async def names_of(self, user: str) -> Sequence[str]:
        """See `ports.Directory`."""
        return sorted(self._tables.rooms_of.get(user, ()), key=str.encode)

    async def public_rooms(self, *, after: str, limit: int) -> Sequence[RoomRecord]:
        """See `ports.Directory`."""
        public = [name for name, room in self._tables.rooms.items() if room.kind == v1.OPEN]
        return [self._tables.rooms[name].record() for name in _after(public, after, limit)]

    async def mark(self, room: str, user: str, *, delivered: int, read: int) -> tuple[int, int, bool]:
        """See `ports.Directory`."""
        return self._write(lambda journal: rules.mark(self._tables, journal, room, user, delivered, read))

    async def hide(self, room: str, user: str, *, hidden: bool) -> bool:
        """See `ports.Directory`."""
        return self._write(lambda _: rules.hide(self._tables, room, user, hidden))

    async def last_seen(self, users: Sequence[str]) -> dict[str, int]:
        """See `ports.Directory`."""
        seen = self._tables.last_seen
        return {user: seen[user] for user in users if user in seen}

    async def saw(self, user: str, at_ms: int) -> None:
        """See `ports.Directory`."""
        self._write(lambda _: self._tables.set_last_seen(user, at_ms))

    def _room(self, name: str) -> Room:
        room = self._tables.room(name)
        if room is None:
            raise not_found(f"there is no room {name}; make it with rooms.create first")
        return room

    def _log(self, name: str) -> list[Row]:
        self._room(name)
        return self._tables.logs[name]

    def _seen_by(self, user: str, name: str) -> InboxRecord:
        room = self._tables.rooms[name]
        log = self._tables.logs[name]
        delivered, read = self._tables.positions(room, user)
        unread = sum(row.kind == POSTED and row.actor != user for row in log[read:])
        last = log[room.latest - 1] if room.latest else None
        assert last is None or last.kind in MESSAGES
        return InboxRecord(
            room=room.record(),
            role=self._tables.role(room, user),
            last=StoredEvent(last.seq, last.data) if last else None,
            delivered=delivered,
            read=read,
            unread=min(unread, UNREAD_MAX),
            hidden=self._tables.hidden(room, user) >= max(room.latest, 1),
        )


def _bounded(rows: Sequence[Row], bytes_max: int) -> list[StoredEvent]:
    """As many of the rows as fit, at least one."""
    events: list[StoredEvent] = []
    size = 0
    for row in rows:
        size += len(row.data)
        if events and size > bytes_max:
            break
        events.append(StoredEvent(row.seq, row.data))
    return events


def _after(names: Iterable[str], after: str, limit: int) -> list[str]:
    """The next names, in the order of their UTF-8 bytes, as a database has them."""
    ordered = sorted(names, key=str.encode)
    start = bisect_right(ordered, after.encode(), key=str.encode)
    return ordered[start : start + limit]
