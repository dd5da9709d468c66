"""One RSocket connection, either end of it, without a socket and without a clock.

    connection = Connection(server=True, now=clock(), transport_header=tcp_length_prefix)
    for event in connection.receive(frame, clock()):       # one whole frame in, events out
        handle(event)                                      # which may call the connection and its streams
    transport.writelines(connection.outgoing())            # framed frames, in the order they must leave
    if connection.closing:                                 # nothing more will come: flush, then close
        transport.close()

A responder may set `inline_handler` to reply to requests without a stream and an event.

The caller must also: call `tick` when `deadline` is reached; call `transport_lost` when the transport has ended for any
reason, which returns the remaining events; set `writable` to False while the socket cannot take bytes; and read no
more requests while `congested`.

Nothing that the peer sends makes a method raise: the peer gets ERROR, and events report what ended. Wrong calls of the
local program raise LocalProtocolError and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import error as StructError
from types import MappingProxyType
from typing import Any, ClassVar

from tidings.protocols.rsocket import connection_frames, stream_frames
from tidings.protocols.rsocket.codec import FRAME_HEADER, encode, no_transport_header, request_frames
from tidings.protocols.rsocket.connection_base import NO_EVENTS, ConnectionBase, Handler
from tidings.protocols.rsocket.errors import ErrorCode, LocalProtocolError, MalformedFrameError, RemoteProtocolError
from tidings.protocols.rsocket.events import ProtocolEvent
from tidings.protocols.rsocket.frames import METADATA, STREAM_ID_MAX, U31, Frame, FrameType, Interaction
from tidings.protocols.rsocket.keepalive import Keepalive, keepalive_frame
from tidings.protocols.rsocket.lease import Lease, lease_frame
from tidings.protocols.rsocket.limits import Limits
from tidings.protocols.rsocket.setup import Setup, write_setup
from tidings.protocols.rsocket.states import (
    AWAITING_LEASE,
    CLOSED_LOCALLY,
    CONNECTION_STATES,
    HALVES,
    HALVES_AFTER,
    INITIAL_HALVES,
    ConnectionState,
    FrameAction,
    HalfTransition,
    Side,
)
from tidings.protocols.rsocket.stream import Stream

_ACTION_HANDLERS: Mapping[FrameAction, Handler] = MappingProxyType({
    FrameAction.SETUP: connection_frames.on_setup,
    FrameAction.REJECT_NO_SETUP: connection_frames.reject_no_setup,
    FrameAction.REJECT_RESUME: connection_frames.reject_resume,
    FrameAction.HOLD: connection_frames.hold_frame,
    FrameAction.ESTABLISH: connection_frames.on_established,
    FrameAction.KEEPALIVE: connection_frames.on_keepalive,
    FrameAction.LEASE: connection_frames.on_lease,
    FrameAction.METADATA_PUSH: connection_frames.on_metadata_push,
    FrameAction.REQUEST_RESPONSE: stream_frames.on_request_response,
    FrameAction.FIRE_AND_FORGET: stream_frames.on_fire_and_forget,
    FrameAction.REQUEST_STREAM: stream_frames.on_request_stream,
    FrameAction.REQUEST_CHANNEL: stream_frames.on_request_channel,
    FrameAction.REJECT_REQUEST: stream_frames.on_rejected_request,
    FrameAction.REQUEST_N: stream_frames.on_request_n,
    FrameAction.CANCEL: stream_frames.on_cancel,
    FrameAction.PAYLOAD: stream_frames.on_payload,
    FrameAction.ERROR: connection_frames.on_error,
    FrameAction.IGNORE: connection_frames.ignore_frame,
    FrameAction.UNEXPECTED: connection_frames.on_unexpected_frame,
    FrameAction.UNKNOWN: connection_frames.on_unknown_frame,
})  # fmt: skip

_header: Callable[[bytes], tuple[int, int]] = FRAME_HEADER.unpack_from
_INITIAL_RESPONSE = INITIAL_HALVES[Side.REQUESTER, Interaction.REQUEST_RESPONSE]
_INITIAL_FIRE_AND_FORGET = INITIAL_HALVES[Side.REQUESTER, Interaction.FIRE_AND_FORGET]
_INITIAL_STREAM = INITIAL_HALVES[Side.REQUESTER, Interaction.REQUEST_STREAM]
_INITIAL_CHANNEL = INITIAL_HALVES[Side.REQUESTER, Interaction.REQUEST_CHANNEL]
_AFTER_COMPLETE = HALVES_AFTER[Side.REQUESTER, HalfTransition.COMPLETE_SENT] | ~HALVES


def _handler_row(state: ConnectionState) -> tuple[Handler, ...]:
    """The handlers of a state, indexed by the 64 frame types."""
    actions, default = CONNECTION_STATES[state]
    by_number = {int(frame_type): action for frame_type, action in actions.items()}
    return tuple(_ACTION_HANDLERS[by_number.get(number, default)] for number in range(64))


class Connection(ConnectionBase):
    """One end of a connection. A client has a `setup`, and queues SETUP at once; a server has none."""

    HANDLERS: ClassVar[Mapping[ConnectionState, tuple[Handler, ...]]] = MappingProxyType(
        {state: _handler_row(state) for state in ConnectionState}
    )

    __slots__ = ()

    def __init__(
        self,
        *,
        server: bool,
        now: float,
        limits: Limits = Limits(),
        setup: Setup | None = None,
        transport_header: Callable[[int], bytes] = no_transport_header,
    ) -> None:
        if server != (setup is None):
            raise ValueError("a client needs setup, and a server must not have one")
        super().__init__(server=server, now=now, limits=limits, setup=setup, transport_header=transport_header)
        if setup is not None:
            frame = write_setup(setup)
            self.keepalives = Keepalive(setup.keepalive_ms, setup.lifetime_ms, limits, now, server=False)
            if setup.lease:
                self.granted_lease, self.received_lease = Lease(), Lease()
            self.send_priority(transport_header(len(frame)) + frame)

    # --- in -----------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes, now: float) -> Sequence[ProtocolEvent]:
        """Handle exactly one whole frame, without transport header. An empty one is malformed."""
        self.now = self.last_received_at = now
        if len(frame) > self.frame_bytes_max:
            return self.abort(ErrorCode.CONNECTION_ERROR, self._frame_too_large(len(frame)), remote=True)
        # The layouts are read by offset; struct raises for a frame that is too short.
        try:
            stream_id, type_and_flags = _header(frame)
            handler = self.handlers[type_and_flags >> 10]
            return handler(self, frame, stream_id & STREAM_ID_MAX, type_and_flags & 0x3FF)
        except RemoteProtocolError as error:
            return self._on_protocol_error(frame, error)
        except StructError:
            return self._on_protocol_error(
                frame, MalformedFrameError(f"a frame of {len(frame)} bytes is too short for its type")
            )

    def _on_protocol_error(self, frame: bytes, error: RemoteProtocolError) -> Sequence[ProtocolEvent]:
        code = error.code
        if self.state is ConnectionState.EXPECT_SETUP:
            code = ErrorCode.INVALID_SETUP if code is ErrorCode.CONNECTION_ERROR else code
        elif isinstance(error, MalformedFrameError) and connection_frames.is_ignorable(frame):
            try:
                return self.ignore_frame()
            except RemoteProtocolError as limit_error:
                return self.abort(limit_error.code, str(limit_error), remote=True)
        return self.abort(code, str(error), remote=True)

    def _frame_too_large(self, size: int) -> str:
        return f"a frame has {size} bytes, at most {self.frame_bytes_max} are read (frame_bytes_max)"

    def tick(self, now: float) -> Sequence[ProtocolEvent]:
        """Handle timeouts and keepalives that are due. Early and late calls are harmless."""
        self.now = now
        if self.pending_events:
            return self._take_pending_events()
        state = self.state
        if state is ConnectionState.EXPECT_SETUP:
            if now >= self._setup_deadline():
                return self.abort(
                    ErrorCode.INVALID_SETUP,
                    f"no SETUP came within {self.limits.first_frame_seconds:g} s (first_frame_seconds)",
                    remote=True,
                )
        elif state is not ConnectionState.CLOSED and self.keepalives is not None:
            if self.congested:
                self.congested_at = now
            if now >= self._lifetime_deadline(self.keepalives):
                # The text of rsocket-java.
                return self.abort(
                    ErrorCode.CONNECTION_ERROR,
                    f"No keep-alive acks for {self.keepalives.lifetime_seconds * 1000:.0f} ms",
                    remote=True,
                )
            if state is ConnectionState.AUTHENTICATING:
                if now >= self.opened_at + self.limits.authentication_seconds:
                    seconds = self.limits.authentication_seconds
                    text = f"authentication took longer than {seconds:g} s (authentication_seconds)"
                    return self.abort(ErrorCode.REJECTED_SETUP, text, remote=False)
            else:
                if self.received_lease is not None:
                    self.received_lease.expire(now)
                if self.keepalives.is_due(now):
                    self.keepalive()
        return NO_EVENTS

    def deadline(self) -> float | None:
        """When `tick` must be called next; None if not at all.

        Received frames only make it later, so a timer may fire too early. Read it again after `tick`, `accept`, `drain`
        and `close`, which may make it earlier.
        """
        if self.pending_events:
            return self.now
        if self.state is ConnectionState.EXPECT_SETUP:
            return self._setup_deadline()
        if self.state is ConnectionState.CLOSED or self.keepalives is None:
            return None
        if self.state is ConnectionState.AUTHENTICATING:
            return min(self._lifetime_deadline(self.keepalives), self.opened_at + self.limits.authentication_seconds)
        lease_until = self.received_lease.deadline() if self.received_lease is not None else float("inf")
        return min(self.keepalives.next_send_at, self._lifetime_deadline(self.keepalives), lease_until)

    def _setup_deadline(self) -> float:
        """The deadline for SETUP. It moves while the caller does not read from the socket (`congested_at`)."""
        return max(self.opened_at, self.congested_at) + self.limits.first_frame_seconds

    def _lifetime_deadline(self, keepalives: Keepalive) -> float:
        """When a silent peer is lost. While congested the caller does not read, so a longer silence is allowed."""
        silent_since = max(self.last_received_at, self.congested_at)
        return min(
            silent_since + keepalives.lifetime_seconds,
            self.last_received_at + max(keepalives.lifetime_seconds, self.limits.lifetime_seconds_max),
        )

    def transport_lost(self, now: float) -> Sequence[ProtocolEvent]:
        """The transport has ended. Returns the remaining events; the last one is ConnectionTerminated."""
        self.now = now
        if self.state is not ConnectionState.CLOSED:
            self.pending_events = self.on_closed_by_peer(ErrorCode.CONNECTION_ERROR, "the transport was lost")
        self.pop_outgoing(None)
        return self._take_pending_events()

    def _take_pending_events(self) -> Sequence[ProtocolEvent]:
        events, self.pending_events = self.pending_events, NO_EVENTS
        return events

    # --- admission ----------------------------------------------------------------------------------------------

    def accept(self, now: float) -> Sequence[ProtocolEvent]:
        """Server: accept SETUP. Returns the events of the frames that were held, in order.

        If SETUP asks for leases, held requests have none and are rejected; grant one.
        """
        self.now = now
        if self.state is ConnectionState.CLOSED:
            return NO_EVENTS
        if self.state is not ConnectionState.AUTHENTICATING:
            raise LocalProtocolError("there is no SETUP to accept; wait for SetupReceived")
        self.set_state(ConnectionState.OPEN)
        held_frames, self.held_frames, self.held_bytes = self.held_frames, [], 0
        events: list[ProtocolEvent] = []
        for frame in held_frames:
            events += self.receive(frame, now)
        return events

    def reject(self, code: ErrorCode, text: str) -> None:
        """Server: reject SETUP. Held frames are dropped; ERROR is sent, then `closing` is True."""
        self.close(code, text)

    # --- out ----------------------------------------------------------------------------------------------------

    def outgoing(self, bytes_max: int | None = None) -> list[bytes]:
        """Remove the bytes to write: stream 0 first; with `bytes_max`, one chunk and then as many as fit.

        A chunk is one frame, unless `Stream.send_frames` was called with several.
        """
        if self.uncredited_channels:
            # REQUEST_CHANNEL requires a REQUEST_N in reply. If the application has not sent one yet, the engine does.
            for stream in self.uncredited_channels.values():
                stream.advance_credit()
            self.uncredited_channels.clear()
        return self.pop_outgoing(bytes_max)

    # --- requester ----------------------------------------------------------------------------------------------

    def request_response(self, data: bytes, metadata: bytes | None = None, *, context: Any = None) -> Stream:
        """Request one payload. Here and below: raises LocalProtocolError if the connection is not open."""
        return self._request(Interaction.REQUEST_RESPONSE, _INITIAL_RESPONSE, None, 1, data, metadata, context)

    def fire_and_forget(self, data: bytes, metadata: bytes | None = None) -> None:
        self._request(Interaction.FIRE_AND_FORGET, _INITIAL_FIRE_AND_FORGET, None, 0, data, metadata, None)

    def request_stream(self, n: int, data: bytes, metadata: bytes | None = None, *, context: Any = None) -> Stream:
        """Request a stream of payloads with an initial credit of `n` (2**31 - 1: unbounded)."""
        n = _checked_initial_n(n)
        return self._request(Interaction.REQUEST_STREAM, _INITIAL_STREAM, n, n, data, metadata, context)

    def request_channel(
        self, n: int, data: bytes, metadata: bytes | None = None, *, complete: bool = False, context: Any = None
    ) -> Stream:
        """Open a channel with its first payload; `complete` if that is also the last.

        Our credit is 0 until the responder's REQUEST_N. There may be none (Java and rsocket-js count the first
        payload, and send none when the application requests one), so do not wait for it before reading.
        """
        n = _checked_initial_n(n)
        state = _INITIAL_CHANNEL & _AFTER_COMPLETE | CLOSED_LOCALLY if complete else _INITIAL_CHANNEL
        return self._request(Interaction.REQUEST_CHANNEL, state, n, n, data, metadata, context, complete=complete)

    def metadata_push(self, metadata: bytes) -> None:
        """Send METADATA_PUSH. Completes the protocol; neither the service nor the SDK uses it.

        Not for browsers: rsocket-js 1.0-alpha closes the connection or drops the frame.
        """
        self._require_open()
        frame = encode(Frame(FrameType.METADATA_PUSH, 0, METADATA, {}, metadata))
        self.send_priority(self.transport_header(len(frame)) + frame)

    def grant_lease(self, ttl_ms: int, requests: int, now: float) -> None:
        """Allow the peer `requests` requests within `ttl_ms`; replaces the last lease.

        0 is not allowed, because rsocket-js 0.0.x closes the connection then. To stop requests, let the lease expire.
        """
        self.now = now
        self._require_open()
        if self.granted_lease is None:
            raise LocalProtocolError("SETUP does not enable leases")
        if not (0 < ttl_ms <= U31 and 0 < requests <= U31):
            raise LocalProtocolError(f"a lease of {requests} requests in {ttl_ms} ms; both must be 1 to 2**31 - 1")
        self.granted_lease.replace(ttl_ms, requests, now)
        self.send_priority(lease_frame(ttl_ms, requests, self.transport_header))

    def keepalive(self, data: bytes = b"") -> None:
        """Send KEEPALIVE now; the reply is a KeepaliveReceived with the same data."""
        if self.state is not ConnectionState.CLOSED:
            self.send_priority(keepalive_frame(data, self.transport_header, respond=True))

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self, now: float, text: str) -> None:
        """Reject new requests, let the open streams finish, then send ERROR[CONNECTION_CLOSE] and set `closing`."""
        self.now = now
        if self.state in (ConnectionState.CLOSED, ConnectionState.DRAINING):
            return
        self.drain_text = text
        self.pending_events = [*self.pending_events, *connection_frames.fail_pending_requests(self, text)]
        if self.streams:
            self.set_state(ConnectionState.DRAINING)
        else:
            self.pending_events = [*self.pending_events, *self.finish_drain()]

    def close(self, code: ErrorCode, text: str) -> None:
        """End now: ERROR on stream 0 is the last frame, and `closing` is True.

        With CONNECTION_CLOSE the queued frames leave before it; with other codes they are dropped. The events of the
        streams are returned by the next `tick` or `transport_lost`.
        """
        if code == ErrorCode.CONNECTION_CLOSE and self.state is not ConnectionState.CLOSED:
            self.drain_text = text
            self.pending_events = [*self.pending_events, *self.finish_drain()]
        else:
            self.pending_events = [*self.pending_events, *self.abort(code, text, remote=False)]

    # --- inside -------------------------------------------------------------------------------------------------

    def _require_open(self) -> None:
        if self.state not in (ConnectionState.OPEN, ConnectionState.SETUP_SENT):
            raise LocalProtocolError(f"the connection is {self.state.name.lower()}")

    def _request(
        self,
        interaction: Interaction,
        state: int,
        initial_n: int | None,
        granted: int,
        data: bytes,
        metadata: bytes | None,
        context: Any,
        *,
        complete: bool = False,
    ) -> Stream:
        self._require_open()
        stream_id = self._free_stream_id()
        frames = request_frames(
            interaction, stream_id, initial_n, data, metadata, self.transport_header,
            self.fragment_bytes, complete=complete,
        )  # fmt: skip
        lease = self.received_lease
        if lease is not None and (self.pending_requests or not lease.acquire(self.now)):
            self.pending_requests.add(stream_id, frames)
            state |= AWAITING_LEASE
        self.next_stream_id = stream_id + 2
        stream = Stream(self, stream_id, interaction, True, state, 0, granted, context)
        if state & HALVES:
            self.streams[stream_id] = stream
        if not state & AWAITING_LEASE:
            self.send_all(frames)
        return stream

    def _free_stream_id(self) -> int:
        """The next id of our parity; after the last one the first free one."""
        stream_id = self.next_stream_id
        while True:
            if stream_id > STREAM_ID_MAX:
                stream_id = 2 if self.server else 1
            if stream_id not in self.streams and stream_id not in self.pending_requests:
                return stream_id
            stream_id += 2


def _checked_initial_n(n: int) -> int:
    if n < 1:
        raise LocalProtocolError(f"initial request n is {n}; it must be at least 1")
    return min(n, U31)
