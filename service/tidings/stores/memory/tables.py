"""`tables.Tables` in dictionaries, without transactions: a change takes effect when it is made."""

from collections.abc import Sequence
from itertools import count

from tidings.contract import v1
from tidings.stores.tables import EDITED, EventRow, RoomRow


class MemoryTables:
    """`tables.Tables` in dictionaries."""

    def __init__(self) -> None:
        self.rooms: dict[str, RoomRow] = {}
        # Each room's rows; the row of seq n is at n - 1.
        self.logs: dict[str, list[EventRow]] = {}
        self.seqs_by_client_id: dict[tuple[str, str, str], int] = {}
        # user → role, in the order in which they came.
        self.roles: dict[str, dict[str, int]] = {}
        self.missing_consents: set[tuple[str, str]] = set()
        self.hidden_heads: dict[tuple[str, str], int] = {}
        self.room_numbers = count(1)
        self.rooms_by_member: dict[str, set[str]] = {}
        self.positions_by_member: dict[tuple[str, str], tuple[int, int]] = {}
        # (room, message) → emoji → users in order of arrival.
        self.reactions: dict[tuple[str, int], dict[str, dict[str, None]]] = {}
        self.last_seen: dict[str, int] = {}

    def room(self, name: str) -> RoomRow | None:
        return self.rooms.get(name)

    def add_room(
        self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, request_digest: bytes
    ) -> RoomRow:
        room = self.rooms[name] = RoomRow(
            next(self.room_numbers), name, kind, title, creator, epoch, at_ms, request_digest
        )
        self.logs[name] = []
        self.roles[name] = {}
        return room

    def count_created_rooms(self, creator: str) -> int:
        return sum(room.creator == creator for room in self.rooms.values())

    def archive_room(self, room: RoomRow) -> None:
        """The log can no longer be read, so none is kept."""
        name = room.name
        del self.rooms[name], self.logs[name], self.roles[name]
        self.seqs_by_client_id = {key: seq for key, seq in self.seqs_by_client_id.items() if key[0] != name}
        self.positions_by_member = {
            key: positions for key, positions in self.positions_by_member.items() if key[0] != name
        }
        self.reactions = {key: users for key, users in self.reactions.items() if key[0] != name}
        self.hidden_heads = {key: head for key, head in self.hidden_heads.items() if key[0] != name}
        self.missing_consents = {key for key in self.missing_consents if key[0] != name}

    def update_room(self, room: RoomRow) -> None:
        assert self.rooms[room.name] is room  # it is the record itself

    def insert_event(self, room: RoomRow, row: EventRow) -> bool:
        if row.client_id:
            key = (room.name, row.actor, row.client_id)
            if key in self.seqs_by_client_id:
                return False
            self.seqs_by_client_id[key] = row.seq
        self.logs[room.name].append(row)
        return True

    def find_by_client_id(self, room: RoomRow, actor: str, client_id: str) -> EventRow | None:
        seq = self.seqs_by_client_id.get((room.name, actor, client_id))
        return None if seq is None else self.logs[room.name][seq - 1]

    def find_event(self, room: RoomRow, seq: int) -> EventRow | None:
        log = self.logs[room.name]
        return log[seq - 1] if 0 < seq <= len(log) else None

    def update_event(self, room: RoomRow, row: EventRow) -> None:
        self.logs[room.name][row.seq - 1] = row

    def lower_times(self, room: RoomRow, at_ms: int) -> None:
        log = self.logs[room.name]
        log[:] = [row._replace(at_ms=min(row.at_ms, at_ms)) for row in log]

    def edits_with_text(self, room: RoomRow, target: int) -> Sequence[EventRow]:
        return [row for row in self._edits(room, target) if row.request_digest is None]

    def _edits(self, room: RoomRow, target: int) -> Sequence[EventRow]:
        return [row for row in self.logs[room.name][target:] if row.kind == EDITED and row.target == target]

    def has_edits(self, room: RoomRow, target: int, edits: int) -> bool:
        return len(self._edits(room, target)) >= edits

    def reaction_users(self, room: RoomRow, target: int, emoji: str, users_max: int) -> Sequence[str]:
        return list(self.reactions.get((room.name, target), {}).get(emoji, ()))[:users_max]

    def has_reacted(self, room: RoomRow, target: int, emoji: str, user: str) -> bool:
        return user in self.reactions.get((room.name, target), {}).get(emoji, ())

    def add_reaction(self, room: RoomRow, target: int, emoji: str, user: str, seq: int) -> None:
        self.reactions.setdefault((room.name, target), {}).setdefault(emoji, {})[user] = None

    def remove_reaction(self, room: RoomRow, target: int, emoji: str, user: str) -> None:
        del self.reactions[room.name, target][emoji][user]

    def remove_reactions(self, room: RoomRow, target: int) -> None:
        self.reactions.pop((room.name, target), None)

    def role(self, room: RoomRow, user: str) -> int:
        return self.roles[room.name].get(user, 0)

    def set_role(self, room: RoomRow, user: str, role: int) -> None:
        if role:
            if user not in self.roles[room.name]:
                self.missing_consents.add((room.name, user))
            self.roles[room.name][user] = role
            self.rooms_by_member.setdefault(user, set()).add(room.name)
        else:
            self.roles[room.name].pop(user, None)
            self.hidden_heads.pop((room.name, user), None)
            self.missing_consents.discard((room.name, user))
            self.rooms_by_member[user].discard(room.name)

    def needs_consent(self, room: RoomRow, user: str) -> bool:
        return (room.name, user) in self.missing_consents

    def set_consent(self, room: RoomRow, user: str, consented: bool) -> None:
        if consented:
            self.missing_consents.discard((room.name, user))
        else:
            self.missing_consents.add((room.name, user))

    def has_consented(self, name: str, user: str) -> bool:
        """Whether the user is a member who has."""
        return user in self.roles.get(name, ()) and (name, user) not in self.missing_consents

    def has_other_owner(self, room: RoomRow, user: str) -> bool:
        return any(role == v1.OWNER and name != user for name, role in self.roles[room.name].items())

    def next_owner(self, room: RoomRow) -> str:
        roles = self.roles[room.name]
        ranked = sorted((role, place, user) for place, (user, role) in enumerate(roles.items()))
        return next((user for role, _, user in ranked if role in (v1.MODERATOR, v1.MEMBER)), "")

    def hidden_at_head(self, room: RoomRow, user: str) -> int:
        return self.hidden_heads.get((room.name, user), 0)

    def set_hidden_at_head(self, room: RoomRow, user: str, head: int) -> None:
        self.hidden_heads[room.name, user] = head

    def positions(self, room: RoomRow, user: str) -> tuple[int, int]:
        return self.positions_by_member.get((room.name, user), (0, 0))

    def set_positions(self, room: RoomRow, user: str, delivered: int, read: int) -> None:
        self.positions_by_member[room.name, user] = (delivered, read)

    def set_last_seen(self, user: str, at_ms: int) -> None:
        self.last_seen[user] = at_ms
