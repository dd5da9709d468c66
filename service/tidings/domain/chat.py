"""Sending, changing and watching messages, one by one or over a channel."""

from typing import Any

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.domain.channel import Channel, Exchange
from tidings.domain.endings import Reader
from tidings.hub import Sink, Source


class Chat:
    """The service `Chat`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._messages = exchange.messages

    async def send(self, request: v1.SendRequest, call: Call) -> v1.SendReply:
        """Append a message."""
        return await self._messages.append(await self._messages.draft_send(request, call))

    async def edit(self, request: v1.EditRequest, call: Call) -> v1.SendReply:
        """Give one's own message another text."""
        return await self._messages.append(await self._messages.draft_edit(request, call))

    async def delete(self, request: v1.DeleteRequest, call: Call) -> v1.SendReply:
        """Remove a message's text: its author may, and who moderates the room."""
        return await self._messages.append(*await self._messages.draft_delete(request, call))

    async def react(self, request: v1.ReactRequest, call: Call) -> v1.SendReply:
        """Add a reaction to a message, or take it back."""
        return await self._messages.append(await self._messages.draft_react(request, call))

    async def watch(self, request: v1.WatchRequest, call: Call, sink: Sink[Any]) -> Source:
        """A room's events after a cursor, and what follows."""
        room, lag = self._messages.wanted(request)
        await self._messages.check_watch(room, call)
        return self._messages.subscribe(request, room, lag, call, Reader(sink))

    def channel(self, call: Call, sink: Sink[Any]) -> Channel:
        """One stream for a whole client."""
        return Channel(self._exchange, call, sink)
