"""What all RSocket connections share beside the dispatcher: method resolvers, timers, one flush a round of the loop."""

from dataclasses import replace
from typing import Final, Protocol

from tidings.contract.codecs import Codec
from tidings.dispatch.dispatcher import Dispatcher
from tidings.log import log
from tidings.protocols.rsocket import Limits
from tidings.protocols.rsocket import metadata as rsocket_metadata
from tidings.protocols.rsocket.limits import FRAGMENT_BYTES_MIN
from tidings.server.settings import ConnectionLimits
from tidings.server.timer_wheel import TimerWheel
from tidings.transports.rsocket.method_resolver import MethodResolver
from tidings.transports.websocket.deflate import DeflateNegotiator

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


class FlushableConnection(Protocol):
    """What the server asks of a connection."""

    @property
    def id(self) -> str:
        """For the log."""

    def flush(self) -> None:
        """Write what is queued."""

    def abort(self) -> None:
        """Close the transport at once."""


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
    """What RSocket connections share beside the dispatcher. Made in the event loop that it serves in."""

    def __init__(self, dispatcher: Dispatcher, limits: Limits) -> None:
        self.dispatcher = dispatcher
        self.loop = dispatcher.loop
        self.metrics = dispatcher.metrics
        self.connection_limits = dispatcher.limits
        self.limits = inbound_limits(limits, dispatcher.limits)
        self.clock = dispatcher.clock
        self.now_ms = dispatcher.now_ms
        self.read_scheduler = dispatcher.read_scheduler
        self.deflate_negotiator = DeflateNegotiator(dispatcher.limits.compression_threshold_bytes)
        self.timer_wheel = TimerWheel(self.loop, self.clock, dispatcher.limits.timer_tick_seconds)
        self._resolvers: dict[tuple[str, str], MethodResolver] = {}
        self._flush_queue: list[FlushableConnection] = []

    def method_resolver(self, metadata_mime: str, codec: Codec) -> MethodResolver:
        """Where connections that speak so look their requests up."""
        mime = metadata_mime if metadata_mime in _METADATA_MIMES else ""
        key = (mime, codec.name)
        found = self._resolvers.get(key)
        if found is None:
            found = self._resolvers[key] = MethodResolver(
                self.dispatcher.methods, self.metrics, mime, codec, self.connection_limits
            )
        return found

    def schedule_flush(self, connection: FlushableConnection) -> None:
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
