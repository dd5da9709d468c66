"""A range of a room's log as a stream, at the reader's pace.

The theory. A reading has a position, and at most one page: being read, or read and not taken yet. A page is asked for
only while there is demand, and little larger than the demand asks for (within a minimum that saves reads); what is left
of it when the demand ends is kept only if it is small and its user's account has room to spare. So a reader that stops
holds next to nothing, and no task. Every step is taken in a callback of its own, so that a sink may wake or close from
inside `deliver`.

    position   everything up to here was delivered
    last       the stream completes when the position reaches it
"""

from collections.abc import Callable, Sequence
from sys import maxsize
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.memory_account import MemoryAccount
from tidings.domain.common.items import event_items, gap_item
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.ports.store import StoredEvent
from tidings.hub import PAUSED, Batch, Sink

Fetch = Callable[[int, int, Callable[[Sequence[StoredEvent] | Exception], None], Callable[[], bool]], None]
"""fetch(after, limit, done, wanted): a page of the log; `done` is called later, on the loop, while it is `count`."""

Item = tuple[int, PreparedMessage[v1.WatchItem]]

ITEM_BYTES: Final = 200  # what an item weighs in memory beside its bytes
RANGE_STREAM_BYTES: Final = 1_536  # a reading without a page, with what its owner keeps of it; measured: 1.2 KiB
BATCH_BYTES_MAX: Final = 32_768  # one step: compressing so much takes up to 4 ms, and everybody else waits
PAUSED_BYTES_MAX: Final = maxsize  # a page that waits for its turn is sent soon: the account alone is asked


class RangeStream:
    """One `history.read`: a `Subscription`. RESOURCE_EXHAUSTED when the account has no room for it."""

    __slots__ = (
        "_account",
        "_buffer",
        "_buffered_bytes",
        "_epoch",
        "_fetch",
        "_is_loading",
        "_is_scheduled",
        "_largest_item_bytes",
        "_last",
        "_limits",
        "_on_closed",
        "_position",
        "_schedule",
        "_sink",
    )

    def __init__(
        self,
        sink: Sink[Any],
        *,
        epoch: str,
        after: int,
        last: int,
        fetch: Fetch,
        schedule: Callable[[Callable[[], Any]], Any],
        on_closed: Callable[[], None],
        limits: DomainLimits,
        account: MemoryAccount,
    ) -> None:
        account.reserve(RANGE_STREAM_BYTES)
        self._account = account
        self._sink: Sink[Any] | None = sink
        self._epoch = epoch
        self._position = after
        self._last = last
        self._fetch = fetch
        self._schedule = schedule
        self._on_closed = on_closed
        self._limits = limits
        self._buffer: list[Item] = []
        self._buffered_bytes = 0  # of the items, on the account, while there is no demand for them
        self._largest_item_bytes = 0  # the heaviest of the page that was read last
        self._is_loading = False
        self._is_scheduled = False
        self.wake()

    def wake(self) -> None:
        """Demand may have grown."""
        if self._sink is not None and not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self._step)

    def close(self) -> None:
        """The reader is gone."""
        self._stop()

    def fail(self, error: Exception) -> None:
        """Nothing more comes."""
        sink = self._stop()
        if sink is not None:
            sink.fail(error)

    def _step(self) -> None:
        self._is_scheduled = False
        sink = self._sink
        if sink is None or self._is_loading:
            return
        if self._position >= self._last:
            self._stop()
            sink.complete()
            return
        demand = sink.demand()
        if demand <= 0:
            self._keep_buffer(self._limits.read_buffer_bytes_max if demand != PAUSED else PAUSED_BYTES_MAX)
            return
        if self._buffered_bytes:
            self._release()
        if self._buffer:
            self._deliver(sink, demand)
        else:
            self._load(demand)

    def _deliver(self, sink: Sink[Any], demand: int) -> None:
        count = min(demand, max(BATCH_BYTES_MAX // self._largest_item_bytes, 1))
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        first, self._position = self._position + 1, taken[-1][0]
        self.wake()
        sink.deliver(Batch([item for _, item in taken], first, self._position))

    def _keep_buffer(self, bytes_max: int) -> None:
        """Keep what is not asked for yet, if it is at most so much: else it is read again."""
        if not self._buffer or 0 < self._buffered_bytes <= bytes_max:
            return
        self._release()
        size = sum(len(item.protobuf) + ITEM_BYTES for _, item in self._buffer)
        if size <= bytes_max and self._account.try_reserve(size):
            self._buffered_bytes = size
        else:
            self._buffer = []

    def _release(self) -> None:
        size, self._buffered_bytes = self._buffered_bytes, 0
        self._account.release(size)

    def _load(self, demand: int) -> None:
        limits = self._limits
        # A read costs as much as some 50 events, and who asks for a few will ask for as many again. So as many more
        # are read as can be held, once it is known what they weigh.
        ahead = min(demand, limits.read_buffer_bytes_max // self._largest_item_bytes) if self._largest_item_bytes else 0
        count = max(demand, min(demand + ahead, limits.read_ahead_events_max), limits.read_events_min)
        limit = min(count, limits.read_events_max, self._last - self._position)
        self._is_loading = True
        self._fetch(self._position, limit, self._on_loaded, self._is_open)

    def _is_open(self) -> bool:
        return self._sink is not None

    def _on_loaded(self, result: Sequence[StoredEvent] | Exception) -> None:
        self._is_loading = False
        if self._sink is None:
            return
        if isinstance(result, Exception):
            self.fail(result)
            return
        self._buffer = self._to_items(result)
        self._largest_item_bytes = max(len(item.protobuf) + ITEM_BYTES for _, item in self._buffer)
        self.wake()

    def _to_items(self, events: Sequence[StoredEvent]) -> list[Item]:
        """The events as items, with marks where retention left holes. Never empty, so that every read is progress."""
        if events and events[-1].seq > self._last:
            events = [event for event in events if event.seq <= self._last]
        items = event_items(self._epoch, events)
        if not items:
            return [(self._last, gap_item(self._epoch, self._position + 1, self._last))]
        if items[-1][0] - self._position == len(items):
            return items
        with_gaps: list[Item] = []
        position = self._position
        for seq, item in items:
            if seq > position + 1:
                with_gaps.append((seq - 1, gap_item(self._epoch, position + 1, seq - 1)))
            with_gaps.append((seq, item))
            position = seq
        return with_gaps

    def _stop(self) -> Sink[Any] | None:
        sink, self._sink = self._sink, None
        if sink is not None:
            self._buffer = []
            self._release()
            self._account.release(RANGE_STREAM_BYTES)
            on_closed, self._on_closed = self._on_closed, _noop  # it refers to this reading: a cycle for the collector
            on_closed()
        return sink


def _noop() -> None:
    """In the place of a callback that was called."""
