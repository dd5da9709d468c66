"""Who is there: set it, say that one types, watch people or a room."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.codecs import Prepared
from tidings.contract.errors import invalid_argument
from tidings.domain.access import Access
from tidings.domain.endings import Reader
from tidings.domain.errands import Errands
from tidings.domain.gatherings import Gatherings
from tidings.domain.items import cursor, field, live_item
from tidings.domain.lru import Lru
from tidings.domain.pace import Pace
from tidings.domain.roster import Chosen, Roster, offline
from tidings.domain.rules import Rules
from tidings.domain.shares import Shares
from tidings.domain.visibility import HIDDEN, PeopleWatch, Visibility
from tidings.hub import Board, BoardSubscription, Sink, Source

# What a user's own devices see is another key than what others see. No user's name has a space in it.
_OWN: Final = "own "

CHOICES: Final = frozenset({v1.ONLINE, v1.AWAY, v1.BUSY, v1.INVISIBLE})


# A watch of people, and one name in it (in the interest, in what is to be sent, on the board); measured: 1.0
# and 0.2 KiB.
PEOPLE_BYTES: Final = 1_280
NAME_BYTES: Final = 256


class Presence:
    """The service `Presence`.

    Anybody who is signed in may watch anybody, or only those who share a room (`Visibility`); and who wants not to be
    seen is INVISIBLE. People are watched through a
    board, each reader with an interest of its own; a room through its gathering, where all see the same, oneself
    included.
    """

    def __init__(
        self,
        *,
        board: Board,
        roster: Roster,
        gatherings: Gatherings,
        access: Access,
        rules: Rules,
        errands: Errands,
        calls: Pace,
        updates: Pace,
        visibility: Visibility,
    ) -> None:
        self._board = board
        self._roster = roster
        self._gatherings = gatherings
        self._access = access
        self._rules = rules
        self._limits = rules.limits
        self._errands = errands
        self._calls = calls
        self._updates = updates
        self._visibility = visibility
        self._named = Shares(
            self._limits.watched_users_max, "names in watches (watched_users_max)", weight_bytes=NAME_BYTES
        )
        self._watches = Shares(
            self._limits.watched_people_max,
            "watches of people at once (watched_people_max)",
            weight_bytes=PEOPLE_BYTES,
            free=board.free,
            places="board.subscriptions_max",
        )
        self._recent: Lru[str, bool] = Lru(2 * self._limits.presence_remembered_max)
        roster.changed.append(self._publish)
        roster.changed_for_self.append(lambda user: self._publish(_OWN + user))

    def set(self, request: v1.SetPresenceRequest, call: Call) -> v1.SetPresenceReply:
        """My status on all my devices."""
        self._calls.take(call.session.id)
        if request.status not in CHOICES:
            raise invalid_argument(
                "status must be ONLINE, AWAY, BUSY or INVISIBLE; who has no connection is OFFLINE without saying so"
            )
        text = self._rules.status_text(request.text)
        self._updates.take(call.user, self._gatherings.weigh_user(call.user))
        self._roster.choose(call.user, Chosen(request.status, text))
        return v1.SetPresenceReply()

    async def typing(self, request: v1.TypingRequest, call: Call) -> v1.TypingReply:
        """I type in a room."""
        self._calls.take(call.session.id)
        room = self._rules.room(request.room)
        await self._access.may_write(room, call.user)
        self._updates.take(call.user, self._gatherings.weigh(room))
        self._gatherings.type(room, call.user, stopped=request.stopped)
        return v1.TypingReply()

    async def watch(self, request: v1.PresenceWatchRequest, call: Call, sink: Sink[Any]) -> Source:
        """People or a room, as they are and as they change."""
        self._calls.take(call.session.id)
        if bool(request.users) == bool(request.room):
            raise invalid_argument("name either users or a room to watch")
        if request.room:
            return await self.around(request.room, call, Reader(sink), request.after)
        return await self._people(request, call, sink)

    async def around(self, room: str, call: Call, sink: Sink[Any], after: v1.Cursor) -> Source:
        """What passes by in a room."""
        room = self._rules.room(room)
        await self._access.may_read(room, call.user)
        with self._visibility.looking(room, call.user) as look, self._gatherings.awaited(room):
            await look.ask()
            loaded = False
            while True:  # twice at most
                if look.sees and not loaded:
                    await self._gatherings.open(room)
                    loaded = True
                # The right may have been lost meanwhile.
                await self._access.may_read(room, call.user)
                if not look.sees:
                    return self._visibility.read_nothing(room, sink, owner=call.user, account=call.memory)
                if loaded:
                    return self._gatherings.read(room, sink, owner=call.user, after=after, account=call.memory)

    async def _people(self, request: v1.PresenceWatchRequest, call: Call, sink: Sink[Any]) -> Source:
        most = self._limits.presence_users_max
        if len(request.users) > most:
            raise invalid_argument(
                f"one watch names at most {most} users (presence_users_max); use another watch for the rest, or a room"
            )
        users = dict.fromkeys(self._rules.user(user) for user in request.users)

        def subscription(keys: Iterable[str], after: int | None) -> BoardSubscription[bytes, Any]:
            return BoardSubscription(
                self._board,
                [_OWN + user if user == call.user else user for user in keys],
                Reader(sink),
                fetch=self._fetch,
                render=self._render,
                live=_live,
                after=after,
                epoch=request.after.epoch,
            )

        def lend(make: Callable[[], Source]) -> Source:
            return self._watches.lend(
                call.memory,
                1,
                lambda: self._named.lend(call.memory, len(users), make, user=call.user),
                user=call.user,
            )

        if not self._visibility.limited:
            return lend(lambda: subscription(users, request.after.seq if request.HasField("after") else None))

        def begin(watch: PeopleWatch, keys: Sequence[str]) -> Source:
            # Who is seen may have changed since the cursor: everything is sent.
            watch.subscription = subscription(keys, None)
            return watch

        return await self._visibility.watch(call, list(users), lambda watch, keys: lend(lambda: begin(watch, keys)))

    def _publish(self, key: str) -> None:
        self._board.publish(key)
        forgotten = self._recent.put(key, True)
        if forgotten is not None:
            self._board.forget(forgotten)

    def _fetch(self, keys: Sequence[str], done: Callable[[Sequence[bytes] | Exception], None]) -> None:
        """The states as they are now, from memory where it knows them."""
        known = [self._known(key) for key in keys]
        states = [state for state in known if state is not None]
        if len(states) == len(keys):
            done(states)
            return

        def read(answer: dict[str, bytes] | Exception) -> None:
            if isinstance(answer, Exception):
                done(answer)
            else:
                done([self._known(key) or answer[key.removeprefix(_OWN)] for key in keys])

        self._errands.run(self._roster.states([key.removeprefix(_OWN) for key in keys]), read)

    def _known(self, key: str) -> bytes | None:
        if key.startswith(HIDDEN):
            return offline(key.removeprefix(HIDDEN), 0)
        user = key.removeprefix(_OWN)
        own = self._roster.own(user) if user != key else None
        return own or self._roster.known(user)

    def _render(self, _key: str, state: bytes, version: int) -> Prepared[v1.PresenceItem]:
        at = cursor(self._board.epoch, version)
        return Prepared(v1.PresenceItem, at + field(v1.PresenceItem.USER_FIELD_NUMBER, state))


def _live(epoch: str, version: int) -> Prepared[Any]:
    return live_item(v1.PresenceItem, epoch, version)
