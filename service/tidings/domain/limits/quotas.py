"""What one user may hold at once, over all connections, of something that others need as well."""

from collections.abc import Callable, Hashable

from tidings.contract.errors import resource_exhausted
from tidings.contract.memory_account import MemoryAccount
from tidings.hub import Subscription

# A user who holds no more than this is never asked to leave places for others.
ALWAYS_ALLOWED: int = 64
# Above it, one may hold at most a part of the places that are still free: so however many take what they can get,
# some are left (dynamic thresholds, Choudhury and Hahne 1998).
FREE_DIVISOR: int = 8


class ReleasingSubscription:
    """A source whose reader holds a part of the user's share until it is closed."""

    __slots__ = ("_on_closed", "_subscription", "wake")

    def __init__(self, subscription: Subscription, on_closed: Callable[[], None]) -> None:
        self._subscription = subscription
        self._on_closed: Callable[[], None] | None = on_closed
        self.wake: Callable[[], None] = subscription.wake

    def close(self) -> None:
        """The reader is gone. Idempotent."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            self._subscription.close()
            on_closed()


class UserQuota:
    """At most `limit` for each user; `description` says of what, and names the limit.

    `bytes_each` is what each of them weighs on the user's account. `count_free`: how many are left for all, of
    `free_limit_name`, the name of that limit.
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
        """The source that `open_subscription` makes, for `count` of the user's share; RESOURCE_EXHAUSTED, and
        nothing is made.

        `user` is whose share it is, by default the account's. `resource`: the one thing that this share is of, as a
        room.
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
        """RESOURCE_EXHAUSTED unless `count` more may be lent."""
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
