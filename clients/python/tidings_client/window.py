"""Demand that follows the consumer: how many items a stream may still send.

The rule: granted but not yet arrived, plus arrived but not yet taken, is never more than `items_max`. Nothing is
granted while nothing is taken, so a consumer that stops stops the service, all the way down to its disk. The window
is refilled when three quarters of it have been taken (one REQUEST_N for 48 items, and 16 still on their way), and not
while more than `bytes_max` lie here untaken: sixty-four events are 10 KiB or 4 MiB.
"""

from typing import Final

ITEMS_MAX: Final = 64  # at 50 ms to the service and back this is 1,000 items/s, more than a person reads
BYTES_MAX: Final = 1_048_576  # the biggest items are 64 KiB: then 16 untaken ones pause the refill
REFILL_SHARE: Final = 0.75


class Window:
    """The credit of one stream at a time; outlives the streams of a watch that reconnects."""

    __slots__ = ("_bytes_max", "_items_max", "_refill", "granted", "held", "held_bytes")

    def __init__(self, items_max: int = ITEMS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._items_max = items_max
        self._bytes_max = bytes_max
        self._refill = max(1, int(items_max * REFILL_SHARE))
        # Of the living stream: what it may still send. Of the watch: what has arrived and was not taken.
        self.granted = 0
        self.held = 0
        self.held_bytes = 0

    def open(self) -> int:
        """The first n of a new stream; 0: there is no room yet, open it after something was taken."""
        room = self._room()
        self.granted = room if room >= self._refill or not self.held else 0
        return self.granted

    def one_more(self) -> int:
        """One beyond the window, for something that must not wait behind what the consumer leaves lying."""
        self.granted += 1
        return 1

    def arrived(self, size: int) -> None:
        """An item of `size` bytes came."""
        self.granted -= 1
        self.held += 1
        self.held_bytes += size

    def taken(self, size: int) -> None:
        """The consumer took an item of `size` bytes."""
        self.held -= 1
        self.held_bytes -= size

    def refill(self) -> int:
        """What to grant the living stream now; 0: nothing yet."""
        room = self._room()
        if room < self._refill:
            return 0
        self.granted += room
        return room

    def ended(self) -> None:
        """The stream is over; what it was granted is void."""
        self.granted = 0

    def _room(self) -> int:
        return 0 if self.held_bytes > self._bytes_max else self._items_max - self.granted - self.held
