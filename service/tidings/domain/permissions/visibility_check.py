"""Whether a user sees the members of a room, where presence is limited to users who share a room (ADR 33)."""

from tidings.domain.ports.store import MemberRecord, Store


class VisibilityCheck:
    """Whether `user` sees the members of a room. `presence.visibility` keeps it true while it is registered there."""

    __slots__ = ("_has_changed", "_is_limited", "_room", "_store", "can_see", "user")

    def __init__(self, room: str, user: str, store: Store, *, is_limited: bool) -> None:
        self.user = user
        self.can_see = not is_limited
        self._room = room
        self._store = store
        self._is_limited = is_limited
        self._has_changed = False

    async def load(self) -> None:
        """Read the user's consent from the store; before that, `can_see` is False."""
        if self._is_limited:
            membership = await self._store.membership(self._room, self.user)
            # A change received during the read is at least as new as what was read.
            if not self._has_changed:
                self.can_see = membership.consented

    def on_consent_changed(self, consented: bool) -> None:
        """The user gave or lost consent to being seen in the room."""
        self._has_changed = True
        self.can_see = consented

    def can_see_member(self, record: MemberRecord) -> bool:
        """Whether the user sees this member of the room."""
        return record.user == self.user or (self.can_see and (record.consented or not self._is_limited))
