"""Who may see whose presence, where that is limited to those who share a room (`presence_visible_to`, ADR 33).

Two users share a room when both are members of it and have consented to being seen there. Any user can make a room with
any other, or bring them into one; who was brought in consents by an act of their own (`ports.Log.append`).

    people by name   who is not seen is sent as OFFLINE, never seen, as a user that there is not; the watch has no
                     interest in that user, so that nothing the user does sends anything. When somebody comes into a
                     room or leaves one, it is found out again who sees that user, and whom that user sees.
    a room           who has not consented, or only reads an OPEN room, reads an empty slate. Once that changes, the
                     reader is asked to open again. The others do not see who has not (`Gathering`).
"""

import contextlib
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.errors import Failure, unavailable
from tidings.contract.memory import Account
from tidings.domain.errands import Errands
from tidings.domain.lines import Lines
from tidings.domain.ports import MemberChange, MemberRecord, Store
from tidings.domain.shares import Lent
from tidings.domain.slate import Slate
from tidings.hub import BoardSubscription, Sink, Source
from tidings.hub.ports import Schedule
from tidings.hub.turns import Turns

# The key under which a watch holds a user who is not seen; no user's name has a space in it.
HIDDEN: Final = "hidden "
READER_BYTES: Final = 512
VISITS_MAX: Final = 128


class PeopleWatch:
    """A watch of named users: the `Source` of its transport. `subscription` is there once `begin` was called."""

    __slots__ = ("_left", "names", "subscription", "touched", "user")

    def __init__(self, user: str, names: Collection[str], left: Callable[["PeopleWatch"], None]) -> None:
        self.user = user
        self.names = frozenset(names)
        self.subscription: BoardSubscription[bytes, Any] | None = None
        # Whose rooms changed while it was found out who is seen.
        self.touched: set[str] = set()
        self._left = left

    def wake(self) -> None:
        """Demand may have grown."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """The reader is gone."""
        self._left(self)
        if self.subscription is not None:
            self.subscription.close()

    def show(self, asked: Iterable[str], seen: Collection[str]) -> None:
        """Of the names asked about, these are seen now and the others not."""
        subscription = self.subscription
        if subscription is None:
            return
        for name in asked:
            before, after = (HIDDEN + name, name) if name in seen else (name, HIDDEN + name)
            if before in subscription.keys:
                subscription.discard([before])
                subscription.add([after])


class Look:
    """Whether a user sees the people in a room: stays true while it is held (`Visibility.looking`)."""

    __slots__ = ("_heard", "_limited", "_room", "_store", "sees", "user")

    def __init__(self, room: str, user: str, store: Store, *, limited: bool) -> None:
        self.user = user
        self.sees = not limited
        self._room = room
        self._store = store
        self._limited = limited
        self._heard = False

    async def ask(self) -> None:
        """Find out; before that nobody is seen."""
        if self._limited:
            membership = await self._store.standing(self._room, self.user)
            # What was heard meanwhile is no older.
            if not self._heard:
                self.sees = membership.consented

    def hear(self, consented: bool) -> None:
        """The user consented, or does no longer."""
        self._heard = True
        self.sees = consented

    def sees_member(self, record: MemberRecord) -> bool:
        """Whether the user sees this member of the room."""
        return record.user == self.user or (self.sees and (record.consented or not self._limited))


class Visibility:
    """Answers who is seen, and follows what changes it (a `Follower` of the publication)."""

    def __init__(self, *, limited: bool, store: Store, lines: Lines, errands: Errands, schedule: Schedule) -> None:
        """`limited`: to those who share a room; else everybody sees everybody."""
        self.limited = limited
        self._store = store
        self._lines = lines
        self._errands = errands
        self._turns = Turns(schedule, VISITS_MAX)
        # Its cursors are never taken for those of a room's own slate.
        self._epoch = secrets.token_hex(4)
        self._versions = count(1)
        self._outside: dict[str, Slate] = {}  # room → readers who see nothing of it
        self._looks: dict[tuple[str, str], list[Look]] = {}  # under way, by room and user
        self._watches_by: dict[str, set[PeopleWatch]] = {}
        self._watches_of: dict[str, set[PeopleWatch]] = {}
        self._pending: dict[PeopleWatch, set[str]] = {}  # who is to be found out about again
        self._looking = False

    # people by name

    async def watch(
        self, call: Call, names: Sequence[str], make: Callable[[PeopleWatch, Sequence[str]], Source]
    ) -> Source:
        """The source that `make(watch, keys)` makes around a watch of these users, of whom the caller sees some."""
        user = call.user
        watch = PeopleWatch(user, names, self._left)
        self._watches_by.setdefault(user, set()).add(watch)
        for name in watch.names:
            self._watches_of.setdefault(name, set()).add(watch)
        try:
            seen = await self._lines.wait(call, lambda: self._store.sharing(user, names))
            source = make(watch, [name if name in seen or name == user else HIDDEN + name for name in names])
        except BaseException:
            self._left(watch)
            raise
        if watch.touched:
            self._look_again(watch, watch.touched)
        return source

    def _left(self, watch: PeopleWatch) -> None:
        self._pending.pop(watch, None)
        _discard(self._watches_by, watch.user, watch)
        for name in watch.names:
            _discard(self._watches_of, name, watch)

    def _look_again(self, watch: PeopleWatch, names: Iterable[str]) -> None:
        if watch.subscription is None:
            watch.touched.update(names)
            return
        # One look at a time, however many members come and go.
        self._pending.setdefault(watch, set()).update(names)
        if not self._looking:
            self._looking = True
            self._errands.spawn(self._look_at_pending(), "finding out who sees whom")

    async def _look_at_pending(self) -> None:
        try:
            while self._pending:
                watch = next(iter(self._pending))
                # Taken out first: what changes during the look is looked at once more.
                names = sorted(self._pending.pop(watch) - {watch.user})
                try:
                    seen: Collection[str] = await self._store.sharing(watch.user, names)
                except Failure:
                    seen = ()  # rather too little than too much
                watch.show(names, seen)
        finally:
            self._looking = False

    # rooms

    @contextlib.contextmanager
    def looking(self, room: str, user: str) -> Iterator[Look]:
        """Whether a user who may read in a room sees who is there, as long as one is within."""
        look = Look(room, user, self._store, limited=self.limited)
        looks = self._looks.setdefault((room, user), [])
        looks.append(look)
        try:
            yield look
        finally:
            looks.remove(look)
            if not looks:
                del self._looks[room, user]

    def read_nothing(self, room: str, sink: Sink[Any], *, owner: str, account: Account) -> Source:
        """A reader of a room who sees none of its members: the live mark alone, until that changes."""
        account.hold(READER_BYTES)
        slate = self._outside.get(room)
        if slate is None:
            slate = self._outside[room] = Slate(
                epoch=self._epoch,
                next_version=lambda: next(self._versions),
                turns=self._turns,
                emptied=lambda: self._outside.__delitem__(room),
            )
        reader = slate.read(sink, owner=owner, after=v1.Cursor())
        return Lent(reader, lambda: account.release(READER_BYTES))

    # what it follows

    def member(self, room: str, change: MemberChange, /) -> None:
        """A member came, left, got another role, or consented."""
        if not self.limited:
            return
        user = change.member.user
        for look in self._looks.get((room, user), ()):
            look.hear(change.consented)
        if change.consented:
            self._reopen(room, user)
        for watch in list(self._watches_by.get(user, ())):
            self._look_again(watch, watch.names)
        for watch in list(self._watches_of.get(user, ())):
            self._look_again(watch, (user,))

    def changed(self, room: str, /) -> None:
        """New events change nothing."""

    def _reopen(self, room: str, owner: str) -> None:
        slate = self._outside.get(room)
        if slate is not None:
            slate.end(owner, unavailable(f"you may see more of {room} now; open it again"))


def _discard(watches: dict[str, set[PeopleWatch]], key: str, watch: PeopleWatch) -> None:
    found = watches.get(key)
    if found is not None:
        found.discard(watch)
        if not found:
            del watches[key]
