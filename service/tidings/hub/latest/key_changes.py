"""Change notification per key, for presence and lists of rooms: latest values and no backlog.

The hub has one version counter; each change increments it and gives the new version to the key. A subscription has
a set of keys and a *dirty set*: those of its keys that changed since they were last sent, each with the version at
which it became dirty. `mark_changed` visits only the subscriptions of that key, and does nothing where the key is dirty
already: the value is fetched when it is sent. So a subscription without demand costs one entry per key, however often
keys change, and needs no lag policy. How it is served: `latest.key_subscription`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

from tidings.hub.errors import HubError, TooManySubscriptionsError, too_many_keys_error
from tidings.hub.latest.throttle import Throttle
from tidings.hub.limits import KeyChangeLimits
from tidings.hub.ports import Clock, Schedule, ScheduleLater
from tidings.hub.scheduling import Flushable, FlushScheduler


class KeySubscriber(Flushable, Protocol):
    """A subscription as the hub sees it; `key_subscription` has the only implementation."""

    keys: set[str]
    dirty: dict[str, int]  # key → the version at which it became dirty
    is_throttled: bool


KeySubscribers: TypeAlias = dict[KeySubscriber, None]


class KeyChangeHub:
    """The versions of keys, and the subscriptions of each key. Values are not kept here; subscriptions fetch them.

    `epoch` names this hub's versions; each start of the service has a new one. Memory: an entry per retained key until
    `release`, and an entry per key and subscription.
    """

    def __init__(
        self,
        *,
        epoch: str,
        schedule: Schedule,
        schedule_later: ScheduleLater,
        clock: Clock,
        limits: KeyChangeLimits | None = None,
    ) -> None:
        self.epoch = epoch
        self.limits = limits or KeyChangeLimits()
        self.scheduler = FlushScheduler(schedule, self.limits.round_subscriptions_max)
        self.throttle = Throttle(schedule_later, clock)
        self.version = 0
        self.versions: dict[str, int] = {}
        self.deliveries = 0
        self.fetches = 0
        self._retained_keys: set[str] = set()
        self._oldest_resumable_version = (
            0  # the newest version that was released; a reader with an older cursor cannot resume
        )
        self.subscription_count = 0
        # Most keys have one subscription, and a dictionary for it would take more memory than all the rest.
        self._subscribers: dict[str, KeySubscriber | KeySubscribers] = {}

    # called by the domain

    def mark_changed(self, key: str) -> int:
        """The value of `key` changed; returns its new version. Delivers nothing itself."""
        self._retained_keys.add(key)
        version = self.bump_version(key)
        for subscription in self._subscribers_of(key):
            if key not in subscription.dirty:
                subscription.dirty[key] = version
            if not subscription.is_scheduled and not subscription.is_throttled:
                self.scheduler.schedule(subscription)
        return version

    def retain(self, key: str) -> None:
        """Keep the version of `key` after its last subscription ended, as `mark_changed` does."""
        self._retained_keys.add(key)

    def release(self, key: str) -> None:
        """Release the memory of `key`, without notification. Cursors older than its last change cannot resume."""
        self._retained_keys.discard(key)
        self._oldest_resumable_version = max(self._oldest_resumable_version, self.versions.pop(key, 0))

    def available_subscriptions(self) -> int:
        """How many more subscriptions are allowed."""
        return self.limits.subscriptions_max - self.subscription_count

    # called by subscriptions

    def bump_version(self, key: str) -> int:
        """Give `key` a new version; returns it."""
        self.version += 1
        self.versions[key] = self.version
        return self.version

    def resume_version(self, after: int | None, epoch: str) -> int | None:
        """`after` if a reader can resume from there, else None."""
        if after is None or epoch != self.epoch or not max(self._oldest_resumable_version, 1) <= after <= self.version:
            return None
        return after

    def add(self, subscription: KeySubscriber) -> HubError | None:
        """Register a subscription; returns the error if a limit is reached."""
        limits = self.limits
        if self.subscription_count >= limits.subscriptions_max:
            return TooManySubscriptionsError(
                f"all {limits.subscriptions_max} subscriptions are in use (key_changes.subscriptions_max); "
                "try again later"
            )
        if len(subscription.keys) > limits.keys_per_subscription_max:
            return too_many_keys_error(limits.keys_per_subscription_max)
        self.subscription_count += 1
        for key in subscription.keys:
            self.subscribe(key, subscription)
        return None

    def remove(self, subscription: KeySubscriber, keys: Iterable[str]) -> None:
        """Unregister a subscription that ended."""
        self.subscription_count -= 1
        for key in keys:
            self.unsubscribe(key, subscription)

    def subscribe(self, key: str, subscription: KeySubscriber) -> None:
        """Notify `subscription` of changes of `key`."""
        subscribers = self._subscribers.get(key)
        if subscribers is None:
            self._subscribers[key] = subscription
        elif isinstance(subscribers, dict):
            subscribers[subscription] = None
        else:
            self._subscribers[key] = {subscribers: None, subscription: None}

    def unsubscribe(self, key: str, subscription: KeySubscriber) -> None:
        """Undo `subscribe`; the last one releases a key that is not retained."""
        subscribers = self._subscribers[key]
        if isinstance(subscribers, dict):
            del subscribers[subscription]
            if subscribers:
                return
        del self._subscribers[key]
        if key not in self._retained_keys:
            self.release(key)

    def _subscribers_of(self, key: str) -> Iterable[KeySubscriber]:
        subscribers = self._subscribers.get(key)
        if subscribers is None:
            return ()
        return subscribers if isinstance(subscribers, dict) else (subscribers,)
