"""What the domain asks of a store, in its own words.

Two ports: the `RoomLog` keeps what happened in rooms, the `RoomDirectory` keeps who may do what and how far they
have come.
One store implements both over the same transaction, since a membership is also an event. Every method may be called
from the event loop only; it answers after the effect is durable. All raise `ApiError`: UNAVAILABLE when the store
cannot be reached or written, RESOURCE_EXHAUSTED when the disk is full, INTERNAL when it is damaged.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.hub.ports import LogHead as LogHead


class StoredEvent(NamedTuple):
    """One event as it lies in the log: `data` are the bytes of a `tidings.v1.Event`, seq and time included."""

    seq: int
    data: bytes


class AppendResult(NamedTuple):
    """What became of an event that was to be appended.

    `duplicate`: nothing was written. The same client_id was there before, and seq and at_ms are the first answer's; or
    all was as it was asked for already, and they are those of the room's head.
    `event`: what was appended. `rewritten`: earlier events of this room whose bytes changed with it (a deleted message
    lost its text).
    """

    epoch: str
    seq: int
    at_ms: int
    duplicate: bool
    event: StoredEvent | None
    rewritten: Sequence[StoredEvent] = ()


class EventPage(NamedTuple):
    """Events in seq order; `more` in the direction asked."""

    events: Sequence[StoredEvent]
    more: bool
    head: LogHead


@dataclass(frozen=True, slots=True)
class RoomRecord:
    """What a room is. `head` is the head when it was read and may have moved on since."""

    room: str
    kind: int
    title: str
    creator: str
    created_at_ms: int
    head: LogHead
    members: int


@dataclass(frozen=True, slots=True)
class MemberRecord:
    """Somebody in a room: role (a `v1.Role`), positions, and whether they consented to being seen there."""

    user: str
    role: int
    delivered: int
    read: int
    consented: bool


@dataclass(frozen=True, slots=True)
class RoomListEntry:
    """A room as one member sees it: `last` is the newest message, as it is now.

    `hidden`: the member hid the room, and there has been no message since.
    """

    room: RoomRecord
    role: int
    last: StoredEvent | None
    delivered: int
    read: int
    # Messages of others after `read` that were not deleted, counted no further than UNREAD_MAX.
    unread: int
    hidden: bool = False


class Membership(NamedTuple):
    """A room's kind, a user's role in it, and whether the user consented to being seen there."""

    kind: int
    role: int
    consented: bool


class MemberChange(NamedTuple):
    """What became of a member: the role or `left`, and whether the member now consents to being seen in the room.

    `seq` is the event's that did it. A member who consents by another act keeps the role, and `seq` is the head's.
    """

    seq: int
    member: v1.Member
    consented: bool


class MemberDecision(NamedTuple):
    """The roles by which a change of a member was decided: the actor's, and that of the member who is changed.

    `needs_no_owner`: it was allowed because the room has no OWNER.
    """

    actor_role: int
    user_role: int
    needs_no_owner: bool = False


class RolesChangedError(ApiError):
    """A change of a member was decided by roles that no longer hold; nothing was written. Decide again."""

    def __init__(self, room: str) -> None:
        super().__init__(Code.UNAVAILABLE, f"the roles in {room} changed at the same time; try again")


class SearchPage(NamedTuple):
    """Messages found, newest first; `next_page_token` goes on behind them, empty at the end."""

    events: Sequence[StoredEvent]
    next_page_token: str


# Told on the loop of what was committed: room, epoch, new events, earlier events whose bytes changed with them, and
# what became of members, in order, so that nobody has to look for it in the events' bytes. Without events, members
# consented by marking or joining a room that they were in already.
CommitListener = Callable[
    [str, str, Sequence[StoredEvent], Sequence[StoredEvent], Sequence[MemberChange]],
    None,
]

UNREAD_MAX = 10_000  # beyond it a badge says "many"; counting on would cost a scan of the log per room and reader
READ_BYTES_MAX = 1_048_576  # one `read`: what a reader holds in memory beside the next one that is on its way
PAGE_BYTES_MAX = 8_388_608  # one `page`: half of what a frame may carry, so that its answer always fits


class RoomLog(Protocol):
    """What happened in each room."""

    def append(self, draft: v1.Event, *, moderates: bool = False) -> Awaitable[AppendResult]:
        """Append `draft` (room, actor, client_id, at_ms and what are set; seq is not) at the head of its room.

        Answers after the commit; what is begun one after the other comes to the log in that order. Its effects on
        earlier messages happen in the same transaction (`domain.messaging.message_state`), and those on the
        directory too: `member` adds,
        changes or removes a membership, and who comes in has read up to that event. A member who was brought in by
        others consents to being seen there by a `member` about themselves, a `posted`, an `edited`, and a `reacted`
        that adds one, written or not written because all was so already. When the last OWNER leaves, the
        MODERATOR or else the MEMBER who has been in for longest becomes OWNER by an event just before. When the last
        member of a GROUP leaves, its name is free again and its log can no longer be read.

        NOT_FOUND when the room or the target does not exist, CONFLICT when the client_id was used for something else,
        INVALID_ARGUMENT when the target is no message, or one that was deleted. Who may do it has been checked before,
        but for one thing: an `edited` whose actor is not the message's author is PERMISSION_DENIED, as is a `deleted`
        of somebody else's message unless `moderates`.

        The draft is given away: the store sets its seq, and gives it the time of the event before it when the clock was
        set back by a few seconds in between; one that was set back further had been ahead and is followed. A
        `member` that changes nothing writes nothing (`duplicate`, the seq is the head's). RESOURCE_EXHAUSTED for one
        more kind of reaction than a message may have, or when too much waits to be written.
        """

    def change_member(self, draft: v1.Event, decision: MemberDecision) -> Awaitable[AppendResult]:
        """`append` a `member` event if `decision` still holds in the transaction that writes it.

        `RolesChangedError` if it does not: another call, of this node or of another one, changed a role in between.
        PERMISSION_DENIED, here and in `append`, when the only OWNER would get another role.
        """

    async def head(self, room: str) -> LogHead:
        """The end of the log; NOT_FOUND."""

    async def heads(self, rooms: Sequence[str]) -> dict[str, LogHead]:
        """The ends of several logs, as they are at one moment; rooms that do not exist are left out."""

    async def read(self, room: str, after: int, limit: int) -> Sequence[StoredEvent]:
        """Up to `limit` events after a seq, in order; fewer only at the head or past READ_BYTES_MAX (never none)."""

    async def page(self, room: str, *, before: int | None, after: int | None, limit: int) -> EventPage:
        """A page before or after a seq; both None = the newest. After 0 is the beginning.

        Shorter than `limit` with `more` when PAGE_BYTES_MAX is passed (never empty then); the events nearest to the
        seq asked for are kept.
        """

    async def search(self, words: str, *, rooms: Sequence[str], sender: str, page_token: str, limit: int) -> SearchPage:
        """Messages in `rooms` with all the words, newest first. INVALID_ARGUMENT for a `page` that no answer gave."""


class RoomDirectory(Protocol):
    """Which rooms there are, who is in them, how far everybody has come."""

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
        """Make a room with its creator as OWNER (DIRECT: both as MEMBER) and the others as MEMBER.

        Its log starts with a `changed` event and one `member` event each. Only an OPEN room without members (creator
        empty: made by the service itself) starts with an empty log.

        The creator has consented to being seen there, the others have not (`Log.append`). In an OPEN room a READER
        never has.

        The same again by the same creator (DIRECT: by either of the two) gives the room as it is now and no events,
        and is consent;
        otherwise CONFLICT. RESOURCE_EXHAUSTED when the creator has made `created_max` rooms already (0 = no limit).
        """

    async def room(self, room: str) -> RoomRecord | None:
        """What the room is, or None."""

    async def role(self, room: str, user: str) -> int:
        """A `v1.Role`; 0 for who is not a member or where there is no room."""

    async def has_other_owner(self, room: str, user: str) -> bool:
        """Whether a user other than this one is OWNER of the room; one look, however many members there are."""

    async def membership(self, room: str, user: str) -> Membership:
        """What the user is in the room, zeros for what is not there; one look in either case."""

    async def users_sharing_room(self, user: str, others: Sequence[str]) -> set[str]:
        """Those of the others who share a room with the user: both are members and have consented to being seen."""

    async def members(self, room: str, *, after: str, limit: int) -> Sequence[MemberRecord]:
        """Members by name, after a name."""

    async def room_list_page(self, user: str, *, after: str, limit: int) -> Sequence[RoomListEntry]:
        """A user's rooms by name, after a name."""

    async def room_list_entries(self, user: str, rooms: Sequence[str]) -> Sequence[RoomListEntry]:
        """Named rooms as this user sees them; those the user is not in are left out."""

    async def room_names_of(self, user: str) -> Sequence[str]:
        """The names of all of a user's rooms, in order. Costs a walk over an index and no look into any log."""

    async def public_rooms(self, *, after: str, limit: int) -> Sequence[RoomRecord]:
        """OPEN rooms by name, after a name."""

    async def advance_positions(self, room: str, user: str, *, delivered: int, read: int) -> tuple[int, int, bool]:
        """Move positions forward (0 = leave), never back and never past the head; (delivered, read, changed).

        A member who marks as read, not behind where they are already, consents to being seen in the room.
        """

    async def set_hidden(self, room: str, user: str, *, hidden: bool) -> bool:
        """Hide the room from a member's list until its next message, or show it again; whether that changed anything.

        NOT_FOUND for who is not a member.
        """

    async def last_seen(self, users: Sequence[str]) -> dict[str, int]:
        """When each user's last connection ended, Unix ms; missing for who never was here."""

    async def set_last_seen(self, user: str, at_ms: int) -> None:
        """Remember it."""


class Store(RoomLog, RoomDirectory, Protocol):
    """Both, and the life of the store itself."""

    async def close(self) -> None:
        """Finish what was begun, then release everything. Idempotent."""

    def on_committed(self, listener: CommitListener) -> None:
        """`listener` is called on the loop for every room of every commit, in the order of seqs.

        It is the one place that hears of all events, those of `create_room` included, and it is called before the
        calls that wrote them return: whoever publishes from it publishes in order. The events have the bytes that the
        commit left them with; `rewritten` are older ones. It must not wait, and should not raise.
        """

    def on_failure(self, report: Callable[[Exception], None]) -> None:
        """`report` is called on the loop when the store can no longer write. Reading goes on.

        DatabaseLostError: its file has no name any more, and what it holds is gone when the store is closed
        (`problems`).
        """

    def legacy_names(self) -> Collection[str]:
        """Names beyond ASCII of rooms and users from before the rules for names became stricter (ADR 29)."""

    def problems(self) -> Sequence[str]:
        """What is wrong with the store while it goes on, for its operator: one line each that says what to do."""

    def on_transaction(self, observe: Callable[[float], None]) -> None:
        """`observe` is called on the loop with the seconds that each transaction took, the way to the disk included."""


class Clock(Protocol):
    """Time, as the domain sees it."""

    def now_ms(self) -> int:
        """Unix milliseconds UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
