"""The list of my rooms as a stream: head, last message, my positions, unread.

A board knows which rooms changed; the row that one reader gets is read from the store when it is sent, so it is true at
that moment and a busy room costs a slow reader one row and not a hundred. The reader's interest are its rooms. What
concerns one user alone (a position moved, somebody came or left) touches that user's readers only.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.codecs import Prepared
from tidings.contract.errors import Failure
from tidings.domain.endings import failure_of
from tidings.domain.errands import Errands
from tidings.domain.items import cursor, field, live_item
from tidings.domain.limits import DomainLimits
from tidings.domain.lines import Lines
from tidings.domain.lru import Lru
from tidings.domain.ports import InboxRecord, MemberChange, Store
from tidings.domain.rows import room_state
from tidings.domain.shares import Shares
from tidings.hub import Batch, Board, BoardSubscription, HubError, Sink, Source

Row = InboxRecord | None
Answer = Callable[[Sequence[Row] | Exception], None]


GONE_MAX: Final = 1_000  # rooms left that are remembered for one user
GONE_IN_ALL_MAX: Final = 100_000  # and for all users: about 0.1 KiB each
FETCH_ROOMS_MAX: Final = 64  # read at a time for one list: each comes with its last message, which may be a long one
LIST_BYTES: Final = 1_280  # a list of rooms; measured: 1.0 KiB
ROOM_BYTES: Final = 256  # one room in it; measured: 0.2 KiB


class Inbox:
    """One reader: the sink of its subscription, and the `Source` of its transport."""

    __slots__ = (
        "_account",
        "_call",
        "_errands",
        "_held_bytes",
        "_left",
        "_lines",
        "_sink",
        "_store",
        "complete",
        "deliver",
        "demand",
        "subscription",
        "touched",
        "user",
    )

    def __init__(
        self,
        user: str,
        sink: Sink[Any],
        store: Store,
        errands: Errands,
        lines: Lines,
        call: Call,
        left: Callable[["Inbox"], None],
    ) -> None:
        self.user = user
        self._account = call.memory
        self._lines = lines
        self._call = call
        self._held_bytes = 0  # for its rooms, on the account
        self.subscription: BoardSubscription[Row, Prepared[v1.RoomsItem]] | None = None
        # Rooms that the user came into or left while the names of the others were read.
        self.touched: set[str] = set()
        self.demand: Callable[[], int] = sink.demand
        self.deliver: Callable[[Batch[Any]], bool] = sink.deliver
        self.complete: Callable[[], None] = sink.complete
        self._sink = sink
        self._store = store
        self._errands = errands
        self._left = left

    def wake(self) -> None:
        """Demand may have grown."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """The reader is gone."""
        subscription = self._end()
        if subscription is not None:
            subscription.close()

    def fail(self, error: Exception, /) -> None:
        """Nothing more comes."""
        self._end()
        self._sink.fail(failure_of(error))

    def hold(self, rooms: int) -> None:
        """So many rooms more are of interest; RESOURCE_EXHAUSTED when the account has no room for them."""
        self._account.hold(rooms * ROOM_BYTES)
        self._held_bytes += rooms * ROOM_BYTES

    def _release(self, rooms: int) -> None:
        self._account.release(rooms * ROOM_BYTES)
        self._held_bytes -= rooms * ROOM_BYTES

    def _end(self) -> BoardSubscription[Row, Prepared[v1.RoomsItem]] | None:
        """Let go of everything; the subscription, which refers to this inbox."""
        size, self._held_bytes = self._held_bytes, 0
        self._account.release(size)
        self._left(self)
        subscription, self.subscription = self.subscription, None
        return subscription

    def touch(self, room: str) -> None:
        """The row of this room is to be sent anew; that the reader left it is a row too."""
        if self.subscription is None:
            self.touched.add(room)
            return
        try:
            if room not in self.subscription.keys:
                self.hold(1)
            self.subscription.discard([room])
            self.subscription.add([room])
        except (HubError, Failure) as error:
            self.subscription.fail(error)

    def fetch(self, rooms: Sequence[str], done: Answer) -> None:
        """The rows as they are now, None for a room that the user is not in."""

        def arrived(answer: Sequence[InboxRecord] | Exception) -> None:
            if isinstance(answer, Exception):
                done(answer)
                return
            rows = {record.room.room: record for record in answer}
            done([rows.get(room) for room in rooms])

        self._errands.run(self._lines.wait(self._call, lambda: self._store.inbox(self.user, rooms)), arrived)

    def render(self, room: str, row: Row, version: int) -> Prepared[v1.RoomsItem]:
        """A row as an item. A room that is gone is no longer of interest."""
        assert self.subscription is not None
        at = cursor(self.subscription.board.epoch, version)
        if row is None:
            self.subscription.discard([room])
            self._release(1)
            return Prepared(v1.RoomsItem, at + field(v1.RoomsItem.GONE_FIELD_NUMBER, room.encode()))
        state = room_state(row).SerializeToString()
        return Prepared(v1.RoomsItem, at + field(v1.RoomsItem.ROOM_FIELD_NUMBER, state))


class Inboxes:
    """All readers. Follows what happens in rooms (a `Follower`)."""

    def __init__(self, *, board: Board, store: Store, errands: Errands, lines: Lines, limits: DomainLimits) -> None:
        self._board = board
        self._lines = lines
        self._store = store
        self._errands = errands
        self._limits = limits
        self._inboxes: dict[str, set[Inbox]] = {}
        self._watches = Shares(
            limits.watched_lists_max, "lists of rooms watched at once (watched_lists_max)", weight_bytes=LIST_BYTES
        )
        self._recent: Lru[str, bool] = Lru(limits.inbox_remembered_max)
        # user → room → the version at which the user left it, so that a reader who comes back hears of it.
        self._gone: Lru[str, dict[str, int]] = Lru(limits.inbox_remembered_max + 1)  # bounded by `member`
        self._gone_count = 0

    async def open(self, request: v1.RoomsWatchRequest, call: Call, sink: Sink[Any]) -> Source:
        """A reader of the caller's rooms."""
        user = call.user
        inbox = Inbox(user, sink, self._store, self._errands, self._lines, call, self._left)
        lent = self._watches.lend(call.memory, 1, lambda: inbox, user=user)
        self._inboxes.setdefault(user, set()).add(inbox)
        try:
            rooms = await self._store.names_of(user)
            after = request.after.seq if request.HasField("after") else None
            resumes = after is not None and request.after.epoch == self._board.epoch
            gone = self._gone.get(user) if resumes else None
            missed = [room for room, version in (gone or {}).items() if version > (after or 0)]
            interest = {*rooms, *inbox.touched, *missed}
            inbox.hold(len(interest))
        except BaseException:
            lent.close()
            raise
        inbox.subscription = BoardSubscription(
            self._board,
            interest,
            inbox,
            fetch=inbox.fetch,
            render=inbox.render,
            live=_live,
            after=after,
            epoch=request.after.epoch,
            beat_seconds=self._limits.inbox_beat_seconds,
            weigh=_bytes_of,
            fetch_keys_max=FETCH_ROOMS_MAX,
        )
        return lent

    def changed(self, room: str, /) -> None:
        """There are new events in the room: everybody's row of it is another one."""
        self._board.publish(room)
        self._remember(room)

    def member(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, or got another role."""
        member = change.member
        gone = self._gone.get(member.user) or {}
        before = len(gone)
        gone.pop(room, None)
        if member.left:
            gone[room] = self._board.version + 1
            if len(gone) > GONE_MAX:
                del gone[next(iter(gone))]
            self._gone.put(member.user, gone)
        self._gone_count += len(gone) - before
        while self._gone_count > GONE_IN_ALL_MAX or len(self._gone) > self._limits.inbox_remembered_max:
            self._gone_count -= len(self._gone.drop_oldest())
        self.touch(room, member.user)

    def touch(self, room: str, user: str) -> None:
        """This user's row of the room is another one."""
        inboxes = self._inboxes.get(user)
        if inboxes:
            # Else the board forgets the room with its last reader, and whoever resumes then gets everything.
            self._board.keep(room)
            self._remember(room)
            for inbox in list(inboxes):
                inbox.touch(room)

    def _remember(self, room: str) -> None:
        forgotten = self._recent.put(room, True)
        if forgotten is not None:
            self._board.forget(forgotten)

    def _left(self, inbox: Inbox) -> None:
        inboxes = self._inboxes.get(inbox.user)
        if inboxes is not None:
            inboxes.discard(inbox)
            if not inboxes:
                del self._inboxes[inbox.user]


def _live(epoch: str, version: int) -> Prepared[Any]:
    return live_item(v1.RoomsItem, epoch, version)


def _bytes_of(item: Prepared[Any]) -> int:
    return len(item.protobuf)
