"""What follows a commit: the one place that hears of every event, in order, and tells whoever must know.

The store calls `on_commit` on the loop once for each room of each commit, in the order of seqs, before the senders hear
that their events are durable. Nothing here waits. Access comes first, so that nobody is served by an old right; then
those who lost theirs are cut off, then readers are told.
"""

from collections.abc import Sequence
from typing import Protocol

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.errors import ApiError
from tidings.domain.common.hub_errors import access_lost
from tidings.domain.common.items import event_item, event_items
from tidings.domain.permissions.authorizer import Authorizer
from tidings.domain.ports.store import MemberChange, StoredEvent
from tidings.hub import Hub


class AccessRevocable(Protocol):
    """Something that people read from."""

    def revoke(self, room: str, user: str, error: ApiError, /) -> None:
        """This user may no longer read this room: whatever they read of it ends now."""


class CommitObserver(Protocol):
    """Somebody who looks at rooms from outside: the lists of rooms, the presence in a room."""

    def on_events_appended(self, room: str, /) -> None:
        """There are new events in the room."""

    def on_member_changed(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, got another role, or consented to being seen in the room."""


class CommitPublisher:
    """Tells access, the hub and the followers."""

    def __init__(self, authorizer: Authorizer, hub: Hub[PreparedMessage[v1.WatchItem]]) -> None:
        self._authorizer = authorizer
        self._hub = hub
        self.revocables: list[AccessRevocable] = []
        self.observers: list[CommitObserver] = []

    def on_commit(
        self,
        room: str,
        epoch: str,
        events: Sequence[StoredEvent],
        rewritten: Sequence[StoredEvent],
        members: Sequence[MemberChange],
    ) -> None:
        """Events were committed, earlier ones rewritten with them, members changed by them."""
        for _, member, _ in members:
            self._authorizer.on_member_changed(room, member)
        if events:
            self._authorizer.on_head_advanced(room, epoch, events[-1].seq)
        for _, member, _ in members:
            if member.left and self._authorizer.cached_kind(room) != v1.OPEN:
                self._revoke(room, member.user)
        if events and self._hub.has_subscribers(room):
            for stored in rewritten:
                self._hub.replace_event(room, stored.seq, event_item(epoch, stored.seq, stored.data))
            self._hub.notify(room, epoch, event_items(epoch, events))
        for observer in self.observers:
            for change in members:
                observer.on_member_changed(room, change)
            if events:
                observer.on_events_appended(room)

    def _revoke(self, room: str, user: str) -> None:
        error = access_lost(room)
        self._hub.unsubscribe(room, user, error)
        for revocable in self.revocables:
            revocable.revoke(room, user, error)
