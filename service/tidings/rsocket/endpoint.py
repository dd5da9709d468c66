"""What one end of a connection holds, what leaves it, and how it ends.

`Endpoint` is the part below the frames: `stream.py`, `inbound.py` and `stream_zero.py` work on it, `connection.py`
adds what the outside calls. Three rules hold it together.

*Two lanes.* Frames of stream 0 leave before all others that have not been taken yet. All the rest leaves in the order
it was queued, and a fragment run is queued in one go, so nothing of its own stream can come between. What
ends the connection leaves last.

*One way to end.* Whatever the reason, `_end` closes every stream, tells about each of them, and says
`ConnectionEnded` once. If the reason came from this side there is nobody to hand the facts to at that moment;
they wait in `unreported` for the next `tick` or `transport_lost`.

*Bytes are counted where they are queued.* `send` is the one place that frames of streams go through (or past it, with
`Stream.passes`), as `Connection.receive` is the one place they come in: the positions of resumption belong there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from tidings.rsocket.codec import Envelope, cut, error_frame, payload_frames
from tidings.rsocket.errors import ErrorCode, ProtocolError
from tidings.rsocket.facts import Cancelled, ConnectionEnded, Fact, Failed
from tidings.rsocket.fragments import Reassembly, Run
from tidings.rsocket.frames import FrameType
from tidings.rsocket.keepalive import Keepalive
from tidings.rsocket.lease import Lease, Waiting
from tidings.rsocket.limits import Limits, PerSecond
from tidings.rsocket.setup import Setup
from tidings.rsocket.states import OVER, WAITING, State

if TYPE_CHECKING:
    from tidings.rsocket.stream import Stream

Handler: TypeAlias = "Callable[[Endpoint, bytes, int, int], Sequence[Fact]]"
"""What is done with a frame: endpoint, whole frame, stream id, flags → facts."""

AtOnce: TypeAlias = Callable[[bytes | None, bytes], bytes | None]
"""(metadata, data) of a REQUEST_RESPONSE → the data of its answer, or None: begin a stream, report the request.

Raises Declined to answer with ERROR. May end the connection, but begins nothing on it.
"""

NOTHING: Sequence[Fact] = ()
_PAYLOAD = FrameType.PAYLOAD


class Endpoint:
    """State of one end. See the module's text for the rules; the names without underscore are for this package."""

    HANDLERS: ClassVar[Mapping[State, tuple[Handler, ...]]]

    __slots__ = (
        "_farewell",
        "_lane",
        "_urgent",
        "at_once",
        "close_reason",
        "closing",
        "congested_at",
        "drain_text",
        "drained_by_peer",
        "envelope",
        "fragment_bytes",
        "frame_bytes_max",
        "handlers",
        "heard_at",
        "held",
        "held_bytes",
        "ignored_frames",
        "keepalives",
        "lease_given",
        "lease_got",
        "limits",
        "next_stream_id",
        "now",
        "opened_at",
        "outbound_bytes",
        "outbound_bytes_max",
        "outbound_bytes_pause",
        "peer_parity",
        "pushes",
        "reassembly",
        "runs",
        "server",
        "setup",
        "state",
        "streams",
        "streams_max",
        "unanswered",
        "unreported",
        "waiting",
        "writable",
    )

    def __init__(self, *, server: bool, now: float, limits: Limits, setup: Setup | None, envelope: Envelope) -> None:
        self.server = server
        self.limits = limits
        self.envelope = envelope
        self.setup = setup
        self.state = State.FIRST if server else State.AWAITING
        self.handlers = self.HANDLERS[self.state]
        # Time, as the caller told it last. `heard_at` moves with every frame received.
        self.opened_at = self.heard_at = self.congested_at = self.now = now
        # Streams. The parity of an id says who opened it: clients odd, servers even.
        self.streams: dict[int, Stream] = {}
        self.peer_parity = 1 if server else 0
        self.next_stream_id = 2 if server else 1
        self.at_once: AtOnce | None = None
        self.frame_bytes_max = limits.frame_bytes_max
        self.fragment_bytes = limits.fragment_bytes
        self.streams_max = limits.streams_max
        self.reassembly = Reassembly(limits)
        self.runs: dict[int, Run] = self.reassembly.runs
        self.unanswered: dict[int, Stream] = {}  # channels whose requester has not been given any credit yet
        # Behind SETUP.
        self.held: list[bytes] = []
        self.held_bytes = 0
        # Talents; leases exist only if SETUP said so.
        self.keepalives: Keepalive | None = None
        self.lease_given: Lease | None = None
        self.lease_got: Lease | None = None
        self.waiting = Waiting(limits)
        self.pushes = PerSecond(limits.metadata_push_per_second_max)
        self.ignored_frames = PerSecond(limits.ignored_frames_per_second_max)
        # Outbound.
        self._urgent: list[bytes] = []
        self._lane: list[bytes] = []
        self._farewell = b""
        self.outbound_bytes = 0
        self.outbound_bytes_pause = limits.outbound_bytes_pause
        self.outbound_bytes_max = limits.outbound_bytes_max
        self.writable = True
        # The end.
        self.closing = False
        self.close_reason: tuple[ErrorCode, str] | None = None
        self.drain_text = ""
        self.drained_by_peer = False
        self.unreported: Sequence[Fact] = NOTHING

    def become(self, state: State) -> None:
        self.state = state
        self.handlers = self.HANDLERS[state]

    def ignore(self) -> Sequence[Fact]:
        """A frame that changes nothing. ProtocolError where a client sends too many of them.

        A client counts none: what it cancelled may have many items under way.
        """
        if self.server and not self.ignored_frames.take(self.now) and self.state is not State.CLOSED:
            raise ProtocolError(
                f"more than {self.limits.ignored_frames_per_second_max} frames a second that change nothing "
                "(ignored_frames_per_second_max)"
            )
        return NOTHING

    # --- out ----------------------------------------------------------------------------------------------------

    def send(self, chunk: bytes) -> None:
        """Queue a frame of a stream, or several with their envelopes.

        Here and below: more than `outbound_bytes_max` in the queue ends the connection.
        """
        self._lane.append(chunk)
        self.outbound_bytes += len(chunk)
        if self.outbound_bytes > self.outbound_bytes_max:
            self.overflow()

    def send_all(self, frames: list[bytes]) -> None:
        """Queue a fragment run in one go."""
        self._lane += frames
        self.outbound_bytes += sum(map(len, frames))
        if self.outbound_bytes > self.outbound_bytes_max:
            self.overflow()

    def send_payload(self, stream_id: int, data: bytes, metadata: bytes | None, *, complete: bool) -> None:
        """Queue one item, in fragments if it must be."""
        size = 9 + len(data) if metadata is None else 9 + len(data) + len(metadata)
        if size <= self.fragment_bytes:
            self.send(payload_frames(stream_id, data, metadata, self.envelope, self.fragment_bytes, complete=complete))
        else:
            self.send_all(cut(_PAYLOAD, stream_id, None, data, metadata, self.envelope, self.fragment_bytes, complete))

    def send_first(self, frame: bytes) -> None:
        """Queue a frame of stream 0 before everything else but its like."""
        self._urgent.append(frame)
        self.outbound_bytes += len(frame)
        if self.outbound_bytes > self.outbound_bytes_max:
            self.overflow()

    def send_error(self, stream_id: int, code: int, text: str) -> None:
        self.send(error_frame(stream_id, code, text, self.envelope, self.limits.error_text_bytes_max))

    def take(self, bytes_max: int | None) -> list[bytes]:
        """Take frames out in the order they leave: all, or one chunk and then as many as fit in `bytes_max`."""
        lane = self._lane
        if bytes_max is None or self.outbound_bytes <= bytes_max:
            self._lane = []
            self.outbound_bytes = 0
            if self._urgent or self._farewell:
                lane = [*self._urgent, *lane, self._farewell] if self._farewell else self._urgent + lane
                self._urgent.clear()
                self._farewell = b""
            return lane
        taken: list[bytes] = []
        size = 0
        for queue in (self._urgent, lane, [self._farewell] if self._farewell else []):
            count = 0
            for chunk in queue:
                if taken and size + len(chunk) > bytes_max:
                    break
                taken.append(chunk)
                size += len(chunk)
                count += 1
            whole = count == len(queue)
            del queue[:count]
            if not whole:
                break
        else:
            self._farewell = b""
        self.outbound_bytes -= size
        return taken

    @property
    def urgent_frames(self) -> int:
        """Frames of stream 0 that wait to leave."""
        return len(self._urgent)

    @property
    def congested(self) -> bool:
        """Whether producers should pause, and requests should not be read."""
        return not self.writable or self.outbound_bytes >= self.outbound_bytes_pause

    def overflow(self) -> None:
        text = (
            f"{self.outbound_bytes} bytes are waiting for this connection, {self.outbound_bytes_max} is the most "
            "(outbound_bytes_max); read what was sent"
        )
        self.unreported = [*self.unreported, *self.break_off(ErrorCode.CONNECTION_ERROR, text, remote=False)]

    # --- the end ------------------------------------------------------------------------------------------------

    def forget(self, stream: Stream) -> None:
        """A stream is over. While draining, the last one takes the connection with it."""
        stream_id = stream.id
        self.streams.pop(stream_id, None)
        if self.runs:
            self.reassembly.discard(stream_id)
        if self.unanswered:
            self.unanswered.pop(stream_id, None)
        if stream.state & WAITING:
            self.waiting.pop(stream_id)
        if self.state is State.DRAINING and not self.streams:
            self.unreported = [*self.unreported, *self.finish_drain()]

    def finish_drain(self) -> list[Fact]:
        """Nothing is outstanding any more, or nothing that matters. ERROR goes behind what the streams have queued.

        It was not sent when draining began, as the specification has it, because every known client ends all
        its streams on any ERROR of stream 0.
        """
        if self.drained_by_peer:
            self.closing = True
        else:
            self._part(ErrorCode.CONNECTION_CLOSE, self.drain_text)
        return self._end(ErrorCode.CONNECTION_CLOSE, self.drain_text, remote=self.drained_by_peer)

    def break_off(self, code: ErrorCode, text: str, *, remote: bool) -> list[Fact]:
        """End now: what is queued is dropped, ERROR is all that still leaves."""
        if self.state is State.CLOSED:
            return []
        self._urgent.clear()
        self._lane = []
        self.outbound_bytes = 0
        self._part(code, text)
        return self._end(code, text, remote=remote)

    def ended_by_peer(self, code: int, text: str) -> list[Fact]:
        """The peer said ERROR on stream 0, or vanished: nothing of ours will be read any more."""
        self._urgent.clear()
        self._lane = []
        self.outbound_bytes = 0
        self.closing = True
        return self._end(code, text, remote=True)

    def _part(self, code: ErrorCode, text: str) -> None:
        self._farewell = error_frame(0, code, text, self.envelope, self.limits.error_text_bytes_max)
        self.outbound_bytes += len(self._farewell)
        self.close_reason = (code, text)
        self.closing = True

    def _end(self, code: int, text: str, *, remote: bool) -> list[Fact]:
        facts: list[Fact] = []
        self.become(State.CLOSED)
        for stream in self.streams.values():
            stream.state = OVER
            stream.credit = stream.granted = 0
            facts.append(Failed(stream, code, text) if stream.requester else Cancelled(stream))
        self.streams.clear()
        self.reassembly.clear()
        self.waiting.clear()
        self.held.clear()
        self.held_bytes = 0
        self.unanswered.clear()
        facts.append(ConnectionEnded(int(code), text, remote))
        return facts
