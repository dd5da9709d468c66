"""Short functions that make drafts of events and parse stored ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from tidings.contract import v1
from tidings.domain.ports.store import Store, StoredEvent

NOW_MS = 1_700_000_000_000
_ids = count(1)


def new_message(
    room: str, actor: str, text: str, *, client_id: str | None = None, reply_to: int = 0, at_ms: int = NOW_MS
) -> v1.Event:
    """A message; with a new key unless one is given."""
    return v1.Event(
        room=room,
        actor=actor,
        client_id=_client_id(client_id),
        at_ms=at_ms,
        posted=v1.Posted(text=text, reply_to=reply_to),
    )


def new_edit(
    room: str, actor: str, target: int, text: str, *, client_id: str | None = None, at_ms: int = NOW_MS
) -> v1.Event:
    """Another text for a message."""
    return v1.Event(
        room=room, actor=actor, client_id=_client_id(client_id), at_ms=at_ms, edited=v1.Edited(target=target, text=text)
    )


def new_deletion(room: str, actor: str, target: int, *, client_id: str | None = None) -> v1.Event:
    """The end of a message."""
    return v1.Event(
        room=room, actor=actor, client_id=_client_id(client_id), at_ms=NOW_MS, deleted=v1.Deleted(target=target)
    )


def new_reaction(
    room: str, actor: str, target: int, emoji: str, *, removed: bool = False, client_id: str | None = None
) -> v1.Event:
    """A reaction, or its end."""
    what = v1.Reacted(target=target, emoji=emoji, removed=removed)
    return v1.Event(room=room, actor=actor, client_id=_client_id(client_id), at_ms=NOW_MS, reacted=what)


def new_membership(room: str, actor: str, user: str, role: int = v1.MEMBER, *, left: bool = False) -> v1.Event:
    """A user joins, leaves, or gets another role."""
    what = v1.Member(user=user, role=v1.Role.ValueType(role), left=left)
    return v1.Event(room=room, actor=actor, at_ms=NOW_MS, member=what)


def _client_id(client_id: str | None) -> str:
    return f"key-{next(_ids)}" if client_id is None else client_id


def parse(stored: StoredEvent | None) -> v1.Event:
    """The event; its seq is the one it is stored under."""
    assert stored is not None
    event = v1.Event.FromString(stored.data)
    assert event.seq == stored.seq
    return event


def texts(events: Sequence[StoredEvent]) -> list[str]:
    """What the messages among them say."""
    return [parse(event).posted.text for event in events]


async def create_open_room(store: Store, room: str = "lobby") -> str:
    """An OPEN room with an empty log."""
    await store.create_room(room, kind=v1.OPEN, title="", creator="", members=[], at_ms=NOW_MS)
    return room


async def create_group(store: Store, room: str, creator: str, *members: str) -> str:
    """A room with members; its log has one event for itself and one for each of them."""
    await store.create_room(room, kind=v1.GROUP, title="", creator=creator, members=members, at_ms=NOW_MS)
    return room


async def read_all(store: Store, room: str) -> list[StoredEvent]:
    """Everything, read as a reader reads it: page after page."""
    events: list[StoredEvent] = []
    while page := await store.read(room, len(events), 1000):
        events += page
    return events


@dataclass
class RecordingListener:
    """A listener that remembers what it was told."""

    calls: list[tuple[str, str, list[StoredEvent], list[StoredEvent]]] = field(default_factory=list)

    members: list[tuple[int, v1.Member]] = field(default_factory=list)

    def __call__(
        self,
        room: str,
        epoch: str,
        events: Sequence[StoredEvent],
        amended: Sequence[StoredEvent],
        members: Sequence[tuple[int, v1.Member]],
    ) -> None:
        self.calls.append((room, epoch, list(events), list(amended)))
        self.members += members

    def seqs(self, room: str) -> list[int]:
        """The seqs of a room's events in the order heard."""
        return [event.seq for name, _, events, _ in self.calls if name == room for event in events]
