"""What all RSocket sessions share: the table, the gate, the clock, one timer, one flush a round of the loop."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tidings.contract.call import Gate
from tidings.contract.codecs import Codec
from tidings.contract.table import Table
from tidings.log import log
from tidings.metrics import Metrics
from tidings.rsocket import UNBOUNDED, Limits
from tidings.rsocket import metadata as wire
from tidings.rsocket.limits import FRAGMENT_BYTES_MIN
from tidings.transports.deadlines import Deadlines
from tidings.transports.deflate import Negotiation
from tidings.transports.read_scheduler import ReadScheduler
from tidings.transports.routes import Routes
from tidings.transports.settings import ConnectionLimits

if TYPE_CHECKING:
    from tidings.transports.rsocket_session import RSocketSession

R = TypeVar("R")

DRAINED_A_ROUND: Final = 32  # sessions in one round of the loop
_REQUEST_HEAD_BYTES: Final = 13  # header, initial n, length of the metadata

# Metadata of any other type says nothing here, so all of those connections share one empty memory.
_METADATA_MIMES: Final = frozenset(
    (wire.COMPOSITE, wire.ROUTING, wire.TEXT_PLAIN, wire.AUTHENTICATION, wire.BEARER_LEGACY)
)


def inbound_limits(limits: Limits, connections: ConnectionLimits) -> Limits:
    """The engine's limits, where nothing is gathered that would be refused as a request when it is whole."""
    payload_bytes = connections.request_bytes_max + connections.metadata_bytes_max
    gathered_bytes = min(limits.reassembly_bytes_max, payload_bytes)
    return replace(
        limits,
        frame_bytes_max=max(FRAGMENT_BYTES_MIN, min(limits.frame_bytes_max, payload_bytes + _REQUEST_HEAD_BYTES)),
        reassembly_bytes_max=gathered_bytes,
        fragments_max=min(limits.fragments_max, gathered_bytes // FRAGMENT_BYTES_MIN + 2),
    )


class RSocketService:
    """The common ground of sessions. Made in the event loop that it serves in."""

    def __init__(
        self,
        table: Table,
        gate: Gate,
        metrics: Metrics,
        limits: Limits,
        connections: ConnectionLimits,
        *,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.table = table
        self.gate = gate
        self.metrics = metrics
        self.limits = inbound_limits(limits, connections)
        self.connections = connections
        self.clock = clock
        self.wall_ms = wall_ms
        self.negotiation = Negotiation(connections.compressed_bytes_min)
        self.reading = ReadScheduler(connections, clock, self.loop.call_soon, self.loop.call_later)
        self.deadlines = Deadlines(self.loop, clock, connections.deadline_tick_seconds)
        self.sessions: dict[RSocketSession, None] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.draining = False
        self._routes: dict[tuple[str, str], Routes] = {}
        self._dirty: list[RSocketSession] = []
        self._emptied: asyncio.Future[None] | None = None
        self._add_probes()

    def routes(self, metadata_mime: str, codec: Codec) -> Routes:
        """Where connections that speak so look their requests up."""
        mime = metadata_mime if metadata_mime in _METADATA_MIMES else ""
        key = (mime, codec.name)
        found = self._routes.get(key)
        if found is None:
            found = self._routes[key] = Routes(self.table, self.metrics, mime, codec, self.connections)
        return found

    def flush_soon(self, session: "RSocketSession") -> None:
        """Write what the session has queued, later in this round of the loop or early in the next; once."""
        if not self._dirty:
            self.loop.call_soon(self._flush)
        self._dirty.append(session)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            try:
                session.flush()
            except Exception:
                log.exception("a session could not be flushed", session=session.id)
                session.abort()

    def start(self, coroutine: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """A task of a session, remembered until it has ended."""
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # --- the end ------------------------------------------------------------------------------------------------

    def forget(self, session: "RSocketSession") -> None:
        """Its transport is gone."""
        self.sessions.pop(session, None)
        if not self.sessions and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def drain(self, seconds: float) -> bool:
        """Refuse what is new, end what would go on for ever, finish the rest; whether all was done in time."""
        self.draining = True
        for number, session in enumerate(list(self.sessions), 1):
            if session in self.sessions:
                session.drain()
            if not number % DRAINED_A_ROUND:
                await asyncio.sleep(0)  # what others asked is answered meanwhile
        return await self._all_done(seconds)

    async def close(self) -> None:
        """End every session now. Peers get a moment to hear of it; then nothing is left."""
        self.draining = True
        for session in list(self.sessions):
            session.stop()
        if not await self._all_gone(self.connections.close_seconds):
            for session in list(self.sessions):
                session.abort()
            await self._all_gone(self.connections.close_seconds)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _all_done(self, seconds: float) -> bool:
        """Whether the sessions are gone in time, and what was asked without an answer is carried out."""
        end = self.loop.time() + seconds
        if not await self._all_gone(seconds):
            return False
        if self.tasks:
            await asyncio.wait(list(self.tasks), timeout=max(0.0, end - self.loop.time()))
        return not self.tasks

    async def _all_gone(self, seconds: float) -> bool:
        if not self.sessions:
            return True
        self._emptied = self.loop.create_future()
        await asyncio.wait([self._emptied], timeout=seconds)
        return not self.sessions

    # --- what it counts -----------------------------------------------------------------------------------------

    def _add_probes(self) -> None:
        probe = self.metrics.probe
        probe("tidings_connections", "RSocket connections now, by transport.", self._by_transport, label="transport")
        probe("tidings_streams_open", "Streams open now, over all connections.", self._streams)
        probe(
            "tidings_credit_outstanding",
            "Items that readers asked for and were not sent yet, over all streams; without those who asked for all.",
            self._credit,
        )
        reading = self.reading
        probe(
            "tidings_read_waits",
            "Turns of reading that ended with bytes left, by whose they were (user, or address before sign-in).",
            lambda: dict(reading.waits),
            label="of",
            grows=True,
        )
        probe(
            "tidings_read_pauses",
            "Times that a user or address had spent its processor time and was not read for a while.",
            lambda: dict(reading.pauses),
            label="of",
            grows=True,
        )
        probe("tidings_read_budgets_overdrawn", "Of which so many now.", reading.overdrawn, label="of")
        probe("tidings_outbound_bytes", "Bytes queued for sockets that are full.", self._outbound_bytes)

    def _by_transport(self) -> dict[str, float]:
        counts = {"websocket": 0.0, "tcp": 0.0}
        for session in self.sessions:
            counts[session.transport_name] += 1
        return counts

    def _streams(self) -> float:
        return sum(len(session.connection.streams) for session in self.sessions)

    def _credit(self) -> float:
        return sum(
            stream.credit
            for session in self.sessions
            for stream in session.connection.streams.values()
            if stream.credit != UNBOUNDED and not stream.sending_closed
        )

    def _outbound_bytes(self) -> float:
        return sum(session.connection.outbound_bytes for session in self.sessions)
