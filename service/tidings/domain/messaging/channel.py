"""One stream for a whole client: commands in, answers and everything that happens in its opened rooms out.

The theory. Commands wait in line and are begun one after the other, so that what a client sends is handed to the log in
the order it was sent; they end when they end, and each answer names its command. Every opened room is two
*substreams*: a
subscription of the room's log and a reader of its room presence, whose sinks share the demand of this one stream:

    answers go first: they are few, and bounded by the commands that may be under way;
    a substream takes at most its share of the demand at a time, so that a room of ten thousand does not drown the
    others; a substream that was refused waits in line, and when there is demand again the line is woken in its order.

The substreams hold cursors and no items, as everywhere. What is held for a slow reader are the answers, and
`command_capacity()` counts
them: a client that takes no answers is soon asked for no commands. (Notices that a room was lost are held as well, one
at most for each command that opened one. `command_capacity()` must not count them: it may only shrink when a command
comes, since what was asked for may be on its way.)
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
from tidings.domain.common.background import BackgroundTasks, ErrorReporter
from tidings.domain.common.hub_errors import translate_hub_error
from tidings.domain.common.validation import Validator
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.messaging.channel_items import EVENT_FIELD, PRESENCE_FIELD, ChannelItemCache
from tidings.domain.messaging.messages import RoomMessages
from tidings.domain.presence.service import PresenceService
from tidings.domain.receipts.service import ReceiptsService
from tidings.hub import Batch, Sink, Subscription
from tidings.hub.ports import Schedule
from tidings.hub.sinks import NULL_SINK

PendingReply = Awaitable[Message] | None
"""What of a command is still to be waited for: its answer, or None when Done is all there is to say."""

# On the account of the channel's user, measured: the channel; a room open on it, with two substreams; and a command or
# an answer that waits, beside its bytes, which a command has in more than one shape.
CHANNEL_BYTES: Final = 2_560
ROOM_BYTES: Final = 1_536
COMMAND_BYTES: Final = 1_024
COMMAND_BYTES_PER_BYTE: Final = 4

REPLY_FIELDS: Final[dict[type[Message], str]] = {v1.SendReply: "sent", v1.MarkReply: "marked"}


class ChannelSubstream:
    """A source of one opened room: the sink that it delivers to."""

    __slots__ = ("_channel", "_field_number", "_is_closed", "room", "subscription")

    def __init__(self, channel: "Channel", room: str, field_number: int) -> None:
        self._channel = channel
        self._field_number = field_number
        self._is_closed = False
        self.room = room
        self.subscription: Subscription | None = None

    def demand(self) -> int:
        """This substream's share."""
        # It may be closed before its source is there.
        return 0 if self._is_closed else self._channel.demand_for(self)

    def deliver(self, batch: Batch[Any], /) -> bool:
        """Pass it on in the channel's envelope."""
        if len(batch.items) > self.demand():
            return False
        return self._channel.forward(self.room, self._field_number, batch)

    def complete(self) -> None:
        """A room's log and life have no end."""

    def fail(self, error: Exception, /) -> None:
        """The room is read no longer."""
        self._channel.on_substream_error(self, error)

    def wake(self) -> None:
        """There may be demand."""
        if self.subscription is not None:
            self.subscription.wake()

    def close(self) -> None:
        """Nothing more is wanted of it."""
        self._is_closed = True
        if self.subscription is not None:
            self.subscription.close()


class ChannelServices:
    """What all channels share: the services that carry out commands, and the limits."""

    def __init__(
        self,
        *,
        messages: RoomMessages,
        presence: PresenceService,
        receipts: ReceiptsService,
        validator: Validator,
        background: BackgroundTasks,
        schedule: Schedule,
        report: ErrorReporter,
    ) -> None:
        self.messages = messages
        self.presence = presence
        self.receipts = receipts
        self.validator = validator
        self.background = background
        self.schedule = schedule
        self.report = report
        self.item_cache = ChannelItemCache()

    @property
    def limits(self) -> DomainLimits:
        """The limits that hold."""
        return self.validator.limits


class Channel:
    """One `chat.channel`: a `ChannelHandler` for its transport."""

    def __init__(self, services: ChannelServices, context: CallContext, sink: Sink[Any]) -> None:
        self._services = services
        self._context = context
        self._sink = sink
        self._memory = context.memory
        self._memory.reserve(CHANNEL_BYTES)
        self._reserved_bytes = CHANNEL_BYTES
        self._queued_commands: deque[tuple[v1.ChannelCommand, int]] = deque()  # each with what is held for it
        self._running_commands = 0  # commands begun and not answered
        self._is_dispatching = False  # a task takes commands from the line
        self._replies: deque[PreparedMessage[v1.ChannelItem]] = deque()
        self._close_notices: deque[PreparedMessage[v1.ChannelItem]] = deque()
        self._rooms: dict[str, tuple[ChannelSubstream, ChannelSubstream]] = {}
        self._waiting_substreams: dict[ChannelSubstream, None] = {}
        self._is_input_complete = False
        self._is_closed = False
        self._is_flush_scheduled = False

    # the transport's side

    def command_capacity(self) -> int:
        """How many more commands it takes right now."""
        taken = len(self._queued_commands) + self._running_commands + len(self._replies)
        return max(self._services.limits.channel_commands_max - taken, 0)

    def receive(self, message: v1.ChannelCommand) -> None:
        """One command."""
        if self._is_closed:
            return
        if not self.command_capacity():
            self._fail(resource_exhausted("more commands than were asked for; wait for answers (channel_commands_max)"))
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
        """No more commands come; what was asked is answered, and what was opened goes on."""
        self._is_input_complete = True
        self.wake()

    def wake(self) -> None:
        """Demand may have grown."""
        if not self._is_flush_scheduled and not self._is_closed:
            self._is_flush_scheduled = True
            self._services.schedule(self._flush)

    def close(self) -> None:
        """The client is gone. What it sent and was begun is carried out all the same."""
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

    # the substreams' side

    def demand_for(self, substream: ChannelSubstream) -> int:
        """How many items this substream may deliver now."""
        demand = 0 if self._replies or self._close_notices else self._sink.demand()
        if demand <= 0:
            self._waiting_substreams[substream] = None
            return demand
        return max(demand // (2 * len(self._rooms) or 1), 1)

    def forward(self, room: str, field_number: int, batch: Batch[Any]) -> bool:
        """Something happened in an opened room."""
        return self._sink.deliver(self._services.item_cache.wrap(room, field_number, batch))

    def on_substream_error(self, substream: ChannelSubstream, error: Exception) -> None:
        """A substream ended, and with it the room."""
        if substream in self._rooms.get(substream.room, ()):
            self._close_room(substream.room)
            self._enqueue(self._close_notices, v1.ChannelItem(room=substream.room, closed=self._to_proto_error(error)))

    # commands

    async def _dispatch_commands(self) -> None:
        """Begin the commands in line, each when the one before has been handed on."""
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
            raise conflict(f"{room} is open on this channel already; close it first to begin elsewhere")
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
        """The room's room presence was loaded; the room may have been closed meanwhile."""
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

    # answers

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
            self._memory.reserve_unchecked(COMMAND_BYTES)  # no more than `command_capacity` says
            self._reserved_bytes += COMMAND_BYTES
            queue.append(PreparedMessage.from_message(item))
            self.wake()

    def _reserve(self, size: int) -> None:
        self._memory.reserve(size)
        self._reserved_bytes += size

    def _release(self, size: int) -> None:
        size = min(size, self._reserved_bytes)  # of a closed channel, everything was released
        self._reserved_bytes -= size
        self._memory.release(size)

    def _flush(self) -> None:
        """Notices and answers, then whoever waits, as far as demand goes."""
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
