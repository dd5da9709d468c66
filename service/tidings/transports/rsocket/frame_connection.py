"""The byte half of an RSocket connection: frames that wait, writing, a full socket, and time.

The protocol half is `connection.RSocketServerConnection`.

*Turns.* The transport hands in a few frames at a time and looks at the clock between them (`protocol.py`).

*A full socket.* When the transport calls it full, nothing is written, no producer has demand, and no request is
served: a peer that does not take replies may not ask. Requests wait in `deferred_frames`; when there are too many,
reading stops. Until then keepalives, credit and CANCEL are served as they come, or a peer that asked for much over
a thin line would take the service for dead. Queued bytes therefore stay below the engine's pause mark, one batch,
and the replies of calls that were begun. When the socket is empty again, deferred frames are served in turns and
producers are woken. A socket that takes nothing for `write_stall_seconds` is closed.
"""

import abc
import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final, Protocol

from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError
from tidings.dispatch.client_session import ClientSession
from tidings.log import log
from tidings.protocols.rsocket import (
    UNBOUNDED,
    Connection,
    ConnectionState,
    FrameType,
    Stream,
    TransportHeader,
    events,
)
from tidings.protocols.rsocket.events import ProtocolEvent
from tidings.server.write_stall import WriteStallTimer
from tidings.transports.rsocket.frame_transport import FrameTransport
from tidings.transports.rsocket.method_resolver import RSocketBinding
from tidings.transports.rsocket.server import RSocketServer
from tidings.transports.websocket.deflate import Deflater

# The first byte behind the stream id of frames that ask for nothing, with and without the upper two flags.
NON_REQUEST_FRAMES: Final = frozenset(
    bytes((kind << 2 | flags,))
    for kind in (FrameType.KEEPALIVE, FrameType.REQUEST_N, FrameType.CANCEL, FrameType.ERROR)
    for flags in range(4)
)
DEFERRED_FRAMES_PER_STEP: Final = 8  # that were held are served before the transport looks at the clock again
WRITE_CHUNK_BYTES: Final = 262_144  # handed to the transport at once; between two of them stream 0 gets its turn


class RequestStarter(Protocol):
    """Starts requests of a connection whose SETUP was accepted (`requests.RequestHandler`)."""

    def on_request(self, event: events.RequestReceived) -> None:
        """A request frame was received."""

    def start_request(
        self, binding: RSocketBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        """Serve a request as this caller."""


class FrameConnection(abc.ABC):
    """The transport calls `on_frames`, `pause_writing`, `resume_writing` and `on_timeout`."""

    EVENT_HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]]

    __slots__ = (
        "_authentication",
        "_charged_deferred_bytes",
        "_is_finishing",
        "_is_session_closed",
        "_is_transport_lost",
        "client_session",
        "deferred_frames",
        "deflater",
        "engine",
        "id",
        "is_flush_scheduled",
        "requests",
        "server",
        "timer_slot",
        "transport",
        "transport_name",
        "write_stall",
    )

    def __init__(
        self, server: RSocketServer, transport: FrameTransport, transport_name: str, transport_header: TransportHeader
    ) -> None:
        now = server.clock()
        self.server = server
        self.transport = transport
        self.transport_name = transport_name
        self.id = secrets.token_hex(8)
        self.engine = Connection(server=True, now=now, limits=server.limits, transport_header=transport_header)
        self.deflater: Deflater | None = None  # where the peer takes compressed messages
        self.client_session: ClientSession | None = None  # from SETUP's acceptance to `_close_session`
        self.requests: RequestStarter | None = None  # for the same time
        self.is_flush_scheduled = False
        self.timer_slot = 0
        self._authentication: asyncio.Task[None] | None = None
        self.deferred_frames: list[bytes] = []  # frames that wait for a full socket, and then for their turn
        self._charged_deferred_bytes = 0  # bytes of them on the user's account
        self.write_stall: WriteStallTimer | None = (
            None  # while the socket is full, or the peer leaves a finished connection open
        )
        self._is_finishing = False
        self._is_session_closed = False
        self._is_transport_lost = False
        self.schedule_timeout()

    @abc.abstractmethod
    def close(self, failure: ApiError) -> None:
        """Close the connection with this error."""

    @abc.abstractmethod
    def _finish(self) -> None:
        """The protocol is over: write the last frames."""

    # --- in -----------------------------------------------------------------------------------------------------

    def on_frames(self, frames: list[bytes], now: float) -> None:
        """Whole frames, in order. `flush` is owed when the transport has read what it will for the moment."""
        held = self.deferred_frames
        if held:
            frames, self.deferred_frames = held + frames, []
            if self.engine.writable:
                frames, self.deferred_frames = frames[:DEFERRED_FRAMES_PER_STEP], frames[DEFERRED_FRAMES_PER_STEP:]
        self._process(frames, now)
        if held or self.deferred_frames:
            self._account_deferred()
        if self.engine.granted_lease is not None:
            self._grant_lease()

    @property
    def has_deferred_frames(self) -> bool:
        """Whether frames wait only for their turn; `on_frames` without any serves some of them."""
        return bool(self.deferred_frames) and self.engine.writable and not self.engine.closing

    def _process(self, frames: list[bytes], now: float) -> None:
        """Serve frames, and of a full socket what may pass; hold the rest."""
        engine = self.engine
        receive, handlers, pause = engine.receive, self.EVENT_HANDLERS, engine.outbound_bytes_pause
        deferred: list[bytes] = []
        deferred_streams: set[bytes] = set()  # whose frames are kept: what follows on the same stream may not pass them
        for frame in frames:
            if not engine.writable and (frame[4:5] not in NON_REQUEST_FRAMES or frame[:4] in deferred_streams):
                deferred.append(frame)
                deferred_streams.add(frame[:4])
                continue
            for event in receive(frame, now):
                handlers[event.__class__](self, event)
            if engine.outbound_bytes >= pause:
                self._write_queued()
        if deferred:
            self.deferred_frames = deferred + self.deferred_frames
            self._update_reading()

    def _account_deferred(self) -> None:
        """What is held beyond the share of every session (`domain.connections`) is on the user's account."""
        beyond = max(0, sum(map(len, self.deferred_frames)) - self.server.connection_limits.deferred_bytes_max)
        grew = beyond - self._charged_deferred_bytes
        if grew and self.client_session is not None:
            self._charged_deferred_bytes = beyond
            self.client_session.session.memory.reserve_unchecked(grew)
            if grew > 0:
                self.close_if_over_memory_limit()

    def close_if_over_memory_limit(self) -> None:
        """End the connection where its user makes the service hold too much: it brought what could not be refused."""
        if self.client_session is not None and not self._is_session_closed:
            try:
                self.client_session.session.memory.check(0)
            except ApiError as failure:
                self.close(failure)

    def _update_reading(self) -> None:
        """Read, or not, by what is held now."""
        engine, limits = self.engine, self.server.connection_limits
        if engine.closing or engine.state is ConnectionState.AUTHENTICATING:
            return
        is_below_limits = (
            len(self.deferred_frames) <= limits.deferred_frames_max
            and sum(map(len, self.deferred_frames)) <= limits.deferred_bytes_max
        )
        if engine.writable or is_below_limits:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def _handle_events(self, events: Sequence[ProtocolEvent]) -> None:
        for event in events:
            self.EVENT_HANDLERS[event.__class__](self, event)

    # --- out ----------------------------------------------------------------------------------------------------

    def schedule_flush(self) -> None:
        """Write what is queued in this round of the loop; with what others queue until then."""
        if not self.is_flush_scheduled:
            self.is_flush_scheduled = True
            self.server.schedule_flush(self)

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it; then end, if it was the last."""
        self.is_flush_scheduled = False
        engine = self.engine
        if engine.writable:
            was_full = engine.outbound_bytes >= engine.outbound_bytes_pause
            self._write_queued()
            if was_full and engine.writable and self.client_session is not None:
                self.client_session.on_writable()
        if engine.closing and not self._is_finishing:
            self._finish()

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, before all that is queued: only for who knows that nothing is."""
        self.server.metrics.bytes_out += len(data)
        write = self.transport.write  # as a local: Python 3.11 is slow to call an attribute that is no method
        write(data)

    def _write_queued(self) -> None:
        engine = self.engine
        while engine.writable and (engine.outbound_bytes or engine.uncredited_channels):
            chunks = engine.outgoing(WRITE_CHUNK_BYTES)
            self.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def pause_writing(self) -> None:
        """The transport holds as much as it should."""
        self.engine.writable = False
        if self.client_session is not None:
            self.client_session.session.memory.queue_sizes[self] = self._queued_bytes
        if not self._is_finishing:
            self.write_stall = WriteStallTimer(self.server.clock(), self.transport.buffered_bytes())
            self.schedule_timeout()

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        engine = self.engine
        engine.writable = True
        if self.client_session is not None:
            self.client_session.session.memory.queue_sizes.pop(self, None)
        if self._is_finishing:
            return
        self.write_stall = None
        self._write_queued()
        if engine.writable and self.client_session is not None:
            self.client_session.on_writable()
        self._update_reading()
        self.flush()

    def stream_count(self) -> int:
        """Streams that are open."""
        return len(self.engine.streams)

    def outbound_bytes(self) -> int:
        """Bytes queued in the engine."""
        return self.engine.outbound_bytes

    def outstanding_credit(self) -> int:
        """Items that the peer requested and was not sent yet; without streams that requested all."""
        return sum(
            stream.credit
            for stream in self.engine.streams.values()
            if stream.credit != UNBOUNDED and not stream.sending_closed
        )

    def _queued_bytes(self) -> int:
        """What waits for the socket."""
        return self.engine.outbound_bytes + self.transport.buffered_bytes()

    # --- time ---------------------------------------------------------------------------------------------------

    def on_timeout(self, now: float) -> None:
        """A deadline has come: the protocol's, a token's, a lease's, or that of a socket that takes nothing."""
        if not self._is_finishing:
            if self.transport.is_waiting:
                self.engine.congested_at = now  # what came is not read yet, so silence proves nothing
            self._handle_events(self.engine.tick(now))
            if self.client_session is not None:
                self.client_session.fail_expired(
                    self.server.now_ms() - self.server.connection_limits.clock_skew_seconds * 1000
                )
            self._grant_lease()
        self._abort_stalled(now)
        self.flush()
        self.schedule_timeout()

    def schedule_timeout(self) -> None:
        """Wait for the next deadline; it may have come nearer."""
        if not self._is_transport_lost:
            self.server.timer_wheel.schedule(self, self._next_deadline())

    def _next_deadline(self) -> float | None:
        """The next moment to call `on_timeout`, monotonic seconds; None: there is nothing to wait for."""
        now = self.server.clock()
        deadlines: list[float | None] = []
        if self.write_stall is not None:
            deadlines.append(self.write_stall.deadline(self._stall_seconds()))
        if not self.engine.closing:
            deadlines += (self.engine.deadline(), self._token_expiry(now))
            lease = self.engine.granted_lease
            if lease is not None and self.client_session is not None:
                deadlines.append(lease.expires_at - self.server.connection_limits.lease_seconds / 2)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _token_expiry(self, now: float) -> float | None:
        """When the first token expires, skew included."""
        session, server = self.client_session, self.server
        expires_at_ms = session.next_expiry_ms() if session is not None else None
        if expires_at_ms is None:
            return None
        return now + max(0.0, (expires_at_ms - server.now_ms()) / 1000 + server.connection_limits.clock_skew_seconds)

    def _stall_seconds(self) -> float:
        """How long the socket may take nothing; after the last frame, how long the peer may keep it open."""
        limits = self.server.connection_limits
        return limits.close_seconds if self.engine.closing else limits.write_stall_seconds

    def _abort_stalled(self, now: float) -> None:
        """Close the transport of a peer that takes nothing."""
        buffered, write_stall = self.transport.buffered_bytes(), self.write_stall
        if write_stall is None or not write_stall.has_expired(now, buffered, self._stall_seconds()):
            return
        if not self.engine.closing:
            log.info("connection stalled", session=self.id, bytes=buffered)
            self.server.metrics.connections_closed["stalled"] += 1
        self.transport.abort()

    def _grant_lease(self) -> None:
        """Renew the lease of a client that asked for leases in SETUP, long before it needs one."""
        lease, limits = self.engine.granted_lease, self.server.connection_limits
        if lease is None or self.engine.state is not ConnectionState.OPEN:
            return
        now = self.server.clock()
        if lease.requests * 2 <= limits.lease_requests or lease.expires_at - now <= limits.lease_seconds / 2:
            self.engine.grant_lease(round(limits.lease_seconds * 1000), limits.lease_requests, now)

    def abort(self) -> None:
        """Close the transport at once."""
        self.transport.abort()
