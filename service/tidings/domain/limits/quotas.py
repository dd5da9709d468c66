"""Per-user quotas over all connections, for resources that users share."""

from collections.abc import Callable, Hashable

from tidings.contract.errors import resource_exhausted
from tidings.contract.memory_account import MemoryAccount
from tidings.hub import Subscription

# A user who holds no more than this is always allowed, however few are free.
ALWAYS_ALLOWED: int = 64
# Above it, a user may hold at most this part of what is free, so that some always stays free for other users
# (dynamic thresholds, Choudhury and Hahne 1998).
FREE_DIVISOR: int = 8


class ReleasingSubscription:
    """A subscription that calls `on_closed` once when it is closed, to release its quota or memory."""

    __slots__ = ("_on_closed", "_subscription", "wake")

    def __init__(self, subscription: Subscription, on_closed: Callable[[], None]) -> None:
        self._subscription = subscription
        self._on_closed: Callable[[], None] | None = on_closed
        self.wake: Callable[[], None] = subscription.wake

    def close(self) -> None:
        """Close the subscription. Idempotent."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            self._subscription.close()
            on_closed()


class UserQuota:
    """At most `limit` units for each user; `description` names the units and the limit.

    Each unit reserves `bytes_each` on the user's memory account. `count_free` returns how many units are free for all
    users, within the limit called `free_limit_name`.
    """

    __slots__ = ("_bytes_each", "_count_free", "_counts", "_description", "_free_limit_name", "_limit")

    def __init__(
        self,
        limit: int,
        description: str,
        *,
        bytes_each: int = 0,
        count_free: Callable[[], int] | None = None,
        free_limit_name: str = "",
    ) -> None:
        self._limit = limit
        self._description = description
        self._bytes_each = bytes_each
        self._count_free = count_free
        self._free_limit_name = free_limit_name
        self._counts: dict[Hashable, int] = {}

    def acquire(
        self,
        account: MemoryAccount,
        count: int,
        open_subscription: Callable[[], Subscription],
        *,
        user: str = "",
        resource: str = "",
    ) -> Subscription:
        """The subscription that `open_subscription` makes, for `count` units of the user's quota until it is closed.

        RESOURCE_EXHAUSTED, and nothing is opened, beyond the quota. `user` is by default the account's. With
        `resource`, a room for example, the quota is of the user and that resource.
        """
        user = user or account.user
        key = (user, resource) if resource else user
        self.check(key, count, user, resource)
        size = count * self._bytes_each
        account.reserve(size)
        try:
            subscription = open_subscription()
        except BaseException:
            account.release(size)
            raise
        self._counts[key] = self._counts.get(key, 0) + count
        return ReleasingSubscription(subscription, lambda: self._release(account, key, count))

    def check(self, key: Hashable, count: int, user: str, resource: str = "") -> None:
        """RESOURCE_EXHAUSTED unless `count` more units may be acquired."""
        held = self._counts.get(key, 0)
        at = f" in {resource}" if resource else ""
        if held + count > self._limit:
            raise resource_exhausted(
                f"{user} holds {held} of {self._limit} {self._description}{at}; end what is not needed"
            )
        if self._count_free is not None and held + count > ALWAYS_ALLOWED:
            free = self._count_free()
            if held + count > free // FREE_DIVISOR:
                raise resource_exhausted(
                    f"{user} holds {held} {self._description}{at}, and only {free} are free for all "
                    f"({self._free_limit_name}); "
                    "end what is not needed"
                )

    def _release(self, account: MemoryAccount, key: Hashable, count: int) -> None:
        account.release(count * self._bytes_each)
        remaining = self._counts[key] - count
        if remaining:
            self._counts[key] = remaining
        else:
            del self._counts[key]
