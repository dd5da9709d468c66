"""One RSocket connection, either end of it, without a socket and without a clock.

    connection = Connection(server=True, now=clock(), envelope=tcp_envelope)
    for fact in connection.receive(frame, clock()):        # one whole frame in, facts out
        handle(fact)                                       # which may call the connection and its streams
    transport.writelines(connection.outgoing())            # enveloped frames, in the order they must leave
    if connection.closing:                                 # nothing more will come: flush, then close
        transport.close()

A responder that knows many answers at once may set `at_once`: such a request becomes neither a stream nor a fact.

Beyond that the caller owes four things: `tick` when `deadline` has come; `transport_lost` when the transport is gone,
for whatever reason, which returns the facts nobody has seen yet; `writable`, set to False while the socket cannot
take bytes; and no reading of more requests while `congested`.

Nothing the peer sends makes a method raise. It gets ERROR, and the facts say what ended. What this side does
wrong raises LocalProtocolError and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import error as OutOfBytes
from types import MappingProxyType
from typing import Any, ClassVar

from tidings.rsocket import inbound, stream_zero
from tidings.rsocket.codec import HEADER, encode, no_envelope, request_frames
from tidings.rsocket.endpoint import NOTHING, Endpoint, Handler
from tidings.rsocket.errors import ErrorCode, LocalProtocolError, ProtocolError, Unreadable
from tidings.rsocket.facts import Fact
from tidings.rsocket.frames import (
    METADATA,
    STREAM_ID_MAX,
    U31,
    Frame,
    FrameType,
    Interaction,
)
from tidings.rsocket.keepalive import Keepalive, keepalive_frame
from tidings.rsocket.lease import Lease, lease_frame
from tidings.rsocket.limits import Limits
from tidings.rsocket.setup import Setup, write_setup
from tidings.rsocket.states import BEGIN, CONNECTION, ENDED, HALVES, KEEP, WAITING, Event, Side, State, Verb
from tidings.rsocket.stream import Stream

_FUNCTIONS: Mapping[Verb, Handler] = MappingProxyType({
    Verb.SETUP: stream_zero.on_setup,
    Verb.NO_SETUP: stream_zero.on_no_setup,
    Verb.NO_RESUME: stream_zero.on_no_resume,
    Verb.HOLD: stream_zero.on_held,
    Verb.ESTABLISH: stream_zero.on_established,
    Verb.KEEPALIVE: stream_zero.on_keepalive,
    Verb.LEASE: stream_zero.on_lease,
    Verb.PUSH: stream_zero.on_metadata_push,
    Verb.RESPONSE: inbound.on_request_response,
    Verb.FORGET: inbound.on_fire_and_forget,
    Verb.STREAM: inbound.on_request_stream,
    Verb.CHANNEL: inbound.on_request_channel,
    Verb.REFUSE: inbound.on_refused_request,
    Verb.CREDIT: inbound.on_request_n,
    Verb.CANCEL: inbound.on_cancel,
    Verb.PAYLOAD: inbound.on_payload,
    Verb.ERROR: stream_zero.on_error,
    Verb.SKIP: stream_zero.on_nothing,
    Verb.MISPLACED: stream_zero.on_misplaced,
    Verb.UNKNOWN: stream_zero.on_unknown,
})  # fmt: skip

_header: Callable[[bytes], tuple[int, int]] = HEADER.unpack_from
_BEGIN_RESPONSE = BEGIN[Side.REQUESTER, Interaction.REQUEST_RESPONSE]
_BEGIN_FORGET = BEGIN[Side.REQUESTER, Interaction.FIRE_AND_FORGET]
_BEGIN_STREAM = BEGIN[Side.REQUESTER, Interaction.REQUEST_STREAM]
_BEGIN_CHANNEL = BEGIN[Side.REQUESTER, Interaction.REQUEST_CHANNEL]
_AFTER_COMPLETE = KEEP[Side.REQUESTER, Event.COMPLETE_SENT] | ~HALVES


def _handlers(state: State) -> tuple[Handler, ...]:
    """One function per frame type, 64 of them: the row of this state, ready to be indexed."""
    verbs, otherwise = CONNECTION[state]
    by_number = {int(frame_type): verb for frame_type, verb in verbs.items()}
    return tuple(_FUNCTIONS[by_number.get(number, otherwise)] for number in range(64))


class Connection(Endpoint):
    """One end of a connection. `server` says which; a client must bring its `setup`, and queues SETUP at once."""

    HANDLERS: ClassVar[Mapping[State, tuple[Handler, ...]]] = MappingProxyType(
        {state: _handlers(state) for state in State}
    )

    __slots__ = ()

    def __init__(
        self,
        *,
        server: bool,
        now: float,
        limits: Limits = Limits(),
        setup: Setup | None = None,
        envelope: Callable[[int], bytes] = no_envelope,
    ) -> None:
        if server != (setup is None):
            raise ValueError("a client says what its setup is, a server is told")
        super().__init__(server=server, now=now, limits=limits, setup=setup, envelope=envelope)
        if setup is not None:
            frame = write_setup(setup)
            self.keepalives = Keepalive(setup.keepalive_ms, setup.lifetime_ms, limits, now, server=False)
            if setup.lease:
                self.lease_given, self.lease_got = Lease(), Lease()
            self.send_first(envelope(len(frame)) + frame)

    # --- in -----------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes, now: float) -> Sequence[Fact]:
        """Exactly one whole frame, without envelope. An empty one is a broken one."""
        self.now = self.heard_at = now
        if len(frame) > self.frame_bytes_max:
            return self.break_off(ErrorCode.CONNECTION_ERROR, self._frame_too_large(len(frame)), remote=True)
        # The layouts are read by offset, and a frame that is too short shows itself: struct reads nothing past the end.
        try:
            stream_id, type_and_flags = _header(frame)
            handler = self.handlers[type_and_flags >> 10]
            return handler(self, frame, stream_id & STREAM_ID_MAX, type_and_flags & 0x3FF)
        except ProtocolError as broken:
            return self._broken(frame, broken)
        except OutOfBytes:
            return self._broken(frame, Unreadable(f"a frame of {len(frame)} bytes is too short for its type"))

    def _broken(self, frame: bytes, broken: ProtocolError) -> Sequence[Fact]:
        code = broken.code
        if self.state is State.FIRST:
            code = ErrorCode.INVALID_SETUP if code is ErrorCode.CONNECTION_ERROR else code
        elif isinstance(broken, Unreadable) and stream_zero.may_be_skipped(frame):
            try:
                return self.ignore()
            except ProtocolError as too_many:
                return self.break_off(too_many.code, str(too_many), remote=True)
        return self.break_off(code, str(broken), remote=True)

    def _frame_too_large(self, size: int) -> str:
        return f"a frame has {size} bytes, at most {self.frame_bytes_max} are read (frame_bytes_max)"

    def tick(self, now: float) -> Sequence[Fact]:
        """What time alone brings about. Early and late calls do no harm."""
        self.now = now
        if self.unreported:
            return self._report()
        state = self.state
        if state is State.FIRST:
            if now >= self._first_frame_until():
                return self.break_off(
                    ErrorCode.INVALID_SETUP,
                    f"no SETUP came within {self.limits.first_frame_seconds:g} s (first_frame_seconds)",
                    remote=True,
                )
        elif state is not State.CLOSED and self.keepalives is not None:
            if self.congested:
                self.congested_at = now
            if now >= self._dead_at(self.keepalives):
                # The words that rsocket-java uses.
                return self.break_off(
                    ErrorCode.CONNECTION_ERROR,
                    f"No keep-alive acks for {self.keepalives.lifetime_seconds * 1000:.0f} ms",
                    remote=True,
                )
            if state is State.ADMITTING:
                if now >= self.opened_at + self.limits.admission_seconds:
                    text = f"authentication took longer than {self.limits.admission_seconds:g} s (admission_seconds)"
                    return self.break_off(ErrorCode.REJECTED_SETUP, text, remote=False)
            else:
                if self.lease_got is not None:
                    self.lease_got.expire(now)
                if self.keepalives.is_due(now):
                    self.keepalive()
        return NOTHING

    def deadline(self) -> float | None:
        """When `tick` is wanted next; None when it is not.

        Receiving frames only makes it later, so a timer may be left to ring too early. Ask again after `tick`,
        `accept`, `drain` and `close`, which may make it earlier.
        """
        if self.unreported:
            return self.now
        if self.state is State.FIRST:
            return self._first_frame_until()
        if self.state is State.CLOSED or self.keepalives is None:
            return None
        if self.state is State.ADMITTING:
            return min(self._dead_at(self.keepalives), self.opened_at + self.limits.admission_seconds)
        lease_until = self.lease_got.deadline() if self.lease_got is not None else float("inf")
        return min(self.keepalives.next_at, self._dead_at(self.keepalives), lease_until)

    def _first_frame_until(self) -> float:
        """When SETUP is late. It cannot be while the caller does not read what came (`congested_at`)."""
        return max(self.opened_at, self.congested_at) + self.limits.first_frame_seconds

    def _dead_at(self, keepalives: Keepalive) -> float:
        """When silence means death. While congested the caller does not read, so silence proves nothing, for long."""
        silent_since = max(self.heard_at, self.congested_at)
        return min(
            silent_since + keepalives.lifetime_seconds,
            self.heard_at + max(keepalives.lifetime_seconds, self.limits.lifetime_seconds_max),
        )

    def transport_lost(self, now: float) -> Sequence[Fact]:
        """The transport is gone. Returns what nobody has been told yet; the last of it is ConnectionEnded."""
        self.now = now
        if self.state is not State.CLOSED:
            self.unreported = self.ended_by_peer(ErrorCode.CONNECTION_ERROR, "the transport was lost")
        self.take(None)
        return self._report()

    def _report(self) -> Sequence[Fact]:
        facts, self.unreported = self.unreported, NOTHING
        return facts

    # --- admission ----------------------------------------------------------------------------------------------

    def accept(self, now: float) -> Sequence[Fact]:
        """Server: the application accepts SETUP. Returns the facts of what was held meanwhile, in order.

        If SETUP asked for leases, the held requests had none and are refused; grant one.
        """
        self.now = now
        if self.state is State.CLOSED:
            return NOTHING
        if self.state is not State.ADMITTING:
            raise LocalProtocolError("there is no SETUP to accept")
        self.become(State.OPEN)
        held, self.held, self.held_bytes = self.held, [], 0
        facts: list[Fact] = []
        for frame in held:
            facts += self.receive(frame, now)
        return facts

    def reject(self, code: ErrorCode, text: str) -> None:
        """Server: the application refuses SETUP. What was held is dropped; ERROR, then `closing`."""
        self.close(code, text)

    # --- out ----------------------------------------------------------------------------------------------------

    def outgoing(self, bytes_max: int | None = None) -> list[bytes]:
        """Take out what is to be written: stream 0 first; with `bytes_max`, one chunk at least, then up to so much.

        A chunk is one frame, unless `Stream.send_frames` was given more.
        """
        if self.unanswered:
            # REQUEST_CHANNEL must be answered with REQUEST_N. If the application has not come to it, one goes ahead.
            for stream in self.unanswered.values():
                stream.advance()
            self.unanswered.clear()
        return self.take(bytes_max)

    # --- requester ----------------------------------------------------------------------------------------------

    def request_response(self, data: bytes, metadata: bytes | None = None, *, context: Any = None) -> Stream:
        """Ask for one payload. Raises LocalProtocolError when the connection takes no requests (here and below)."""
        return self._request(Interaction.REQUEST_RESPONSE, _BEGIN_RESPONSE, None, 1, data, metadata, context)

    def fire_and_forget(self, data: bytes, metadata: bytes | None = None) -> None:
        self._request(Interaction.FIRE_AND_FORGET, _BEGIN_FORGET, None, 0, data, metadata, None)

    def request_stream(self, n: int, data: bytes, metadata: bytes | None = None, *, context: Any = None) -> Stream:
        """Ask for a stream of payloads, `n` for a beginning (2**31 - 1 means all)."""
        n = _initial(n)
        return self._request(Interaction.REQUEST_STREAM, _BEGIN_STREAM, n, n, data, metadata, context)

    def request_channel(
        self, n: int, data: bytes, metadata: bytes | None = None, *, complete: bool = False, context: Any = None
    ) -> Stream:
        """Open a channel with its first payload; `complete` if that is the last as well.

        Our credit is 0 until the responder's REQUEST_N. It may never send one (Java and rsocket-js count the first
        payload, and stay silent when the application asked for one), so do not wait for it to read.
        """
        n = _initial(n)
        state = _BEGIN_CHANNEL & _AFTER_COMPLETE | ENDED if complete else _BEGIN_CHANNEL
        return self._request(Interaction.REQUEST_CHANNEL, state, n, n, data, metadata, context, complete=complete)

    def metadata_push(self, metadata: bytes) -> None:
        """Push metadata. Never to a browser: rsocket-js 1.0-alpha closes the connection, or drops it."""
        self._must_be_open()
        frame = encode(Frame(FrameType.METADATA_PUSH, 0, METADATA, {}, metadata))
        self.send_first(self.envelope(len(frame)) + frame)

    def grant_lease(self, ttl_ms: int, requests: int, now: float) -> None:
        """Let the peer make `requests` requests within `ttl_ms`; replaces what it had.

        Not 0 requests: rsocket-js 0.0.x closes the connection then. To stop requests, let the lease run out.
        """
        self.now = now
        self._must_be_open()
        if self.lease_given is None:
            raise LocalProtocolError("SETUP does not speak of leases")
        if not (0 < ttl_ms <= U31 and 0 < requests <= U31):
            raise LocalProtocolError(f"a lease of {requests} requests in {ttl_ms} ms")
        self.lease_given.replace(ttl_ms, requests, now)
        self.send_first(lease_frame(ttl_ms, requests, self.envelope))

    def keepalive(self, data: bytes = b"") -> None:
        """Ask for a sign of life now; the answer is a KeepaliveReceived with the same data."""
        if self.state is not State.CLOSED:
            self.send_first(keepalive_frame(data, self.envelope, respond=True))

    # --- the end ------------------------------------------------------------------------------------------------

    def drain(self, now: float, text: str) -> None:
        """Refuse new requests, let the outstanding streams finish, then ERROR[CONNECTION_CLOSE] and `closing`."""
        self.now = now
        if self.state in (State.CLOSED, State.DRAINING):
            return
        self.drain_text = text
        self.unreported = [*self.unreported, *stream_zero.drop_waiting(self, text)]
        if self.streams:
            self.become(State.DRAINING)
        else:
            self.unreported = [*self.unreported, *self.finish_drain()]

    def close(self, code: ErrorCode, text: str) -> None:
        """End now: ERROR on stream 0 is the last that leaves, then `closing` is True.

        With CONNECTION_CLOSE what is queued leaves before it; with any other code it is dropped. The facts about the
        streams come from the next `tick` or `transport_lost`.
        """
        if code == ErrorCode.CONNECTION_CLOSE and self.state is not State.CLOSED:
            self.drain_text = text
            self.unreported = [*self.unreported, *self.finish_drain()]
        else:
            self.unreported = [*self.unreported, *self.break_off(code, text, remote=False)]

    # --- inside -------------------------------------------------------------------------------------------------

    def _must_be_open(self) -> None:
        if self.state not in (State.OPEN, State.AWAITING):
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
        self._must_be_open()
        stream_id = self._free_stream_id()
        frames = request_frames(
            interaction, stream_id, initial_n, data, metadata, self.envelope,
            self.fragment_bytes, complete=complete,
        )  # fmt: skip
        lease = self.lease_got
        if lease is not None and (self.waiting or not lease.take(self.now)):
            self.waiting.add(stream_id, frames)
            state |= WAITING
        self.next_stream_id = stream_id + 2
        stream = Stream(self, stream_id, interaction, True, state, 0, granted, context)
        if state & HALVES:
            self.streams[stream_id] = stream
        if not state & WAITING:
            self.send_all(frames)
        return stream

    def _free_stream_id(self) -> int:
        """The next id of our parity; after the last one they begin again, without those in use."""
        stream_id = self.next_stream_id
        while True:
            if stream_id > STREAM_ID_MAX:
                stream_id = 2 if self.server else 1
            if stream_id not in self.streams and stream_id not in self.waiting:
                return stream_id
            stream_id += 2


def _initial(n: int) -> int:
    if n < 1:
        raise LocalProtocolError(f"initial request n is {n}; at least 1")
    return min(n, U31)
