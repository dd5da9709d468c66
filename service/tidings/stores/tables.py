"""What a store keeps, row by row, and the small set of moves that `mutations` makes on it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tidings.contract import v1
from tidings.domain.ports.store import LogHead, RoomRecord, StoredEvent

# The kind of a row: the field number of what happened (`Event.what`), so that it needs no table of its own …
EVENT_KINDS: dict[str, int] = {field.name: field.number for field in v1.Event.DESCRIPTOR.oneofs_by_name["what"].fields}
POSTED = EVENT_KINDS["posted"]
EDITED = EVENT_KINDS["edited"]
# … and one more: a message that was deleted. It counts as no message for whoever counts or searches.
DELETED_MESSAGE = 0
MESSAGE_KINDS = (POSTED, DELETED_MESSAGE)

SEQ_BITS = 36  # 68,719,476,736 events a room, 134,217,728 rooms
SEQ_MAX = (1 << SEQ_BITS) - 1


def event_id_range(room_number: int) -> tuple[int, int]:
    """The first and the last id that a room's events can have: room number * 2^SEQ_BITS + seq."""
    first = room_number << SEQ_BITS
    return first, first | SEQ_MAX


def take_within(rows: Iterable[tuple[int, bytes]], bytes_max: int) -> tuple[list[StoredEvent], bool]:
    """The first (event id or seq, data) rows that fit into `bytes_max`, at least one; and whether some did not fit."""
    events: list[StoredEvent] = []
    size = 0
    for event_id, data in rows:
        size += len(data)
        if events and size > bytes_max:
            return events, True
        events.append(StoredEvent(event_id & SEQ_MAX, data))
    return events, False


class EventRow(NamedTuple):
    """One event in its place.

    `latest_message`  seq of the room's newest message as of this event: a list of rooms finds it in one step from
    the head.
    `at_ms`   the event's place among those of other rooms: its time, lowered to that of the first event after it if
              the clock was set back between them (`mutations`). So it never goes back in a room. The event's own
              time is in `data` and stays as it was answered.
    `request_digest`   what the caller had asked for (`mutations.request_digest`), kept once later events have
    changed `data`; empty
              once the text is gone for good; None while `data` says it itself.
    `data`    a serialised `tidings.v1.Event`, as it is read now.
    """

    seq: int
    kind: int
    actor: str
    client_id: str
    at_ms: int
    latest_message: int
    target: int
    request_digest: bytes | None
    data: bytes


class RoomRow:
    """A room with the end of its log. There is one object per room in a store's cache, and `mutations` changes it."""

    __slots__ = (
        "created_at_ms",
        "creator",
        "epoch",
        "head",
        "kind",
        "last_at_ms",
        "latest_message",
        "members",
        "name",
        "number",
        "request_digest",
        "title",
    )  # fmt: skip

    def __init__(
        self, number: int, name: str, kind: int, title: str, creator: str, epoch: str, created_at_ms: int,
        request_digest: bytes, members: int = 0, head: int = 0, latest_message: int = 0, last_at_ms: int = 0,
    ) -> None:  # fmt: skip
        self.number = number
        self.name = name
        self.kind = kind
        self.title = title
        self.creator = creator
        self.epoch = epoch
        self.created_at_ms = created_at_ms
        self.request_digest = request_digest
        self.members = members
        # The last event's seq, the newest message's seq, the last event's time.
        self.head = head
        self.latest_message = latest_message
        self.last_at_ms = last_at_ms

    def to_record(self) -> RoomRecord:
        """What the domain hears of it."""
        return RoomRecord(
            room=self.name,
            kind=self.kind,
            title=self.title,
            creator=self.creator,
            created_at_ms=self.created_at_ms,
            head=LogHead(self.epoch, self.head),
            members=self.members,
        )


class Tables(Protocol):
    """What `mutations` reads and writes, inside one transaction."""

    def room(self, name: str) -> RoomRow | None:
        """The room, with the end of its log."""

    def add_room(
        self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, request_digest: bytes
    ) -> RoomRow:
        """A room without events and members. Its name is free."""

    def count_created_rooms(self, creator: str) -> int:
        """How many rooms this user has made; those that everybody left do not count."""

    def archive_room(self, room: RoomRow) -> None:
        """The room can no longer be reached, and its name is free."""

    def update_room(self, room: RoomRow) -> None:
        """Write the room's kind, title and number of members."""

    def insert_event(self, room: RoomRow, row: EventRow) -> bool:
        """Append a row; False, and nothing written, when its actor used its client_id in this room before.

        A store that finds out only later may answer True and undo everything then (`DuplicateKeyError`).
        """

    def find_by_client_id(self, room: RoomRow, actor: str, client_id: str) -> EventRow | None:
        """The row that was appended with this key."""

    def find_event(self, room: RoomRow, seq: int) -> EventRow | None:
        """The row at this place."""

    def update_event(self, room: RoomRow, row: EventRow) -> None:
        """Give the row at this place another kind, `request_digest` and `data`."""

    def lower_times(self, room: RoomRow, at_ms: int) -> None:
        """Give the rows of the room that have a later `at_ms` this one."""

    def edits_with_text(self, room: RoomRow, target: int) -> Sequence[EventRow]:
        """The `edited` rows of a message that still have their text (`request_digest` is None)."""

    def has_edits(self, room: RoomRow, target: int, edits: int) -> bool:
        """Whether a message has so many `edited` rows."""

    def reaction_users(self, room: RoomRow, target: int, emoji: str, users_max: int) -> Sequence[str]:
        """Who reacted to a message with an emoji, in order of arrival."""

    def has_reacted(self, room: RoomRow, target: int, emoji: str, user: str) -> bool:
        """Whether this user did."""

    def add_reaction(self, room: RoomRow, target: int, emoji: str, user: str, seq: int) -> None:
        """The user did, with the event `seq`."""

    def remove_reaction(self, room: RoomRow, target: int, emoji: str, user: str) -> None:
        """The user took it back."""

    def remove_reactions(self, room: RoomRow, target: int) -> None:
        """All reactions to a message are gone."""

    def role(self, room: RoomRow, user: str) -> int:
        """0 for who is not a member."""

    def set_role(self, room: RoomRow, user: str, role: int) -> None:
        """0 ends the membership. Who comes in does so with the room's next event, and has not consented."""

    def needs_consent(self, room: RoomRow, user: str) -> bool:
        """Whether the user is a member who has not consented to being seen in the room."""

    def set_consent(self, room: RoomRow, user: str, consented: bool) -> None:
        """Of a member."""

    def has_other_owner(self, room: RoomRow, user: str) -> bool:
        """Whether a user other than this one is OWNER of the room."""

    def next_owner(self, room: RoomRow) -> str:
        """Of the moderators, or else of the members, who has been in for longest; empty when there is neither."""

    def hidden_at_head(self, room: RoomRow, user: str) -> int:
        """The head at which the member hid the room, 0 = not hidden."""

    def set_hidden_at_head(self, room: RoomRow, user: str, head: int) -> None:
        """The same."""

    def positions(self, room: RoomRow, user: str) -> tuple[int, int]:
        """(delivered, read)."""

    def set_positions(self, room: RoomRow, user: str, delivered: int, read: int) -> None:
        """Both."""

    def set_last_seen(self, user: str, at_ms: int) -> None:
        """When the user's last connection ended."""
