"""What is being done for the streams of a session: a call that waits, a watch, a channel.

One rule holds them together: a piece of work is over exactly once. `over` is set first, all at once; then the
task is cancelled, the source closed, the stream told. Whatever comes afterwards (a handler that was faster than
its cancellation, a payload that crossed) finds `over` and does nothing; an item of the hub finds a stream that ended.

A watch and a channel are also the sinks of what they asked for. A sink has no task and no queue: it says how many
items its stream takes now, and turns a batch into frames. Frames of one item differ only in the stream id, and most
clients use the same few ids; so the bytes are left in the batch for the next reader with the same id and codec. Where
readers take compressed messages, an item is compressed once for all of them, whatever their ids (`deflate`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from tidings.contract.call import Call, Credentials, Identity
from tidings.contract.codecs import Codec, Prepared
from tidings.contract.errors import unavailable
from tidings.hub import PAUSED, Batch, Source
from tidings.rsocket import Stream, no_envelope, payload_frames, run_frames
from tidings.transports.deflate import Deflater
from tidings.transports.endings import failure_of
from tidings.transports.read_scheduler import COMMAND_SECONDS, STEP_SECONDS, ReadBudget
from tidings.transports.routes import Route
from tidings.transports.websocket import compressed_message

if TYPE_CHECKING:
    from tidings.transports.rsocket_desk import Desk

# Readers of one batch with different stream ids, beyond which the bytes are made anew instead of kept.
SHARED_CHUNKS_MAX: Final = 64
# Bytes kept so with one batch, at most: a user may watch one room on many streams, each with an id of its own.
SHARED_BYTES_MAX: Final = 1_048_576
SHARED_KEYS_MAX: Final = 1_024  # remembered; beyond it, equal keys are several objects, and that is all


class Conversation(Protocol):
    """What the handler of a channel gives to its peer."""

    def receive(self, message: Any, /) -> None: ...
    def complete(self) -> None: ...
    def room(self) -> int: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class Work:
    """One stream that is served and not over yet. `STOPPED` is what its peer hears when the service stops under it."""

    STOPPED: ClassVar = "the service is stopping; ask again"

    __slots__ = ("call", "desk", "held_bytes", "over", "route", "session", "stream", "task")

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        self.desk = desk
        self.session = desk.session
        self.route = route
        self.stream = stream
        self.call = call
        self.over = False
        self.held_bytes = 0  # on the user's account, written by the desk
        self.task: asyncio.Future[Any] | None = None

    def start(self, ask: Callable[[], Awaitable[Any]]) -> None:
        """Ask in a task; `arrived` gets the answer. The session counts the task until it has ended."""
        self.task = self.desk.start(self._wait(ask))

    async def _wait(self, ask: Callable[[], Awaitable[Any]]) -> None:
        try:
            answer = await ask()
        except asyncio.CancelledError:
            self.task = None
            self.interrupt()
            raise
        except Exception as error:
            self.task = None
            self.fail(error)
            return
        self.task = None
        self.arrived(answer)

    def arrived(self, answer: Any) -> None:
        """What was asked for; the work may be over by now."""

    def interrupt(self) -> None:
        """End it because the service stops."""
        self.fail(unavailable(self.STOPPED))

    def end(self) -> None:
        """Stop, and tell nobody: the stream is over already, or somebody else tells. Idempotent."""
        if self.over:
            return
        self.over = True
        self.desk.drop(self)
        self.stream.context = None
        task, self.task = self.task, None  # one that never began would refer to this, and this to it
        if task is not None:
            task.cancel()
        self.release()

    def release(self) -> None:
        """Let go of what was asked on behalf of the stream."""

    def fail(self, error: BaseException, /) -> None:
        """End it with an error that the peer is told."""
        if self.over:
            return
        failure = failure_of(error, self.route.row.route)
        self.route.outcomes.failed[failure.code.name] += 1
        stream = self.stream
        if not stream.closed:
            stream.fail(failure.row.rsocket, failure.wire)
        self.end()
        self.session.flush_soon()

    def cancelled(self) -> None:
        """The peer does not want it any more, or is gone."""
        if not self.over:
            self.route.outcomes.failed["cancelled"] += 1
            self.end()

    # What a peer may send on a stream; most work takes none of it.

    def credit(self) -> None:
        """The peer takes more items."""

    def payload(self, data: bytes, complete: bool) -> None:
        """The peer sent an item."""

    def completed(self) -> None:
        """The peer sends no more items."""

    def stop(self) -> None:
        """The service is stopping: what would never end by itself ends now."""


@lru_cache(SHARED_KEYS_MAX)
def _key(stream_id: int, codec: Codec, wrapping: object) -> object:
    """Same key, same bytes: the stream id, the codec, the compression or else the envelope.

    One object for all that are alike, which a dictionary finds by its identity.
    """
    return object()


class SinkWork(Work):
    """What sends items: the sink of a watch or a channel."""

    STOPPED: ClassVar = "the service is stopping; connect again and go on from your cursor"

    __slots__ = ("_asked", "_budget", "_key", "_metrics", "_reading", "_write")

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        super().__init__(desk, route, stream, call)
        session = self.session
        self._key = _key(stream.id, route.writes, session.deflater or session.connection.envelope)
        self._asked = False  # for demand, since the last items: what is encoded now is for this reader
        self._budget: ReadBudget = desk.budget
        self._reading = session.service.reading
        # What `session.write` uses. A thousand readers do not fit into the processor's caches: each object on the way
        # to their sockets is a wait for memory.
        self._metrics = session.service.metrics
        self._write = session.wire.write

    def demand(self) -> int:
        """Items that are taken right now: the reader's credit, 0 while its socket is full.

        PAUSED while the user's turn is over. Live items come without this question, and are not charged.
        """
        demand = self.stream.sendable()
        if demand > 0 and not self._reading.may_send(self._budget, self):
            return PAUSED
        self._asked = True
        return demand

    def read_on(self) -> bool:
        """The scheduler: it is our turn. The source sends in a callback of its own."""
        if self.over:
            return False
        self._budget.granted = self
        self.credit()
        return True

    def abort(self) -> None:
        """The scheduler: waking the source raised."""
        self.session.abort()

    def end(self) -> None:
        super().end()
        self._reading.withdraw(self._budget, self)

    def deliver(self, batch: Batch[Prepared[Any]], /) -> bool:
        """Send a run of items, or none of them where the stream does not take them all."""
        stream, items = self.stream, len(batch.items)
        if stream.passes(items):
            chunk = batch.shared.get(self._key) or self._frames(batch)
            self._metrics.bytes_out += len(chunk)
            write = self._write
            write(chunk)
        elif stream.sendable() >= items:
            stream.send_frames(batch.shared.get(self._key) or self._frames(batch), items)
            self.session.flush_soon()
        else:
            return False
        return True

    def _frames(self, batch: Batch[Prepared[Any]]) -> bytes:
        if not self._asked:
            return self._encode(batch)
        clock = self.session.service.clock
        began = clock()
        try:
            return self._encode(batch)
        finally:
            self._asked = False
            if self._budget.granted is self:
                self._budget.granted = None  # it was for one step
            self._reading.charge(self._budget, clock() - began + STEP_SECONDS)

    def _encode(self, batch: Batch[Prepared[Any]]) -> bytes:
        stream_id, said, codec = self.stream.id, self.route.said, self.route.writes
        connection = self.session.connection
        envelope, fragment_bytes = connection.envelope, connection.limits.fragment_bytes
        payloads = [item.data(codec) for item in batch.items]
        deflater = self.session.deflater
        if deflater is None:
            chunk = run_frames(stream_id, payloads, said, envelope, fragment_bytes)
        else:
            frames = [payload_frames(stream_id, data, said, envelope, fragment_bytes) for data in payloads]
            head = payload_frames(stream_id, b"", said, no_envelope, fragment_bytes)
            room = fragment_bytes - len(head)
            for place, block in enumerate(self._blocks(batch, deflater, room)):
                if block and len(payloads[place]) <= room:
                    frames[place] = compressed_message(head, block)
            chunk = b"".join(frames)
        kept = len(batch.shared)
        if said is None and kept < SHARED_CHUNKS_MAX and (kept + 1) * len(chunk) <= SHARED_BYTES_MAX:
            batch.shared[self._key] = chunk
        return chunk

    def _blocks(self, batch: Batch[Prepared[Any]], deflater: Deflater, room: int) -> list[bytes]:
        """Each item compressed; empty where it goes as it is.

        What needs several frames does: pieces would have to be compressed one by one.
        """
        codec = self.route.writes
        blocks: list[bytes] | None = batch.shared.get((deflater, codec, room))
        if blocks is None:
            datas = [item.data(codec) for item in batch.items]
            blocks = [deflater.block(data) if len(data) <= room else b"" for data in datas]
            batch.shared[deflater, codec, room] = blocks
        return blocks

    def complete(self) -> None:
        """Nothing more comes, and nothing went wrong."""
        if self.over:
            return
        self.route.outcomes.ok += 1
        stream = self.stream
        if not stream.sending_closed:
            stream.complete()
        if not stream.receiving_closed:
            stream.cancel()
        self.end()
        self.session.flush_soon()

    def stop(self) -> None:
        self.interrupt()


class WatchWork(SinkWork):
    """A watch. It has a task only while it starts."""

    __slots__ = ("_source",)

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        super().__init__(desk, route, stream, call)
        self._source: Source | None = None

    def begin(self, data: bytes) -> None:
        """Decode, and ask the handler for a source, when it is our turn."""
        self._reading.later(self._budget, partial(self._begin, data))

    def _begin(self, data: bytes) -> None:
        if self.over or self.stream.closed:
            return
        try:
            request = self.route.read(data)
        except Exception as error:
            self.fail(error)
        else:
            self.task = self.desk.begin(self._wait(partial(self.route.row.handler, request, self.call, self)))

    def arrived(self, answer: Source) -> None:
        if self.over:
            self._reading.later(self._budget, answer.close)
            return
        self._source = answer
        self.desk.served(self)
        # Credit may have come, and the socket gone empty, before there was anybody to tell.
        answer.wake()

    def credit(self) -> None:
        if self._source is not None:
            self._source.wake()

    def release(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            self._reading.later(self._budget, source.close)


class ChannelWork(SinkWork):
    """A channel: items out like a watch, and commands in, as many as the conversation has room for."""

    __slots__ = ("_conversation",)

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        super().__init__(desk, route, stream, call)
        self._conversation: Conversation | None = None

    def begin(self, data: bytes, complete: bool) -> None:
        """Open the conversation; the first payload is a command already."""
        self._conversation = self.route.row.handler(self.call, self)
        self.desk.served(self)
        self.payload(data, complete)

    def payload(self, data: bytes, complete: bool) -> None:
        self.session.wire.budget.used += COMMAND_SECONDS
        self._tell(lambda conversation: conversation.receive(self.route.read(data)))
        if complete:
            self.completed()

    def completed(self) -> None:
        self._tell(lambda conversation: conversation.complete())

    def _tell(self, what: Callable[[Conversation], None]) -> None:
        if self._conversation is None:
            return
        try:
            what(self._conversation)
        except Exception as error:
            self.fail(error)
        else:
            self._grant()

    def deliver(self, batch: Batch[Prepared[Any]], /) -> bool:
        taken = super().deliver(batch)
        # An answer that was taken makes room for a command.
        self._grant()
        return taken

    def _grant(self) -> None:
        """Let the peer send what there is room for; in portions, so that not every command costs a REQUEST_N."""
        stream = self.stream
        if self._conversation is None or stream.receiving_closed:
            return
        room = self._conversation.room()
        if room > 0 and stream.granted * 2 <= room:
            stream.request(room - stream.granted)
            self.session.flush_soon()

    def credit(self) -> None:
        if self._conversation is not None:
            self._conversation.wake()
            self._grant()

    def release(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            self._reading.later(self._budget, conversation.close)


class AdmissionWork(Work):
    """A request with credentials of its own, until they have been looked at."""

    __slots__ = ("_asked", "_early")

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        super().__init__(desk, route, stream, call)
        self._asked = (b"", False)
        # What a channel's peer sends meanwhile; at most the credit that goes out by itself.
        self._early: list[tuple[bytes | None, bool]] = []

    def begin(self, credentials: Credentials, data: bytes, complete: bool) -> None:
        """Ask the gate, then go on as that user."""
        self._asked = (data, complete)
        self.start(partial(self.session.service.gate.admit, credentials))

    def arrived(self, answer: Identity) -> None:
        if self.over:
            return
        stream = self.stream
        if self.desk.left and stream in self.desk.live:
            self.cancelled()  # the peer went, and the step that ends this has not come yet
            return
        self.end()
        self.desk.serve(self.route, stream, *self._asked, Call(self.call.session, answer))
        for early, last in self._early:
            work: Work | None = stream.context
            if work is None:
                break
            if early is None:
                work.completed()
            else:
                work.payload(early, last)
        self.session.flush_soon()

    def stop(self) -> None:
        self.interrupt()

    def payload(self, data: bytes, complete: bool) -> None:
        self._early.append((data, complete))

    def completed(self) -> None:
        self._early.append((None, True))
