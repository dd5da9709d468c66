"""Sending and changing messages, and subscribing to a room: the rules behind `chat.*`, for single calls and channels.

A change takes three steps, of which only the second may wait:

    draft_…     checks the request by itself and makes a draft of the event
    authorize…  finds the caller's access to the room: from memory nearly always, else from the store
    append      hands the event to the store's log, synchronously

The order of events is the order of the last step. `submit` does the last two, first in, first out for each user and
room. A channel does them by itself, one command after the other, since it also keeps the order between rooms (ADR 14).
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
from tidings.domain.limits.quotas import UserQuota
from tidings.domain.limits.rate_limiter import RateLimiter, WriteLimiter
from tidings.domain.messaging.ordering import KeyedFifo
from tidings.domain.permissions.authorizer import Authorizer, RoomAccess, require_write
from tidings.domain.ports.store import AppendResult, Clock, Store
from tidings.domain.validation.validator import Validator
from tidings.hub import Hub, LagPolicy, Sink, Subscription

# Kinds of events that end the typing indicator of their author.
ENDS_TYPING: Final = frozenset({"posted", "edited"})
WATCH_BYTES: Final = 512  # a subscription of the hub and its quotas; measured: 0.4 KiB. The hub limits its pages


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
        """`stop_typing(room, user)` ends the typing indicator of a user in a room."""
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
        self._append_fifo = KeyedFifo(self.authorize_cached, self.authorize_from_store, self.append)

    def parse_watch(self, request: v1.WatchRequest) -> tuple[str, LagPolicy]:
        """The room and the lag policy of a request; INVALID_ARGUMENT."""
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
        """Deliver a room's events to a sink. The caller must have been authorized without an `await` in between."""
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
        """The `posted` event of a request; INVALID_ARGUMENT."""
        draft = self._draft(request.room, request.client_id, context)
        draft.posted.text = self._validator.text(request.text)
        if request.reply_to:
            draft.posted.reply_to = request.reply_to
        return draft

    def draft_edit(self, request: v1.EditRequest, context: CallContext) -> v1.Event:
        """The `edited` event of a request; INVALID_ARGUMENT."""
        draft = self._draft(request.room, request.client_id, context)
        draft.edited.target = self._validator.target(request.target)
        draft.edited.text = self._validator.text(request.text)
        return draft

    def draft_delete(self, request: v1.DeleteRequest, context: CallContext) -> v1.Event:
        """The `deleted` event of a request; INVALID_ARGUMENT."""
        draft = self._draft(request.room, request.client_id, context)
        draft.deleted.target = self._validator.target(request.target)
        return draft

    def draft_react(self, request: v1.ReactRequest, context: CallContext) -> v1.Event:
        """The `reacted` event of a request; INVALID_ARGUMENT."""
        draft = self._draft(request.room, request.client_id, context)
        draft.reacted.target = self._validator.target(request.target)
        draft.reacted.emoji = self._validator.emoji(request.emoji)
        draft.reacted.removed = request.remove
        return draft

    def submit(self, draft: v1.Event) -> asyncio.Future[v1.SendReply]:
        """Authorize and append a draft, in the order of the calls for each user and room."""
        return self._append_fifo.submit((draft.actor, draft.room), draft)

    def authorize_cached(self, draft: v1.Event) -> RoomAccess | None:
        """The access of the draft's actor, or None if only the store knows it; PERMISSION_DENIED for a READER."""
        access = self._authorizer.cached_access(draft.room, draft.actor)
        if access is None or draft.posted.reply_to > access.room_info.head:
            return None
        return require_write(access)

    async def authorize_from_store(self, draft: v1.Event) -> RoomAccess:
        """The same from the store; NOT_FOUND, and INVALID_ARGUMENT for a `reply_to` beyond the head of the log."""
        access = await self._authorizer.authorize_write(draft.room, draft.actor)
        reply_to = draft.posted.reply_to
        if reply_to > access.room_info.head:
            # The cached head may be behind the one that the caller knows.
            head = await self._store.head(draft.room)
            if reply_to > head.seq:
                raise invalid_argument(f"reply_to is {reply_to}, the last seq is {head.seq}; name one there is")
            access = await self._authorizer.authorize_write(draft.room, draft.actor)
        return access

    def append(self, draft: v1.Event, access: RoomAccess) -> asyncio.Future[v1.SendReply]:
        """Append the draft to its room's log, synchronously; the future is done when the event is durable.

        The draft must be authorized. RESOURCE_EXHAUSTED for too many or too large writes.
        """
        self._write_limiter.acquire(draft)
        what = draft.WhichOneof("what")
        if what in ENDS_TYPING:
            # Now and not after the commit, so that typing which begins meanwhile is kept.
            self._stop_typing(draft.room, draft.actor)
        draft.at_ms = self._clock.now_ms()
        # The store owns the draft from here on.
        make_reply = _send_reply if what == "posted" else partial(self._reply_to_change, draft.actor)
        return map_future(self._store.append(draft, moderates=access.moderates), make_reply)

    def _reply_to_change(self, actor: str, result: AppendResult) -> v1.SendReply:
        """The reply to an event that changed earlier ones, whose rewritten bytes count for the rate of writes."""
        self._write_limiter.charge_rewritten(actor, sum(len(event.data) for event in result.rewritten))
        return _send_reply(result)

    def _draft(self, room: str, client_id: str, context: CallContext) -> v1.Event:
        # Setting fields one by one takes half the time of constructor arguments; the same in `_send_reply`.
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
