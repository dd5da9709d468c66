"""What passes by in one room: who is there, who types, how far everybody has read.

A gathering is followed while somebody watches it, and a little longer. It is loaded once, then kept up to date by what
it hears: people come and go, their states change, positions move. What it hears while it loads is put aside and applied
afterwards; each of these says what is and not what to add, so that hearing it twice does no harm.

Where presence is for those who share a room (`presence_visible_to`, ADR 33), a member who has not consented to being
seen there is on the slate as OFFLINE and never seen, without positions, and does not count as online.

Above `presence_room_members_max` members it counts: two numbers, looked at every `presence_count_seconds`. A room that
grows beyond it while it is watched counts from then on.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from tidings.contract import v1
from tidings.contract.memory import Account
from tidings.domain.errands import Errands
from tidings.domain.items import field
from tidings.domain.limits import EVERYONE, DomainLimits
from tidings.domain.ports import MemberChange, MemberRecord, Store
from tidings.domain.roster import Roster, offline
from tidings.domain.slate import Slate

if TYPE_CHECKING:
    from reactivex.abc import DisposableBase, SchedulerBase

MEMBERS_PAGE: Final = 1_000
# A gathering, and each member with a state and positions on the slate; measured: 3.0 and 0.7 KiB, a text of 256 bytes
# added. Where members are counted, a name.
GATHERING_BYTES: Final = 3_584
MEMBER_BYTES: Final = 1_024
COUNTED_BYTES: Final = 128
COUNT: Final = "count"
TYPING: Final = "typing"


class Gathering:
    """The people in one room.

    `follow` and `unfollow` say whose states it wants to hear of: of those who are seen; `account` holds its weight.
    """

    def __init__(
        self,
        room: str,
        slate: Slate,
        *,
        store: Store,
        roster: Roster,
        errands: Errands,
        scheduler: "Callable[[], SchedulerBase]",
        limits: DomainLimits,
        account: Account,
        follow: Callable[[str], None],
        unfollow: Callable[[str], None],
    ) -> None:
        self.room = room
        self.slate = slate
        self.account = account
        self.weight_bytes = 0
        self.readers: dict[Account, int] = {}
        self._store = store
        self._roster = roster
        self._errands = errands
        self._scheduler = scheduler
        self._limits = limits
        self._follow = follow
        self._unfollow = unfollow
        self._limited = limits.presence_visible_to != EVERYONE
        self._members: set[str] = set()
        # Members who are not seen, since they have not consented.
        self._unseen: set[str] = set()
        # How far the members have come; never back, in whatever order it is heard.
        self._positions: dict[str, tuple[int, int]] = {}
        # Who left while somebody watched: they stay on the slate as OFFLINE, for readers who did not hear it yet.
        self._gone: dict[str, None] = {}
        # What was heard while loading; None once that is done.
        self._heard: list[Callable[[], None]] | None = []
        self._counting: DisposableBase | None = None

    # its life

    async def load(self) -> None:
        """Read who the members are, their positions and their states."""
        people: list[MemberRecord] = []
        after = ""
        while page := await self._store.members(self.room, after=after, limit=MEMBERS_PAGE):
            self._members.update(member.user for member in page)
            if self._limited:
                self._unseen.update(member.user for member in page if not member.consented)
            if len(self._members) <= self._limits.presence_room_members_max:
                people += page
            if len(self._members) >= self._limits.presence_count_members_max:
                break
            after = page[-1].user
        if len(self._members) > self._limits.presence_room_members_max:
            self._count()
        else:
            await self._load_people(people)
        self._weigh()
        heard, self._heard = self._heard or [], None
        for hear in heard:
            hear()

    async def _load_people(self, people: Sequence[MemberRecord]) -> None:
        states = await self._roster.states([person.user for person in people])
        for person in people:
            if person.user not in self._unseen:
                self._follow(person.user)
            # What is known now is newer than what was read.
            self._put_user(person.user, self._seen(person.user) or states[person.user])
            self._put_receipt(person.user, person.delivered, person.read)

    def close(self) -> None:
        """Nobody watches any more."""
        if self._counting is None:
            for user in self._members:
                self._unfollow(user)
        else:
            self._counting.dispose()
        self.account.release(self.weight_bytes)
        self.weight_bytes = 0

    # what it weighs

    def charge(self, account: Account) -> None:
        """From now on its weight is on this account, whether there is room or not."""
        self.account.move(self.weight_bytes, account)
        self.account = account

    def _weigh(self) -> None:
        each = MEMBER_BYTES if self._counting is None else COUNTED_BYTES
        weight_bytes = GATHERING_BYTES + each * (len(self._members) + len(self._gone))
        self.account.force(weight_bytes - self.weight_bytes)
        self.weight_bytes = weight_bytes

    # what it hears

    @property
    def counts(self) -> bool:
        """Whether it tells two numbers instead of people."""
        return self._counting is not None

    def state(self, user: str) -> None:
        """What others see of a member changed."""
        state = self._roster.known(user)
        if state is not None and self._names(user):
            self._put_user(user, state)

    def typing(self, users: Sequence[str]) -> None:
        """Who types now."""
        if users or TYPING in self.slate:
            body = v1.Typing(room=self.room, users=users).SerializeToString()
            self.slate.put(TYPING, field(v1.PresenceItem.TYPING_FIELD_NUMBER, body))

    def receipt(self, user: str, delivered: int, read: int) -> None:
        """A member's positions moved."""
        if self._heard is not None:
            self._heard.append(lambda: self.receipt(user, delivered, read))
        elif self._names(user):
            self._put_receipt(user, delivered, read)

    def member(self, change: MemberChange) -> None:
        """Somebody came or left, or is seen or not seen from now on."""
        user, left = change.member.user, change.member.left
        if self._heard is not None:
            self._heard.append(lambda: self.member(change))
        elif left and user in self._members:
            self._leave(user)
            self._weigh()
        elif not left and user not in self._members:
            self._come(user, change.seq, unseen=self._limited and not change.consented)
            self._weigh()
        elif not left and self._limited and change.consented is (user in self._unseen):
            self._turn(user, unseen=not change.consented)

    # what follows from it

    def _names(self, user: str) -> bool:
        return self._counting is None and user in self._members

    def _come(self, user: str, seq: int, *, unseen: bool) -> None:
        self._members.add(user)
        if unseen:
            self._unseen.add(user)
        self._gone.pop(user, None)
        if self._counting is not None:
            return
        if not unseen:
            self._follow(user)
        if len(self._members) > self._limits.presence_room_members_max:
            self._count()
            return
        self._show(user)
        self._put_receipt(user, seq, seq)

    def _show(self, user: str) -> None:
        state = self._seen(user)
        if state is not None:
            self._put_user(user, state)
        else:
            self._errands.run(self._roster.states([user]), self._introduce)

    def _seen(self, user: str) -> bytes | None:
        """What is seen of a member, if that is known without asking the store."""
        return offline(user, 0) if user in self._unseen else self._roster.known(user)

    def _turn(self, user: str, *, unseen: bool) -> None:
        """A member is seen or not seen from now on."""
        if unseen:
            self._unseen.add(user)
        else:
            self._unseen.discard(user)
        if self._counting is None:
            (self._unfollow if unseen else self._follow)(user)
            self._show(user)
            self._show_receipt(user)

    def _introduce(self, states: dict[str, bytes] | Exception) -> None:
        # If the store could not say when somebody was last seen, the next change will come all the same.
        if isinstance(states, dict):
            for user, state in states.items():
                if self._names(user):
                    self._put_user(user, self._seen(user) or state)

    def _leave(self, user: str) -> None:
        self._members.discard(user)
        self._unseen.discard(user)
        if self._counting is not None:
            return
        self._unfollow(user)
        self.slate.drop(f"receipt {user}")
        self._positions.pop(user, None)
        self._put_user(user, offline(user, 0))
        self._gone[user] = None
        if len(self._gone) > self._limits.presence_room_members_max:
            forgotten = next(iter(self._gone))
            del self._gone[forgotten]
            self.slate.drop(f"user {forgotten}")

    def _count(self) -> None:
        """Two numbers instead of people, from now on."""
        for user in (*self._members, *self._gone):
            self._unfollow(user)
            self.slate.drop(f"user {user}")
            self.slate.drop(f"receipt {user}")
        self._gone.clear()
        self._positions.clear()
        # Imported here, since no start shall wait 30 ms for what few services need: they have no room of this size.
        from reactivex import interval
        from reactivex import operators as ops

        looks = interval(self._limits.presence_count_seconds, scheduler=self._scheduler())
        counts = looks.pipe(ops.map(lambda _: self._counts()), ops.start_with(self._counts()))
        self._counting = counts.pipe(ops.distinct_until_changed()).subscribe(self._put_counts)

    def _counts(self) -> tuple[int, int]:
        return len((self._roster.shown.keys() & self._members) - self._unseen), len(self._members)

    # what is put on the slate

    def _put_counts(self, counts: tuple[int, int]) -> None:
        online, members = counts
        body = v1.PresenceCount(online=online, members=members).SerializeToString()
        self.slate.put(COUNT, field(v1.PresenceItem.COUNT_FIELD_NUMBER, body))

    def _put_user(self, user: str, state: bytes) -> None:
        self.slate.put(f"user {user}", field(v1.PresenceItem.USER_FIELD_NUMBER, state))

    def _put_receipt(self, user: str, delivered: int, read: int) -> None:
        before = self._positions.get(user, (0, 0))
        positions = max(delivered, before[0]), max(read, before[1])
        if positions == before:
            return
        self._positions[user] = positions
        self._show_receipt(user)

    def _show_receipt(self, user: str) -> None:
        positions = self._positions.get(user)
        if user in self._unseen:
            self.slate.drop(f"receipt {user}")
        elif positions is not None:
            body = v1.Receipt(room=self.room, user=user, delivered=positions[0], read=positions[1]).SerializeToString()
            self.slate.put(f"receipt {user}", field(v1.PresenceItem.RECEIPT_FIELD_NUMBER, body))
