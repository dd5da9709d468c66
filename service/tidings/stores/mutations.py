"""What writing does, whatever it is written to.

Every function here looks before it writes: when it raises a `Failure` it has written nothing. That is what lets a
store carry out many requests in one transaction without a savepoint around each of them.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tidings.contract import v1
from tidings.contract.errors import conflict, invalid_argument, not_found, permission_denied, resource_exhausted
from tidings.domain.common.emoji import canonical_emoji, equivalent_forms, strip_variation_selectors
from tidings.domain.messaging.message_state import (
    EDITS_MAX,
    NO_USERS,
    REACTION_KINDS_MAX,
    REACTION_USERS_MAX,
    ReactionUsers,
    apply_change,
    redact_edit,
)
from tidings.domain.ports.store import (
    AppendResult,
    MemberChange,
    MemberDecision,
    RolesChangedError,
    RoomRecord,
    StoredEvent,
)
from tidings.stores.sqlite.corrupt_events import parse_or_placeholder
from tidings.stores.tables import (
    DELETED_MESSAGE,
    EVENT_KINDS,
    MESSAGE_KINDS,
    POSTED,
    SEQ_MAX,
    EventRow,
    RoomRow,
    Tables,
)

CLOCK_STEP_MS_MAX = 5_000  # time services correct so much at once; a clock set back further had been wrong
EPOCH_BYTES = 5  # ten characters; it only has to differ from the one the same room had before

# What a caller asked for, without what the service added: the same again is a repetition, anything else a conflict.
REQUEST_FIELDS: Mapping[str, Callable[[Any], tuple[object, ...]]] = {
    "posted": lambda what: (what.reply_to, what.text),
    "edited": lambda what: (what.target, what.text),
    "deleted": lambda what: (what.target,),
    "reacted": lambda what: (what.target, canonical_emoji(strip_variation_selectors(what.emoji)), what.removed),
    "member": lambda what: (what.user, what.role, what.left),
    "changed": lambda what: (what.title, what.kind, what.created),
}
# The text is gone for good, and with it what could tell a repetition from another text. What is left in the row, its
# kind and what it is about, still has to be the same (`_without_text`).
ERASED_DIGEST = b""


class RoomChanges(NamedTuple):
    """What one commit did to a room: events appended, older ones rewritten (by seq), members changed."""

    room: RoomRow
    events: list[StoredEvent]
    rewritten: dict[int, StoredEvent]
    member_changes: list[MemberChange]


class ChangeSet:
    """What one commit did, for those who listen."""

    __slots__ = ("has_replaced_text", "rooms")

    def __init__(self) -> None:
        self.rooms: dict[int, RoomChanges] = {}  # by number: two rooms of one commit can have the same name
        self.has_replaced_text = False  # whether something was deleted or edited

    def add_event(self, room: RoomRow, event: StoredEvent) -> RoomChanges:
        """Note an event."""
        changes = self._changes_of(room)
        changes.events.append(event)
        return changes

    def add_member_change(self, room: RoomRow, change: MemberChange) -> None:
        """Note what became of a member."""
        self._changes_of(room).member_changes.append(change)

    def _changes_of(self, room: RoomRow) -> RoomChanges:
        entry = self.rooms.get(room.number)
        if entry is None:
            entry = self.rooms[room.number] = RoomChanges(room, [], {}, [])
        return entry

    def add_change(self, room: RoomRow, event: StoredEvent, draft: v1.Event, rewritten: Sequence[StoredEvent]) -> None:
        """Note a change; an event of the same commit that it rewrites is told with its last bytes only."""
        _, events, older_events, _ = self.add_event(room, event)
        if draft.HasField("deleted") or draft.HasField("edited"):
            self.has_replaced_text = True
        for changed in rewritten:
            index = changed.seq - events[0].seq
            if index >= 0:
                events[index] = changed
            else:
                older_events[changed.seq] = changed


def append(tables: Tables, change_set: ChangeSet, draft: v1.Event, can_moderate: bool = False) -> AppendResult:
    """`RoomLog.append` without its commit."""
    room = tables.room(draft.room)
    if room is None:
        raise _room_not_found(draft.room)
    if room.head >= SEQ_MAX:
        raise resource_exhausted(f"the log of {room.name} is full; go on in another room")
    kind = draft.WhichOneof("what")
    if kind == "posted":
        return _append_message(tables, change_set, room, draft)
    change = CHANGE_HANDLERS.get(kind or "")
    if change is None:
        raise invalid_argument(f"an event must say what happened; this one says {kind or 'nothing'}")
    if draft.client_id:
        first = tables.find_by_client_id(room, draft.actor, draft.client_id)
        if first is not None:
            return _replay_or_conflict(room, first, draft)
    return change(tables, change_set, room, draft, can_moderate)


def change_member(tables: Tables, change_set: ChangeSet, draft: v1.Event, decision: MemberDecision) -> AppendResult:
    """`RoomLog.change_member` without its commit."""
    room = tables.room(draft.room)
    if room is not None:
        roles = (tables.role(room, draft.actor), tables.role(room, draft.member.user))
        has_owner = decision.needs_no_owner and tables.has_other_owner(room, "")
        if roles != (decision.actor_role, decision.user_role) or has_owner:
            raise RolesChangedError(draft.room)
    return append(tables, change_set, draft)


def _append_message(tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event) -> AppendResult:
    """The path that nearly everything takes: one insert, which finds a repetition by itself."""
    reply_to = draft.posted.reply_to
    if reply_to:
        replied_to = tables.find_event(room, reply_to) if reply_to <= room.head else None
        if replied_to is None:
            raise not_found(f"there is no event {reply_to} in {room.name}; reply_to must name a message")
        if replied_to.kind not in MESSAGE_KINDS:
            raise invalid_argument(f"event {reply_to} of {room.name} is no message; reply_to must name one")
    event = _append_event(tables, room, draft, POSTED, room.head + 1)
    if event is None:
        first = tables.find_by_client_id(room, draft.actor, draft.client_id)
        assert first is not None, "an insert was refused for a key that is not there"
        return _replay_or_conflict(room, first, draft)
    room.latest_message = event.seq
    change_set.add_event(room, event)
    _give_consent(tables, change_set, room, draft.actor)
    return AppendResult(room.epoch, event.seq, room.last_at_ms, False, event)


def _append_event(
    tables: Tables, room: RoomRow, draft: v1.Event, kind: int, latest: int, target: int = 0
) -> StoredEvent | None:
    """Append the draft at the room's head; None when its key was used before."""
    seq = room.head + 1
    at_ms = draft.at_ms
    if at_ms < room.last_at_ms:
        draft.at_ms = at_ms = _event_time(room, at_ms)
        if at_ms < room.last_at_ms:
            tables.lower_times(room, at_ms)
    draft.seq = seq
    data = draft.SerializeToString()
    if not tables.insert_event(room, seq, kind, draft.actor, draft.client_id, at_ms, latest, target, data):
        return None
    room.head = seq
    room.last_at_ms = at_ms
    return StoredEvent(seq, data)


def _event_time(room: RoomRow, at_ms: int) -> int:
    """The time of the room's next event, given the clock's.

    A clock that is set back a little does not turn the times of a log around. One that is set back further was ahead
    before, and its times must not be repeated until it is that late.
    """
    return room.last_at_ms if 0 < room.last_at_ms - at_ms <= CLOCK_STEP_MS_MAX else at_ms


def _append_change(
    tables: Tables,
    change_set: ChangeSet,
    room: RoomRow,
    draft: v1.Event,
    rewritten_rows: Sequence[EventRow] = (),
    target: int = 0,
) -> AppendResult:
    """Append a change that was found right, and write down what it made of earlier events."""
    event = _append_event(tables, room, draft, EVENT_KINDS[draft.WhichOneof("what") or ""], room.latest_message, target)
    assert event is not None, "a key appeared between looking and writing"
    for row in rewritten_rows:
        tables.update_event(room, row)
    rewritten = [StoredEvent(row.seq, row.data) for row in rewritten_rows]
    change_set.add_change(room, event, draft, rewritten)
    return AppendResult(room.epoch, event.seq, room.last_at_ms, False, event, rewritten)


def _edit(tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool) -> AppendResult:
    row = _require_message(tables, room, draft.edited.target)
    if row.actor != draft.actor:
        raise permission_denied(f"message {row.seq} of {room.name} is not yours; only its author can edit it")
    if parse_or_placeholder(room.name, row).posted.text == draft.edited.text:
        return _no_change(room)
    if tables.has_edits(room, row.seq, EDITS_MAX):
        raise resource_exhausted(f"message {row.seq} was edited {EDITS_MAX} times already; write another one")
    draft.at_ms = _event_time(room, draft.at_ms)
    rewritten_rows = [_row_with_change(room, row, draft), *_redacted_edits(tables, room, row.seq)]
    written = _append_change(tables, change_set, room, draft, rewritten_rows, row.seq)
    _give_consent(tables, change_set, room, draft.actor)
    return written


def _delete(tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool) -> AppendResult:
    row = _require_message(tables, room, draft.deleted.target)
    if row.actor != draft.actor and not can_moderate:
        raise permission_denied(
            f"message {row.seq} of {room.name} is not yours; its author or a moderator can delete it"
        )
    deleted = apply_change(parse_or_placeholder(room.name, row), draft)
    rewritten_rows = [
        row._replace(kind=DELETED_MESSAGE, request_digest=ERASED_DIGEST, data=deleted.SerializeToString())
    ]
    rewritten_rows += _redacted_edits(tables, room, row.seq)
    tables.remove_reactions(room, row.seq)
    return _append_change(tables, change_set, room, draft, rewritten_rows, row.seq)


def _redacted_edits(tables: Tables, room: RoomRow, target: int) -> list[EventRow]:
    """The edits of a message that still have their text, without it.

    Each edit takes the text of the one before, so this is one row at most, and a deletion writes two rows however often
    the message was edited. Only messages that were edited before that was so have more.
    """
    return [
        edit._replace(
            request_digest=ERASED_DIGEST, data=redact_edit(parse_or_placeholder(room.name, edit)).SerializeToString()
        )
        for edit in tables.edits_with_text(room, target)
    ]


def _react(tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool) -> AppendResult:
    removed, user = draft.reacted.removed, draft.actor
    row = _require_message(tables, room, draft.reacted.target)
    message = parse_or_placeholder(room.name, row)
    counts = {reaction.emoji: reaction.count for reaction in message.posted.reactions}
    forms = equivalent_forms(draft.reacted.emoji, counts) or [draft.reacted.emoji]
    own_form = next((form for form in forms if tables.has_reacted(room, row.seq, form, user)), "")
    if bool(own_form) is not removed:
        return _no_change(room)
    draft.reacted.emoji = emoji = own_form or forms[0]
    if emoji not in counts and len(counts) >= REACTION_KINDS_MAX:
        raise resource_exhausted(
            f"message {row.seq} has {len(counts)} kinds of reactions already; react with one of those"
        )
    if removed:
        tables.remove_reaction(room, row.seq, emoji, user)
    else:
        tables.add_reaction(room, row.seq, emoji, user, room.head + 1)
    count = counts.get(emoji, 0) + (-1 if removed else 1)
    reactors = ReactionUsers(tables.reaction_users(room, row.seq, emoji, REACTION_USERS_MAX), count)
    written = _append_change(tables, change_set, room, draft, [_row_with_change(room, row, draft, reactors)], row.seq)
    if not removed:
        _give_consent(tables, change_set, room, user)
    return written


def _change_member(
    tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool
) -> AppendResult:
    member = draft.member
    if not member.user or (not member.left and member.role not in v1.Role.values()[1:]):
        raise invalid_argument(f"role {member.role} of {member.user!r} is not one that somebody can have")
    before = tables.role(room, member.user)
    after = 0 if member.left else int(member.role)
    is_own = draft.actor == member.user
    if before == after:
        if is_own:
            _give_consent(tables, change_set, room, member.user)
        return _no_change(room)
    if before == v1.OWNER and after and not tables.has_other_owner(room, member.user):
        raise permission_denied(f"{member.user} is the only owner of {room.name}; make another owner first")
    needs_consent = not before or tables.needs_consent(room, member.user)
    tables.set_role(room, member.user, after)
    consented = _may_consent(room, after) and (is_own or not needs_consent)
    if after and consented is needs_consent:
        tables.set_consent(room, member.user, consented)
    if not before or not after:
        room.members += 1 if after else -1
        tables.update_room(room)
    if member.left and before == v1.OWNER:
        _transfer_ownership(tables, change_set, room, draft)
    written = _append_change(tables, change_set, room, draft)
    change_set.add_member_change(room, MemberChange(written.seq, member, consented))
    if not before:
        # Who comes in has nothing to catch up with.
        tables.set_positions(room, member.user, written.seq, written.seq)
    if room.kind == v1.GROUP and not room.members:
        tables.archive_room(room)
    return written


def _transfer_ownership(tables: Tables, change_set: ChangeSet, room: RoomRow, leaving: v1.Event) -> None:
    """An owner leaves: if that was the last one, another member becomes OWNER. READERs never do: in an OPEN room they
    are those who were silenced."""
    new_owner = "" if tables.has_other_owner(room, leaving.member.user) else tables.next_owner(room)
    if new_owner:
        tables.set_role(room, new_owner, v1.OWNER)
        event = v1.Event(room=room.name, actor=leaving.actor, at_ms=leaving.at_ms)
        event.member.user, event.member.role = new_owner, v1.OWNER
        written = _append_change(tables, change_set, room, event)
        change_set.add_member_change(
            room, MemberChange(written.seq, event.member, not tables.needs_consent(room, new_owner))
        )


def _may_consent(room: RoomRow, role: int) -> bool:
    """Whether a member with this role can be seen in the room. A READER of an OPEN room was silenced by others and
    cannot leave: who reads there is as who reads without joining."""
    return role != 0 and (room.kind != v1.OPEN or role != v1.READER)


def _give_consent(tables: Tables, change_set: ChangeSet, room: RoomRow, user: str) -> None:
    """A user acts in a room. A member who was brought in by others consents by that to being seen there (ADR 33)."""
    if not tables.needs_consent(room, user):
        return
    role = tables.role(room, user)
    if _may_consent(room, role):
        tables.set_consent(room, user, True)
        member = v1.Member(user=user, role=v1.Role.ValueType(role))
        change_set.add_member_change(room, MemberChange(room.head, member, True))


def _change_room(
    tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool
) -> AppendResult:
    title, kind = draft.changed.title, draft.changed.kind or room.kind
    if not draft.changed.created and (title, kind) == (room.title, room.kind):
        return _no_change(room)
    room.title = title
    room.kind = kind
    tables.update_room(room)
    return _append_change(tables, change_set, room, draft)


def _no_change(room: RoomRow) -> AppendResult:
    """The answer to a change that was made already: no event, so that no reader is told of it."""
    return AppendResult(room.epoch, room.head, room.last_at_ms, True, None)


CHANGE_HANDLERS: Mapping[str, Callable[[Tables, ChangeSet, RoomRow, v1.Event, bool], AppendResult]] = {
    "edited": _edit,
    "deleted": _delete,
    "reacted": _react,
    "member": _change_member,
    "changed": _change_room,
}


def create_room(
    tables: Tables,
    change_set: ChangeSet,
    name: str,
    kind: int,
    title: str,
    creator: str,
    members: Sequence[str],
    at_ms: int,
    created_max: int = 0,
) -> tuple[RoomRecord, Sequence[StoredEvent]]:
    """`RoomDirectory.create_room` without its commit."""
    others = [user for user in dict.fromkeys(members) if user != creator]
    if kind == v1.DIRECT and (not creator or len(others) != 1):
        raise invalid_argument("a DIRECT room has its creator and exactly one other member")
    if not creator and (kind != v1.OPEN or others):
        raise invalid_argument("only an OPEN room without members can be made by nobody")
    # Either of two people may be the one who makes the room of both.
    identity = (kind, *sorted([creator, *others])) if kind == v1.DIRECT else (kind, title, creator, *sorted(others))
    request_digest = _hash(identity)
    room = tables.room(name)
    if room is not None:
        if room.request_digest != request_digest:
            raise conflict(f"{name} exists already and is another room; choose another name")
        _give_consent(tables, change_set, room, creator)
        return room.to_record(), ()
    if created_max and creator and tables.count_created_rooms(creator) >= created_max:
        raise resource_exhausted(
            f"{creator} has made {created_max} rooms already (created_rooms_max); "
            "leave GROUP rooms that are not needed, or ask the operator to raise the limit"
        )
    room = tables.add_room(name, kind, title, creator, secrets.token_hex(EPOCH_BYTES), at_ms, request_digest)
    if not creator:
        return room.to_record(), ()
    contents: list[dict[str, Any]] = [
        {"changed": v1.RoomChanged(title=title, kind=v1.RoomKind.ValueType(kind), created=True)}
    ]
    for user in (creator, *others):
        role = v1.OWNER if user == creator and kind != v1.DIRECT else v1.MEMBER
        tables.set_role(room, user, role)
        room.members += 1
        contents.append({"member": v1.Member(user=user, role=role)})
    tables.set_consent(room, creator, True)
    tables.update_room(room)
    events: list[StoredEvent] = []
    for content in contents:
        draft = v1.Event(room=name, actor=creator, at_ms=at_ms, **content)
        written = _append_change(tables, change_set, room, draft)
        assert written.event is not None
        events.append(written.event)
        if draft.HasField("member"):
            change_set.add_member_change(room, MemberChange(written.seq, draft.member, draft.member.user == creator))
    return room.to_record(), events


def advance_positions(
    tables: Tables, change_set: ChangeSet, name: str, user: str, delivered: int, read: int
) -> tuple[int, int, bool]:
    """`RoomDirectory.mark` without its commit."""
    room = tables.room(name)
    if room is None:
        raise _room_not_found(name)
    before = tables.positions(room, user)
    if read and read >= before[1]:
        # Clients say by themselves what was delivered, and with it what was read, maybe in an earlier membership.
        _give_consent(tables, change_set, room, user)
    read = max(before[1], min(read, room.head))
    delivered = max(before[0], min(delivered, room.head), read)  # what was read was delivered
    if (delivered, read) == before:
        return delivered, read, False
    tables.set_positions(room, user, delivered, read)
    return delivered, read, True


def set_hidden(tables: Tables, name: str, user: str, hidden: bool) -> bool:
    """`RoomDirectory.hide` without its commit."""
    room = tables.room(name)
    if room is None or not tables.role(room, user):
        raise _room_not_found(name)
    before, after = tables.hidden_at_head(room, user), room.head if hidden else 0
    # A message since has shown the room again.
    if hidden == (before >= max(room.latest_message, 1)):
        return False
    tables.set_hidden_at_head(room, user, after)
    return True


def request_digest(event: v1.Event) -> bytes:
    """What was asked for, in few bytes."""
    kind = event.WhichOneof("what") or ""
    return _hash((kind, *REQUEST_FIELDS[kind](getattr(event, kind))))


def _digest_without_text(event: v1.Event) -> bytes:
    """The fingerprint of an event whose text was deleted, and of one that may be a repetition of it."""
    bare = v1.Event()
    bare.CopyFrom(event)
    what = bare.WhichOneof("what")
    if what in ("posted", "edited"):
        getattr(bare, what).text = ""
    return request_digest(bare)


def _hash(fields: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(fields).encode(), digest_size=12).digest()


def _replay_or_conflict(room: RoomRow, first: EventRow, draft: v1.Event) -> AppendResult:
    """The first answer again, or CONFLICT."""
    event = parse_or_placeholder(room.name, first)
    if first.request_digest == ERASED_DIGEST:
        is_repetition = _digest_without_text(event) == _digest_without_text(draft)
    else:
        original_digest = request_digest(event) if first.request_digest is None else first.request_digest
        is_repetition = original_digest == request_digest(draft)
    if not is_repetition:
        raise conflict(f"client_id {draft.client_id} was used in {room.name} for something else; use a new one")
    return AppendResult(room.epoch, first.seq, event.at_ms, True, None)


def _require_message(tables: Tables, room: RoomRow, seq: int) -> EventRow:
    """The message that an event is about."""
    row = tables.find_event(room, seq) if 0 < seq <= room.head else None
    if row is None:
        raise not_found(f"there is no message {seq} in {room.name}")
    if row.kind == DELETED_MESSAGE:
        raise invalid_argument(f"message {seq} of {room.name} was deleted; nothing more can happen to it")
    if row.kind != POSTED:
        raise invalid_argument(f"event {seq} of {room.name} is no message; name the seq of a message")
    return row


def _row_with_change(room: RoomRow, row: EventRow, change: v1.Event, reactors: ReactionUsers = NO_USERS) -> EventRow:
    message = parse_or_placeholder(room.name, row)
    digest = request_digest(message) if row.request_digest is None else row.request_digest
    return row._replace(request_digest=digest, data=apply_change(message, change, reactors).SerializeToString())


def _room_not_found(name: str) -> Exception:
    return not_found(f"there is no room {name}; make it with rooms.create first")


assert set(CHANGE_HANDLERS) | {"posted"} == set(REQUEST_FIELDS), (
    "every kind of event that can be repeated can be told apart"
)
