"""Who types in which room, as far as this node was notified; an entry expires after `typing_seconds`.

Users of other nodes are here too: `check` refuses a user of this node, `start` drops what is beyond the limits.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

from tidings.contract.errors import resource_exhausted
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.ports.store import Clock
from tidings.hub.expiry import ExpiryQueue
from tidings.hub.ports import ScheduleLater


class TypingTracker:
    """Calls `on_changed(room, users)` with the users who type in a room now, the first few in order of arrival."""

    def __init__(
        self,
        on_changed: Callable[[str, Sequence[str]], None],
        *,
        clock: Clock,
        schedule_later: ScheduleLater,
        limits: DomainLimits,
    ) -> None:
        self._on_changed = on_changed
        self._limits = limits
        self._users_by_room: dict[str, dict[str, None]] = {}
        self._room_counts: Counter[str] = Counter()  # in how many rooms, never 0
        self._expiry: ExpiryQueue[tuple[str, str]] = ExpiryQueue(
            limits.typing_seconds, self._on_expired, clock=clock.monotonic, schedule_later=schedule_later
        )

    def check(self, room: str, user: str) -> None:
        """RESOURCE_EXHAUSTED if `room` would be one room too many for the user to type in."""
        rooms_max = self._limits.user_typing_rooms_max
        if (room, user) not in self._expiry and self._room_counts[user] >= rooms_max:
            raise resource_exhausted(
                f"{user} types in {rooms_max} rooms (user_typing_rooms_max); stop in one of them first"
            )

    def is_typing(self, room: str, user: str) -> bool:
        """Whether the user types in the room."""
        return user in self._users_by_room.get(room, ())

    def start(self, room: str, user: str) -> None:
        """The user types, or still does. Not shown beyond the limits, which `check` tells the caller of."""
        is_new = (room, user) not in self._expiry
        is_full = len(self._expiry) >= self._limits.typing_users_max
        if is_new and (is_full or self._room_counts[user] >= self._limits.user_typing_rooms_max):
            return
        self._expiry.start((room, user))
        if is_new:
            self._users_by_room.setdefault(room, {})[user] = None
            self._room_counts[user] += 1
            self._on_changed(room, self.users(room))

    def stop(self, room: str, user: str) -> None:
        """The user stopped typing."""
        if self.is_typing(room, user) and self._expiry.cancel((room, user)):
            self._on_expired((room, user))

    def users(self, room: str) -> Sequence[str]:
        """The users who type in the room, the first few."""
        return list(islice(self._users_by_room.get(room, ()), self._limits.typing_users_shown_max))

    def _on_expired(self, key: tuple[str, str]) -> None:
        room, user = key
        users = self._users_by_room[room]
        del users[user]
        self._room_counts[user] -= 1
        if not self._room_counts[user]:
            del self._room_counts[user]
        if not users:
            del self._users_by_room[room]
        self._on_changed(room, self.users(room))
