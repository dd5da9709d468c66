"""What follows a commit: the one place that hears of every event, in order, and tells whoever must know.

The store calls `committed` on the loop once for each room of each commit, in the order of seqs, before the senders hear
that their events are durable. Nothing here waits. Access comes first, so that nobody is served by an old right; then
those who lost theirs are cut off, then readers are told.
"""

from collections.abc import Sequence
from typing import Protocol

from tidings.contract import v1
from tidings.contract.codecs import Prepared
from tidings.contract.errors import Failure
from tidings.domain.access import Access
from tidings.domain.endings import access_lost
from tidings.domain.items import event_item, event_items
from tidings.domain.ports import MemberChange, StoredEvent
from tidings.hub import Hub


class Cut(Protocol):
    """Something that people read from."""

    def end(self, room: str, owner: str, error: Failure, /) -> None:
        """This user may no longer read this room: whatever they read of it ends now."""


class Follower(Protocol):
    """Somebody who looks at rooms from outside: the lists of rooms, the presence in a room."""

    def changed(self, room: str, /) -> None:
        """There are new events in the room."""

    def member(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, got another role, or consented to being seen in the room."""


class Publication:
    """Tells access, the hub and the followers."""

    def __init__(self, access: Access, hub: Hub[Prepared[v1.WatchItem]]) -> None:
        self._access = access
        self._hub = hub
        self.cuts: list[Cut] = []
        self.followers: list[Follower] = []

    def committed(
        self,
        room: str,
        epoch: str,
        events: Sequence[StoredEvent],
        amended: Sequence[StoredEvent],
        members: Sequence[MemberChange],
    ) -> None:
        """Events were committed, earlier ones rewritten with them, members changed by them."""
        for _, member, _ in members:
            self._access.changed(room, member)
        if events:
            self._access.reached(room, epoch, events[-1].seq)
        for _, member, _ in members:
            if member.left and self._access.kind(room) != v1.OPEN:
                self._cut_off(room, member.user)
        if events and self._hub.listens(room):
            for stored in amended:
                self._hub.amend(room, stored.seq, event_item(epoch, stored.seq, stored.data))
            self._hub.notify(room, epoch, event_items(epoch, events))
        for follower in self.followers:
            for change in members:
                follower.member(room, change)
            if events:
                follower.changed(room)

    def _cut_off(self, room: str, user: str) -> None:
        error = access_lost(room)
        self._hub.end(room, user, error)
        for cut in self.cuts:
            cut.end(room, user, error)
