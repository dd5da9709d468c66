"""A store in memory, lost at its end: for tests, demonstrations, and as the reference for other stores."""

import asyncio
import secrets
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from tidings.contract import v1
from tidings.contract.errors import not_found, unavailable
from tidings.domain.ports.store import (
    PAGE_BYTES_MAX,
    READ_BYTES_MAX,
    UNREAD_MAX,
    AppendResult,
    CommitListener,
    EventPage,
    LogHead,
    MemberDecision,
    MemberRecord,
    Membership,
    RoomListEntry,
    RoomRecord,
    SearchPage,
    StoredEvent,
)
from tidings.stores import member_mutations, mutations
from tidings.stores.change_set import ChangeSet, notify_commit
from tidings.stores.memory.tables import MemoryTables
from tidings.stores.page_token import SECRET_BYTES, SearchPosition, decode_page_token, encode_page_token
from tidings.stores.tables import MESSAGE_KINDS, POSTED, SEQ_BITS, EventRow, RoomRow, take_within
from tidings.stores.tokenizer import Phrase, matches, parse_query, tokenize

T = TypeVar("T")


class MemoryStore:
    """A `domain.ports.store.Store`. No call waits, so calls take effect in the order in which they are made."""

    def __init__(self, *, read_bytes_max: int = READ_BYTES_MAX, page_bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._tables = MemoryTables()
        self._page_token_secret = secrets.token_bytes(SECRET_BYTES)
        self._commit_listener: CommitListener | None = None
        self._closed = False
        self._read_bytes_max = read_bytes_max
        self._page_bytes_max = page_bytes_max

    # --- lifetime

    async def close(self) -> None:
        """Reject further writes."""
        self._closed = True

    def on_committed(self, listener: CommitListener) -> None:
        """Set the listener; it is called before the call that wrote returns."""
        self._commit_listener = listener

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """Ignored: memory does not fail."""

    def legacy_names(self) -> Collection[str]:
        """None in memory."""
        return ()

    def problems(self) -> Sequence[str]:
        """None in memory."""
        return ()

    def on_transaction(self, observe: Callable[[float], None]) -> None:
        """Ignored: nothing is written to a disk."""

    def _write(self, change: Callable[[ChangeSet], T]) -> T:
        if self._closed:
            raise unavailable("the service is stopping; connect again")
        change_set = ChangeSet()
        result = change(change_set)
        notify_commit(asyncio.get_running_loop(), self._commit_listener, change_set)
        return result

    # Log

    async def append(self, draft: v1.Event, *, moderates: bool = False) -> AppendResult:
        """See `ports.store.RoomLog`."""
        return self._write(lambda change_set: mutations.append(self._tables, change_set, draft, moderates))

    async def change_member(self, draft: v1.Event, decision: MemberDecision) -> AppendResult:
        """See `ports.store.RoomLog`."""
        return self._write(lambda change_set: mutations.change_member(self._tables, change_set, draft, decision))

    async def head(self, room: str) -> LogHead:
        """See `ports.store.RoomLog`."""
        return self._require_room(room).to_record().head

    async def heads(self, rooms: Sequence[str]) -> dict[str, LogHead]:
        """See `ports.store.RoomLog`."""
        found = {name: self._tables.room(name) for name in rooms}
        return {name: room.to_record().head for name, room in found.items() if room is not None}

    async def read(self, room: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """See `ports.store.RoomLog`."""
        log = self._event_rows(room)
        return _events_within(log[after : after + limit], self._read_bytes_max)

    async def page(self, room: str, *, before: int | None, after: int | None, limit: int) -> EventPage:
        """See `ports.store.RoomLog`."""
        log = self._event_rows(room)
        head = self._require_room(room).to_record().head
        if after is not None:
            asked = log[after:]
            events = _events_within(asked[:limit], self._page_bytes_max)
        else:
            asked = log[:] if before is None else log[: max(before - 1, 0)]
            events = _events_within(asked[::-1][:limit], self._page_bytes_max)[::-1]
        return EventPage(events, len(events) < len(asked), head)

    async def search(self, words: str, *, rooms: Sequence[str], sender: str, page_token: str, limit: int) -> SearchPage:
        """See `ports.store.RoomLog`."""
        older_than = decode_page_token(self._page_token_secret, page_token, words, sender) if page_token else None
        phrases = parse_query(words)
        hits = sorted(self._matching_messages(phrases, rooms, sender), reverse=True) if phrases else []
        hits = [(place, event) for place, event in hits if older_than is None or place < older_than]
        more = len(hits) > limit
        next_page = encode_page_token(self._page_token_secret, hits[limit - 1][0], words, sender) if more else ""
        return SearchPage([event for _, event in hits[:limit]], next_page)

    def _matching_messages(
        self, phrases: Sequence[Phrase], rooms: Iterable[str], sender: str
    ) -> Iterator[tuple[SearchPosition, StoredEvent]]:
        for name in dict.fromkeys(rooms):
            room = self._tables.room(name)
            for row in self._tables.logs.get(name, ()):
                if room is None or row.kind != POSTED or sender not in ("", row.actor):
                    continue
                if matches(phrases, tokenize(v1.Event.FromString(row.data).posted.text)):
                    yield SearchPosition(row.at_ms, room.number << SEQ_BITS | row.seq), StoredEvent(row.seq, row.data)

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
        """See `ports.store.RoomDirectory`."""
        return self._write(
            lambda change_set: member_mutations.create_room(
                self._tables, change_set, room, kind, title, creator, members, at_ms, created_max
            )
        )

    async def room(self, room: str) -> RoomRecord | None:
        """See `ports.store.RoomDirectory`."""
        hits = self._tables.room(room)
        return None if hits is None else hits.to_record()

    async def role(self, room: str, user: str) -> int:
        """See `ports.store.RoomDirectory`."""
        return self._tables.roles.get(room, {}).get(user, 0)

    async def has_other_owner(self, room: str, user: str) -> bool:
        """See `ports.store.RoomDirectory`."""
        roles = self._tables.roles.get(room, {})
        return any(role == v1.OWNER and name != user for name, role in roles.items())

    async def membership(self, room: str, user: str) -> Membership:
        """See `ports.store.RoomDirectory`."""
        hits = self._tables.room(room)
        if hits is None:
            return Membership(0, 0, False)
        return Membership(hits.kind, self._tables.role(hits, user), self._tables.has_consented(room, user))

    async def users_sharing_room(self, user: str, others: Sequence[str]) -> set[str]:
        """See `ports.store.RoomDirectory`."""
        tables = self._tables
        mine = [room for room in tables.rooms_by_member.get(user, ()) if tables.has_consented(room, user)]
        return {other for other in others for room in mine if tables.has_consented(room, other)}

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        """See `ports.store.RoomDirectory`."""
        roles = self._tables.roles.get(room, {})
        return [
            MemberRecord(
                user,
                roles[user],
                *self._tables.positions_by_member.get((room, user), (0, 0)),
                consented=self._tables.has_consented(room, user),
            )
            for user in _names_after(roles, after, limit)
        ]

    async def room_list_page(self, user: str, *, after: str, limit: int) -> Sequence[RoomListEntry]:
        """See `ports.store.RoomDirectory`."""
        return [
            self._room_list_entry(user, name)
            for name in _names_after(self._tables.rooms_by_member.get(user, ()), after, limit)
        ]

    async def room_list_entries(self, user: str, rooms: Sequence[str]) -> Sequence[RoomListEntry]:
        """See `ports.store.RoomDirectory`."""
        mine = self._tables.rooms_by_member.get(user, set())
        return [self._room_list_entry(user, name) for name in dict.fromkeys(rooms) if name in mine]

    async def room_names_of(self, user: str) -> Sequence[str]:
        """See `ports.store.RoomDirectory`."""
        return sorted(self._tables.rooms_by_member.get(user, ()), key=str.encode)

    async def public_rooms(self, *, after: str, limit: int) -> Sequence[RoomRecord]:
        """See `ports.store.RoomDirectory`."""
        public = [name for name, room in self._tables.rooms.items() if room.kind == v1.OPEN]
        return [self._tables.rooms[name].to_record() for name in _names_after(public, after, limit)]

    async def advance_positions(self, room: str, user: str, *, delivered: int, read: int) -> tuple[int, int, bool]:
        """See `ports.store.RoomDirectory`."""
        return self._write(
            lambda change_set: member_mutations.advance_positions(self._tables, change_set, room, user, delivered, read)
        )

    async def set_hidden(self, room: str, user: str, *, hidden: bool) -> bool:
        """See `ports.store.RoomDirectory`."""
        return self._write(lambda _: member_mutations.set_hidden(self._tables, room, user, hidden))

    async def last_seen(self, users: Sequence[str]) -> dict[str, int]:
        """See `ports.store.RoomDirectory`."""
        seen = self._tables.last_seen
        return {user: seen[user] for user in users if user in seen}

    async def set_last_seen(self, user: str, at_ms: int) -> None:
        """See `ports.store.RoomDirectory`."""
        self._write(lambda _: self._tables.set_last_seen(user, at_ms))

    def _require_room(self, name: str) -> RoomRow:
        room = self._tables.room(name)
        if room is None:
            raise not_found(f"there is no room {name}; make it with rooms.create first")
        return room

    def _event_rows(self, name: str) -> list[EventRow]:
        self._require_room(name)
        return self._tables.logs[name]

    def _room_list_entry(self, user: str, name: str) -> RoomListEntry:
        room = self._tables.rooms[name]
        log = self._tables.logs[name]
        delivered, read = self._tables.positions(room, user)
        unread = sum(row.kind == POSTED and row.actor != user for row in log[read:])
        last = log[room.latest_message - 1] if room.latest_message else None
        assert last is None or last.kind in MESSAGE_KINDS
        return RoomListEntry(
            room=room.to_record(),
            role=self._tables.role(room, user),
            last=StoredEvent(last.seq, last.data) if last else None,
            delivered=delivered,
            read=read,
            unread=min(unread, UNREAD_MAX),
            hidden=self._tables.hidden_at_head(room, user) >= max(room.latest_message, 1),
        )


def _events_within(rows: Iterable[EventRow], bytes_max: int) -> list[StoredEvent]:
    return take_within(((row.seq, row.data) for row in rows), bytes_max)[0]


def _names_after(names: Iterable[str], after: str, limit: int) -> list[str]:
    """The next names, in the order of their UTF-8 bytes, as a database has them."""
    ordered = sorted(names, key=str.encode)
    start = bisect_right(ordered, after.encode(), key=str.encode)
    return ordered[start : start + limit]
