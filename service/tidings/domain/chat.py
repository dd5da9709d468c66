"""Sending, changing and watching messages, one by one or over a channel."""

import asyncio
from typing import Any

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.domain.channel import Channel, Exchange
from tidings.domain.order import Order
from tidings.hub import Sink, Source


class Chat:
    """The service `Chat`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._messages = messages = exchange.messages
        self._order = Order(messages.standing, messages.look_up, messages.append)

    def send(self, request: v1.SendRequest, call: Call) -> asyncio.Future[v1.SendReply]:
        """Append a message."""
        return self._say(self._messages.draft_send(request, call))

    def edit(self, request: v1.EditRequest, call: Call) -> asyncio.Future[v1.SendReply]:
        """Give one's own message another text."""
        return self._say(self._messages.draft_edit(request, call))

    def delete(self, request: v1.DeleteRequest, call: Call) -> asyncio.Future[v1.SendReply]:
        """Remove a message's text: its author may, and who moderates the room."""
        return self._say(self._messages.draft_delete(request, call))

    def react(self, request: v1.ReactRequest, call: Call) -> asyncio.Future[v1.SendReply]:
        """Add a reaction to a message, or take it back."""
        return self._say(self._messages.draft_react(request, call))

    def _say(self, draft: v1.Event) -> asyncio.Future[v1.SendReply]:
        """What one user says in one room comes to the log in the order in which it was said."""
        return self._order.put((draft.actor, draft.room), draft)

    async def watch(self, request: v1.WatchRequest, call: Call, sink: Sink[Any]) -> Source:
        """A room's events after a cursor, and what follows."""
        room, lag = self._messages.wanted(request)
        await self._messages.check_watch(room, call)
        return self._messages.subscribe(request, room, lag, call, sink)

    def channel(self, call: Call, sink: Sink[Any]) -> Channel:
        """One stream for a whole client."""
        return Channel(self._exchange, call, sink)
