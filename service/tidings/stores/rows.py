"""What a store keeps, row by row, and the small set of moves that `rules` makes on it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tidings.contract import v1
from tidings.domain.ports import Head, RoomRecord

# The kind of a row: the field number of what happened (`Event.what`), so that it needs no table of its own …
KINDS: dict[str, int] = {field.name: field.number for field in v1.Event.DESCRIPTOR.oneofs_by_name["what"].fields}
POSTED = KINDS["posted"]
EDITED = KINDS["edited"]
# … and one more: a message that was deleted. It counts as no message for whoever counts or searches.
GONE = 0
MESSAGES = (POSTED, GONE)

SEQ_BITS = 36  # 68,719,476,736 events a room, 134,217,728 rooms
SEQ_MAX = (1 << SEQ_BITS) - 1


class Row(NamedTuple):
    """One event in its place.

    `latest`  seq of the room's newest message as of this event: a list of rooms finds it in one step from the head.
    `at_ms`   the event's place among those of other rooms: its time, lowered to that of the first event after it if
              the clock was set back between them (`rules`). So it never goes back in a room. The event's own time is
              in `data` and stays as it was answered.
    `asked`   what the caller had asked for (`rules.fingerprint`), kept once later events have changed `data`; empty
              once the text is gone for good; None while `data` says it itself.
    `data`    a serialised `tidings.v1.Event`, as it is read now.
    """

    seq: int
    kind: int
    actor: str
    client_id: str
    at_ms: int
    latest: int
    target: int
    asked: bytes | None
    data: bytes


class Room:
    """A room with the end of its log. There is one object per room in a store's cache, and `rules` changes it."""

    __slots__ = (
        "asked", "at_ms", "created_at_ms", "creator", "epoch", "head", "kind", "latest", "members", "name", "number",
        "title",
    )  # fmt: skip

    def __init__(
        self, number: int, name: str, kind: int, title: str, creator: str, epoch: str, created_at_ms: int,
        asked: bytes, members: int = 0, head: int = 0, latest: int = 0, at_ms: int = 0,
    ) -> None:  # fmt: skip
        self.number = number
        self.name = name
        self.kind = kind
        self.title = title
        self.creator = creator
        self.epoch = epoch
        self.created_at_ms = created_at_ms
        self.asked = asked
        self.members = members
        # The last event's seq, the newest message's seq, the last event's time.
        self.head = head
        self.latest = latest
        self.at_ms = at_ms

    def record(self) -> RoomRecord:
        """What the domain hears of it."""
        return RoomRecord(
            room=self.name,
            kind=self.kind,
            title=self.title,
            creator=self.creator,
            created_at_ms=self.created_at_ms,
            head=Head(self.epoch, self.head),
            members=self.members,
        )


class Tables(Protocol):
    """What `rules` reads and writes, inside one transaction."""

    def room(self, name: str) -> Room | None:
        """The room, with the end of its log."""

    def add_room(self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, asked: bytes) -> Room:
        """A room without events and members. Its name is free."""

    def created(self, creator: str) -> int:
        """How many rooms this user has made; those that everybody left do not count."""

    def archive(self, room: Room) -> None:
        """The room can no longer be reached, and its name is free."""

    def describe(self, room: Room) -> None:
        """Write the room's kind, title and number of members."""

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
        """Append a row; False, and nothing written, when its actor used its client_id in this room before.

        A store that finds out only later may answer True and undo everything then (`sql_tables.Repeated`).
        """

    def first(self, room: Room, actor: str, client_id: str) -> Row | None:
        """The row that was appended with this key."""

    def event(self, room: Room, seq: int) -> Row | None:
        """The row at this place."""

    def rewrite(self, room: Room, row: Row) -> None:
        """Give the row at this place another kind, `asked` and `data`."""

    def lower_times(self, room: Room, at_ms: int) -> None:
        """Give the rows of the room that have a later `at_ms` this one."""

    def edits_with_text(self, room: Room, target: int) -> Sequence[Row]:
        """The `edited` rows of a message that still have their text (`asked` is None)."""

    def has_edits(self, room: Room, target: int, edits: int) -> bool:
        """Whether a message has so many `edited` rows."""

    def reactors(self, room: Room, target: int, emoji: str, users_max: int) -> Sequence[str]:
        """Who reacted to a message with an emoji, in order of arrival."""

    def has_reacted(self, room: Room, target: int, emoji: str, user: str) -> bool:
        """Whether this user did."""

    def add_reaction(self, room: Room, target: int, emoji: str, user: str, seq: int) -> None:
        """The user did, with the event `seq`."""

    def drop_reaction(self, room: Room, target: int, emoji: str, user: str) -> None:
        """The user took it back."""

    def drop_reactions(self, room: Room, target: int) -> None:
        """All reactions to a message are gone."""

    def role(self, room: Room, user: str) -> int:
        """0 for who is not a member."""

    def set_role(self, room: Room, user: str, role: int) -> None:
        """0 ends the membership. Who comes in does so with the room's next event, and has not consented."""

    def owes_consent(self, room: Room, user: str) -> bool:
        """Whether the user is a member who has not consented to being seen in the room."""

    def set_consent(self, room: Room, user: str, consented: bool) -> None:
        """Of a member."""

    def has_owner(self, room: Room) -> bool:
        """Whether anybody in the room is OWNER."""

    def successor(self, room: Room) -> str:
        """Of the moderators, or else of the members, who has been in for longest; empty when there is neither."""

    def hidden(self, room: Room, user: str) -> int:
        """The head at which the member hid the room, 0 = not hidden."""

    def set_hidden(self, room: Room, user: str, head: int) -> None:
        """The same."""

    def positions(self, room: Room, user: str) -> tuple[int, int]:
        """(delivered, read)."""

    def set_positions(self, room: Room, user: str, delivered: int, read: int) -> None:
        """Both."""

    def set_last_seen(self, user: str, at_ms: int) -> None:
        """When the user's last connection ended."""
