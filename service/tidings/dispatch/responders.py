"""One request that is being served: a call whose result comes later, a watch, a channel.

The rule that a maintainer must not break: a responder is done exactly once. `is_done` is set first, all at once; then
the task is cancelled, the subscription closed, the peer told. What comes afterwards (a handler that was faster than its
cancellation, a payload that crossed) finds `is_done` and does nothing.

*Transports.* What a transport implements is `ReplyStream`. Its class combines a kind of request with its stream:

    class RSocketReplyStream(Responder): __slots__ = ("stream", …)          # implements ReplyStream
    class RSocketWatch(WatchResponder, RSocketReplyStream): __slots__ = ()

So the hub calls `deliver` of the transport directly: no further object and no further call per reader. Python allows
this layout only while the classes between have no slots: all state of this file is in the slots of `Responder`. The
kinds come first among the bases, and never define what `ReplyStream` declares, or else call `super()`.

A watch and a channel are also the sinks of their subscriptions. A sink has no task and no queue.
"""

import abc
import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext, Credentials, Identity
from tidings.contract.errors import ApiError, unavailable
from tidings.dispatch.errors import to_api_error
from tidings.dispatch.methods import MethodBinding
from tidings.dispatch.read_scheduler import COMMAND_COST_SECONDS, STEP_COST_SECONDS
from tidings.hub import Batch, Subscription

if TYPE_CHECKING:
    from tidings.dispatch.client_session import ClientSession


class ChannelHandler(Protocol):
    """What the handler of a channel returns."""

    def receive(self, message: Any, /) -> None: ...
    def complete(self) -> None: ...
    def command_capacity(self) -> int: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class ReplyStream(abc.ABC):
    """What a transport implements, once per request. Nothing here waits; all is called on the event loop."""

    __slots__ = ()

    @abc.abstractmethod
    def demand(self) -> int:
        """Items that the peer takes now; 0 while its socket is full; PAUSED while its user's turn is over."""

    @abc.abstractmethod
    def deliver(self, batch: Batch[PreparedMessage[Any]], /) -> bool:
        """Send all items of the batch. False: it is more than `demand()`, and nothing was sent."""

    @abc.abstractmethod
    def _open(self) -> None:
        """Items will follow: called once, before the first `demand`."""

    @abc.abstractmethod
    def _reply(self, data: bytes) -> None:
        """Send the only reply of a call, and end the stream."""

    @abc.abstractmethod
    def _complete(self) -> None:
        """End the stream without an error."""

    @abc.abstractmethod
    def _fail(self, error: ApiError) -> None:
        """End the stream with this error, in the transport's own column of `error.mapping`."""

    @abc.abstractmethod
    def _request(self, capacity: int) -> None:
        """Let the peer of a channel have `capacity` commands in flight."""

    @abc.abstractmethod
    def _detach(self) -> None:
        """The responder is done: what the peer still sends on the stream is not for it."""


class Responder(ReplyStream):
    """One request, its stream included. `SHUTDOWN_TEXT`: the error text when the service stops under it."""

    SHUTDOWN_TEXT: ClassVar = "the service is stopping; ask again"

    # `source`: what was made for the request: a subscription, a channel's handler, a reply that is being encoded.
    __slots__ = ("binding", "client_session", "context", "is_done", "memory_bytes", "source", "task")

    def __init__(self, client_session: "ClientSession", binding: MethodBinding, context: CallContext) -> None:
        self.client_session = client_session
        self.binding = binding
        self.context = context
        self.is_done = False
        self.memory_bytes = 0  # on the user's account, written by the session
        self.source: Any = None
        self.task: asyncio.Future[Any] | None = None

    @abc.abstractmethod
    def start(self, data: bytes, last: bool) -> None:
        """Decode the request and call the handler. Raises what either raises; the session calls `fail` then."""

    async def _run_task(self, make_awaitable: Callable[[], Awaitable[Any]]) -> None:
        """Await the handler; `on_result` gets its result."""
        try:
            result = await make_awaitable()
        except asyncio.CancelledError:
            self.task = None
            self.on_interrupted()
            raise
        except Exception as error:
            self.task = None
            self.fail(error)
            return
        self.task = None
        self.on_result(result)

    def on_result(self, result: Any) -> None:
        """The handler's result; the responder may be done by now."""

    def on_interrupted(self) -> None:
        """End it because the service stops."""
        self.fail(unavailable(self.SHUTDOWN_TEXT))

    def finish(self) -> None:
        """Stop without sending anything: the stream has ended, or the caller ends it. Idempotent."""
        if self.is_done:
            return
        self.is_done = True
        self.client_session.remove(self)
        self._detach()
        task, self.task = self.task, None  # one that never began would refer to this, and this to it
        if task is not None:
            task.cancel()
        self.release_resources()

    def release_resources(self) -> None:
        """Release `source`."""

    def fail(self, error: BaseException, /) -> None:
        """End it with an error that is sent to the peer."""
        if self.is_done:
            return
        failure = to_api_error(error, self.binding.method.route)
        self.binding.counters.errors[failure.code.name] += 1
        self._fail(failure)
        self.finish()

    # What the read scheduler calls, or is told.

    def run_slice(self) -> bool:
        """It is the turn of this responder's user. True: the work follows in a later callback."""
        return False

    def abort(self) -> None:
        """`run_slice` raised."""
        self.client_session.peer.abort()

    def charge_step(self, seconds: float) -> None:
        """Encoding items for this reader alone took so long."""
        session = self.client_session
        budget = session.budget
        if budget.granted_to is self:
            budget.granted_to = None  # it was for one step
        session.read_scheduler.charge(budget, seconds + STEP_COST_SECONDS)

    # What the transport calls when its peer does something; most kinds ignore most of it.

    def on_cancel(self) -> None:
        """The peer has cancelled the request, or is gone."""
        if not self.is_done:
            self.binding.counters.errors["cancelled"] += 1
            self.finish()

    def on_demand(self) -> None:
        """The peer takes more items."""

    def on_message(self, data: bytes, last: bool) -> None:
        """The peer sent a command on a channel."""

    def on_half_close(self) -> None:
        """The peer sends no more commands."""

    def on_drain(self) -> None:
        """The service is stopping: end what would never end by itself."""


class StreamResponder(Responder):
    """What sends items: the sink of a watch or a channel."""

    SHUTDOWN_TEXT: ClassVar = "the service is stopping; connect again and go on from your cursor"

    __slots__ = ()

    def run_slice(self) -> bool:
        """The scheduler: it is our turn. The subscription sends in a callback of its own."""
        if self.is_done:
            return False
        self.client_session.budget.granted_to = self
        self.on_demand()
        return True

    def complete(self) -> None:
        """Nothing more comes, and nothing went wrong."""
        if self.is_done:
            return
        self.binding.counters.ok += 1
        self._complete()
        self.finish()

    def finish(self) -> None:
        super().finish()
        self.client_session.read_scheduler.cancel_wait(self.client_session.budget, self)

    def release_resources(self) -> None:
        source, self.source = self.source, None
        if source is not None:
            self.client_session.read_scheduler.defer(self.client_session.budget, source.close)

    def on_drain(self) -> None:
        self.on_interrupted()


class WatchResponder(StreamResponder):
    """A watch. It has a task only while its handler waits."""

    __slots__ = ()

    def start(self, data: bytes, last: bool) -> None:
        """Decode, and ask the handler for a subscription, when it is the user's turn."""
        session = self.client_session
        session.register(self, data)
        self._open()
        session.read_scheduler.defer(session.budget, partial(self._start, data))

    def _start(self, data: bytes) -> None:
        if self.is_done or self.client_session.is_closed:
            return
        try:
            request = self.binding.decode_request(data)
        except Exception as error:
            self.fail(error)
        else:
            self.task = self.client_session.start_eagerly(
                self._run_task(partial(self.binding.method.handler, request, self.context, self))
            )

    def on_result(self, result: Subscription) -> None:
        if self.is_done:
            self.client_session.read_scheduler.defer(self.client_session.budget, result.close)
            return
        self.source = result
        self.client_session.on_stream_opened(self)
        result.wake()  # the peer's demand may have come before the subscription

    def on_demand(self) -> None:
        if self.source is not None:
            self.source.wake()


class ChannelResponder(StreamResponder):
    """A channel: items out like a watch, and commands in, as many as its handler has capacity for."""

    __slots__ = ()

    def start(self, data: bytes, last: bool) -> None:
        """Open the channel; the first payload is a command already."""
        self.client_session.register(self, data)
        self._open()
        self.source = self.binding.method.handler(self.context, self)
        self.client_session.on_stream_opened(self)
        self.on_message(data, last)

    def on_message(self, data: bytes, last: bool) -> None:
        self.client_session.budget.used_seconds += COMMAND_COST_SECONDS
        self._call_handler(lambda handler: handler.receive(self.binding.decode_request(data)))
        if last:
            self.on_half_close()

    def on_half_close(self) -> None:
        self._call_handler(lambda handler: handler.complete())

    def _call_handler(self, action: Callable[[ChannelHandler], None]) -> None:
        if self.source is None:
            return
        try:
            action(self.source)
        except Exception as error:
            self.fail(error)
        else:
            self._grant_credit()

    def deliver(self, batch: Batch[PreparedMessage[Any]], /) -> bool:
        was_taken = super().deliver(batch)  # type: ignore[safe-super]  # the transport's, which follows in the MRO
        self._grant_credit()  # a reply that was taken makes room for a command
        return was_taken

    def _grant_credit(self) -> None:
        handler: ChannelHandler | None = self.source
        if handler is not None:
            capacity = handler.command_capacity()
            if capacity > 0:
                self._request(capacity)

    def on_demand(self) -> None:
        if self.source is not None:
            self.source.wake()
            self._grant_credit()


class _AuthenticatedRequest:
    """A request that waits for its credentials to be checked."""

    __slots__ = ("data", "last", "queued_messages")

    def __init__(self, data: bytes, last: bool) -> None:
        self.data = data
        self.last = last
        # What a channel's peer sends meanwhile; at most the credit that goes out by itself. None: it sends no more.
        self.queued_messages: list[tuple[bytes | None, bool]] = []


class AuthenticatingResponder(Responder):
    """A request with credentials of its own, until they have been checked."""

    __slots__ = ()

    def start(self, data: bytes, last: bool) -> None:
        raise NotImplementedError  # `authenticate` is its beginning, `start_request` its end

    @abc.abstractmethod
    def start_request(self, context: CallContext, data: bytes, last: bool) -> Responder | None:
        """Start the request as this caller; None: it is done already."""

    def authenticate(self, credentials: Credentials, data: bytes, last: bool) -> None:
        """Check the credentials, then start the request as that user. Raises ApiError (RESOURCE_EXHAUSTED)."""
        session = self.client_session
        session.register(self, data)
        self.source = _AuthenticatedRequest(data, last)
        self.task = session.start_task(
            self._run_task(partial(session.dispatcher.authenticator.authenticate, credentials))
        )

    def on_result(self, result: Identity) -> None:
        if self.is_done:
            return
        session = self.client_session
        if session.is_closed:
            self.on_cancel()  # the deferred step that cancels this has not come yet
            return
        request: _AuthenticatedRequest = self.source
        self.finish()
        responder = self.start_request(CallContext(session.session, result), request.data, request.last)
        for message, is_last in request.queued_messages:
            if responder is None or responder.is_done:
                break
            if message is None:
                responder.on_half_close()
            else:
                responder.on_message(message, is_last)

    def on_drain(self) -> None:
        self.on_interrupted()

    def on_message(self, data: bytes, last: bool) -> None:
        self.source.queued_messages.append((data, last))

    def on_half_close(self) -> None:
        self.source.queued_messages.append((None, True))
