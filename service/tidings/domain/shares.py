"""What one user may hold at once, over all connections, of something that others need as well."""

from collections.abc import Callable

from tidings.contract.errors import resource_exhausted
from tidings.hub import Source


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
    """At most `most` for each user; `what` says of what, and names the limit."""

    __slots__ = ("_held", "_most", "_what")

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._held: dict[str, int] = {}

    def lend(self, user: str, count: int, make: Callable[[], Source]) -> Source:
        """The source that `make` makes, for `count` of the user's share; RESOURCE_EXHAUSTED, and nothing is made."""
        held = self._held.get(user, 0)
        if held + count > self._most:
            raise resource_exhausted(f"{user} holds {held} of {self._most} {self._what}; end what is not needed")
        source = make()
        self._held[user] = held + count
        return Lent(source, lambda: self._return(user, count))

    def _return(self, user: str, count: int) -> None:
        left = self._held[user] - count
        if left:
            self._held[user] = left
        else:
            del self._held[user]
