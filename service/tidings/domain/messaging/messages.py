"""What may be said in a room, and who hears it: the rules behind `chat.*`, for single calls and for the channel.

A change goes in three steps, and only the one in the middle may have to wait. `draft_…` checks what the request says by
itself; `authorize_cached` finds out who the caller is in the room, in memory nearly always, else
`authorize_from_store` asks the store;
`append` hands the event to the log, at once. So whoever keeps an order keeps it by the order of the last step.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext
from tidings.contract.errors import invalid_argument
from tidings.domain.common.futures import map_future
from tidings.domain.common.validation import Validator
from tidings.domain.limits.quotas import UserQuota
from tidings.domain.limits.rate_limiter import RateLimiter, WriteLimiter
from tidings.domain.permissions.authorizer import Authorizer, RoomAccess, require_write
from tidings.domain.ports.store import AppendResult, Clock, Store
from tidings.hub import Hub, LagPolicy, Sink, Subscription

# What ends its author's typing: it was typed.
ENDS_TYPING: Final = frozenset({"posted", "edited"})
WATCH_BYTES: Final = 512  # a subscription of the hub and its shares; measured: 0.4 KiB. Its pages count in the hub


class RoomMessages:
    """Drafts of events, and subscriptions to them."""

    def __init__(
        self,
        *,
        store: Store,
        hub: Hub[PreparedMessage[v1.WatchItem]],
        authorizer: Authorizer,
        validator: Validator,
        write_limiter: WriteLimiter,
        call_limiter: RateLimiter,
        clock: Clock,
        stop_typing: Callable[[str, str], None],
    ) -> None:
        """`stop_typing(room, user)`: the user has finished what was being typed there."""
        self._store = store
        self._hub = hub
        self._stop_typing = stop_typing
        self._watch_quota = UserQuota(
            validator.limits.watched_rooms_max,
            "rooms watched at once (watched_rooms_max)",
            bytes_each=WATCH_BYTES,
            count_free=hub.available_subscriptions,
            free_limit_name="hub.subscriptions_max",
        )
        self._room_watch_quota = UserQuota(
            validator.limits.user_room_watches_max, "watches of one room (user_room_watches_max)"
        )
        self._authorizer = authorizer
        self._validator = validator
        self._write_limiter = write_limiter
        self._call_limiter = call_limiter
        self._clock = clock

    def parse_watch(self, request: v1.WatchRequest) -> tuple[str, LagPolicy]:
        """The room and the policy that somebody wants to watch with."""
        if request.lag not in v1.Lag.values():
            raise invalid_argument(f"lag is {request.lag}; use CATCH_UP, LATEST or CLOSE")
        return self._validator.room(request.room), LagPolicy(request.lag)

    async def authorize_watch(self, room: str, context: CallContext) -> None:
        """Whether the caller may watch the room."""
        self._call_limiter.acquire(context.limit_key)
        await self._authorizer.authorize_read(room, context.user)

    def subscribe(
        self, request: v1.WatchRequest, room: str, lag: LagPolicy, context: CallContext, sink: Sink[Any]
    ) -> Subscription:
        """Deliver a room's events to a sink; who may read it has been checked just now."""
        after = request.after.seq if request.HasField("after") else None
        user, epoch = context.user, request.after.epoch

        def open_subscription() -> Subscription:
            return self._hub.subscribe(room, sink, owner=user, after=after, epoch=epoch, lag_policy=lag)

        return self._room_watch_quota.acquire(
            context.memory,
            1,
            lambda: self._watch_quota.acquire(context.memory, 1, open_subscription, user=user),
            user=user,
            resource=room,
        )

    def draft_send(self, request: v1.SendRequest, context: CallContext) -> v1.Event:
        """The event that a message becomes."""
        draft = self._draft(request.room, request.client_id, context)
        draft.posted.text = self._validator.text(request.text)
        if request.reply_to:
            draft.posted.reply_to = request.reply_to
        return draft

    def draft_edit(self, request: v1.EditRequest, context: CallContext) -> v1.Event:
        """The event that an edit becomes."""
        draft = self._draft(request.room, request.client_id, context)
        draft.edited.target = self._validator.target(request.target)
        draft.edited.text = self._validator.text(request.text)
        return draft

    def draft_delete(self, request: v1.DeleteRequest, context: CallContext) -> v1.Event:
        """The event that a deletion becomes."""
        draft = self._draft(request.room, request.client_id, context)
        draft.deleted.target = self._validator.target(request.target)
        return draft

    def draft_react(self, request: v1.ReactRequest, context: CallContext) -> v1.Event:
        """The event that a reaction becomes."""
        draft = self._draft(request.room, request.client_id, context)
        draft.reacted.target = self._validator.target(request.target)
        draft.reacted.emoji = self._validator.emoji(request.emoji)
        draft.reacted.removed = request.remove
        return draft

    def authorize_cached(self, draft: v1.Event) -> RoomAccess | None:
        """Where the draft's actor stands in its room, if memory can tell; refused if it may not be written there."""
        access = self._authorizer.cached_access(draft.room, draft.actor)
        if access is None or draft.posted.reply_to > access.room_info.head:
            return None
        return require_write(access)

    async def authorize_from_store(self, draft: v1.Event) -> RoomAccess:
        """The same, with what only the store can tell."""
        access = await self._authorizer.authorize_write(draft.room, draft.actor)
        reply_to = draft.posted.reply_to
        if reply_to > access.room_info.head:
            # The head we know of may be behind the one the caller knows.
            head = await self._store.head(draft.room)
            if reply_to > head.seq:
                raise invalid_argument(f"reply_to is {reply_to}, the last seq is {head.seq}; name one there is")
            access = await self._authorizer.authorize_write(draft.room, draft.actor)
        return access

    def append(self, draft: v1.Event, access: RoomAccess) -> asyncio.Future[v1.SendReply]:
        """Put the event at the head of its room's log, at once; the answer comes when it is durable.

        Everything is as it should be by now: the last thing that can be refused is the pace.
        """
        self._write_limiter.acquire(draft)
        what = draft.WhichOneof("what")
        if what in ENDS_TYPING:
            # Now and not after the commit: what the author begins to type meanwhile stays.
            self._stop_typing(draft.room, draft.actor)
        draft.at_ms = self._clock.now_ms()
        # The draft is given away with the next step.
        make_reply = _send_reply if what == "posted" else partial(self._reply_to_change, draft.actor)
        return map_future(self._store.append(draft, moderates=access.moderates), make_reply)

    def _reply_to_change(self, actor: str, result: AppendResult) -> v1.SendReply:
        """Of an event that changed earlier ones: a reaction writes the whole message again, a deletion its edits."""
        self._write_limiter.charge_rewritten(actor, sum(len(event.data) for event in result.rewritten))
        return _send_reply(result)

    def _draft(self, room: str, client_id: str, context: CallContext) -> v1.Event:
        # Fields that are set one by one cost half of what arguments of the constructor do; likewise in `_send_reply`.
        draft = v1.Event()
        draft.room = self._validator.room(room)
        draft.client_id = self._validator.client_id(client_id)
        draft.actor = context.user
        return draft


def _send_reply(result: AppendResult) -> v1.SendReply:
    reply = v1.SendReply()
    cursor = reply.cursor
    cursor.epoch = result.epoch
    cursor.seq = result.seq
    reply.at_ms = result.at_ms
    reply.duplicate = result.duplicate
    return reply
