"""Presence, typing and read positions of one room.

The presence of a room is loaded when it is watched, and kept for a while afterwards. It is loaded once and then
updated: members join and leave, their states change, positions move. Updates received while it loads are deferred and
applied afterwards. Each update is a state and not a difference, so applying one twice is harmless.

Where presence is limited to users who share a room (`presence_visible_to`, ADR 33), a member who has not consented to
being seen in the room is in the compacted log as OFFLINE and never seen, without positions, and does not count as
online.

Above `presence_room_members_max` members only two numbers are published, sampled every `presence_count_seconds`. A room
that grows beyond the limit while it is watched switches to counts and stays there.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from tidings.contract import v1
from tidings.contract.memory_account import MemoryAccount
from tidings.contract.protobuf_wire import encode_field
from tidings.domain.common.background import BackgroundTasks
from tidings.domain.limits.limits import EVERYONE, DomainLimits
from tidings.domain.ports.store import MemberChange, MemberRecord, Store
from tidings.domain.presence.presence_items import PresenceLog
from tidings.domain.presence.tracker import PresenceTracker, offline_state

if TYPE_CHECKING:
    from reactivex.abc import DisposableBase, SchedulerBase

MEMBERS_PAGE_SIZE: Final = 1_000
# The presence of a room, and each member with a state and positions in the compacted log; measured: 3.0 and 0.7 KiB
# with a status text of 256 bytes. Where members are counted, a name.
ROOM_PRESENCE_BYTES: Final = 3_584
MEMBER_BYTES: Final = 1_024
COUNTED_MEMBER_BYTES: Final = 128
COUNT_KEY: Final = "count"
TYPING_KEY: Final = "typing"


class RoomPresence:
    """The members of one room.

    `track(user)` and `untrack(user)` subscribe to the states of the visible members. Memory is reserved on `account`.
    """

    def __init__(
        self,
        room: str,
        compacted_log: PresenceLog,
        *,
        store: Store,
        tracker: PresenceTracker,
        background: BackgroundTasks,
        make_rx_scheduler: "Callable[[], SchedulerBase]",
        limits: DomainLimits,
        account: MemoryAccount,
        track: Callable[[str], None],
        untrack: Callable[[str], None],
    ) -> None:
        self.room = room
        self.compacted_log = compacted_log
        self.account = account
        self.reserved_bytes = 0
        self.subscriptions_by_account: dict[MemoryAccount, int] = {}
        self._store = store
        self._tracker = tracker
        self._background = background
        self._make_rx_scheduler = make_rx_scheduler
        self._limits = limits
        self._track = track
        self._untrack = untrack
        self._is_limited = limits.presence_visible_to != EVERYONE
        self._members: set[str] = set()
        # Members who are hidden, since they have not consented.
        self._without_consent: set[str] = set()
        # Delivered and read positions of members; never move back, in whatever order updates arrive.
        self._positions: dict[str, tuple[int, int]] = {}
        # Members who left while the room was watched: they stay in the compacted log as OFFLINE for slow readers.
        self._recently_left: dict[str, None] = {}
        # Updates received while loading; None when loading is done.
        self._deferred: list[Callable[[], None]] | None = []
        self._count_subscription: DisposableBase | None = None

    # loading and closing

    async def load(self) -> None:
        """Read who the members are, their positions and their states."""
        members = await self._read_members()
        self._members.update(members)
        if self._is_limited:
            self._without_consent.update(user for user, member in members.items() if not member.consented)
        if len(self._members) > self._limits.presence_room_members_max:
            self._switch_to_counts()
        else:
            await self._load_members(list(members.values()))
        self._update_reservation()
        self._apply_deferred()

    async def reload(self) -> None:
        """Read the members and positions again, since changes may have been missed, and apply the differences.

        What is heard meanwhile is applied afterwards. While it loads already nothing is done: the next notice or
        comparison comes.
        """
        if self._deferred is not None:
            return
        self._deferred = []
        try:
            members = await self._read_members()
            for user in self._members - members.keys():
                self._on_leave(user)
            for user, member in members.items():
                is_hidden = self._is_limited and not member.consented
                if user not in self._members:
                    self._on_join(user, 0, is_hidden=is_hidden)
                elif is_hidden is not (user in self._without_consent):
                    self._on_consent_changed(user, is_hidden=is_hidden)
                if self._is_listed(user):
                    self._put_receipt(user, member.delivered, member.read)
            self._update_reservation()
        finally:
            self._apply_deferred()

    def can_watch(self, user: str) -> bool:
        """Whether a user may see the members, where that is for those who consented; true for members not read."""
        is_complete = len(self._members) < self._limits.presence_count_members_max
        return user not in self._without_consent and (user in self._members or not is_complete)

    def _apply_deferred(self) -> None:
        deferred, self._deferred = self._deferred or [], None
        for apply in deferred:
            apply()

    async def _read_members(self) -> dict[str, MemberRecord]:
        members: dict[str, MemberRecord] = {}
        after = ""
        while page := await self._store.members(self.room, after=after, limit=MEMBERS_PAGE_SIZE):
            members.update((member.user, member) for member in page)
            if len(members) >= self._limits.presence_count_members_max:
                break
            after = page[-1].user
        return members

    async def _load_members(self, members: Sequence[MemberRecord]) -> None:
        states = await self._tracker.states([person.user for person in members])
        for member in members:
            if member.user not in self._without_consent:
                self._track(member.user)
            # A cached state is newer than the one that was read.
            self._put_user(member.user, self._visible_state(member.user) or states[member.user])
            self._put_receipt(member.user, member.delivered, member.read)

    def close(self) -> None:
        """Stop following the members, and release the memory."""
        if self._count_subscription is None:
            for user in self._members:
                self._untrack(user)
        else:
            self._count_subscription.dispose()
        self.account.release(self.reserved_bytes)
        self.reserved_bytes = 0

    # memory

    def charge_to(self, account: MemoryAccount) -> None:
        """Move its reservation to this account, even beyond the account's limit."""
        self.account.transfer(self.reserved_bytes, account)
        self.account = account

    def _update_reservation(self) -> None:
        bytes_per_member = MEMBER_BYTES if self._count_subscription is None else COUNTED_MEMBER_BYTES
        reserved_bytes = ROOM_PRESENCE_BYTES + bytes_per_member * (len(self._members) + len(self._recently_left))
        self.account.reserve_unchecked(reserved_bytes - self.reserved_bytes)
        self.reserved_bytes = reserved_bytes

    # events

    @property
    def is_counting(self) -> bool:
        """Whether it publishes two numbers instead of members."""
        return self._count_subscription is not None

    def on_state_changed(self, user: str) -> None:
        """The visible state of a member changed."""
        state = self._tracker.cached_state(user)
        if state is not None and self._is_listed(user):
            self._put_user(user, state)

    def on_typing_changed(self, users: Sequence[str]) -> None:
        """These users type now."""
        if users or TYPING_KEY in self.compacted_log:
            body = v1.Typing(room=self.room, users=users).SerializeToString()
            self.compacted_log.put(TYPING_KEY, encode_field(v1.PresenceItem.TYPING_FIELD_NUMBER, body))

    def on_positions_changed(self, user: str, delivered: int, read: int) -> None:
        """The positions of a member moved."""
        if self._deferred is not None:
            self._deferred.append(lambda: self.on_positions_changed(user, delivered, read))
        elif self._is_listed(user):
            self._put_receipt(user, delivered, read)

    def on_member_changed(self, change: MemberChange) -> None:
        """A member joined, left, or changed consent."""
        user, left = change.member.user, change.member.left
        if self._deferred is not None:
            self._deferred.append(lambda: self.on_member_changed(change))
        elif left and user in self._members:
            self._on_leave(user)
            self._update_reservation()
        elif not left and user not in self._members:
            self._on_join(user, change.seq, is_hidden=self._is_limited and not change.consented)
            self._update_reservation()
        elif not left and self._is_limited and change.consented is (user in self._without_consent):
            self._on_consent_changed(user, is_hidden=not change.consented)

    # changes

    def _is_listed(self, user: str) -> bool:
        return self._count_subscription is None and user in self._members

    def _on_join(self, user: str, seq: int, *, is_hidden: bool) -> None:
        self._members.add(user)
        if is_hidden:
            self._without_consent.add(user)
        self._recently_left.pop(user, None)
        if self._count_subscription is not None:
            return
        if not is_hidden:
            self._track(user)
        if len(self._members) > self._limits.presence_room_members_max:
            self._switch_to_counts()
            return
        self._put_state(user)
        self._put_receipt(user, seq, seq)

    def _put_state(self, user: str) -> None:
        state = self._visible_state(user)
        if state is not None:
            self._put_user(user, state)
        else:
            self._background.start(self._tracker.states([user]), self._add_states)

    def _visible_state(self, user: str) -> bytes | None:
        """The visible state of a member if it is cached, else None."""
        return offline_state(user, 0) if user in self._without_consent else self._tracker.cached_state(user)

    def _on_consent_changed(self, user: str, *, is_hidden: bool) -> None:
        """A member is visible or hidden from now on."""
        if is_hidden:
            self._without_consent.add(user)
        else:
            self._without_consent.discard(user)
        if self._count_subscription is None:
            (self._untrack if is_hidden else self._track)(user)
            self._put_state(user)
            self._put_visible_receipt(user)

    def _add_states(self, states: dict[str, bytes] | Exception) -> None:
        # On an error the members stay without a state until their next change.
        if isinstance(states, dict):
            for user, state in states.items():
                if self._is_listed(user):
                    self._put_user(user, self._visible_state(user) or state)

    def _on_leave(self, user: str) -> None:
        self._members.discard(user)
        self._without_consent.discard(user)
        if self._count_subscription is not None:
            return
        self._untrack(user)
        self.compacted_log.remove(f"receipt {user}")
        self._positions.pop(user, None)
        self._put_user(user, offline_state(user, 0))
        self._recently_left[user] = None
        if len(self._recently_left) > self._limits.presence_room_members_max:
            evicted = next(iter(self._recently_left))
            del self._recently_left[evicted]
            self.compacted_log.remove(f"user {evicted}")

    def _switch_to_counts(self) -> None:
        """Publish two numbers instead of members, from now on."""
        for user in (*self._members, *self._recently_left):
            self._untrack(user)
            self.compacted_log.remove(f"user {user}")
            self.compacted_log.remove(f"receipt {user}")
        self._recently_left.clear()
        self._positions.clear()
        # Imported here: it takes 30 ms at the start, and few services have a room of this size.
        from reactivex import interval
        from reactivex import operators as ops

        ticks = interval(self._limits.presence_count_seconds, scheduler=self._make_rx_scheduler())
        counts = ticks.pipe(ops.map(lambda _: self._current_counts()), ops.start_with(self._current_counts()))
        self._count_subscription = counts.pipe(ops.distinct_until_changed()).subscribe(self._put_counts)

    def _current_counts(self) -> tuple[int, int]:
        return len((self._tracker.visible_states.keys() & self._members) - self._without_consent), len(self._members)

    # entries of the compacted log

    def _put_counts(self, counts: tuple[int, int]) -> None:
        online, members = counts
        body = v1.PresenceCount(online=online, members=members).SerializeToString()
        self.compacted_log.put(COUNT_KEY, encode_field(v1.PresenceItem.COUNT_FIELD_NUMBER, body))

    def _put_user(self, user: str, state: bytes) -> None:
        self.compacted_log.put(f"user {user}", encode_field(v1.PresenceItem.USER_FIELD_NUMBER, state))

    def _put_receipt(self, user: str, delivered: int, read: int) -> None:
        before = self._positions.get(user, (0, 0))
        positions = max(delivered, before[0]), max(read, before[1])
        if positions == before:
            return
        self._positions[user] = positions
        self._put_visible_receipt(user)

    def _put_visible_receipt(self, user: str) -> None:
        positions = self._positions.get(user)
        if user in self._without_consent:
            self.compacted_log.remove(f"receipt {user}")
        elif positions is not None:
            body = v1.Receipt(room=self.room, user=user, delivered=positions[0], read=positions[1]).SerializeToString()
            self.compacted_log.put(f"receipt {user}", encode_field(v1.PresenceItem.RECEIPT_FIELD_NUMBER, body))
