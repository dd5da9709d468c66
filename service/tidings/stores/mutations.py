"""The write operations of a room's log, the same for every store.

Every function checks before it writes: when it raises an `ApiError` it has written nothing. So a store can execute many
requests in one transaction without a savepoint for each.
"""

from collections.abc import Callable, Mapping

from tidings.contract import v1
from tidings.contract.errors import invalid_argument, not_found, permission_denied, resource_exhausted
from tidings.domain.messaging.message_state import (
    EDITS_MAX,
    NO_USERS,
    REACTION_KINDS_MAX,
    REACTION_USERS_MAX,
    ReactionUsers,
    apply_change,
    redact_edit,
)
from tidings.domain.ports.store import AppendResult, MemberDecision, RolesChangedError
from tidings.domain.validation.emoji import equivalent_forms
from tidings.stores.appending import append_change, append_event, event_time, no_change, room_not_found
from tidings.stores.change_set import ChangeSet
from tidings.stores.event_bytes import parse_or_placeholder
from tidings.stores.idempotency import ERASED_DIGEST, REQUEST_FIELDS, replay_or_conflict, request_digest
from tidings.stores.member_mutations import apply_member_change, give_consent
from tidings.stores.tables import DELETED_MESSAGE, MESSAGE_KINDS, POSTED, SEQ_MAX, EventRow, RoomRow, Tables


def append(tables: Tables, change_set: ChangeSet, draft: v1.Event, can_moderate: bool = False) -> AppendResult:
    """`RoomLog.append` without its commit."""
    room = tables.room(draft.room)
    if room is None:
        raise room_not_found(draft.room)
    if room.head >= SEQ_MAX:
        raise resource_exhausted(f"the log of {room.name} is full; go on in another room")
    kind = draft.WhichOneof("what")
    if kind == "posted":
        return _append_message(tables, change_set, room, draft)
    change = CHANGE_HANDLERS.get(kind or "")
    if change is None:
        raise invalid_argument(f"an event needs one of the fields of `what`; this one has {kind or 'nothing'}")
    if draft.client_id:
        first = tables.find_by_client_id(room, draft.actor, draft.client_id)
        if first is not None:
            return replay_or_conflict(room, first, draft)
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
    """Append a message, the most frequent request: one insert, which also detects a repetition."""
    reply_to = draft.posted.reply_to
    if reply_to:
        replied_to = tables.find_event(room, reply_to) if reply_to <= room.head else None
        if replied_to is None:
            raise not_found(f"there is no event {reply_to} in {room.name}; reply_to must name a message")
        if replied_to.kind not in MESSAGE_KINDS:
            raise invalid_argument(f"event {reply_to} of {room.name} is no message; reply_to must name one")
    event = append_event(tables, room, draft, POSTED, room.head + 1)
    if event is None:
        first = tables.find_by_client_id(room, draft.actor, draft.client_id)
        assert first is not None, "an insert was rejected for a key that is not in the log"
        return replay_or_conflict(room, first, draft)
    room.latest_message = event.seq
    change_set.add_event(room, event)
    give_consent(tables, change_set, room, draft.actor)
    return AppendResult(room.epoch, event.seq, room.last_at_ms, False, event)


def _edit(tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool) -> AppendResult:
    row = _require_message(tables, room, draft.edited.target)
    if row.actor != draft.actor:
        raise permission_denied(f"message {row.seq} of {room.name} is not yours; only its author can edit it")
    if parse_or_placeholder(room.name, row).posted.text == draft.edited.text:
        return no_change(room)
    if tables.has_edits(room, row.seq, EDITS_MAX):
        raise resource_exhausted(f"message {row.seq} was edited {EDITS_MAX} times already; write another one")
    draft.at_ms = event_time(room, draft.at_ms)
    rewritten_rows = [_row_with_change(room, row, draft), *_redacted_edits(tables, room, row.seq)]
    written = append_change(tables, change_set, room, draft, rewritten_rows, row.seq)
    give_consent(tables, change_set, room, draft.actor)
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
    return append_change(tables, change_set, room, draft, rewritten_rows, row.seq)


def _redacted_edits(tables: Tables, room: RoomRow, target: int) -> list[EventRow]:
    """The `edited` rows of a message that still have their text, with it removed.

    Each edit removes the text of the one before, so this is one row at most, and a deletion writes two rows however
    often the message was edited. Messages edited by releases that did not do so have more.
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
        return no_change(room)
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
    written = append_change(tables, change_set, room, draft, [_row_with_change(room, row, draft, reactors)], row.seq)
    if not removed:
        give_consent(tables, change_set, room, user)
    return written


def _change_room(
    tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool
) -> AppendResult:
    title, kind = draft.changed.title, draft.changed.kind or room.kind
    if not draft.changed.created and (title, kind) == (room.title, room.kind):
        return no_change(room)
    room.title = title
    room.kind = kind
    tables.update_room(room)
    return append_change(tables, change_set, room, draft)


def _require_message(tables: Tables, room: RoomRow, seq: int) -> EventRow:
    """The message that an event changes; NOT_FOUND, or INVALID_ARGUMENT when it is no message or was deleted."""
    row = tables.find_event(room, seq) if 0 < seq <= room.head else None
    if row is None:
        raise not_found(f"there is no message {seq} in {room.name}")
    if row.kind == DELETED_MESSAGE:
        raise invalid_argument(f"message {seq} of {room.name} was deleted and cannot be changed")
    if row.kind != POSTED:
        raise invalid_argument(f"event {seq} of {room.name} is no message; name the seq of a message")
    return row


def _row_with_change(room: RoomRow, row: EventRow, change: v1.Event, reactors: ReactionUsers = NO_USERS) -> EventRow:
    message = parse_or_placeholder(room.name, row)
    digest = request_digest(message) if row.request_digest is None else row.request_digest
    return row._replace(request_digest=digest, data=apply_change(message, change, reactors).SerializeToString())


CHANGE_HANDLERS: Mapping[str, Callable[[Tables, ChangeSet, RoomRow, v1.Event, bool], AppendResult]] = {
    "edited": _edit,
    "deleted": _delete,
    "reacted": _react,
    "member": apply_member_change,
    "changed": _change_room,
}


assert set(CHANGE_HANDLERS) | {"posted"} == set(REQUEST_FIELDS), "every kind of event has its fields in REQUEST_FIELDS"
