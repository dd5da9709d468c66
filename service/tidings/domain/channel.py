"""One stream for a whole client: commands in, answers and everything that happens in its opened rooms out.

The theory. Commands wait in line and are begun one after the other, so that what a client sends is handed to the log in
the order it was sent; they end when they end, and each answer names its command. Every opened room is two *lanes*: a
subscription of the room's log and a reader of its gathering, whose sinks share the demand of this one stream:

    answers go first: they are few, and bounded by the commands that may be under way;
    a lane takes at most its share of the demand at a time, so that a room of ten thousand does not drown the others;
    a lane that was refused waits in line, and when there is demand again the line is woken in its order.

The lanes hold cursors and no items, as everywhere. What is held for a slow reader are the answers, and `room()` counts
them: a client that takes no answers is soon asked for no commands. (Notices that a room was lost are held as well, one
at most for each command that opened one. `room()` must not count them: it may only shrink when a command comes, since
what was asked for may be on its way.)
"""

import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from google.protobuf.message import Message

from tidings.contract import v1
from tidings.contract.call import Call
from tidings.contract.codecs import Prepared
from tidings.contract.errors import Failure, conflict, internal, invalid_argument, resource_exhausted
from tidings.domain.endings import failure_of
from tidings.domain.errands import Errands, Report
from tidings.domain.limits import DomainLimits
from tidings.domain.messages import Messages
from tidings.domain.presence import Presence
from tidings.domain.receipts import Receipts
from tidings.domain.rules import Rules
from tidings.domain.wrapping import EVENT, PRESENCE, Wrapping
from tidings.hub import Batch, Sink, Source
from tidings.hub.nobody import NOBODY
from tidings.hub.ports import Schedule

Rest = Awaitable[Message] | None
"""What of a command is still to be waited for: its answer, or None when Done is all there is to say."""

# On the account of the channel's user, measured: the channel; a room open on it, with two lanes; and a command or an
# answer that waits, beside its bytes, which a command has in more than one shape.
CHANNEL_BYTES: Final = 2_560
ROOM_BYTES: Final = 1_536
COMMAND_BYTES: Final = 1_024
COMMAND_BYTES_PER_BYTE: Final = 4

ANSWER_FIELDS: Final[dict[type[Message], str]] = {v1.SendReply: "sent", v1.MarkReply: "marked"}


class Lane:
    """A source of one opened room: the sink that it delivers to."""

    __slots__ = ("_channel", "_closed", "_field", "room", "source")

    def __init__(self, channel: "Channel", room: str, number: int) -> None:
        self._channel = channel
        self._field = number
        self._closed = False
        self.room = room
        self.source: Source | None = None

    def demand(self) -> int:
        """This lane's share."""
        # It may be closed before its source is there.
        return 0 if self._closed else self._channel.share(self)

    def deliver(self, batch: Batch[Any], /) -> bool:
        """Pass it on in the channel's envelope."""
        if len(batch.items) > self.demand():
            return False
        return self._channel.pass_on(self.room, self._field, batch)

    def complete(self) -> None:
        """A room's log and life have no end."""

    def fail(self, error: Exception, /) -> None:
        """The room is read no longer."""
        self._channel.lost(self, error)

    def wake(self) -> None:
        """There may be demand."""
        if self.source is not None:
            self.source.wake()

    def close(self) -> None:
        """Nothing more is wanted of it."""
        self._closed = True
        if self.source is not None:
            self.source.close()


class Exchange:
    """What all channels share: the services that carry out commands, and the limits."""

    def __init__(
        self,
        *,
        messages: Messages,
        presence: Presence,
        receipts: Receipts,
        rules: Rules,
        errands: Errands,
        schedule: Schedule,
        report: Report,
    ) -> None:
        self.messages = messages
        self.presence = presence
        self.receipts = receipts
        self.rules = rules
        self.errands = errands
        self.schedule = schedule
        self.report = report
        self.wrapping = Wrapping()

    @property
    def limits(self) -> DomainLimits:
        """The limits that hold."""
        return self.rules.limits


class Channel:
    """One `chat.channel`: a `Conversation` for its transport."""

    def __init__(self, exchange: Exchange, call: Call, sink: Sink[Any]) -> None:
        self._exchange = exchange
        self._call = call
        self._sink = sink
        self._memory = call.memory
        self._memory.hold(CHANNEL_BYTES)
        self._held_bytes = CHANNEL_BYTES
        self._commands: deque[tuple[v1.ChannelCommand, int]] = deque()  # each with what is held for it
        self._running = 0  # commands begun and not answered
        self._beginning = False  # a task takes commands from the line
        self._answers: deque[Prepared[v1.ChannelItem]] = deque()
        self._notices: deque[Prepared[v1.ChannelItem]] = deque()
        self._rooms: dict[str, tuple[Lane, Lane]] = {}
        self._refused: dict[Lane, None] = {}
        self._completed = False
        self._closed = False
        self._scheduled = False

    # the transport's side

    def room(self) -> int:
        """How many more commands it takes right now."""
        taken = len(self._commands) + self._running + len(self._answers)
        return max(self._exchange.limits.channel_commands_max - taken, 0)

    def receive(self, message: v1.ChannelCommand) -> None:
        """One command."""
        if self._closed:
            return
        if not self.room():
            self._fail(resource_exhausted("more commands than were asked for; wait for answers (channel_commands_max)"))
            return
        size = COMMAND_BYTES + COMMAND_BYTES_PER_BYTE * message.ByteSize()
        try:
            self._hold(size)
        except Failure as refused:
            self._fail(refused)
            return
        self._commands.append((message, size))
        if not self._beginning:
            self._beginning = True
            self._exchange.errands.spawn(self._begin_all(), "a channel")

    def complete(self) -> None:
        """No more commands come; what was asked is answered, and what was opened goes on."""
        self._completed = True
        self.wake()

    def wake(self) -> None:
        """Demand may have grown."""
        if not self._scheduled and not self._closed:
            self._scheduled = True
            self._exchange.schedule(self._flush)

    def close(self) -> None:
        """The client is gone. What it sent and was begun is carried out all the same."""
        if self._closed:
            return
        self._closed = True
        self._sink = NOBODY
        self._commands.clear()
        self._answers.clear()
        self._notices.clear()
        self._refused.clear()
        rooms, self._rooms = self._rooms, {}
        for lanes in rooms.values():
            for lane in lanes:
                lane.close()
        self._release(self._held_bytes)

    # the lanes' side

    def share(self, lane: Lane) -> int:
        """How many items this lane may deliver now."""
        demand = 0 if self._answers or self._notices else self._sink.demand()
        if demand <= 0:
            self._refused[lane] = None
            return demand
        return max(demand // (2 * len(self._rooms) or 1), 1)

    def pass_on(self, room: str, number: int, batch: Batch[Any]) -> bool:
        """Something happened in an opened room."""
        return self._sink.deliver(self._exchange.wrapping.wrap(room, number, batch))

    def lost(self, lane: Lane, error: Exception) -> None:
        """A lane ended, and with it the room."""
        if lane in self._rooms.get(lane.room, ()):
            self._close_room(lane.room)
            self._put(self._notices, v1.ChannelItem(room=lane.room, closed=self._error(error)))

    # commands

    async def _begin_all(self) -> None:
        """Begin the commands in line, each when the one before has been handed on."""
        try:
            while self._commands:
                command, size = self._commands.popleft()
                self._running += 1
                answered = partial(self._answered, command.ref, size)
                try:
                    rest = await self._begin(command)
                except Exception as error:
                    answered(error)
                else:
                    if rest is None:
                        answered(v1.Done())
                    else:
                        self._exchange.errands.run(rest, answered)
        finally:
            self._beginning = False

    def _begin(self, command: v1.ChannelCommand) -> Awaitable[Rest]:
        name = command.WhichOneof("command")
        if name is None:
            raise invalid_argument("the command is empty; set one of open, close, send, edit, delete and the others")
        return COMMANDS[name](self, getattr(command, name))

    async def _open(self, request: v1.WatchRequest) -> Rest:
        exchange, call = self._exchange, self._call
        room, lag = exchange.messages.wanted(request)
        if room in self._rooms:
            raise conflict(f"{room} is open on this channel already; close it first to begin elsewhere")
        if len(self._rooms) >= exchange.limits.channel_rooms_max:
            raise resource_exhausted(f"{len(self._rooms)} rooms are open (channel_rooms_max); close one first")
        await exchange.messages.check_watch(room, call)
        if self._closed:
            return None
        self._hold(ROOM_BYTES)
        events, life = self._rooms[room] = Lane(self, room, EVENT), Lane(self, room, PRESENCE)
        try:
            events.source = exchange.messages.subscribe(request, room, lag, call, events)
        except Failure:
            self._close_room(room)
            raise
        exchange.errands.run(exchange.presence.around(room, call, life, v1.Cursor()), partial(self._opened, life))
        return None

    async def _close(self, request: v1.CloseRoom) -> Rest:
        self._close_room(self._exchange.rules.room(request.room))
        return None

    async def _send(self, request: v1.SendRequest) -> Rest:
        return await self._say(self._exchange.messages.draft_send(request, self._call))

    async def _edit(self, request: v1.EditRequest) -> Rest:
        return await self._say(self._exchange.messages.draft_edit(request, self._call))

    async def _delete(self, request: v1.DeleteRequest) -> Rest:
        return await self._say(self._exchange.messages.draft_delete(request, self._call))

    async def _react(self, request: v1.ReactRequest) -> Rest:
        return await self._say(self._exchange.messages.draft_react(request, self._call))

    async def _say(self, draft: v1.Event) -> Rest:
        messages = self._exchange.messages
        return messages.append(draft, messages.standing(draft) or await messages.look_up(draft))

    async def _typing(self, request: v1.TypingRequest) -> Rest:
        await self._exchange.presence.typing(request, self._call)
        return None

    async def _mark(self, request: v1.MarkRequest) -> Rest:
        return self._exchange.receipts.mark(request, self._call)

    async def _presence(self, request: v1.SetPresenceRequest) -> Rest:
        self._exchange.presence.set(request, self._call)
        return None

    def _opened(self, lane: Lane, answer: Source | Exception) -> None:
        """The room's gathering was loaded; the room may have been closed meanwhile."""
        if isinstance(answer, Exception):
            self.lost(lane, answer)
            return
        lane.source = answer
        if lane not in self._rooms.get(lane.room, ()):
            answer.close()

    def _close_room(self, room: str) -> None:
        lanes = self._rooms.pop(room, ())
        if lanes:
            self._release(ROOM_BYTES)
        for lane in lanes:
            self._refused.pop(lane, None)
            lane.close()

    # answers

    def _answered(self, ref: int, size: int, answer: Message | Exception) -> None:
        self._running -= 1
        self._release(size)
        if isinstance(answer, Exception):
            self._put(self._answers, v1.ChannelItem(ref=ref, error=self._error(answer)))
        elif isinstance(answer, v1.Done):
            self._put(self._answers, v1.ChannelItem(ref=ref, done=answer))
        else:
            item = v1.ChannelItem(ref=ref)
            getattr(item, ANSWER_FIELDS[type(answer)]).CopyFrom(answer)
            self._put(self._answers, item)

    def _error(self, error: Exception) -> v1.Error:
        failure = failure_of(error)
        if not isinstance(failure, Failure):
            number = secrets.token_hex(4)
            self._exchange.report(error, f"a channel, fault {number}")
            failure = internal(f"something broke in the service; tell its operator the number {number}")
        return v1.Error(code=v1.Code.ValueType(failure.code), text=failure.text, retry_after_ms=failure.retry_after_ms)

    def _put(self, line: deque[Prepared[v1.ChannelItem]], item: v1.ChannelItem) -> None:
        if not self._closed:
            self._memory.force(COMMAND_BYTES)  # no more than `room` says
            self._held_bytes += COMMAND_BYTES
            line.append(Prepared.of(item))
            self.wake()

    def _hold(self, size: int) -> None:
        self._memory.hold(size)
        self._held_bytes += size

    def _release(self, size: int) -> None:
        size = min(size, self._held_bytes)  # of a closed channel, everything was released
        self._held_bytes -= size
        self._memory.release(size)

    def _flush(self) -> None:
        """Notices and answers, then whoever waits, as far as demand goes."""
        self._scheduled = False
        demand = self._sink.demand()
        said: list[Prepared[v1.ChannelItem]] = []
        for line in (self._notices, self._answers):
            while line and len(said) < demand:
                said.append(line.popleft())
        if said:
            self._release(COMMAND_BYTES * len(said))
            demand -= len(said)
            self._sink.deliver(Batch(said, 0, 0))
        if self._notices or self._answers or self._closed:
            return
        if self._completed and not (self._rooms or self._commands or self._running):
            sink = self._sink
            self.close()
            sink.complete()
        elif demand > 0:
            refused, self._refused = self._refused, {}
            for lane in refused:
                lane.wake()

    def _fail(self, failure: Failure) -> None:
        sink = self._sink
        self.close()
        sink.fail(failure)


COMMANDS: Final[dict[str, Callable[[Channel, Any], Awaitable[Rest]]]] = {
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
assert set(COMMANDS) == {field.name for field in v1.ChannelCommand.DESCRIPTOR.oneofs_by_name["command"].fields}
