"""What can go wrong, and what the client does about it by itself.

This package raises one exception: `ApiError`, with a `Code` of the contract. Internally there are two more.
`ConnectionLostError`: the connection ended before the reply. `RequestRejectedError`: the request was not processed.
This table says how each is handled:

| what happened                                  | call                     | watch                     |
|------------------------------------------------|--------------------------|---------------------------|
| the connection was lost                        | again (if it is safe)    | goes on from its cursor   |
| UNAVAILABLE                                    | again                    | goes on                   |
| RESOURCE_EXHAUSTED that says when to try again | again, then              | goes on, then             |
| TOO_SLOW                                       | raised                   | goes on                   |
| everything else                                | raised                   | raised                    |
"""

from typing import Final

from tidings.contract.errors import ApiError, Code, parse_error, unauthenticated, unavailable, unimplemented
from tidings.protocols.rsocket import ErrorCode

__all__ = [
    "CALL_RETRY_CODES",
    "WATCH_RETRY_CODES",
    "ApiError",
    "Code",
    "ConnectionLostError",
    "RequestRejectedError",
    "classify_error",
    "client_closed",
    "parse_error_text",
    "permanent_failure",
    "retry_after_seconds",
    "should_retry",
    "unavailable",
]

# Below it an ERROR ends the connection, from it on only a stream.
_FIRST_STREAM_CODE: Final = 0x201
# A connection that ends with one of these is worth another attempt with the same credentials.
_TRANSIENT_CODES: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.TOO_SLOW})


class ConnectionLostError(Exception):
    """The connection ended (or never came to be). `code` is RSocket's, `text` says what happened."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class RequestRejectedError(Exception):
    """The request was certainly not processed (RSocket REJECTED): it may be repeated whatever it was."""


CALL_RETRY_CODES: Final = frozenset({Code.UNAVAILABLE})
WATCH_RETRY_CODES: Final = frozenset({Code.UNAVAILABLE, Code.TOO_SLOW})


def parse_error_text(text: str) -> ApiError | None:
    """The Failure in a text `NAME: sentence`, or None if it does not begin with the name of a code."""
    name, colon, _ = text.partition(": ")
    return parse_error(Code[name], text) if colon and name in Code.__members__ else None


def classify_error(code: int, text: str) -> ApiError | ConnectionLostError | RequestRejectedError:
    """What an ERROR that ended a stream means."""
    if code < _FIRST_STREAM_CODE:
        return ConnectionLostError(code, text)
    if code == ErrorCode.REJECTED:
        return RequestRejectedError(text)
    failure = parse_error(code, text)
    return failure or ApiError(Code.INTERNAL, text or f"the service answered with error 0x{code:x}")


def retry_after_seconds(failure: ApiError) -> float | None:
    """After how many seconds the service asks to retry; None if it gives no time."""
    return failure.retry_after_ms / 1000 if failure.retry_after_ms else None


def should_retry(failure: ApiError, codes: frozenset[Code]) -> bool:
    """Whether the client repeats by itself after `failure`; `codes` is CALL_AGAIN or WATCH_AGAIN."""
    if failure.code is Code.RESOURCE_EXHAUSTED:
        return retry_after_seconds(failure) is not None
    return failure.code in codes


def permanent_failure(lost_error: ConnectionLostError) -> ApiError | None:
    """Why another attempt with the same credentials is of no use, or None if it may help."""
    failure = parse_error_text(lost_error.text)
    if failure is not None:
        return None if failure.code in _TRANSIENT_CODES else failure
    if lost_error.code == ErrorCode.REJECTED_SETUP:
        return unauthenticated(lost_error.text)
    if lost_error.code in (ErrorCode.INVALID_SETUP, ErrorCode.UNSUPPORTED_SETUP):
        return unimplemented(f"the service does not take this client's SETUP: {lost_error.text}")
    return None


def client_closed() -> ApiError:
    """The client was closed by its own program."""
    return unavailable("the client is closed")
