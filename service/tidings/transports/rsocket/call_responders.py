"""Calls whose answers come later: one payload, or none where nobody waits for it."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tidings.contract.context import CallContext
from tidings.protocols.rsocket import Stream
from tidings.transports.rsocket.method_resolver import MethodBinding
from tidings.transports.rsocket.responders import Responder

if TYPE_CHECKING:
    from tidings.dispatch.dispatcher import Dispatcher

# Answers up to here are queued whatever waits already: there are no more of them than requests being served.
SMALL_REPLY_BYTES: Final = 4_096
# Charged for a larger one besides the time that encoding takes: putting the answer together, 1 to 3 ns for each byte.
REPLY_COST_SECONDS_PER_BYTE: Final = 2e-9


class CallResponder(Responder):
    """A call whose answer comes later: a handler waits for it in a task, or has answered with a future.

    A large answer is encoded in parts, as far as the user's turn goes; between two turns it waits like a stream
    (`read_scheduler`). It is on the user's account until it is queued.
    """

    __slots__ = ("_encoded_parts", "_remaining_parts")

    def __init__(self, dispatcher: "Dispatcher", binding: MethodBinding, stream: Stream, context: CallContext) -> None:
        super().__init__(dispatcher, binding, stream, context)
        self._remaining_parts: Iterator[bytes] | None = None  # of a large answer, those that are not encoded yet
        self._encoded_parts: list[bytes] = []

    def start(self, data: bytes) -> None:
        """Decode, and ask the handler."""
        pending = self.binding.method.handler(self.binding.decode_request(data), self.context)
        self.task = self.dispatcher.track(pending)
        self.task.add_done_callback(self._on_done)

    def _on_done(self, done: asyncio.Future[Any]) -> None:
        self.task = None
        self.dispatcher.release_slot()
        if done.cancelled():
            self.on_interrupted()
        elif error := done.exception():
            self.fail(error)
        else:
            self.on_result(done.result())

    def on_result(self, result: Any) -> None:
        if self.is_done:
            return
        try:
            size = result.ByteSize()
            if size > SMALL_REPLY_BYTES:
                self._start_large_reply(result, size)
                return
            data = self.binding.reply_codec.encode(result)
        except Exception as error:
            self.fail(error)
            return
        self._reply(data)

    def _reply(self, data: bytes) -> None:
        self.binding.counters.ok += 1
        self.stream.next(data, self.binding.response_metadata, complete=True)
        self.finish()
        self.connection.schedule_flush()

    def _start_large_reply(self, result: Any, size: int) -> None:
        """Encode what the turn has room for. A page of a thousand events in JSON takes 3 to 300 ms."""
        self.dispatcher.hold_memory(self, size)
        self._remaining_parts = self.binding.reply_codec.encode_in_parts(result)
        scheduler, budget = self.connection.server.read_scheduler, self.dispatcher.budget
        scheduler.charge(budget, size * REPLY_COST_SECONDS_PER_BYTE)
        if scheduler.may_send(budget, self):
            self.run_slice()

    def run_slice(self) -> bool:
        """The scheduler: it is our turn."""
        parts = self._remaining_parts
        if parts is None:
            return False
        try:
            is_complete = self._encode_slice(parts)
        except Exception as error:
            self.fail(error)
            return False
        if not is_complete:
            self.connection.server.read_scheduler.wait(self.dispatcher.budget, self)
            return False
        data = b"".join(self._encoded_parts)
        self._encoded_parts = []
        self._reply(data)
        return False

    def _encode_slice(self, parts: Iterator[bytes]) -> bool:
        """Encode parts until the turn is over, one at least; whether that was all of them."""
        server, budget = self.connection.server, self.dispatcher.budget
        clock, slice_seconds = server.clock, server.read_scheduler.slice_seconds
        started_at = now = clock()
        size = 0
        try:
            for part in parts:
                self._encoded_parts.append(part)
                size += len(part)
                now = clock()
                if now - started_at + budget.used_seconds >= slice_seconds:
                    return False
            return True
        finally:
            server.read_scheduler.charge(budget, now - started_at)
            self.dispatcher.hold_memory(self, size)

    def abort(self) -> None:
        """The scheduler: `run_slice` raised."""
        self.connection.abort()

    def release_resources(self) -> None:
        if self._remaining_parts is not None:
            self._remaining_parts = None
            self._encoded_parts = []
            self.connection.server.read_scheduler.cancel_wait(self.dispatcher.budget, self)


class FireAndForgetResponder(Responder):
    """A call whose caller does not want the answer. It is carried out even when the caller has left."""

    __slots__ = ()

    def start(self, data: bytes) -> None:
        """Decode, and ask the handler."""
        task = self.dispatcher.start_task(self._run_handler(self.binding.decode_request(data)))
        task.add_done_callback(lambda _: self.dispatcher.release_memory(self))

    async def _run_handler(self, request: Any) -> None:
        try:
            await self.binding.method.handler(request, self.context)
        except Exception as error:
            self.dispatcher.on_unanswered_error(self.binding, error)
        else:
            self.binding.counters.ok += 1
