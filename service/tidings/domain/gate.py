"""The front door: who may come in, and who is in."""

import secrets

from tidings.contract.call import Credentials, Identity, Session
from tidings.contract.errors import Failure, unauthenticated
from tidings.domain.connections import Connections
from tidings.domain.ports import Clock
from tidings.domain.rules import Rules
from tidings.domain.tokens import Tokens


class _Gate:
    """What both gates do alike."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def entered(self, session: Session) -> None:
        """A connection was accepted; RESOURCE_EXHAUSTED when this user has too many."""
        self._connections.enter(session)

    def left(self, session: Session) -> None:
        """The connection is gone."""
        self._connections.leave(session)


class TokenGate(_Gate):
    """Only whoever brings a token of the service's secret comes in."""

    def __init__(self, tokens: Tokens, connections: Connections, clock: Clock) -> None:
        super().__init__(connections)
        self._tokens = tokens
        self._clock = clock

    async def admit(self, credentials: Credentials) -> Identity:
        """Who the token says it is."""
        if credentials.token:
            return self._tokens.identity(credentials.token, self._clock.now_ms())
        if credentials.user or credentials.password:
            raise unauthenticated("this service needs a token: a name without one is taken in development only")
        raise unauthenticated("this service needs a token: send a bearer token with the connection")


class DevGate(_Gate):
    """For development on one machine: any name comes in with any password, and guests without.

    A token is still believed only if a secret can check it: a page that was built with tokens must fail here as it
    would fail later.
    """

    def __init__(self, tokens: Tokens | None, connections: Connections, clock: Clock, rules: Rules) -> None:
        super().__init__(connections)
        self._tokens = tokens
        self._clock = clock
        self._rules = rules

    async def admit(self, credentials: Credentials) -> Identity:
        """Who they say they are."""
        if credentials.token:
            if self._tokens is None:
                raise unauthenticated("no secret is set to check tokens with; set one, or send a user name")
            return self._tokens.identity(credentials.token, self._clock.now_ms())
        if credentials.user:
            try:
                return Identity(self._rules.user(credentials.user))
            except Failure as failure:
                raise unauthenticated(failure.text) from failure
        return Identity(self._guest_name(), guest=True)

    def _guest_name(self) -> str:
        name = f"guest-{secrets.token_hex(2)}"
        while name in self._connections:
            name = f"guest-{secrets.token_hex(4)}"
        return name
