"""What is being done for the streams of a session: a call that waits, a watch, a channel.

One rule holds them together: a piece of work is over exactly once. `is_done` is set first, all at once; then the
task is cancelled, the source closed, the stream told. Whatever comes afterwards (a handler that was faster than
its cancellation, a payload that crossed) finds `is_done` and does nothing; an item of the hub finds a stream that
ended.

A watch and a channel are also the sinks of what they asked for. A sink has no task and no queue: it says how many
items its stream takes now, and turns a batch into frames. Frames of one item differ only in the stream id, and most
clients use the same few ids; so the bytes are left in the batch for the next reader with the same id and codec. Where
readers take compressed messages, an item is compressed once for all of them, whatever their ids (`deflate`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from tidings.contract.codecs import Codec, PreparedMessage
from tidings.contract.context import CallContext, Credentials, Identity
from tidings.contract.errors import unavailable
from tidings.dispatch.errors import to_api_error
from tidings.hub import PAUSED, Batch, Subscription
from tidings.protocols.rsocket import Stream, multi_payload_frames, no_transport_header, payload_frames
from tidings.server.read_scheduler import COMMAND_COST_SECONDS, STEP_COST_SECONDS, ReadBudget
from tidings.transports.rsocket.method_resolver import MethodBinding
from tidings.transports.websocket.deflate import Deflater
from tidings.transports.websocket.frames import compressed_message

if TYPE_CHECKING:
    from tidings.dispatch.dispatcher import Dispatcher

# Readers of one batch with different stream ids, beyond which the bytes are made anew instead of kept.
SHARED_CHUNKS_MAX: Final = 64
# Bytes kept so with one batch, at most: a user may watch one room on many streams, each with an id of its own.
SHARED_BYTES_MAX: Final = 1_048_576
SHARED_KEYS_MAX: Final = 1_024  # remembered; beyond it, equal keys are several objects, and that is all


class ChannelHandler(Protocol):
    """What the handler of a channel gives to its peer."""

    def receive(self, message: Any, /) -> None: ...
    def complete(self) -> None: ...
    def command_capacity(self) -> int: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Responder:
    """One stream that is served and not over yet. `SHUTDOWN_TEXT` is what its peer hears when the service stops
    under it."""

    SHUTDOWN_TEXT: ClassVar = "the service is stopping; ask again"

    __slots__ = ("binding", "connection", "context", "dispatcher", "is_done", "memory_bytes", "stream", "task")

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        self.dispatcher = dispatcher
        self.connection = dispatcher.connection
        self.binding = binding
        self.stream = stream
        self.context = context
        self.is_done = False
        self.memory_bytes = 0  # on the user's account, written by the dispatcher
        self.task: asyncio.Future[Any] | None = None

    def start_task(self, make_awaitable: Callable[[], Awaitable[Any]]) -> None:
        """Ask in a task; `on_result` gets the answer. The session counts the task until it has ended."""
        self.task = self.dispatcher.start_task(self._run_task(make_awaitable))

    async def _run_task(self, make_awaitable: Callable[[], Awaitable[Any]]) -> None:
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
        """What was asked for; the work may be over by now."""

    def on_interrupted(self) -> None:
        """End it because the service stops."""
        self.fail(unavailable(self.SHUTDOWN_TEXT))

    def finish(self) -> None:
        """Stop, and tell nobody: the stream is over already, or somebody else tells. Idempotent."""
        if self.is_done:
            return
        self.is_done = True
        self.dispatcher.remove(self)
        self.stream.context = None
        task, self.task = self.task, None  # one that never began would refer to this, and this to it
        if task is not None:
            task.cancel()
        self.release_resources()

    def release_resources(self) -> None:
        """Let go of what was asked on behalf of the stream."""

    def fail(self, error: BaseException, /) -> None:
        """End it with an error that the peer is told."""
        if self.is_done:
            return
        failure = to_api_error(error, self.binding.method.route)
        self.binding.counters.errors[failure.code.name] += 1
        stream = self.stream
        if not stream.closed:
            stream.fail(failure.mapping.rsocket, failure.rsocket_text)
        self.finish()
        self.connection.schedule_flush()

    def on_cancel(self) -> None:
        """The peer does not want it any more, or is gone."""
        if not self.is_done:
            self.binding.counters.errors["cancelled"] += 1
            self.finish()

    # What a peer may send on a stream; most work takes none of it.

    def on_demand(self) -> None:
        """The peer takes more items."""

    def on_message(self, data: bytes, last: bool) -> None:
        """The peer sent an item."""

    def on_half_close(self) -> None:
        """The peer sends no more items."""

    def on_drain(self) -> None:
        """The service is stopping: what would never end by itself ends now."""


@lru_cache(SHARED_KEYS_MAX)
def _share_key(stream_id: int, codec: Codec, encoding: object) -> object:
    """Same key, same bytes: the stream id, the codec, the compression or else the envelope.

    One object for all that are alike, which a dictionary finds by its identity.
    """
    return object()


class StreamResponder(Responder):
    """What sends items: the sink of a watch or a channel."""

    SHUTDOWN_TEXT: ClassVar = "the service is stopping; connect again and go on from your cursor"

    __slots__ = ("_budget", "_metrics", "_scheduler", "_share_key", "_was_polled", "_write")

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        super().__init__(dispatcher, binding, stream, context)
        connection = self.connection
        self._share_key = _share_key(
            stream.id, binding.reply_codec, connection.deflater or connection.engine.transport_header
        )
        self._was_polled = False  # for demand, since the last items: what is encoded now is for this reader
        self._budget: ReadBudget = dispatcher.budget
        self._scheduler = connection.server.read_scheduler
        # What `session.write` uses. A thousand readers do not fit into the processor's caches: each object on the way
        # to their sockets is a wait for memory.
        self._metrics = connection.server.metrics
        self._write = connection.transport.write

    def demand(self) -> int:
        """Items that are taken right now: the reader's credit, 0 while its socket is full.

        PAUSED while the user's turn is over. Live items come without this question, and are not charged.
        """
        demand = self.stream.available_credit()
        if demand > 0 and not self._scheduler.may_send(self._budget, self):
            return PAUSED
        self._was_polled = True
        return demand

    def run_slice(self) -> bool:
        """The scheduler: it is our turn. The source sends in a callback of its own."""
        if self.is_done:
            return False
        self._budget.granted_to = self
        self.on_demand()
        return True

    def abort(self) -> None:
        """The scheduler: waking the source raised."""
        self.connection.abort()

    def finish(self) -> None:
        super().finish()
        self._scheduler.cancel_wait(self._budget, self)

    def deliver(self, batch: Batch[PreparedMessage[Any]], /) -> bool:
        """Send a run of items, or none of them where the stream does not take them all."""
        stream, items = self.stream, len(batch.items)
        if stream.reserve_direct_write(items):
            chunk = batch.shared.get(self._share_key) or self._charged_frames(batch)
            self._metrics.bytes_out += len(chunk)
            write = self._write
            write(chunk)
        elif stream.available_credit() >= items:
            stream.send_frames(batch.shared.get(self._share_key) or self._charged_frames(batch), items)
            self.connection.schedule_flush()
        else:
            return False
        return True

    def _charged_frames(self, batch: Batch[PreparedMessage[Any]]) -> bytes:
        if not self._was_polled:
            return self._encode(batch)
        clock = self.connection.server.clock
        started_at = clock()
        try:
            return self._encode(batch)
        finally:
            self._was_polled = False
            if self._budget.granted_to is self:
                self._budget.granted_to = None  # it was for one step
            self._scheduler.charge(self._budget, clock() - started_at + STEP_COST_SECONDS)

    def _encode(self, batch: Batch[PreparedMessage[Any]]) -> bytes:
        stream_id, response_metadata, codec = self.stream.id, self.binding.response_metadata, self.binding.reply_codec
        engine = self.connection.engine
        transport_header, fragment_bytes = engine.transport_header, engine.limits.fragment_bytes
        payloads = [item.encoded(codec) for item in batch.items]
        deflater = self.connection.deflater
        if deflater is None:
            chunk = multi_payload_frames(stream_id, payloads, response_metadata, transport_header, fragment_bytes)
        else:
            frames = [
                payload_frames(stream_id, data, response_metadata, transport_header, fragment_bytes)
                for data in payloads
            ]
            head = payload_frames(stream_id, b"", response_metadata, no_transport_header, fragment_bytes)
            payload_bytes_max = fragment_bytes - len(head)
            for index, block in enumerate(self._compressed_blocks(batch, deflater, payload_bytes_max)):
                if block and len(payloads[index]) <= payload_bytes_max:
                    frames[index] = compressed_message(head, block)
            chunk = b"".join(frames)
        shared_count = len(batch.shared)
        if (
            response_metadata is None
            and shared_count < SHARED_CHUNKS_MAX
            and (shared_count + 1) * len(chunk) <= SHARED_BYTES_MAX
        ):
            batch.shared[self._share_key] = chunk
        return chunk

    def _compressed_blocks(
        self, batch: Batch[PreparedMessage[Any]], deflater: Deflater, payload_bytes_max: int
    ) -> list[bytes]:
        """Each item compressed; empty where it goes as it is.

        What needs several frames does: pieces would have to be compressed one by one.
        """
        codec = self.binding.reply_codec
        blocks: list[bytes] | None = batch.shared.get((deflater, codec, payload_bytes_max))
        if blocks is None:
            payloads = [item.encoded(codec) for item in batch.items]
            blocks = [deflater.compress_block(data) if len(data) <= payload_bytes_max else b"" for data in payloads]
            batch.shared[deflater, codec, payload_bytes_max] = blocks
        return blocks

    def complete(self) -> None:
        """Nothing more comes, and nothing went wrong."""
        if self.is_done:
            return
        self.binding.counters.ok += 1
        stream = self.stream
        if not stream.sending_closed:
            stream.complete()
        if not stream.receiving_closed:
            stream.cancel()
        self.finish()
        self.connection.schedule_flush()

    def on_drain(self) -> None:
        self.on_interrupted()


class WatchResponder(StreamResponder):
    """A watch. It has a task only while it starts."""

    __slots__ = ("_subscription",)

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        super().__init__(dispatcher, binding, stream, context)
        self._subscription: Subscription | None = None

    def start(self, data: bytes) -> None:
        """Decode, and ask the handler for a source, when it is our turn."""
        self._scheduler.defer(self._budget, partial(self._start, data))

    def _start(self, data: bytes) -> None:
        if self.is_done or self.stream.closed:
            return
        try:
            request = self.binding.decode_request(data)
        except Exception as error:
            self.fail(error)
        else:
            self.task = self.dispatcher.start_eagerly(
                self._run_task(partial(self.binding.method.handler, request, self.context, self))
            )

    def on_result(self, result: Subscription) -> None:
        if self.is_done:
            self._scheduler.defer(self._budget, result.close)
            return
        self._subscription = result
        self.dispatcher.on_stream_opened(self)
        # Credit may have come, and the socket gone empty, before there was anybody to tell.
        result.wake()

    def on_demand(self) -> None:
        if self._subscription is not None:
            self._subscription.wake()

    def release_resources(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            self._scheduler.defer(self._budget, subscription.close)


class ChannelResponder(StreamResponder):
    """A channel: items out like a watch, and commands in, as many as the conversation has room for."""

    __slots__ = ("_handler",)

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        super().__init__(dispatcher, binding, stream, context)
        self._handler: ChannelHandler | None = None

    def start(self, data: bytes, last: bool) -> None:
        """Open the conversation; the first payload is a command already."""
        self._handler = self.binding.method.handler(self.context, self)
        self.dispatcher.on_stream_opened(self)
        self.on_message(data, last)

    def on_message(self, data: bytes, last: bool) -> None:
        self.connection.transport.budget.used_seconds += COMMAND_COST_SECONDS
        self._call_handler(lambda handler: handler.receive(self.binding.decode_request(data)))
        if last:
            self.on_half_close()

    def on_half_close(self) -> None:
        self._call_handler(lambda handler: handler.complete())

    def _call_handler(self, action: Callable[[ChannelHandler], None]) -> None:
        if self._handler is None:
            return
        try:
            action(self._handler)
        except Exception as error:
            self.fail(error)
        else:
            self._grant_credit()

    def deliver(self, batch: Batch[PreparedMessage[Any]], /) -> bool:
        was_taken = super().deliver(batch)
        # An answer that was taken makes room for a command.
        self._grant_credit()
        return was_taken

    def _grant_credit(self) -> None:
        """Let the peer send what there is room for; in portions, so that not every command costs a REQUEST_N."""
        stream = self.stream
        if self._handler is None or stream.receiving_closed:
            return
        capacity = self._handler.command_capacity()
        if capacity > 0 and stream.granted * 2 <= capacity:
            stream.request(capacity - stream.granted)
            self.connection.schedule_flush()

    def on_demand(self) -> None:
        if self._handler is not None:
            self._handler.wake()
            self._grant_credit()

    def release_resources(self) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            self._scheduler.defer(self._budget, handler.close)


class AuthenticatingResponder(Responder):
    """A request with credentials of its own, until they have been looked at."""

    __slots__ = ("_queued_messages", "_request")

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        super().__init__(dispatcher, binding, stream, context)
        self._request = (b"", False)
        # What a channel's peer sends meanwhile; at most the credit that goes out by itself.
        self._queued_messages: list[tuple[bytes | None, bool]] = []

    def start(self, credentials: Credentials, data: bytes, last: bool) -> None:
        """Ask the authenticator, then go on as that user."""
        self._request = (data, last)
        self.start_task(partial(self.connection.server.authenticator.authenticate, credentials))

    def on_result(self, identity: Identity) -> None:
        if self.is_done:
            return
        stream = self.stream
        if self.dispatcher.is_closed and stream in self.dispatcher.active:
            self.on_cancel()  # the peer went, and the step that ends this has not come yet
            return
        self.finish()
        self.dispatcher.dispatch(self.binding, stream, *self._request, CallContext(self.context.session, identity))
        for data, last in self._queued_messages:
            responder: Responder | None = stream.context
            if responder is None:
                break
            if data is None:
                responder.on_half_close()
            else:
                responder.on_message(data, last)
        self.connection.schedule_flush()

    def on_drain(self) -> None:
        self.on_interrupted()

    def on_message(self, data: bytes, last: bool) -> None:
        self._queued_messages.append((data, last))

    def on_half_close(self) -> None:
        self._queued_messages.append((None, True))
