"""Calls: one reply, or none where the caller does not want it."""

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from tidings.dispatch.responders import Responder

# Replies up to here are queued whatever waits already: there are no more of them than requests being served.
SMALL_REPLY_BYTES: Final = 4_096
# Charged for a larger one besides the time that encoding takes: building the reply, 1 to 3 ns for each byte.
REPLY_COST_SECONDS_PER_BYTE: Final = 2e-9


class _LargeReply:
    """A reply that is encoded part by part, within the turns of its user."""

    __slots__ = ("encoded_parts", "remaining_parts")

    def __init__(self, remaining_parts: Iterator[bytes]) -> None:
        self.remaining_parts = remaining_parts
        self.encoded_parts: list[bytes] = []


class CallResponder(Responder):
    """A call. A handler that does not wait is answered at once, any other with a future or in a task.

    A large reply is encoded in parts, as far as the user's turn goes; between two turns it waits like a stream
    (`read_scheduler`). It is on the user's account until it is queued.
    """

    __slots__ = ()

    def start(self, data: bytes, last: bool) -> None:
        binding = self.binding
        if not binding.method.is_async:
            reply = binding.handle(data, self.context)
            binding.counters.ok += 1
            self._reply(reply)
            return
        session = self.client_session
        session.register(self, data)
        pending = binding.method.handler(binding.decode_request(data), self.context)
        if isinstance(pending, asyncio.Future):
            self.task = session.track(pending)
            pending.add_done_callback(self._on_done)
        else:
            self.task = session.start_eagerly(self._run_task(lambda: pending))

    def _on_done(self, done: asyncio.Future[Any]) -> None:
        self.task = None
        self.client_session.release_slot()
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
        self._finish_with(data)

    def _finish_with(self, data: bytes) -> None:
        self.binding.counters.ok += 1
        self._reply(data)
        self.finish()

    def _start_large_reply(self, result: Any, size: int) -> None:
        """Encode what the turn has room for. A page of a thousand events in JSON takes 3 to 300 ms."""
        session = self.client_session
        session.hold_memory(self, size)
        self.source = _LargeReply(self.binding.reply_codec.encode_in_parts(result))
        scheduler = session.read_scheduler
        scheduler.charge(session.budget, size * REPLY_COST_SECONDS_PER_BYTE)
        if scheduler.may_send(session.budget, self):
            self.run_slice()

    def run_slice(self) -> bool:
        """The scheduler: it is our turn."""
        reply: _LargeReply | None = self.source
        if reply is None:
            return False
        try:
            is_complete = self._encode_slice(reply)
        except Exception as error:
            self.fail(error)
            return False
        if not is_complete:
            self.client_session.read_scheduler.wait(self.client_session.budget, self)
            return False
        data = b"".join(reply.encoded_parts)
        reply.encoded_parts = []
        self._finish_with(data)
        return False

    def _encode_slice(self, reply: _LargeReply) -> bool:
        """Encode parts until the turn is over, one at least; whether that was all of them."""
        session = self.client_session
        budget, clock, slice_seconds = session.budget, session.dispatcher.clock, session.read_scheduler.slice_seconds
        started_at = now = clock()
        size = 0
        try:
            for part in reply.remaining_parts:
                reply.encoded_parts.append(part)
                size += len(part)
                now = clock()
                if now - started_at + budget.used_seconds >= slice_seconds:
                    return False
            return True
        finally:
            session.read_scheduler.charge(budget, now - started_at)
            session.hold_memory(self, size)

    def release_resources(self) -> None:
        if self.source is not None:
            self.source = None
            self.client_session.read_scheduler.cancel_wait(self.client_session.budget, self)


class FireAndForgetResponder(Responder):
    """A call without a reply. It is carried out even when the caller has left, and cannot be cancelled."""

    __slots__ = ()

    def start(self, data: bytes, last: bool) -> None:
        binding, session = self.binding, self.client_session
        if not binding.method.is_async:
            binding.handle(data, self.context)
            binding.counters.ok += 1
            return
        session.reserve(self, data)
        task = session.start_task(self._run_handler(binding.decode_request(data)))
        task.add_done_callback(lambda _: session.release_memory(self))

    async def _run_handler(self, request: Any) -> None:
        try:
            await self.binding.method.handler(request, self.context)
        except Exception as error:
            self.client_session.on_unanswered_error(self.binding, error)
        else:
            self.binding.counters.ok += 1

    def fail(self, error: BaseException, /) -> None:
        self.client_session.release_memory(self)
        self.client_session.on_unanswered_error(self.binding, error)
