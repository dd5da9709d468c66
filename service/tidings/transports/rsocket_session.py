"""One RSocket connection of a client, whatever carries it: facts → table → handlers and sinks.

    transport ──frames──▶ Connection ──facts──▶ RSocketSession ──▶ handler
    transport ◀──bytes─── Connection ◀──frames─ sinks, answers ◀──┘

Nothing here waits. Frames of one read are served one after the other: what a handler knows at once is queued within
the engine's `receive`, what it will know is a future, and only a handler that waits itself gets a task. What all of
them queued is one write; events go past the queue where nothing waits in it.

*Turns.* The transport hands in a few frames at a time and looks at the clock between them (`rsocket_wire`).

*A full socket.* When the transport calls it full, nothing is written, no producer has demand, and no request is
served: a peer that does not take answers may not ask. Requests wait in `held`; when many do, nothing more is read.
Until then keepalives, credit and CANCEL are served as they come, or a peer that asked for much over a thin line would
call us dead. Queued bytes therefore stay below the engine's pause mark, one batch, and the answers of calls that were
begun. When the socket is empty again, what was held is served in turns, producers are woken. A socket that takes
nothing for
`stall_seconds` is closed.

*The end* comes once, in `_leave`, whoever caused it: all work is ended, the domain's `left` callbacks run,
the gate is told. It comes when the connection is over for the protocol; the transport may live a little longer
to bring the last words out.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from tidings.contract.call import Session
from tidings.contract.errors import Failure
from tidings.log import log
from tidings.rsocket import Connection, Envelope, ErrorCode, FrameType, State, facts
from tidings.rsocket.facts import Fact
from tidings.transports import rsocket_admission
from tidings.transports.deflate import Deflater
from tidings.transports.endings import STOPPING
from tidings.transports.routes import Routes
from tidings.transports.rsocket_desk import Desk
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_work import Work
from tidings.transports.stall import Stall
from tidings.transports.wire import Wire

# The first byte behind the stream id of frames that ask for nothing, with and without the upper two flags.
ASKING_NOTHING: Final = frozenset(
    bytes((kind << 2 | flags,))
    for kind in (FrameType.KEEPALIVE, FrameType.REQUEST_N, FrameType.CANCEL, FrameType.ERROR)
    for flags in range(4)
)
HELD_FRAMES_A_LOOK: Final = 8  # that were held are served before the transport looks at the clock again
WRITE_BYTES: Final = 262_144  # handed to the transport at once; between two of them stream 0 gets its turn


class RSocketSession:
    """One connection. The transport calls `received`, `socket_full`, `socket_free` and `lost`."""

    __slots__ = (
        "_admission",
        "_finishing",
        "_held_beyond_share",
        "_left",
        "_lost",
        "_stall",
        "connection",
        "deflater",
        "desk",
        "dirty",
        "held",
        "id",
        "service",
        "session",
        "slot",
        "transport_name",
        "wire",
    )

    def __init__(self, service: RSocketService, wire: Wire, transport_name: str, envelope: Envelope) -> None:
        now = service.clock()
        self.service = service
        self.wire = wire
        self.transport_name = transport_name
        self.id = secrets.token_hex(8)
        self.connection = Connection(server=True, now=now, limits=service.limits, envelope=envelope)
        self.deflater: Deflater | None = None  # where the peer takes compressed messages
        self.session: Session | None = None  # with the desk, once SETUP is accepted
        self.desk: Desk | None = None
        self.dirty = False
        self.slot = 0
        self._admission: asyncio.Task[None] | None = None
        self.held: list[bytes] = []  # frames that wait for a full socket, and then for their turn
        self._held_beyond_share = 0  # bytes of them on the user's account
        self._stall: Stall | None = None  # while the socket is full, or the peer leaves a finished connection open
        self._finishing = False
        self._left = False
        self._lost = False
        service.sessions[self] = None
        self.rearm()

    # --- in -----------------------------------------------------------------------------------------------------

    def received(self, frames: list[bytes], now: float) -> None:
        """Whole frames, in order. `flush` is owed when the transport has read what it will for the moment."""
        held = self.held
        if held:
            frames, self.held = held + frames, []
            if self.connection.writable:
                frames, self.held = frames[:HELD_FRAMES_A_LOOK], frames[HELD_FRAMES_A_LOOK:]
        self._serve(frames, now)
        if held or self.held:
            self._count_held()
        if self.connection.lease_given is not None:
            self._grant_lease()

    @property
    def unserved(self) -> bool:
        """Whether frames wait only for their turn; `received` without any serves some of them."""
        return bool(self.held) and self.connection.writable and not self.connection.closing

    def _serve(self, frames: list[bytes], now: float) -> None:
        """Serve frames, and of a full socket what may pass; hold the rest."""
        connection = self.connection
        receive, on_fact, pause = connection.receive, self.ON_FACT, connection.outbound_bytes_pause
        kept: list[bytes] = []
        streams: set[bytes] = set()  # whose frames are kept: what follows on the same stream may not pass them
        for frame in frames:
            if not connection.writable and (frame[4:5] not in ASKING_NOTHING or frame[:4] in streams):
                kept.append(frame)
                streams.add(frame[:4])
                continue
            for fact in receive(frame, now):
                on_fact[fact.__class__](self, fact)
            if connection.outbound_bytes >= pause:
                self._push()
        if kept:
            self.held = kept + self.held
            self._read_on()

    def _count_held(self) -> None:
        """What is held beyond the share of every session (`domain.connections`) is on the user's account."""
        beyond = max(0, sum(map(len, self.held)) - self.service.connections.held_bytes_max)
        grew = beyond - self._held_beyond_share
        if grew and self.session is not None:
            self._held_beyond_share = beyond
            self.session.memory.force(grew)
            if grew > 0:
                self.end_beyond_account()

    def end_beyond_account(self) -> None:
        """End the connection where its user makes the service hold too much: it brought what could not be refused."""
        if self.session is not None and not self._left:
            try:
                self.session.memory.check(0)
            except Failure as failure:
                self.close(failure)

    def _read_on(self) -> None:
        """Read, or not, by what is held now."""
        connection, limits = self.connection, self.service.connections
        if connection.closing or connection.state is State.ADMITTING:
            return
        few = len(self.held) <= limits.held_frames_max and sum(map(len, self.held)) <= limits.held_bytes_max
        if connection.writable or few:
            self.wire.resume_reading()
        else:
            self.wire.pause_reading()

    def _told(self, told: Sequence[Fact]) -> None:
        for fact in told:
            self.ON_FACT[fact.__class__](self, fact)

    # --- SETUP --------------------------------------------------------------------------------------------------

    def _on_setup(self, fact: facts.SetupReceived) -> None:
        # Until it is known who this is, nothing more is taken from them.
        self._admission = rsocket_admission.begin(self, fact.setup)
        if self._admission is not None:
            self.wire.pause_reading()
            self.rearm()

    def refuse(self, failure: Failure, code: ErrorCode = ErrorCode.REJECTED_SETUP) -> None:
        """Nobody comes in here."""
        self._admission = None
        self.service.metrics.refused[failure.code.name.lower()] += 1
        log.info("connection refused", session=self.id, transport=self.transport_name, reason=failure.wire)
        self.connection.reject(code, failure.wire)

    def enter(self, caller: Session, routes: Routes) -> None:
        """It is known who this is, and they may come in."""
        self._admission = None
        self.session = caller  # from here on `_leave` tells the gate
        self.wire.admitted(caller.identity.user, caller.memory)
        if self._left:
            return  # what it had sent already was too much for this user
        self.desk = Desk(self, caller, routes)
        self.connection.at_once = self.desk.at_once
        self.service.metrics.connections_opened[self.transport_name] += 1
        self._told(self.connection.accept(self.service.clock()))
        self._grant_lease()
        self.rearm()
        self._read_on()
        self.flush()

    def full(self) -> Awaitable[None] | None:
        """What to wait for while the peer takes no answers."""
        return self.desk.woken() if self.desk is not None and self.connection.congested else None

    def _grant_lease(self) -> None:
        """Renew the lease of a client that asked for leases in SETUP, long before it needs one."""
        lease, limits = self.connection.lease_given, self.service.connections
        if lease is None or self.connection.state is not State.OPEN:
            return
        now = self.service.clock()
        if lease.requests * 2 <= limits.lease_requests or lease.expires_at - now <= limits.lease_seconds / 2:
            self.connection.grant_lease(round(limits.lease_seconds * 1000), limits.lease_requests, now)

    # --- what happens on streams --------------------------------------------------------------------------------

    def _on_request(self, fact: facts.RequestReceived) -> None:
        if self.desk is not None:
            self.desk.request(fact)

    def _on_payload(self, fact: facts.PayloadReceived) -> None:
        work: Work | None = fact.stream.context
        if work is not None:
            work.payload(fact.data, fact.complete)

    def _on_completed(self, fact: facts.Completed) -> None:
        work: Work | None = fact.stream.context
        if work is not None:
            work.completed()

    def _on_credit(self, fact: facts.CreditGranted) -> None:
        work: Work | None = fact.stream.context
        if work is not None:
            work.credit()

    def _on_over(self, fact: facts.Cancelled | facts.Failed) -> None:
        work: Work | None = fact.stream.context
        if work is not None and self.connection.state is not State.CLOSED:  # else `_leave` ends all of them, in steps
            work.cancelled()

    def _on_nothing(self, fact: Fact) -> None:
        """Pushed metadata, leases and answered keepalives ask for nothing."""

    def _on_ended(self, fact: facts.ConnectionEnded) -> None:
        reason = "what the peer says" if fact.remote else fact.text
        log.debug("connection ended", session=self.id, code=fact.code, reason=reason)
        self._leave()

    ON_FACT: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        facts.SetupReceived: _on_setup,
        facts.RequestReceived: _on_request,
        facts.PayloadReceived: _on_payload,
        facts.Completed: _on_completed,
        facts.Failed: _on_over,
        facts.Cancelled: _on_over,
        facts.CreditGranted: _on_credit,
        facts.MetadataPushed: _on_nothing,
        facts.LeaseReceived: _on_nothing,
        facts.KeepaliveReceived: _on_nothing,
        facts.ConnectionEnded: _on_ended,
    }

    # --- out ----------------------------------------------------------------------------------------------------

    def flush_soon(self) -> None:
        """Write what is queued in this round of the loop; with what others queue until then."""
        if not self.dirty:
            self.dirty = True
            self.service.flush_soon(self)

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it; then end, if it was the last."""
        self.dirty = False
        connection = self.connection
        if connection.writable:
            was_full = connection.outbound_bytes >= connection.outbound_bytes_pause
            self._push()
            if was_full and connection.writable and self.desk is not None:
                self.desk.wake()
        if connection.closing and not self._finishing:
            self._finish()

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, before all that is queued: only for who knows that nothing is."""
        self.service.metrics.bytes_out += len(data)
        write = self.wire.write  # as a local: Python 3.11 is slow to call an attribute that is no method
        write(data)

    def _push(self) -> None:
        connection = self.connection
        while connection.writable and (connection.outbound_bytes or connection.unanswered):
            chunks = connection.outgoing(WRITE_BYTES)
            self.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def socket_full(self) -> None:
        """The transport holds as much as it should."""
        self.connection.writable = False
        if self.session is not None:
            self.session.memory.queues[self] = self._queued_bytes
        if not self._finishing:
            self._stall = Stall(self.service.clock(), self.wire.buffered_bytes())
            self.rearm()

    def socket_free(self) -> None:
        """The transport takes bytes again."""
        connection = self.connection
        connection.writable = True
        if self.session is not None:
            self.session.memory.queues.pop(self, None)
        if self._finishing:
            return
        self._stall = None
        self._push()
        if connection.writable and self.desk is not None:
            self.desk.wake()
        self._read_on()
        self.flush()

    def _queued_bytes(self) -> int:
        """What waits for the socket."""
        return self.connection.outbound_bytes + self.wire.buffered_bytes()

    # --- time ---------------------------------------------------------------------------------------------------

    def due(self, now: float) -> None:
        """A deadline has come: the protocol's, a token's, a lease's, or that of a socket that takes nothing."""
        if not self._finishing:
            if self.wire.waits:
                self.connection.congested_at = now  # what came is not read yet, so silence proves nothing
            self._told(self.connection.tick(now))
            if self.desk is not None:
                self.desk.end_expired(self.service.wall_ms() - self.service.connections.expiry_skew_seconds * 1000)
            self._grant_lease()
        self._end_stalled(now)
        self.flush()
        self.rearm()

    def rearm(self) -> None:
        """Wait for the next deadline; it may have come nearer."""
        if self._lost:
            return
        now = self.service.clock()
        moments: list[float | None] = []
        if self._stall is not None:
            moments.append(self._stall.deadline(self._patience_seconds()))
        if not self.connection.closing:
            moments += (self.connection.deadline(), self._expiry(now))
            lease = self.connection.lease_given
            if lease is not None and self.desk is not None:
                moments.append(lease.expires_at - self.service.connections.lease_seconds / 2)
        self.service.deadlines.put(self, min((moment for moment in moments if moment is not None), default=None))

    def _expiry(self, now: float) -> float | None:
        """When the first token runs out, skew included."""
        ends_ms = self.desk.first_ending_ms() if self.desk is not None else None
        if ends_ms is None:
            return None
        return now + max(0.0, (ends_ms - self.service.wall_ms()) / 1000 + self.service.connections.expiry_skew_seconds)

    def _patience_seconds(self) -> float:
        """How long the socket may take nothing; or, when all is said, the peer may leave the connection open."""
        limits = self.service.connections
        return limits.close_seconds if self.connection.closing else limits.stall_seconds

    def _end_stalled(self, now: float) -> None:
        buffered = self.wire.buffered_bytes()
        if self._stall is None or not self._stall.lasts(now, buffered, self._patience_seconds()):
            return
        if not self.connection.closing:
            log.info("connection stalled", session=self.id, bytes=buffered)
            self.service.metrics.ended["stalled"] += 1
        self.wire.abort()

    # --- the end ------------------------------------------------------------------------------------------------

    def close(self, failure: Failure) -> None:
        """End the connection with this error."""
        if self.connection.state is not State.CLOSED:
            log.info("connection closed", session=self.id, reason=failure.wire)
            self.service.metrics.ended[failure.code.name.lower()] += 1
            self.connection.close(ErrorCode.CONNECTION_ERROR, failure.wire)
            self._leave()
            self.flush_soon()

    def broken(self, text: str) -> None:
        """What the peer sends cannot be read any further."""
        first = self.connection.state is State.FIRST
        self.connection.close(ErrorCode.INVALID_SETUP if first else ErrorCode.CONNECTION_ERROR, text)
        self.flush()

    def drain(self) -> None:
        """The service is stopping: answer what was asked, end what never would, then close."""
        if self.desk is None:
            self.stop()
            return
        self.desk.stop()
        self.connection.drain(self.service.clock(), STOPPING.wire)
        self.flush()

    def stop(self) -> None:
        """The service stops now, whatever was asked."""
        known = self.connection.state not in (State.FIRST, State.ADMITTING)
        self.connection.close(ErrorCode.CONNECTION_CLOSE if known else ErrorCode.REJECTED_SETUP, STOPPING.wire)
        self.flush()

    def _finish(self) -> None:
        """The connection is over for the protocol: bring the last words out, when the socket takes them."""
        connection = self.connection
        self._told(connection.tick(self.service.clock()))
        self._leave()
        if connection.writable:
            self._finishing = True
            self.wire.farewell(connection.close_reason)
            self._stall = Stall(self.service.clock(), self.wire.buffered_bytes())
        self.rearm()

    def lost(self) -> None:
        """The transport is gone, for whatever reason."""
        self._lost = self._finishing = True
        if self.session is not None:
            self.session.memory.queues.pop(self, None)
        self._told(self.connection.transport_lost(self.service.clock()))
        self._leave()
        self.service.deadlines.put(self, None)
        self.service.forget(self)

    def abort(self) -> None:
        """Close the transport at once."""
        self.wire.abort()

    def _leave(self) -> None:
        if self._left:
            return
        self._left = True
        self.held.clear()
        self._count_held()
        if self._admission is not None:
            self._admission.cancel()
        desk, self.desk = self.desk, None
        self.connection.at_once = None
        if desk is not None:
            desk.leave()
        session = self.session
        if session is None:
            return
        callbacks = list(session.left)
        session.left.clear()
        callbacks.append(partial(self.service.gate.left, session))
        for callback in callbacks:
            try:
                callback()
            except Exception:
                log.exception("cleaning up after a session failed", session=self.id)
        session.end()  # it refers to this object, and this one to it
