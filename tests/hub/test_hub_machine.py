"""Whatever happens in whatever order: each reader gets a contiguous sequence, once, with one live mark.

A model beside the hub knows what the log holds and where each reader stands. Speakers speak, notifications are late or
lost, pages come late and in any order, events are rewritten and removed, readers come, grant, starve and go. Every
delivery is judged at once; when the dust has settled everybody has everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from hub.stage import ROOM, UNBOUNDED, Event, Gap, Item, Live, Reader, Stage
from tidings.hub import Batch, HubLimits, Lag, Subscription, TooSlow

LIMITS = HubLimits(
    tail_events_max=8,
    tail_bytes_max=700,
    tails_bytes_max=1000,
    batch_events_max=4,
    batch_bytes_max=350,
    page_events_min=2,
    page_events_max=5,
    page_bytes_max=400,
    held_bytes_max=200,
    reads_max=2,
    shard_subscriptions_max=2,
    latest_lag_events=6,
    latest_keep_events=2,
    close_lag_events=9,
    stall_seconds=50,
    idle_feed_seconds=20,
    idle_feeds_max=1,
    room_subscriptions_max=1000,
)
DOWN = OSError("the store is down")
REMOVED = PermissionError("removed from the room")


class ModelStage(Stage):
    """Remembers events beyond their removal."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.ever: dict[tuple[str, int], Item] = {}

    def commit(self, count: int = 1, room: str = ROOM, text: str = "") -> list[tuple[int, Item]]:
        events = super().commit(count, room, text)
        self.ever.update({(room, seq): item for seq, item in events})
        return events

    def latest(self, room: str, seq: int) -> Item:
        return self.ever[room, seq]


@dataclass(eq=False)
class Witness:
    """A reader, and what it has a right to expect."""

    reader: Reader[Item]
    stage: ModelStage
    room: str
    lag: Lag
    position: int | None  # None: it began without a cursor, and the live mark will say where
    least: int  # the head that was known when it came: the live mark is not before it
    lives: int = 0
    closed: bool = False
    removed: bool = False
    closes_after: int = -1  # items; then it closes from inside deliver
    subscription: Subscription[Item] | None = None

    @property
    def over(self) -> bool:
        return self.closed or bool(self.reader.errors)

    def judge(self, batch: Batch[Item]) -> None:
        assert not self.closed
        assert not self.removed
        for item in batch.items:
            match item:
                case Live(seq):
                    assert self.position in (None, seq), "the mark is at the cursor"
                    assert self.least <= seq <= self.stage.heads.get(self.room, 0)
                    self.lives += 1
                    self.position = seq
                case Event(seq):
                    assert self.position is not None, "the mark comes first when there was no cursor"
                    assert seq == self.position + 1, "neither a gap nor a repeat"
                    assert item == self.stage.latest(self.room, seq), "as it is now"
                    self.position = seq
                case Gap(first, last):
                    assert self.position is not None
                    assert first == self.position + 1 <= last
                    removed = not any(first <= seq <= last for seq in self.stage.log[self.room])
                    assert removed or self.lag is Lag.LATEST
                    self.position = last
        assert self.lives <= 1
        assert batch.last == self.position
        self.closes_after -= len(batch.items)
        if -len(batch.items) <= self.closes_after < 0 and self.subscription:
            self.closed = True
            self.subscription.close()


rooms = st.sampled_from(["lobby", "attic"])


class HubMachine(RuleBasedStateMachine):
    witnesses = Bundle("witnesses")

    @initialize(history=st.integers(0, 12))
    def begin(self, history: int) -> None:
        self.stage = ModelStage()
        self.untold: dict[str, list[list[tuple[int, Item]]]] = {"lobby": [], "attic": []}
        self.told = {"lobby": 0, "attic": 0}
        self.all: list[Witness] = []
        if history:
            self.stage.commit(history)

    # speakers

    @rule(room=rooms, count=st.integers(1, 12), late=st.booleans())
    def send(self, room: str, count: int, late: bool) -> None:
        self.untold[room].append(self.stage.commit(count, room))
        if not late:
            self.tell(room)

    @rule(room=rooms)
    def tell(self, room: str) -> None:
        for told in self.untold[room]:
            self.stage.hub.notify(room, self.stage.epoch, told)
            self.told[room] = max(self.told[room], told[-1][0])
        self.untold[room].clear()

    @rule(room=rooms)
    def lose_a_notification(self, room: str) -> None:
        if self.untold[room]:
            self.untold[room].pop(0)

    @rule(room=rooms, back=st.integers(0, 10))
    def hear_of_a_head(self, room: str, back: int) -> None:
        seq = self.stage.heads.get(room, 0) - back
        if seq > 0:
            self.stage.hub.reach(room, self.stage.epoch, seq)

    @rule(room=rooms, back=st.integers(0, 15))
    def rewrite(self, room: str, back: int) -> None:
        seq = self.stage.heads.get(room, 0) - back
        if seq in self.stage.log.get(room, {}) and seq <= self.told[room]:
            new = Event(seq, "rewritten " + str(len(self.stage.ever)) + str(self.stage.ever[room, seq]))
            self.stage.ever[room, seq] = self.stage.log[room][seq] = new
            self.stage.hub.amend(room, seq, new)

    @rule(room=rooms, keep=st.integers(0, 15))
    def remove_old(self, room: str, keep: int) -> None:
        if self.told[room] > keep:
            self.stage.remove_up_to(self.told[room] - keep, room)

    # readers

    @rule(
        target=witnesses,
        room=rooms,
        back=st.none() | st.integers(0, 30),
        credit=st.sampled_from([0, 1, 3, UNBOUNDED]),
        lag=st.sampled_from(list(Lag)),
        closes_after=st.sampled_from([-1, -1, -1, 2]),
    )
    def watch(self, room: str, back: int | None, credit: int, lag: Lag, closes_after: int) -> Witness:
        head = self.stage.heads.get(room, 0)
        after = None if back is None else max(head - back, 0)
        reader: Reader[Item] = Reader(credit)
        # What was told before a feed existed is known to the log alone, and the log is asked.
        least = self.told[room] if after is None else after
        witness = Witness(reader, self.stage, room, lag, after, least, closes_after=closes_after)
        reader.on_deliver = witness.judge
        witness.subscription = self.stage.watch(reader, after, room=room, owner=f"user{len(self.all)}", lag=lag)
        self.all.append(witness)
        return witness

    @rule(witness=witnesses, credit=st.sampled_from([1, 2, 7, UNBOUNDED]))
    def grant(self, witness: Witness, credit: int) -> None:
        witness.reader.credit = min(witness.reader.credit + credit, UNBOUNDED)
        assert witness.subscription
        witness.subscription.wake()

    @rule(witness=witnesses)
    def starve(self, witness: Witness) -> None:
        witness.reader.credit = 0

    @rule(witness=consumes(witnesses))
    def close(self, witness: Witness) -> None:
        witness.closed = True
        assert witness.subscription
        witness.subscription.close()

    @rule(witness=witnesses)
    def end(self, witness: Witness) -> None:
        assert witness.subscription
        self.stage.hub.end(witness.room, witness.subscription.owner, REMOVED)
        witness.removed = True

    # the loop, the log, the clock

    @rule()
    def turn(self) -> None:
        self.stage.loop.turn()

    @rule()
    def run(self) -> None:
        self.stage.loop.run()

    @precondition(lambda self: self.stage.reads)
    @rule(pick=st.integers(0, 9), fresh=st.booleans())
    def answer_a_read(self, pick: int, fresh: bool) -> None:
        read = self.stage.reads[pick % len(self.stage.reads)]
        if fresh:  # the log was looked into at the last moment, not when the read was asked for
            read.seen = dict(self.stage.log.get(read.room, {}))
        self.stage.answer_read(pick % len(self.stage.reads))

    @precondition(lambda self: self.stage.reads)
    @rule()
    def fail_a_read(self) -> None:
        self.stage.reads.pop(0).done(DOWN)

    @precondition(lambda self: self.stage.head_reads)
    @rule()
    def fail_a_head(self) -> None:
        self.stage.head_reads.pop(0).done(DOWN)

    @rule()
    def settle(self) -> None:
        self.stage.settle()

    @precondition(lambda self: self.stage.head_reads)
    @rule(fresh=st.booleans())
    def answer_a_head(self, fresh: bool) -> None:
        self.stage.answer_head(None if fresh else self.stage.head_reads[0].seen)

    @rule(seconds=st.integers(1, 30))
    def tick(self, seconds: int) -> None:
        self.stage.loop.now += seconds
        self.stage.hub.tick(self.stage.loop.now)

    # what always holds

    @invariant()
    def reads_are_bounded_and_never_doubled(self) -> None:
        asked = [(read.room, read.after) for read in self.stage.reads]
        assert len(asked) <= LIMITS.reads_max
        stats = self.stage.hub.stats
        assert stats.reads_in_flight == len(asked)
        assert stats.feeds <= 2

    @invariant()
    def errors_are_those_that_were_caused(self) -> None:
        for witness in self.all:
            error = witness.reader.error
            if isinstance(error, TooSlow):
                assert error.seq == (witness.position or 0) or witness.position is None
            elif error is not None:
                assert error in (DOWN, REMOVED)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        for room in ("lobby", "attic"):
            self.untold[room].append(self.stage.commit(1, room))
            self.tell(room)
        for witness in self.all:
            witness.closes_after = -1
            if witness.reader.credit != UNBOUNDED:  # the others must get everything without being woken
                self.grant(witness, UNBOUNDED)
        self.stage.settle()
        left = [witness for witness in self.all if not witness.over]
        for witness in left:
            assert not witness.removed
            assert witness.position == self.stage.heads[witness.room]
            assert witness.lives == 1
        assert self.stage.hub.stats.subscriptions == len(left)
        assert self.stage.hub.stats.lag_events_max == 0
        self._all_go()

    def _all_go(self) -> None:
        for witness in self.all:
            witness.closed = True
            assert witness.subscription
            witness.subscription.close()
        self.stage.loop.now += 1000
        self.stage.hub.tick(self.stage.loop.now)
        stats: Any = self.stage.hub.stats
        assert (stats.subscriptions, stats.feeds, stats.reads_in_flight) == (0, 0, 0)


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
