"""What all RSocket sessions share: the table, the authenticator, the clock, one timer, one flush a round of the
loop."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tidings.contract.codecs import Codec
from tidings.contract.context import Authenticator
from tidings.contract.methods import MethodTable
from tidings.log import log
from tidings.metrics.registry import Metrics
from tidings.protocols.rsocket import UNBOUNDED, Limits
from tidings.protocols.rsocket import metadata as rsocket_metadata
from tidings.protocols.rsocket.limits import FRAGMENT_BYTES_MIN
from tidings.server.read_scheduler import ReadScheduler
from tidings.server.settings import ConnectionLimits
from tidings.server.timer_wheel import TimerWheel
from tidings.transports.rsocket.method_resolver import MethodResolver
from tidings.transports.websocket.deflate import DeflateNegotiator

if TYPE_CHECKING:
    from tidings.transports.rsocket.connection import RSocketServerConnection

R = TypeVar("R")

DRAINED_PER_ROUND: Final = 32  # sessions in one round of the loop
_REQUEST_HEADER_BYTES: Final = 13  # header, initial n, length of the metadata

# Metadata of any other type says nothing here, so all of those connections share one empty memory.
_METADATA_MIMES: Final = frozenset(
    (
        rsocket_metadata.COMPOSITE,
        rsocket_metadata.ROUTING,
        rsocket_metadata.TEXT_PLAIN,
        rsocket_metadata.AUTHENTICATION,
        rsocket_metadata.BEARER_LEGACY,
    )
)


def inbound_limits(limits: Limits, connection_limits: ConnectionLimits) -> Limits:
    """The engine's limits, where nothing is gathered that would be refused as a request when it is whole."""
    payload_bytes = connection_limits.request_bytes_max + connection_limits.metadata_bytes_max
    reassembly_bytes = min(limits.reassembly_bytes_max, payload_bytes)
    return replace(
        limits,
        frame_bytes_max=max(FRAGMENT_BYTES_MIN, min(limits.frame_bytes_max, payload_bytes + _REQUEST_HEADER_BYTES)),
        reassembly_bytes_max=reassembly_bytes,
        fragments_max=min(limits.fragments_max, reassembly_bytes // FRAGMENT_BYTES_MIN + 2),
    )


class RSocketServer:
    """The common ground of sessions. Made in the event loop that it serves in."""

    def __init__(
        self,
        methods: MethodTable,
        authenticator: Authenticator,
        metrics: Metrics,
        limits: Limits,
        connection_limits: ConnectionLimits,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.methods = methods
        self.authenticator = authenticator
        self.metrics = metrics
        self.limits = inbound_limits(limits, connection_limits)
        self.connection_limits = connection_limits
        self.clock = clock
        self.now_ms = now_ms
        self.deflate_negotiator = DeflateNegotiator(connection_limits.compression_threshold_bytes)
        self.read_scheduler = ReadScheduler(connection_limits, clock, self.loop.call_soon, self.loop.call_later)
        self.timer_wheel = TimerWheel(self.loop, clock, connection_limits.timer_tick_seconds)
        self.connections: dict[RSocketServerConnection, None] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.is_draining = False
        self._resolvers: dict[tuple[str, str], MethodResolver] = {}
        self._flush_queue: list[RSocketServerConnection] = []
        self._all_closed: asyncio.Future[None] | None = None
        self._register_metrics()

    def method_resolver(self, metadata_mime: str, codec: Codec) -> MethodResolver:
        """Where connections that speak so look their requests up."""
        mime = metadata_mime if metadata_mime in _METADATA_MIMES else ""
        key = (mime, codec.name)
        found = self._resolvers.get(key)
        if found is None:
            found = self._resolvers[key] = MethodResolver(
                self.methods, self.metrics, mime, codec, self.connection_limits
            )
        return found

    def schedule_flush(self, connection: "RSocketServerConnection") -> None:
        """Write what the session has queued, later in this round of the loop or early in the next; once."""
        if not self._flush_queue:
            self.loop.call_soon(self._flush)
        self._flush_queue.append(connection)

    def _flush(self) -> None:
        queue, self._flush_queue = self._flush_queue, []
        for connection in queue:
            try:
                connection.flush()
            except Exception:
                log.exception("flushing a connection failed", session=connection.id)
                connection.abort()

    def start_task(self, coroutine: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """A task of a session, remembered until it has ended."""
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    # --- the end ------------------------------------------------------------------------------------------------

    def remove(self, connection: "RSocketServerConnection") -> None:
        """Its transport is gone."""
        self.connections.pop(connection, None)
        if not self.connections and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    async def drain(self, seconds: float) -> bool:
        """Refuse what is new, end what would go on for ever, finish the rest; whether all was done in time."""
        self.is_draining = True
        for number, connection in enumerate(list(self.connections), 1):
            if connection in self.connections:
                connection.drain()
            if not number % DRAINED_PER_ROUND:
                await asyncio.sleep(0)  # what others asked is answered meanwhile
        return await self._wait_until_done(seconds)

    async def close(self) -> None:
        """End every session now. Peers get a moment to hear of it; then nothing is left."""
        self.is_draining = True
        for connection in list(self.connections):
            connection.close_now()
        if not await self._wait_until_closed(self.connection_limits.close_seconds):
            for connection in list(self.connections):
                connection.abort()
            await self._wait_until_closed(self.connection_limits.close_seconds)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_until_done(self, seconds: float) -> bool:
        """Whether the sessions are gone in time, and what was asked without an answer is carried out."""
        deadline = self.loop.time() + seconds
        if not await self._wait_until_closed(seconds):
            return False
        if self.tasks:
            await asyncio.wait(list(self.tasks), timeout=max(0.0, deadline - self.loop.time()))
        return not self.tasks

    async def _wait_until_closed(self, seconds: float) -> bool:
        if not self.connections:
            return True
        self._all_closed = self.loop.create_future()
        await asyncio.wait([self._all_closed], timeout=seconds)
        return not self.connections

    # --- what it counts -----------------------------------------------------------------------------------------

    def _register_metrics(self) -> None:
        register = self.metrics.register_callback
        register(
            "tidings_connections", "RSocket connections now, by transport.", self._count_connections, label="transport"
        )
        register("tidings_open_streams", "Streams open now, over all connections.", self._count_streams)
        register(
            "tidings_outstanding_credit",
            "Items that readers asked for and were not sent yet, over all streams; without those who asked for all.",
            self._sum_credit,
        )
        scheduler = self.read_scheduler
        register(
            "tidings_read_preemptions",
            "Turns of reading that ended with bytes left, by whose they were (user, or address before sign-in).",
            lambda: dict(scheduler.preemptions),
            label="scope",
            is_counter=True,
        )
        register(
            "tidings_read_throttles",
            "Times that a user or address had spent its processor time and was not read for a while.",
            lambda: dict(scheduler.throttles),
            label="scope",
            is_counter=True,
        )
        register("tidings_read_overdrawn_budgets", "Of which so many now.", scheduler.count_overdrawn, label="scope")
        register("tidings_outbound_queue_bytes", "Bytes queued for sockets that are full.", self._sum_outbound_bytes)

    def _count_connections(self) -> dict[str, float]:
        counts = {"websocket": 0.0, "tcp": 0.0}
        for connection in self.connections:
            counts[connection.transport_name] += 1
        return counts

    def _count_streams(self) -> float:
        return sum(len(connection.engine.streams) for connection in self.connections)

    def _sum_credit(self) -> float:
        return sum(
            stream.credit
            for connection in self.connections
            for stream in connection.engine.streams.values()
            if stream.credit != UNBOUNDED and not stream.sending_closed
        )

    def _sum_outbound_bytes(self) -> float:
        return sum(connection.engine.outbound_bytes for connection in self.connections)
