"""Who types where; it dies by itself."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

from tidings.contract.errors import resource_exhausted
from tidings.domain.limits import DomainLimits
from tidings.domain.ports import Clock
from tidings.hub.ports import ScheduleLater
from tidings.hub.spans import Spans


class Typists:
    """`changed(room, users)` is told who types in a room now, in order of arrival, the first few of them."""

    def __init__(
        self,
        changed: Callable[[str, Sequence[str]], None],
        *,
        clock: Clock,
        schedule_later: ScheduleLater,
        limits: DomainLimits,
    ) -> None:
        self._changed = changed
        self._limits = limits
        self._rooms: dict[str, dict[str, None]] = {}
        self._by_user: Counter[str] = Counter()  # in how many rooms, never 0
        self._typing: Spans[tuple[str, str]] = Spans(
            limits.typing_seconds, self._ended, clock=clock.monotonic, schedule_later=schedule_later
        )

    def begin(self, room: str, user: str) -> None:
        """The user types, or still does; RESOURCE_EXHAUSTED in one room too many."""
        new = (room, user) not in self._typing
        most = self._limits.user_typing_rooms_max
        if new and self._by_user[user] >= most:
            raise resource_exhausted(f"{user} types in {most} rooms (user_typing_rooms_max); stop in one of them first")
        if new and len(self._typing) >= self._limits.typing_max:
            return  # nobody misses one who types while a hundred thousand do
        self._typing.begin((room, user))
        if new:
            self._rooms.setdefault(room, {})[user] = None
            self._by_user[user] += 1
            self._changed(room, self.now(room))

    def stop(self, room: str, user: str) -> None:
        """The user types no longer."""
        # Asked for each message: most are sent where no typing is known.
        if user in self._rooms.get(room, ()) and self._typing.cancel((room, user)):
            self._ended((room, user))

    def now(self, room: str) -> Sequence[str]:
        """Who types, the first few."""
        return list(islice(self._rooms.get(room, ()), self._limits.typing_users_shown_max))

    def _ended(self, key: tuple[str, str]) -> None:
        room, user = key
        users = self._rooms[room]
        del users[user]
        self._by_user[user] -= 1
        if not self._by_user[user]:
            del self._by_user[user]
        if not users:
            del self._rooms[room]
        self._changed(room, self.now(room))
