"""Two engines that do whatever is allowed, over a wire that delivers as it likes, and breaks.

The model beside them is small: per stream and direction, what was sent, what arrived, and how much was allowed.
Whatever the order of events: nobody sends more than was allowed, every item arrives once and in order, whole, and
what an end holds is bounded and is nothing when all is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rsocket_harness import SETUP
from tidings.protocols.rsocket import (
    UNBOUNDED,
    Connection,
    Interaction,
    LengthFieldDecoder,
    Limits,
    Stream,
    events,
    tcp_length_prefix,
)
from tidings.protocols.rsocket.reassembly import PARTIAL_PAYLOAD_BYTES
from tidings.protocols.rsocket.states import HALVES, RECEIVING, SENDING

LIMITS = Limits(fragment_bytes=64, outbound_bytes_pause=2_000)
OPEN_MAX = 8  # streams at a time, so that they live long enough to meet
CHANNEL = Interaction.REQUEST_CHANNEL
NUMBERS = st.integers(0, 1000)
SELDOM = st.sampled_from([False, False, False, False, True])


class HalfModel:
    """One direction of one stream."""

    def __init__(self, asked: int, ahead: int = 0) -> None:
        self.requested = asked
        self.ahead = ahead  # the engine may let a channel's first item go ahead of the application's request
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.ended = False  # the sender completed it
        self.end_arrived = False

    @property
    def allowed(self) -> int:
        return max(self.requested, self.ahead)


class StreamModel:
    """One stream with both its handles."""

    def __init__(self, asking: Stream, said: bytes, n: int) -> None:
        self.requester_stream = asking
        self.request_data = said
        self.responder_stream: Stream | None = None
        self.is_broken = False  # cancelled or failed by somebody: items may be lost from then on
        channel = asking.interaction is CHANNEL
        one = asking.interaction is Interaction.REQUEST_RESPONSE
        self.halves = {
            True: HalfModel(0, int(channel)),
            False: HalfModel(1 if one else n),
        }  # by: sent by the requester?

    def handle(self, requester: bool) -> Stream | None:
        return self.requester_stream if requester else self.responder_stream


class TwoEngines(RuleBasedStateMachine):
    @initialize()
    def connect(self) -> None:
        self.now = 0.0
        self.connections = {
            True: Connection(server=False, now=0.0, limits=LIMITS, setup=SETUP, transport_header=tcp_length_prefix),
            False: Connection(server=True, now=0.0, limits=LIMITS, transport_header=tcp_length_prefix),
        }
        self.splitters = {True: LengthFieldDecoder(), False: LengthFieldDecoder()}  # by the end that sent
        self.streams: dict[int, StreamModel] = {}
        self.is_over = False
        self.ended = {True: 0, False: 0}
        self.transfer(True, None, 10_000, 1)

    # --- what programs do ---------------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_over)
    @rule(client=st.booleans(), kind=st.sampled_from(Interaction), n=st.integers(1, 6), size=st.integers(0, 200))
    def open_stream(self, client: bool, kind: Interaction, n: int, size: int) -> None:
        end = self.connections[client]
        if not client and end.state.name != "OPEN":
            return
        said = bytes([len(self.streams) % 256]) * size
        if kind is Interaction.FIRE_AND_FORGET:
            end.fire_and_forget(said)
            return
        if sum(not each.requester_stream.closed for each in self.streams.values()) >= OPEN_MAX:
            return
        if kind is Interaction.REQUEST_RESPONSE:
            stream = end.request_response(said)
        elif kind is Interaction.REQUEST_STREAM:
            stream = end.request_stream(n, said)
        else:
            stream = end.request_channel(n, said)
        self.streams[stream.id] = StreamModel(stream, said, n)

    def pick(self, which: int, requester: bool, bits: int = HALVES) -> tuple[StreamModel, Stream] | None:
        """One of the streams that this side has open, in the halves that matter."""
        found = [
            (model, stream)
            for model in self.streams.values()
            if (stream := model.handle(requester)) is not None and stream.state & bits
        ]
        return found[which % len(found)] if found else None

    @precondition(lambda self: not self.is_over)
    @rule(which=NUMBERS, requester=st.booleans(), size=st.integers(0, 200), count=st.integers(1, 4), last=st.booleans())
    def send(self, which: int, requester: bool, size: int, count: int, last: bool) -> None:
        found = self.pick(which, requester, SENDING)
        if found is None:
            return
        model, stream = found
        half = model.halves[requester]
        for number in range(min(count, stream.available_credit())):
            item = len(half.sent).to_bytes(2, "big") + bytes(size)
            done = (last and number == count - 1) or stream.interaction is Interaction.REQUEST_RESPONSE
            stream.next(item, item[:1] if size % 2 else None, complete=done)
            half.sent.append(item)
            half.ended = half.ended or done
        assert model.is_broken or len(half.sent) <= half.allowed

    @precondition(lambda self: not self.is_over)
    @rule(which=NUMBERS, requester=st.booleans(), n=st.sampled_from([1, 1, 2, 5, UNBOUNDED]))
    def allow(self, which: int, requester: bool, n: int) -> None:
        found = self.pick(which, requester, RECEIVING)
        if found is not None and found[1].interaction is not Interaction.REQUEST_RESPONSE:
            half = found[0].halves[not requester]
            half.requested += n
            found[1].request(n)
            assert found[1].granted in range(half.allowed - len(half.received) + 1) or half.allowed >= UNBOUNDED

    @precondition(lambda self: not self.is_over)
    @rule(which=NUMBERS, requester=st.booleans())
    def complete(self, which: int, requester: bool) -> None:
        found = self.pick(which, requester, SENDING)
        if found is None or found[1].interaction is Interaction.REQUEST_RESPONSE:
            return
        found[0].halves[requester].ended = True
        found[1].complete()

    @precondition(lambda self: not self.is_over)
    @rule(which=NUMBERS, requester=st.booleans(), fail=st.booleans(), seldom=SELDOM)
    def cancel_or_fail(self, which: int, requester: bool, fail: bool, seldom: bool) -> None:
        found = self.pick(which, requester)
        if found is None or not seldom:
            return
        found[0].is_broken = True
        if fail:
            found[1].fail(0x301, "no more")
            assert found[1].closed
        else:
            found[1].cancel()

    @precondition(lambda self: not self.is_over)
    @rule(client=st.booleans(), full=SELDOM)
    def socket(self, client: bool, full: bool) -> None:
        self.connections[client].writable = not full

    @precondition(lambda self: not self.is_over)
    @rule(seconds=st.integers(0, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for client in (True, False):
            self.on_events(client, self.connections[client].tick(self.now))
            self.transfer(client, None, 10_000, 1)  # keepalives cross in time
        for client in (True, False):
            self.transfer(client, None, 10_000, 1)

    # --- what the wire does -------------------------------------------------------------------------------------

    @precondition(lambda self: not self.is_over)
    @rule(
        client=st.booleans(),
        bytes_max=st.none() | st.integers(1, 500),
        piece=st.sampled_from([1, 7, 64, 10_000]),
        lanes=st.sampled_from([1, 1, 3, 5]),
    )
    def transfer(self, client: bool, bytes_max: int | None, piece: int, lanes: int) -> None:
        """What one end has to send reaches the other, in pieces; with several lanes, streams overtake each other."""
        stream = b"".join(self.connections[client].outgoing(bytes_max))
        splitter = self.splitters[client]
        frames = [each for at in range(0, len(stream), piece) for each in splitter.feed(stream[at : at + piece])]
        for frame in sorted(frames, key=lambda each: each[3] % lanes):
            self.on_events(not client, self.connections[not client].receive(frame, self.now))

    @precondition(lambda self: not self.is_over and self.streams)
    @rule(seldom=SELDOM, seldomer=SELDOM)
    def lose_transport(self, seldom: bool, seldomer: bool) -> None:
        """Now and then the transport dies, with whatever was on it."""
        if not (seldom and seldomer):
            return
        for client in (True, False):
            self.on_events(client, self.connections[client].transport_lost(self.now))
        self.finish()

    @precondition(lambda self: self.is_over)
    @rule(which=NUMBERS, requester=st.booleans())
    def call_too_late(self, which: int, requester: bool) -> None:
        """Programs that have not noticed the end do no harm."""
        stream = list(self.streams.values())[which % len(self.streams)].handle(requester)
        if stream is None:
            return
        assert (stream.closed, stream.available_credit()) == (True, 0)
        stream.request(1)
        stream.cancel()
        for client in (True, False):
            assert self.connections[client].outgoing() == []
            assert list(self.connections[client].tick(self.now + 1000)) == []

    # --- what the programs are told -----------------------------------------------------------------------------

    def on_events(self, client: bool, told: Sequence[events.ProtocolEvent]) -> None:
        for event in told:
            if isinstance(event, events.SetupReceived):
                self.on_events(client, self.connections[client].accept(self.now))
            elif isinstance(event, events.RequestReceived):
                if event.stream.interaction is not Interaction.FIRE_AND_FORGET:
                    model = self.streams[event.stream.id]
                    assert model.responder_stream is None
                    assert (event.data, event.stream.credit >= 1) == (model.request_data, True)
                    model.responder_stream = event.stream
            elif isinstance(event, events.PayloadReceived):
                half = self.streams[event.stream.id].halves[not event.stream.is_requester]
                half.received.append(event.data)
                assert half.received == half.sent[: len(half.received)]
                assert len(half.received) <= half.allowed
                assert event.metadata == (event.data[:1] if len(event.data) % 2 else None)
                assert not half.end_arrived
                half.end_arrived = event.complete
            elif isinstance(event, events.Completed):
                half = self.streams[event.stream.id].halves[not event.stream.is_requester]
                assert half.ended
                assert not half.end_arrived
                half.end_arrived = True
            elif isinstance(event, events.Failed | events.Cancelled):
                assert self.is_over or self.streams[event.stream.id].is_broken or self.lost(client)
                assert isinstance(event, events.Cancelled) or event.stream.closed
            elif isinstance(event, events.ConnectionTerminated):
                self.ended[client] += 1

    def lost(self, client: bool) -> bool:
        return self.connections[client].state.name == "CLOSED"

    # --- what must always be true -------------------------------------------------------------------------------

    @invariant()
    def what_an_end_holds_is_bounded(self) -> None:
        for end in getattr(self, "ends", {}).values():
            assert 0 <= end.outbound_bytes <= LIMITS.outbound_bytes_max
            assert len(end.streams) <= len(self.streams)
            assert end.reassembler.held_bytes <= LIMITS.reassembly_connection_bytes_max
            assert end.reassembler.held_bytes == sum(
                PARTIAL_PAYLOAD_BYTES + payload.size for payload in end.partial_payloads.values()
            )
            assert not any(stream.closed for stream in end.streams.values())

    def finish(self) -> None:
        self.is_over = True
        assert self.ended == {True: 1, False: 1}
        for end in self.connections.values():
            assert (end.streams, end.partial_payloads, end.outbound_bytes, end.reassembler.held_bytes) == ({}, {}, 0, 0)

    def teardown(self) -> None:
        if self.is_over or not hasattr(self, "ends"):
            return
        for _ in range(6):
            for client in (True, False):
                self.transfer(client, None, 10_000, 1)
        for model in self.streams.values():
            for half in model.halves.values():
                assert model.is_broken or half.received == half.sent
                assert model.is_broken or half.end_arrived == half.ended
            if model.requester_stream.closed:
                assert model.requester_stream.id not in self.connections[bool(model.requester_stream.id & 1)].streams
                assert model.responder_stream is None or model.responder_stream.closed
        for client in (True, False):
            self.on_events(client, self.connections[client].transport_lost(self.now))
        self.finish()


TestTwoEngines = TwoEngines.TestCase
TestTwoEngines.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
