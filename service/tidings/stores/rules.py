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
from tidings.domain.emoji import canonical, forms_among, without_styles
from tidings.domain.fold import EDITS_MAX, NOBODY, REACTION_KINDS_MAX, REACTION_USERS_MAX, Reactors, fold, redact
from tidings.domain.ports import MemberChange, RoomRecord, StoredEvent, Written
from tidings.stores.damage import event_of
from tidings.stores.rows import GONE, KINDS, MESSAGES, POSTED, SEQ_MAX, Room, Row, Tables

CLOCK_STEP_MS_MAX = 5_000  # time services correct so much at once; a clock set back further had been wrong
EPOCH_BYTES = 5  # ten characters; it only has to differ from the one the same room had before

# What a caller asked for, without what the service added: the same again is a repetition, anything else a conflict.
ASKED: Mapping[str, Callable[[Any], tuple[object, ...]]] = {
    "posted": lambda what: (what.reply_to, what.text),
    "edited": lambda what: (what.target, what.text),
    "deleted": lambda what: (what.target,),
    "reacted": lambda what: (what.target, canonical(without_styles(what.emoji)), what.removed),
    "member": lambda what: (what.user, what.role, what.left),
    "changed": lambda what: (what.title, what.kind, what.created),
}
# The text is gone for good, and with it what could tell a repetition from another text. What is left in the row, its
# kind and what it is about, still has to be the same (`_without_text`).
FORGOTTEN = b""


class Entry(NamedTuple):
    """What one commit did to a room: events appended, older ones rewritten (by seq), members changed."""

    room: Room
    events: list[StoredEvent]
    rewritten: dict[int, StoredEvent]
    members: list[MemberChange]


class Journal:
    """What one commit did, for those who listen."""

    __slots__ = ("replaces_text", "rooms")

    def __init__(self) -> None:
        self.rooms: dict[int, Entry] = {}  # by number: two rooms of one commit can have the same name
        self.replaces_text = False  # whether something was deleted or edited

    def add(self, room: Room, event: StoredEvent) -> Entry:
        """Note an event."""
        entry = self._entry(room)
        entry.events.append(event)
        return entry

    def add_member(self, room: Room, change: MemberChange) -> None:
        """Note what became of a member."""
        self._entry(room).members.append(change)

    def _entry(self, room: Room) -> Entry:
        entry = self.rooms.get(room.number)
        if entry is None:
            entry = self.rooms[room.number] = Entry(room, [], {}, [])
        return entry

    def add_change(self, room: Room, event: StoredEvent, draft: v1.Event, amended: Sequence[StoredEvent]) -> None:
        """Note a change; an event of the same commit that it rewrites is told with its last bytes only."""
        _, events, rewritten, _ = self.add(room, event)
        if draft.HasField("deleted") or draft.HasField("edited"):
            self.replaces_text = True
        for changed in amended:
            place = changed.seq - events[0].seq
            if place >= 0:
                events[place] = changed
            else:
                rewritten[changed.seq] = changed


def append(tables: Tables, journal: Journal, draft: v1.Event, moderates: bool = False) -> Written:
    """`Log.append` without its commit."""
    room = tables.room(draft.room)
    if room is None:
        raise _no_room(draft.room)
    if room.head >= SEQ_MAX:
        raise resource_exhausted(f"the log of {room.name} is full; go on in another room")
    kind = draft.WhichOneof("what")
    if kind == "posted":
        return _post(tables, journal, room, draft)
    change = CHANGES.get(kind or "")
    if change is None:
        raise invalid_argument(f"an event must say what happened; this one says {kind or 'nothing'}")
    if draft.client_id:
        first = tables.first(room, draft.actor, draft.client_id)
        if first is not None:
            return _repeated(room, first, draft)
    return change(tables, journal, room, draft, moderates)


def _post(tables: Tables, journal: Journal, room: Room, draft: v1.Event) -> Written:
    """The path that nearly everything takes: one insert, which finds a repetition by itself."""
    reply_to = draft.posted.reply_to
    if reply_to:
        answered = tables.event(room, reply_to) if reply_to <= room.head else None
        if answered is None:
            raise not_found(f"there is no event {reply_to} in {room.name}; reply_to must name a message")
        if answered.kind not in MESSAGES:
            raise invalid_argument(f"event {reply_to} of {room.name} is no message; reply_to must name one")
    event = _appended(tables, room, draft, POSTED, room.head + 1)
    if event is None:
        first = tables.first(room, draft.actor, draft.client_id)
        assert first is not None, "an insert was refused for a key that is not there"
        return _repeated(room, first, draft)
    room.latest = event.seq
    journal.add(room, event)
    _consent(tables, journal, room, draft.actor)
    return Written(room.epoch, event.seq, room.at_ms, False, event)


def _appended(
    tables: Tables, room: Room, draft: v1.Event, kind: int, latest: int, target: int = 0
) -> StoredEvent | None:
    """Append the draft at the room's head; None when its key was used before."""
    seq = room.head + 1
    at_ms = draft.at_ms
    if at_ms < room.at_ms:
        draft.at_ms = at_ms = _time(room, at_ms)
        if at_ms < room.at_ms:
            tables.lower_times(room, at_ms)
    draft.seq = seq
    data = draft.SerializeToString()
    if not tables.insert(room, seq, kind, draft.actor, draft.client_id, at_ms, latest, target, data):
        return None
    room.head = seq
    room.at_ms = at_ms
    return StoredEvent(seq, data)


def _time(room: Room, at_ms: int) -> int:
    """The time of the room's next event, given the clock's.

    A clock that is set back a little does not turn the times of a log around. One that is set back further was ahead
    before, and its times must not be repeated until it is that late.
    """
    return room.at_ms if 0 < room.at_ms - at_ms <= CLOCK_STEP_MS_MAX else at_ms


def _append_change(
    tables: Tables, journal: Journal, room: Room, draft: v1.Event, rewritten: Sequence[Row] = (), target: int = 0
) -> Written:
    """Append a change that was found right, and write down what it made of earlier events."""
    event = _appended(tables, room, draft, KINDS[draft.WhichOneof("what") or ""], room.latest, target)
    assert event is not None, "a key appeared between looking and writing"
    for row in rewritten:
        tables.rewrite(room, row)
    amended = [StoredEvent(row.seq, row.data) for row in rewritten]
    journal.add_change(room, event, draft, amended)
    return Written(room.epoch, event.seq, room.at_ms, False, event, amended)


def _edit(tables: Tables, journal: Journal, room: Room, draft: v1.Event, moderates: bool) -> Written:
    row = _message(tables, room, draft.edited.target)
    if row.actor != draft.actor:
        raise permission_denied(f"message {row.seq} of {room.name} is not yours; only its author can edit it")
    if event_of(room.name, row).posted.text == draft.edited.text:
        return _unchanged(room)
    if tables.has_edits(room, row.seq, EDITS_MAX):
        raise resource_exhausted(f"message {row.seq} was edited {EDITS_MAX} times already; write another one")
    draft.at_ms = _time(room, draft.at_ms)
    rewritten = [_folded(room, row, draft), *_redacted_edits(tables, room, row.seq)]
    written = _append_change(tables, journal, room, draft, rewritten, row.seq)
    _consent(tables, journal, room, draft.actor)
    return written


def _delete(tables: Tables, journal: Journal, room: Room, draft: v1.Event, moderates: bool) -> Written:
    row = _message(tables, room, draft.deleted.target)
    if row.actor != draft.actor and not moderates:
        raise permission_denied(
            f"message {row.seq} of {room.name} is not yours; its author or a moderator can delete it"
        )
    gone = fold(event_of(room.name, row), draft)
    rewritten = [row._replace(kind=GONE, asked=FORGOTTEN, data=gone.SerializeToString())]
    rewritten += _redacted_edits(tables, room, row.seq)
    tables.drop_reactions(room, row.seq)
    return _append_change(tables, journal, room, draft, rewritten, row.seq)


def _redacted_edits(tables: Tables, room: Room, target: int) -> list[Row]:
    """The edits of a message that still have their text, without it.

    Each edit takes the text of the one before, so this is one row at most, and a deletion writes two rows however often
    the message was edited. Only messages that were edited before that was so have more.
    """
    return [
        edit._replace(asked=FORGOTTEN, data=redact(event_of(room.name, edit)).SerializeToString())
        for edit in tables.edits_with_text(room, target)
    ]


def _react(tables: Tables, journal: Journal, room: Room, draft: v1.Event, moderates: bool) -> Written:
    removed, user = draft.reacted.removed, draft.actor
    row = _message(tables, room, draft.reacted.target)
    message = event_of(room.name, row)
    counts = {reaction.emoji: reaction.count for reaction in message.posted.reactions}
    forms = forms_among(draft.reacted.emoji, counts) or [draft.reacted.emoji]
    mine = next((form for form in forms if tables.has_reacted(room, row.seq, form, user)), "")
    if bool(mine) is not removed:
        return _unchanged(room)
    draft.reacted.emoji = emoji = mine or forms[0]
    if emoji not in counts and len(counts) >= REACTION_KINDS_MAX:
        raise resource_exhausted(
            f"message {row.seq} has {len(counts)} kinds of reactions already; react with one of those"
        )
    if removed:
        tables.drop_reaction(room, row.seq, emoji, user)
    else:
        tables.add_reaction(room, row.seq, emoji, user, room.head + 1)
    count = counts.get(emoji, 0) + (-1 if removed else 1)
    reactors = Reactors(tables.reactors(room, row.seq, emoji, REACTION_USERS_MAX), count)
    written = _append_change(tables, journal, room, draft, [_folded(room, row, draft, reactors)], row.seq)
    if not removed:
        _consent(tables, journal, room, user)
    return written


def _member(tables: Tables, journal: Journal, room: Room, draft: v1.Event, moderates: bool) -> Written:
    member = draft.member
    if not member.user or (not member.left and member.role not in v1.Role.values()[1:]):
        raise invalid_argument(f"role {member.role} of {member.user!r} is not one that somebody can have")
    before = tables.role(room, member.user)
    after = 0 if member.left else int(member.role)
    own = draft.actor == member.user
    if before == after:
        if own:
            _consent(tables, journal, room, member.user)
        return _unchanged(room)
    owed = not before or tables.owes_consent(room, member.user)
    tables.set_role(room, member.user, after)
    consented = _may_consent(room, after) and (own or not owed)
    if after and consented is owed:
        tables.set_consent(room, member.user, consented)
    if not before or not after:
        room.members += 1 if after else -1
        tables.describe(room)
    if member.left and before == v1.OWNER:
        _pass_on(tables, journal, room, draft)
    written = _append_change(tables, journal, room, draft)
    journal.add_member(room, MemberChange(written.seq, member, consented))
    if not before:
        # Who comes in has nothing to catch up with.
        tables.set_positions(room, member.user, written.seq, written.seq)
    if room.kind == v1.GROUP and not room.members:
        tables.archive(room)
    return written


def _pass_on(tables: Tables, journal: Journal, room: Room, leaving: v1.Event) -> None:
    """An owner leaves: if that was the last one, another member becomes OWNER. READERs never do: in an OPEN room they
    are those who were silenced."""
    heir = "" if tables.has_owner(room) else tables.successor(room)
    if heir:
        tables.set_role(room, heir, v1.OWNER)
        event = v1.Event(room=room.name, actor=leaving.actor, at_ms=leaving.at_ms)
        event.member.user, event.member.role = heir, v1.OWNER
        written = _append_change(tables, journal, room, event)
        journal.add_member(room, MemberChange(written.seq, event.member, not tables.owes_consent(room, heir)))


def _may_consent(room: Room, role: int) -> bool:
    """Whether a member with this role can be seen in the room. A READER of an OPEN room was silenced by others and
    cannot leave: who reads there is as who reads without joining."""
    return role != 0 and (room.kind != v1.OPEN or role != v1.READER)


def _consent(tables: Tables, journal: Journal, room: Room, user: str) -> None:
    """A user acts in a room. A member who was brought in by others consents by that to being seen there (ADR 33)."""
    if not tables.owes_consent(room, user):
        return
    role = tables.role(room, user)
    if _may_consent(room, role):
        tables.set_consent(room, user, True)
        member = v1.Member(user=user, role=v1.Role.ValueType(role))
        journal.add_member(room, MemberChange(room.head, member, True))


def _change_room(tables: Tables, journal: Journal, room: Room, draft: v1.Event, moderates: bool) -> Written:
    title, kind = draft.changed.title, draft.changed.kind or room.kind
    if not draft.changed.created and (title, kind) == (room.title, room.kind):
        return _unchanged(room)
    room.title = title
    room.kind = kind
    tables.describe(room)
    return _append_change(tables, journal, room, draft)


def _unchanged(room: Room) -> Written:
    """The answer to a change that was made already: no event, so that no reader is told of it."""
    return Written(room.epoch, room.head, room.at_ms, True, None)


CHANGES: Mapping[str, Callable[[Tables, Journal, Room, v1.Event, bool], Written]] = {
    "edited": _edit,
    "deleted": _delete,
    "reacted": _react,
    "member": _member,
    "changed": _change_room,
}


def create_room(
    tables: Tables,
    journal: Journal,
    name: str,
    kind: int,
    title: str,
    creator: str,
    members: Sequence[str],
    at_ms: int,
    created_max: int = 0,
) -> tuple[RoomRecord, Sequence[StoredEvent]]:
    """`Directory.create_room` without its commit."""
    others = [user for user in dict.fromkeys(members) if user != creator]
    if kind == v1.DIRECT and (not creator or len(others) != 1):
        raise invalid_argument("a DIRECT room has its creator and exactly one other member")
    if not creator and (kind != v1.OPEN or others):
        raise invalid_argument("only an OPEN room without members can be made by nobody")
    # Either of two people may be the one who makes the room of both.
    same = (kind, *sorted([creator, *others])) if kind == v1.DIRECT else (kind, title, creator, *sorted(others))
    asked = _digest(same)
    room = tables.room(name)
    if room is not None:
        if room.asked != asked:
            raise conflict(f"{name} exists already and is another room; choose another name")
        _consent(tables, journal, room, creator)
        return room.record(), ()
    if created_max and creator and tables.created(creator) >= created_max:
        raise resource_exhausted(
            f"{creator} has made {created_max} rooms already (created_rooms_max); "
            "leave GROUP rooms that are not needed, or ask the operator to raise the limit"
        )
    room = tables.add_room(name, kind, title, creator, secrets.token_hex(EPOCH_BYTES), at_ms, asked)
    if not creator:
        return room.record(), ()
    whats: list[dict[str, Any]] = [
        {"changed": v1.RoomChanged(title=title, kind=v1.RoomKind.ValueType(kind), created=True)}
    ]
    for user in (creator, *others):
        role = v1.OWNER if user == creator and kind != v1.DIRECT else v1.MEMBER
        tables.set_role(room, user, role)
        room.members += 1
        whats.append({"member": v1.Member(user=user, role=role)})
    tables.set_consent(room, creator, True)
    tables.describe(room)
    events: list[StoredEvent] = []
    for what in whats:
        draft = v1.Event(room=name, actor=creator, at_ms=at_ms, **what)
        written = _append_change(tables, journal, room, draft)
        assert written.event is not None
        events.append(written.event)
        if draft.HasField("member"):
            journal.add_member(room, MemberChange(written.seq, draft.member, draft.member.user == creator))
    return room.record(), events


def mark(tables: Tables, journal: Journal, name: str, user: str, delivered: int, read: int) -> tuple[int, int, bool]:
    """`Directory.mark` without its commit."""
    room = tables.room(name)
    if room is None:
        raise _no_room(name)
    before = tables.positions(room, user)
    if read and read >= before[1]:
        # Clients say by themselves what was delivered, and with it what was read, maybe in an earlier membership.
        _consent(tables, journal, room, user)
    read = max(before[1], min(read, room.head))
    delivered = max(before[0], min(delivered, room.head), read)  # what was read was delivered
    if (delivered, read) == before:
        return delivered, read, False
    tables.set_positions(room, user, delivered, read)
    return delivered, read, True


def hide(tables: Tables, name: str, user: str, hidden: bool) -> bool:
    """`Directory.hide` without its commit."""
    room = tables.room(name)
    if room is None or not tables.role(room, user):
        raise _no_room(name)
    before, after = tables.hidden(room, user), room.head if hidden else 0
    # A message since has shown the room again.
    if hidden == (before >= max(room.latest, 1)):
        return False
    tables.set_hidden(room, user, after)
    return True


def fingerprint(event: v1.Event) -> bytes:
    """What was asked for, in few bytes."""
    kind = event.WhichOneof("what") or ""
    return _digest((kind, *ASKED[kind](getattr(event, kind))))


def _without_text(event: v1.Event) -> bytes:
    """The fingerprint of an event whose text was deleted, and of one that may be a repetition of it."""
    bare = v1.Event()
    bare.CopyFrom(event)
    what = bare.WhichOneof("what")
    if what in ("posted", "edited"):
        getattr(bare, what).text = ""
    return fingerprint(bare)


def _digest(asked: tuple[object, ...]) -> bytes:
    return hashlib.blake2b(repr(asked).encode(), digest_size=12).digest()


def _repeated(room: Room, first: Row, draft: v1.Event) -> Written:
    """The first answer again, or CONFLICT."""
    event = event_of(room.name, first)
    if first.asked == FORGOTTEN:
        same = _without_text(event) == _without_text(draft)
    else:
        asked = fingerprint(event) if first.asked is None else first.asked
        same = asked == fingerprint(draft)
    if not same:
        raise conflict(f"client_id {draft.client_id} was used in {room.name} for something else; use a new one")
    return Written(room.epoch, first.seq, event.at_ms, True, None)


def _message(tables: Tables, room: Room, seq: int) -> Row:
    """The message that an event is about."""
    row = tables.event(room, seq) if 0 < seq <= room.head else None
    if row is None:
        raise not_found(f"there is no message {seq} in {room.name}")
    if row.kind == GONE:
        raise invalid_argument(f"message {seq} of {room.name} was deleted; nothing more can happen to it")
    if row.kind != POSTED:
        raise invalid_argument(f"event {seq} of {room.name} is no message; name the seq of a message")
    return row


def _folded(room: Room, row: Row, change: v1.Event, reactors: Reactors = NOBODY) -> Row:
    message = event_of(room.name, row)
    asked = fingerprint(message) if row.asked is None else row.asked
    return row._replace(asked=asked, data=fold(message, change, reactors).SerializeToString())


def _no_room(name: str) -> Exception:
    return not_found(f"there is no room {name}; make it with rooms.create first")


assert set(CHANGES) | {"posted"} == set(ASKED), "every kind of event that can be repeated can be told apart"
