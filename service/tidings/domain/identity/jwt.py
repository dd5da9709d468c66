"""Bearer tokens: JSON Web Tokens signed with a shared secret (HS256), and nothing else.

A token is a promise that somebody else made, so all of it is checked and everything unexpected refused: another
algorithm, no end, a subject that is no user name, a claim that comes twice (RFC 7519, section 4: readers disagree about
which one counts).

joserfc is imported where it is used: it takes 50 ms, and a service in development reads no tokens.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tidings.contract.context import Identity
from tidings.contract.errors import ApiError, unauthenticated
from tidings.contract.protojson.text import JsonError, UniqueNamesDecoder
from tidings.contract.user_ids import user_to_subject
from tidings.domain.validation.validator import Validator

ALGORITHM: Final = "HS256"
SECRET_BYTES_MIN: Final = 32  # RFC 7518, 3.2: a key of the hash's size or larger must be used
TOKEN_CHARS_MAX: Final = 8_192  # a claim set that needs more belongs into a database
LEEWAY_SECONDS: Final = 5  # clocks of two machines that keep time


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """Which tokens are taken; `issuer` and `audience` are checked where they are not empty."""

    secret: bytes = field(repr=False)
    issuer: str = ""
    audience: str = ""

    def __post_init__(self) -> None:
        if len(self.secret) < SECRET_BYTES_MIN:
            raise ValueError(
                f"the token secret has {len(self.secret)} bytes, at least {SECRET_BYTES_MIN} are needed; "
                "make one with: openssl rand -hex 32"
            )


class JwtVerifier:
    """Reads tokens."""

    def __init__(self, settings: JwtSettings, validator: Validator) -> None:
        self._settings = settings
        self._validator = validator
        from joserfc.jwk import OctKey

        self._key = OctKey.import_key(settings.secret)

    def verify(self, token: str, now_ms: int) -> Identity:
        """Who the token says it is; UNAUTHENTICATED with the reason."""
        claims = self._decode(token)
        expires = _numeric_date(claims, "exp")
        if expires is None:
            raise unauthenticated("the token has no exp; use tokens that end")
        now = now_ms / 1000
        if now >= expires + LEEWAY_SECONDS:
            raise unauthenticated(f"the token ended {math.ceil(now - expires)} s ago; get a new one")
        not_before = _numeric_date(claims, "nbf")
        if not_before is not None and now < not_before - LEEWAY_SECONDS:
            raise unauthenticated(f"the token begins in {math.ceil(not_before - now)} s; wait, or set the clocks right")
        self._check_issuer_and_audience(claims)
        return Identity(
            self._user_name(claims), operator=claims.get("operator") is True, expires_at_ms=int(expires * 1000)
        )

    def _decode(self, token: str) -> Mapping[str, Any]:
        from joserfc import jwt
        from joserfc.errors import JoseError
        from joserfc.util import urlsafe_b64decode

        if len(token) > TOKEN_CHARS_MAX:
            raise unauthenticated(f"the token has more than {TOKEN_CHARS_MAX} characters; put fewer claims into it")
        try:
            claims = jwt.decode(token, self._key, algorithms=[ALGORITHM], decoder_cls=UniqueNamesDecoder).claims
            header, _, _ = token.partition(".")
            UniqueNamesDecoder().decode(urlsafe_b64decode(header.encode()).decode())
            return claims
        except JsonError as error:
            raise unauthenticated(f"the token cannot be read: {error}; get one that says everything once") from error
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise unauthenticated(
                f"the token is not a JWT that the service's secret signed with {ALGORITHM}; get a new one"
            ) from error

    def _check_issuer_and_audience(self, claims: Mapping[str, Any]) -> None:
        issuer, audience = self._settings.issuer, self._settings.audience
        if issuer and claims.get("iss") != issuer:
            raise unauthenticated(f"the token's iss is not {issuer}; get one from there")
        if audience:
            audiences = claims.get("aud")
            if audience not in (audiences if isinstance(audiences, list) else [audiences]):
                raise unauthenticated(f"the token's aud is not {audience}; get one that is meant for this service")

    def _user_name(self, claims: Mapping[str, Any]) -> str:
        subject = claims.get("sub")
        if not isinstance(subject, str):
            raise unauthenticated("the token has no sub; put the user's name there")
        try:
            return self._validator.user_from_subject(subject)
        except ApiError as failure:
            raise unauthenticated(f"the token's sub makes no user name: {failure.text}") from failure


def issue_token(
    user: str,
    *,
    secret: bytes,
    ttl_seconds: int,
    now_ms: int,
    operator: bool = False,
    issuer: str = "",
    audience: str = "",
) -> str:
    """A token for `user` that a service with this secret takes. ValueError when the secret is too short.

    A user's name with escapes stands for the subject that it was made of.
    """
    from joserfc import jwt
    from joserfc.jwk import OctKey

    settings = JwtSettings(secret, issuer, audience)
    now = now_ms // 1000
    claims: dict[str, Any] = {"sub": user_to_subject(user), "iat": now, "exp": now + ttl_seconds}
    if operator:
        claims["operator"] = True
    if issuer:
        claims["iss"] = issuer
    if audience:
        claims["aud"] = audience
    return jwt.encode({"alg": ALGORITHM}, claims, OctKey.import_key(settings.secret), algorithms=[ALGORITHM])


def _numeric_date(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519, 2), or None when the claim is absent."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise unauthenticated(f"the token's {name} is not a time in seconds; get a token with one")
    return value
