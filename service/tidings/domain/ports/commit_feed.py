"""What nodes tell one another: commits, positions, typing, and what else was written outside of a log.

Services publish notices; one subscriber on each node applies them. A feed hands the notices of its own node to that
node's subscriber within `publish`, in order. Those of other nodes may come late, more than once, in another order, or
not at all: a notice says what is, never what to add, so that a repeated one does no harm, and commits carry their seqs,
so that a missing one is found (`messaging.commits`). A feed that knows that it lost notices calls `on_gap`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from tidings.domain.ports.store import MemberChange, StoredEvent


class RoomCommit(NamedTuple):
    """One commit in one room: events `first`..`last` (0 and 0 = none, only consents), in the order of seqs.

    `rewritten` are earlier events whose bytes changed (a deleted message loses its text). Without `has_bytes` `events`
    is empty, and `rewritten` has seqs alone: who needs the events reads the log.
    """

    room: str
    epoch: str
    first: int
    last: int
    events: Sequence[StoredEvent]
    rewritten: Sequence[StoredEvent]
    members: Sequence[MemberChange]
    has_bytes: bool = True

    def without_bytes(self) -> "RoomCommit":
        """The same as a small notice for other nodes."""
        seqs = [StoredEvent(event.seq, b"") for event in self.rewritten]
        return self._replace(events=(), rewritten=seqs, has_bytes=False)


class PositionsChanged(NamedTuple):
    """A member has come so far; positions never go back."""

    room: str
    user: str
    delivered: int
    read: int


class TypingChanged(NamedTuple):
    """A user types in a room, or stopped; typing expires by itself on every node."""

    room: str
    user: str
    is_stopped: bool


class RoomHidden(NamedTuple):
    """A user hid a room from the own list, or shows it again."""

    room: str
    user: str


class RoomCreated(NamedTuple):
    """A room was made; an OPEN one may be entered by users who were refused before."""

    room: str
    kind: int


Notice: TypeAlias = RoomCommit | PositionsChanged | TypingChanged | RoomHidden | RoomCreated


class FeedListener(Protocol):
    """Applies notices on one node. Nothing here waits."""

    def on_commit(self, commit: RoomCommit, /) -> None:
        """Events were committed, or members consented."""

    def on_positions(self, change: PositionsChanged, /) -> None:
        """A member's positions moved."""

    def on_typing(self, change: TypingChanged, /) -> None:
        """A user types, or stopped."""

    def on_room_hidden(self, change: RoomHidden, /) -> None:
        """A user's list of rooms changed."""

    def on_room_created(self, change: RoomCreated, /) -> None:
        """A room was made."""

    def on_gap(self) -> None:
        """Any notices of other nodes may have been lost."""


class CommitFeed(Protocol):
    """The way of notices to this node and to the others."""

    @property
    def is_lossless(self) -> bool:
        """Whether each notice comes once and in order, as within one process."""

    def subscribe(self, listener: FeedListener) -> None:
        """`listener` gets the notices from now on; there is one."""

    def publish(self, notice: Notice) -> None:
        """Hand the notice to this node's listener at once, and to the other nodes later."""


def notice_handlers(listener: FeedListener) -> Mapping[type[Any], Callable[[Any], None]]:
    """What a listener does with each kind of notice."""
    return {
        RoomCommit: listener.on_commit,
        PositionsChanged: listener.on_positions,
        TypingChanged: listener.on_typing,
        RoomHidden: listener.on_room_hidden,
        RoomCreated: listener.on_room_created,
    }
