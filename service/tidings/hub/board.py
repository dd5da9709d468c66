"""A board of latest values: presence, my rooms. Readers get the latest state of each key, never a backlog.

The theory. Each change raises the board's one version and gives it to its key. A reader has an interest (a set of
keys) and a *dirty set*: those of its keys that changed since it got them, each with the version at which it became
dirty. Publishing touches the interested readers only, and for a key that is dirty already it changes nothing: the value
is fetched when it is sent. So a reader that takes nothing costs one entry per key of its interest, however often they
change, and needs no lag policy. How a reader is served: `board_subscription`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from tidings.hub.beats import Beats
from tidings.hub.board_subscription import BoardSubscription
from tidings.hub.errors import HubError, TooManySubscriptions, too_many_keys
from tidings.hub.limits import BoardLimits
from tidings.hub.ports import Clock, Schedule, ScheduleLater
from tidings.hub.stats import BoardStats
from tidings.hub.turns import Turns

Watcher: TypeAlias = BoardSubscription[Any, Any]
Watchers: TypeAlias = dict[Watcher, None]


class Board:
    """Keys that change, and who is interested in which; what their values are, the readers know.

    `epoch` is the name of this board's versions; a new one for each start. Memory: an entry for each key until
    `forget`, an entry for each key and interested reader.
    """

    def __init__(
        self,
        *,
        epoch: str,
        schedule: Schedule,
        schedule_later: ScheduleLater,
        clock: Clock,
        limits: BoardLimits | None = None,
    ) -> None:
        self.epoch = epoch
        self.limits = limits or BoardLimits()
        self.turns = Turns(schedule, self.limits.turn_visits_max)
        self.beats = Beats(schedule_later, clock)
        self.version = 0
        self.versions: dict[str, int] = {}
        self.deliveries = 0
        self.fetches = 0
        self._known: set[str] = set()
        self._floor = 0  # the version of the newest thing forgotten: who saw less cannot be told what changed
        self._published = 0
        self._subscriptions = 0
        # Most keys interest one reader only, and a dictionary for it would take more than all the rest.
        self._watchers: dict[str, Watcher | Watchers] = {}

    # the domain's side

    def publish(self, key: str) -> int:
        """The state of `key` is another one; the version that this gave it. Delivers nothing itself."""
        self._known.add(key)
        version = self.stamp(key)
        self._published += 1
        for subscription in self._watchers_of(key):
            if key not in subscription.dirty:
                subscription.dirty[key] = version
            if not subscription.marked and not subscription.resting:
                self.turns.mark(subscription)
        return version

    def keep(self, key: str) -> None:
        """Remember the version of `key` beyond its last reader, as if it had been published."""
        self._known.add(key)

    def forget(self, key: str) -> None:
        """Give the memory of `key` back. Nobody is told; who resumes from before its last change gets everything."""
        self._known.discard(key)
        self._floor = max(self._floor, self.versions.pop(key, 0))

    @property
    def stats(self) -> BoardStats:
        """The counts now."""
        return BoardStats(self._subscriptions, len(self._known), self._published, self.deliveries, self.fetches)

    def free(self) -> int:
        """How many subscriptions there may be beside those there are."""
        return self.limits.subscriptions_max - self._subscriptions

    # the subscriptions' side

    def stamp(self, key: str) -> int:
        """`key` counts as changed; the new version."""
        self.version += 1
        self.versions[key] = self.version
        return self.version

    def resumed(self, after: int | None, epoch: str) -> int | None:
        """`after`, if a reader can go on from there."""
        if after is None or epoch != self.epoch or not max(self._floor, 1) <= after <= self.version:
            return None
        return after

    def admit(self, subscription: Watcher) -> HubError | None:
        """Enter a new reader, or say why not."""
        limits = self.limits
        if self._subscriptions >= limits.subscriptions_max:
            return TooManySubscriptions(
                f"all {limits.subscriptions_max} subscriptions are taken (board.subscriptions_max); try again later"
            )
        if len(subscription.keys) > limits.interest_keys_max:
            return too_many_keys(limits.interest_keys_max)
        self._subscriptions += 1
        for key in subscription.keys:
            self.watch(key, subscription)
        return None

    def left(self, subscription: Watcher, keys: Iterable[str]) -> None:
        """A reader ended."""
        self._subscriptions -= 1
        for key in keys:
            self.unwatch(key, subscription)

    def watch(self, key: str, subscription: Watcher) -> None:
        """It wants to know of changes."""
        watchers = self._watchers.get(key)
        if watchers is None:
            self._watchers[key] = subscription
        elif isinstance(watchers, dict):
            watchers[subscription] = None
        else:
            self._watchers[key] = {watchers: None, subscription: None}

    def unwatch(self, key: str, subscription: Watcher) -> None:
        """It no longer does."""
        watchers = self._watchers[key]
        if isinstance(watchers, dict):
            del watchers[subscription]
            if watchers:
                return
        del self._watchers[key]
        if key not in self._known:
            self.forget(key)

    def _watchers_of(self, key: str) -> Iterable[Watcher]:
        watchers = self._watchers.get(key, ())
        return (watchers,) if isinstance(watchers, BoardSubscription) else watchers
