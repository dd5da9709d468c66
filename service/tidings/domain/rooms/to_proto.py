"""Records of the directory as messages of the contract."""

from tidings.contract import v1
from tidings.domain.ports.store import MemberRecord, RoomListEntry, RoomRecord


def to_room(record: RoomRecord) -> v1.Room:
    """What a room is."""
    return v1.Room(
        room=record.room,
        kind=v1.RoomKind.ValueType(record.kind),
        title=record.title,
        creator=record.creator,
        created_at_ms=record.created_at_ms,
        head=v1.Cursor(epoch=record.head.epoch, seq=record.head.seq),
        members=record.members,
    )


def to_room_reply(record: RoomRecord, role: int) -> v1.RoomReply:
    """A room and the caller's role in it."""
    return v1.RoomReply(room=to_room(record), role=v1.Role.ValueType(role))


def to_room_state(record: RoomListEntry) -> v1.RoomState:
    """A row of somebody's list of rooms."""
    return v1.RoomState(
        room=to_room(record.room),
        role=v1.Role.ValueType(record.role),
        last=v1.Event.FromString(record.last.data) if record.last else None,
        delivered=record.delivered,
        read=record.read,
        unread=record.unread,
        hidden=record.hidden,
    )


def to_member_state(record: MemberRecord, *, with_positions: bool) -> v1.MemberState:
    """A member of a room; without `with_positions` for a caller who may not see how far the member has read."""
    return v1.MemberState(
        user=record.user,
        role=v1.Role.ValueType(record.role),
        delivered=record.delivered if with_positions else 0,
        read=record.read if with_positions else 0,
    )
