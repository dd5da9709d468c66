"""The table of errors, with a column per transport.

Rejected and failed requests raise `ApiError`; a transport looks up its column and has no codes of its own. The text is
for people and says what to do; it never contains a stack trace.
"""

import json
from dataclasses import dataclass
from enum import Enum, IntEnum

from tidings.contract.gen.tidings.v1 import errors_pb2

SAFE_INTEGER_MAX = 2**53 - 1  # of JavaScript


class RetryHint(Enum):
    """Whether the same request may succeed later."""

    NO = "no"
    AFTER_REFRESH = "after refresh"
    AFTER_DELAY = "after delay"
    WITH_NEW_CURSOR = "with a new cursor"
    WITH_CURSOR = "with the cursor"
    YES = "yes"


class Code(IntEnum):
    """The codes of `errors.proto`; the number is the RSocket application error code."""

    INVALID_ARGUMENT = 0x301
    UNAUTHENTICATED = 0x302
    PERMISSION_DENIED = 0x303
    NOT_FOUND = 0x304
    CONFLICT = 0x305
    RESOURCE_EXHAUSTED = 0x306
    CURSOR_LOST = 0x307
    UNAVAILABLE = 0x308
    INTERNAL = 0x309
    TOO_SLOW = 0x30A
    UNIMPLEMENTED = 0x30B


@dataclass(frozen=True, slots=True)
class ErrorMapping:
    """The code of one error in each transport."""

    code: Code
    retry: RetryHint
    http: int
    # Numbers of grpc.StatusCode.
    grpc: int
    # MQTT 5 reason codes.
    mqtt: int

    @property
    def rsocket(self) -> int:
        """The code of the ERROR frame on the stream."""
        return int(self.code)


ERROR_MAPPINGS: dict[Code, ErrorMapping] = {
    row.code: row
    for row in (
        ErrorMapping(Code.INVALID_ARGUMENT, RetryHint.NO, 400, 3, 0x83),
        ErrorMapping(Code.UNAUTHENTICATED, RetryHint.AFTER_REFRESH, 401, 16, 0x87),
        ErrorMapping(Code.PERMISSION_DENIED, RetryHint.NO, 403, 7, 0x87),
        ErrorMapping(Code.NOT_FOUND, RetryHint.NO, 404, 5, 0x90),
        ErrorMapping(Code.CONFLICT, RetryHint.NO, 409, 6, 0x83),
        ErrorMapping(Code.RESOURCE_EXHAUSTED, RetryHint.AFTER_DELAY, 429, 8, 0x97),
        ErrorMapping(Code.CURSOR_LOST, RetryHint.WITH_NEW_CURSOR, 410, 11, 0x83),
        ErrorMapping(Code.UNAVAILABLE, RetryHint.YES, 503, 14, 0x88),
        ErrorMapping(Code.INTERNAL, RetryHint.YES, 500, 13, 0x80),
        ErrorMapping(Code.TOO_SLOW, RetryHint.WITH_CURSOR, 429, 10, 0x96),
        ErrorMapping(Code.UNIMPLEMENTED, RetryHint.NO, 501, 12, 0x83),
    )
}

assert {code.name: int(code) for code in Code} == {
    name: number for name, number in errors_pb2.Code.items() if number
}, "errors.proto and Code have different errors"


class ApiError(Exception):
    """A request was rejected or failed.

    `text` is one sentence that says what to do. `retry_after_ms` is a hint, 0 = unknown. `cursor` is the
    (epoch, seq) to resume from, for TOO_SLOW.
    """

    def __init__(
        self, code: Code, text: str, *, retry_after_ms: int = 0, cursor: tuple[str, int] | None = None
    ) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
        self.retry_after_ms = retry_after_ms
        self.cursor = cursor

    @property
    def mapping(self) -> ErrorMapping:
        """The row of the table."""
        return ERROR_MAPPINGS[self.code]

    @property
    def rsocket_text(self) -> str:
        """`NAME: sentence`, for people and for clients that read no further line."""
        return f"{self.code.name}: {self.text}"

    @property
    def rsocket_data(self) -> str:
        """The data of an RSocket ERROR frame: `rsocket_text`, and a line of JSON with what programs need besides.

        No second line where there is neither `retry_after_ms` nor `cursor`.
        """
        fields: dict[str, object] = {}
        if self.retry_after_ms:
            fields["retryAfterMs"] = self.retry_after_ms
        if self.cursor is not None:
            fields["cursor"] = {"epoch": self.cursor[0], "seq": self.cursor[1]}
        return f"{self.rsocket_text}\n{json.dumps(fields)}" if fields else self.rsocket_text


def invalid_argument(text: str) -> ApiError:
    """The request breaks a rule; repeating it changes nothing."""
    return ApiError(Code.INVALID_ARGUMENT, text)


def unauthenticated(text: str) -> ApiError:
    """The caller is not signed in, or the token has expired."""
    return ApiError(Code.UNAUTHENTICATED, text)


def permission_denied(text: str) -> ApiError:
    """The caller is signed in and lacks the permission."""
    return ApiError(Code.PERMISSION_DENIED, text)


def not_found(text: str) -> ApiError:
    """It does not exist, or the caller may not know of it."""
    return ApiError(Code.NOT_FOUND, text)


def conflict(text: str) -> ApiError:
    """It exists already with different content."""
    return ApiError(Code.CONFLICT, text)


def resource_exhausted(text: str, *, retry_after_ms: int = 0) -> ApiError:
    """A limit was reached; the text names it."""
    return ApiError(Code.RESOURCE_EXHAUSTED, text, retry_after_ms=retry_after_ms)


def cursor_lost(text: str) -> ApiError:
    """The cursor is not a position in this log."""
    return ApiError(Code.CURSOR_LOST, text)


def unavailable(text: str, *, retry_after_ms: int = 0) -> ApiError:
    """Storage is down or the service is stopping."""
    return ApiError(Code.UNAVAILABLE, text, retry_after_ms=retry_after_ms)


def internal(text: str) -> ApiError:
    """An error of the service; the text has a correlation id and no details."""
    return ApiError(Code.INTERNAL, text)


def too_slow(text: str, *, epoch: str, seq: int) -> ApiError:
    """The reader made no progress; it may resume after (epoch, seq)."""
    return ApiError(Code.TOO_SLOW, text, cursor=(epoch, seq))


def unimplemented(text: str) -> ApiError:
    """There is no such route, or it was requested with the wrong interaction."""
    return ApiError(Code.UNIMPLEMENTED, text)


def parse_error(code: int, data: str) -> ApiError | None:
    """The error in the data of an ERROR frame (`ApiError.rsocket_data`), or None if the contract has no such code.

    A second line that is malformed, cut off, or has other fields counts as if it were missing.
    """
    try:
        known_code = Code(code)
    except ValueError:
        return None
    text, _, line = data.partition("\n")
    retry_after_ms, cursor = _parse_fields(line)
    name = f"{known_code.name}: "
    return ApiError(known_code, text.removeprefix(name), retry_after_ms=retry_after_ms, cursor=cursor)


def _parse_fields(line: str) -> tuple[int, tuple[str, int] | None]:
    """`retry_after_ms` and `cursor` of the second line; 0 and None where they are missing or no such values."""
    try:
        fields = json.loads(line) if line else {}
    except (ValueError, RecursionError):
        return 0, None
    if not isinstance(fields, dict):
        return 0, None
    retry_after_ms, cursor = fields.get("retryAfterMs"), fields.get("cursor")
    if not isinstance(cursor, dict) or not isinstance(cursor.get("epoch"), str) or not _is_count(cursor.get("seq")):
        cursor = None
    return (
        retry_after_ms if isinstance(retry_after_ms, int) and _is_count(retry_after_ms) else 0,
        None if cursor is None else (cursor["epoch"], cursor["seq"]),
    )


def _is_count(value: object) -> bool:
    """Whether it is an integer of at least 0 that every client can represent."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SAFE_INTEGER_MAX
