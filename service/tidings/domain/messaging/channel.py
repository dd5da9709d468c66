"""One stream for a whole client: commands in; replies, and the items of its open rooms, out.

Commands queue and are started one after the other, so that they reach the store's log in the order in which the client
sent them. They may finish in another order; each reply names its command. Every open room has two *substreams*: a
subscription of the room's log and one of its presence. Their sinks share the demand of this one stream:

    replies go first: they are few, bounded by the commands that may be open;
    a substream takes at most its share of the demand at a time, so that a room with many events does not starve others;
    a substream without demand waits, and waiting substreams are woken in order when there is demand again.

Substreams hold cursors and no items. What is held for a slow reader are replies, and `command_capacity()` counts them:
a client that takes no replies is soon asked for no commands. (Notices that a room was closed are held as well, at most
one for each command that opened a room. `command_capacity()` must not count them: it may only shrink when a command
arrives, since the commands that were requested may be under way.)
"""

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from google.protobuf.message import Message

from tidings.contract import v1
from tidings.contract.codecs import PreparedMessage
from tidings.contract.context import CallContext
from tidings.contract.errors import ApiError, conflict, internal, invalid_argument, resource_exhausted
from tidings.domain.common.hub_errors import translate_hub_error
from tidings.domain.messaging.channel_items import EVENT_FIELD, PRESENCE_FIELD
from tidings.domain.messaging.channel_services import ChannelServices
from tidings.domain.messaging.channel_substream import ChannelSubstream
from tidings.hub import Batch, Sink, Subscription
from tidings.hub.sinks import NULL_SINK

PendingReply = Awaitable[Message] | None
"""An awaitable of the command's reply, or None if the reply is Done."""

# Reserved on the memory account of the channel's user, as measured: the channel; an open room with two substreams; a
# queued command or reply without its bytes; and a factor for a command's bytes, which exist in several forms.
CHANNEL_BYTES: Final = 2_560
ROOM_BYTES: Final = 1_536
COMMAND_BYTES: Final = 1_024
COMMAND_BYTES_PER_BYTE: Final = 4

REPLY_FIELDS: Final[dict[type[Message], str]] = {v1.SendReply: "sent", v1.MarkReply: "marked"}


class Channel:
    """One `chat.channel`: a `ChannelHandler` for its transport."""

    def __init__(self, services: ChannelServices, context: CallContext, sink: Sink[Any]) -> None:
        self._services = services
        self._context = context
        self._sink = sink
        self._memory = context.memory
        self._memory.reserve(CHANNEL_BYTES)
        self._reserved_bytes = CHANNEL_BYTES
        self._queued_commands: deque[tuple[v1.ChannelCommand, int]] = deque()  # each with its reserved bytes
        self._running_commands = 0  # commands started and without a reply
        self._is_dispatching = False  # a task takes commands from the queue
        self._replies: deque[PreparedMessage[v1.ChannelItem]] = deque()
        self._close_notices: deque[PreparedMessage[v1.ChannelItem]] = deque()
        self._rooms: dict[str, tuple[ChannelSubstream, ChannelSubstream]] = {}
        self._waiting_substreams: dict[ChannelSubstream, None] = {}
        self._is_input_complete = False
        self._is_closed = False
        self._is_flush_scheduled = False

    # called by the transport

    def command_capacity(self) -> int:
        """How many more commands the channel accepts now."""
        taken = len(self._queued_commands) + self._running_commands + len(self._replies)
        return max(self._services.limits.channel_commands_max - taken, 0)

    def receive(self, message: v1.ChannelCommand) -> None:
        """One command."""
        if self._is_closed:
            return
        if not self.command_capacity():
            self._fail(resource_exhausted("more commands than were asked for; wait for replies (channel_commands_max)"))
            return
        size = COMMAND_BYTES + COMMAND_BYTES_PER_BYTE * message.ByteSize()
        try:
            self._reserve(size)
        except ApiError as error:
            self._fail(error)
            return
        self._queued_commands.append((message, size))
        if not self._is_dispatching:
            self._is_dispatching = True
            self._services.background.spawn(self._dispatch_commands(), "a channel")

    def complete(self) -> None:
        """No more commands come. Open commands get their replies, and open rooms stay open."""
        self._is_input_complete = True
        self.wake()

    def wake(self) -> None:
        """Demand may have grown."""
        if not self._is_flush_scheduled and not self._is_closed:
            self._is_flush_scheduled = True
            self._services.schedule(self._flush)

    def close(self) -> None:
        """The stream ended. Commands that were started are still carried out."""
        if self._is_closed:
            return
        self._is_closed = True
        self._sink = NULL_SINK
        self._queued_commands.clear()
        self._replies.clear()
        self._close_notices.clear()
        self._waiting_substreams.clear()
        rooms, self._rooms = self._rooms, {}
        for substreams in rooms.values():
            for substream in substreams:
                substream.close()
        self._release(self._reserved_bytes)

    # called by substreams

    def demand_for(self, substream: ChannelSubstream) -> int:
        """How many items this substream may deliver now."""
        demand = 0 if self._replies or self._close_notices else self._sink.demand()
        if demand <= 0:
            self._waiting_substreams[substream] = None
            return demand
        return max(demand // (2 * len(self._rooms) or 1), 1)

    def forward(self, room: str, field_number: int, batch: Batch[Any]) -> bool:
        """Deliver items of an open room; False if the transport accepts none now."""
        return self._sink.deliver(self._services.item_cache.wrap(room, field_number, batch))

    def on_substream_error(self, substream: ChannelSubstream, error: Exception) -> None:
        """A substream ended with an error: close its room, and tell the client."""
        if substream in self._rooms.get(substream.room, ()):
            self._close_room(substream.room)
            self._enqueue(self._close_notices, v1.ChannelItem(room=substream.room, closed=self._to_proto_error(error)))

    # commands

    async def _dispatch_commands(self) -> None:
        """Start the queued commands, each when the one before it has been handed on."""
        try:
            while self._queued_commands:
                command, size = self._queued_commands.popleft()
                self._running_commands += 1
                on_result = partial(self._on_result, command.ref, size)
                try:
                    pending = await self._dispatch(command)
                except Exception as error:
                    on_result(error)
                else:
                    if pending is None:
                        on_result(v1.Done())
                    else:
                        self._services.background.start(pending, on_result)
        finally:
            self._is_dispatching = False

    def _dispatch(self, command: v1.ChannelCommand) -> Awaitable[PendingReply]:
        name = command.WhichOneof("command")
        if name is None:
            raise invalid_argument("the command is empty; set one of open, close, send, edit, delete and the others")
        return COMMAND_HANDLERS[name](self, getattr(command, name))

    async def _open(self, request: v1.WatchRequest) -> PendingReply:
        services, context = self._services, self._context
        room, lag = services.messages.parse_watch(request)
        if room in self._rooms:
            raise conflict(f"{room} is open on this channel already; close it first to open it at another cursor")
        if len(self._rooms) >= services.limits.channel_rooms_max:
            raise resource_exhausted(f"{len(self._rooms)} rooms are open (channel_rooms_max); close one first")
        await services.messages.authorize_watch(room, context)
        if self._is_closed:
            return None
        self._reserve(ROOM_BYTES)
        events, presence = self._rooms[room] = (
            ChannelSubstream(self, room, EVENT_FIELD),
            ChannelSubstream(self, room, PRESENCE_FIELD),
        )
        try:
            events.subscription = services.messages.subscribe(request, room, lag, context, events)
        except ApiError:
            self._close_room(room)
            raise
        services.background.start(
            services.presence.watch_room(room, context, presence, v1.Cursor()),
            partial(self._on_presence_opened, presence),
        )
        return None

    async def _close(self, request: v1.CloseRoom) -> PendingReply:
        self._close_room(self._services.validator.room(request.room))
        return None

    async def _send(self, request: v1.SendRequest) -> PendingReply:
        return await self._append(self._services.messages.draft_send(request, self._context))

    async def _edit(self, request: v1.EditRequest) -> PendingReply:
        return await self._append(self._services.messages.draft_edit(request, self._context))

    async def _delete(self, request: v1.DeleteRequest) -> PendingReply:
        return await self._append(self._services.messages.draft_delete(request, self._context))

    async def _react(self, request: v1.ReactRequest) -> PendingReply:
        return await self._append(self._services.messages.draft_react(request, self._context))

    async def _append(self, draft: v1.Event) -> PendingReply:
        messages = self._services.messages
        return messages.append(draft, messages.authorize_cached(draft) or await messages.authorize_from_store(draft))

    async def _typing(self, request: v1.TypingRequest) -> PendingReply:
        await self._services.presence.typing(request, self._context)
        return None

    async def _mark(self, request: v1.MarkRequest) -> PendingReply:
        return self._services.receipts.mark(request, self._context)

    async def _presence(self, request: v1.SetPresenceRequest) -> PendingReply:
        self._services.presence.set(request, self._context)
        return None

    def _on_presence_opened(self, substream: ChannelSubstream, result: Subscription | Exception) -> None:
        """The room's presence was loaded; the room may have been closed meanwhile."""
        if isinstance(result, Exception):
            self.on_substream_error(substream, result)
            return
        substream.subscription = result
        if substream not in self._rooms.get(substream.room, ()):
            result.close()

    def _close_room(self, room: str) -> None:
        substreams = self._rooms.pop(room, ())
        if substreams:
            self._release(ROOM_BYTES)
        for substream in substreams:
            self._waiting_substreams.pop(substream, None)
            substream.close()

    # replies

    def _on_result(self, ref: int, size: int, result: Message | Exception) -> None:
        self._running_commands -= 1
        self._release(size)
        if isinstance(result, Exception):
            self._enqueue(self._replies, v1.ChannelItem(ref=ref, error=self._to_proto_error(result)))
        elif isinstance(result, v1.Done):
            self._enqueue(self._replies, v1.ChannelItem(ref=ref, done=result))
        else:
            item = v1.ChannelItem(ref=ref)
            getattr(item, REPLY_FIELDS[type(result)]).CopyFrom(result)
            self._enqueue(self._replies, item)

    def _to_proto_error(self, error: Exception) -> v1.Error:
        api_error = translate_hub_error(error)
        if not isinstance(api_error, ApiError):
            number = secrets.token_hex(4)
            self._services.report(error, f"a channel, fault {number}")
            api_error = internal(f"something broke in the service; tell its operator the number {number}")
        return v1.Error(
            code=v1.Code.ValueType(api_error.code), text=api_error.text, retry_after_ms=api_error.retry_after_ms
        )

    def _enqueue(self, queue: deque[PreparedMessage[v1.ChannelItem]], item: v1.ChannelItem) -> None:
        if not self._is_closed:
            self._memory.reserve_unchecked(COMMAND_BYTES)  # `command_capacity` limits them
            self._reserved_bytes += COMMAND_BYTES
            queue.append(PreparedMessage.from_message(item))
            self.wake()

    def _reserve(self, size: int) -> None:
        self._memory.reserve(size)
        self._reserved_bytes += size

    def _release(self, size: int) -> None:
        size = min(size, self._reserved_bytes)  # a closed channel has released everything
        self._reserved_bytes -= size
        self._memory.release(size)

    def _flush(self) -> None:
        """Deliver notices and replies, then wake the waiting substreams, as far as demand goes."""
        self._is_flush_scheduled = False
        demand = self._sink.demand()
        items: list[PreparedMessage[v1.ChannelItem]] = []
        for queue in (self._close_notices, self._replies):
            while queue and len(items) < demand:
                items.append(queue.popleft())
        if items:
            self._release(COMMAND_BYTES * len(items))
            demand -= len(items)
            self._sink.deliver(Batch(items, 0, 0))
        if self._close_notices or self._replies or self._is_closed:
            return
        if self._is_input_complete and not (self._rooms or self._queued_commands or self._running_commands):
            sink = self._sink
            self.close()
            sink.complete()
        elif demand > 0:
            waiting, self._waiting_substreams = self._waiting_substreams, {}
            for substream in waiting:
                substream.wake()

    def _fail(self, error: ApiError) -> None:
        sink = self._sink
        self.close()
        sink.fail(error)


COMMAND_HANDLERS: Final[dict[str, Callable[[Channel, Any], Awaitable[PendingReply]]]] = {
    "open": Channel._open,
    "close": Channel._close,
    "send": Channel._send,
    "edit": Channel._edit,
    "delete": Channel._delete,
    "react": Channel._react,
    "typing": Channel._typing,
    "mark": Channel._mark,
    "presence": Channel._presence,
}
assert set(COMMAND_HANDLERS) == {field.name for field in v1.ChannelCommand.DESCRIPTOR.oneofs_by_name["command"].fields}
