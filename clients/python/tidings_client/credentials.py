"""Who the client is: what SETUP carries, and where a fresh token comes from."""

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tidings.contract.errors import ApiError, invalid_argument, unavailable
from tidings.protocols.rsocket import metadata

TokenSource: TypeAlias = str | Callable[[], str | Awaitable[str]]
"""A token, or a function (plain or async) that gives a fresh one each time it is called."""


class CredentialsProvider:
    """A token, or a user and a password, or nobody (a guest, where the service allows guests)."""

    def __init__(self, token: TokenSource | None, user: str | None, password: str | None) -> None:
        if token is not None and user is not None:
            raise invalid_argument("say token or user, not both: a token names its user")
        self._token: TokenSource | None = token
        self._user = user
        self._password = password or ""

    @property
    def is_renewable(self) -> bool:
        """Whether a fresh token can be had without asking anybody."""
        return callable(self._token)

    def set_token(self, token: str) -> None:
        """Use this token from the next connection on. A function goes on giving its own."""
        if not self.is_renewable:
            self._token, self._user = token, None

    async def token(self) -> str | None:
        """A token that is good now. Raises Failure: what the caller's function raises becomes UNAVAILABLE."""
        if not callable(self._token):
            return self._token
        try:
            result = self._token()
            return await result if inspect.isawaitable(result) else result
        except ApiError:
            raise
        except Exception as error:
            raise unavailable(f"no fresh token: {type(error).__name__}: {error}") from error

    async def setup_metadata(self) -> bytes | None:
        """The metadata of SETUP: composite, with an authentication entry; None if there is nothing to say."""
        token = await self.token()
        if token is not None:
            auth_data = metadata.write_bearer_auth(token)
        elif self._user is not None:
            auth_data = metadata.write_simple_auth(self._user, self._password)
        else:
            return None
        return metadata.write_composite([metadata.Entry(metadata.AUTHENTICATION, auth_data)])
