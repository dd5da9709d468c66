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

from rsocket_kit import SETUP
from tidings.rsocket import UNBOUNDED, Connection, FrameSplitter, Interaction, Limits, Stream, facts, tcp_envelope
from tidings.rsocket.fragments import RUN_BYTES
from tidings.rsocket.states import HALVES, RECEIVING, SENDING

LIMITS = Limits(fragment_bytes=64, outbound_bytes_pause=2_000)
OPEN_MAX = 8  # streams at a time, so that they live long enough to meet
CHANNEL = Interaction.REQUEST_CHANNEL
NUMBERS = st.integers(0, 1000)
SELDOM = st.sampled_from([False, False, False, False, True])


class Half:
    """One direction of one stream."""

    def __init__(self, asked: int, ahead: int = 0) -> None:
        self.asked = asked
        self.ahead = ahead  # the engine may let a channel's first item go ahead of the application's request
        self.sent: list[bytes] = []
        self.arrived: list[bytes] = []
        self.ended = False  # the sender completed it
        self.end_arrived = False

    @property
    def allowed(self) -> int:
        return max(self.asked, self.ahead)


class Talk:
    """One stream with both its handles."""

    def __init__(self, asking: Stream, said: bytes, n: int) -> None:
        self.asking = asking
        self.said = said
        self.answering: Stream | None = None
        self.broken = False  # cancelled or failed by somebody: items may be lost from then on
        channel = asking.interaction is CHANNEL
        one = asking.interaction is Interaction.REQUEST_RESPONSE
        self.halves = {True: Half(0, int(channel)), False: Half(1 if one else n)}  # by: sent by the requester?

    def handle(self, requester: bool) -> Stream | None:
        return self.asking if requester else self.answering


class TwoEngines(RuleBasedStateMachine):
    @initialize()
    def connect(self) -> None:
        self.now = 0.0
        self.ends = {
            True: Connection(server=False, now=0.0, limits=LIMITS, setup=SETUP, envelope=tcp_envelope),
            False: Connection(server=True, now=0.0, limits=LIMITS, envelope=tcp_envelope),
        }
        self.splitters = {True: FrameSplitter(), False: FrameSplitter()}  # by the end that sent
        self.talks: dict[int, Talk] = {}
        self.over = False
        self.ended = {True: 0, False: 0}
        self.carry(True, None, 10_000, 1)

    # --- what programs do ---------------------------------------------------------------------------------------

    @precondition(lambda self: not self.over)
    @rule(client=st.booleans(), kind=st.sampled_from(Interaction), n=st.integers(1, 6), size=st.integers(0, 200))
    def ask(self, client: bool, kind: Interaction, n: int, size: int) -> None:
        end = self.ends[client]
        if not client and end.state.name != "OPEN":
            return
        said = bytes([len(self.talks) % 256]) * size
        if kind is Interaction.FIRE_AND_FORGET:
            end.fire_and_forget(said)
            return
        if sum(not each.asking.closed for each in self.talks.values()) >= OPEN_MAX:
            return
        if kind is Interaction.REQUEST_RESPONSE:
            stream = end.request_response(said)
        elif kind is Interaction.REQUEST_STREAM:
            stream = end.request_stream(n, said)
        else:
            stream = end.request_channel(n, said)
        self.talks[stream.id] = Talk(stream, said, n)

    def pick(self, which: int, requester: bool, bits: int = HALVES) -> tuple[Talk, Stream] | None:
        """One of the streams that this side has open, in the halves that matter."""
        found = [
            (talk, stream)
            for talk in self.talks.values()
            if (stream := talk.handle(requester)) is not None and stream.state & bits
        ]
        return found[which % len(found)] if found else None

    @precondition(lambda self: not self.over)
    @rule(which=NUMBERS, requester=st.booleans(), size=st.integers(0, 200), count=st.integers(1, 4), last=st.booleans())
    def send(self, which: int, requester: bool, size: int, count: int, last: bool) -> None:
        found = self.pick(which, requester, SENDING)
        if found is None:
            return
        talk, stream = found
        half = talk.halves[requester]
        for number in range(min(count, stream.sendable())):
            item = len(half.sent).to_bytes(2, "big") + bytes(size)
            done = (last and number == count - 1) or stream.interaction is Interaction.REQUEST_RESPONSE
            stream.next(item, item[:1] if size % 2 else None, complete=done)
            half.sent.append(item)
            half.ended = half.ended or done
        assert talk.broken or len(half.sent) <= half.allowed

    @precondition(lambda self: not self.over)
    @rule(which=NUMBERS, requester=st.booleans(), n=st.sampled_from([1, 1, 2, 5, UNBOUNDED]))
    def allow(self, which: int, requester: bool, n: int) -> None:
        found = self.pick(which, requester, RECEIVING)
        if found is not None and found[1].interaction is not Interaction.REQUEST_RESPONSE:
            half = found[0].halves[not requester]
            half.asked += n
            found[1].request(n)
            assert found[1].granted in range(half.allowed - len(half.arrived) + 1) or half.allowed >= UNBOUNDED

    @precondition(lambda self: not self.over)
    @rule(which=NUMBERS, requester=st.booleans())
    def complete(self, which: int, requester: bool) -> None:
        found = self.pick(which, requester, SENDING)
        if found is None or found[1].interaction is Interaction.REQUEST_RESPONSE:
            return
        found[0].halves[requester].ended = True
        found[1].complete()

    @precondition(lambda self: not self.over)
    @rule(which=NUMBERS, requester=st.booleans(), fail=st.booleans(), seldom=SELDOM)
    def break_off(self, which: int, requester: bool, fail: bool, seldom: bool) -> None:
        found = self.pick(which, requester)
        if found is None or not seldom:
            return
        found[0].broken = True
        if fail:
            found[1].fail(0x301, "no more")
            assert found[1].closed
        else:
            found[1].cancel()

    @precondition(lambda self: not self.over)
    @rule(client=st.booleans(), full=SELDOM)
    def socket(self, client: bool, full: bool) -> None:
        self.ends[client].writable = not full

    @precondition(lambda self: not self.over)
    @rule(seconds=st.integers(0, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for client in (True, False):
            self.hear(client, self.ends[client].tick(self.now))
            self.carry(client, None, 10_000, 1)  # keepalives cross in time
        for client in (True, False):
            self.carry(client, None, 10_000, 1)

    # --- what the wire does -------------------------------------------------------------------------------------

    @precondition(lambda self: not self.over)
    @rule(
        client=st.booleans(),
        bytes_max=st.none() | st.integers(1, 500),
        piece=st.sampled_from([1, 7, 64, 10_000]),
        lanes=st.sampled_from([1, 1, 3, 5]),
    )
    def carry(self, client: bool, bytes_max: int | None, piece: int, lanes: int) -> None:
        """What one end has to send reaches the other, in pieces; with several lanes, streams overtake each other."""
        stream = b"".join(self.ends[client].outgoing(bytes_max))
        splitter = self.splitters[client]
        frames = [each for at in range(0, len(stream), piece) for each in splitter.feed(stream[at : at + piece])]
        for frame in sorted(frames, key=lambda each: each[3] % lanes):
            self.hear(not client, self.ends[not client].receive(frame, self.now))

    @precondition(lambda self: not self.over and self.talks)
    @rule(seldom=SELDOM, seldomer=SELDOM)
    def lose(self, seldom: bool, seldomer: bool) -> None:
        """Now and then the transport dies, with whatever was on it."""
        if not (seldom and seldomer):
            return
        for client in (True, False):
            self.hear(client, self.ends[client].transport_lost(self.now))
        self.finish()

    @precondition(lambda self: self.over)
    @rule(which=NUMBERS, requester=st.booleans())
    def call_too_late(self, which: int, requester: bool) -> None:
        """Programs that have not noticed the end do no harm."""
        stream = list(self.talks.values())[which % len(self.talks)].handle(requester)
        if stream is None:
            return
        assert (stream.closed, stream.sendable()) == (True, 0)
        stream.request(1)
        stream.cancel()
        for client in (True, False):
            assert self.ends[client].outgoing() == []
            assert list(self.ends[client].tick(self.now + 1000)) == []

    # --- what the programs are told -----------------------------------------------------------------------------

    def hear(self, client: bool, told: Sequence[facts.Fact]) -> None:
        for fact in told:
            if isinstance(fact, facts.SetupReceived):
                self.hear(client, self.ends[client].accept(self.now))
            elif isinstance(fact, facts.RequestReceived):
                if fact.stream.interaction is not Interaction.FIRE_AND_FORGET:
                    talk = self.talks[fact.stream.id]
                    assert talk.answering is None
                    assert (fact.data, fact.stream.credit >= 1) == (talk.said, True)
                    talk.answering = fact.stream
            elif isinstance(fact, facts.PayloadReceived):
                half = self.talks[fact.stream.id].halves[not fact.stream.requester]
                half.arrived.append(fact.data)
                assert half.arrived == half.sent[: len(half.arrived)]
                assert len(half.arrived) <= half.allowed
                assert fact.metadata == (fact.data[:1] if len(fact.data) % 2 else None)
                assert not half.end_arrived
                half.end_arrived = fact.complete
            elif isinstance(fact, facts.Completed):
                half = self.talks[fact.stream.id].halves[not fact.stream.requester]
                assert half.ended
                assert not half.end_arrived
                half.end_arrived = True
            elif isinstance(fact, facts.Failed | facts.Cancelled):
                assert self.over or self.talks[fact.stream.id].broken or self.lost(client)
                assert isinstance(fact, facts.Cancelled) or fact.stream.closed
            elif isinstance(fact, facts.ConnectionEnded):
                self.ended[client] += 1

    def lost(self, client: bool) -> bool:
        return self.ends[client].state.name == "CLOSED"

    # --- what must always be true -------------------------------------------------------------------------------

    @invariant()
    def what_an_end_holds_is_bounded(self) -> None:
        for end in getattr(self, "ends", {}).values():
            assert 0 <= end.outbound_bytes <= LIMITS.outbound_bytes_max
            assert len(end.streams) <= len(self.talks)
            assert end.reassembly.held_bytes <= LIMITS.reassembly_connection_bytes_max
            assert end.reassembly.held_bytes == sum(RUN_BYTES + run.size for run in end.runs.values())
            assert not any(stream.closed for stream in end.streams.values())

    def finish(self) -> None:
        self.over = True
        assert self.ended == {True: 1, False: 1}
        for end in self.ends.values():
            assert (end.streams, end.runs, end.outbound_bytes, end.reassembly.held_bytes) == ({}, {}, 0, 0)

    def teardown(self) -> None:
        if self.over or not hasattr(self, "ends"):
            return
        for _ in range(6):
            for client in (True, False):
                self.carry(client, None, 10_000, 1)
        for talk in self.talks.values():
            for half in talk.halves.values():
                assert talk.broken or half.arrived == half.sent
                assert talk.broken or half.end_arrived == half.ended
            if talk.asking.closed:
                assert talk.asking.id not in self.ends[bool(talk.asking.id & 1)].streams
                assert talk.answering is None or talk.answering.closed
        for client in (True, False):
            self.hear(client, self.ends[client].transport_lost(self.now))
        self.finish()


TestTwoEngines = TwoEngines.TestCase
TestTwoEngines.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
