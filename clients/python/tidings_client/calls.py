"""Calls: asked until they are answered.

A call whose connection breaks before the answer is sent again on the next connection. That is safe because the routes
are idempotent: reads change nothing, writes carry a `client_id` made here if the caller made none. A route that
is not known to be idempotent is sent once.
"""

import asyncio
import uuid
from typing import Any, Final, TypeVar, cast

from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message

from tidings.contract.errors import unavailable
from tidings.contract.methods import PROTO_FILES, route_name
from tidings_client.backoff import Backoff
from tidings_client.errors import (
    CALL_RETRY_CODES,
    ApiError,
    ConnectionLostError,
    RequestRejectedError,
    retry_after_seconds,
    should_retry,
)
from tidings_client.reconnector import Reconnector

ReplyT = TypeVar("ReplyT", bound=Message)
RequestT = TypeVar("RequestT", bound=Message)

CALLS_MAX: Final = 256  # with 64 KiB each this is 16 MiB on their way; the rest waits its turn here
CALL_SECONDS: Final = 30.0  # a restart of the service fits in it


def _idempotent_routes() -> frozenset[str]:
    return frozenset(
        route_name(service, method)
        for file in PROTO_FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    )


IDEMPOTENT_ROUTES: Final = _idempotent_routes()


def new_client_id() -> str:
    """A key that nobody else makes."""
    return uuid.uuid4().hex


def with_client_id(request: RequestT) -> RequestT:
    """The request with a key of its own, if it has a place for one and brings none."""
    fields: Any = request
    if "client_id" not in request.DESCRIPTOR.fields_by_name or fields.client_id:
        return request
    copy: Any = type(request)()
    copy.CopyFrom(request)
    copy.client_id = new_client_id()
    return cast(RequestT, copy)


class CallRunner:
    """All calls of one client, at most `calls_max` under way at once; they are sent in the order they were made."""

    def __init__(self, reconnector: Reconnector, *, calls_max: int) -> None:
        self._reconnector = reconnector
        self._slots = asyncio.Semaphore(calls_max)

    async def call(self, route: str, request: Message, reply_type: type[ReplyT], seconds: float | None) -> ReplyT:
        """The reply. Raises Failure; UNAVAILABLE when there was none in time."""
        codec = self._reconnector.settings.codec
        data = codec.encode(with_client_id(request))
        reply_data = await self._call_with_retries(route, data, seconds)
        reply: ReplyT = codec.decode_reply(reply_type, reply_data)
        return reply

    async def _call_with_retries(self, route: str, data: bytes, seconds: float | None) -> bytes:
        last_error_text = ""  # by the service, of the last attempt that it put off
        backoff = Backoff(self._reconnector.settings.backoff)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    async with self._slots:
                        # What it raises is final: there will be no link.
                        connection = await self._reconnector.wait_connected()
                        try:
                            return await connection.request_response(route, data)
                        except ConnectionLostError as lost_error:
                            # The next connection comes after a pause of its own.
                            if route not in IDEMPOTENT_ROUTES:
                                text = f"{route} may or may not have been carried out: {lost_error.text}"
                                raise unavailable(text) from None
                            pause_seconds = 0.0
                        except RequestRejectedError:
                            pause_seconds = backoff.next_delay_seconds()
                        except ApiError as failure:
                            if not should_retry(failure, CALL_RETRY_CODES):
                                raise
                            last_error_text = failure.rsocket_text
                            pause_seconds = backoff.next_delay_seconds(retry_after_seconds(failure) or 0.0)
                    await asyncio.sleep(pause_seconds)
        except TimeoutError:
            raise unavailable(self._timeout_text(route, seconds, last_error_text)) from None

    def _timeout_text(self, route: str, seconds: float | None, last_error_text: str) -> str:
        last_error = self._reconnector.last_error
        reason = last_error.text if last_error is not None and self._reconnector.connection is None else last_error_text
        return f"no answer to {route} within {seconds:g} s{'; ' if reason else ''}{reason}"
