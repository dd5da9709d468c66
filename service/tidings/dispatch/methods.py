"""One method in one pair of encodings, and the look-up of encodings by MIME type.

How a transport names a method (metadata, a path, a topic) is its own; it ends in a `MethodBinding`.
"""

from inspect import iscoroutinefunction
from typing import Any, Final

from tidings.contract.codecs import CODECS, Codec, codec_for
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, invalid_argument, unimplemented
from tidings.contract.methods import Method, MethodKind, MethodTable, Permission
from tidings.dispatch.read_scheduler import (
    CALL_COST_SECONDS,
    CHANNEL_COST_SECONDS,
    TASK_COST_SECONDS,
    WATCH_COST_SECONDS,
)
from tidings.metrics.registry import RouteCounters

SHOWN_CHARS_MAX: Final = 100  # of an unknown route or MIME type in an error
SUPPORTED_MIMES: Final = ", ".join(mime for codec in CODECS for mime in codec.mime_types)


def find_method(methods: MethodTable, route: str) -> Method:
    """The method of this route. Raises ApiError (UNIMPLEMENTED)."""
    method = methods.methods.get(route)
    if method is None:
        raise unimplemented(f"no such route: {route[:SHOWN_CHARS_MAX]!a}")
    return method


def codec_of(mime: str) -> Codec:
    """The codec of a data MIME type. Raises ApiError (INVALID_ARGUMENT)."""
    codec = codec_for(mime)
    if codec is None:
        raise invalid_argument(
            f"data in {mime[:SHOWN_CHARS_MAX]!a} is not understood; understood are {SUPPORTED_MIMES}"
        )
    return codec


def _deferred_seconds(method: Method) -> float:
    """Loop time that a request takes after it was started; the rest is measured."""
    if method.kind is not MethodKind.CALL:
        return WATCH_COST_SECONDS if method.kind is MethodKind.WATCH else CHANNEL_COST_SECONDS
    if not method.is_async:
        return 0.0
    return TASK_COST_SECONDS if iscoroutinefunction(method.handler) else CALL_COST_SECONDS


class MethodBinding:
    """One method in one pair of encodings.

    `deferred_seconds` is charged before the request is decoded, for what its handler does later. `is_plain_call`: a
    call that needs no operator and whose handler does not wait, so that `handle` is all there is to it.
    """

    __slots__ = (
        "_bytes_max",
        "_request_type",
        "_steps",
        "counters",
        "deferred_seconds",
        "is_plain_call",
        "method",
        "reply_codec",
    )

    def __init__(
        self, method: Method, request_codec: Codec, reply_codec: Codec, counters: RouteCounters, bytes_max: int
    ) -> None:
        self.method = method
        self.reply_codec = reply_codec
        self.counters = counters
        self.is_plain_call = (
            method.kind is MethodKind.CALL and not method.is_async and method.permission is not Permission.OPERATOR
        )
        self.deferred_seconds = _deferred_seconds(method)
        self._request_type = method.request
        self._steps = (request_codec.decode, method.handler, reply_codec.encode)
        self._bytes_max = bytes_max

    def decode_request(self, data: bytes) -> Any:
        """The request message. Raises ApiError (INVALID_ARGUMENT)."""
        if len(data) > self._bytes_max:
            raise self._too_large(data)
        decode, _, _ = self._steps
        return decode(self._request_type, data)

    def handle(self, data: bytes, context: CallContext) -> bytes:
        """The encoded reply of a handler that does not wait. Raises what the handler raises."""
        if len(data) > self._bytes_max:
            raise self._too_large(data)
        decode, handler, encode = self._steps
        return encode(handler(decode(self._request_type, data), context))

    def _too_large(self, data: bytes) -> ApiError:
        return invalid_argument(
            f"the request has {len(data)} bytes, at most {self._bytes_max} are read (request_bytes_max); send less"
        )
