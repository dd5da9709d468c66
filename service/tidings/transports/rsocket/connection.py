"""One RSocket connection of a client, whatever carries it: facts → table → handlers and sinks.

    transport ──frames──▶ Connection ──facts──▶ RSocketSession ──▶ handler
    transport ◀──bytes─── Connection ◀──frames─ sinks, answers ◀──┘

Nothing here waits. Frames of one read are served one after the other: what a handler knows at once is queued within
the engine's `receive`, what it will know is a future, and only a handler that waits itself gets a task. What all of
them queued is one write; events go past the queue where nothing waits in it.

Full sockets, writing and time are in `frame_connection`.

*The end* comes once, in `_close_session`, whatever caused it: the client session is closed, which cancels its requests
and unregisters it. It comes when the connection is over for the protocol; the transport may live a little longer to
write the last frames.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from tidings.contract.codecs import Codec
from tidings.contract.context import Credentials
from tidings.contract.errors import ApiError
from tidings.dispatch.client_session import ClientSession
from tidings.dispatch.errors import SHUTTING_DOWN, to_api_error
from tidings.dispatch.measured import start_measured
from tidings.dispatch.peer import Presence
from tidings.dispatch.read_scheduler import AUTHENTICATION_COST_SECONDS
from tidings.dispatch.responders import Responder
from tidings.log import log
from tidings.protocols.rsocket import (
    ConnectionState,
    ErrorCode,
    Setup,
    TransportHeader,
    events,
)
from tidings.protocols.rsocket.events import ProtocolEvent
from tidings.server.write_stall import WriteStallTimer
from tidings.transports.rsocket.frame_connection import FrameConnection
from tidings.transports.rsocket.frame_transport import FrameTransport
from tidings.transports.rsocket.method_resolver import MethodResolver, credentials_of, read_metadata, setup_codec
from tidings.transports.rsocket.requests import RequestHandler
from tidings.transports.rsocket.server import RSocketServer


def _charged_by_the_read(_seconds: float) -> None:
    """Authentication in a task is charged ahead (AUTHENTICATION_COST_SECONDS), its first step with the read."""


class RSocketServerConnection(FrameConnection):
    """One connection. The transport calls `on_transport_lost` and what `FrameConnection` names."""

    __slots__ = ("_is_authenticating_later",)

    def __init__(
        self, server: RSocketServer, transport: FrameTransport, transport_name: str, transport_header: TransportHeader
    ) -> None:
        super().__init__(server, transport, transport_name, transport_header)
        self._is_authenticating_later = False  # SETUP's credentials are checked in a task
        server.dispatcher.add_peer(self)

    # --- SETUP --------------------------------------------------------------------------------------------------

    def _on_setup(self, event: events.SetupReceived) -> None:
        setup = event.setup
        codec = setup_codec(setup.data_mime)
        if isinstance(codec, ApiError):
            self._reject_setup(codec, ErrorCode.UNSUPPORTED_SETUP)
        elif self.server.dispatcher.is_draining:
            self._reject_setup(SHUTTING_DOWN)
        else:
            # At once as far as it goes: a token is checked without waiting, and then reading is not paused, and the
            # frames behind SETUP are served in the same read.
            rest = start_measured(self._authenticate(setup, codec), self.server.clock, _charged_by_the_read)
            if rest is None:
                return
            self._is_authenticating_later = True
            self.transport.budget.used_seconds += AUTHENTICATION_COST_SECONDS
            self._authentication = self.server.dispatcher.start_task(rest)
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
            if self._is_authenticating_later:
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
        requests = self.requests = RequestHandler(self, client_session, resolver)
        self.engine.inline_handler = requests.handle_inline
        self.server.metrics.connections_opened[self.transport_name] += 1
        self._handle_events(self.engine.accept(self.server.clock()))
        self._grant_lease()
        self.schedule_timeout()
        if self._is_authenticating_later:  # else the transport is still reading, and flushes when it has done so
            self._update_reading()
            self.flush()

    def until_writable(self) -> Awaitable[None] | None:
        """What to await while the peer takes no replies."""
        session = self.client_session
        return session.wait_until_writable() if session is not None and self.engine.congested else None

    # --- what happens on streams --------------------------------------------------------------------------------

    def _on_request(self, event: events.RequestReceived) -> None:
        if self.requests is not None:
            self.requests.on_request(event)

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
            self.write_stall = WriteStallTimer(self.server.clock(), self.transport.buffered_bytes())
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

    def _close_session(self) -> None:
        if self._is_session_closed:
            return
        self._is_session_closed = True
        self.deferred_frames.clear()
        self._account_deferred()
        if self._authentication is not None:
            self._authentication.cancel()
        client_session, self.client_session = self.client_session, None
        self.requests = None
        self.engine.inline_handler = None
        if client_session is not None:
            client_session.session.memory.queue_sizes.pop(self, None)
            client_session.close()
