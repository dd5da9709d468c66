"""Who is there: the truth behind presence, per user and not per device.

    connected   at least one connection lives
    in grace    the last one died less than `grace_seconds` ago; still shown as online
    shown       online for others: connected or in grace, and not INVISIBLE

Others see everybody who is not shown as OFFLINE, and nothing that an invisible user does may make an item come to them:
`changed` hears only of what others see, `changed_for_self` of what the user's own devices see. When a user was last
seen is when the last connection died, or when the user became invisible.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidings.contract import v1
from tidings.domain.errands import Errands
from tidings.domain.limits import DomainLimits
from tidings.domain.lru import Lru
from tidings.domain.ports import Clock, Store
from tidings.hub.ports import ScheduleLater
from tidings.hub.spans import Spans


class Chosen(NamedTuple):
    """What a user set: a `v1.Status` and a text."""

    status: int
    text: str


BY_ITSELF = Chosen(v1.ONLINE, "")


class Roster:
    """Connections in, states out."""

    def __init__(
        self, *, store: Store, errands: Errands, clock: Clock, schedule_later: ScheduleLater, limits: DomainLimits
    ) -> None:
        self._store = store
        self._errands = errands
        self._clock = clock
        # Everybody connected or in grace → when the last connection died, 0 while one lives.
        self._here: dict[str, int] = {}
        self._grace = Spans(limits.grace_seconds, self._gone, clock=clock.monotonic, schedule_later=schedule_later)
        # What they chose, where it is not ONLINE; kept for a while for those who are not here.
        self._chosen: dict[str, Chosen] = {}
        self._left_chosen: Lru[str, Chosen] = Lru(limits.presence_remembered_max)
        # When those who are not shown were last seen, as far as it happened lately.
        self._seen: Lru[str, int] = Lru(limits.presence_remembered_max)
        # What others get for everybody who is shown: the bytes of a UserPresence.
        self.shown: dict[str, bytes] = {}
        self.changed: list[Callable[[str], None]] = []
        self.changed_for_self: list[Callable[[str], None]] = []

    def arrived(self, user: str) -> None:
        """The user's first connection lives."""
        self._grace.cancel(user)
        self._here[user] = 0
        chosen = self._left_chosen.drop(user)
        if chosen is not None:
            self._chosen[user] = chosen
        self._settle(user)

    def departed(self, user: str) -> None:
        """The user's last connection died."""
        self._here[user] = self._clock.now_ms()
        self._grace.begin(user)

    def choose(self, user: str, chosen: Chosen) -> None:
        """The user sets a status, for all devices and until it is changed."""
        if user not in self._here:
            self._left_chosen.put(user, chosen)
            return
        if chosen == self._chosen.get(user, BY_ITSELF):
            return
        if chosen == BY_ITSELF:
            del self._chosen[user]
        else:
            self._chosen[user] = chosen
        self._settle(user)

    def own(self, user: str) -> bytes | None:
        """What the user's own devices see, or None for OFFLINE."""
        if user not in self._here:
            return None
        chosen = self._chosen.get(user, BY_ITSELF)
        return _state(user, chosen.status, chosen.text)

    async def states(self, users: Sequence[str]) -> dict[str, bytes]:
        """What others see of these users, as the bytes of a UserPresence each."""
        unknown = [user for user in users if user not in self.shown and self._seen.peek(user) is None]
        seen = await self._store.last_seen(unknown) if unknown else {}
        return {user: self.state(user, seen.get(user, 0)) for user in users}

    def state(self, user: str, seen_ms: int) -> bytes:
        """What others see of a user; `seen_ms` is what the store knows, in case nothing newer is known here."""
        return self.shown.get(user) or offline(user, self._seen.peek(user) or seen_ms)

    def known(self, user: str) -> bytes | None:
        """What others see of a user, if that is known without asking the store."""
        shown = self.shown.get(user)
        if shown is None:
            seen_ms = self._seen.peek(user)
            shown = None if seen_ms is None else offline(user, seen_ms)
        return shown

    def close(self) -> None:
        """The service ends, and with it all connections: remember when everybody shown was last seen."""
        now_ms = self._clock.now_ms()
        for user in self.shown:
            self._remember(user, self._here[user] or now_ms)

    def _gone(self, user: str) -> None:
        left_ms = self._here.pop(user)
        chosen = self._chosen.pop(user, None)
        if chosen is not None:
            self._left_chosen.put(user, chosen)
        self._settle(user, left_ms)

    def _settle(self, user: str, seen_ms: int = 0) -> None:
        """Work out what is seen of the user now, and tell whom it concerns."""
        before = self.shown.pop(user, None)
        chosen = self._chosen.get(user, BY_ITSELF)
        if user in self._here and chosen.status != v1.INVISIBLE:
            self.shown[user] = _state(user, chosen.status, chosen.text)
            self._seen.drop(user)
        elif before is not None:
            seen_ms = seen_ms or self._clock.now_ms()
            self._seen.put(user, seen_ms)
            self._remember(user, seen_ms)
        for hear in self.changed_for_self:
            hear(user)
        if self.shown.get(user) != before:
            for hear in self.changed:
                hear(user)

    def _remember(self, user: str, seen_ms: int) -> None:
        self._errands.spawn(self._store.saw(user, seen_ms), "remembering when a user was last seen")


def offline(user: str, seen_ms: int) -> bytes:
    """The bytes of a UserPresence of somebody who is not there."""
    return v1.UserPresence(user=user, status=v1.OFFLINE, last_seen_ms=seen_ms).SerializeToString()


def _state(user: str, status: int, text: str) -> bytes:
    return v1.UserPresence(user=user, status=v1.Status.ValueType(status), text=text).SerializeToString()
