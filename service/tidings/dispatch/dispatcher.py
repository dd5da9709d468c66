"""The requests of one session: what each asks for, whether it may, and what is being done for it.

A call whose handler does not wait is answered at once. Everything else becomes a piece of work (`responders.py`,
`call_responders.py`), bounded in number, kept in `active` until it is over.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from tidings.contract.context import CallContext, Session
from tidings.contract.errors import ApiError, permission_denied, resource_exhausted, unauthenticated, unimplemented
from tidings.contract.methods import MethodKind, Permission
from tidings.dispatch.errors import to_api_error
from tidings.log import log
from tidings.protocols.rsocket import InlineError, Interaction, Stream
from tidings.protocols.rsocket.events import RequestReceived
from tidings.runtime import measured
from tidings.runtime.measured import MeasuredCoroutine
from tidings.server.read_scheduler import AUTHENTICATION_COST_SECONDS
from tidings.transports.rsocket.call_responders import CallResponder, FireAndForgetResponder
from tidings.transports.rsocket.method_resolver import MethodBinding, MethodResolver
from tidings.transports.rsocket.responders import AuthenticatingResponder, ChannelResponder, Responder, WatchResponder

if TYPE_CHECKING:
    from tidings.transports.rsocket.connection import RSocketServerConnection

INTERACTIONS: Final = {
    MethodKind.CALL: "REQUEST_RESPONSE or FIRE_AND_FORGET",
    MethodKind.WATCH: "REQUEST_STREAM",
    MethodKind.CHANNEL: "REQUEST_CHANNEL",
}
# What a request holds on its user's account (`contract.memory`) while it is served: the stream, the work and a task;
# and for each byte of it, what it becomes. Measured: 1.0 KiB for an open watch without its source; a text is held as
# frame, message, event and in the queue to the disk, an empty name of two bytes takes 16. (All weights are what
# tracemalloc says of a thousand of the kind, and a quarter more for what the allocator and growing tables take.)
STREAM_MEMORY_BYTES: Final = 1_280
MEMORY_BYTES_PER_REQUEST_BYTE: Final = 8
# Streams of a lost connection that end without a step: a person's connection has no more. 0.1 ms.
CANCELLED_AT_ONCE_MAX: Final = 16


class Dispatcher:
    """Where an accepted session's requests arrive."""

    __slots__ = (
        "_bindings",
        "_context",
        "_expiring",
        "_in_flight",
        "_memory",
        "_resolver",
        "_session",
        "_writable_waiter",
        "active",
        "budget",
        "connection",
        "is_closed",
    )

    def __init__(self, connection: "RSocketServerConnection", session: Session, resolver: MethodResolver) -> None:
        self.connection = connection
        self.active: dict[Stream, Responder] = {}
        self.is_closed = False  # by the peer; what is in `active` ends step by step
        self.budget = connection.transport.budget
        self._session = session
        self._memory = session.memory
        self._context = CallContext(session)
        self._resolver = resolver
        self._bindings = resolver.cache
        self._in_flight = 0
        self._writable_waiter: asyncio.Future[None] | None = None
        self._expiring: dict[Responder, int] = {}  # work on credentials of its own that run out, Unix ms

    def handle_inline(self, metadata: bytes | None, data: bytes) -> bytes | None:
        """The answer of a call that anybody may make and that does not wait; None: it is a `request`.

        What `serve` would do in the end, by the shortest way there is: nearly all calls come by here.
        """
        binding = self._bindings.get(metadata)
        if binding is None or not binding.is_inline:
            return None
        try:
            reply = binding.handle(data, self._context)
        except Exception as error:
            raise _inline_error(binding, error) from error
        binding.counters.ok += 1
        return reply

    def on_request(self, event: RequestReceived) -> None:
        """The peer asks for something."""
        stream, metadata, data, complete = event
        binding = self._bindings.get(metadata)
        if binding is None:
            self._resolve(stream, metadata, data, complete)
        else:
            self.dispatch(binding, stream, data, complete, self._context)

    def _resolve(self, stream: Stream, metadata: bytes | None, data: bytes, complete: bool) -> None:
        """Metadata that were not seen before, or must not be remembered."""
        try:
            binding, credentials = self._resolver.resolve(metadata)
            if credentials is not None:
                self.budget.used_seconds += AUTHENTICATION_COST_SECONDS
                responder = AuthenticatingResponder(self, binding, stream, self._context)
                self._register(responder, data)
                responder.start(credentials, data, complete)
                return
        except ApiError as failure:
            self._send_error(stream, failure)
        else:
            self.dispatch(binding, stream, data, complete, self._context)

    def dispatch(
        self, binding: MethodBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        """Do what the route says, as that caller."""
        method = binding.method
        self.budget.used_seconds += binding.deferred_seconds
        try:
            if method.permission is Permission.OPERATOR and not context.identity.operator:
                raise permission_denied(f"{method.route} is for operators; sign in as one")
            start = self.STARTERS.get((method.kind, stream.interaction))
            if start is None:
                raise unimplemented(
                    f"{method.route} is a {method.kind.value}: ask with {INTERACTIONS[method.kind]}, "
                    f"not {stream.interaction.name}"
                )
            start(self, binding, stream, data, complete, context)
        except Exception as error:
            self._on_start_error(binding, stream, error)

    def _on_start_error(self, binding: MethodBinding, stream: Stream, error: Exception) -> None:
        """A request could not be begun."""
        responder: Responder | None = stream.context
        if responder is not None:
            responder.fail(error)
        elif stream.interaction is Interaction.FIRE_AND_FORGET:
            self.on_unanswered_error(binding, error)
        else:
            failure = to_api_error(error, binding.method.route)
            binding.counters.errors[failure.code.name] += 1
            self._send_error(stream, failure)

    def _start_call(
        self, binding: MethodBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        if not binding.method.is_async:
            reply = binding.handle(data, context)
            binding.counters.ok += 1
            stream.next(reply, binding.response_metadata)
            return
        responder = CallResponder(self, binding, stream, context)
        self._register(responder, data)
        responder.start(data)

    def _start_fire_and_forget(
        self, binding: MethodBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        if not binding.method.is_async:
            binding.handle(data, context)
            binding.counters.ok += 1
            return
        responder = FireAndForgetResponder(self, binding, stream, context)
        self._register(responder, data)
        try:
            responder.start(data)
        except BaseException:
            self.release_memory(responder)
            raise

    def _start_watch(
        self, binding: MethodBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        responder = WatchResponder(self, binding, stream, context)
        self._register(responder, data)
        responder.start(data)

    def _start_channel(
        self, binding: MethodBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        responder = ChannelResponder(self, binding, stream, context)
        self._register(responder, data)
        responder.start(data, complete)

    STARTERS: ClassVar = {
        (MethodKind.CALL, Interaction.REQUEST_RESPONSE): _start_call,
        (MethodKind.CALL, Interaction.FIRE_AND_FORGET): _start_fire_and_forget,
        (MethodKind.WATCH, Interaction.REQUEST_STREAM): _start_watch,
        (MethodKind.CHANNEL, Interaction.REQUEST_CHANNEL): _start_channel,
    }

    def _register(self, responder: Responder, data: bytes) -> None:
        """Take work on; RESOURCE_EXHAUSTED when there is no room for it."""
        limit = self.connection.server.connection_limits.requests_in_flight_max
        if self._in_flight >= limit:
            raise resource_exhausted(
                f"{limit} requests of this connection are being served (requests_in_flight_max); wait for answers"
            )
        size = STREAM_MEMORY_BYTES + MEMORY_BYTES_PER_REQUEST_BYTE * len(data)
        self._memory.reserve_request(size)
        responder.memory_bytes = size
        stream = responder.stream
        if stream.interaction is Interaction.FIRE_AND_FORGET:
            return  # nobody can cancel it, and it outlives the connection
        self.active[stream] = responder
        stream.context = responder
        expires_at_ms = responder.context.identity.expires_at_ms
        if expires_at_ms and responder.context is not self._context:
            self._expiring[responder] = expires_at_ms
            self.connection.schedule_timeout()

    def track(self, pending: asyncio.Future[Any] | Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """An answer that counts against the connection's limit until it `release_slot`, or was given up."""
        self._in_flight += 1
        self._memory.active_requests += 1
        if isinstance(pending, asyncio.Future):
            return pending
        service = self.connection.server
        return service.start_task(MeasuredCoroutine(pending, service.clock, self._charge))

    def _charge(self, seconds: float) -> None:
        """A task of ours took so long."""
        self.connection.server.read_scheduler.charge(self.budget, seconds)

    def release_slot(self) -> None:
        """It counts no longer."""
        self._in_flight -= 1
        self._memory.active_requests -= 1

    def start_eagerly(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run it at once; where it waits, the rest is a task like those of `start`."""
        rest = measured.start_measured(coroutine, self.connection.server.clock, self._charge)
        return None if rest is None else self._track_task(self.connection.server.start_task(rest))

    def start_task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that counts against the connection's limit until it has ended."""
        service = self.connection.server
        return self._track_task(service.start_task(MeasuredCoroutine(coroutine, service.clock, self._charge)))

    def _track_task(self, task: asyncio.Task[None]) -> asyncio.Task[None]:
        self._in_flight += 1
        self._memory.active_requests += 1
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, _task: Any) -> None:
        self.release_slot()

    def on_stream_opened(self, responder: Responder) -> None:
        """A watch or a channel is open: its request is held no longer, its stream is."""
        if responder.memory_bytes > STREAM_MEMORY_BYTES:
            self._memory.release(responder.memory_bytes - STREAM_MEMORY_BYTES)
            responder.memory_bytes = STREAM_MEMORY_BYTES

    def hold_memory(self, responder: Responder, size: int) -> None:
        """Hold so many bytes more for it until it is released. RESOURCE_EXHAUSTED where there is no room for them."""
        self._memory.reserve(size)
        responder.memory_bytes += size

    def release_memory(self, responder: Responder) -> None:
        """Nothing is held for it any more. Idempotent."""
        size, responder.memory_bytes = responder.memory_bytes, 0
        self._memory.release(size)

    def on_unanswered_error(self, binding: MethodBinding, error: BaseException) -> None:
        """A FIRE_AND_FORGET failed. Nobody is told, so it is written down."""
        failure = to_api_error(error, binding.method.route)
        binding.counters.errors[failure.code.name] += 1
        log.info(
            "a fire-and-forget request failed",
            session=self.connection.id,
            route=binding.method.route,
            code=failure.code.name,
        )

    def _send_error(self, stream: Stream, failure: ApiError) -> None:
        if not stream.closed:
            stream.fail(failure.mapping.rsocket, failure.rsocket_text)

    # --- all of them at once ------------------------------------------------------------------------------------

    def on_writable(self) -> None:
        """The socket takes bytes again: whoever has something to send may."""
        waiter, self._writable_waiter = self._writable_waiter, None
        if waiter is not None:
            waiter.set_result(None)
        for responder in list(self.active.values()):
            responder.on_demand()

    def wait_until_writable(self) -> Awaitable[None]:
        """To be awaited until the socket takes bytes again, or the peer is gone."""
        if self._writable_waiter is None:
            self._writable_waiter = self.connection.server.loop.create_future()
        return asyncio.shield(self._writable_waiter)

    def drain(self) -> None:
        """The service is stopping: what would never end by itself ends now."""
        for responder in list(self.active.values()):
            responder.on_drain()

    def close(self) -> None:
        """The peer is gone: nothing can be sent on its streams. What is done for them ends in later steps."""
        waiter, self._writable_waiter = self._writable_waiter, None
        if waiter is not None:
            waiter.set_result(None)
        self.is_closed = True
        reading, budget = self.connection.server.read_scheduler, self.budget
        for number, responder in enumerate(list(self.active.values())):
            if number < CANCELLED_AT_ONCE_MAX:
                responder.on_cancel()
            else:
                reading.defer(budget, responder.on_cancel)

    def remove(self, responder: Responder) -> None:
        """It is over."""
        self.active.pop(responder.stream, None)
        self.release_memory(responder)
        self._expiring.pop(responder, None)

    def next_expiry_ms(self) -> int | None:
        """When the first token runs out, the connection's own or that of a single request, Unix ms."""
        expires_at_ms = min(self._expiring.values(), default=None)
        session_expires_at_ms = self._session.identity.expires_at_ms
        if not session_expires_at_ms:
            return expires_at_ms
        return session_expires_at_ms if expires_at_ms is None else min(session_expires_at_ms, expires_at_ms)

    def fail_expired(self, now_ms: float) -> None:
        """Whose token ran out at `latest_ms` or before is sent nothing more, from a later step on."""
        for responder, expires_at_ms in list(self._expiring.items()):
            if expires_at_ms <= now_ms:
                del self._expiring[responder]
                failure = unauthenticated("the token of this request ran out; ask again with a new one")
                self.connection.server.read_scheduler.defer(self.budget, partial(responder.fail, failure))
        if 0 < self._session.identity.expires_at_ms <= now_ms:
            self.connection.close(unauthenticated("your token ran out; connect with a new one, and refresh it in time"))


def _inline_error(binding: MethodBinding, error: Exception) -> InlineError:
    """How the engine tells the peer of this error; counted.

    Not in `handle_inline`, whose frame the traceback of `error` refers to: a variable there that refers to `error`
    would be a cycle, which holds the request until the collector looks.
    """
    failure = to_api_error(error, binding.method.route)
    binding.counters.errors[failure.code.name] += 1
    return InlineError(failure.mapping.rsocket, failure.rsocket_text)
