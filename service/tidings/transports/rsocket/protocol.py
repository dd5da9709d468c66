"""What RSocket over TCP and over WebSocket have in common: a socket, a session, turns of reading, and how the two part.

*Turns.* libuv reads a full socket up to 32 times before the loop looks at anything else, and one read brings up to
256 KB. So what came is read in chunks (`_process_chunk`), with a look at the clock between them, until the turn of
the user or
address is over (`read_scheduler`). Then the socket is not read any more, the rest stays as it came, and `run_slice`
goes
on with it in a later round. The socket is read unless the session has paused it or the connection waits for its turn.
"""

import abc
import asyncio
from typing import Final, cast

from tidings.contract.errors import resource_exhausted
from tidings.contract.memory_account import MemoryAccount
from tidings.dispatch.read_scheduler import CONNECTION_COST_SECONDS, SETTLE_SECONDS
from tidings.protocols.rsocket import ConnectionState, ErrorCode, TransportHeader
from tidings.server.connection_limiter import ConnectionSlot, ConnectionStage
from tidings.server.sockets import half_close
from tidings.transports.rsocket.connection import RSocketServerConnection
from tidings.transports.rsocket.server import RSocketServer

NO_DATA: Final = b""


class RSocketProtocol(asyncio.Protocol, abc.ABC):
    """The protocol of one connection. A subclass cuts the bytes into frames and says farewell."""

    __slots__ = (
        "_account",
        "_discarded_bytes",
        "_incomplete_bytes",
        "_is_closing",
        "_is_paused",
        "budget",
        "connection",
        "is_waiting",
        "server",
        "slot",
        "transport",
        "write",
    )

    TRANSPORT_NAME = ""

    def __init__(self, server: RSocketServer, slot: ConnectionSlot, transport_header: TransportHeader) -> None:
        self.server = server
        self.slot = slot
        slot.on_evict = self.abort
        self.budget = server.read_scheduler.acquire("address", slot.address)
        self.budget.used_seconds += CONNECTION_COST_SECONDS
        self.is_waiting = False  # for its turn to read
        self._is_paused = False  # by the session
        self._is_closing = False  # the end was told
        self._discarded_bytes = 0  # received since then
        self._incomplete_bytes = 0  # as the budget knows it, and the account
        self._account = MemoryAccount()  # the user's, once it is known who that is
        self.connection = RSocketServerConnection(server, self, self.TRANSPORT_NAME, transport_header)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is ours."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write
        self.transport.set_write_buffer_limits(high=self.server.connection_limits.write_buffer_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self.is_waiting = False
        self._account_incomplete(0)
        self.slot.release()
        self.connection.on_transport_lost()
        self.server.read_scheduler.release(self.budget, self)
        # Each refers to the other: as a cycle, both would wait for a garbage collection that comes once an hour.
        del self.connection

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        self.connection.resume_writing()

    # --- in -----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        self.server.metrics.bytes_in += len(data)
        if self.budget.is_open and not self._is_paused and not self._is_closing:
            self._read(data)
        elif self._is_closing:
            self._discard(data)
        else:
            self._buffer(data)
            if not self._is_paused:
                self._wait_for_slice()

    def run_slice(self) -> bool:
        """The scheduler: it is our turn."""
        self.is_waiting = False
        if self._is_paused or self.transport.is_closing():
            return False
        self._read(NO_DATA)
        if not (self.is_waiting or self._is_paused or self.transport.is_closing()):
            self.transport.resume_reading()
        return False

    def _read(self, data: bytes) -> None:
        """Read what came, chunk by chunk, until nothing is left or the turn is over."""
        budget, clock = self.budget, self.server.clock
        started_at = clock()
        has_more = self._process_chunk(data, started_at)
        if has_more:
            has_more = self._process_more(started_at)
        self.connection.flush()
        budget.used_seconds = used = budget.used_seconds + clock() - started_at
        if used >= SETTLE_SECONDS:
            self.server.read_scheduler.on_time_used(budget)
            has_more = has_more or not budget.is_open
        if has_more and not self._is_paused:
            self._wait_for_slice()

    def _process_more(self, started_at: float) -> bool:
        """Cut further chunks until the turn that began then is over; whether there may be more."""
        budget, clock = self.budget, self.server.clock
        slice_seconds = self.server.read_scheduler.slice_seconds
        has_more = True
        while has_more and not self._is_paused:
            now = clock()
            if now - started_at + budget.used_seconds >= slice_seconds:
                break
            has_more = self._process_chunk(NO_DATA, now)
        return has_more

    @abc.abstractmethod
    def _process_chunk(self, data: bytes, now: float) -> bool:
        """Cut the next chunk into frames and have them served; whether there may be more.

        Calls `_account_incomplete` where something is held, or was.
        """

    @abc.abstractmethod
    def _buffer(self, data: bytes) -> None:
        """Keep bytes for `_process_chunk`, which is called without any later; none where it would not look at them."""

    @abc.abstractmethod
    def _has_buffered_input(self) -> bool:
        """Whether `_process_chunk` has something to do without new bytes."""

    def _wait_for_slice(self) -> None:
        """Stop reading until it is our turn again."""
        if self.transport.is_closing():
            return
        self.is_waiting = True
        self.transport.pause_reading()
        self.server.read_scheduler.wait(self.budget, self)

    def _discard(self, data: bytes) -> None:
        """What comes after the end was told is dropped, all but the peer's own end; and not for long."""
        self._discarded_bytes += len(data)
        if self._discarded_bytes > self.server.connection_limits.discarded_bytes_max:
            self.transport.abort()
            return
        self._buffer(data)
        if not self._is_paused:
            self._wait_for_slice()

    def _account_incomplete(self, held_bytes: int) -> None:
        """So much is held of what is not complete; the connection that brings too much of it ends.

        A user's is on the account besides.

        Strangers share an address, so a connection that holds no more than an equal part of the limit lives, whatever
        the others hold: all together hold at most twice the limit.
        """
        budget = self.budget
        budget.incomplete_bytes += held_bytes - self._incomplete_bytes
        self._account.reserve_unchecked(held_bytes - self._incomplete_bytes)
        if budget.kind == "address" and bool(held_bytes) is not bool(self._incomplete_bytes):
            self.slot.enter_stage(ConnectionStage.PARTIAL if held_bytes else ConnectionStage.NEW)
        has_grown = held_bytes > self._incomplete_bytes
        self._incomplete_bytes = held_bytes
        if has_grown:
            self.connection.close_if_over_memory_limit()
        limit = self.server.connection_limits.incomplete_bytes_max
        if has_grown and budget.incomplete_bytes > limit:
            if budget.kind == "address" and held_bytes * budget.connection_count <= limit:
                return
            self.server.metrics.connections_refused["incomplete_bytes_max"] += 1
            failure = resource_exhausted(
                f"requests of {budget.kind} {budget.name} that are not complete hold more than {limit} bytes over all "
                "connections (connections.incomplete_bytes_max); send fewer at once"
            )
            if self.connection.engine.state in (ConnectionState.EXPECT_SETUP, ConnectionState.AUTHENTICATING):
                self.connection.on_protocol_error(failure.rsocket_text)
            else:
                self.connection.close(failure)

    # --- what the session asks (see `FrameTransport` there); `write` is the transport's own
    # -------------------------------

    @property
    def address(self) -> str:
        return self.slot.address

    def buffered_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._is_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if self.is_waiting or self.transport.is_closing():
            return
        if self._has_buffered_input():
            self._wait_for_slice()
        else:
            self.transport.resume_reading()

    def on_authenticated(self, user: str, account: MemoryAccount) -> None:
        incomplete_bytes = self._incomplete_bytes
        self._account_incomplete(0)
        self._account = account
        self.server.read_scheduler.release(self.budget, self)
        self.budget = self.server.read_scheduler.acquire("user", user)
        self._account_incomplete(incomplete_bytes)
        if self.is_waiting:
            self._wait_for_slice()
        self.slot.mark_authenticated()

    def close_gracefully(self, reason: tuple[ErrorCode, str] | None, /) -> None:
        self._is_closing = True
        # Closing while bytes of the peer lie unread would reset the connection, and the peer might never see why it
        # ended. So only our half is closed; what still comes is dropped until the peer has closed its own.
        self.resume_reading()
        half_close(self.transport)

    def abort(self) -> None:
        self.transport.abort()
