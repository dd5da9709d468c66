"""What RSocket over TCP and over WebSocket have in common: a socket, a session, turns of reading, and how the two part.

*Turns.* libuv reads a full socket up to 32 times before the loop looks at anything else, and one read brings up to
256 KB. So what came is read in chunks (`_take`), with a look at the clock between them, until the turn of the user or
address is over (`read_scheduler`). Then the socket is not read any more, the rest stays as it came, and `read_on` goes
on with it in a later round. The socket is read unless the session has paused it or the connection waits for its turn.
"""

import abc
import asyncio
from typing import Final, cast

from tidings.contract.errors import resource_exhausted
from tidings.contract.memory import Account
from tidings.rsocket import Envelope, ErrorCode, State
from tidings.transports.doorkeeper import Stage, Visit
from tidings.transports.read_scheduler import CONNECTION_SECONDS, SETTLE_SECONDS
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_session import RSocketSession

NO_DATA: Final = b""


class RSocketWire(asyncio.Protocol, abc.ABC):
    """The protocol of one connection. A subclass cuts the bytes into frames and says farewell."""

    __slots__ = (
        "_account",
        "_closing_bytes",
        "_parted",
        "_paused",
        "_unfinished_bytes",
        "budget",
        "service",
        "session",
        "transport",
        "visit",
        "waits",
        "write",
    )

    NAME = ""

    def __init__(self, service: RSocketService, visit: Visit, envelope: Envelope) -> None:
        self.service = service
        self.visit = visit
        visit.make_way = self.abort
        self.budget = service.reading.join("address", visit.address)
        self.budget.used += CONNECTION_SECONDS
        self.waits = False  # for its turn to read
        self._paused = False  # by the session
        self._parted = False  # the end was told
        self._closing_bytes = 0  # received since then
        self._unfinished_bytes = 0  # as the budget knows it, and the account
        self._account = Account()  # the user's, once it is known who that is
        self.session = RSocketSession(service, self, self.NAME, envelope)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ours."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=self.service.connections.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self.waits = False
        self._count_unfinished(0)
        self.visit.ended()
        self.session.lost()
        self.service.reading.leave(self.budget, self)
        # Each refers to the other: as a cycle, both would wait for a garbage collection that comes once an hour.
        del self.session

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        self.session.socket_full()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        self.session.socket_free()

    # --- in -----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        self.service.metrics.bytes_in += len(data)
        if self.budget.open and not self._paused and not self._parted:
            self._read(data)
        elif self._parted:
            self._received_late(data)
        else:
            self._keep(data)
            if not self._paused:
                self._wait()

    def read_on(self) -> bool:
        """The scheduler: it is our turn."""
        self.waits = False
        if self._paused or self.transport.is_closing():
            return False
        self._read(NO_DATA)
        if not (self.waits or self._paused or self.transport.is_closing()):
            self.transport.resume_reading()
        return False

    def _read(self, data: bytes) -> None:
        """Read what came, chunk by chunk, until nothing is left or the turn is over."""
        budget, clock = self.budget, self.service.clock
        began = clock()
        more = self._take(data, began)
        if more:
            more = self._take_more(began)
        self.session.flush()
        budget.used = used = budget.used + clock() - began
        if used >= SETTLE_SECONDS:
            self.service.reading.spent(budget)
            more = more or not budget.open
        if more and not self._paused:
            self._wait()

    def _take_more(self, began: float) -> bool:
        """Cut further chunks until the turn that began then is over; whether there may be more."""
        budget, clock = self.budget, self.service.clock
        turn_seconds = self.service.reading.turn_seconds
        more = True
        while more and not self._paused:
            now = clock()
            if now - began + budget.used >= turn_seconds:
                break
            more = self._take(NO_DATA, now)
        return more

    @abc.abstractmethod
    def _take(self, data: bytes, now: float) -> bool:
        """Cut the next chunk into frames and have them served; whether there may be more.

        Calls `_count_unfinished` where something is held, or was.
        """

    @abc.abstractmethod
    def _keep(self, data: bytes) -> None:
        """Keep bytes for `_take`, which is called without any later; none where it would not look at them."""

    @abc.abstractmethod
    def _unread(self) -> bool:
        """Whether `_take` has something to do without new bytes."""

    def _wait(self) -> None:
        """Stop reading until it is our turn again."""
        if self.transport.is_closing():
            return
        self.waits = True
        self.transport.pause_reading()
        self.service.reading.wait(self.budget, self)

    def _received_late(self, data: bytes) -> None:
        """What comes after the end was told is dropped, all but the peer's own end; and not for long."""
        self._closing_bytes += len(data)
        if self._closing_bytes > self.service.connections.closing_bytes_max:
            self.transport.abort()
            return
        self._keep(data)
        if not self._paused:
            self._wait()

    def _count_unfinished(self, held_bytes: int) -> None:
        """So much is held of what is not complete; the connection that brings too much of it ends.

        A user's is on the account besides.

        Strangers share an address, so a connection that holds no more than an equal part of the limit lives, whatever
        the others hold: all together hold at most twice the limit.
        """
        budget = self.budget
        budget.unfinished_bytes += held_bytes - self._unfinished_bytes
        self._account.force(held_bytes - self._unfinished_bytes)
        if budget.kind == "address" and bool(held_bytes) is not bool(self._unfinished_bytes):
            self.visit.at(Stage.PARTIAL if held_bytes else Stage.NEW)
        grew = held_bytes > self._unfinished_bytes
        self._unfinished_bytes = held_bytes
        if grew:
            self.session.end_beyond_account()
        most = self.service.connections.unfinished_bytes_max
        if grew and budget.unfinished_bytes > most:
            if budget.kind == "address" and held_bytes * budget.connections <= most:
                return
            self.service.metrics.refused["unfinished_bytes_max"] += 1
            failure = resource_exhausted(
                f"requests of {budget.kind} {budget.name} that are not complete hold more than {most} bytes over all "
                "connections (connections.unfinished_bytes_max); send fewer at once"
            )
            if self.session.connection.state in (State.FIRST, State.ADMITTING):
                self.session.broken(failure.wire)
            else:
                self.session.close(failure)

    # --- what the session asks (see `Wire` there); `write` is the transport's own -------------------------------

    def buffered_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._paused = False
        if self.waits or self.transport.is_closing():
            return
        if self._unread():
            self._wait()
        else:
            self.transport.resume_reading()

    def admitted(self, user: str, account: Account) -> None:
        unfinished = self._unfinished_bytes
        self._count_unfinished(0)
        self._account = account
        self.service.reading.leave(self.budget, self)
        self.budget = self.service.reading.join("user", user)
        self._count_unfinished(unfinished)
        if self.waits:
            self._wait()
        self.visit.admitted()

    def farewell(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        self._parted = True
        # Closing while bytes of the peer lie unread would reset the connection, and the peer might never see why it
        # ended. So only our half is closed; what still comes is dropped until the peer has closed its own.
        self.resume_reading()
        half_close(self.transport)

    def abort(self) -> None:
        self.transport.abort()


def half_close(transport: asyncio.Transport) -> None:
    """Send EOF behind what is written and go on reading; where that cannot be (TLS), close."""
    if transport.is_closing():
        return  # asyncio's TLS forgets what it has to send when it is closed twice
    if not transport.can_write_eof():
        transport.close()
        return
    try:
        transport.write_eof()
    except OSError:
        # The peer has reset the connection and the loop has not come to tell us yet.
        transport.abort()
