"""How anything that goes wrong is told to a peer: always as a Failure, never with what is inside."""

import secrets
from typing import Final

from tidings.contract.errors import ApiError, internal, unavailable
from tidings.log import log

SHUTTING_DOWN: Final = unavailable("the service is stopping; connect again in a moment")


def to_api_error(error: BaseException, route: str) -> ApiError:
    """What a peer is told about `error`: itself, if it is a Failure.

    Whatever nobody expected becomes INTERNAL with a correlation id, which stands with the traceback in the log.
    """
    if isinstance(error, ApiError):
        return error
    correlation = secrets.token_hex(6)
    log.error("a request failed", route=route, correlation=correlation, exc_info=error)
    return internal(f"the service failed; if you report it, quote {correlation}")
