"""The rows of a store, and the operations on them that `mutations` needs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from tidings.contract import v1
from tidings.domain.ports.store import LogHead, RoomRecord, StoredEvent

# The kind of a row: the field number in `Event.what` …
EVENT_KINDS: dict[str, int] = {field.name: field.number for field in v1.Event.DESCRIPTOR.oneofs_by_name["what"].fields}
POSTED = EVENT_KINDS["posted"]
EDITED = EVENT_KINDS["edited"]
# … or this for a deleted message, so that counts and searches do not see it as a message.
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
    """One event in a room's log.

    `latest_message`  the seq of the room's newest message as of this event, for lists of rooms.
    `at_ms`   orders the event among those of other rooms: its time in Unix ms, lowered to that of the first event after
              it if the clock was set back between them (`appending`). So it never decreases in a room. The event's own
              time is in `data` and does not change.
    `request_digest`   of the fields that the caller set (`idempotency`), once later events have changed `data`; empty
              once the text was erased; None while `data` has those fields itself.
    `data`    a serialised `tidings.v1.Event`, as readers get it now.
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
    """A room with the end of its log. A store's cache has one object per room, which `mutations` changes in place."""

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
        """The room as the domain gets it."""
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
    """The operations of `mutations` and `member_mutations` on rows, inside one transaction."""

    def room(self, name: str) -> RoomRow | None:
        """The room, with the end of its log."""

    def add_room(
        self, name: str, kind: int, title: str, creator: str, epoch: str, at_ms: int, request_digest: bytes
    ) -> RoomRow:
        """Add a room without events and members. Its name is free."""

    def count_created_rooms(self, creator: str) -> int:
        """The number of rooms that this user created, without archived ones."""

    def archive_room(self, room: RoomRow) -> None:
        """Make the room unreachable and its name free."""

    def update_room(self, room: RoomRow) -> None:
        """Write the room's kind, title and number of members."""

    def insert_event(self, room: RoomRow, row: EventRow) -> bool:
        """Append a row; False, with nothing written, when its actor used its client_id in this room before.

        A store that detects this later may return True and undo the transaction then (`DuplicateKeyError`).
        """

    def find_by_client_id(self, room: RoomRow, actor: str, client_id: str) -> EventRow | None:
        """The row that was appended with this key."""

    def find_event(self, room: RoomRow, seq: int) -> EventRow | None:
        """The row with this seq, or None."""

    def update_event(self, room: RoomRow, row: EventRow) -> None:
        """Replace the kind, `request_digest` and `data` of the row with this seq."""

    def lower_times(self, room: RoomRow, at_ms: int) -> None:
        """Set `at_ms` of all rows of the room that have a later one."""

    def edits_with_text(self, room: RoomRow, target: int) -> Sequence[EventRow]:
        """The `edited` rows of a message that still have their text (`request_digest` is None)."""

    def has_edits(self, room: RoomRow, target: int, edits: int) -> bool:
        """Whether a message has at least this many `edited` rows."""

    def reaction_users(self, room: RoomRow, target: int, emoji: str, users_max: int) -> Sequence[str]:
        """The first users who reacted to a message with an emoji, in order of arrival."""

    def has_reacted(self, room: RoomRow, target: int, emoji: str, user: str) -> bool:
        """Whether this user reacted to a message with an emoji."""

    def add_reaction(self, room: RoomRow, target: int, emoji: str, user: str, seq: int) -> None:
        """Add a user's reaction, made by the event `seq`."""

    def remove_reaction(self, room: RoomRow, target: int, emoji: str, user: str) -> None:
        """Remove a user's reaction."""

    def remove_reactions(self, room: RoomRow, target: int) -> None:
        """Remove all reactions to a message."""

    def role(self, room: RoomRow, user: str) -> int:
        """The user's role (`v1.Role`), 0 without a membership."""

    def set_role(self, room: RoomRow, user: str, role: int) -> None:
        """Set a role; 0 ends the membership. A new member joins with the room's next event and has not consented."""

    def needs_consent(self, room: RoomRow, user: str) -> bool:
        """Whether the user is a member who has not consented to being seen in the room."""

    def set_consent(self, room: RoomRow, user: str, consented: bool) -> None:
        """Set whether a member has consented to being seen in the room."""

    def has_other_owner(self, room: RoomRow, user: str) -> bool:
        """Whether a user other than this one is OWNER of the room."""

    def next_owner(self, room: RoomRow) -> str:
        """The MODERATOR, or else the MEMBER, with the longest membership; empty when there is none."""

    def hidden_at_head(self, room: RoomRow, user: str) -> int:
        """The head at which the member hid the room, 0 = not hidden."""

    def set_hidden_at_head(self, room: RoomRow, user: str, head: int) -> None:
        """Set the head at which the member hid the room, 0 = not hidden."""

    def positions(self, room: RoomRow, user: str) -> tuple[int, int]:
        """The seqs (delivered, read) of a user, zeros at first."""

    def set_positions(self, room: RoomRow, user: str, delivered: int, read: int) -> None:
        """Set the seqs (delivered, read) of a user."""

    def set_last_seen(self, user: str, at_ms: int) -> None:
        """Set when the user's last connection ended, Unix ms."""
