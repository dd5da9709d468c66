"""The list of my rooms as a stream: head, last message, my positions, unread.

The key-change hub knows which rooms changed; the row that one reader gets is read from the store when it is sent, so
it is true at
that moment and a busy room costs a slow reader one row and not a hundred. The reader's interest are its rooms. What
concerns one user alone (a position moved, somebody came or left) touches that user's readers only.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError
from tidings.contract.protobuf_wire import encode_field
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.common.hub_errors import translate_hub_error
from tidings.domain.common.items import encode_cursor, live_item
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.limits.quotas import UserQuota
from tidings.domain.limits.read_limiter import UserReadLimiter
from tidings.domain.ports.store import MemberChange, RoomListEntry, Store
from tidings.domain.rooms.to_proto import to_room_state
from tidings.hub import Batch, HubError, KeyChangeHub, KeySubscription, Sink, Subscription

FetchedEntry = RoomListEntry | None
OnFetched = Callable[[Sequence[FetchedEntry] | Exception], None]


LEFT_ROOMS_PER_USER_MAX: Final = 1_000  # rooms left that are remembered for one user
LEFT_ROOMS_MAX: Final = 100_000  # and for all users: about 0.1 KiB each
FETCH_ROOMS_MAX: Final = 64  # read at a time for one list: each comes with its last message, which may be a long one
ROOM_LIST_BYTES: Final = 1_280  # a list of rooms; measured: 1.0 KiB
LISTED_ROOM_BYTES: Final = 256  # one room in it; measured: 0.2 KiB


class RoomListSubscription:
    """One reader: the sink of its subscription, and the `Subscription` of its transport."""

    __slots__ = (
        "_account",
        "_background",
        "_context",
        "_on_closed",
        "_read_limiter",
        "_reserved_bytes",
        "_sink",
        "_store",
        "changed_rooms",
        "complete",
        "deliver",
        "demand",
        "key_subscription",
        "user",
    )

    def __init__(
        self,
        user: str,
        sink: Sink[Any],
        store: Store,
        background: BackgroundTasks,
        read_limiter: UserReadLimiter,
        context: CallContext,
        on_closed: Callable[["RoomListSubscription"], None],
    ) -> None:
        self.user = user
        self._account = context.memory
        self._read_limiter = read_limiter
        self._context = context
        self._reserved_bytes = 0  # for its rooms, on the account
        self.key_subscription: KeySubscription[FetchedEntry, PreparedMessage[v1.RoomsItem]] | None = None
        # Rooms that the user came into or left while the names of the others were read.
        self.changed_rooms: set[str] = set()
        self.demand: Callable[[], int] = sink.demand
        self.deliver: Callable[[Batch[Any]], bool] = sink.deliver
        self.complete: Callable[[], None] = sink.complete
        self._sink = sink
        self._store = store
        self._background = background
        self._on_closed = on_closed

    def wake(self) -> None:
        """Demand may have grown."""
        if self.key_subscription is not None:
            self.key_subscription.wake()

    def close(self) -> None:
        """The reader is gone."""
        key_subscription = self._detach()
        if key_subscription is not None:
            key_subscription.close()

    def fail(self, error: Exception, /) -> None:
        """Nothing more comes."""
        self._detach()
        self._sink.fail(translate_hub_error(error))

    def reserve_rooms(self, rooms: int) -> None:
        """So many rooms more are of interest; RESOURCE_EXHAUSTED when the account has no room for them."""
        self._account.reserve(rooms * LISTED_ROOM_BYTES)
        self._reserved_bytes += rooms * LISTED_ROOM_BYTES

    def _release_rooms(self, rooms: int) -> None:
        self._account.release(rooms * LISTED_ROOM_BYTES)
        self._reserved_bytes -= rooms * LISTED_ROOM_BYTES

    def _detach(self) -> KeySubscription[FetchedEntry, PreparedMessage[v1.RoomsItem]] | None:
        """Let go of everything; the subscription, which refers to this room list."""
        size, self._reserved_bytes = self._reserved_bytes, 0
        self._account.release(size)
        self._on_closed(self)
        key_subscription, self.key_subscription = self.key_subscription, None
        return key_subscription

    def invalidate(self, room: str) -> None:
        """The row of this room is to be sent anew; that the reader left it is a row too."""
        if self.key_subscription is None:
            self.changed_rooms.add(room)
            return
        try:
            if room not in self.key_subscription.keys:
                self.reserve_rooms(1)
            self.key_subscription.discard([room])
            self.key_subscription.add([room])
        except (HubError, ApiError) as error:
            self.key_subscription.fail(error)

    def fetch(self, rooms: Sequence[str], on_fetched: OnFetched) -> None:
        """The rows as they are now, None for a room that the user is not in."""

        def on_entries(result: Sequence[RoomListEntry] | Exception) -> None:
            if isinstance(result, Exception):
                on_fetched(result)
                return
            entries = {record.room.room: record for record in result}
            on_fetched([entries.get(room) for room in rooms])

        self._background.start(
            self._read_limiter.wait(self._context, lambda: self._store.room_list_entries(self.user, rooms)), on_entries
        )

    def render(self, room: str, entry: FetchedEntry, version: int) -> PreparedMessage[v1.RoomsItem]:
        """A row as an item. A room that is gone is no longer of interest."""
        assert self.key_subscription is not None
        at = encode_cursor(self.key_subscription.hub.epoch, version)
        if entry is None:
            self.key_subscription.discard([room])
            self._release_rooms(1)
            return PreparedMessage(v1.RoomsItem, at + encode_field(v1.RoomsItem.GONE_FIELD_NUMBER, room.encode()))
        state = to_room_state(entry).SerializeToString()
        return PreparedMessage(v1.RoomsItem, at + encode_field(v1.RoomsItem.ROOM_FIELD_NUMBER, state))


class RoomListRegistry:
    """All readers. Follows what happens in rooms."""

    def __init__(
        self,
        *,
        key_changes: KeyChangeHub,
        store: Store,
        background: BackgroundTasks,
        read_limiter: UserReadLimiter,
        limits: DomainLimits,
    ) -> None:
        self._key_changes = key_changes
        self._read_limiter = read_limiter
        self._store = store
        self._background = background
        self._limits = limits
        self._subscriptions: dict[str, set[RoomListSubscription]] = {}
        self._watch_quota = UserQuota(
            limits.watched_lists_max, "lists of rooms watched at once (watched_lists_max)", bytes_each=ROOM_LIST_BYTES
        )
        self._recent_rooms: LruCache[str, bool] = LruCache(limits.recent_room_changes_max)
        # user → room → the version at which the user left it, so that a reader who comes back hears of it.
        self._left_rooms: LruCache[str, dict[str, int]] = LruCache(
            limits.recent_room_changes_max + 1
        )  # bounded by `on_member_changed`
        self._left_rooms_count = 0

    async def subscribe(self, request: v1.RoomsWatchRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """A reader of the caller's rooms."""
        user = context.user
        subscription = RoomListSubscription(
            user, sink, self._store, self._background, self._read_limiter, context, self._on_closed
        )
        leased = self._watch_quota.acquire(context.memory, 1, lambda: subscription, user=user)
        self._subscriptions.setdefault(user, set()).add(subscription)
        try:
            rooms = await self._store.room_names_of(user)
            after = request.after.seq if request.HasField("after") else None
            is_resumed = after is not None and request.after.epoch == self._key_changes.epoch
            left_rooms = self._left_rooms.get(user) if is_resumed else None
            missed = [room for room, version in (left_rooms or {}).items() if version > (after or 0)]
            keys = {*rooms, *subscription.changed_rooms, *missed}
            subscription.reserve_rooms(len(keys))
        except BaseException:
            leased.close()
            raise
        subscription.key_subscription = KeySubscription(
            self._key_changes,
            keys,
            subscription,
            fetch=subscription.fetch,
            render=subscription.render,
            live=_live_item,
            after=after,
            epoch=request.after.epoch,
            min_interval_seconds=self._limits.room_list_min_interval_seconds,
            item_size=_item_bytes,
            fetch_keys_max=FETCH_ROOMS_MAX,
        )
        return leased

    def on_events_appended(self, room: str, /) -> None:
        """There are new events in the room: everybody's row of it is another one."""
        self._key_changes.mark_changed(room)
        self._retain(room)

    def on_member_changed(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, or got another role."""
        member = change.member
        left_rooms = self._left_rooms.get(member.user) or {}
        before = len(left_rooms)
        left_rooms.pop(room, None)
        if member.left:
            left_rooms[room] = self._key_changes.version + 1
            if len(left_rooms) > LEFT_ROOMS_PER_USER_MAX:
                del left_rooms[next(iter(left_rooms))]
            self._left_rooms.put(member.user, left_rooms)
        self._left_rooms_count += len(left_rooms) - before
        while self._left_rooms_count > LEFT_ROOMS_MAX or len(self._left_rooms) > self._limits.recent_room_changes_max:
            self._left_rooms_count -= len(self._left_rooms.pop_oldest())
        self.invalidate(room, member.user)

    def invalidate(self, room: str, user: str) -> None:
        """This user's row of the room is another one."""
        subscriptions = self._subscriptions.get(user)
        if subscriptions:
            # Else the key-change hub forgets the room with its last reader, and whoever resumes then gets everything.
            self._key_changes.retain(room)
            self._retain(room)
            for subscription in list(subscriptions):
                subscription.invalidate(room)

    def on_members_unknown(self, room: str | None) -> None:
        """Changes may have been missed; None: in all rooms. The names of each watcher's rooms are read again."""
        if room is None:
            self._background.spawn(self._resync_all(), "reading the lists of rooms again")

    async def _resync_all(self) -> None:
        """One list at a time, so that thousands of watchers do not read at once."""
        for user in list(self._subscriptions):
            names = await self._store.room_names_of(user)
            for subscription in list(self._subscriptions.get(user, ())):
                keys = () if subscription.key_subscription is None else subscription.key_subscription.keys
                for room in {*names, *keys}:
                    self._key_changes.retain(room)
                    self._retain(room)
                    subscription.invalidate(room)

    def _retain(self, room: str) -> None:
        evicted = self._recent_rooms.put(room, True)
        if evicted is not None:
            self._key_changes.release(evicted)

    def _on_closed(self, subscription: RoomListSubscription) -> None:
        subscriptions = self._subscriptions.get(subscription.user)
        if subscriptions is not None:
            subscriptions.discard(subscription)
            if not subscriptions:
                del self._subscriptions[subscription.user]


def _live_item(epoch: str, version: int) -> PreparedMessage[Any]:
    return live_item(v1.RoomsItem, epoch, version)


def _item_bytes(item: PreparedMessage[Any]) -> int:
    return len(item.protobuf)
