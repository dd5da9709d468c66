"""The channel: one stream for a whole client. Commands go in, their answers and everything that happens come out."""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final

from tidings.contract import v1
from tidings.contract.errors import conflict
from tidings_client.backoff import Backoff
from tidings_client.calls import with_client_id
from tidings_client.channel_stream import ChannelStream
from tidings_client.client_context import ClientContext
from tidings_client.errors import CALL_RETRY_CODES, ApiError, retry_after_seconds, should_retry, unavailable
from tidings_client.resume_point import After, LogResumePoint, cursor_from

COMMANDS_MAX: Final = 256  # commands without an answer; further ones wait their turn


class Channel(AsyncIterator[v1.ChannelItem]):
    """A conversation about many rooms over one stream. Made by `client.channel()`.

        async with client.channel() as channel:
            await channel.open("general", after=0)
            await channel.send("general", "hi")
            async for item in channel:
                if item.HasField("event"):
                    print(item.room, item.event.event.posted.text)

    Iterating gives what happens: `event` (a WatchItem) and `presence` items of the opened rooms, and `closed` when the
    service closed a room for good. Answers to commands are the commands' results. Lost connections heal as they do for
    watches and calls: rooms go on from where they were, commands are sent again and cannot double.

    Read it: items and answers share one stream. Answers still come to a program that does not iterate, but slower.
    Everything a channel does can also be done with calls and watches, each of them at a pace of its own.
    """

    def __init__(self, context: ClientContext) -> None:
        self._call_seconds = context.call_seconds
        self._backoff_policy = context.reconnector.settings.backoff
        self._stream = ChannelStream(context.reconnector, context.new_window())
        self._slots = asyncio.Semaphore(COMMANDS_MAX)

    async def __aenter__(self) -> "Channel":
        self._stream.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End it here and on the service. Commands without an answer raise UNAVAILABLE. Idempotent."""
        self._stream.end(None)

    # --- rooms ------------------------------------------------------------------------------------------------------

    async def open(self, room: str, *, after: After = None, lag: "v1.Lag.ValueType" = v1.CATCH_UP) -> None:
        """Events, presence, typing and receipts of the room come on this channel; `after` as in `Room.watch`.

        Raises CONFLICT for a room that is open here already.
        """
        if room in self._stream.rooms:
            raise conflict(f"{room} is open on this channel already; close it first to begin elsewhere")
        resume_point = LogResumePoint(
            cursor_from(after), lambda position: v1.WatchRequest(room=room, after=position, lag=lag)
        )
        open_room = self._stream.add_room(room, resume_point)
        try:
            await self._send_command(v1.ChannelCommand(open=resume_point.next_request()))
        except BaseException:
            if self._stream.rooms.get(room) is open_room:
                self._stream.remove_room(room)
                # Given up before the answer: the service may have opened it, or be about to.
                self._stream.send_without_reply(v1.ChannelCommand(close=v1.CloseRoom(room=room)))
            raise

    async def close(self, room: str) -> None:
        """Nothing of the room comes any more."""
        self._stream.remove_room(room)
        await self._send_command(v1.ChannelCommand(close=v1.CloseRoom(room=room)))

    def cursor(self, room: str) -> v1.Cursor | None:
        """Behind the last event of an open room that has arrived here (it may not have been iterated over yet)."""
        open_room = self._stream.rooms.get(room)
        return open_room.resume_point.position if open_room is not None else None

    # --- commands ---------------------------------------------------------------------------------------------------

    async def send(self, room: str, text: str, *, reply_to: int = 0, client_id: str | None = None) -> v1.SendReply:
        """Append a message; see `Room.send`."""
        request = v1.SendRequest(room=room, client_id=client_id or "", text=text, reply_to=reply_to)
        return (await self._send_command(v1.ChannelCommand(send=with_client_id(request)))).sent

    async def edit(self, room: str, seq: int, text: str, *, client_id: str | None = None) -> v1.SendReply:
        """Give your message another text."""
        request = v1.EditRequest(room=room, client_id=client_id or "", target=seq, text=text)
        return (await self._send_command(v1.ChannelCommand(edit=with_client_id(request)))).sent

    async def delete(self, room: str, seq: int, *, client_id: str | None = None) -> v1.SendReply:
        """Remove a message's text and reactions."""
        request = v1.DeleteRequest(room=room, client_id=client_id or "", target=seq)
        return (await self._send_command(v1.ChannelCommand(delete=with_client_id(request)))).sent

    async def react(
        self, room: str, seq: int, emoji: str, *, remove: bool = False, client_id: str | None = None
    ) -> v1.SendReply:
        """React to a message, or take the reaction back."""
        request = v1.ReactRequest(room=room, client_id=client_id or "", target=seq, emoji=emoji, remove=remove)
        return (await self._send_command(v1.ChannelCommand(react=with_client_id(request)))).sent

    async def typing(self, room: str, *, stopped: bool = False) -> None:
        """I am typing; dies by itself after a few seconds."""
        await self._send_command(v1.ChannelCommand(typing=v1.TypingRequest(room=room, stopped=stopped)))

    async def mark(self, room: str, *, read: int = 0, delivered: int = 0) -> v1.MarkReply:
        """My positions in a room; see `Room.mark`."""
        request = v1.MarkRequest(room=room, delivered=delivered, read=read)
        return (await self._send_command(v1.ChannelCommand(mark=request))).marked

    async def set_presence(self, status: "v1.Status.ValueType", text: str = "") -> None:
        """My status on all my devices; see `Presence.set`."""
        await self._send_command(v1.ChannelCommand(presence=v1.SetPresenceRequest(status=status, text=text)))

    async def _send_command(self, message: v1.ChannelCommand) -> v1.ChannelItem:
        """The answer. Raises Failure: the service's, or UNAVAILABLE when there is none in time."""
        backoff = Backoff(self._backoff_policy)
        try:
            async with asyncio.timeout(self._call_seconds), self._slots:
                while True:
                    try:
                        return await self._stream.call(message)
                    except ApiError as failure:
                        if self._stream.is_closed or not should_retry(failure, CALL_RETRY_CODES):
                            raise
                        pause_seconds = backoff.next_delay_seconds(retry_after_seconds(failure) or 0.0)
                    await asyncio.sleep(pause_seconds)
        except TimeoutError:
            command = message.WhichOneof("command")
            text = f"no answer to {command} on the channel within {self._call_seconds:g} s; is the channel being read?"
            raise unavailable(text) from None

    # --- what happens -----------------------------------------------------------------------------------------------

    def __aiter__(self) -> "Channel":
        return self

    async def __anext__(self) -> v1.ChannelItem:
        stream = self._stream
        stream.start()
        while (item := stream.pop_item()) is None:
            if stream.is_closed:
                if stream.failure is not None:
                    raise ApiError(stream.failure.code, stream.failure.text)
                raise StopAsyncIteration
            await stream.wait_for_item()
        return item
