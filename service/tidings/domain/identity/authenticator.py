"""Authentication: who a peer is."""

import secrets

from tidings.contract.context import Credentials, Identity
from tidings.contract.errors import ApiError, unauthenticated
from tidings.domain.identity.jwt import JwtVerifier
from tidings.domain.identity.session_registry import SessionRegistry
from tidings.domain.ports.store import Clock
from tidings.domain.validation.validator import Validator


class TokenAuthenticator:
    """Only whoever brings a token of the service's secret comes in."""

    def __init__(self, jwt_verifier: JwtVerifier, clock: Clock) -> None:
        self._jwt_verifier = jwt_verifier
        self._clock = clock

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Who the token says it is."""
        if credentials.token:
            return self._jwt_verifier.verify(credentials.token, self._clock.now_ms())
        if credentials.user or credentials.password:
            raise unauthenticated("this service needs a token: a name without one is taken in development only")
        raise unauthenticated("this service needs a token: send a bearer token with the connection")


class DevAuthenticator:
    """For development on one machine: any name comes in with any password, and guests without.

    A token is still believed only if a secret can check it: a page that was built with tokens must fail here as it
    would fail later.
    """

    def __init__(
        self, jwt_verifier: JwtVerifier | None, session_registry: SessionRegistry, clock: Clock, validator: Validator
    ) -> None:
        self._session_registry = session_registry  # for unique names of guests
        self._jwt_verifier = jwt_verifier
        self._clock = clock
        self._validator = validator

    async def authenticate(self, credentials: Credentials) -> Identity:
        """Who they say they are."""
        if credentials.token:
            if self._jwt_verifier is None:
                raise unauthenticated("no secret is set to check tokens with; set one, or send a user name")
            return self._jwt_verifier.verify(credentials.token, self._clock.now_ms())
        if credentials.user:
            try:
                return Identity(self._validator.user(credentials.user))
            except ApiError as error:
                raise unauthenticated(error.text) from error
        return Identity(self._new_guest_name(), guest=True)

    def _new_guest_name(self) -> str:
        name = f"guest-{secrets.token_hex(2)}"
        while name in self._session_registry:
            name = f"guest-{secrets.token_hex(4)}"
        return name
