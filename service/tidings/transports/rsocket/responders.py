"""The RSocket half of a request: frames, credit, and bytes that readers share.

Frames of one item differ only in the stream id, and most clients use the same few ids; so the bytes are left in the
batch for the next reader with the same id and codec. Where readers take compressed messages, an item is compressed once
for all of them, whatever their ids (`deflate`).

`Shard.flush → deliver → write` is the hot path of the service: a thousand readers do not fit into the processor's
caches, so each further object or call per reader is a wait for memory.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from tidings.contract.codecs import Codec, PreparedMessage
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError
from tidings.contract.methods import MethodKind
from tidings.dispatch.call_responders import CallResponder, FireAndForgetResponder
from tidings.dispatch.client_session import ClientSession
from tidings.dispatch.read_scheduler import ReadBudget, ReadScheduler
from tidings.dispatch.responders import (
    AuthenticatingResponder,
    ChannelResponder,
    Responder,
    WatchResponder,
)
from tidings.hub import PAUSED, Batch
from tidings.protocols.rsocket import Interaction, Stream, multi_payload_frames, no_transport_header, payload_frames
from tidings.transports.rsocket.frame_connection import FrameConnection
from tidings.transports.rsocket.method_resolver import RSocketBinding
from tidings.transports.websocket.deflate import Deflater
from tidings.transports.websocket.frames import compressed_message

# Readers of one batch with different stream ids, beyond which the bytes are made again instead of kept.
SHARED_CHUNKS_MAX: Final = 64
# Bytes kept so with one batch, at most: a user may watch one room on many streams, each with an id of its own.
SHARED_BYTES_MAX: Final = 1_048_576
SHARED_KEYS_MAX: Final = 1_024  # remembered; beyond it, equal keys are several objects, and that is all


@lru_cache(SHARED_KEYS_MAX)
def _share_key(stream_id: int, codec: Codec, encoding: object) -> object:
    """Same key, same bytes: the stream id, the codec, the compression or else the transport header.

    One object for all that are alike, which a dictionary finds by its identity.
    """
    return object()


class RSocketReplyStream(Responder):
    """A stream of the engine as a `ReplyStream`. The slots of items are set by `_open`."""

    __slots__ = (
        "_budget",
        "_metrics",
        "_scheduler",
        "_share_key",
        "_was_polled",
        "_write",
        "connection",
        "response_metadata",
        "stream",
    )

    def __init__(
        self,
        connection: FrameConnection,
        client_session: ClientSession,
        binding: RSocketBinding,
        stream: Stream,
        context: CallContext,
    ) -> None:
        super().__init__(client_session, binding, context)
        self.connection = connection
        self.response_metadata = binding.response_metadata
        self.stream = stream
        stream.context = self

    def _open(self) -> None:
        connection = self.connection
        self._share_key = _share_key(
            self.stream.id, self.binding.reply_codec, connection.deflater or connection.engine.transport_header
        )
        self._was_polled = False  # for demand, since the last items: what is encoded now is for this reader
        self._budget: ReadBudget = self.client_session.budget
        self._scheduler: ReadScheduler = self.client_session.read_scheduler
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

    def deliver(self, batch: Batch[PreparedMessage[Any]], /) -> bool:
        stream, items = self.stream, len(batch.items)
        if stream.reserve_direct_write(items):
            chunk = batch.shared.get(self._share_key) or self._charged_frames(batch)
            self._metrics.bytes_out += len(chunk)
            write = self._write  # as a local: Python 3.11 is slow to call an attribute that is no method
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
            self.charge_step(clock() - started_at)

    def _encode(self, batch: Batch[PreparedMessage[Any]]) -> bytes:
        stream_id, response_metadata, codec = self.stream.id, self.response_metadata, self.binding.reply_codec
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

    def _reply(self, data: bytes) -> None:
        self.stream.next(data, self.response_metadata, complete=True)
        self.connection.schedule_flush()

    def _complete(self) -> None:
        stream = self.stream
        if not stream.sending_closed:
            stream.complete()
        if not stream.receiving_closed:
            stream.cancel()
        self.connection.schedule_flush()

    def _fail(self, error: ApiError) -> None:
        stream = self.stream
        if not stream.closed:
            stream.fail(error.mapping.rsocket, error.rsocket_data)
        self.connection.schedule_flush()

    def _request(self, capacity: int) -> None:
        """REQUEST_N, in portions, so that not every command costs one."""
        stream = self.stream
        if not stream.receiving_closed and stream.granted * 2 <= capacity:
            stream.request(capacity - stream.granted)
            self.connection.schedule_flush()

    def _detach(self) -> None:
        self.stream.context = None


class RSocketCall(CallResponder, RSocketReplyStream):
    """REQUEST_RESPONSE."""

    __slots__ = ()


class RSocketFireAndForget(FireAndForgetResponder, RSocketReplyStream):
    """FIRE_AND_FORGET: its stream has ended already."""

    __slots__ = ()


class RSocketWatch(WatchResponder, RSocketReplyStream):
    """REQUEST_STREAM."""

    __slots__ = ()


class RSocketChannel(ChannelResponder, RSocketReplyStream):
    """REQUEST_CHANNEL."""

    __slots__ = ()


class RSocketAuthenticating(AuthenticatingResponder, RSocketReplyStream):
    """A request whose metadata has credentials."""

    __slots__ = ()

    def start_request(self, context: CallContext, data: bytes, last: bool) -> Responder | None:
        binding = self.binding
        assert isinstance(binding, RSocketBinding)
        requests = self.connection.requests
        if requests is not None:
            requests.start_request(binding, self.stream, data, last, context)
        self.connection.schedule_flush()
        responder: Responder | None = self.stream.context
        return responder


RESPONDERS: Final[Mapping[tuple[MethodKind, Interaction], type[RSocketReplyStream]]] = {
    (MethodKind.CALL, Interaction.REQUEST_RESPONSE): RSocketCall,
    (MethodKind.CALL, Interaction.FIRE_AND_FORGET): RSocketFireAndForget,
    (MethodKind.WATCH, Interaction.REQUEST_STREAM): RSocketWatch,
    (MethodKind.CHANNEL, Interaction.REQUEST_CHANNEL): RSocketChannel,
}
INTERACTIONS: Final = {
    MethodKind.CALL: "REQUEST_RESPONSE or FIRE_AND_FORGET",
    MethodKind.WATCH: "REQUEST_STREAM",
    MethodKind.CHANNEL: "REQUEST_CHANNEL",
}
