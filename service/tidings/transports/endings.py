"""How anything that goes wrong is told to a peer: always as a Failure, never with what is inside."""

import secrets

import structlog

from tidings.contract.errors import Failure, cursor_lost, internal, resource_exhausted, too_slow
from tidings.hub import CursorLost, TooManyKeys, TooManySubscriptions, TooSlow

log = structlog.get_logger()


def failure_of(error: BaseException, route: str) -> Failure:
    """What a peer is told about `error`.

    The hub's own errors keep their words. Whatever nobody expected becomes INTERNAL with a correlation id, which
    stands with the traceback in the log.
    """
    match error:
        case Failure():
            return error
        case TooSlow():
            return too_slow(str(error), epoch=error.epoch, seq=error.seq)
        case CursorLost():
            return cursor_lost(str(error))
        case TooManySubscriptions() | TooManyKeys():
            return resource_exhausted(str(error))
    correlation = secrets.token_hex(6)
    log.error("a request failed", route=route, correlation=correlation, exc_info=error)
    return internal(f"the service failed; if you report it, quote {correlation}")
