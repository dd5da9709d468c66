"""What may be said in a room, and who hears it: the rules behind `chat.*`, for single calls and for the channel.

A change goes in two steps, so that the channel can keep the order of its commands: `draft_…` checks everything that can
be checked and may have to ask who the caller is; `append` hands the event to the log, at once.
"""

from typing import Any, NamedTuple

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.codecs import Prepared
from tidings.contract.errors import invalid_argument
from tidings.domain.access import Access
from tidings.domain.pace import Pace
from tidings.domain.ports import Clock, Store
from tidings.domain.rules import Rules
from tidings.domain.shares import Shares
from tidings.hub import Hub, Lag, Sink, Source


class Draft(NamedTuple):
    """An event that may be appended. `moderates`: its actor may remove other people's messages."""

    event: v1.Event
    moderates: bool = False


class Messages:
    """Drafts of events, and subscriptions to them."""

    def __init__(
        self,
        *,
        store: Store,
        hub: Hub[Prepared[v1.WatchItem]],
        access: Access,
        rules: Rules,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._store = store
        self._hub = hub
        self._watches = Shares(rules.limits.watched_rooms_max, "rooms watched at once (watched_rooms_max)")
        self._access = access
        self._rules = rules
        self._pace = pace
        self._clock = clock

    def wanted(self, request: v1.WatchRequest) -> tuple[str, Lag]:
        """The room and the policy that somebody wants to watch with."""
        if request.lag not in v1.Lag.values():
            raise invalid_argument(f"lag is {request.lag}; use CATCH_UP, LATEST or CLOSE")
        return self._rules.room(request.room), Lag(request.lag)

    async def check_watch(self, room: str, call: Call) -> None:
        """Whether the caller may watch the room."""
        await self._access.may_read(room, call.user)

    def subscribe(self, request: v1.WatchRequest, room: str, lag: Lag, call: Call, sink: Sink[Any]) -> Source:
        """Deliver a room's events to a sink; who may read it has been checked just now."""
        after = request.after.seq if request.HasField("after") else None
        user, epoch = call.user, request.after.epoch
        return self._watches.lend(
            user, 1, lambda: self._hub.subscribe(room, sink, owner=user, after=after, epoch=epoch, lag=lag)
        )

    async def draft_send(self, request: v1.SendRequest, call: Call) -> Draft:
        """The event that a message becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.posted.text = self._rules.text(request.text)
        standing = await self._access.may_write(draft.room, call.user)
        if request.reply_to > standing.place.head:
            # The head we know of may be behind the one the caller knows.
            head = await self._store.head(draft.room)
            if request.reply_to > head.seq:
                raise invalid_argument(f"reply_to is {request.reply_to}, the last seq is {head.seq}; name one there is")
            await self._access.may_write(draft.room, call.user)
        draft.posted.reply_to = request.reply_to
        return self._stamped(draft, call)

    async def draft_edit(self, request: v1.EditRequest, call: Call) -> Draft:
        """The event that an edit becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.edited.target = self._rules.target(request.target)
        draft.edited.text = self._rules.text(request.text)
        await self._access.may_write(draft.room, call.user)
        return self._stamped(draft, call)

    async def draft_delete(self, request: v1.DeleteRequest, call: Call) -> Draft:
        """The event that a deletion becomes, and whether the caller moderates the room."""
        draft = self._draft(request.room, request.client_id, call)
        draft.deleted.target = self._rules.target(request.target)
        standing = await self._access.may_write(draft.room, call.user)
        return self._stamped(draft, call, standing.moderates)

    async def draft_react(self, request: v1.ReactRequest, call: Call) -> Draft:
        """The event that a reaction becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.reacted.target = self._rules.target(request.target)
        draft.reacted.emoji = self._rules.emoji(request.emoji)
        draft.reacted.removed = request.remove
        await self._access.may_write(draft.room, call.user)
        return self._stamped(draft, call)

    def knows(self, room: str, user: str) -> bool:
        """Whether a draft of this user for this room has nothing to look up."""
        return self._access.knows(room, user)

    async def append(self, draft: Draft) -> v1.SendReply:
        """Put the event at the head of its room's log; answers when it is durable."""
        written = await self._store.append(draft.event, moderates=draft.moderates)
        return v1.SendReply(
            cursor=v1.Cursor(epoch=written.epoch, seq=written.seq), at_ms=written.at_ms, duplicate=written.duplicate
        )

    def _draft(self, room: str, client_id: str, call: Call) -> v1.Event:
        return v1.Event(room=self._rules.room(room), client_id=self._rules.client_id(client_id), actor=call.user)

    def _stamped(self, draft: v1.Event, call: Call, moderates: bool = False) -> Draft:
        """Everything is as it should be: the last thing that can be refused is the pace."""
        self._pace.take(call.user)
        draft.at_ms = self._clock.now_ms()
        return Draft(draft, moderates)
