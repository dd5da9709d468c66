"""One live stream: the handle of both sides.

What a handle refuses and what it drops: it refuses (`LocalProtocolError`) what the program could have known
to be wrong: sending without credit, sending after it has completed, cancelled or failed the stream itself. It drops
in silence what comes too late because the peer or the connection ended the stream: an answer and a CANCEL
may always cross.

Peers bend two things here. A REQUEST_RESPONSE is always answered with N and C in one frame, since rsocket-js 0.0.x
never settles the promise of a C that comes alone. And REQUEST_N is not sent any more once everything was granted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tidings.protocols.rsocket.codec import cancel_frame, complete_frame, error_frame, request_n_frame
from tidings.protocols.rsocket.errors import LocalProtocolError, is_stream_error_code
from tidings.protocols.rsocket.frames import UNBOUNDED, Interaction
from tidings.protocols.rsocket.states import (
    AWAITING_LEASE,
    CLOSED_BOTH,
    CLOSED_LOCALLY,
    CREDIT_ADVANCED,
    HALVES,
    HALVES_AFTER,
    RECEIVING,
    SENDING,
    HalfTransition,
    Side,
)

if TYPE_CHECKING:
    from tidings.protocols.rsocket.connection_base import ConnectionBase

_RESPONSE = Interaction.REQUEST_RESPONSE
_AFTER_COMPLETE = HALVES_AFTER[Side.RESPONDER, HalfTransition.COMPLETE_SENT] | ~HALVES
_AFTER_CANCEL_BY_RESPONDER = HALVES_AFTER[Side.RESPONDER, HalfTransition.CANCEL_SENT] | ~HALVES


class Stream:
    """`context` is a free slot for the caller's own object; `state` is in the bits of `states.py`."""

    __slots__ = ("connection", "context", "credit", "granted", "id", "interaction", "is_requester", "state")

    def __init__(
        self,
        connection: ConnectionBase,
        stream_id: int,
        interaction: Interaction,
        is_requester: bool,
        state: int,
        credit: int,
        granted: int,
        context: Any = None,
    ) -> None:
        self.connection = connection
        self.id = stream_id
        self.interaction = interaction
        self.is_requester = is_requester
        self.state = state
        self.credit = credit  # payloads the peer still lets us send; UNBOUNDED is never used up
        self.granted = granted  # payloads we still let the peer send; likewise
        self.context = context

    def __repr__(self) -> str:
        side = "requester" if self.is_requester else "responder"
        return f"<{self.interaction.name} {self.id} {side} credit={self.credit} granted={self.granted}>"

    @property
    def unbounded(self) -> bool:
        return self.credit == UNBOUNDED

    @property
    def closed(self) -> bool:
        return not self.state & HALVES

    @property
    def sending_closed(self) -> bool:
        return not self.state & SENDING

    @property
    def receiving_closed(self) -> bool:
        return not self.state & RECEIVING

    def available_credit(self) -> int:
        """How many payloads may be made right now: the credit, or 0 while the connection cannot take bytes.

        The answer to a REQUEST_RESPONSE counts as one.
        """
        connection = self.connection
        if (
            not self.state & SENDING
            or not connection.writable
            or connection.outbound_bytes >= connection.outbound_bytes_pause
        ):
            return 0
        return self.credit

    # --- our half -----------------------------------------------------------------------------------------------

    def next(self, data: bytes, metadata: bytes | None = None, *, complete: bool = False) -> None:
        """Send one payload, in fragments if it must be; it costs one credit. `complete` ends our half with it.

        As the answer to a REQUEST_RESPONSE it needs no credit and always completes.
        Raises LocalProtocolError when the credit is spent or we have ended our half.
        """
        state = self.state
        if not state & SENDING:
            self._on_closed_half("next")
            return
        connection = self.connection
        if self.interaction is _RESPONSE:
            complete = True
        else:
            credit = self.credit
            if credit != UNBOUNDED:
                if not credit:
                    raise LocalProtocolError(f"stream {self.id}: the credit is spent")
                self.credit = credit - 1
        connection.send_payload(self.id, data, metadata, complete=complete)
        if complete:
            self._close_local_half()

    def send_frames(self, chunk: bytes, payloads: int) -> None:
        """Send frames of this stream that `payload_frames` made, with transport header; they cost `payloads` credits.

        Without C in them; for streams and channels. A transport without transport header (its messages end by
        themselves)
        must hand in one frame at a time: every chunk becomes one message there. Raises LocalProtocolError like `next`.
        """
        if not self.state & SENDING:
            self._on_closed_half("send_frames")
            return
        credit = self.credit
        if credit != UNBOUNDED:
            if credit < payloads:
                raise LocalProtocolError(f"stream {self.id}: {payloads} payloads, but a credit of {credit}")
            self.credit = credit - payloads
        self.connection.send(chunk)

    def reserve_direct_write(self, payloads: int) -> bool:
        """Whether frames as for `send_frames` may leave past the queue, since nothing waits there.

        If so they have cost their credits, and the caller writes them before anything else that leaves. If not, the
        caller queues them.
        """
        connection = self.connection
        credit = self.credit
        if connection.outbound_bytes or not connection.writable or credit < payloads or not self.state & SENDING:
            return False
        if credit != UNBOUNDED:
            self.credit = credit - payloads
        return True

    def complete(self) -> None:
        """End our half; costs no credit. An unanswered REQUEST_RESPONSE is answered with an empty payload."""
        if not self.state & SENDING:
            self._on_closed_half("complete")
            return
        if self.interaction is _RESPONSE:
            self.next(b"")
            return
        self._send_or_defer(complete_frame(self.id, self.connection.transport_header))
        self._close_local_half()

    def fail(self, code: int, text: str) -> None:
        """End the stream in both directions with ERROR (the requester of a response or stream cancels instead).

        `code` is 0x201 to 0x204 or 0x301 to 0x7FFFFFFF, else LocalProtocolError.
        """
        if not is_stream_error_code(code):
            raise LocalProtocolError(f"0x{code:x} is not an error of a stream")
        if not self.state & HALVES:
            self._on_closed_half("fail")
            return
        if self.is_requester and (self.interaction is not Interaction.REQUEST_CHANNEL or self.state & AWAITING_LEASE):
            self.cancel()
            return
        connection = self.connection
        limit = connection.limits.error_text_bytes_max
        self._close_both_halves(error_frame(self.id, code, text, connection.transport_header, limit))

    # --- the peer's half ----------------------------------------------------------------------------------------

    def request(self, n: int) -> None:
        """Let the peer send `n` more (REQUEST_N). Dropped when its half is over or everything was granted."""
        if n < 1:
            raise LocalProtocolError(f"request({n}): at least 1")
        if not self.state & RECEIVING or self.interaction is _RESPONSE or self.granted == UNBOUNDED:
            return
        if self.state & CREDIT_ADVANCED:
            # One credit went out before the application asked (see `Connection.outgoing`): it is part of these.
            self.state &= ~CREDIT_ADVANCED
            n -= 1
            if not n:
                return
        self._grant(n)

    def advance_credit(self) -> None:
        """The first credit of a channel whose application has not given any: the peer must get a REQUEST_N."""
        if self.state & RECEIVING and not self.granted:
            self.state |= CREDIT_ADVANCED
            self._grant(1)

    def cancel(self) -> None:
        """Requester: end the stream. Responder of a channel: end the requester's half, ours goes on."""
        if not self.state & HALVES:
            return
        if self.is_requester:
            if self.state & AWAITING_LEASE:
                # The peer has never heard of it.
                self.connection.pending_requests.pop(self.id)
                self._close_both_halves(b"")
            else:
                self._close_both_halves(cancel_frame(self.id, self.connection.transport_header))
        elif self.state & RECEIVING:
            self.granted = 0
            self.state &= _AFTER_CANCEL_BY_RESPONDER
            self.connection.reassembler.discard(self.id)
            self.connection.send(cancel_frame(self.id, self.connection.transport_header))
            if not self.state & HALVES:
                self.connection.remove_stream(self)

    # --- inside -------------------------------------------------------------------------------------------------

    def _grant(self, n: int) -> None:
        n = min(n, UNBOUNDED)
        self.granted = min(self.granted + n, UNBOUNDED)
        self._send_or_defer(request_n_frame(self.id, n, self.connection.transport_header))

    def _send_or_defer(self, frame: bytes) -> None:
        """Frames of a request that waits for a lease wait with it."""
        if self.state & AWAITING_LEASE:
            self.connection.pending_requests.append(self.id, frame)
        else:
            self.connection.send(frame)

    def _close_local_half(self) -> None:
        # Queueing the last frame may have ended the connection, and this stream with it: then nothing is left to do.
        if not self.state & HALVES:
            return
        self.credit = 0
        self.state = self.state & _AFTER_COMPLETE | CLOSED_LOCALLY
        if not self.state & RECEIVING:
            self.connection.remove_stream(self)

    def _close_both_halves(self, frame: bytes) -> None:
        self.credit = self.granted = 0
        self.state = CLOSED_BOTH | CLOSED_LOCALLY
        if frame:
            self.connection.send(frame)
        self.connection.remove_stream(self)

    def _on_closed_half(self, what: str) -> None:
        if self.state & CLOSED_LOCALLY:
            raise LocalProtocolError(f"stream {self.id}: {what} after this side has ended its half")
