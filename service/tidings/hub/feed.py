"""The living end of one room's log: where the head is, the last events in memory, pages on their way.

A feed is registered first and reads the head of its log then, so that an event committed in between is not
lost: it comes by `append`, by the answer, or by both, and the head is the greater of the two. Until the answer
is there, the feed is not `ready` and nothing is delivered from it. A reader whose cursor lies beyond the head is
not wrong yet: it may have heard of an event on another node before we did. The head is read anew for it, once.

The rule a maintainer must not break: the tail is empty, or its last event is the head. Whoever raises the head
without the event (`reach`, a hole) starts a new, empty tail after it. A reader that stands before the tail reads
the log; so events are delivered in order whatever was lost on the way here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from tidings.hub.batch import Batch
from tidings.hub.errors import CursorBeyondHead, CursorLost, HubError
from tidings.hub.laggards import Laggards
from tidings.hub.limits import HubLimits
from tidings.hub.pages import LogReader, Page, PageReader
from tidings.hub.ports import Events, Head, Marks
from tidings.hub.run import Run
from tidings.hub.stats import Counts
from tidings.hub.turns import Turns

T = TypeVar("T")

UNKNOWN = -1  # a position that the log has not told yet


class Doubter(Protocol):
    """A subscription whose cursor lies beyond the head."""

    def compare_again(self) -> None:
        """The head was read since."""

    def fail(self, error: Exception) -> None:
        """It could not be read."""


class House(Generic[T]):
    """What all feeds of one hub share."""

    __slots__ = (
        "ask_head",
        "counts",
        "held_bytes",
        "laggards",
        "limits",
        "log",
        "marks",
        "turns",
        "used",
        "weigh",
        "worded",
    )

    def __init__(
        self,
        *,
        limits: HubLimits,
        marks: Marks[T],
        weigh: Callable[[T], int],
        turns: Turns,
        log: LogReader[T],
        laggards: Laggards,
        counts: Counts,
        ask_head: Callable[[Feed[T]], None],
        worded: Callable[[Exception], Exception],
    ) -> None:
        self.limits = limits
        self.marks = marks
        self.weigh = weigh
        self.turns = turns
        self.log = log
        self.laggards = laggards
        self.counts = counts
        self.worded = worded  # an error, as readers are told it
        self.ask_head = ask_head  # has the head of the feed's log read, and tells the feed and its doubters
        self.held_bytes: dict[str, int] = {}  # by owner, of pages kept for readers without demand
        self.used: dict[Feed[T], None] = {}  # the feeds that were asked for batches since the last tick

    def hold(self, owner: str, size: int) -> bool:
        """Whether `size` bytes of a page may be kept for one of the owner's readers; they count until `release`."""
        held = self.held_bytes.get(owner, 0) + size
        if held > self.limits.owner_held_bytes_max:
            return False
        if size:
            self.held_bytes[owner] = held
        return True

    def release(self, owner: str, size: int) -> None:
        """They are held no longer."""
        left = self.held_bytes[owner] - size
        if left:
            self.held_bytes[owner] = left
        else:
            del self.held_bytes[owner]


class Feed(Generic[T]):
    """The tail of one room."""

    __slots__ = (
        "_live",
        "_pages",
        "_told",
        "asking",
        "doubters",
        "epoch",
        "error",
        "head",
        "house",
        "ready",
        "room",
        "start",
        "tail",
    )

    def __init__(self, room: str, house: House[T]) -> None:
        self.room = room
        self.house = house
        self.epoch = ""
        self.head = UNKNOWN
        self._told = UNKNOWN  # the newest event by a speaker's word; `reach` may be old news
        self.start = UNKNOWN  # where "from now on" begins for those who came before the head was known
        self.ready = False
        self.error: Exception | None = None  # set once the feed is lost; every subscription ends with it
        self.asking = False  # the head is being read
        self.doubters: list[Doubter] = []  # readers beyond the head, for whom it shall be read once more
        self.tail = self._run(0)
        self._pages: WeakValueDictionary[int, Page[T]] | None = None  # most rooms never need one, and it takes 1 KiB
        self._live: Batch[T] | None = None

    # what the log and the speakers say

    def open(self, answer: Head) -> None:
        """The head was read, for the first time or anew."""
        self.epoch = answer.epoch
        if self.start == UNKNOWN:
            self.start = answer.seq
        if answer.seq > self.head:
            self._restart(answer.seq)
        self.ready = True

    def is_of(self, epoch: str) -> bool:
        """Whether `epoch` is this feed's; the first one seen is."""
        self.epoch = self.epoch or epoch
        return self.epoch == epoch

    def append(self, events: Events[T]) -> int:
        """Committed events; how many of them are new. An old one is ignored, a hole forgets the tail before it."""
        if self.start == UNKNOWN:
            self.start = events[0][0] - 1
        new = 0
        for seq, item in events:
            if seq > self.head:
                if seq != self.head + 1:
                    self._restart(seq - 1)
                self.tail.append(item)
                self.head = self._told = seq
                new += 1
        self.house.counts.events_notified += new
        self.tail.trim(self.house.limits.tail_events_max, self.house.limits.tail_bytes_max)
        return new

    def reach(self, seq: int) -> bool:
        """The log is known to have come to `seq`, without its events; whether that is news.

        It says nothing about when: where "from now on" begins is left to the answer of the log.
        """
        if seq <= self.head:
            return False
        self._restart(seq)
        return True

    def amend(self, seq: int, item: T) -> None:
        """An event was rewritten: its old copy is delivered no more."""
        self.tail.amend(seq, item)
        for page in list(self._pages.values()) if self._pages is not None else ():
            page.amend(seq, item)

    # what subscriptions ask

    @property
    def now(self) -> int:
        """Where "from now on" begins for a reader that comes at this moment; UNKNOWN: where the log will say."""
        return self.head if self.ready else self._told

    def objection(self, after: int, epoch: str) -> HubError | None:
        """Why a cursor cannot be followed in this log, if so."""
        advice = "take a page and go on from the head"
        if epoch and epoch != self.epoch:
            was = f"its epoch was {epoch}, now it is {self.epoch}"
            return CursorLost(f"the log of {self.room} was replaced since the cursor was made ({was}); {advice}")
        if after > self.head:
            where = f"seq {after} of {self.room}, whose log ends at {self.head}"
            return CursorBeyondHead(f"the cursor is from the future: it names {where}; {advice}")
        return None

    def doubt(self, reader: Doubter) -> None:
        """Have the head read anew, then let the reader compare again."""
        self.doubters.append(reader)
        self.house.ask_head(self)

    def batch(self, after: int, events_max: int) -> Batch[T] | None:
        """The events after a cursor, if the tail has them."""
        self.house.used[self] = None
        limits = self.house.limits
        return self.tail.batch(after, min(events_max, limits.batch_events_max), limits.batch_bytes_max)

    def page(self, after: int, events_wanted: int, reader: PageReader) -> Page[T]:
        """A page of the log after a cursor behind the head: one that others have or wait for, or a new one."""
        if self._pages is None:
            self._pages = WeakValueDictionary()
        page = self._pages.get(after)
        if page is not None and page.error is None:
            self.house.counts.reads_shared += 1
            if page.pending:
                page.readers.append(reader)
            reader.page = page
            return page
        page = self._pages[after] = Page(after, self.head, self._run(after + 1))
        page.readers.append(reader)
        reader.page = page
        limits = self.house.limits
        events_max = min(max(events_wanted, limits.page_events_min), limits.page_events_max)
        self.house.log.start(self.room, page, events_max, self._filling(page))
        return page

    def live(self, seq: int) -> Batch[T]:
        """The live mark at a cursor, the same for all that reach it together."""
        self.house.used[self] = None
        if self._live is None or self._live.last != seq:
            self._live = Batch((self.house.marks.live(self.room, self.epoch, seq),), seq + 1, seq)
        return self._live

    def gap(self, first: int, last: int) -> Batch[T]:
        """The mark of events left out."""
        return Batch((self.house.marks.gap(self.epoch, first, last),), first, last)

    # memory

    def forget(self) -> None:
        """Give the tail's memory back; the log still has the events."""
        self.tail = self._run(self.head + 1)

    def cool(self) -> None:
        """Nothing was asked for a while: forget the batches, keep the events."""
        self.tail.cool()
        self._live = None

    def _restart(self, head: int) -> None:
        self.head = head
        self.forget()

    def _run(self, first: int) -> Run[T]:
        return Run(first, self.house.weigh, self.house.counts)

    def _filling(self, page: Page[T]) -> Callable[[Events[T]], None]:
        def arrived(events: Events[T]) -> None:
            page.arrive(events, self.head, self.house.limits.page_bytes_max, self.gap)

        return arrived
