"""The presence state of each user, over all devices.

    connected   at least one connection is open
    in grace    the last connection was lost less than `grace_seconds` ago; still shown as online
    shown       online for others: connected or in grace, and not INVISIBLE

Others see every user who is not shown as OFFLINE, and no action of an invisible user may cause an item for others:
`on_state_changed` is called for changes that others see, `on_own_state_changed` for those that the user's own devices
see. A user was last seen when the last connection ended, or when the user became invisible.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidings.contract import v1
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.common.lru_cache import LruCache
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.ports.store import Clock, Store
from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import ScheduleLater


class ChosenStatus(NamedTuple):
    """The status that a user chose: a `v1.Status` and a text."""

    status: int
    text: str


DEFAULT_STATUS = ChosenStatus(v1.ONLINE, "")


class PresenceTracker:
    """Turns the connections and chosen statuses of users into presence states."""

    def __init__(
        self,
        *,
        store: Store,
        background: BackgroundTasks,
        clock: Clock,
        schedule_later: ScheduleLater,
        limits: DomainLimits,
    ) -> None:
        self._store = store
        self._background = background
        self._clock = clock
        # User connected or in grace → when the last connection ended (Unix ms), 0 while one is open.
        self._online: dict[str, int] = {}
        self._grace_timers = ExpiryQueue(
            limits.grace_seconds, self._on_grace_expired, clock=clock.monotonic, schedule_later=schedule_later
        )
        # Chosen statuses other than ONLINE; those of offline users are cached.
        self._statuses: dict[str, ChosenStatus] = {}
        self._offline_statuses: LruCache[str, ChosenStatus] = LruCache(limits.cached_offline_users_max)
        # When users who are not shown were last seen (Unix ms), if recently.
        self._last_seen_ms: LruCache[str, int] = LruCache(limits.cached_offline_users_max)
        # What others see of each user who is shown: the bytes of a UserPresence.
        self.visible_states: dict[str, bytes] = {}
        self.on_state_changed: list[Callable[[str], None]] = []
        self.on_own_state_changed: list[Callable[[str], None]] = []

    def on_user_online(self, user: str) -> None:
        """The user's first connection opened."""
        self._grace_timers.cancel(user)
        self._online[user] = 0
        chosen = self._offline_statuses.pop(user)
        if chosen is not None:
            self._statuses[user] = chosen
        self._recompute(user)

    def on_user_offline(self, user: str) -> None:
        """The user's last connection ended."""
        self._online[user] = self._clock.now_ms()
        self._grace_timers.start(user)

    def set_status(self, user: str, chosen: ChosenStatus) -> None:
        """Set the status of a user, for all devices and until it is changed."""
        if user not in self._online:
            self._offline_statuses.put(user, chosen)
            return
        if chosen == self._statuses.get(user, DEFAULT_STATUS):
            return
        if chosen == DEFAULT_STATUS:
            del self._statuses[user]
        else:
            self._statuses[user] = chosen
        self._recompute(user)

    def own_state(self, user: str) -> bytes | None:
        """The bytes of the UserPresence that the user's own devices see; None for OFFLINE."""
        if user not in self._online:
            return None
        chosen = self._statuses.get(user, DEFAULT_STATUS)
        return _user_presence(user, chosen.status, chosen.text)

    async def states(self, users: Sequence[str]) -> dict[str, bytes]:
        """What others see of these users, as the bytes of a UserPresence each."""
        unknown = [user for user in users if user not in self.visible_states and self._last_seen_ms.peek(user) is None]
        seen = await self._store.last_seen(unknown) if unknown else {}
        return {user: self.state_of(user, seen.get(user, 0)) for user in users}

    def state_of(self, user: str, seen_ms: int) -> bytes:
        """What others see of a user; `seen_ms` is the stored time of last seen, used if none is cached."""
        return self.visible_states.get(user) or offline_state(user, self._last_seen_ms.peek(user) or seen_ms)

    def cached_state(self, user: str) -> bytes | None:
        """What others see of a user if it is cached, else None."""
        state = self.visible_states.get(user)
        if state is None:
            seen_ms = self._last_seen_ms.peek(user)
            state = None if seen_ms is None else offline_state(user, seen_ms)
        return state

    def close(self) -> None:
        """The service stops: store when each shown user was last seen."""
        now_ms = self._clock.now_ms()
        for user in self.visible_states:
            self._store_last_seen(user, self._online[user] or now_ms)

    def _on_grace_expired(self, user: str) -> None:
        left_ms = self._online.pop(user)
        chosen = self._statuses.pop(user, None)
        if chosen is not None:
            self._offline_statuses.put(user, chosen)
        self._recompute(user, left_ms)

    def _recompute(self, user: str, seen_ms: int = 0) -> None:
        """Compute the user's visible state, and call the callbacks if it changed."""
        before = self.visible_states.pop(user, None)
        chosen = self._statuses.get(user, DEFAULT_STATUS)
        if user in self._online and chosen.status != v1.INVISIBLE:
            self.visible_states[user] = _user_presence(user, chosen.status, chosen.text)
            self._last_seen_ms.pop(user)
        elif before is not None:
            seen_ms = seen_ms or self._clock.now_ms()
            self._last_seen_ms.put(user, seen_ms)
            self._store_last_seen(user, seen_ms)
        for callback in self.on_own_state_changed:
            callback(user)
        if self.visible_states.get(user) != before:
            for callback in self.on_state_changed:
                callback(user)

    def _store_last_seen(self, user: str, seen_ms: int) -> None:
        self._background.spawn(self._store.set_last_seen(user, seen_ms), "storing when a user was last seen")


def offline_state(user: str, seen_ms: int) -> bytes:
    """The bytes of the UserPresence of an offline user."""
    return v1.UserPresence(user=user, status=v1.OFFLINE, last_seen_ms=seen_ms).SerializeToString()


def _user_presence(user: str, status: int, text: str) -> bytes:
    return v1.UserPresence(user=user, status=v1.Status.ValueType(status), text=text).SerializeToString()
