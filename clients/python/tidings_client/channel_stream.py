"""What is behind a channel: one REQUEST_CHANNEL that outlives its connections.

What is kept, so that a lost connection changes nothing for the caller:

- `_commands`, by number: what was asked and not answered yet. On a new stream all of it is sent again, in order; a
  `client_id` in each command that writes makes that safe.
- `rooms`, by name: what is open, and the seam behind which its events go on. On a new stream the rooms are opened
  first, each from its seam.
- the window: items that happened and were not taken yet, and what the service may still send.

The stream is opened by the first command, because RSocket has no channel without a first item. Commands wait in
`_waiting` for the service's credit. Like a feed, a conversation has no task, and changes its state before it calls out.

Answers and events share the stream and its credit. If nobody takes the events the credit runs out, and an answer
could not come any more: a program that opens a long room and sends before it reads would wait for itself. So while a
command is unanswered and the credit is spent, one more is granted after a moment, and another after twice as long. By
then the answer is there, and the service sends answers first.
"""

import asyncio
from collections import deque
from typing import Final, NamedTuple

from tidings.contract import v1
from tidings_client.backoff import Backoff
from tidings_client.errors import (
    WATCH_RETRY_CODES,
    ApiError,
    Code,
    ConnectionLostError,
    RequestRejectedError,
    client_closed,
    retry_after_seconds,
    should_retry,
)
from tidings_client.flow_window import FlowWindow
from tidings_client.reconnector import Reconnector
from tidings_client.resumable_stream import ResumableStream
from tidings_client.resume_point import LogResumePoint

ROUTE: Final = "chat.channel"
# Until an answer gets a credit of its own: a commit takes a few milliseconds, a person waits for 100.
REPLY_CREDIT_DELAY_SECONDS: Final = 0.05
CODES_BY_NUMBER: Final = {int(code): code for code in Code}


class PendingCommand(NamedTuple):
    """One command until it is answered. `future` is None for what the conversation asks by itself."""

    message: v1.ChannelCommand
    future: "asyncio.Future[v1.ChannelItem] | None"


class OpenRoom:
    """A room on the channel: how it goes on after a break."""

    __slots__ = ("backoff", "resume_point", "timer")

    def __init__(self, resume_point: LogResumePoint[v1.WatchRequest], backoff: Backoff) -> None:
        self.resume_point = resume_point
        self.backoff = backoff
        self.timer: asyncio.TimerHandle | None = None

    def cancel_timer(self) -> None:
        """No attempt of its own is due any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class ChannelStream(ResumableStream[v1.ChannelItem]):
    """Commands and their answers, rooms and what happens in them."""

    def __init__(self, reconnector: Reconnector, window: FlowWindow) -> None:
        super().__init__(reconnector, window)
        self._commands: dict[int, PendingCommand] = {}
        self._send_queue: deque[int] = deque()
        self._next_ref = 1
        self._reply_credit_timer: asyncio.TimerHandle | None = None
        self._reply_credit_delay_seconds = REPLY_CREDIT_DELAY_SECONDS
        self.rooms: dict[str, OpenRoom] = {}

    # --- the caller's side ------------------------------------------------------------------------------------------

    async def call(self, message: v1.ChannelCommand) -> v1.ChannelItem:
        """The answer, over as many connections as it takes. Raises the Failure that the service answers with."""
        self.start()
        if self.is_closed:
            raise self.failure or client_closed()
        future: asyncio.Future[v1.ChannelItem] = asyncio.get_running_loop().create_future()
        ref = self._queue_command(message, future)
        try:
            item = await future
        finally:
            # A command whose caller has gone is not sent again; its answer, if one comes, is for nobody.
            self._commands.pop(ref, None)
        if item.HasField("error"):
            raise _to_failure(item.error)
        return item

    def send_without_reply(self, message: v1.ChannelCommand) -> None:
        """Ask without caring for the answer."""
        if not self.is_closed:
            self._queue_command(message, None)

    def add_room(self, room: str, resume_point: LogResumePoint[v1.WatchRequest]) -> OpenRoom:
        """From now on events of the room are news."""
        self.remove_room(room)
        open_room = self.rooms[room] = OpenRoom(resume_point, Backoff(self._reconnector.settings.backoff))
        return open_room

    def remove_room(self, room: str) -> None:
        """No longer."""
        open_room = self.rooms.pop(room, None)
        if open_room is not None:
            open_room.cancel_timer()

    def _release(self) -> None:
        commands, self._commands = self._commands, {}
        for room in list(self.rooms):
            self.remove_room(room)
        self._cancel_reply_credit_timer()
        for command in commands.values():
            if command.future is not None and not command.future.done():
                command.future.set_exception(self.failure or client_closed())

    # --- the keeper's side ------------------------------------------------------------------------------------------

    def on_closed(self, failure: ApiError) -> None:
        self.end(None if failure.code is Code.UNAVAILABLE else failure)

    # --- the stream's side ------------------------------------------------------------------------------------------

    def on_next(self, data: bytes) -> None:
        self._window.on_received(len(data))
        try:
            item: v1.ChannelItem = self._codec.decode_reply(v1.ChannelItem, data)
        except ApiError as failure:
            self.end(ApiError(Code.INTERNAL, f"{ROUTE}: {failure.text}"))
            return
        self._backoff.reset()
        if item.ref:
            self._on_reply(item)
        elif self._accept_item(item):
            self._buffer.append((item, len(data)))
            self._changed.set()
            self._ensure_reply_credit()
            return
        self._window.on_consumed(len(data))
        self._refill()
        self._ensure_reply_credit()

    def on_completed(self) -> None:
        self._on_stream_lost()
        self._open_later(0.0)

    def on_credit(self) -> None:
        stream = self._stream
        if stream is not None and stream.sending_closed and self._connection is not None:
            # The service listens no longer: better a whole new stream than half of this one.
            self._connection.cancel(stream)
            self.on_completed()
        else:
            self._flush_queue()

    # --- commands ---------------------------------------------------------------------------------------------------

    def _queue_command(self, message: v1.ChannelCommand, future: "asyncio.Future[v1.ChannelItem] | None") -> int:
        ref = self._assign_ref(message, future)
        self._send_queue.append(ref)
        if self._stream is None:
            self._open()
        else:
            self._flush_queue()
            self._ensure_reply_credit()
        return ref

    def _assign_ref(self, message: v1.ChannelCommand, future: "asyncio.Future[v1.ChannelItem] | None") -> int:
        ref = self._next_ref
        self._next_ref += 1
        numbered = v1.ChannelCommand()
        numbered.CopyFrom(message)
        numbered.ref = ref
        self._commands[ref] = PendingCommand(numbered, future)
        return ref

    def _on_reply(self, item: v1.ChannelItem) -> None:
        command = self._commands.pop(item.ref, None)
        if command is None:
            return
        self._reply_credit_delay_seconds = REPLY_CREDIT_DELAY_SECONDS
        if command.future is not None:
            if not command.future.done():
                command.future.set_result(item)
        elif item.HasField("error"):
            # A room that was opened again by itself: the caller hears of it as of any room that was closed.
            self._on_room_closed(command.message.open.room, item.error)

    # --- what happened ----------------------------------------------------------------------------------------------

    def _accept_item(self, item: v1.ChannelItem) -> bool:
        if item.HasField("event"):
            open_room = self.rooms.get(item.room)
            if open_room is None:
                return False
            open_room.backoff.reset()
            return open_room.resume_point.accept(item.event)
        if item.HasField("closed"):
            self._on_room_closed(item.room, item.closed)
            return False
        return True

    def _on_room_closed(self, room: str, error: v1.Error) -> None:
        """The service closed a room: open it again if that passes, else say so."""
        open_room = self.rooms.get(room)
        if open_room is None:
            return
        failure = _to_failure(error)
        if should_retry(failure, WATCH_RETRY_CODES):
            if open_room.timer is None:
                delay = open_room.backoff.next_delay_seconds(retry_after_seconds(failure) or 0.0)
                open_room.timer = asyncio.get_running_loop().call_later(delay, self._reopen_room, room)
            return
        self.remove_room(room)
        # It lies among the items, though it may not have come as one.
        self._window.buffered += 1
        self._buffer.append((v1.ChannelItem(room=room, closed=error), 0))
        self._changed.set()

    def _reopen_room(self, room: str) -> None:
        open_room = self.rooms.get(room)
        if open_room is None:
            return
        open_room.timer = None
        # A stream that begins opens all rooms anyway.
        if self._stream is not None:
            self._queue_command(v1.ChannelCommand(open=open_room.resume_point.next_request()), None)

    # --- the stream -------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Open the stream if there is anything to say on it and room for what is said back."""
        if self._is_closed_or_opening() or self._connection is None:
            return
        self._queue_all()
        if not self._send_queue:
            return
        n = self._window.open_stream()
        if not n:
            if all(command.future is None for command in self._commands.values()):
                return
            n = self._window.grant_one()
        first = self._commands[self._send_queue.popleft()]
        try:
            self._stream = self._connection.request_channel(ROUTE, n, self._codec.encode(first.message), self)
        except ConnectionLostError:
            self._on_stream_lost()
            self._connection = None
        except RequestRejectedError:
            self._on_stream_lost()
            self._open_later(0.0)

    def _queue_all(self) -> None:
        """All that a new stream has to say: the rooms first, then what was not answered, in its order."""
        unanswered = {ref: command for ref, command in self._commands.items() if command.future is not None}
        queued_rooms = {
            command.message.open.room for command in unanswered.values() if command.message.HasField("open")
        }
        self._commands = {}
        for room, open_room in self.rooms.items():
            open_room.cancel_timer()
            if room not in queued_rooms:
                self._assign_ref(v1.ChannelCommand(open=open_room.resume_point.next_request()), None)
        for command in unanswered.values():
            reopened = self.rooms.get(command.message.open.room) if command.message.HasField("open") else None
            if reopened is not None:
                # Its answer was lost; events may have come all the same.
                command.message.open.CopyFrom(reopened.resume_point.next_request())
        self._commands |= unanswered
        self._send_queue = deque(self._commands)

    def _flush_queue(self) -> None:
        stream, connection = self._stream, self._connection
        while self._send_queue and stream is not None and connection is not None and stream.available_credit():
            command = self._commands.get(self._send_queue.popleft())
            if command is not None:
                connection.send(stream, self._codec.encode(command.message))

    def _ensure_reply_credit(self) -> None:
        if self._commands and not self._window.credit and self._stream is not None and self._reply_credit_timer is None:
            loop = asyncio.get_running_loop()
            self._reply_credit_timer = loop.call_later(self._reply_credit_delay_seconds, self._grant_reply_credit)

    def _grant_reply_credit(self) -> None:
        self._reply_credit_timer = None
        if self._commands and not self._window.credit and self._stream is not None and self._connection is not None:
            self._reply_credit_delay_seconds *= 2
            self._connection.request_n(self._stream, self._window.grant_one())

    def _cancel_reply_credit_timer(self) -> None:
        if self._reply_credit_timer is not None:
            self._reply_credit_timer.cancel()
            self._reply_credit_timer = None

    def _on_stream_lost(self) -> None:
        super()._on_stream_lost()
        self._cancel_reply_credit_timer()


def _to_failure(error: v1.Error) -> ApiError:
    return ApiError(CODES_BY_NUMBER.get(error.code, Code.INTERNAL), error.text, retry_after_ms=error.retry_after_ms)
