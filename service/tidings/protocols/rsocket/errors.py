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
    CONNECTION_ERROR = 0x101  # over at once
    CONNECTION_CLOSE = 0x102  # over as soon as the outstanding streams are
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
    """The peer broke the protocol; `code` is what an ERROR frame on stream 0 says about it."""

    def __init__(self, text: str, code: ErrorCode = ErrorCode.CONNECTION_ERROR) -> None:
        super().__init__(text)
        self.code = code


class MalformedFrameError(RemoteProtocolError):
    """The peer sent a frame that cannot be understood: unknown, cut short. If it has the I flag it is skipped."""


class LocalProtocolError(Exception):
    """This side asked for something the protocol forbids; nothing was sent and nothing has changed."""


class InlineError(Exception):
    """The program answers a request with ERROR, at once. `code` is one that may end a stream."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
