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
from tidings.contract.table import FILES, route_of
from tidings_client.errors import CALL_AGAIN, Failure, Lost, Refused, again, retry_seconds
from tidings_client.keeper import Keeper
from tidings_client.reconnect import Attempts

M = TypeVar("M", bound=Message)
Request = TypeVar("Request", bound=Message)

CALLS_MAX: Final = 256  # with 64 KiB each this is 16 MiB on their way; the rest waits its turn here
CALL_SECONDS: Final = 30.0  # a restart of the service fits in it


def _idempotent_routes() -> frozenset[str]:
    return frozenset(
        route_of(service, method)
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    )


IDEMPOTENT: Final = _idempotent_routes()


def new_client_id() -> str:
    """A key that nobody else makes."""
    return uuid.uuid4().hex


def with_client_id(request: Request) -> Request:
    """The request with a key of its own, if it has a place for one and brings none."""
    asked: Any = request
    if "client_id" not in request.DESCRIPTOR.fields_by_name or asked.client_id:
        return request
    keyed: Any = type(request)()
    keyed.CopyFrom(request)
    keyed.client_id = new_client_id()
    return cast(Request, keyed)


class Calls:
    """All calls of one client, at most `calls_max` under way at once; they are sent in the order they were made."""

    def __init__(self, keeper: Keeper, *, calls_max: int) -> None:
        self._keeper = keeper
        self._slots = asyncio.Semaphore(calls_max)

    async def call(self, route: str, request: Message, reply_type: type[M], seconds: float | None) -> M:
        """The reply. Raises Failure; UNAVAILABLE when there was none in time."""
        codec = self._keeper.settings.codec
        data = codec.encode(with_client_id(request))
        answer = await self._until_answered(route, data, seconds)
        reply: M = codec.decode_answer(reply_type, answer)
        return reply

    async def _until_answered(self, route: str, data: bytes, seconds: float | None) -> bytes:
        said = ""  # by the service, of the last attempt that it put off
        attempts = Attempts(self._keeper.settings.jitter)
        try:
            async with asyncio.timeout(seconds):
                while True:
                    async with self._slots:
                        # What it raises is final: there will be no link.
                        link = await self._keeper.linked()
                        try:
                            return await link.call(route, data)
                        except Lost as lost:
                            # The next connection comes after a pause of its own.
                            if route not in IDEMPOTENT:
                                text = f"{route} may or may not have been carried out: {lost.text}"
                                raise unavailable(text) from None
                            pause_seconds = 0.0
                        except Refused:
                            pause_seconds = attempts.next_seconds()
                        except Failure as failure:
                            if not again(failure, CALL_AGAIN):
                                raise
                            said = failure.wire
                            pause_seconds = attempts.next_seconds(retry_seconds(failure) or 0.0)
                    await asyncio.sleep(pause_seconds)
        except TimeoutError:
            raise unavailable(self._no_answer(route, seconds, said)) from None

    def _no_answer(self, route: str, seconds: float | None, said: str) -> str:
        trouble = self._keeper.trouble
        why = trouble.text if trouble is not None and self._keeper.link is None else said
        return f"no answer to {route} within {seconds:g} s{'; ' if why else ''}{why}"
