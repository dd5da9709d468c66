"""Sending, changing and watching messages, one by one or over a channel."""

import asyncio
from typing import Any

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.domain.messaging.channel import Channel, ChannelServices
from tidings.domain.messaging.ordering import KeyedFifo
from tidings.hub import Sink, Subscription


class ChatService:
    """The service `Chat`."""

    def __init__(self, services: ChannelServices) -> None:
        self._services = services
        self._messages = messages = services.messages
        self._append_queue = KeyedFifo(messages.authorize_cached, messages.authorize_from_store, messages.append)

    def send(self, request: v1.SendRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Append a message."""
        return self._submit(self._messages.draft_send(request, context))

    def edit(self, request: v1.EditRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Give one's own message another text."""
        return self._submit(self._messages.draft_edit(request, context))

    def delete(self, request: v1.DeleteRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Remove a message's text: its author may, and who moderates the room."""
        return self._submit(self._messages.draft_delete(request, context))

    def react(self, request: v1.ReactRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Add a reaction to a message, or take it back."""
        return self._submit(self._messages.draft_react(request, context))

    def _submit(self, draft: v1.Event) -> asyncio.Future[v1.SendReply]:
        """What one user says in one room comes to the log in the order in which it was said."""
        return self._append_queue.submit((draft.actor, draft.room), draft)

    async def watch(self, request: v1.WatchRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """A room's events after a cursor, and what follows."""
        room, lag = self._messages.parse_watch(request)
        await self._messages.authorize_watch(room, context)
        return self._messages.subscribe(request, room, lag, context, sink)

    def channel(self, context: CallContext, sink: Sink[Any]) -> Channel:
        """One stream for a whole client."""
        return Channel(self._services, context, sink)
