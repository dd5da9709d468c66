"""Setting a status, typing, and watching the presence of users or of a room."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext
from tidings.contract.errors import invalid_argument
from tidings.contract.protobuf_wire import encode_field
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.common.hub_errors import ErrorTranslatingSink
from tidings.domain.common.items import encode_cursor
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.limits.quotas import UserQuota
from tidings.domain.limits.rate_limiter import RateLimiter
from tidings.domain.permissions.authorizer import Authorizer
from tidings.domain.presence.presence_items import live_marker
from tidings.domain.presence.registry import RoomPresenceRegistry
from tidings.domain.presence.tracker import ChosenStatus, PresenceTracker, offline_state
from tidings.domain.presence.visibility import HIDDEN_PREFIX, UsersWatch, Visibility
from tidings.domain.validation.validator import Validator
from tidings.hub import KeyChangeHub, KeySubscription, Sink, Subscription

# What a user's own devices see has its own key. No user name contains a space.
_OWN_PREFIX: Final = "own "

SETTABLE_STATUSES: Final = frozenset({v1.ONLINE, v1.AWAY, v1.BUSY, v1.INVISIBLE})


# A watch of users, and one name in it (in its keys, its pending keys, and the key-change hub); measured: 1.0 and
# 0.2 KiB.
WATCH_BYTES: Final = 1_280
NAME_BYTES: Final = 256


class PresenceService:
    """The service `Presence`.

    A user may watch every user, or only those who share a room (`Visibility`); a user who does not want to be seen sets
    INVISIBLE. Named users are watched through a key-change hub, each subscription with its own keys; a room through its
    room presence, which is the same for all its watchers and includes themselves.
    """

    def __init__(
        self,
        *,
        key_changes: KeyChangeHub,
        tracker: PresenceTracker,
        room_presences: RoomPresenceRegistry,
        authorizer: Authorizer,
        validator: Validator,
        background: BackgroundTasks,
        call_limiter: RateLimiter,
        update_limiter: RateLimiter,
        visibility: Visibility,
    ) -> None:
        self._key_changes = key_changes
        self._tracker = tracker
        self._room_presences = room_presences
        self._authorizer = authorizer
        self._validator = validator
        self._limits = validator.limits
        self._background = background
        self._call_limiter = call_limiter
        self._update_limiter = update_limiter
        self._visibility = visibility
        self._name_quota = UserQuota(
            self._limits.watched_users_max, "names in watches (watched_users_max)", bytes_each=NAME_BYTES
        )
        self._watch_quota = UserQuota(
            self._limits.presence_watches_max,
            "watches of people at once (presence_watches_max)",
            bytes_each=WATCH_BYTES,
            count_free=key_changes.available_subscriptions,
            free_limit_name="key_changes.subscriptions_max",
        )
        self._recent_keys: LruCache[str, bool] = LruCache(2 * self._limits.cached_offline_users_max)
        tracker.on_state_changed.append(self._mark_changed)
        tracker.on_own_state_changed.append(lambda user: self._mark_changed(_OWN_PREFIX + user))

    def set(self, request: v1.SetPresenceRequest, context: CallContext) -> v1.SetPresenceReply:
        """My status on all my devices."""
        self._call_limiter.acquire(context.limit_key)
        if request.status not in SETTABLE_STATUSES:
            raise invalid_argument(
                "status must be ONLINE, AWAY, BUSY or INVISIBLE; OFFLINE follows from having no connection"
            )
        text = self._validator.status_text(request.text)
        self._update_limiter.acquire(context.user, self._room_presences.status_update_cost(context.user))
        self._tracker.set_status(context.user, ChosenStatus(request.status, text))
        return v1.SetPresenceReply()

    async def typing(self, request: v1.TypingRequest, context: CallContext) -> v1.TypingReply:
        """I type in a room."""
        self._call_limiter.acquire(context.limit_key)
        room = self._validator.room(request.room)
        await self._authorizer.authorize_write(room, context.user)
        self._update_limiter.acquire(context.user, self._room_presences.update_cost(room))
        self._room_presences.set_typing(room, context.user, stopped=request.stopped)
        return v1.TypingReply()

    async def watch(self, request: v1.PresenceWatchRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """People or a room, as they are and as they change."""
        self._call_limiter.acquire(context.limit_key)
        if bool(request.users) == bool(request.room):
            raise invalid_argument("name either users or a room to watch")
        if request.room:
            return await self.watch_room(request.room, context, ErrorTranslatingSink(sink), request.after)
        return await self._watch_users(request, context, sink)

    async def watch_room(self, room: str, context: CallContext, sink: Sink[Any], after: v1.Cursor) -> Subscription:
        """Watch the presence, typing and positions of a room."""
        room = self._validator.room(room)
        await self._authorizer.authorize_read(room, context.user)
        with self._visibility.check(room, context.user) as check, self._room_presences.expect_subscriber(room):
            await check.load()
            loaded = False
            while True:  # at most twice
                if check.can_see and not loaded:
                    await self._room_presences.ensure_loaded(room)
                    loaded = True
                # Access may have been lost meanwhile.
                await self._authorizer.authorize_read(room, context.user)
                if not check.can_see:
                    return self._visibility.subscribe_empty(room, sink, owner=context.user, account=context.memory)
                if loaded:
                    return self._room_presences.subscribe(
                        room, sink, owner=context.user, after=after, account=context.memory
                    )

    async def _watch_users(
        self, request: v1.PresenceWatchRequest, context: CallContext, sink: Sink[Any]
    ) -> Subscription:
        users_max = self._limits.presence_users_max
        if len(request.users) > users_max:
            raise invalid_argument(
                f"one watch names at most {users_max} users (presence_users_max); use another watch for the rest, "
                f"or a room"
            )
        users = dict.fromkeys(self._validator.user(user) for user in request.users)

        def subscription(keys: Iterable[str], after: int | None) -> KeySubscription[bytes, Any]:
            return KeySubscription(
                self._key_changes,
                [_OWN_PREFIX + user if user == context.user else user for user in keys],
                ErrorTranslatingSink(sink),
                fetch=self._fetch,
                render=self._render,
                live=live_marker,
                after=after,
                epoch=request.after.epoch,
            )

        def acquire(make: Callable[[], Subscription]) -> Subscription:
            return self._watch_quota.acquire(
                context.memory,
                1,
                lambda: self._name_quota.acquire(context.memory, len(users), make, user=context.user),
                user=context.user,
            )

        if not self._visibility.is_limited:
            return acquire(lambda: subscription(users, request.after.seq if request.HasField("after") else None))

        def open_watch(watch: UsersWatch, keys: Sequence[str]) -> Subscription:
            # Visibility may have changed since the cursor, so every state is sent.
            watch.subscription = subscription(keys, None)
            return watch

        return await self._visibility.watch(
            context, list(users), lambda watch, keys: acquire(lambda: open_watch(watch, keys))
        )

    def _mark_changed(self, key: str) -> None:
        self._key_changes.mark_changed(key)
        evicted = self._recent_keys.put(key, True)
        if evicted is not None:
            self._key_changes.release(evicted)

    def _fetch(self, keys: Sequence[str], on_fetched: Callable[[Sequence[bytes] | Exception], None]) -> None:
        """The current states, from the cache where possible."""
        cached = [self._cached_state(key) for key in keys]
        states = [state for state in cached if state is not None]
        if len(states) == len(keys):
            on_fetched(states)
            return

        def on_states(result: dict[str, bytes] | Exception) -> None:
            if isinstance(result, Exception):
                on_fetched(result)
            else:
                on_fetched([self._cached_state(key) or result[key.removeprefix(_OWN_PREFIX)] for key in keys])

        self._background.start(self._tracker.states([key.removeprefix(_OWN_PREFIX) for key in keys]), on_states)

    def _cached_state(self, key: str) -> bytes | None:
        if key.startswith(HIDDEN_PREFIX):
            return offline_state(key.removeprefix(HIDDEN_PREFIX), 0)
        user = key.removeprefix(_OWN_PREFIX)
        own = self._tracker.own_state(user) if user != key else None
        return own or self._tracker.cached_state(user)

    def _render(self, _key: str, state: bytes, version: int) -> PreparedMessage[v1.PresenceItem]:
        at = encode_cursor(self._key_changes.epoch, version)
        return PreparedMessage(v1.PresenceItem, at + encode_field(v1.PresenceItem.USER_FIELD_NUMBER, state))
