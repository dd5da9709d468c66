"""Demand that follows the consumer: how many items a stream may still send.

The rule: granted but not yet arrived, plus arrived but not yet taken, is never more than `items_max`. Nothing is
granted while nothing is taken, so a consumer that stops stops the service, all the way down to its disk. The window
is refilled when three quarters of it have been taken (one REQUEST_N for 48 items, and 16 still on their way), and not
while more than `bytes_max` lie here untaken: sixty-four events are 10 KiB or 4 MiB.
"""

from typing import Final

ITEMS_MAX: Final = 64  # at 50 ms to the service and back this is 1,000 items/s, more than a person reads
BYTES_MAX: Final = 1_048_576  # the biggest items are 64 KiB: then 16 untaken ones pause the refill
REFILL_FRACTION: Final = 0.75


class FlowWindow:
    """The credit of one stream at a time; outlives the streams of a watch that reconnects."""

    __slots__ = ("_bytes_max", "_items_max", "_refill_min", "buffered", "buffered_bytes", "credit")

    def __init__(self, items_max: int = ITEMS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._refill_min = max(1, int(items_max * REFILL_FRACTION))
        # Of the living stream: what it may still send. Of the watch: what has arrived and was not taken.
        self.credit = 0
        self.buffered = 0
        self.buffered_bytes = 0

    def open_stream(self) -> int:
        """The first n of a new stream; 0: there is no room yet, open it after something was taken."""
        available = self._available()
        self.credit = available if available >= self._refill_min or not self.buffered else 0
        return self.credit

    def grant_one(self) -> int:
        """One beyond the window, for something that must not wait behind what the consumer leaves lying."""
        self.credit += 1
        return 1

    def on_received(self, size: int) -> None:
        """An item of `size` bytes came."""
        self.credit -= 1
        self.buffered += 1
        self.buffered_bytes += size

    def on_consumed(self, size: int) -> None:
        """The consumer took an item of `size` bytes."""
        self.buffered -= 1
        self.buffered_bytes -= size

    def refill(self) -> int:
        """What to grant the living stream now; 0: nothing yet."""
        available = self._available()
        if available < self._refill_min:
            return 0
        self.credit += available
        return available

    def on_stream_ended(self) -> None:
        """The stream is over; what it was granted is void."""
        self.credit = 0

    def _available(self) -> int:
        return 0 if self.buffered_bytes > self._bytes_max else self._items_max - self.credit - self.buffered
