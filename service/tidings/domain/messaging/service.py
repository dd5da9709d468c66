"""Sending, changing and watching messages, by single calls or over a channel."""

import asyncio
from typing import Any

from tidings.contract import v1
from tidings.contract.context import CallContext
from tidings.domain.messaging.channel import Channel
from tidings.domain.messaging.channel_services import ChannelServices
from tidings.hub import Sink, Subscription


class ChatService:
    """The service `Chat`. Events of one user in one room are appended in the order of the calls (ADR 14)."""

    def __init__(self, services: ChannelServices) -> None:
        self._services = services
        self._messages = services.messages

    def send(self, request: v1.SendRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Append a message."""
        return self._messages.submit(self._messages.draft_send(request, context))

    def edit(self, request: v1.EditRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Replace the text of the caller's own message."""
        return self._messages.submit(self._messages.draft_edit(request, context))

    def delete(self, request: v1.DeleteRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Remove a message's text; allowed to its author and to moderators of the room."""
        return self._messages.submit(self._messages.draft_delete(request, context))

    def react(self, request: v1.ReactRequest, context: CallContext) -> asyncio.Future[v1.SendReply]:
        """Add a reaction to a message, or remove it."""
        return self._messages.submit(self._messages.draft_react(request, context))

    async def watch(self, request: v1.WatchRequest, context: CallContext, sink: Sink[Any]) -> Subscription:
        """A room's events after a cursor, and later ones as they are committed."""
        room, lag = self._messages.parse_watch(request)
        await self._messages.authorize_watch(room, context)
        return self._messages.subscribe(request, room, lag, context, sink)

    def channel(self, context: CallContext, sink: Sink[Any]) -> Channel:
        """Open one stream for commands, replies and events of several rooms."""
        return Channel(self._services, context, sink)
