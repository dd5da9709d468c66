"""What all client sessions share, whatever transport carries them: the methods, the authenticator, limits, time, tasks.

The dispatcher knows each connection as a `PeerControl` from its first byte to its last (`peers`), so that draining,
closing and the gauges work for every transport alike.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tidings.contract.context import Authenticator, SessionRegistry
from tidings.contract.methods import MethodTable
from tidings.dispatch.limits import DRAINED_PER_ROUND
from tidings.dispatch.peer import PeerControl
from tidings.dispatch.read_scheduler import ReadScheduler
from tidings.metrics.registry import Metrics
from tidings.server.settings import ConnectionLimits

R = TypeVar("R")


class Dispatcher:
    """Made in the event loop that it serves in. `clock`: monotonic seconds; `now_ms`: Unix milliseconds UTC."""

    def __init__(
        self,
        methods: MethodTable,
        authenticator: Authenticator,
        session_registry: SessionRegistry,
        metrics: Metrics,
        limits: ConnectionLimits,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.methods = methods
        self.authenticator = authenticator
        self.session_registry = session_registry
        self.metrics = metrics
        self.limits = limits
        self.clock = clock
        self.now_ms = now_ms
        self.read_scheduler = ReadScheduler(limits, clock, self.loop.call_soon, self.loop.call_later)
        self.peers: dict[PeerControl, None] = {}  # every connection
        self.tasks: set[asyncio.Task[Any]] = set()
        self.is_draining = False
        self._all_closed: asyncio.Future[None] | None = None
        self._register_metrics()

    def start_task(self, coroutine: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """A task of a session, kept until it has ended."""
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def add_peer(self, peer: PeerControl) -> None:
        """A connection was accepted."""
        self.peers[peer] = None

    def remove_peer(self, peer: PeerControl) -> None:
        """Its transport is closed."""
        self.peers.pop(peer, None)
        if not self.peers and self._all_closed is not None and not self._all_closed.done():
            self._all_closed.set_result(None)

    # --- the end ------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> bool:
        """Refuse new sessions, end streams, finish pending requests; whether all was done in time."""
        self.is_draining = True
        for number, peer in enumerate(list(self.peers), 1):
            if peer in self.peers:
                peer.drain()
            if not number % DRAINED_PER_ROUND:
                await asyncio.sleep(0)  # replies to others are written meanwhile
        deadline = self.loop.time() + seconds
        if not await self._wait_until_closed(seconds):
            return False
        if self.tasks:  # FIRE_AND_FORGET requests outlive their connection
            await asyncio.wait(list(self.tasks), timeout=max(0.0, deadline - self.loop.time()))
        return not self.tasks

    async def close(self) -> None:
        """End every connection now. Peers get `close_seconds` to read the reason; then nothing is left."""
        self.is_draining = True
        for peer in list(self.peers):
            peer.close_now()
        if not await self._wait_until_closed(self.limits.close_seconds):
            for peer in list(self.peers):
                peer.abort()
            await self._wait_until_closed(self.limits.close_seconds)
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_until_closed(self, seconds: float) -> bool:
        if not self.peers:
            return True
        self._all_closed = self.loop.create_future()
        await asyncio.wait([self._all_closed], timeout=seconds)
        return not self.peers

    # --- metrics ------------------------------------------------------------------------------------------------

    def _register_metrics(self) -> None:
        register = self.metrics.register_callback
        register("tidings_connections", "Connections now, by transport.", self._count_peers, label="transport")
        register(
            "tidings_open_streams",
            "Streams open now, over all connections.",
            lambda: sum(peer.stream_count() for peer in self.peers),
        )
        register(
            "tidings_outstanding_credit",
            "Items that readers requested and were not sent yet, over all streams; without those who requested all.",
            lambda: sum(peer.outstanding_credit() for peer in self.peers),
        )
        scheduler = self.read_scheduler
        register(
            "tidings_read_preemptions",
            "Read slices that ended with bytes left, by scope (user, or address before sign-in).",
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
        register(
            "tidings_read_overdrawn_budgets",
            "Users or addresses throttled now.",
            scheduler.count_overdrawn,
            label="scope",
        )
        register(
            "tidings_outbound_queue_bytes",
            "Bytes queued for sockets that are full.",
            lambda: sum(peer.outbound_bytes() for peer in self.peers),
        )

    def _count_peers(self) -> dict[str, float]:
        counts = {"websocket": 0.0, "tcp": 0.0}  # shown even while there are none
        for peer in self.peers:
            counts[peer.transport_name] = counts.get(peer.transport_name, 0.0) + 1
        return counts
