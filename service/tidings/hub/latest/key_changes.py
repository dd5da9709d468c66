"""A board of latest values: presence, my rooms. Readers get the latest state of each key, never a backlog.

The theory. Each change raises the board's one version and gives it to its key. A reader has an interest (a set of
keys) and a *dirty set*: those of its keys that changed since it got them, each with the version at which it became
dirty. Publishing touches the interested readers only, and for a key that is dirty already it changes nothing: the value
is fetched when it is sent. So a reader that takes nothing costs one entry per key of its interest, however often they
change, and needs no lag policy. How a reader is served: `latest.key_subscription`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from tidings.hub.errors import HubError, TooManySubscriptionsError, too_many_keys_error
from tidings.hub.latest.key_subscription import KeySubscription
from tidings.hub.latest.throttle import Throttle
from tidings.hub.limits import KeyChangeLimits
from tidings.hub.ports import Clock, Schedule, ScheduleLater
from tidings.hub.scheduling import FlushScheduler
from tidings.hub.stats import KeyChangeStats

KeySubscriber: TypeAlias = KeySubscription[Any, Any]
KeySubscribers: TypeAlias = dict[KeySubscriber, None]


class KeyChangeHub:
    """Keys that change, and who is interested in which; what their values are, the readers know.

    `epoch` is the name of this board's versions; a new one for each start. Memory: an entry for each key until
    `release`, an entry for each key and interested reader.
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
            0  # the version of the newest thing forgotten: who saw less cannot be told what changed
        )
        self._change_count = 0
        self._subscription_count = 0
        # Most keys interest one reader only, and a dictionary for it would take more than all the rest.
        self._subscribers: dict[str, KeySubscriber | KeySubscribers] = {}

    # the domain's side

    def mark_changed(self, key: str) -> int:
        """The state of `key` is another one; the version that this gave it. Delivers nothing itself."""
        self._retained_keys.add(key)
        version = self.bump_version(key)
        self._change_count += 1
        for subscription in self._subscribers_of(key):
            if key not in subscription.dirty:
                subscription.dirty[key] = version
            if not subscription.is_scheduled and not subscription.is_throttled:
                self.scheduler.schedule(subscription)
        return version

    def retain(self, key: str) -> None:
        """Remember the version of `key` beyond its last reader, as if it had been published."""
        self._retained_keys.add(key)

    def release(self, key: str) -> None:
        """Give the memory of `key` back. Nobody is told; who resumes from before its last change gets everything."""
        self._retained_keys.discard(key)
        self._oldest_resumable_version = max(self._oldest_resumable_version, self.versions.pop(key, 0))

    @property
    def stats(self) -> KeyChangeStats:
        """The counts now."""
        return KeyChangeStats(
            self._subscription_count, len(self._retained_keys), self._change_count, self.deliveries, self.fetches
        )

    def available_subscriptions(self) -> int:
        """How many subscriptions there may be beside those there are."""
        return self.limits.subscriptions_max - self._subscription_count

    # the subscriptions' side

    def bump_version(self, key: str) -> int:
        """`key` counts as changed; the new version."""
        self.version += 1
        self.versions[key] = self.version
        return self.version

    def resume_version(self, after: int | None, epoch: str) -> int | None:
        """`after`, if a reader can go on from there."""
        if after is None or epoch != self.epoch or not max(self._oldest_resumable_version, 1) <= after <= self.version:
            return None
        return after

    def add(self, subscription: KeySubscriber) -> HubError | None:
        """Enter a new reader, or say why not."""
        limits = self.limits
        if self._subscription_count >= limits.subscriptions_max:
            return TooManySubscriptionsError(
                f"all {limits.subscriptions_max} subscriptions are taken (key_changes.subscriptions_max); try "
                f"again later"
            )
        if len(subscription.keys) > limits.keys_per_subscription_max:
            return too_many_keys_error(limits.keys_per_subscription_max)
        self._subscription_count += 1
        for key in subscription.keys:
            self.subscribe(key, subscription)
        return None

    def remove(self, subscription: KeySubscriber, keys: Iterable[str]) -> None:
        """A reader ended."""
        self._subscription_count -= 1
        for key in keys:
            self.unsubscribe(key, subscription)

    def subscribe(self, key: str, subscription: KeySubscriber) -> None:
        """It wants to know of changes."""
        subscribers = self._subscribers.get(key)
        if subscribers is None:
            self._subscribers[key] = subscription
        elif isinstance(subscribers, dict):
            subscribers[subscription] = None
        else:
            self._subscribers[key] = {subscribers: None, subscription: None}

    def unsubscribe(self, key: str, subscription: KeySubscriber) -> None:
        """It no longer does."""
        subscribers = self._subscribers[key]
        if isinstance(subscribers, dict):
            del subscribers[subscription]
            if subscribers:
                return
        del self._subscribers[key]
        if key not in self._retained_keys:
            self.release(key)

    def _subscribers_of(self, key: str) -> Iterable[KeySubscriber]:
        subscribers = self._subscribers.get(key, ())
        return (subscribers,) if isinstance(subscribers, KeySubscription) else subscribers
