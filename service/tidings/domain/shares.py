"""What one user may hold at once, over all connections, of something that others need as well."""

from collections.abc import Callable, Hashable

from tidings.contract.errors import resource_exhausted
from tidings.contract.memory import Account
from tidings.hub import Source

# A user who holds no more than this is never asked to leave places for others.
FEW: int = 64
# Above it, one may hold at most a part of the places that are still free: so however many take what they can get,
# some are left (dynamic thresholds, Choudhury and Hahne 1998).
FREE_PART: int = 8


class Lent:
    """A source whose reader holds a part of the user's share until it is closed."""

    __slots__ = ("_give_back", "_source", "wake")

    def __init__(self, source: Source, give_back: Callable[[], None]) -> None:
        self._source = source
        self._give_back: Callable[[], None] | None = give_back
        self.wake: Callable[[], None] = source.wake

    def close(self) -> None:
        """The reader is gone. Idempotent."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            self._source.close()
            give_back()


class Shares:
    """At most `most` for each user; `what` says of what, and names the limit.

    `weight_bytes` is what each of them weighs on the user's account. `free`: how many are left for all, of `places`,
    the name of that limit.
    """

    __slots__ = ("_free", "_held", "_most", "_places", "_weight_bytes", "_what")

    def __init__(
        self,
        most: int,
        what: str,
        *,
        weight_bytes: int = 0,
        free: Callable[[], int] | None = None,
        places: str = "",
    ) -> None:
        self._most = most
        self._what = what
        self._weight_bytes = weight_bytes
        self._free = free
        self._places = places
        self._held: dict[Hashable, int] = {}

    def lend(self, account: Account, count: int, make: Callable[[], Source], *, user: str = "", of: str = "") -> Source:
        """The source that `make` makes, for `count` of the user's share; RESOURCE_EXHAUSTED, and nothing is made.

        `user` is whose share it is, by default the account's. `of`: the one thing that this share is of, as a room.
        """
        user = user or account.user
        key = (user, of) if of else user
        self.check(key, count, user, of)
        size = count * self._weight_bytes
        account.hold(size)
        try:
            source = make()
        except BaseException:
            account.release(size)
            raise
        self._held[key] = self._held.get(key, 0) + count
        return Lent(source, lambda: self._return(account, key, count))

    def check(self, key: Hashable, count: int, user: str, of: str = "") -> None:
        """RESOURCE_EXHAUSTED unless `count` more may be lent."""
        held = self._held.get(key, 0)
        at = f" in {of}" if of else ""
        if held + count > self._most:
            raise resource_exhausted(f"{user} holds {held} of {self._most} {self._what}{at}; end what is not needed")
        if self._free is not None and held + count > FEW:
            free = self._free()
            if held + count > free // FREE_PART:
                raise resource_exhausted(
                    f"{user} holds {held} {self._what}{at}, and only {free} are free for all ({self._places}); "
                    "end what is not needed"
                )

    def _return(self, account: Account, key: Hashable, count: int) -> None:
        account.release(count * self._weight_bytes)
        left = self._held[key] - count
        if left:
            self._held[key] = left
        else:
            del self._held[key]
