"""What may be said in a room, and who hears it: the rules behind `chat.*`, for single calls and for the channel.

A change goes in three steps, and only the one in the middle may have to wait. `draft_…` checks what the request says by
itself; `standing` finds out who the caller is in the room, in memory nearly always, else `look_up` asks the store;
`append` hands the event to the log, at once. So whoever keeps an order keeps it by the order of the last step.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.codecs import Prepared
from tidings.contract.errors import invalid_argument
from tidings.domain.access import Access, Standing, writing
from tidings.domain.pace import Pace, WriteLimiter
from tidings.domain.ports import Clock, Store, Written
from tidings.domain.rules import Rules
from tidings.domain.shares import Shares
from tidings.domain.waiting import then
from tidings.hub import Hub, Lag, Sink, Source

# What ends its author's typing: it was typed.
TYPED: Final = frozenset({"posted", "edited"})
WATCH_BYTES: Final = 512  # a subscription of the hub and its shares; measured: 0.4 KiB. Its pages count in the hub


class Messages:
    """Drafts of events, and subscriptions to them."""

    def __init__(
        self,
        *,
        store: Store,
        hub: Hub[Prepared[v1.WatchItem]],
        access: Access,
        rules: Rules,
        writes: WriteLimiter,
        calls: Pace,
        clock: Clock,
        stop_typing: Callable[[str, str], None],
    ) -> None:
        """`stop_typing(room, user)`: the user has finished what was being typed there."""
        self._store = store
        self._hub = hub
        self._stop_typing = stop_typing
        self._watches = Shares(
            rules.limits.watched_rooms_max,
            "rooms watched at once (watched_rooms_max)",
            weight_bytes=WATCH_BYTES,
            free=hub.free,
            places="hub.subscriptions_max",
        )
        self._room_watches = Shares(rules.limits.user_room_watches_max, "watches of one room (user_room_watches_max)")
        self._access = access
        self._rules = rules
        self._writes = writes
        self._calls = calls
        self._clock = clock

    def wanted(self, request: v1.WatchRequest) -> tuple[str, Lag]:
        """The room and the policy that somebody wants to watch with."""
        if request.lag not in v1.Lag.values():
            raise invalid_argument(f"lag is {request.lag}; use CATCH_UP, LATEST or CLOSE")
        return self._rules.room(request.room), Lag(request.lag)

    async def check_watch(self, room: str, call: Call) -> None:
        """Whether the caller may watch the room."""
        self._calls.take(call.session.id)
        await self._access.may_read(room, call.user)

    def subscribe(self, request: v1.WatchRequest, room: str, lag: Lag, call: Call, sink: Sink[Any]) -> Source:
        """Deliver a room's events to a sink; who may read it has been checked just now."""
        after = request.after.seq if request.HasField("after") else None
        user, epoch = call.user, request.after.epoch

        def make() -> Source:
            return self._hub.subscribe(room, sink, owner=user, after=after, epoch=epoch, lag=lag)

        return self._room_watches.lend(
            call.memory, 1, lambda: self._watches.lend(call.memory, 1, make, user=user), user=user, of=room
        )

    def draft_send(self, request: v1.SendRequest, call: Call) -> v1.Event:
        """The event that a message becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.posted.text = self._rules.text(request.text)
        if request.reply_to:
            draft.posted.reply_to = request.reply_to
        return draft

    def draft_edit(self, request: v1.EditRequest, call: Call) -> v1.Event:
        """The event that an edit becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.edited.target = self._rules.target(request.target)
        draft.edited.text = self._rules.text(request.text)
        return draft

    def draft_delete(self, request: v1.DeleteRequest, call: Call) -> v1.Event:
        """The event that a deletion becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.deleted.target = self._rules.target(request.target)
        return draft

    def draft_react(self, request: v1.ReactRequest, call: Call) -> v1.Event:
        """The event that a reaction becomes."""
        draft = self._draft(request.room, request.client_id, call)
        draft.reacted.target = self._rules.target(request.target)
        draft.reacted.emoji = self._rules.emoji(request.emoji)
        draft.reacted.removed = request.remove
        return draft

    def standing(self, draft: v1.Event) -> Standing | None:
        """Where the draft's actor stands in its room, if memory can tell; refused if it may not be written there."""
        standing = self._access.standing(draft.room, draft.actor)
        if standing is None or draft.posted.reply_to > standing.place.head:
            return None
        return writing(standing)

    async def look_up(self, draft: v1.Event) -> Standing:
        """The same, with what only the store can tell."""
        standing = await self._access.may_write(draft.room, draft.actor)
        answered = draft.posted.reply_to
        if answered > standing.place.head:
            # The head we know of may be behind the one the caller knows.
            head = await self._store.head(draft.room)
            if answered > head.seq:
                raise invalid_argument(f"reply_to is {answered}, the last seq is {head.seq}; name one there is")
            standing = await self._access.may_write(draft.room, draft.actor)
        return standing

    def append(self, draft: v1.Event, standing: Standing) -> asyncio.Future[v1.SendReply]:
        """Put the event at the head of its room's log, at once; the answer comes when it is durable.

        Everything is as it should be by now: the last thing that can be refused is the pace.
        """
        self._writes.take(draft)
        what = draft.WhichOneof("what")
        if what in TYPED:
            # Now and not after the commit: what the author begins to type meanwhile stays.
            self._stop_typing(draft.room, draft.actor)
        draft.at_ms = self._clock.now_ms()
        # The draft is given away with the next step.
        make = _reply if what == "posted" else partial(self._reply_to_change, draft.actor)
        return then(self._store.append(draft, moderates=standing.moderates), make)

    def _reply_to_change(self, actor: str, written: Written) -> v1.SendReply:
        """Of an event that changed earlier ones: a reaction writes the whole message again, a deletion its edits."""
        self._writes.charge_rewritten(actor, sum(len(event.data) for event in written.amended))
        return _reply(written)

    def _draft(self, room: str, client_id: str, call: Call) -> v1.Event:
        # Fields that are set one by one cost half of what arguments of the constructor do; likewise in `_reply`.
        draft = v1.Event()
        draft.room = self._rules.room(room)
        draft.client_id = self._rules.client_id(client_id)
        draft.actor = call.user
        return draft


def _reply(written: Written) -> v1.SendReply:
    reply = v1.SendReply()
    cursor = reply.cursor
    cursor.epoch = written.epoch
    cursor.seq = written.seq
    reply.at_ms = written.at_ms
    reply.duplicate = written.duplicate
    return reply
