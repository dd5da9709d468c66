"""A hub on a stage: the log, the loop and the clock are in the hands of the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from tidings.hub import Batch, Hub, HubLimits, LagPolicy, LogHead, LogSubscription
from tidings.hub.log.hub import passthrough

T = TypeVar("T")

UNBOUNDED = 0x7FFFFFFF
ROOM = "lobby"


class Event(NamedTuple):
    seq: int
    text: str = ""


class Live(NamedTuple):
    seq: int


class Gap(NamedTuple):
    first: int
    last: int


Item = Event | Live | Gap


class EventMarkers:
    """Makes the items that are not events."""

    def live(self, room: str, epoch: str, seq: int, /) -> Item:
        return Live(seq)

    def gap(self, epoch: str, first: int, last: int, /) -> Item:
        return Gap(first, last)


@dataclass(eq=False)
class RecordingSink(Generic[T]):
    """A sink that remembers what it got and holds the hub to its demand."""

    credit: int = UNBOUNDED
    batches: list[Batch[T]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    on_deliver: Callable[[Batch[T]], None] | None = None
    on_fail: Callable[[], None] | None = None

    @property
    def items(self) -> list[T]:
        return [item for batch in self.batches for item in batch.items]

    @property
    def error(self) -> Exception | None:
        return self.errors[0] if self.errors else None

    def demand(self) -> int:
        return self.credit

    def deliver(self, batch: Batch[T], /) -> bool:
        assert not self.errors, "delivered after the end"
        assert batch.items, "an empty batch"
        if len(batch.items) > self.credit:
            return False
        if self.credit != UNBOUNDED:
            self.credit -= len(batch.items)
        self.batches.append(batch)
        if self.on_deliver:
            self.on_deliver(batch)
        return True

    def complete(self) -> None:
        raise AssertionError("nobody completes a room")

    def fail(self, error: Exception, /) -> None:
        assert not self.errors, "failed twice"
        self.errors.append(error)
        if self.on_fail:
            self.on_fail()


@dataclass(eq=False)
class PendingRead:
    """A read that waits for its answer; `seen` is the log as it was when the read began."""

    room: str
    after: int
    limit: int
    done: Callable[[Sequence[tuple[int, Item]] | Exception], None]
    snapshot: dict[int, Item]

    def page(self) -> list[tuple[int, Item]]:
        return [(seq, item) for seq, item in sorted(self.snapshot.items()) if seq > self.after][: self.limit]


@dataclass(eq=False)
class PendingHeadRead:
    """A reading of the head that waits for its answer; `seen` is the head as it was when the reading began."""

    room: str
    done: Callable[[LogHead | Exception], None]
    snapshot: int


class FakeLoop:
    """Callbacks run when the test says so, one round at a time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.callbacks: deque[Callable[[], Any]] = deque()
        self.timers: list[tuple[float, Callable[[], Any]]] = []

    def call_soon(self, callback: Callable[[], Any]) -> None:
        self.callbacks.append(callback)

    def call_later(self, seconds: float, callback: Callable[[], Any]) -> None:
        self.timers.append((self.now + seconds, callback))

    def clock(self) -> float:
        return self.now

    def run_round(self) -> None:
        """One round: what is scheduled meanwhile waits for the next."""
        for _ in range(len(self.callbacks)):
            self.callbacks.popleft()()

    def run(self) -> int:
        """Rounds until nothing is scheduled; how many."""
        rounds = 0
        while self.callbacks:
            self.run_round()
            rounds += 1
            assert rounds < 100_000, "the loop spins"
        return rounds

    def advance(self, seconds: float) -> None:
        """Let time pass, with the timers that fall due."""
        end = self.now + seconds
        while due := sorted((at for at, _ in self.timers if at <= end)):
            self.now = max(self.now, due[0])
            ready = [timer for timer in self.timers if timer[0] <= self.now]
            self.timers = [timer for timer in self.timers if timer[0] > self.now]
            for _, callback in ready:
                callback()
            self.run()
        self.now = end


class HubHarness:
    """A hub, its loop, and a log that answers when it is told to."""

    def __init__(
        self,
        limits: HubLimits | None = None,
        *,
        item_size: Callable[[Item], int] = lambda _: 100,
        translate_error: Callable[[Exception], Exception] = passthrough,
        checks_heads: bool = False,
    ) -> None:
        self.loop = FakeLoop()
        self.epoch = "e1"
        self.log: dict[str, dict[int, Item]] = {}
        self.heads: dict[str, int] = {}
        self.answers_immediately = False  # the log answers before the call returns
        self.read_error: Exception | None = None  # the log raises
        self.reads: list[PendingRead] = []
        self.head_reads: list[PendingHeadRead] = []
        self.heads_reads: list[tuple[Sequence[str], Callable[[Mapping[str, LogHead] | Exception], None]]] = []
        self.hub: Hub[Item] = Hub(
            read_events=self._read,
            read_head=self._head,
            read_heads=(lambda rooms, done: self.heads_reads.append((rooms, done))) if checks_heads else None,
            markers=EventMarkers(),
            schedule=self.loop.call_soon,
            clock=self.loop.clock,
            limits=limits,
            item_size=item_size,
            translate_error=translate_error,
        )

    def _read(
        self, room: str, after: int, limit: int, done: Callable[[Sequence[tuple[int, Item]] | Exception], None]
    ) -> None:
        if self.read_error:
            raise self.read_error
        self.reads.append(PendingRead(room, after, limit, done, dict(self.log.get(room, {}))))
        if self.answers_immediately:
            self.answer_read()

    def _head(self, room: str, done: Callable[[LogHead | Exception], None]) -> None:
        if self.read_error:
            raise self.read_error
        self.head_reads.append(PendingHeadRead(room, done, self.heads.get(room, 0)))
        if self.answers_immediately:
            self.answer_head()

    def answer_heads(self) -> Sequence[str]:
        """Answer the comparison that waits; the rooms that were asked for."""
        ((rooms, done),) = self.heads_reads
        self.heads_reads.clear()
        done({room: LogHead(self.epoch, self.heads[room]) for room in rooms if room in self.heads})
        return rooms

    # the log

    def commit(self, count: int = 1, room: str = ROOM, text: str = "") -> list[tuple[int, Item]]:
        """Events into the log; nobody is told."""
        head = self.heads.get(room, 0)
        events: list[tuple[int, Item]] = [(seq, Event(seq, text)) for seq in range(head + 1, head + count + 1)]
        self.log.setdefault(room, {}).update(events)
        self.heads[room] = head + count
        return events

    def send(self, count: int = 1, room: str = ROOM, text: str = "") -> list[tuple[int, Item]]:
        """Events into the log, and the hub is told."""
        events = self.commit(count, room, text)
        self.hub.notify(room, self.epoch, events)
        return events

    def remove_up_to(self, seq: int, room: str = ROOM) -> None:
        """Retention."""
        self.log[room] = {at: item for at, item in self.log[room].items() if at > seq}

    def answer_head(self, seq: int | None = None) -> None:
        """With the head as it is now, or as it was."""
        read = self.head_reads.pop(0)
        read.done(LogHead(self.epoch, self.heads.get(read.room, 0) if seq is None else seq))

    def answer_read(self, index: int = 0) -> None:
        read = self.reads.pop(index)
        read.done(read.page())

    def settle(self) -> None:
        """Until nothing is scheduled and nothing is asked of the log."""
        self.loop.run()
        while self.reads or self.head_reads:
            while self.head_reads:
                self.answer_head()
            while self.reads:
                self.answer_read()
            self.loop.run()

    # readers

    def subscribe(
        self,
        reader: RecordingSink[Item],
        after: int | None = None,
        *,
        room: str = ROOM,
        owner: str = "ann",
        epoch: str = "",
        lag_policy: LagPolicy = LagPolicy.CATCH_UP,
    ) -> LogSubscription[Item]:
        return self.hub.subscribe(room, reader, owner=owner, after=after, epoch=epoch, lag_policy=lag_policy)

    def reader(self, after: int | None = None, *, credit: int = UNBOUNDED, **options: Any) -> RecordingSink[Item]:
        """A reader that is up to date with what is there."""
        reader: RecordingSink[Item] = RecordingSink(credit)
        self.subscribe(reader, after, **options)
        self.settle()
        return reader


def events(first: int, last: int) -> list[Item]:
    return [Event(seq) for seq in range(first, last + 1)]


def seqs(items: Iterable[Item]) -> list[int]:
    return [item.seq for item in items if isinstance(item, Event)]
