"""The state of one end of a connection, its outbound queues, and how it ends.

`ConnectionBase` is used by `stream.py`, `stream_frames.py` and `connection_frames.py`; `connection.py` adds the public
methods. Three rules:

*Two queues.* Frames of stream 0 leave before all others that have not been taken yet. The others leave in the order
they were queued. The fragments of a payload are queued together, so no frame of their stream can come between. The
frame that ends the connection leaves last.

*One way to end.* Whatever the reason, `_terminate` closes every stream, with an event for each, and adds one
`ConnectionTerminated`. If the local program caused it, there is no caller to return the events to; they wait in
`pending_events` for the next `tick` or `transport_lost`.

*Bytes are counted where they are queued.* All frames of streams leave through `send` (or `Stream.reserve_direct_write`)
and arrive through `Connection.receive`: positions for resumption would be counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from tidings.protocols.rsocket.codec import TransportHeader, error_frame, fragment_payload, payload_frames
from tidings.protocols.rsocket.errors import ErrorCode, RemoteProtocolError
from tidings.protocols.rsocket.events import Cancelled, ConnectionTerminated, Failed, ProtocolEvent
from tidings.protocols.rsocket.frames import FrameType
from tidings.protocols.rsocket.keepalive import Keepalive
from tidings.protocols.rsocket.lease import Lease, PendingRequests
from tidings.protocols.rsocket.limits import Limits
from tidings.protocols.rsocket.rate import FixedWindowLimiter
from tidings.protocols.rsocket.reassembly import PartialPayload, Reassembler
from tidings.protocols.rsocket.setup import Setup
from tidings.protocols.rsocket.states import AWAITING_LEASE, CLOSED_BOTH, ConnectionState

if TYPE_CHECKING:
    from tidings.protocols.rsocket.stream import Stream

Handler: TypeAlias = "Callable[[ConnectionBase, bytes, int, int], Sequence[ProtocolEvent]]"
"""Handles a frame: (connection, whole frame, stream id, flags) → events."""

InlineHandler: TypeAlias = Callable[[bytes | None, bytes], object]
"""(metadata, data) of a REQUEST_RESPONSE → the reply, `bytes`; or another object, which becomes the stream's `context`.

Raises InlineError to reply with ERROR. May close the connection, but starts nothing on it.
"""

NO_EVENTS: Sequence[ProtocolEvent] = ()
_PAYLOAD = FrameType.PAYLOAD


class ConnectionBase:
    """State of one end; the module's docstring has the rules. Names without underscore are for this package."""

    HANDLERS: ClassVar[Mapping[ConnectionState, tuple[Handler, ...]]]

    __slots__ = (
        "_final_error",
        "_priority_queue",
        "_send_queue",
        "close_reason",
        "closing",
        "congested_at",
        "drain_text",
        "drained_by_peer",
        "fragment_bytes",
        "frame_bytes_max",
        "granted_lease",
        "handlers",
        "held_bytes",
        "held_frames",
        "ignored_frame_limiter",
        "inline_handler",
        "keepalives",
        "last_received_at",
        "limits",
        "metadata_push_limiter",
        "next_stream_id",
        "now",
        "opened_at",
        "outbound_bytes",
        "outbound_bytes_max",
        "outbound_bytes_pause",
        "partial_payloads",
        "peer_parity",
        "pending_events",
        "pending_requests",
        "reassembler",
        "received_lease",
        "server",
        "setup",
        "state",
        "streams",
        "streams_max",
        "transport_header",
        "uncredited_channels",
        "writable",
    )

    def __init__(
        self, *, server: bool, now: float, limits: Limits, setup: Setup | None, transport_header: TransportHeader
    ) -> None:
        self.server = server
        self.limits = limits
        self.transport_header = transport_header
        self.setup = setup
        self.state = ConnectionState.EXPECT_SETUP if server else ConnectionState.SETUP_SENT
        self.handlers = self.HANDLERS[self.state]
        # Time, as last passed by the caller. `last_received_at` moves with every frame received.
        self.opened_at = self.last_received_at = self.congested_at = self.now = now
        # Streams. The parity of an id says who opened it: clients odd, servers even.
        self.streams: dict[int, Stream] = {}
        self.peer_parity = 1 if server else 0
        self.next_stream_id = 2 if server else 1
        self.inline_handler: InlineHandler | None = None
        self.frame_bytes_max = limits.frame_bytes_max
        self.fragment_bytes = limits.fragment_bytes
        self.streams_max = limits.streams_max
        self.reassembler = Reassembler(limits)
        self.partial_payloads: dict[int, PartialPayload] = self.reassembler.partial_payloads
        self.uncredited_channels: dict[int, Stream] = {}  # channels whose requester has no credit yet
        # Frames that wait for authentication.
        self.held_frames: list[bytes] = []
        self.held_bytes = 0
        # Optional features; leases exist only if SETUP asks for them.
        self.keepalives: Keepalive | None = None
        self.granted_lease: Lease | None = None
        self.received_lease: Lease | None = None
        self.pending_requests = PendingRequests(limits)
        self.metadata_push_limiter = FixedWindowLimiter(limits.metadata_push_per_second_max)
        self.ignored_frame_limiter = FixedWindowLimiter(limits.ignored_frames_per_second_max)
        # Outbound.
        self._priority_queue: list[bytes] = []
        self._send_queue: list[bytes] = []
        self._final_error = b""
        self.outbound_bytes = 0
        self.outbound_bytes_pause = limits.outbound_bytes_pause
        self.outbound_bytes_max = limits.outbound_bytes_max
        self.writable = True
        # The end.
        self.closing = False
        self.close_reason: tuple[ErrorCode, str] | None = None
        self.drain_text = ""
        self.drained_by_peer = False
        self.pending_events: Sequence[ProtocolEvent] = NO_EVENTS

    def set_state(self, state: ConnectionState) -> None:
        self.state = state
        self.handlers = self.HANDLERS[state]

    def ignore_frame(self) -> Sequence[ProtocolEvent]:
        """A frame without effect. Raises RemoteProtocolError when a client sends too many of them.

        A client counts none: a stream that it cancelled may have many items on the way.
        """
        if (
            self.server
            and not self.ignored_frame_limiter.acquire(self.now)
            and self.state is not ConnectionState.CLOSED
        ):
            raise RemoteProtocolError(
                f"more than {self.limits.ignored_frames_per_second_max} frames a second without effect "
                "(ignored_frames_per_second_max)"
            )
        return NO_EVENTS

    # --- out ----------------------------------------------------------------------------------------------------

    def send(self, chunk: bytes) -> None:
        """Queue a frame of a stream, or several with their transport headers.

        Here and below: more than `outbound_bytes_max` in the queue closes the connection.
        """
        self._send_queue.append(chunk)
        self.outbound_bytes += len(chunk)
        if self.outbound_bytes > self.outbound_bytes_max:
            self.abort_on_overflow()

    def send_all(self, frames: list[bytes]) -> None:
        """Queue the fragments of one payload together."""
        self._send_queue += frames
        self.outbound_bytes += sum(map(len, frames))
        if self.outbound_bytes > self.outbound_bytes_max:
            self.abort_on_overflow()

    def send_payload(self, stream_id: int, data: bytes, metadata: bytes | None, *, complete: bool) -> None:
        """Queue one item, fragmented if necessary."""
        size = 9 + len(data) if metadata is None else 9 + len(data) + len(metadata)
        if size <= self.fragment_bytes:
            self.send(
                payload_frames(stream_id, data, metadata, self.transport_header, self.fragment_bytes, complete=complete)
            )
        else:
            self.send_all(
                fragment_payload(
                    _PAYLOAD, stream_id, None, data, metadata, self.transport_header, self.fragment_bytes, complete
                )
            )

    def send_priority(self, frame: bytes) -> None:
        """Queue a frame of stream 0, before all frames of other streams."""
        self._priority_queue.append(frame)
        self.outbound_bytes += len(frame)
        if self.outbound_bytes > self.outbound_bytes_max:
            self.abort_on_overflow()

    def send_error(self, stream_id: int, code: int, text: str) -> None:
        self.send(error_frame(stream_id, code, text, self.transport_header, self.limits.error_text_bytes_max))

    def pop_outgoing(self, bytes_max: int | None) -> list[bytes]:
        """Remove frames in the order they leave: all, or one chunk and then as many as fit in `bytes_max`."""
        send_queue = self._send_queue
        if bytes_max is None or self.outbound_bytes <= bytes_max:
            self._send_queue = []
            self.outbound_bytes = 0
            if self._priority_queue or self._final_error:
                send_queue = (
                    [*self._priority_queue, *send_queue, self._final_error]
                    if self._final_error
                    else self._priority_queue + send_queue
                )
                self._priority_queue.clear()
                self._final_error = b""
            return send_queue
        frames: list[bytes] = []
        size = 0
        for queue in (self._priority_queue, send_queue, [self._final_error] if self._final_error else []):
            count = 0
            for chunk in queue:
                if frames and size + len(chunk) > bytes_max:
                    break
                frames.append(chunk)
                size += len(chunk)
                count += 1
            is_drained = count == len(queue)
            del queue[:count]
            if not is_drained:
                break
        else:
            self._final_error = b""
        self.outbound_bytes -= size
        return frames

    @property
    def priority_frames(self) -> int:
        """Frames of stream 0 that wait to leave."""
        return len(self._priority_queue)

    @property
    def congested(self) -> bool:
        """Whether producers should pause, and requests should not be read."""
        return not self.writable or self.outbound_bytes >= self.outbound_bytes_pause

    def abort_on_overflow(self) -> None:
        text = (
            f"{self.outbound_bytes} bytes are queued for this connection, the limit is {self.outbound_bytes_max} "
            "(outbound_bytes_max); read what was sent"
        )
        self.pending_events = [*self.pending_events, *self.abort(ErrorCode.CONNECTION_ERROR, text, remote=False)]

    # --- the end ------------------------------------------------------------------------------------------------

    def remove_stream(self, stream: Stream) -> None:
        """Remove a closed stream. While draining, the last one ends the connection."""
        stream_id = stream.id
        self.streams.pop(stream_id, None)
        if self.partial_payloads:
            self.reassembler.discard(stream_id)
        if self.uncredited_channels:
            self.uncredited_channels.pop(stream_id, None)
        if stream.state & AWAITING_LEASE:
            self.pending_requests.pop(stream_id)
        if self.state is ConnectionState.DRAINING and not self.streams:
            self.pending_events = [*self.pending_events, *self.finish_drain()]

    def finish_drain(self) -> list[ProtocolEvent]:
        """End the connection after its streams. ERROR leaves after the frames they have queued.

        The specification sends it when draining begins. That is not done, because every known client ends all its
        streams on any ERROR of stream 0.
        """
        if self.drained_by_peer:
            self.closing = True
        else:
            self._queue_final_error(ErrorCode.CONNECTION_CLOSE, self.drain_text)
        return self._terminate(ErrorCode.CONNECTION_CLOSE, self.drain_text, remote=self.drained_by_peer)

    def abort(self, code: ErrorCode, text: str, *, remote: bool) -> list[ProtocolEvent]:
        """End now: queued frames are dropped, only ERROR still leaves."""
        if self.state is ConnectionState.CLOSED:
            return []
        self._priority_queue.clear()
        self._send_queue = []
        self.outbound_bytes = 0
        self._queue_final_error(code, text)
        return self._terminate(code, text, remote=remote)

    def on_closed_by_peer(self, code: int, text: str) -> list[ProtocolEvent]:
        """The peer sent ERROR on stream 0, or is lost: it will read no more frames."""
        self._priority_queue.clear()
        self._send_queue = []
        self.outbound_bytes = 0
        self.closing = True
        return self._terminate(code, text, remote=True)

    def _queue_final_error(self, code: ErrorCode, text: str) -> None:
        self._final_error = error_frame(0, code, text, self.transport_header, self.limits.error_text_bytes_max)
        self.outbound_bytes += len(self._final_error)
        self.close_reason = (code, text)
        self.closing = True

    def _terminate(self, code: int, text: str, *, remote: bool) -> list[ProtocolEvent]:
        events: list[ProtocolEvent] = []
        self.set_state(ConnectionState.CLOSED)
        for stream in self.streams.values():
            stream.state = CLOSED_BOTH
            stream.credit = stream.granted = 0
            events.append(Failed(stream, code, text) if stream.is_requester else Cancelled(stream))
        self.streams.clear()
        self.reassembler.clear()
        self.pending_requests.clear()
        self.held_frames.clear()
        self.held_bytes = 0
        self.uncredited_channels.clear()
        events.append(ConnectionTerminated(int(code), text, remote))
        return events
