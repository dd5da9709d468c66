"""What follows a commit and other notices: the one place that applies them on this node, in order.

The store calls `on_store_commit` on the loop once for each room of each commit, in the order of seqs, before the
senders get their replies; it becomes a notice of the feed, and `on_commit` applies it. Nothing here waits. Access comes
first, so that no old right is used; then subscriptions of users who lost theirs end; then readers are notified.

Notices of other nodes may be late, repeated, out of order or lost (`ports.commit_feed`). A commit is applied only if it
follows the last one of its room that was applied. An older one is ignored. Any other one, and a head of the log that no
notice told of (`on_missed_events`), means that notices are missing, and with them maybe a member who was removed or a
text that was deleted. Then the room is recovered: cached roles are dropped, subscriptions of users who are members no
longer end, and only after that the hub is told how far the log has come; it drops its copies and reads. If the store
cannot be asked, readers get nothing, and the next comparison of heads tries again.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.errors import ApiError, Code
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.common.hub_errors import access_lost
from tidings.domain.common.items import event_item, event_items
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.permissions.authorizer import NON_MEMBER, Authorizer
from tidings.domain.ports.commit_feed import (
    CommitFeed,
    PositionsChanged,
    RoomCommit,
    RoomCreated,
    RoomHidden,
    TypingChanged,
)
from tidings.domain.ports.store import MemberChange, StoredEvent
from tidings.hub import Hub


class AccessRevocable(Protocol):
    """Something that members read from."""

    def owners(self, room: str, /) -> set[str]:
        """The users who read this room now."""

    def revoke(self, room: str, user: str, error: ApiError, /) -> None:
        """This user may no longer read this room: whatever they read of it ends now."""


class CommitSubscriber:
    """Applies notices to access and the hub, then calls the observers (a `FeedListener`).

    Observers are functions: capabilities that follow what happens in rooms add theirs.

    `on_member_changed`   in the order of seqs; changes that are missed are not told of.
    `on_member_hint`      every change that a notice told of, in any order: what it leads to is read from the store.
    `on_members_unknown`  changes of members or positions may have been missed in this room, or (None) in all.
    """

    def __init__(
        self,
        *,
        feed: CommitFeed,
        authorizer: Authorizer,
        hub: Hub[PreparedMessage[v1.WatchItem]],
        background: BackgroundTasks,
        rooms_max: int,
    ) -> None:
        self._feed = feed
        self._authorizer = authorizer
        self._hub = hub
        self._background = background
        self.revocables: list[AccessRevocable] = []
        self.on_events_appended: list[Callable[[str], None]] = []
        self.on_member_changed: list[Callable[[str, MemberChange], None]] = []
        self.on_member_hint: list[Callable[[str, MemberChange], None]] = []
        self.on_positions_changed: list[Callable[[str, str, int, int], None]] = []
        self.on_typing_changed: list[Callable[[str, str, bool], None]] = []
        self.on_list_changed: list[Callable[[str, str], None]] = []
        self.on_members_unknown: list[Callable[[str | None], None]] = []
        self._is_lossless = feed.is_lossless
        # The epoch and seq up to which notices were applied; rooms that are recovered, and up to where.
        self._applied: LruCache[str, tuple[str, int]] = LruCache(rooms_max)
        self._recovering: dict[str, tuple[str, int]] = {}

    def on_store_commit(
        self,
        room: str,
        epoch: str,
        events: Sequence[StoredEvent],
        rewritten: Sequence[StoredEvent],
        members: Sequence[MemberChange],
    ) -> None:
        """This node's store committed: a `CommitListener`."""
        first, last = (events[0].seq, events[-1].seq) if events else (0, 0)
        self._feed.publish(RoomCommit(room, epoch, first, last, events, rewritten, members))

    # notices

    def on_commit(self, commit: RoomCommit, /) -> None:
        """See `FeedListener`."""
        room, epoch, first, last, events, rewritten, members, has_bytes = commit
        if last:
            if not (self._is_lossless or self._is_next(room, epoch, first, last)):
                self._give_hints(room, members)
                return
            for _, member, _ in members:
                self._authorizer.on_member_changed(room, member)
            self._authorizer.on_head_advanced(room, epoch, last)
            for _, member, _ in members:
                if member.left and self._authorizer.cached_kind(room) != v1.OPEN:
                    self._revoke(room, member.user)
            if self._hub.has_subscribers(room):
                if has_bytes:
                    for stored in rewritten:
                        self._hub.replace_event(room, stored.seq, event_item(epoch, stored.seq, stored.data))
                    self._hub.notify(room, epoch, event_items(epoch, events))
                else:
                    self._hub.discard_events(room, [stored.seq for stored in rewritten])
                    self._hub.advance_head(room, epoch, last, first)
        for change in members:
            for on_member_changed in self.on_member_changed:
                on_member_changed(room, change)
        self._give_hints(room, members)
        if last:
            for on_events_appended in self.on_events_appended:
                on_events_appended(room)

    def on_positions(self, change: PositionsChanged, /) -> None:
        """See `FeedListener`."""
        for observer in self.on_positions_changed:
            observer(*change)

    def on_typing(self, change: TypingChanged, /) -> None:
        """See `FeedListener`."""
        for observer in self.on_typing_changed:
            observer(*change)

    def on_room_hidden(self, change: RoomHidden, /) -> None:
        """See `FeedListener`."""
        for observer in self.on_list_changed:
            observer(*change)

    def on_room_created(self, change: RoomCreated, /) -> None:
        """See `FeedListener`."""
        self._authorizer.on_room_created(change.kind)

    def on_gap(self) -> None:
        """See `FeedListener`. What was missed of rooms with readers is found when heads are compared."""
        self._authorizer.drop_all()
        self._applied.clear()
        for observer in self.on_members_unknown:
            observer(None)

    # what was missed

    def on_missed_events(self, room: str, epoch: str, seq: int) -> None:
        """The log has come to `seq` without a notice (`tidings.hub.ports.MissedEvents`)."""
        self._recover(room, epoch, seq)

    def _is_next(self, room: str, epoch: str, first: int, last: int) -> bool:
        """Whether a commit is to be applied now; recovers its room when another one is missing before it."""
        if room not in self._recovering:
            applied_epoch, applied = self._applied.get(room) or ("", 0)
            if applied_epoch == epoch and last <= applied:
                return False
            if applied_epoch == epoch and first == applied + 1:
                self._applied.put(room, (epoch, last))
                return True
        self._recover(room, epoch, last)
        return False

    def _recover(self, room: str, epoch: str, seq: int) -> None:
        self._authorizer.drop_roles(room)
        self._authorizer.on_head_advanced(room, epoch, seq)
        pending = self._recovering.get(room)
        if pending is not None and pending[0] == epoch:
            seq = max(seq, pending[1])
        self._recovering[room] = (epoch, seq)
        if pending is None:
            self._background.spawn(self._run_recovery(room), "recovering a room after a lost notice")

    async def _run_recovery(self, room: str) -> None:
        target = None
        try:
            while target != self._recovering[room]:
                target = self._recovering[room]
                await self._revoke_lost(room)
        except ApiError:
            return  # readers are not notified; the next comparison of heads tries again
        finally:
            epoch, seq = self._recovering.pop(room)
        self._applied.put(room, (epoch, seq))
        self._hub.advance_head(room, epoch, seq)
        for on_members_unknown in self.on_members_unknown:
            on_members_unknown(room)
        for on_events_appended in self.on_events_appended:
            on_events_appended(room)

    async def _revoke_lost(self, room: str) -> None:
        """End what users read of the room who are members no longer."""
        owners = self._hub.owners(room).union(*(revocable.owners(room) for revocable in self.revocables))
        if not owners:
            return
        try:
            room_info = await self._authorizer.room_info(room)
            if room_info.kind == v1.OPEN:
                return
            for owner in owners:
                if await self._authorizer.role(room, owner) == NON_MEMBER:
                    self._revoke(room, owner)
        except ApiError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            for owner in owners:
                self._revoke(room, owner)

    def _give_hints(self, room: str, members: Sequence[MemberChange]) -> None:
        for change in members:
            for on_member_hint in self.on_member_hint:
                on_member_hint(room, change)

    def _revoke(self, room: str, user: str) -> None:
        error = access_lost(room)
        self._hub.unsubscribe(room, user, error)
        for revocable in self.revocables:
            revocable.revoke(room, user, error)
