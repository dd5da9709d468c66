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

from hub.harness import ROOM, UNBOUNDED, Event, Gap, HubHarness, Item, Live, RecordingSink
from tidings.hub import Batch, HubLimits, LagPolicy, LogSubscription, TooSlowError

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
    idle_room_seconds=20,
    idle_rooms_max=1,
    room_subscriptions_max=1000,
)
DOWN = OSError("the store is down")
REMOVED = PermissionError("removed from the room")


class ModelHarness(HubHarness):
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
class CheckedSubscriber:
    """A reader, and what it has a right to expect."""

    reader: RecordingSink[Item]
    harness: ModelHarness
    room: str
    lag_policy: LagPolicy
    position: int | None  # None: it began without a cursor, and the live mark will say where
    min_live_seq: int  # the head that was known when it came: the live mark is not before it
    live_count: int = 0
    closed: bool = False
    removed: bool = False
    closes_after: int = -1  # items; then it closes from inside deliver
    subscription: LogSubscription[Item] | None = None

    @property
    def is_closed(self) -> bool:
        return self.closed or bool(self.reader.errors)

    def check(self, batch: Batch[Item]) -> None:
        assert not self.closed
        assert not self.removed
        for item in batch.items:
            match item:
                case Live(seq):
                    assert self.position in (None, seq), "the mark is at the cursor"
                    assert self.min_live_seq <= seq <= self.harness.heads.get(self.room, 0)
                    self.live_count += 1
                    self.position = seq
                case Event(seq):
                    assert self.position is not None, "the mark comes first when there was no cursor"
                    assert seq == self.position + 1, "neither a gap nor a repeat"
                    assert item == self.harness.latest(self.room, seq), "as it is now"
                    self.position = seq
                case Gap(first, last):
                    assert self.position is not None
                    assert first == self.position + 1 <= last
                    removed = not any(first <= seq <= last for seq in self.harness.log[self.room])
                    assert removed or self.lag_policy is LagPolicy.LATEST
                    self.position = last
        assert self.live_count <= 1
        assert batch.last == self.position
        self.closes_after -= len(batch.items)
        if -len(batch.items) <= self.closes_after < 0 and self.subscription:
            self.closed = True
            self.subscription.close()


rooms = st.sampled_from(["lobby", "attic"])


class HubMachine(RuleBasedStateMachine):
    subscribers = Bundle("witnesses")

    @initialize(history=st.integers(0, 12))
    def set_up(self, history: int) -> None:
        self.harness = ModelHarness()
        self.unnotified: dict[str, list[list[tuple[int, Item]]]] = {"lobby": [], "attic": []}
        self.notified = {"lobby": 0, "attic": 0}
        self.all: list[CheckedSubscriber] = []
        if history:
            self.harness.commit(history)

    # speakers

    @rule(room=rooms, count=st.integers(1, 12), late=st.booleans())
    def send(self, room: str, count: int, late: bool) -> None:
        self.unnotified[room].append(self.harness.commit(count, room))
        if not late:
            self.notify(room)

    @rule(room=rooms)
    def notify(self, room: str) -> None:
        for told in self.unnotified[room]:
            self.harness.hub.notify(room, self.harness.epoch, told)
            self.notified[room] = max(self.notified[room], told[-1][0])
        self.unnotified[room].clear()

    @rule(room=rooms)
    def lose_a_notification(self, room: str) -> None:
        if self.unnotified[room]:
            self.unnotified[room].pop(0)

    @rule(room=rooms, back=st.integers(0, 10))
    def advance_head(self, room: str, back: int) -> None:
        seq = self.harness.heads.get(room, 0) - back
        if seq > 0:
            self.harness.hub.advance_head(room, self.harness.epoch, seq)

    @rule(room=rooms, back=st.integers(0, 15))
    def replace_event(self, room: str, back: int) -> None:
        seq = self.harness.heads.get(room, 0) - back
        if seq in self.harness.log.get(room, {}) and seq <= self.notified[room]:
            new = Event(seq, "rewritten " + str(len(self.harness.ever)) + str(self.harness.ever[room, seq]))
            self.harness.ever[room, seq] = self.harness.log[room][seq] = new
            self.harness.hub.replace_event(room, seq, new)

    @rule(room=rooms, keep=st.integers(0, 15))
    def remove_old(self, room: str, keep: int) -> None:
        if self.notified[room] > keep:
            self.harness.remove_up_to(self.notified[room] - keep, room)

    # readers

    @rule(
        target=subscribers,
        room=rooms,
        back=st.none() | st.integers(0, 30),
        credit=st.sampled_from([0, 1, 3, UNBOUNDED]),
        lag_policy=st.sampled_from(list(LagPolicy)),
        closes_after=st.sampled_from([-1, -1, -1, 2]),
    )
    def subscribe(
        self, room: str, back: int | None, credit: int, lag_policy: LagPolicy, closes_after: int
    ) -> CheckedSubscriber:
        head = self.harness.heads.get(room, 0)
        after = None if back is None else max(head - back, 0)
        reader: RecordingSink[Item] = RecordingSink(credit)
        # What was told before a feed existed is known to the log alone, and the log is asked.
        least = self.notified[room] if after is None else after
        witness = CheckedSubscriber(reader, self.harness, room, lag_policy, after, least, closes_after=closes_after)
        reader.on_deliver = witness.check
        witness.subscription = self.harness.subscribe(
            reader, after, room=room, owner=f"user{len(self.all)}", lag_policy=lag_policy
        )
        self.all.append(witness)
        return witness

    @rule(witness=subscribers, credit=st.sampled_from([1, 2, 7, UNBOUNDED]))
    def grant(self, witness: CheckedSubscriber, credit: int) -> None:
        witness.reader.credit = min(witness.reader.credit + credit, UNBOUNDED)
        assert witness.subscription
        witness.subscription.wake()

    @rule(witness=subscribers)
    def starve(self, witness: CheckedSubscriber) -> None:
        witness.reader.credit = 0

    @rule(witness=consumes(subscribers))
    def close(self, witness: CheckedSubscriber) -> None:
        witness.closed = True
        assert witness.subscription
        witness.subscription.close()

    @rule(witness=subscribers)
    def end(self, witness: CheckedSubscriber) -> None:
        assert witness.subscription
        self.harness.hub.unsubscribe(witness.room, witness.subscription.owner, REMOVED)
        witness.removed = True

    # the loop, the log, the clock

    @rule()
    def run_round(self) -> None:
        self.harness.loop.run_round()

    @rule()
    def run(self) -> None:
        self.harness.loop.run()

    @precondition(lambda self: self.harness.reads)
    @rule(pick=st.integers(0, 9), fresh=st.booleans())
    def answer_a_read(self, pick: int, fresh: bool) -> None:
        read = self.harness.reads[pick % len(self.harness.reads)]
        if fresh:  # the log was looked into at the last moment, not when the read was asked for
            read.snapshot = dict(self.harness.log.get(read.room, {}))
        self.harness.answer_read(pick % len(self.harness.reads))

    @precondition(lambda self: self.harness.reads)
    @rule()
    def fail_a_read(self) -> None:
        self.harness.reads.pop(0).done(DOWN)

    @precondition(lambda self: self.harness.head_reads)
    @rule()
    def fail_a_head(self) -> None:
        self.harness.head_reads.pop(0).done(DOWN)

    @rule()
    def settle(self) -> None:
        self.harness.settle()

    @precondition(lambda self: self.harness.head_reads)
    @rule(fresh=st.booleans())
    def answer_a_head(self, fresh: bool) -> None:
        self.harness.answer_head(None if fresh else self.harness.head_reads[0].snapshot)

    @rule(seconds=st.integers(1, 30))
    def tick(self, seconds: int) -> None:
        self.harness.loop.now += seconds
        self.harness.hub.tick(self.harness.loop.now)

    # what always holds

    @invariant()
    def reads_are_bounded_and_never_doubled(self) -> None:
        asked = [(read.room, read.after) for read in self.harness.reads]
        assert len(asked) <= LIMITS.reads_max
        stats = self.harness.hub.stats
        assert stats.reads_in_flight == len(asked)
        assert stats.active_rooms <= 2

    @invariant()
    def errors_are_those_that_were_caused(self) -> None:
        for witness in self.all:
            error = witness.reader.error
            if isinstance(error, TooSlowError):
                assert error.seq == (witness.position or 0) or witness.position is None
            elif error is not None:
                assert error in (DOWN, REMOVED)

    def teardown(self) -> None:
        if not hasattr(self, "harness"):
            return
        for room in ("lobby", "attic"):
            self.unnotified[room].append(self.harness.commit(1, room))
            self.notify(room)
        for witness in self.all:
            witness.closes_after = -1
            if witness.reader.credit != UNBOUNDED:  # the others must get everything without being woken
                self.grant(witness, UNBOUNDED)
        self.harness.settle()
        left = [witness for witness in self.all if not witness.is_closed]
        for witness in left:
            assert not witness.removed
            assert witness.position == self.harness.heads[witness.room]
            assert witness.live_count == 1
        assert self.harness.hub.stats.subscriptions == len(left)
        assert self.harness.hub.stats.lag_events_max == 0
        self._close_all()

    def _close_all(self) -> None:
        for witness in self.all:
            witness.closed = True
            assert witness.subscription
            witness.subscription.close()
        self.harness.loop.now += 1000
        self.harness.hub.tick(self.harness.loop.now)
        stats: Any = self.harness.hub.stats
        assert (stats.subscriptions, stats.active_rooms, stats.reads_in_flight) == (0, 0, 0)


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
