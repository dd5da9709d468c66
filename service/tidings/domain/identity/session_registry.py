"""Who is connected: the living sessions of each user, and when their tokens run out."""

from collections.abc import Callable
from typing import Final

from tidings.contract.context import Session
from tidings.contract.errors import resource_exhausted, unauthenticated
from tidings.contract.memory_account import MemoryAccounts
from tidings.domain.identity.jwt import LEEWAY_SECONDS
from tidings.domain.ports.store import Clock

# What one may hold that is not counted as it comes and goes: a socket's buffer that is not full yet
# (`write_buffer_bytes`), requests that wait for a full one (`held_bytes_max`), one read (`receive_buffer_bytes`).
SESSION_BYTES: Final = 131_072 + 65_536 + 32_768


class SessionRegistry:
    """An index of sessions by user.

    `on_user_online` hears of a user's first connection, `on_user_offline` of the end of the last one.
    """

    def __init__(self, clock: Clock, user_connections_max: int, accounts: MemoryAccounts) -> None:
        self._clock = clock
        self._accounts = accounts
        self._user_connections_max = user_connections_max
        self._sessions: dict[str, dict[Session, None]] = {}
        # Those that were told to end, until they have.
        self._expired: set[Session] = set()
        self.on_user_online: list[Callable[[str], None]] = []
        self.on_user_offline: list[Callable[[str], None]] = []

    def __contains__(self, user: str) -> bool:
        return user in self._sessions

    def assign_memory(self, session: Session) -> None:
        """Give the session its user's memory account, without making the user online."""
        session.memory = self._accounts.get(session.identity.user or f"address {session.address}")

    def register(self, session: Session) -> None:
        """One more; RESOURCE_EXHAUSTED when the user has too many."""
        user = session.identity.user
        sessions = self._sessions.get(user, {})
        if len(sessions) >= self._user_connections_max:
            raise resource_exhausted(
                f"{user} has {len(sessions)} connections (user_connections_max); close one and connect again"
            )
        self.assign_memory(session)
        session.memory.reserve(SESSION_BYTES)
        sessions[session] = None
        self._sessions[user] = sessions
        if len(sessions) == 1:
            for callback in self.on_user_online:
                callback(user)

    def unregister(self, session: Session) -> None:
        """The session is closed."""
        user = session.identity.user
        sessions = self._sessions.get(user, {})
        if session not in sessions:
            return
        del sessions[session]
        self._expired.discard(session)
        session.memory.release(SESSION_BYTES)
        if not sessions:
            del self._sessions[user]
            for callback in self.on_user_offline:
                callback(user)

    def tick(self) -> None:
        """Close the sessions whose token ran out and was not refreshed.

        Looks at all of them, a millisecond for 20,000: a list in the order of ends would have to follow every refresh.
        """
        expired_before_ms = self._clock.now_ms() - LEEWAY_SECONDS * 1000
        expired = [
            session
            for sessions in self._sessions.values()
            for session in sessions
            if 0 < session.identity.expires_at_ms <= expired_before_ms and session not in self._expired
        ]
        for session in expired:
            self._expired.add(session)
            session.close(unauthenticated("your token ran out; connect with a new one, and refresh it in time"))
