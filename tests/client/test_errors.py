"""What an ERROR means, and what is done about it."""

import pytest

from tidings.protocols.rsocket import ErrorCode
from tidings_client.errors import (
    CALL_RETRY_CODES,
    WATCH_RETRY_CODES,
    ApiError,
    Code,
    ConnectionLostError,
    RequestRejectedError,
    classify_error,
    permanent_failure,
    retry_after_seconds,
    should_retry,
)


def test_a_code_of_the_contract_becomes_a_failure_without_its_prefix() -> None:
    failure = classify_error(0x304, "NOT_FOUND: there is no room attic")
    assert isinstance(failure, ApiError)
    assert (failure.code, failure.text) == (Code.NOT_FOUND, "there is no room attic")


def test_a_code_of_nobody_is_an_internal_failure_and_keeps_its_text() -> None:
    failure = classify_error(0x201, "No handler for destination 'x'")
    assert isinstance(failure, ApiError)
    assert (failure.code, failure.text) == (Code.INTERNAL, "No handler for destination 'x'")


def test_rejected_is_a_request_that_was_not_processed() -> None:
    assert isinstance(classify_error(ErrorCode.REJECTED, "draining"), RequestRejectedError)


def test_what_ends_a_connection_is_no_failure_of_the_request() -> None:
    assert isinstance(classify_error(ErrorCode.CONNECTION_ERROR, "gone"), ConnectionLostError)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ('more than 5 messages per second\n{"retryAfterMs": 1200}', 1.2),
        ('too much\n{"retryAfterMs": 3000, "added": "later"}', 3.0),
        ('too much; try again in 3 s\n{"retryAfterMs": "3000"}', None),
        ('too much; try again in 3 s\n{"retryAfterMs": -1}', None),
        ('too much; try again in 3 s\n{"retryAf', None),
        ("too much; try again in 3 s\n[]", None),
        ("too many rooms; try again in 3 s", None),
    ],
)
def test_when_to_retry_is_read_from_the_second_line_and_not_from_the_sentence(text: str, seconds: float | None) -> None:
    failure = classify_error(0x306, f"RESOURCE_EXHAUSTED: {text}")
    assert isinstance(failure, ApiError)
    assert retry_after_seconds(failure) == seconds
    assert should_retry(failure, CALL_RETRY_CODES) is (seconds is not None)


@pytest.mark.parametrize("code", list(Code))
def test_calls_and_watches_go_on_after_exactly_what_the_table_says(code: Code) -> None:
    failure = ApiError(code, "x")
    assert should_retry(failure, CALL_RETRY_CODES) is (code is Code.UNAVAILABLE)
    assert should_retry(failure, WATCH_RETRY_CODES) is (code in (Code.UNAVAILABLE, Code.TOO_SLOW))


@pytest.mark.parametrize(
    ("code", "text", "meant"),
    [
        (ErrorCode.REJECTED_SETUP, "wrong token", Code.UNAUTHENTICATED),
        (ErrorCode.REJECTED_SETUP, "UNAUTHENTICATED: the token ran out", Code.UNAUTHENTICATED),
        (ErrorCode.REJECTED_SETUP, "PERMISSION_DENIED: not from there", Code.PERMISSION_DENIED),
        (ErrorCode.REJECTED_SETUP, "UNAVAILABLE: the service is stopping", None),
        (ErrorCode.REJECTED_SETUP, "RESOURCE_EXHAUSTED: too many connections", None),
        (ErrorCode.UNSUPPORTED_SETUP, "no leases here", Code.UNIMPLEMENTED),
        (ErrorCode.CONNECTION_ERROR, "UNAUTHENTICATED: the token ran out", Code.UNAUTHENTICATED),
        (ErrorCode.CONNECTION_ERROR, "the transport was lost", None),
        (ErrorCode.CONNECTION_CLOSE, "see you", None),
    ],
)
def test_an_ended_connection_is_final_only_if_the_same_credentials_cannot_help(
    code: ErrorCode, text: str, meant: Code | None
) -> None:
    failure = permanent_failure(ConnectionLostError(code, text))
    assert (failure.code if failure else None) is meant
