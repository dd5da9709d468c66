"""One RSocket connection of a client, whatever carries it: facts → table → handlers and sinks.

    transport ──frames──▶ Connection ──facts──▶ RSocketSession ──▶ handler
    transport ◀──bytes─── Connection ◀──frames─ sinks, answers ◀──┘

Nothing here waits. Frames of one read are served one after the other: what a handler knows at once is queued within
the engine's `receive`, what it will know is a future, and only a handler that waits itself gets a task. What all of
them queued is one write; events go past the queue where nothing waits in it.

*Turns.* The transport hands in a few frames at a time and looks at the clock between them (`protocol.py`).

*A full socket.* When the transport calls it full, nothing is written, no producer has demand, and no request is
served: a peer that does not take answers may not ask. Requests wait in `deferred_frames`; when many do, nothing more
is read.
Until then keepalives, credit and CANCEL are served as they come, or a peer that asked for much over a thin line would
call us dead. Queued bytes therefore stay below the engine's pause mark, one batch, and the answers of calls that were
begun. When the socket is empty again, what was held is served in turns, producers are woken. A socket that takes
nothing for
`write_stall_seconds` is closed.

*The end* comes once, in `_close_session`, whatever caused it: the client session is closed, which cancels its requests
and unregisters it. It comes when the connection is over for the protocol; the transport may live a little longer to
write the last frames.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final

from tidings.contract.codecs import Codec
from tidings.contract.context import CallContext, Credentials
from tidings.contract.errors import ApiError, unimplemented
from tidings.dispatch.client_session import ClientSession
from tidings.dispatch.errors import SHUTTING_DOWN, to_api_error
from tidings.dispatch.peer import Presence
from tidings.dispatch.read_scheduler import AUTHENTICATION_COST_SECONDS
from tidings.dispatch.responders import Responder
from tidings.log import log
from tidings.protocols.rsocket import (
    UNBOUNDED,
    Connection,
    ConnectionState,
    ErrorCode,
    FrameType,
    InlineError,
    Setup,
    Stream,
    TransportHeader,
    events,
)
from tidings.protocols.rsocket.events import ProtocolEvent
from tidings.server.write_stall import WriteStallTimer
from tidings.transports.rsocket.frame_transport import FrameTransport
from tidings.transports.rsocket.method_resolver import (
    MethodResolver,
    RSocketBinding,
    credentials_of,
    read_metadata,
    setup_codec,
)
from tidings.transports.rsocket.responders import INTERACTIONS, RESPONDERS, RSocketAuthenticating, RSocketCall
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


class RSocketServerConnection:
    """One connection. The transport calls `on_frames`, `pause_writing`, `resume_writing` and `on_transport_lost`."""

    __slots__ = (
        "_authentication",
        "_bindings",
        "_charged_deferred_bytes",
        "_is_finishing",
        "_is_session_closed",
        "_is_transport_lost",
        "_resolver",
        "_write_stall",
        "client_session",
        "deferred_frames",
        "deflater",
        "engine",
        "id",
        "is_flush_scheduled",
        "server",
        "timer_slot",
        "transport",
        "transport_name",
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
        self._resolver: MethodResolver  # set with the client session
        self._bindings: dict[bytes | None, RSocketBinding]
        self.is_flush_scheduled = False
        self.timer_slot = 0
        self._authentication: asyncio.Task[None] | None = None
        self.deferred_frames: list[bytes] = []  # frames that wait for a full socket, and then for their turn
        self._charged_deferred_bytes = 0  # bytes of them on the user's account
        self._write_stall: WriteStallTimer | None = (
            None  # while the socket is full, or the peer leaves a finished connection open
        )
        self._is_finishing = False
        self._is_session_closed = False
        self._is_transport_lost = False
        server.dispatcher.add_peer(self)
        self.schedule_timeout()

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

    # --- SETUP --------------------------------------------------------------------------------------------------

    def _on_setup(self, event: events.SetupReceived) -> None:
        setup = event.setup
        codec = setup_codec(setup.data_mime)
        if isinstance(codec, ApiError):
            self._reject_setup(codec, ErrorCode.UNSUPPORTED_SETUP)
        elif self.server.dispatcher.is_draining:
            self._reject_setup(SHUTTING_DOWN)
        else:
            self.transport.budget.used_seconds += AUTHENTICATION_COST_SECONDS
            # Until it is known who this is, nothing more is read.
            self._authentication = self.server.dispatcher.start_task(self._authenticate(setup, codec))
            self.transport.pause_reading()
            self.schedule_timeout()

    async def _authenticate(self, setup: Setup, codec: Codec) -> None:
        server = self.server
        try:
            credentials = credentials_of(read_metadata(setup.metadata, setup.metadata_mime, server.connection_limits))
            client_session = await ClientSession.open(
                server.dispatcher,
                credentials or Credentials(),
                session_id=self.id,
                address=self.transport.address,
                peer=self,
                presence=Presence.CONNECTED,
            )
        except Exception as error:
            self._reject_setup(to_api_error(error, "SETUP"))
            self.flush()
        else:
            if client_session is not None:
                self._on_authenticated(client_session, server.method_resolver(setup.metadata_mime, codec))

    @property
    def is_closed(self) -> bool:
        """Whether SETUP can no longer be accepted."""
        return self.engine.state is not ConnectionState.AUTHENTICATING

    def _reject_setup(self, failure: ApiError, code: ErrorCode = ErrorCode.REJECTED_SETUP) -> None:
        self._authentication = None
        self.server.metrics.connections_refused[failure.code.name.lower()] += 1
        log.info("connection refused", session=self.id, transport=self.transport_name, reason=failure.rsocket_text)
        self.engine.reject(code, failure.rsocket_text)

    def _on_authenticated(self, client_session: ClientSession, resolver: MethodResolver) -> None:
        """Accept SETUP."""
        self._authentication = None
        self.client_session = client_session  # from here on `_close_session` closes it
        self.transport.on_authenticated(client_session.session.identity.user, client_session.session.memory)
        if self._is_session_closed:
            return  # what it had sent already was too much for this user
        self._resolver = resolver
        self._bindings = resolver.cache
        self.engine.inline_handler = self._handle_inline
        self.server.metrics.connections_opened[self.transport_name] += 1
        self._handle_events(self.engine.accept(self.server.clock()))
        self._grant_lease()
        self.schedule_timeout()
        self._update_reading()
        self.flush()

    def until_writable(self) -> Awaitable[None] | None:
        """What to await while the peer takes no replies."""
        session = self.client_session
        return session.wait_until_writable() if session is not None and self.engine.congested else None

    def _grant_lease(self) -> None:
        """Renew the lease of a client that asked for leases in SETUP, long before it needs one."""
        lease, limits = self.engine.granted_lease, self.server.connection_limits
        if lease is None or self.engine.state is not ConnectionState.OPEN:
            return
        now = self.server.clock()
        if lease.requests * 2 <= limits.lease_requests or lease.expires_at - now <= limits.lease_seconds / 2:
            self.engine.grant_lease(round(limits.lease_seconds * 1000), limits.lease_requests, now)

    # --- what happens on streams --------------------------------------------------------------------------------

    def _handle_inline(self, metadata: bytes | None, data: bytes) -> bytes | RSocketBinding | None:
        """The reply of a call that is not for operators and does not wait; else the binding, for `_on_request`.

        What `start_request` would do in the end, by the shortest way there is: nearly all calls come by here. Every
        user is signed in, since presence is CONNECTED.
        """
        binding = self._bindings.get(metadata)
        if binding is None or not binding.is_inline:
            return binding
        session = self.client_session
        assert session is not None
        try:
            reply = binding.handle(data, session.context)
        except Exception as error:
            raise _inline_error(binding, error) from error
        binding.counters.ok += 1
        return reply

    def _on_request(self, event: events.RequestReceived) -> None:
        session = self.client_session
        if session is None:
            return
        stream, metadata, data, complete = event
        binding: RSocketBinding | None = stream.context or self._bindings.get(metadata)
        if binding is not None:
            self.start_request(binding, stream, data, complete, session.context)
            return
        # Metadata that was not seen before, or must not be cached.
        try:
            binding, credentials = self._resolver.resolve(metadata)
        except ApiError as failure:
            if not stream.closed:
                stream.fail(failure.mapping.rsocket, failure.rsocket_text)
            return
        if credentials is None:
            self.start_request(binding, stream, data, complete, session.context)
        else:
            responder = RSocketAuthenticating(self, session, binding, stream, session.context)
            session.authenticate(responder, credentials, data, complete)

    def start_request(
        self, binding: RSocketBinding, stream: Stream, data: bytes, complete: bool, context: CallContext
    ) -> None:
        """Serve a request as this caller."""
        session = self.client_session
        if session is None:
            return
        method = binding.method
        made = RESPONDERS.get((method.kind, stream.interaction))
        if made is not None:
            session.start(made(self, session, binding, stream, context), data, complete)
            return
        responder = RSocketCall(self, session, binding, stream, context)
        responder.fail(
            unimplemented(
                f"{method.route} is a {method.kind.value}: ask with {INTERACTIONS[method.kind]}, "
                f"not {stream.interaction.name}"
            )
        )

    def _on_payload(self, event: events.PayloadReceived) -> None:
        responder: Responder | None = event.stream.context
        if responder is not None:
            responder.on_message(event.data, event.complete)

    def _on_completed(self, event: events.Completed) -> None:
        responder: Responder | None = event.stream.context
        if responder is not None:
            responder.on_half_close()

    def _on_credit(self, event: events.CreditGranted) -> None:
        responder: Responder | None = event.stream.context
        if responder is not None:
            responder.on_demand()

    def _on_stream_closed(self, event: events.Cancelled | events.Failed) -> None:
        responder: Responder | None = event.stream.context
        if (
            responder is not None and self.engine.state is not ConnectionState.CLOSED
        ):  # else `_close_session` ends all of them, in steps
            responder.on_cancel()

    def _ignore(self, event: ProtocolEvent) -> None:
        """Pushed metadata, leases and answered keepalives ask for nothing."""

    def _on_connection_closed(self, event: events.ConnectionTerminated) -> None:
        reason = "what the peer says" if event.remote else event.text
        log.debug("connection terminated", session=self.id, code=event.code, reason=reason)
        self._close_session()

    EVENT_HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        events.SetupReceived: _on_setup,
        events.RequestReceived: _on_request,
        events.PayloadReceived: _on_payload,
        events.Completed: _on_completed,
        events.Failed: _on_stream_closed,
        events.Cancelled: _on_stream_closed,
        events.CreditGranted: _on_credit,
        events.MetadataPushed: _ignore,
        events.LeaseReceived: _ignore,
        events.KeepaliveReceived: _ignore,
        events.ConnectionTerminated: _on_connection_closed,
    }

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
            self._write_stall = WriteStallTimer(self.server.clock(), self.transport.buffered_bytes())
            self.schedule_timeout()

    def resume_writing(self) -> None:
        """The transport takes bytes again."""
        engine = self.engine
        engine.writable = True
        if self.client_session is not None:
            self.client_session.session.memory.queue_sizes.pop(self, None)
        if self._is_finishing:
            return
        self._write_stall = None
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
        if self._is_transport_lost:
            return
        now = self.server.clock()
        deadlines: list[float | None] = []
        if self._write_stall is not None:
            deadlines.append(self._write_stall.deadline(self._stall_seconds()))
        if not self.engine.closing:
            deadlines += (self.engine.deadline(), self._token_expiry(now))
            lease = self.engine.granted_lease
            if lease is not None and self.client_session is not None:
                deadlines.append(lease.expires_at - self.server.connection_limits.lease_seconds / 2)
        self.server.timer_wheel.schedule(
            self, min((deadline for deadline in deadlines if deadline is not None), default=None)
        )

    def _token_expiry(self, now: float) -> float | None:
        """When the first token runs out, skew included."""
        expires_at_ms = self.client_session.next_expiry_ms() if self.client_session is not None else None
        if expires_at_ms is None:
            return None
        return now + max(
            0.0, (expires_at_ms - self.server.now_ms()) / 1000 + self.server.connection_limits.clock_skew_seconds
        )

    def _stall_seconds(self) -> float:
        """How long the socket may take nothing; or, when all is said, the peer may leave the connection open."""
        limits = self.server.connection_limits
        return limits.close_seconds if self.engine.closing else limits.write_stall_seconds

    def _abort_stalled(self, now: float) -> None:
        buffered = self.transport.buffered_bytes()
        if self._write_stall is None or not self._write_stall.has_expired(now, buffered, self._stall_seconds()):
            return
        if not self.engine.closing:
            log.info("connection stalled", session=self.id, bytes=buffered)
            self.server.metrics.connections_closed["stalled"] += 1
        self.transport.abort()

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self, failure: ApiError) -> None:
        """End the connection with this error."""
        if self.engine.state is not ConnectionState.CLOSED:
            log.info("connection closed", session=self.id, reason=failure.rsocket_text)
            self.server.metrics.connections_closed[failure.code.name.lower()] += 1
            self.engine.close(ErrorCode.CONNECTION_ERROR, failure.rsocket_text)
            self._close_session()
            self.schedule_flush()

    def on_protocol_error(self, text: str) -> None:
        """What the peer sends cannot be read any further."""
        before_setup = self.engine.state is ConnectionState.EXPECT_SETUP
        self.engine.close(ErrorCode.INVALID_SETUP if before_setup else ErrorCode.CONNECTION_ERROR, text)
        self.flush()

    def drain(self) -> None:
        """The service is stopping: answer what was asked, end what never would, then close."""
        if self.client_session is None:
            self.close_now()
            return
        self.client_session.drain()
        self.engine.drain(self.server.clock(), SHUTTING_DOWN.rsocket_text)
        self.flush()

    def close_now(self) -> None:
        """The service stops now, whatever was asked."""
        is_accepted = self.engine.state not in (ConnectionState.EXPECT_SETUP, ConnectionState.AUTHENTICATING)
        self.engine.close(
            ErrorCode.CONNECTION_CLOSE if is_accepted else ErrorCode.REJECTED_SETUP, SHUTTING_DOWN.rsocket_text
        )
        self.flush()

    def _finish(self) -> None:
        """The connection is over for the protocol: bring the last words out, when the socket takes them."""
        engine = self.engine
        self._handle_events(engine.tick(self.server.clock()))
        self._close_session()
        if engine.writable:
            self._is_finishing = True
            self.transport.close_gracefully(engine.close_reason)
            self._write_stall = WriteStallTimer(self.server.clock(), self.transport.buffered_bytes())
        self.schedule_timeout()

    def on_transport_lost(self) -> None:
        """The transport is gone, for whatever reason."""
        self._is_transport_lost = self._is_finishing = True
        if self.client_session is not None:
            self.client_session.session.memory.queue_sizes.pop(self, None)
        self._handle_events(self.engine.transport_lost(self.server.clock()))
        self._close_session()
        self.server.timer_wheel.schedule(self, None)
        self.server.dispatcher.remove_peer(self)

    def abort(self) -> None:
        """Close the transport at once."""
        self.transport.abort()

    def _close_session(self) -> None:
        if self._is_session_closed:
            return
        self._is_session_closed = True
        self.deferred_frames.clear()
        self._account_deferred()
        if self._authentication is not None:
            self._authentication.cancel()
        client_session, self.client_session = self.client_session, None
        self.engine.inline_handler = None
        if client_session is not None:
            client_session.session.memory.queue_sizes.pop(self, None)
            client_session.close()


def _inline_error(binding: RSocketBinding, error: Exception) -> InlineError:
    """How the engine sends this error to the peer; counted.

    Not in `_handle_inline`, whose frame the traceback of `error` refers to: a variable there that refers to `error`
    would be a cycle, which holds the request until the collector runs.
    """
    failure = to_api_error(error, binding.method.route)
    binding.counters.errors[failure.code.name] += 1
    return InlineError(failure.mapping.rsocket, failure.rsocket_text)
