"""The rooms whose passing life somebody watches."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from tidings.contract import v1
from tidings.contract.errors import Failure, unavailable
from tidings.contract.memory import Account
from tidings.domain.errands import Errands
from tidings.domain.gathering import Gathering
from tidings.domain.limits import EVERYONE, DomainLimits
from tidings.domain.ports import Clock, MemberChange, Store
from tidings.domain.roster import Roster
from tidings.domain.shares import Lent
from tidings.domain.slate import Slate
from tidings.domain.typists import Typists
from tidings.hub import Sink, Source
from tidings.hub.ports import Schedule, ScheduleLater
from tidings.hub.spans import Spans
from tidings.hub.turns import Turns

if TYPE_CHECKING:
    from reactivex.abc import SchedulerBase

IDLE_SECONDS: Final = 60.0  # who reconnects within a minute finds the room loaded
VISITS_MAX: Final = 128  # readers visited between two looks at the sockets
READER_BYTES: Final = 256  # a reader of a slate and its share; measured: 0.2 KiB


class Gatherings:
    """Room → gathering, and user → the gatherings that show this user. A `Follower` and a `Cut` of the publication.

    What a gathering weighs is on the account of one of its readers: of the first, then of another one when that one
    leaves. Those without readers share an account of their own, and the one left first is closed when it is full.
    """

    def __init__(
        self,
        *,
        epoch: str,
        store: Store,
        roster: Roster,
        errands: Errands,
        clock: Clock,
        schedule: Schedule,
        schedule_later: ScheduleLater,
        scheduler: "Callable[[], SchedulerBase]",
        limits: DomainLimits,
    ) -> None:
        self._epoch = epoch
        self._store = store
        self._roster = roster
        self._errands = errands
        self._scheduler = scheduler
        self._limits = limits
        self._versions = count(1)
        self._turns = Turns(schedule, VISITS_MAX)
        self._gatherings: dict[str, Gathering] = {}
        self._unwatched = Account("", limits.unwatched_presence_bytes_max)
        self._loading: dict[str, asyncio.Future[None]] = {}
        self._awaited: Counter[str] = Counter()  # readers that are about to come, by room; never 0
        self._showing: dict[str, set[Gathering]] = {}
        self._idle = Spans(IDLE_SECONDS, self._close, clock=clock.monotonic, schedule_later=schedule_later)
        self._typists = Typists(self._typing, clock=clock, schedule_later=schedule_later, limits=limits)
        roster.changed.append(self._state)

    # readers

    @contextlib.contextmanager
    def awaited(self, room: str) -> Iterator[None]:
        """A reader is about to come: within, the room that `open` loads is not closed again."""
        self._awaited[room] += 1
        self._idle.cancel(room)
        try:
            yield
        finally:
            self._awaited[room] -= 1
            if not self._awaited[room]:
                del self._awaited[room]
                self._begin_idle(room)
                self._close_unwatched()

    async def open(self, room: str) -> None:
        """Have the room followed, so that `read` may be called; both within `awaited`."""
        loading = self._loading.get(room)
        if loading is None and room not in self._gatherings:
            loading = self._load(room)
        if loading is not None:
            # One reader that gives up must not take the others' answer with it.
            await asyncio.shield(loading)

    def read(self, room: str, sink: Sink[Any], *, owner: str, after: v1.Cursor, account: Account) -> Source:
        """A reader of the room's life, which `open` had followed, for a user who may read there.

        RESOURCE_EXHAUSTED when the account has no room for it.
        """
        gathering = self._gatherings[room]
        pays = gathering.account is self._unwatched
        account.check(READER_BYTES + gathering.weight_bytes if pays else READER_BYTES)
        account.hold(READER_BYTES)
        if pays:
            gathering.charge(account)
        self._idle.cancel(room)
        gathering.readers[account] = gathering.readers.get(account, 0) + 1
        reader = gathering.slate.read(sink, owner=owner, after=after)
        return Lent(reader, lambda: self._left(gathering, account))

    def weigh(self, room: str) -> int:
        """How much an update of the room's life weighs: one, and one more for each so many readers."""
        gathering = self._gatherings.get(room)
        readers = 0 if gathering is None else gathering.slate.readers
        return 1 + readers // self._limits.update_weight_readers

    def weigh_receipt(self, room: str) -> int:
        """The same for a member's positions, which no reader is told where members are only counted."""
        gathering = self._gatherings.get(room)
        return 1 if gathering is None or gathering.counts else self.weigh(room)

    def weigh_user(self, user: str) -> int:
        """The same for what a user says of themselves."""
        readers = sum(gathering.slate.readers for gathering in self._showing.get(user, ()))
        return 1 + readers // self._limits.update_weight_readers

    # what it hears

    def type(self, room: str, user: str, *, stopped: bool) -> None:
        """Somebody types in a room, or stopped."""
        if stopped:
            self._typists.stop(room, user)
        else:
            self._typists.begin(room, user)

    def stop_typing(self, room: str, user: str) -> None:
        """Whatever the user was typing in a room is finished."""
        self._typists.stop(room, user)

    def marked(self, room: str, user: str, delivered: int, read: int) -> None:
        """Somebody's positions moved."""
        gathering = self._gatherings.get(room)
        if gathering is not None:
            gathering.receipt(user, delivered, read)

    def member(self, room: str, change: MemberChange, /) -> None:
        """Somebody came, left, got another role, or consented to being seen."""
        member = change.member
        if member.left or member.role == v1.READER:
            self._typists.stop(room, member.user)
        gathering = self._gatherings.get(room)
        if gathering is not None:
            gathering.member(change)
            if not change.consented and self._limits.presence_visible_to != EVERYONE:
                # Of an OPEN room, where everybody may read on: who is there is for members.
                gathering.slate.end(member.user, unavailable(f"you see less of {room} now; open it again"))

    def changed(self, room: str, /) -> None:
        """New events are no concern of a gathering."""

    def end(self, room: str, owner: str, error: Failure, /) -> None:
        """This user may no longer read this room."""
        gathering = self._gatherings.get(room)
        if gathering is not None:
            gathering.slate.end(owner, error)

    def _state(self, user: str) -> None:
        for gathering in self._showing.get(user, ()):
            gathering.state(user)

    def _typing(self, room: str, users: Sequence[str]) -> None:
        gathering = self._gatherings.get(room)
        if gathering is not None:
            gathering.typing(users)

    # gatherings come and go

    def _left(self, gathering: Gathering, account: Account) -> None:
        """A reader is gone."""
        account.release(READER_BYTES)
        readers = gathering.readers
        readers[account] -= 1
        if readers[account]:
            return
        del readers[account]
        if gathering.account is account:
            gathering.charge(next(iter(readers), self._unwatched))
            self._close_unwatched()

    def _close_unwatched(self) -> None:
        """Those that are too many, the one left first before the others."""
        while self._unwatched.held > self._unwatched.bytes_max and (room := self._idle.oldest()) is not None:
            self._close(room)

    def _load(self, room: str) -> asyncio.Future[None]:
        loading = self._loading[room] = asyncio.get_running_loop().create_future()
        gathering = self._gatherings[room] = self._new(room)

        def loaded(answer: Exception | None) -> None:
            del self._loading[room]
            if answer is None:
                gathering.typing(self._typists.now(room))
                loading.set_result(None)
                self._begin_idle(room)
                self._close_unwatched()
            else:
                self._close(room)
                loading.set_exception(answer)
                loading.exception()  # whoever waited has it; if nobody did, it is no news

        self._errands.run(gathering.load(), loaded)
        return loading

    def _new(self, room: str) -> Gathering:
        slate = Slate(
            epoch=self._epoch,
            next_version=lambda: next(self._versions),
            turns=self._turns,
            emptied=lambda: self._begin_idle(room),
        )
        gathering = Gathering(
            room,
            slate,
            store=self._store,
            roster=self._roster,
            errands=self._errands,
            scheduler=self._scheduler,
            limits=self._limits,
            account=self._unwatched,
            follow=lambda user: self._showing.setdefault(user, set()).add(gathering),
            unfollow=lambda user: self._unfollow(user, gathering),
        )
        return gathering

    def _begin_idle(self, room: str) -> None:
        """Close the room after `IDLE_SECONDS`, if it has no reader and none is about to come."""
        gathering = self._gatherings.get(room)
        if gathering and not (gathering.slate.readers or room in self._awaited or room in self._loading):
            self._idle.begin(room)

    def _close(self, room: str) -> None:
        self._idle.cancel(room)
        self._gatherings.pop(room).close()

    def _unfollow(self, user: str, gathering: Gathering) -> None:
        showing = self._showing.get(user)
        if showing is not None:
            showing.discard(gathering)
            if not showing:
                del self._showing[user]
