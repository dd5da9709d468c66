"""Resume points: where the next stream of a watch continues, and which items of it are new.

There are two kinds. A log has numbered events that are delivered exactly once. A snapshot holds the latest value of
each key; a repeated value does no harm. `tests/vectors/client` holds the cases shared with `resume-point.ts`.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

from google.protobuf.message import Message

from tidings.contract import v1

After: TypeAlias = v1.Cursor | int | None
"""Where to begin: behind a cursor, behind a seq (0: from the beginning), or None: with what happens from now on."""

NewItemT = TypeVar("NewItemT", bound=Message, contravariant=True)
RequestT = TypeVar("RequestT", bound=Message)


class ResumePoint(Protocol[NewItemT]):
    """What a watch's stream needs to continue on the next connection."""

    def next_request(self) -> Message:
        """The request that continues behind everything accepted so far."""

    def on_stream_opened(self) -> None:
        """A new stream begins."""

    def accept(self, item: NewItemT, /) -> bool:
        """Advance the position. False: the item is a duplicate."""


class LogResumePoint(Generic[RequestT]):
    """A room's log. An event whose seq is not above the position, in the same epoch, is a duplicate."""

    def __init__(self, after: v1.Cursor | None, make_request: Callable[[v1.Cursor | None], RequestT]) -> None:
        self.position = after
        self._make_request = make_request

    def next_request(self) -> RequestT:
        return self._make_request(self.position)

    def on_stream_opened(self) -> None:
        """Nothing to do: the position is all the state there is."""

    def accept(self, item: v1.WatchItem) -> bool:
        position, cursor = self.position, item.cursor
        seq = item.event.seq if item.HasField("event") else cursor.seq
        if position is not None and (not position.epoch or position.epoch == cursor.epoch):
            if item.HasField("event") and seq <= position.seq:
                return False
            seq = max(seq, position.seq)
        self.position = v1.Cursor(epoch=cursor.epoch, seq=seq)
        return True


class SnapshotResumePoint:
    """Latest values: presence, the list of rooms. Every item is accepted.

    The position moves only once the snapshot is complete (`live`): an incomplete one is requested again as a whole.
    """

    def __init__(self, after: v1.Cursor | None, make_request: Callable[[v1.Cursor | None], Message]) -> None:
        self.position = after
        self._make_request = make_request
        self._is_complete = False

    def next_request(self) -> Message:
        return self._make_request(self.position)

    def on_stream_opened(self) -> None:
        self._is_complete = False

    def accept(self, item: v1.PresenceItem | v1.RoomsItem) -> bool:
        self._is_complete = self._is_complete or item.HasField("live")
        if self._is_complete and item.HasField("cursor"):
            self.position = item.cursor
        return True


def cursor_from(after: After) -> v1.Cursor | None:
    """The cursor that `after` stands for: a number becomes a cursor without an epoch, which fits any log."""
    return v1.Cursor(seq=after) if isinstance(after, int) else after
