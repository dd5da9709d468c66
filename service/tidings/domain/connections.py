"""Who is connected: the living sessions of each user, and when their tokens run out."""

import heapq
from collections.abc import Callable
from itertools import count

from tidings.contract.call import Session
from tidings.contract.errors import resource_exhausted, unauthenticated
from tidings.domain.ports import Clock
from tidings.domain.tokens import LEEWAY_SECONDS


class Connections:
    """An index of sessions by user.

    `arrived` hears of a user's first connection, `departed` of the end of the last one.
    """

    def __init__(self, clock: Clock, user_connections_max: int) -> None:
        self._clock = clock
        self._user_connections_max = user_connections_max
        self._sessions: dict[str, dict[Session, None]] = {}
        # (when the token ends in Unix milliseconds, a number to order equals, the session)
        self._endings: list[tuple[int, int, Session]] = []
        self._numbers = count()
        self.arrived: list[Callable[[str], None]] = []
        self.departed: list[Callable[[str], None]] = []

    def __contains__(self, user: str) -> bool:
        return user in self._sessions

    def enter(self, session: Session) -> None:
        """One more; RESOURCE_EXHAUSTED when the user has too many."""
        user = session.identity.user
        sessions = self._sessions.setdefault(user, {})
        if len(sessions) >= self._user_connections_max:
            raise resource_exhausted(
                f"{user} has {len(sessions)} connections (user_connections_max); close one and connect again"
            )
        sessions[session] = None
        self._watch_ending(session)
        if len(sessions) == 1:
            for hear in self.arrived:
                hear(user)

    def leave(self, session: Session) -> None:
        """It is gone; what the domain hung on it is cleaned up."""
        user = session.identity.user
        sessions = self._sessions.get(user, {})
        if session not in sessions:
            return
        del sessions[session]
        for clean_up in session.left:
            clean_up()
        session.left.clear()
        if not sessions:
            del self._sessions[user]
            for hear in self.departed:
                hear(user)

    def refreshed(self, session: Session) -> None:
        """The session has another identity of the same user."""
        self._watch_ending(session)

    def tick(self) -> None:
        """Close the sessions whose token ran out and was not refreshed."""
        now_ms = self._clock.now_ms()
        while self._endings and self._endings[0][0] + LEEWAY_SECONDS * 1000 <= now_ms:
            _, _, session = heapq.heappop(self._endings)
            if session not in self._sessions.get(session.identity.user, {}):
                continue
            ends_ms = session.identity.expires_at_ms
            if not ends_ms or ends_ms + LEEWAY_SECONDS * 1000 > now_ms:
                self._watch_ending(session)
            else:
                session.close(unauthenticated("your token ran out; connect with a new one, and refresh it in time"))

    def _watch_ending(self, session: Session) -> None:
        if session.identity.expires_at_ms:
            heapq.heappush(self._endings, (session.identity.expires_at_ms, next(self._numbers), session))
