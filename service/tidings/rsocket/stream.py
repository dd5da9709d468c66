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

from tidings.rsocket.codec import cancel_frame, complete_frame, error_frame, request_n_frame
from tidings.rsocket.errors import LocalProtocolError, may_end_a_stream
from tidings.rsocket.frames import UNBOUNDED, Interaction
from tidings.rsocket.states import (
    ADVANCED,
    ENDED,
    HALVES,
    KEEP,
    OVER,
    RECEIVING,
    SENDING,
    WAITING,
    Event,
    Side,
)

if TYPE_CHECKING:
    from tidings.rsocket.endpoint import Endpoint

_RESPONSE = Interaction.REQUEST_RESPONSE
_AFTER_COMPLETE = KEEP[Side.RESPONDER, Event.COMPLETE_SENT] | ~HALVES
_AFTER_CANCEL_BY_RESPONDER = KEEP[Side.RESPONDER, Event.CANCEL_SENT] | ~HALVES


class Stream:
    """`context` is a free slot for the caller's own object; `state` is in the bits of `states.py`."""

    __slots__ = ("connection", "context", "credit", "granted", "id", "interaction", "requester", "state")

    def __init__(
        self,
        connection: Endpoint,
        stream_id: int,
        interaction: Interaction,
        requester: bool,
        state: int,
        credit: int,
        granted: int,
        context: Any = None,
    ) -> None:
        self.connection = connection
        self.id = stream_id
        self.interaction = interaction
        self.requester = requester
        self.state = state
        self.credit = credit  # payloads the peer still lets us send; UNBOUNDED is never used up
        self.granted = granted  # payloads we still let the peer send; likewise
        self.context = context

    def __repr__(self) -> str:
        side = "requester" if self.requester else "responder"
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

    def sendable(self) -> int:
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
            self._too_late("next")
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
            self._end_half()

    def send_frames(self, chunk: bytes, payloads: int) -> None:
        """Send frames of this stream that `payload_frames` made, with envelopes; they cost `payloads` credits.

        Without C in them; for streams and channels. A transport without envelopes (its messages end by themselves)
        must hand in one frame at a time: every chunk becomes one message there. Raises LocalProtocolError like `next`.
        """
        if not self.state & SENDING:
            self._too_late("send_frames")
            return
        credit = self.credit
        if credit != UNBOUNDED:
            if credit < payloads:
                raise LocalProtocolError(f"stream {self.id}: {payloads} payloads, but a credit of {credit}")
            self.credit = credit - payloads
        self.connection.send(chunk)

    def passes(self, payloads: int) -> bool:
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
            self._too_late("complete")
            return
        if self.interaction is _RESPONSE:
            self.next(b"")
            return
        self._send_later(complete_frame(self.id, self.connection.envelope))
        self._end_half()

    def fail(self, code: int, text: str) -> None:
        """End the stream in both directions with ERROR (the requester of a response or stream cancels instead).

        `code` is 0x201 to 0x204 or 0x301 to 0x7FFFFFFF, else LocalProtocolError.
        """
        if not may_end_a_stream(code):
            raise LocalProtocolError(f"0x{code:x} is not an error of a stream")
        if not self.state & HALVES:
            self._too_late("fail")
            return
        if self.requester and (self.interaction is not Interaction.REQUEST_CHANNEL or self.state & WAITING):
            self.cancel()
            return
        connection = self.connection
        limit = connection.limits.error_text_bytes_max
        self._end_both(error_frame(self.id, code, text, connection.envelope, limit))

    # --- the peer's half ----------------------------------------------------------------------------------------

    def request(self, n: int) -> None:
        """Let the peer send `n` more (REQUEST_N). Dropped when its half is over or everything was granted."""
        if n < 1:
            raise LocalProtocolError(f"request({n}): at least 1")
        if not self.state & RECEIVING or self.interaction is _RESPONSE or self.granted == UNBOUNDED:
            return
        if self.state & ADVANCED:
            # One credit went out before the application asked (see `Connection.outgoing`): it is part of these.
            self.state &= ~ADVANCED
            n -= 1
            if not n:
                return
        self._grant(n)

    def advance(self) -> None:
        """The first credit of a channel whose application has not given any: the peer must get a REQUEST_N."""
        if self.state & RECEIVING and not self.granted:
            self.state |= ADVANCED
            self._grant(1)

    def cancel(self) -> None:
        """Requester: end the stream. Responder of a channel: end the requester's half, ours goes on."""
        if not self.state & HALVES:
            return
        if self.requester:
            if self.state & WAITING:
                # The peer has never heard of it.
                self.connection.waiting.pop(self.id)
                self._end_both(b"")
            else:
                self._end_both(cancel_frame(self.id, self.connection.envelope))
        elif self.state & RECEIVING:
            self.granted = 0
            self.state &= _AFTER_CANCEL_BY_RESPONDER
            self.connection.reassembly.discard(self.id)
            self.connection.send(cancel_frame(self.id, self.connection.envelope))
            if not self.state & HALVES:
                self.connection.forget(self)

    # --- inside -------------------------------------------------------------------------------------------------

    def _grant(self, n: int) -> None:
        n = min(n, UNBOUNDED)
        self.granted = min(self.granted + n, UNBOUNDED)
        self._send_later(request_n_frame(self.id, n, self.connection.envelope))

    def _send_later(self, frame: bytes) -> None:
        """Frames of a request that waits for a lease wait with it."""
        if self.state & WAITING:
            self.connection.waiting.append(self.id, frame)
        else:
            self.connection.send(frame)

    def _end_half(self) -> None:
        # Queueing the last frame may have ended the connection, and this stream with it: then nothing is left to do.
        if not self.state & HALVES:
            return
        self.credit = 0
        self.state = self.state & _AFTER_COMPLETE | ENDED
        if not self.state & RECEIVING:
            self.connection.forget(self)

    def _end_both(self, frame: bytes) -> None:
        self.credit = self.granted = 0
        self.state = OVER | ENDED
        if frame:
            self.connection.send(frame)
        self.connection.forget(self)

    def _too_late(self, what: str) -> None:
        if self.state & ENDED:
            raise LocalProtocolError(f"stream {self.id}: {what} after this side has ended its half")
