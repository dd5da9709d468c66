"""Which users see the presence of which, where it is limited to users who share a room (`presence_visible_to`, ADR 33).

Two users share a room when both are members of it and have consented to being seen there. Any user can create a room
with any other, or add them to one; an added user consents by an action of their own (`ports.store.RoomLog.append`).

    named users   a hidden user is sent as OFFLINE and never seen, like a user that does not exist. The watch has no key
                  for that user, so nothing the user does sends an item. When a user joins or leaves a room, the
                  visibility of that user, and what that user sees, is checked again.
    a room        a watcher who has not consented, or only reads an OPEN room, gets an empty compacted log. When that
                  changes, the watcher is asked to open the watch again. `RoomPresence` hides members without consent.
"""

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Final

from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, unavailable
from tidings.contract.memory_account import MemoryAccount
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.limits.quotas import ReleasingSubscription
from tidings.domain.limits.read_limiter import UserReadLimiter
from tidings.domain.permissions.visibility_check import VisibilityCheck
from tidings.domain.ports.store import MemberChange, Store
from tidings.domain.presence.presence_items import PresenceLog, new_presence_log
from tidings.hub import KeySubscription, Sink, Subscription
from tidings.hub.ports import Schedule
from tidings.hub.scheduling import FlushScheduler

# The prefix of the key of a hidden user in a watch; no user name contains a space.
HIDDEN_PREFIX: Final = "hidden "
SUBSCRIPTION_BYTES: Final = 512
ROUND_COST_MAX: Final = 128


class UsersWatch:
    """A watch of named users: the `Subscription` of its transport. `subscription` is None during the first check."""

    __slots__ = ("_on_closed", "changed_names", "names", "subscription", "user")

    def __init__(self, user: str, names: Collection[str], on_closed: Callable[["UsersWatch"], None]) -> None:
        self.user = user
        self.names = frozenset(names)
        self.subscription: KeySubscription[bytes, Any] | None = None
        # Names whose rooms changed during the first check.
        self.changed_names: set[str] = set()
        self._on_closed = on_closed

    def wake(self) -> None:
        """Demand may have grown."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """Close the watch."""
        self._on_closed(self)
        if self.subscription is not None:
            self.subscription.close()

    def update_visible(self, checked: Iterable[str], visible: Collection[str]) -> None:
        """Of the checked names, those in `visible` are visible now and the others hidden."""
        subscription = self.subscription
        if subscription is None:
            return
        for name in checked:
            before, after = (HIDDEN_PREFIX + name, name) if name in visible else (name, HIDDEN_PREFIX + name)
            if before in subscription.keys:
                subscription.discard([before])
                subscription.add([after])


class Visibility:
    """Answers who is seen, and follows what changes it."""

    def __init__(
        self,
        *,
        is_limited: bool,
        store: Store,
        read_limiter: UserReadLimiter,
        background: BackgroundTasks,
        schedule: Schedule,
    ) -> None:
        """`is_limited`: to users who share a room; else every user sees every user."""
        self.is_limited = is_limited
        self._store = store
        self._read_limiter = read_limiter
        self._background = background
        self._flush_scheduler = FlushScheduler(schedule, ROUND_COST_MAX)
        # Its cursors are never taken for those of a room's own compacted log.
        self._epoch = secrets.token_hex(4)
        self._versions = count(1)
        self._empty_logs: dict[str, PresenceLog] = {}  # room → readers who see nothing of it
        self._checks: dict[tuple[str, str], list[VisibilityCheck]] = {}  # under way, by room and user
        self._watches_by_watcher: dict[str, set[UsersWatch]] = {}
        self._watches_by_name: dict[str, set[UsersWatch]] = {}
        self._pending: dict[UsersWatch, set[str]] = {}  # names to check again
        self._is_rechecking = False

    # named users

    async def watch(
        self,
        context: CallContext,
        names: Sequence[str],
        open_subscription: Callable[[UsersWatch, Sequence[str]], Subscription],
    ) -> Subscription:
        """The subscription that `open_subscription(watch, keys)` makes, with keys of hidden users where needed."""
        user = context.user
        watch = UsersWatch(user, names, self._on_closed)
        self._watches_by_watcher.setdefault(user, set()).add(watch)
        for name in watch.names:
            self._watches_by_name.setdefault(name, set()).add(watch)
        try:
            visible = await self._read_limiter.wait(context, lambda: self._store.users_sharing_room(user, names))
            source = open_subscription(
                watch, [name if name in visible or name == user else HIDDEN_PREFIX + name for name in names]
            )
        except BaseException:
            self._on_closed(watch)
            raise
        if watch.changed_names:
            self._schedule_recheck(watch, watch.changed_names)
        return source

    def _on_closed(self, watch: UsersWatch) -> None:
        self._pending.pop(watch, None)
        _remove_watch(self._watches_by_watcher, watch.user, watch)
        for name in watch.names:
            _remove_watch(self._watches_by_name, name, watch)

    def _schedule_recheck(self, watch: UsersWatch, names: Iterable[str]) -> None:
        if watch.subscription is None:
            watch.changed_names.update(names)
            return
        # One check at a time, however many members change.
        self._pending.setdefault(watch, set()).update(names)
        if not self._is_rechecking:
            self._is_rechecking = True
            self._background.spawn(self._recheck_pending(), "checking the visibility of users")

    async def _recheck_pending(self) -> None:
        try:
            while self._pending:
                watch = next(iter(self._pending))
                # Removed first: a change during the check is checked again.
                names = sorted(self._pending.pop(watch) - {watch.user})
                try:
                    visible: Collection[str] = await self._store.users_sharing_room(watch.user, names)
                except ApiError:
                    visible = ()  # on an error, hide
                watch.update_visible(names, visible)
        finally:
            self._is_rechecking = False

    # rooms

    @contextlib.contextmanager
    def check(self, room: str, user: str) -> Iterator[VisibilityCheck]:
        """A check whether a user sees the members of a room, kept up to date within the context."""
        check = VisibilityCheck(room, user, self._store, is_limited=self.is_limited)
        checks = self._checks.setdefault((room, user), [])
        checks.append(check)
        try:
            yield check
        finally:
            checks.remove(check)
            if not checks:
                del self._checks[room, user]

    def subscribe_empty(self, room: str, sink: Sink[Any], *, owner: str, account: MemoryAccount) -> Subscription:
        """Subscribe a user who sees no member of the room: to the live mark only, until that changes."""
        account.reserve(SUBSCRIPTION_BYTES)
        compacted_log = self._empty_logs.get(room)
        if compacted_log is None:
            compacted_log = self._empty_logs[room] = new_presence_log(
                epoch=self._epoch,
                next_version=lambda: next(self._versions),
                scheduler=self._flush_scheduler,
                on_empty=lambda: self._empty_logs.__delitem__(room),
            )
        subscription = compacted_log.subscribe(sink, owner=owner, after=0, epoch="")
        return ReleasingSubscription(subscription, lambda: account.release(SUBSCRIPTION_BYTES))

    # events

    def on_member_changed(self, room: str, change: MemberChange, /) -> None:
        """A member joined, left, got another role, or consented."""
        if not self.is_limited:
            return
        user = change.member.user
        for check in self._checks.get((room, user), ()):
            check.on_consent_changed(change.consented)
        if change.consented:
            self._end_empty(room, user)

    def on_member_hint(self, _room: str, change: MemberChange, /) -> None:
        """A member may have changed: it is found out again whom that user sees, and who sees the user."""
        if not self.is_limited:
            return
        user = change.member.user
        for watch in list(self._watches_by_watcher.get(user, ())):
            self._schedule_recheck(watch, watch.names)
        for watch in list(self._watches_by_name.get(user, ())):
            self._schedule_recheck(watch, (user,))

    def on_members_unknown(self, room: str | None) -> None:
        """Changes of members may have been missed: subscribers who saw nothing are to open again.

        None: in all rooms; then all watches of users are checked again too.
        """
        if not self.is_limited:
            return
        for name in list(self._empty_logs) if room is None else [room]:
            compacted_log = self._empty_logs.get(name)
            for owner in () if compacted_log is None else compacted_log.owners():
                self._end_empty(name, owner)
        if room is None:
            for user, watches in self._watches_by_watcher.items():
                for watch in watches:
                    self._schedule_recheck(watch, watch.names - {user})

    def _end_empty(self, room: str, owner: str) -> None:
        compacted_log = self._empty_logs.get(room)
        if compacted_log is not None:
            compacted_log.end_subscriptions(owner, unavailable(f"you may see more of {room} now; open it again"))


def _remove_watch(watches: dict[str, set[UsersWatch]], key: str, watch: UsersWatch) -> None:
    found = watches.get(key)
    if found is not None:
        found.discard(watch)
        if not found:
            del watches[key]
