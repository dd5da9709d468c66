"""Who the tests come as."""

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import OctKey

# For a service in development: any password will do.
ALICE = {"user": "alice", "password": "any"}
BOB = {"user": "bob", "password": "any"}
# For a service that takes tokens.
SECRET = "a secret of thirty-two bytes, or more"


def token(user: str, *, secret: str = SECRET, ttl_seconds: int = 3_600) -> dict[str, str]:
    """Credentials as an issuer of tokens would make them."""
    claims: dict[str, Any] = {"sub": user, "exp": int(time.time()) + ttl_seconds}
    return {"token": jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret))}
