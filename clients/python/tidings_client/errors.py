"""What can go wrong, and what the client does about it by itself.

One exception leaves this package: `Failure`, with a `Code` of the contract. Inside there is one more, `Lost`: the
connection ended before something was answered. What becomes of each is a table:

| what happened                                  | call                     | watch                     |
|------------------------------------------------|--------------------------|---------------------------|
| the connection was lost                        | again (if it is safe)    | goes on from its cursor   |
| UNAVAILABLE                                    | again                    | goes on                   |
| RESOURCE_EXHAUSTED that says when to try again | again, then              | goes on, then             |
| TOO_SLOW                                       | raised                   | goes on                   |
| everything else                                | raised                   | raised                    |
"""

import re
from typing import Final

from tidings.contract.errors import Code, Failure, read_failure, unauthenticated, unavailable, unimplemented
from tidings.rsocket import ErrorCode

__all__ = [
    "CALL_AGAIN",
    "WATCH_AGAIN",
    "Code",
    "Failure",
    "Lost",
    "Refused",
    "again",
    "answered_with",
    "closed",
    "refusal",
    "retry_seconds",
    "said_by_peer",
    "unavailable",
]

# ERROR frames carry a sentence and no numbers; the services' sentences all say it in these words.
_TRY_AGAIN: Final = re.compile(r"\btry again in (\d+(?:\.\d+)?) ?(ms|s)\b")
# Below it an ERROR ends the connection, from it on only a stream.
_STREAM_CODES_FROM: Final = 0x201
# A connection that ends with one of these is worth another attempt with the same credentials.
_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.TOO_SLOW})


class Lost(Exception):
    """The connection ended (or never came to be). `code` is RSocket's, `text` says what happened."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Refused(Exception):
    """The request was certainly not processed (RSocket REJECTED): it may be repeated whatever it was."""


CALL_AGAIN: Final = frozenset({Code.UNAVAILABLE})
WATCH_AGAIN: Final = frozenset({Code.UNAVAILABLE, Code.TOO_SLOW})


def said_by_peer(text: str) -> Failure | None:
    """The Failure in a text `NAME: sentence`, or None if it does not begin with the name of a code."""
    name, colon, _ = text.partition(": ")
    return read_failure(Code[name], text) if colon and name in Code.__members__ else None


def answered_with(code: int, text: str) -> Failure | Lost | Refused:
    """What an ERROR that ended a stream means."""
    if code < _STREAM_CODES_FROM:
        return Lost(code, text)
    if code == ErrorCode.REJECTED:
        return Refused(text)
    failure = read_failure(code, text)
    if failure is None:
        failure = Failure(Code.INTERNAL, text or f"the service answered with error 0x{code:x}")
    hint = retry_seconds(failure)
    if hint is not None:
        failure.retry_after_ms = round(hint * 1000)
    return failure


def retry_seconds(failure: Failure) -> float | None:
    """In how many seconds the service wants to be asked again, None if it did not say."""
    if failure.retry_after_ms:
        return failure.retry_after_ms / 1000
    found = _TRY_AGAIN.search(failure.text)
    if found is None:
        return None
    number = float(found.group(1))
    return number / 1000 if found.group(2) == "ms" else number


def again(failure: Failure, codes: frozenset[Code]) -> bool:
    """Whether the client repeats by itself after `failure`; `codes` is CALL_AGAIN or WATCH_AGAIN."""
    if failure.code is Code.RESOURCE_EXHAUSTED:
        return retry_seconds(failure) is not None
    return failure.code in codes


def refusal(lost: Lost) -> Failure | None:
    """Why another attempt with the same credentials is of no use, or None if it may help."""
    said = said_by_peer(lost.text)
    if said is not None:
        return None if said.code in _PASSING else said
    if lost.code == ErrorCode.REJECTED_SETUP:
        return unauthenticated(lost.text)
    if lost.code in (ErrorCode.INVALID_SETUP, ErrorCode.UNSUPPORTED_SETUP):
        return unimplemented(f"the service does not take this client's SETUP: {lost.text}")
    return None


def closed() -> Failure:
    """The client was closed by its own program."""
    return unavailable("the client is closed")
