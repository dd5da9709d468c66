"""The table of errors has no empty column, and each error survives the way over the wire."""

import dataclasses

import pytest

from tidings.contract import errors, v1
from tidings.contract.errors import (
    ERROR_MAPPINGS,
    SAFE_INTEGER_MAX,
    ApiError,
    Code,
    RetryHint,
    parse_error,
    resource_exhausted,
    too_slow,
)


@pytest.mark.parametrize("code", list(Code))
def test_every_error_has_a_row_without_an_empty_column(code: Code) -> None:
    row = ERROR_MAPPINGS[code]
    assert all(getattr(row, field.name) not in (None, "", 0) for field in dataclasses.fields(row))


def test_the_protos_name_the_same_codes() -> None:
    assert {name: number for name, number in v1.Code.items() if number} == {code.name: int(code) for code in Code}


@pytest.mark.parametrize("code", list(Code))
def test_codes_are_application_codes_that_every_client_can_hold(code: Code) -> None:
    # Below 0x301 they are the protocol's own; above 0x7FFFFFFF legacy rsocket-js closes the connection.
    assert 0x301 <= ERROR_MAPPINGS[code].rsocket <= 0x7FFFFFFF


@pytest.mark.parametrize("code", list(Code))
def test_a_failure_read_from_the_wire_is_the_failure_that_was_written(code: Code) -> None:
    written = ApiError(code, "do something else")
    read = parse_error(written.mapping.rsocket, written.rsocket_text)
    assert read is not None
    assert (read.code, read.text) == (code, "do something else")


@pytest.mark.parametrize(
    ("written", "data"),
    [
        (ApiError(Code.NOT_FOUND, "look elsewhere"), "NOT_FOUND: look elsewhere"),
        (resource_exhausted("slower", retry_after_ms=300), 'RESOURCE_EXHAUSTED: slower\n{"retryAfterMs": 300}'),
        (
            too_slow("resume", epoch='a\n"b', seq=SAFE_INTEGER_MAX),
            'TOO_SLOW: resume\n{"cursor": {"epoch": "a\\n\\"b", "seq": 9007199254740991}}',
        ),
    ],
)
def test_what_programs_need_of_an_error_is_a_line_of_json_behind_the_sentence(written: ApiError, data: str) -> None:
    assert written.rsocket_data == data
    read = parse_error(written.mapping.rsocket, data)
    assert read is not None
    assert (read.text, read.retry_after_ms, read.cursor) == (written.text, written.retry_after_ms, written.cursor)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"retryAfterMs": true, "cursor": 1}',
        '{"retryAfterMs": 1.5}',
        '{"retryAfterMs": 9007199254740992}',
        '{"cursor": {"epoch": 1, "seq": 1}}',
        '{"cursor": {"epoch": "e", "seq": -1}}',
        '{"cursor": {"epoch": "e"}}',
    ],
)
def test_a_second_line_that_is_malformed_counts_as_missing(line: str) -> None:
    read = parse_error(0x306, f"RESOURCE_EXHAUSTED: slower\n{line}")
    assert read is not None
    assert (read.text, read.retry_after_ms, read.cursor) == ("slower", 0, None)


def test_an_error_of_another_application_is_not_taken_for_ours() -> None:
    assert parse_error(0x201, "boom") is None


def test_the_shortcuts_make_the_error_they_are_named_after() -> None:
    for name in ("invalid_argument", "not_found", "conflict", "unavailable", "internal", "unimplemented"):
        assert getattr(errors, name)("text").code is Code[name.upper()]


def test_too_slow_names_the_cursor_to_resume_from() -> None:
    failure = errors.too_slow("read faster", epoch="e1", seq=7)
    assert failure.cursor == ("e1", 7)
    assert failure.mapping.retry is RetryHint.WITH_CURSOR
