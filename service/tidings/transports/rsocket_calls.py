"""Calls whose answers come later: one payload, or none where nobody waits for it."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from tidings.contract.call import Call
from tidings.rsocket import Stream
from tidings.transports.routes import Route
from tidings.transports.rsocket_work import Work

if TYPE_CHECKING:
    from tidings.transports.rsocket_desk import Desk

# Answers up to here are queued whatever waits already: there are no more of them than requests being served.
SMALL_ANSWER_BYTES: Final = 4_096
# Charged for a larger one besides the time that encoding takes: putting the answer together, 1 to 3 ns for each byte.
MAKING_SECONDS_PER_BYTE: Final = 2e-9


class CallWork(Work):
    """A call whose answer comes later: a handler waits for it in a task, or has answered with a future.

    A large answer is encoded in parts, as far as the user's turn goes; between two turns it waits like a stream
    (`read_scheduler`). It is on the user's account until it is queued.
    """

    __slots__ = ("_encoded", "_parts")

    def __init__(self, desk: "Desk", route: Route, stream: Stream, call: Call) -> None:
        super().__init__(desk, route, stream, call)
        self._parts: Iterator[bytes] | None = None  # of a large answer, those that are not encoded yet
        self._encoded: list[bytes] = []

    def begin(self, data: bytes) -> None:
        """Decode, and ask the handler."""
        answer = self.route.row.handler(self.route.read(data), self.call)
        self.task = self.desk.awaited(answer)
        self.task.add_done_callback(self._came)

    def _came(self, answer: asyncio.Future[Any]) -> None:
        self.task = None
        self.desk.came()
        if answer.cancelled():
            self.interrupt()
        elif error := answer.exception():
            self.fail(error)
        else:
            self.arrived(answer.result())

    def arrived(self, answer: Any) -> None:
        if self.over:
            return
        try:
            size = answer.ByteSize()
            if size > SMALL_ANSWER_BYTES:
                self._begin_large(answer, size)
                return
            data = self.route.writes.encode(answer)
        except Exception as error:
            self.fail(error)
            return
        self._reply(data)

    def _reply(self, data: bytes) -> None:
        self.route.outcomes.ok += 1
        self.stream.next(data, self.route.said, complete=True)
        self.end()
        self.session.flush_soon()

    def _begin_large(self, answer: Any, size: int) -> None:
        """Encode what the turn has room for. A page of a thousand events in JSON takes 3 to 300 ms."""
        self.desk.hold(self, size)
        self._parts = self.route.writes.encode_in_parts(answer)
        reading, budget = self.session.service.reading, self.desk.budget
        reading.charge(budget, size * MAKING_SECONDS_PER_BYTE)
        if reading.may_send(budget, self):
            self.read_on()

    def read_on(self) -> bool:
        """The scheduler: it is our turn."""
        parts = self._parts
        if parts is None:
            return False
        try:
            whole = self._encode_a_turn(parts)
        except Exception as error:
            self.fail(error)
            return False
        if not whole:
            self.session.service.reading.wait(self.desk.budget, self)
            return False
        data = b"".join(self._encoded)
        self._encoded = []
        self._reply(data)
        return False

    def _encode_a_turn(self, parts: Iterator[bytes]) -> bool:
        """Encode parts until the turn is over, one at least; whether that was all of them."""
        service, budget = self.session.service, self.desk.budget
        clock, turn_seconds = service.clock, service.reading.turn_seconds
        began = now = clock()
        size = 0
        try:
            for part in parts:
                self._encoded.append(part)
                size += len(part)
                now = clock()
                if now - began + budget.used >= turn_seconds:
                    return False
            return True
        finally:
            service.reading.charge(budget, now - began)
            self.desk.hold(self, size)

    def abort(self) -> None:
        """The scheduler: `read_on` raised."""
        self.session.abort()

    def release(self) -> None:
        if self._parts is not None:
            self._parts = None
            self._encoded = []
            self.session.service.reading.withdraw(self.desk.budget, self)


class ForgetWork(Work):
    """A call whose caller does not want the answer. It is carried out even when the caller has left."""

    __slots__ = ()

    def begin(self, data: bytes) -> None:
        """Decode, and ask the handler."""
        task = self.desk.start(self._run(self.route.read(data)))
        task.add_done_callback(lambda _: self.desk.release(self))

    async def _run(self, request: Any) -> None:
        try:
            await self.route.row.handler(request, self.call)
        except Exception as error:
            self.desk.forgotten(self.route, error)
        else:
            self.route.outcomes.ok += 1
