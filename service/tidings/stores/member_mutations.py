"""Creating rooms, and changing their members: roles, ownership, consent, positions, hiding.

Every function checks before it writes: when it raises an `ApiError` it has written nothing (`mutations`).
"""

import secrets
from collections.abc import Sequence
from typing import Any

from tidings.contract import v1
from tidings.contract.errors import conflict, invalid_argument, permission_denied, resource_exhausted
from tidings.domain.ports.store import AppendResult, MemberChange, RoomRecord, StoredEvent
from tidings.stores.appending import append_change, no_change, room_not_found
from tidings.stores.change_set import ChangeSet
from tidings.stores.idempotency import hash_fields
from tidings.stores.tables import RoomRow, Tables

EPOCH_BYTES = 5  # ten characters; it only has to differ from the one the same room had before


def apply_member_change(
    tables: Tables, change_set: ChangeSet, room: RoomRow, draft: v1.Event, can_moderate: bool
) -> AppendResult:
    """Add a member, change a role, or remove a member; INVALID_ARGUMENT for a role that no member can have."""
    member = draft.member
    if not member.user or (not member.left and member.role not in v1.Role.values()[1:]):
        raise invalid_argument(f"role {member.role} of {member.user!r} is not a role of a member")
    before = tables.role(room, member.user)
    after = 0 if member.left else int(member.role)
    is_own = draft.actor == member.user
    if before == after:
        if is_own:
            give_consent(tables, change_set, room, member.user)
        return no_change(room)
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
    written = append_change(tables, change_set, room, draft)
    change_set.add_member_change(room, MemberChange(written.seq, member, consented))
    if not before:
        # A new member has nothing to catch up on.
        tables.set_positions(room, member.user, written.seq, written.seq)
    if room.kind == v1.GROUP and not room.members:
        tables.archive_room(room)
    return written


def _transfer_ownership(tables: Tables, change_set: ChangeSet, room: RoomRow, leaving: v1.Event) -> None:
    """When the last owner leaves, make another member OWNER, but no READER: those of an OPEN room were silenced."""
    new_owner = "" if tables.has_other_owner(room, leaving.member.user) else tables.next_owner(room)
    if new_owner:
        tables.set_role(room, new_owner, v1.OWNER)
        event = v1.Event(room=room.name, actor=leaving.actor, at_ms=leaving.at_ms)
        event.member.user, event.member.role = new_owner, v1.OWNER
        written = append_change(tables, change_set, room, event)
        change_set.add_member_change(
            room, MemberChange(written.seq, event.member, not tables.needs_consent(room, new_owner))
        )


def _may_consent(room: RoomRow, role: int) -> bool:
    """Whether a member with this role can be seen in the room.

    A READER of an OPEN room was silenced by others and cannot leave, so reading there is no consent.
    """
    return role != 0 and (room.kind != v1.OPEN or role != v1.READER)


def give_consent(tables: Tables, change_set: ChangeSet, room: RoomRow, user: str) -> None:
    """Record that a member who was added by others and now acts in the room consents to being seen there (ADR 33)."""
    if not tables.needs_consent(room, user):
        return
    role = tables.role(room, user)
    if _may_consent(room, role):
        tables.set_consent(room, user, True)
        member = v1.Member(user=user, role=v1.Role.ValueType(role))
        change_set.add_member_change(room, MemberChange(room.head, member, True))


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
        raise invalid_argument("only an OPEN room without members can be made without a creator")
    # Either member of a DIRECT room may be its creator.
    identity = (kind, *sorted([creator, *others])) if kind == v1.DIRECT else (kind, title, creator, *sorted(others))
    request_digest = hash_fields(identity)
    room = tables.room(name)
    if room is not None:
        if room.request_digest != request_digest:
            raise conflict(f"{name} exists already and is another room; choose another name")
        give_consent(tables, change_set, room, creator)
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
        written = append_change(tables, change_set, room, draft)
        assert written.event is not None
        events.append(written.event)
        if draft.HasField("member"):
            change_set.add_member_change(room, MemberChange(written.seq, draft.member, draft.member.user == creator))
    return room.to_record(), events


def advance_positions(
    tables: Tables, change_set: ChangeSet, name: str, user: str, delivered: int, read: int
) -> tuple[int, int, bool]:
    """`RoomDirectory.advance_positions` without its commit."""
    room = tables.room(name)
    if room is None:
        raise room_not_found(name)
    before = tables.positions(room, user)
    if read and read >= before[1]:
        # Only `read` counts: clients send `delivered` by themselves, together with a `read` of an earlier membership.
        give_consent(tables, change_set, room, user)
    read = max(before[1], min(read, room.head))
    delivered = max(before[0], min(delivered, room.head), read)  # what was read was delivered
    if (delivered, read) == before:
        return delivered, read, False
    tables.set_positions(room, user, delivered, read)
    return delivered, read, True


def set_hidden(tables: Tables, name: str, user: str, hidden: bool) -> bool:
    """`RoomDirectory.set_hidden` without its commit."""
    room = tables.room(name)
    if room is None or not tables.role(room, user):
        raise room_not_found(name)
    before, after = tables.hidden_at_head(room, user), room.head if hidden else 0
    # A newer message shows the room again.
    if hidden == (before >= max(room.latest_message, 1)):
        return False
    tables.set_hidden_at_head(room, user, after)
    return True
