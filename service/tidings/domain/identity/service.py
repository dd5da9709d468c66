"""The connection itself: who am I, a new token, nothing."""

from collections.abc import Mapping

from tidings.contract import v1
from tidings.contract.context import Authenticator, CallContext, Credentials
from tidings.contract.errors import invalid_argument, unauthenticated
from tidings.domain.ports.store import Clock


class SessionService:
    """The service `Session`."""

    def __init__(self, *, authenticator: Authenticator, clock: Clock, version: str, limits: Mapping[str, int]) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._version = version
        self._limits = dict(limits)
        self._ping_reply = v1.PingReply()

    def info(self, request: v1.InfoRequest, context: CallContext) -> v1.InfoReply:
        """Who asks, and which limits hold."""
        identity = context.identity
        return v1.InfoReply(
            user=identity.user,
            guest=identity.guest,
            operator=identity.operator,
            expires_at_ms=identity.expires_at_ms,
            version=self._version,
            limits=self._limits,
            now_ms=self._clock.now_ms(),
        )

    async def refresh(self, request: v1.RefreshRequest, context: CallContext) -> v1.RefreshReply:
        """The session goes on with the new token's identity, which must be the same user's."""
        if not request.token:
            raise invalid_argument("token is empty; send a new token of the same user")
        identity = await self._authenticator.authenticate(Credentials(token=request.token))
        session = context.session
        if identity.user != session.identity.user:
            raise unauthenticated(
                f"the token is {identity.user}'s and this connection {session.identity.user}'s; open another connection"
            )
        session.identity = identity
        return v1.RefreshReply(expires_at_ms=identity.expires_at_ms)

    def ping(self, request: v1.PingRequest, context: CallContext) -> v1.PingReply:
        """There and back."""
        return self._ping_reply
