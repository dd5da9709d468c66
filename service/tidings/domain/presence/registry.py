"""The rooms whose passing life somebody watches."""

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

IDLE_SECONDS: Final = 60.0  # who reconnects within a minute finds the room loaded
ROUND_COST_MAX: Final = 128  # readers visited between two looks at the sockets
SUBSCRIPTION_BYTES: Final = 256  # a reader of a compacted log and its share; measured: 0.2 KiB


class RoomPresenceRegistry:
    """Room → room presence, and user → the room presences that show this user.

    It observes commits, and is an `AccessRevocable` of `CommitSubscriber`.

    What a room's presence weighs is on the account of one of its readers: of the first, then of another one when
    that one
    leaves. Those without readers share an account of their own, and the one left first is closed when it is full.
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
        self._expected_subscribers: Counter[str] = Counter()  # readers that are about to come, by room; never 0
        self._rooms_by_user: dict[str, set[RoomPresence]] = {}
        self._idle_rooms = ExpiryQueue(IDLE_SECONDS, self._close, clock=clock.monotonic, schedule_later=schedule_later)
        self._typing_tracker = TypingTracker(
            self._on_typing_users_changed, clock=clock, schedule_later=schedule_later, limits=limits
        )
        tracker.on_state_changed.append(self._on_state_changed)

    # readers

    @contextlib.contextmanager
    def expect_subscriber(self, room: str) -> Iterator[None]:
        """A reader is about to come: within, the room that `ensure_loaded` loads is not closed again."""
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
        """Have the room followed, so that `subscribe` may be called; both within `expect_subscriber`."""
        load = self._loads.get(room)
        if load is None and room not in self._rooms:
            load = self._load(room)
        if load is not None:
            # One reader that gives up must not take the others' answer with it.
            await asyncio.shield(load)

    def subscribe(
        self, room: str, sink: Sink[Any], *, owner: str, after: v1.Cursor, account: MemoryAccount
    ) -> Subscription:
        """A reader of the room's life, which `ensure_loaded` had followed, for a user who may read there.

        RESOURCE_EXHAUSTED when the account has no room for it.
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
        """How much an update of the room's life weighs: one, and one more for each so many readers."""
        room_presence = self._rooms.get(room)
        readers = 0 if room_presence is None else room_presence.compacted_log.subscription_count
        return 1 + readers // self._limits.update_cost_readers

    def receipt_update_cost(self, room: str) -> int:
        """The same for a member's positions, which no reader is told where members are only counted."""
        room_presence = self._rooms.get(room)
        return 1 if room_presence is None or room_presence.is_counting else self.update_cost(room)

    def status_update_cost(self, user: str) -> int:
        """The same for what a user says of themselves."""
        readers = sum(
            room_presence.compacted_log.subscription_count for room_presence in self._rooms_by_user.get(user, ())
        )
        return 1 + readers // self._limits.update_cost_readers

    # what it hears

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
        """Somebody's positions moved."""
        room_presence = self._rooms.get(room)
        if room_presence is not None:
            room_presence.on_positions_changed(user, delivered, read)

    def on_member_changed(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, got another role, or consented to being seen."""
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
        """This user may no longer read this room."""
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

    # room presences come and go

    def _on_subscription_closed(self, room_presence: RoomPresence, account: MemoryAccount) -> None:
        """A reader is gone."""
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
        """Those that are too many, the one left first before the others."""
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
                load.exception()  # whoever waited has it; if nobody did, it is no news

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
        """Close the room after `IDLE_SECONDS`, if it has no reader and none is about to come."""
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
