"""Who broke the rule: the peer (`RemoteProtocolError`) or the program on this side (`LocalProtocolError`)."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """The codes that the protocol itself gives to ERROR frames; applications use 0x301 to 0x7FFFFFFF."""

    # Stream 0: before and around SETUP.
    INVALID_SETUP = 0x001
    UNSUPPORTED_SETUP = 0x002
    REJECTED_SETUP = 0x003
    REJECTED_RESUME = 0x004
    # Stream 0: the connection.
    CONNECTION_ERROR = 0x101  # closed at once
    CONNECTION_CLOSE = 0x102  # closed when the outstanding streams have ended
    # One stream.
    APPLICATION_ERROR = 0x201
    REJECTED = 0x202  # certainly not processed: safe to try again
    CANCELED = 0x203  # perhaps processed
    INVALID = 0x204


SETUP_CODES = frozenset((0x001, 0x002, 0x003, 0x004))

APPLICATION_CODE_MIN = 0x301
# The wire has room for 0xFFFFFFFE, but rsocket-js 0.0.x closes the connection above this and 1.0-alpha shows
# a negative number.
APPLICATION_CODE_MAX = 0x7FFFFFFF


def is_stream_error_code(code: int) -> bool:
    """Whether an ERROR frame on a stream may carry this code (stream-0 codes and reserved ones may not)."""
    return 0x201 <= code <= 0x204 or APPLICATION_CODE_MIN <= code <= APPLICATION_CODE_MAX


class RemoteProtocolError(Exception):
    """The peer broke the protocol; `code` is the code of the ERROR frame on stream 0."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.CONNECTION_ERROR) -> None:
        super().__init__(text)
        self.code = code


class MalformedFrameError(RemoteProtocolError):
    """The peer sent a frame of unknown type or wrong layout. It is skipped if it has the I flag."""


class LocalProtocolError(Exception):
    """The program called for something the protocol forbids; nothing was sent and no state changed."""


class InlineError(Exception):
    """Raised by an inline handler to reply with ERROR. `code` is one that may end a stream."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
