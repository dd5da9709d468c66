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
from tidings_client.errors import WATCH_AGAIN, Code, Failure, Lost, Refused, again, closed, retry_seconds
from tidings_client.keeper import Keeper
from tidings_client.reconnect import Attempts
from tidings_client.resumed import Resumed
from tidings_client.watch import LogSeam
from tidings_client.window import Window

ROUTE: Final = "chat.channel"
# Until an answer gets a credit of its own: a commit takes a few milliseconds, a person waits for 100.
PATIENCE_SECONDS: Final = 0.05
CODES: Final = {int(code): code for code in Code}


class Command(NamedTuple):
    """One command until it is answered. `future` is None for what the conversation asks by itself."""

    message: v1.ChannelCommand
    future: "asyncio.Future[v1.ChannelItem] | None"


class OpenRoom:
    """A room on the channel: how it goes on after a break."""

    __slots__ = ("attempts", "seam", "timer")

    def __init__(self, seam: LogSeam[v1.WatchRequest], attempts: Attempts) -> None:
        self.seam = seam
        self.attempts = attempts
        self.timer: asyncio.TimerHandle | None = None

    def rest(self) -> None:
        """No attempt of its own is due any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Conversation(Resumed[v1.ChannelItem]):
    """Commands and their answers, rooms and what happens in them."""

    def __init__(self, keeper: Keeper, window: Window) -> None:
        super().__init__(keeper, window)
        self._commands: dict[int, Command] = {}
        self._waiting: deque[int] = deque()
        self._next_ref = 1
        self._patience: asyncio.TimerHandle | None = None
        self._patience_seconds = PATIENCE_SECONDS
        self.rooms: dict[str, OpenRoom] = {}

    # --- the caller's side ------------------------------------------------------------------------------------------

    async def ask(self, message: v1.ChannelCommand) -> v1.ChannelItem:
        """The answer, over as many connections as it takes. Raises the Failure that the service answers with."""
        self.start()
        if self.over:
            raise self.failure or closed()
        future: asyncio.Future[v1.ChannelItem] = asyncio.get_running_loop().create_future()
        ref = self._add(message, future)
        try:
            item = await future
        finally:
            # A command whose caller has gone is not sent again; its answer, if one comes, is for nobody.
            self._commands.pop(ref, None)
        if item.HasField("error"):
            raise _failure(item.error)
        return item

    def demand(self, message: v1.ChannelCommand) -> None:
        """Ask without caring for the answer."""
        if not self.over:
            self._add(message, None)

    def enter(self, room: str, seam: LogSeam[v1.WatchRequest]) -> OpenRoom:
        """From now on events of the room are news."""
        self.leave(room)
        opened = self.rooms[room] = OpenRoom(seam, Attempts(self._keeper.settings.jitter))
        return opened

    def leave(self, room: str) -> None:
        """No longer."""
        opened = self.rooms.pop(room, None)
        if opened is not None:
            opened.rest()

    def _ended(self) -> None:
        commands, self._commands = self._commands, {}
        for room in list(self.rooms):
            self.leave(room)
        self._lose_patience()
        for command in commands.values():
            if command.future is not None and not command.future.done():
                command.future.set_exception(self.failure or closed())

    # --- the keeper's side ------------------------------------------------------------------------------------------

    def link_gone_for_good(self, failure: Failure) -> None:
        self.end(None if failure.code is Code.UNAVAILABLE else failure)

    # --- the stream's side ------------------------------------------------------------------------------------------

    def item(self, data: bytes) -> None:
        self._window.arrived(len(data))
        try:
            item: v1.ChannelItem = self._codec.decode_answer(v1.ChannelItem, data)
        except Failure as failure:
            self.end(Failure(Code.INTERNAL, f"{ROUTE}: {failure.text}"))
            return
        self._attempts.reset()
        if item.ref:
            self._answered(item)
        elif self._is_news(item):
            self._held.append((item, len(data)))
            self._arrival.set()
            self._mind_answers()
            return
        self._window.taken(len(data))
        self._refill()
        self._mind_answers()

    def completed(self) -> None:
        self._broken()
        self._begin_later(0.0)

    def credited(self) -> None:
        stream = self._stream
        if stream is not None and stream.sending_closed and self._link is not None:
            # The service listens no longer: better a whole new stream than half of this one.
            self._link.cancel(stream)
            self.completed()
        else:
            self._send_waiting()

    # --- commands ---------------------------------------------------------------------------------------------------

    def _add(self, message: v1.ChannelCommand, future: "asyncio.Future[v1.ChannelItem] | None") -> int:
        ref = self._number(message, future)
        self._waiting.append(ref)
        if self._stream is None:
            self._begin()
        else:
            self._send_waiting()
            self._mind_answers()
        return ref

    def _number(self, message: v1.ChannelCommand, future: "asyncio.Future[v1.ChannelItem] | None") -> int:
        ref = self._next_ref
        self._next_ref += 1
        numbered = v1.ChannelCommand()
        numbered.CopyFrom(message)
        numbered.ref = ref
        self._commands[ref] = Command(numbered, future)
        return ref

    def _answered(self, item: v1.ChannelItem) -> None:
        command = self._commands.pop(item.ref, None)
        if command is None:
            return
        self._patience_seconds = PATIENCE_SECONDS
        if command.future is not None:
            if not command.future.done():
                command.future.set_result(item)
        elif item.HasField("error"):
            # A room that was opened again by itself: the caller hears of it as of any room that was closed.
            self._closed(command.message.open.room, item.error)

    # --- what happened ----------------------------------------------------------------------------------------------

    def _is_news(self, item: v1.ChannelItem) -> bool:
        if item.HasField("event"):
            opened = self.rooms.get(item.room)
            if opened is None:
                return False
            opened.attempts.reset()
            return opened.seam.accept(item.event)
        if item.HasField("closed"):
            self._closed(item.room, item.closed)
            return False
        return True

    def _closed(self, room: str, error: v1.Error) -> None:
        """The service closed a room: open it again if that passes, else say so."""
        opened = self.rooms.get(room)
        if opened is None:
            return
        failure = _failure(error)
        if again(failure, WATCH_AGAIN):
            if opened.timer is None:
                delay = opened.attempts.next_seconds(retry_seconds(failure) or 0.0)
                opened.timer = asyncio.get_running_loop().call_later(delay, self._open_again, room)
            return
        self.leave(room)
        # It lies among the items, though it may not have come as one.
        self._window.held += 1
        self._held.append((v1.ChannelItem(room=room, closed=error), 0))
        self._arrival.set()

    def _open_again(self, room: str) -> None:
        opened = self.rooms.get(room)
        if opened is None:
            return
        opened.timer = None
        # A stream that begins opens all rooms anyway.
        if self._stream is not None:
            self._add(v1.ChannelCommand(open=opened.seam.request()), None)

    # --- the stream -------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Open the stream if there is anything to say on it and room for what is said back."""
        if self._over_or_under_way() or self._link is None:
            return
        self._line_up()
        if not self._waiting:
            return
        n = self._window.open()
        if not n:
            if all(command.future is None for command in self._commands.values()):
                return
            n = self._window.one_more()
        first = self._commands[self._waiting.popleft()]
        try:
            self._stream = self._link.channel(ROUTE, n, self._codec.encode(first.message), self)
        except Lost:
            self._broken()
            self._link = None
        except Refused:
            self._broken()
            self._begin_later(0.0)

    def _line_up(self) -> None:
        """All that a new stream has to say: the rooms first, then what was not answered, in its order."""
        asked = {ref: command for ref, command in self._commands.items() if command.future is not None}
        opening = {command.message.open.room for command in asked.values() if command.message.HasField("open")}
        self._commands = {}
        for room, opened in self.rooms.items():
            opened.rest()
            if room not in opening:
                self._number(v1.ChannelCommand(open=opened.seam.request()), None)
        for command in asked.values():
            named = self.rooms.get(command.message.open.room) if command.message.HasField("open") else None
            if named is not None:
                # Its answer was lost; events may have come all the same.
                command.message.open.CopyFrom(named.seam.request())
        self._commands |= asked
        self._waiting = deque(self._commands)

    def _send_waiting(self) -> None:
        stream, link = self._stream, self._link
        while self._waiting and stream is not None and link is not None and stream.sendable():
            command = self._commands.get(self._waiting.popleft())
            if command is not None:
                link.send(stream, self._codec.encode(command.message))

    def _mind_answers(self) -> None:
        if self._commands and not self._window.granted and self._stream is not None and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._patience_seconds, self._grant_an_answer)

    def _grant_an_answer(self) -> None:
        self._patience = None
        if self._commands and not self._window.granted and self._stream is not None and self._link is not None:
            self._patience_seconds *= 2
            self._link.request(self._stream, self._window.one_more())

    def _lose_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _broken(self) -> None:
        super()._broken()
        self._lose_patience()


def _failure(error: v1.Error) -> Failure:
    return Failure(CODES.get(error.code, Code.INTERNAL), error.text, retry_after_ms=error.retry_after_ms)
