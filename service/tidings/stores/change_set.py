"""What one commit changed: the events of each room, and the members. Passed to the listener and to the search index."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from tidings.contract import v1
from tidings.domain.ports.store import CommitListener, MemberChange, StoredEvent
from tidings.stores.tables import RoomRow


class RoomChanges(NamedTuple):
    """What one commit did to a room: events appended, older ones rewritten (by seq), members changed."""

    room: RoomRow
    events: list[StoredEvent]
    rewritten: dict[int, StoredEvent]
    member_changes: list[MemberChange]


class ChangeSet:
    """What one commit did, collected by `mutations` while the transaction is open."""

    __slots__ = ("has_replaced_text", "rooms")

    def __init__(self) -> None:
        self.rooms: dict[int, RoomChanges] = {}  # by number: two rooms of one commit can have the same name
        self.has_replaced_text = False  # whether a message was deleted or edited

    def add_event(self, room: RoomRow, event: StoredEvent) -> RoomChanges:
        """Add an appended event; returns the changes of its room."""
        changes = self._changes_of(room)
        changes.events.append(event)
        return changes

    def add_member_change(self, room: RoomRow, change: MemberChange) -> None:
        """Add a change of a member's role or consent."""
        self._changes_of(room).member_changes.append(change)

    def _changes_of(self, room: RoomRow) -> RoomChanges:
        entry = self.rooms.get(room.number)
        if entry is None:
            entry = self.rooms[room.number] = RoomChanges(room, [], {}, [])
        return entry

    def add_change(self, room: RoomRow, event: StoredEvent, draft: v1.Event, rewritten: Sequence[StoredEvent]) -> None:
        """Add an event that rewrote earlier ones. One of the same commit appears once, with its last bytes."""
        _, events, older_events, _ = self.add_event(room, event)
        if draft.HasField("deleted") or draft.HasField("edited"):
            self.has_replaced_text = True
        for changed in rewritten:
            index = changed.seq - events[0].seq
            if index >= 0:
                events[index] = changed
            else:
                older_events[changed.seq] = changed


def notify_commit(
    loop: asyncio.AbstractEventLoop, commit_listener: CommitListener | None, change_set: ChangeSet
) -> None:
    """Call the listener for each room. An exception of the listener goes to the loop's handler: the commit stands."""
    if commit_listener is None:
        return
    for room, events, rewritten, member_changes in change_set.rooms.values():
        try:
            commit_listener(room.name, room.epoch, events, list(rewritten.values()), member_changes)
        except Exception as error:
            loop.call_exception_handler({"message": "the listener of commits failed", "exception": error})
