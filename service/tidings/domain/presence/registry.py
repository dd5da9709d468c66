"""The presence of all watched rooms: which rooms are loaded, who watches them, and which users they show."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from tidings.contract import v1
from tidings.contract.errors import ApiError, unavailable
from tidings.contract.memory_account import MemoryAccount
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.limits.limits import EVERYONE, DomainLimits
from tidings.domain.limits.quotas import ReleasingSubscription
from tidings.domain.ports.commit_feed import CommitFeed, TypingChanged
from tidings.domain.ports.store import Clock, MemberChange, Store
from tidings.domain.presence.presence_items import new_presence_log
from tidings.domain.presence.room_presence import RoomPresence
from tidings.domain.presence.tracker import PresenceTracker
from tidings.domain.presence.typing_tracker import TypingTracker
from tidings.hub import Sink, Subscription
from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import Schedule, ScheduleLater
from tidings.hub.scheduling import FlushScheduler

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

IDLE_SECONDS: Final = 60.0  # a client that reconnects within a minute finds the room loaded
ROUND_COST_MAX: Final = 128  # subscriptions flushed before the loop may do other work
SUBSCRIPTION_BYTES: Final = 256  # a subscription of a compacted log and its quota; measured: 0.2 KiB


class RoomPresenceRegistry:
    """Room → room presence, and user → the room presences that show this user.

    It observes commits, and is an `AccessRevocable` of `CommitSubscriber`.

    The memory of a room's presence is reserved on the account of one of its watchers: the first, then another one when
    that one leaves. Rooms without watchers share one account; when it is full, the room left longest ago is closed.
    """

    def __init__(
        self,
        *,
        epoch: str,
        store: Store,
        feed: CommitFeed,
        tracker: PresenceTracker,
        background: BackgroundTasks,
        clock: Clock,
        schedule: Schedule,
        schedule_later: ScheduleLater,
        make_rx_scheduler: "Callable[[], SchedulerBase]",
        limits: DomainLimits,
    ) -> None:
        self._epoch = epoch
        self._store = store
        self._feed = feed
        self._tracker = tracker
        self._background = background
        self._make_rx_scheduler = make_rx_scheduler
        self._limits = limits
        self._versions = count(1)
        self._flush_scheduler = FlushScheduler(schedule, ROUND_COST_MAX)
        self._rooms: dict[str, RoomPresence] = {}
        self._unwatched_account = MemoryAccount("", limits.unwatched_presence_bytes_max)
        self._loads: dict[str, asyncio.Future[None]] = {}
        self._expected_subscribers: Counter[str] = Counter()  # subscriptions about to open, by room; never 0
        self._rooms_by_user: dict[str, set[RoomPresence]] = {}
        self._idle_rooms = ExpiryQueue(IDLE_SECONDS, self._close, clock=clock.monotonic, schedule_later=schedule_later)
        self._typing_tracker = TypingTracker(
            self._on_typing_users_changed, clock=clock, schedule_later=schedule_later, limits=limits
        )
        tracker.on_state_changed.append(self._on_state_changed)

    # subscriptions

    @contextlib.contextmanager
    def expect_subscriber(self, room: str) -> Iterator[None]:
        """Within this context the room that `ensure_loaded` loads is not closed, so that `subscribe` may follow."""
        self._expected_subscribers[room] += 1
        self._idle_rooms.cancel(room)
        try:
            yield
        finally:
            self._expected_subscribers[room] -= 1
            if not self._expected_subscribers[room]:
                del self._expected_subscribers[room]
                self._start_idle_timer(room)
                self._evict_unwatched()

    async def ensure_loaded(self, room: str) -> None:
        """Load the presence of the room, so that `subscribe` may be called; both within `expect_subscriber`."""
        load = self._loads.get(room)
        if load is None and room not in self._rooms:
            load = self._load(room)
        if load is not None:
            # Cancelling one caller must not cancel the load for others.
            await asyncio.shield(load)

    def subscribe(
        self, room: str, sink: Sink[Any], *, owner: str, after: v1.Cursor, account: MemoryAccount
    ) -> Subscription:
        """Subscribe to the presence of a loaded room, for a user who may read there.

        RESOURCE_EXHAUSTED when the account has no memory left for it.
        """
        room_presence = self._rooms[room]
        is_charged = room_presence.account is self._unwatched_account
        account.check(SUBSCRIPTION_BYTES + room_presence.reserved_bytes if is_charged else SUBSCRIPTION_BYTES)
        account.reserve(SUBSCRIPTION_BYTES)
        if is_charged:
            room_presence.charge_to(account)
        self._idle_rooms.cancel(room)
        room_presence.subscriptions_by_account[account] = room_presence.subscriptions_by_account.get(account, 0) + 1
        subscription = room_presence.compacted_log.subscribe(sink, owner=owner, after=after.seq, epoch=after.epoch)
        return ReleasingSubscription(subscription, lambda: self._on_subscription_closed(room_presence, account))

    def update_cost(self, room: str) -> int:
        """The cost of an update in the room: one, and one more for each `update_cost_readers` subscriptions."""
        room_presence = self._rooms.get(room)
        readers = 0 if room_presence is None else room_presence.compacted_log.subscription_count
        return 1 + readers // self._limits.update_cost_readers

    def receipt_update_cost(self, room: str) -> int:
        """The same for positions, which are not published where members are only counted."""
        room_presence = self._rooms.get(room)
        return 1 if room_presence is None or room_presence.is_counting else self.update_cost(room)

    def status_update_cost(self, user: str) -> int:
        """The same for a user's status, over all rooms that show the user."""
        readers = sum(
            room_presence.compacted_log.subscription_count for room_presence in self._rooms_by_user.get(user, ())
        )
        return 1 + readers // self._limits.update_cost_readers

    # events

    def set_typing(self, room: str, user: str, *, stopped: bool) -> None:
        """Publish that a user of this node types in a room, or stopped; RESOURCE_EXHAUSTED in one room too many."""
        if not stopped:
            self._typing_tracker.check(room, user)
        self._feed.publish(TypingChanged(room, user, stopped))

    def stop_typing(self, room: str, user: str) -> None:
        """Publish that a user of this node stopped typing, if that is known."""
        # Asked for each message: most are sent where no typing is known.
        if self._typing_tracker.is_typing(room, user):
            self._feed.publish(TypingChanged(room, user, True))

    def on_typing_changed(self, room: str, user: str, stopped: bool) -> None:
        """A user of any node types in a room, or stopped."""
        if stopped:
            self._typing_tracker.stop(room, user)
        else:
            self._typing_tracker.start(room, user)

    def on_positions_changed(self, room: str, user: str, delivered: int, read: int) -> None:
        """The positions of a member moved."""
        room_presence = self._rooms.get(room)
        if room_presence is not None:
            room_presence.on_positions_changed(user, delivered, read)

    def on_member_changed(self, room: str, change: MemberChange, /) -> None:
        """A member joined, left, got another role, or changed consent."""
        member = change.member
        if member.left or member.role == v1.READER:
            self._typing_tracker.stop(room, member.user)
        room_presence = self._rooms.get(room)
        if room_presence is not None:
            room_presence.on_member_changed(change)
            if not change.consented and self._limits.presence_visible_to != EVERYONE:
                # Of an OPEN room, where everybody may read on: who is there is for members.
                self._end_restricted(room_presence, member.user)

    def on_members_unknown(self, room: str | None) -> None:
        """Changes of members or positions may have been missed, in this room or (None) in all: read them again."""
        for name in list(self._rooms) if room is None else [room]:
            room_presence = self._rooms.get(name)
            if room_presence is not None:
                self._background.spawn(self._reload(room_presence), "reading the members of a room again")

    async def _reload(self, room_presence: RoomPresence) -> None:
        await room_presence.reload()
        if self._limits.presence_visible_to != EVERYONE:
            for owner in room_presence.compacted_log.owners():
                if not room_presence.can_watch(owner):
                    self._end_restricted(room_presence, owner)

    def _end_restricted(self, room_presence: RoomPresence, user: str) -> None:
        room = room_presence.room
        room_presence.compacted_log.end_subscriptions(user, unavailable(f"you see less of {room} now; open it again"))

    def owners(self, room: str, /) -> set[str]:
        """The users who watch the room."""
        room_presence = self._rooms.get(room)
        return set() if room_presence is None else room_presence.compacted_log.owners()

    def revoke(self, room: str, user: str, error: ApiError, /) -> None:
        """End the subscriptions of a user who may no longer read the room."""
        room_presence = self._rooms.get(room)
        if room_presence is not None:
            room_presence.compacted_log.end_subscriptions(user, error)

    def _on_state_changed(self, user: str) -> None:
        for room_presence in self._rooms_by_user.get(user, ()):
            room_presence.on_state_changed(user)

    def _on_typing_users_changed(self, room: str, users: Sequence[str]) -> None:
        room_presence = self._rooms.get(room)
        if room_presence is not None:
            room_presence.on_typing_changed(users)

    # loading and closing rooms

    def _on_subscription_closed(self, room_presence: RoomPresence, account: MemoryAccount) -> None:
        """A subscription was closed."""
        account.release(SUBSCRIPTION_BYTES)
        subscriptions = room_presence.subscriptions_by_account
        subscriptions[account] -= 1
        if subscriptions[account]:
            return
        del subscriptions[account]
        if room_presence.account is account:
            room_presence.charge_to(next(iter(subscriptions), self._unwatched_account))
            self._evict_unwatched()

    def _evict_unwatched(self) -> None:
        """Close rooms without watchers beyond their memory limit, the one left longest ago first."""
        while (
            self._unwatched_account.reserved_bytes > self._unwatched_account.bytes_max
            and (room := self._idle_rooms.next_key()) is not None
        ):
            self._close(room)

    def _load(self, room: str) -> asyncio.Future[None]:
        load = self._loads[room] = asyncio.get_running_loop().create_future()
        room_presence = self._rooms[room] = self._create(room)

        def on_loaded(error: Exception | None) -> None:
            del self._loads[room]
            if error is None:
                room_presence.on_typing_changed(self._typing_tracker.users(room))
                load.set_result(None)
                self._start_idle_timer(room)
                self._evict_unwatched()
            else:
                self._close(room)
                load.set_exception(error)
                load.exception()  # mark it as retrieved: callers have it, if there are any

        self._background.start(room_presence.load(), on_loaded)
        return load

    def _create(self, room: str) -> RoomPresence:
        compacted_log = new_presence_log(
            epoch=self._epoch,
            next_version=lambda: next(self._versions),
            scheduler=self._flush_scheduler,
            on_empty=lambda: self._start_idle_timer(room),
        )
        room_presence = RoomPresence(
            room,
            compacted_log,
            store=self._store,
            tracker=self._tracker,
            background=self._background,
            make_rx_scheduler=self._make_rx_scheduler,
            limits=self._limits,
            account=self._unwatched_account,
            track=lambda user: self._rooms_by_user.setdefault(user, set()).add(room_presence),
            untrack=lambda user: self._untrack(user, room_presence),
        )
        return room_presence

    def _start_idle_timer(self, room: str) -> None:
        """Close the room after `IDLE_SECONDS` if it has no subscription and none is about to open."""
        room_presence = self._rooms.get(room)
        if room_presence and not (
            room_presence.compacted_log.subscription_count or room in self._expected_subscribers or room in self._loads
        ):
            self._idle_rooms.start(room)

    def _close(self, room: str) -> None:
        self._idle_rooms.cancel(room)
        self._rooms.pop(room).close()

    def _untrack(self, user: str, room_presence: RoomPresence) -> None:
        rooms = self._rooms_by_user.get(user)
        if rooms is not None:
            rooms.discard(room_presence)
            if not rooms:
                del self._rooms_by_user[user]
