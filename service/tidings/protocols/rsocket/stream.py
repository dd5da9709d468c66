"""One open stream, for the requester and the responder alike.

A stream raises `LocalProtocolError` for calls that the program could have known to be wrong: sending without credit, or
after it has completed, cancelled or failed the stream itself. Calls that are late because the peer or the connection
ended the stream do nothing: a reply and a CANCEL may always cross.

Two rules are due to peers. The reply to a REQUEST_RESPONSE always has N and C in one frame, because rsocket-js 0.0.x
never settles the promise of a C in a frame of its own. REQUEST_N is not sent once unbounded credit was granted.
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
        self.credit = credit  # payloads that we may still send; UNBOUNDED is never used up
        self.granted = granted  # payloads that the peer may still send; likewise
        self.context = context

    def __repr__(self) -> str:
        side = "requester" if self.is_requester else "responder"
        return f"<{self.interaction.name} {self.id} {side} credit={self.credit} granted={self.granted}>"

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
        """How many payloads may be sent now: the credit, or 0 while the connection cannot take bytes.

        The reply to a REQUEST_RESPONSE counts as one.
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
        """Send one payload, fragmented if necessary; it uses one credit. `complete` closes our half with it.

        The reply to a REQUEST_RESPONSE needs no credit and always completes.
        Raises LocalProtocolError without credit, or if we have closed our half.
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
                    raise LocalProtocolError(f"stream {self.id}: there is no credit; wait for CreditGranted")
                self.credit = credit - 1
        connection.send_payload(self.id, data, metadata, complete=complete)
        if complete:
            self._close_local_half()

    def send_frames(self, chunk: bytes, payloads: int) -> None:
        """Send frames of `payload_frames` for this stream; they use `payloads` credits.

        For streams and channels, without C. A transport without transport headers must pass one frame per call: every
        chunk becomes one message there. Raises LocalProtocolError like `next`.
        """
        if not self.state & SENDING:
            self._on_closed_half("send_frames")
            return
        credit = self.credit
        if credit != UNBOUNDED:
            if credit < payloads:
                raise LocalProtocolError(
                    f"stream {self.id}: {payloads} payloads need as many credits, there are {credit}"
                )
            self.credit = credit - payloads
        self.connection.send(chunk)

    def reserve_direct_write(self, payloads: int) -> bool:
        """Whether frames as for `send_frames` may bypass the queue, because it is empty.

        If True, their credits are used, and the caller writes them before any other bytes. If False, the caller queues
        them.
        """
        connection = self.connection
        credit = self.credit
        if connection.outbound_bytes or not connection.writable or credit < payloads or not self.state & SENDING:
            return False
        if credit != UNBOUNDED:
            self.credit = credit - payloads
        return True

    def complete(self) -> None:
        """Close our half; uses no credit. For a REQUEST_RESPONSE it sends an empty reply."""
        if not self.state & SENDING:
            self._on_closed_half("complete")
            return
        if self.interaction is _RESPONSE:
            self.next(b"")
            return
        self._send_or_defer(complete_frame(self.id, self.connection.transport_header))
        self._close_local_half()

    def fail(self, code: int, text: str) -> None:
        """Close the stream in both directions with ERROR (the requester of a response or stream cancels instead).

        `code` is 0x201 to 0x204 or 0x301 to 0x7FFFFFFF, else LocalProtocolError is raised.
        """
        if not is_stream_error_code(code):
            raise LocalProtocolError(
                f"0x{code:x} is not an error code of streams; use 0x201 to 0x204 or 0x301 to 0x7fffffff"
            )
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
        """Allow the peer to send `n` more (REQUEST_N). Does nothing if its half is closed or its credit unbounded."""
        if n < 1:
            raise LocalProtocolError(f"request({n}): n must be at least 1")
        if not self.state & RECEIVING or self.interaction is _RESPONSE or self.granted == UNBOUNDED:
            return
        if self.state & CREDIT_ADVANCED:
            # One credit was granted before the application did (see `Connection.outgoing`): it is part of these.
            self.state &= ~CREDIT_ADVANCED
            n -= 1
            if not n:
                return
        self._grant(n)

    def advance_credit(self) -> None:
        """Grant the first credit of a channel whose application has granted none: the peer must get a REQUEST_N."""
        if self.state & RECEIVING and not self.granted:
            self.state |= CREDIT_ADVANCED
            self._grant(1)

    def cancel(self) -> None:
        """Requester: close the stream. Responder of a channel: close the requester's half; ours stays open."""
        if not self.state & HALVES:
            return
        if self.is_requester:
            if self.state & AWAITING_LEASE:
                # The request was never sent.
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
        """Send the frame, or add it to the request if that waits for a lease."""
        if self.state & AWAITING_LEASE:
            self.connection.pending_requests.append(self.id, frame)
        else:
            self.connection.send(frame)

    def _close_local_half(self) -> None:
        # Queueing the last frame may have ended the connection, and this stream with it.
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
            raise LocalProtocolError(f"stream {self.id}: {what} after this side has closed its half")
