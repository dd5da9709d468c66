"""Who asks, over which connection, until when."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from tidings.contract.errors import ApiError
from tidings.contract.memory_account import MemoryAccount


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as admission found it."""

    user: str
    guest: bool = False
    operator: bool = False
    # Unix milliseconds UTC, 0 = never.
    expires_at_ms: int = 0


def _always_writable() -> None:
    """The peer takes answers, or there is none."""


def _already_closed(_error: ApiError) -> None:
    """The connection is gone already."""


@dataclass(slots=True, eq=False)
class Session:
    """One living connection of one user. `session.refresh` replaces its identity."""

    id: str
    identity: Identity
    transport: str
    # Ends the connection with this error; set by the transport.
    close: Callable[[ApiError], None]
    # None while the peer takes answers; else what to wait for before asking again. Set by the transport.
    until_writable: Callable[[], Awaitable[None] | None] = _always_writable
    # What its user makes the service hold; set when it enters.
    memory: MemoryAccount = field(default_factory=MemoryAccount)
    # The peer's address, for limits on peers without a user.
    address: str = ""

    def detach_transport(self) -> None:
        """The connection is gone: forget the transport."""
        self.close = _already_closed
        self.until_writable = _always_writable


class CallContext:
    """One request's caller: the session it came over, and the identity it came with.

    The identity is the session's own unless the request carried credentials of its own.
    """

    __slots__ = ("_identity", "session")

    def __init__(self, session: Session, identity: Identity | None = None) -> None:
        self.session = session
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """Who asks."""
        return self._identity or self.session.identity

    @property
    def user(self) -> str:
        """The name of who asks."""
        return self.identity.user

    @property
    def limit_key(self) -> str:
        """What rate limits count by: the user, over all connections; the peer's address where there is no user."""
        identity = self._identity or self.session.identity
        return identity.user or f"address {self.session.address}"  # no user's name has a space

    @property
    def memory(self) -> MemoryAccount:
        """The account of the connection's user, whatever credentials the request came with."""
        return self.session.memory


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a connection or a request brought to show who it is; all empty for none."""

    user: str = ""
    password: str = ""
    token: str = ""


class Authenticator(Protocol):
    """Finds out who a peer is."""

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Who this is; UNAUTHENTICATED when it cannot be told."""


class SessionRegistry(Protocol):
    """Which sessions are open, and so which users are online."""

    def assign_memory(self, session: Session) -> None:
        """Give the session its user's memory account, without making the user online."""

    def register(self, session: Session) -> None:
        """A session was opened; RESOURCE_EXHAUSTED when its user has too many. Assigns the memory account."""

    def unregister(self, session: Session) -> None:
        """The session is closed. Called once for each session that was registered."""
