"""What stands behind a port: one protocol per connection, until it is known whose it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from tidings.log import log
from tidings.metrics.registry import Metrics
from tidings.server.connection_limiter import ConnectionLimiter, ConnectionSlot, ConnectionStage
from tidings.server.origins import check_origin, loggable_origin
from tidings.server.proxies import TrustedProxies
from tidings.server.request_head import HEAD_END, HttpError, RequestHead, head_too_long, parse_request_head
from tidings.server.settings import ListenerSettings
from tidings.server.sockets import TLS_HANDSHAKE_PREFIX, half_close, peer_host
from tidings.server.timer_wheel import TimerWheel

# How RSocket over TCP begins: the length of a SETUP below 65,536 bytes. No request of HTTP begins so.
RSOCKET_TCP_PREFIX: Final = b"\0"

TOO_MANY_CONNECTIONS: Final = HttpError(
    503,
    "too many connections of this address have not signed in (unauthenticated_connections_per_address_max, or for HTTP "
    "http_connections_per_address_max); close some, or try again in a moment",
    {"Retry-After": "1"},
)


# A WebSocket handshake → the response, and what makes the protocol that follows. Raises HttpError.
AcceptWebSocket: TypeAlias = Callable[[RequestHead], tuple[bytes, Callable[[ConnectionSlot], asyncio.Protocol]]]


@dataclass(frozen=True, slots=True)
class AcceptContext:
    """What a connection may be handed on to, and what the ports share.

    `make_tcp_protocol` and `accept_websocket` are a transport's; `http_factory` makes a protocol of aiohttp's, once
    that is loaded.
    """

    settings: ListenerSettings
    proxies: TrustedProxies
    connection_limiter: ConnectionLimiter
    metrics: Metrics
    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    timer_wheel: TimerWheel
    make_tcp_protocol: Callable[[ConnectionSlot], asyncio.Protocol]
    accept_websocket: AcceptWebSocket
    http_factory: asyncio.Future[Callable[[], asyncio.Protocol]]

    def acquire_slot(self, peername: object) -> ConnectionSlot | None:
        """A place for a new connection that may be a proxy's, or None: close it."""
        return self.connection_limiter.acquire(peername, is_proxy=self.proxies.is_trusted(peer_host(peername)))


class TcpPortProtocol(asyncio.Protocol):
    """A connection to the TCP port: it is RSocket's if there is room for it, or it has a place already (`slot`)."""

    __slots__ = ("_context", "_slot")

    def __init__(self, context: AcceptContext, slot: ConnectionSlot | None = None) -> None:
        self._context = context
        self._slot = slot

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        transport = cast(asyncio.Transport, transport)
        slot = self._slot or self._context.connection_limiter.acquire(transport.get_extra_info("peername"))
        if slot is None or slot.is_released:
            transport.abort()
            return
        protocol = self._context.make_tcp_protocol(slot)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class HttpPortProtocol(asyncio.Protocol):
    """A connection to the HTTP port.

    It reads the head of the first request. If that asks for our WebSocket, the transport becomes the WebSocket's own
    and the port protocol is done. Else it stays, and passes everything on to aiohttp; so a client that asks for a
    WebSocket
    later, on a connection it has used for something else (aiohttp's client does, and proxies that keep connections),
    can still get one: then everything is passed on to that.

    Whatever the connection is at, there is a moment at which it must be done with it (`_set_timeout`). What speaks
    HTTP says what that is: `on_request`, `on_idle`, `on_head_started`.
    """

    __slots__ = (
        "_context",
        "_data",
        "_delegates",
        "_discarded_bytes",
        "_is_discarding",
        "_is_proxy",
        "_peer",
        "_slot",
        "_timeout_handler",
        "_transport",
        "closed",
        "timer_slot",
    )

    def __init__(self, context: AcceptContext, slot: ConnectionSlot | None = None) -> None:
        self._context = context
        self._data = bytearray()
        self._delegates: list[asyncio.Protocol] = []  # the last one hears what comes; all hear of the end
        self._is_discarding = False  # the last answer is decided on, so nothing more is read
        self._discarded_bytes = 0
        self._peer = ""  # the socket's other end: the client, or a proxy
        self._is_proxy = False  # a trusted one
        self._slot = slot  # it has a place already, or takes one when it is made
        self._timeout_handler: Callable[[HttpPortProtocol], None] = (
            HttpPortProtocol._on_head_timeout
        )  # what is done when it lasts too long
        self._transport: asyncio.Transport
        self.closed: asyncio.Future[None] | None = None
        self.timer_slot = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        self._peer = peer_host(peername)
        self._is_proxy = self._context.proxies.is_trusted(self._peer)
        self._slot = self._slot or self._context.acquire_slot(peername)
        if self._slot is None or self._slot.is_released:
            self._transport.abort()
            return
        self._slot.on_evict = self._transport.abort
        self._set_timeout(self._context.settings.connections.http_head_seconds, HttpPortProtocol._on_head_timeout)

    # --- time ---------------------------------------------------------------------------------------------------

    def _set_timeout(self, seconds: float, handler: "Callable[[HttpPortProtocol], None]") -> None:
        """So much time, after which `late` is called: a function, since a bound method would be a cycle."""
        self._timeout_handler = handler
        self._context.timer_wheel.schedule(self, self._context.clock() + seconds)

    def on_timeout(self, now: float) -> None:
        """The time is over."""
        self._timeout_handler(self)

    def _on_head_timeout(self) -> None:
        self._reject(HttpError(408, "the head of the request did not come in time"))

    def _on_http_load_timeout(self) -> None:
        self._context.http_factory.remove_done_callback(self._on_http_loaded)
        self._transport.resume_reading()
        self._reject(HttpError(503, "HTTP is still being loaded; try again in a moment"))

    def _close(self) -> None:
        self._transport.close()
        self._set_timeout(
            self._context.settings.connections.close_seconds, HttpPortProtocol._abort
        )  # of a peer that takes nothing

    def _abort(self) -> None:
        self._transport.abort()

    def on_head_started(self) -> None:
        """What speaks HTTP has a part of a head."""
        if self._slot is not None:
            self._slot.enter_stage(ConnectionStage.HTTP)
            self._set_timeout(self._context.settings.connections.http_head_seconds, HttpPortProtocol._on_head_timeout)

    def reject_head(self, bytes_max: int) -> None:
        """The head that began is longer than it may be."""
        self._reject(head_too_long(b"", bytes_max))

    def on_request(self) -> None:
        """What speaks HTTP has a request to answer, the next one."""
        if self._slot is not None:
            self._slot.enter_stage(ConnectionStage.HTTP)
            self._set_timeout(self._context.settings.connections.http_response_seconds, HttpPortProtocol._abort)

    def on_idle(self) -> None:
        """What speaks HTTP has answered all there was."""
        if self._slot is not None:
            self._slot.enter_stage(ConnectionStage.IDLE)
            limits = self._context.settings.connections
            self._set_timeout(
                limits.http_proxy_idle_seconds if self._is_proxy else limits.http_idle_seconds, HttpPortProtocol._close
            )

    def discard_input(self) -> None:
        """Nothing is answered but what was read already: what still comes is counted and dropped."""
        self._is_discarding = True

    # --- the first head -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        if self._is_discarding:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > self._context.settings.connections.discarded_bytes_max:
                self._transport.abort()
            return
        if self._delegates:
            self._delegates[-1].data_received(data)
            return
        if not self._data and data.startswith(TLS_HANDSHAKE_PREFIX):
            # What is no TLS is an answer as well, and ends the client's waiting for one.
            self._reject(HttpError(400, "this port has no TLS; write ws:// or http:// instead of wss:// or https://"))
            return
        if not self._data and data.startswith(RSOCKET_TCP_PREFIX):
            self._reject(
                HttpError(400, "this port has HTTP and WebSocket; RSocket over TCP has a port of its own (tcp.port)")
            )
            return
        begin = max(0, len(self._data) - len(HEAD_END) + 1)
        self._data += data
        end = self._data.find(HEAD_END, begin) + len(HEAD_END)
        head_bytes_max = self._context.settings.connections.http_head_bytes_max
        if end < len(HEAD_END) and len(self._data) <= head_bytes_max:
            self._enter_stage(ConnectionStage.PARTIAL)
            return
        if end < len(HEAD_END) or end > head_bytes_max:
            self._reject(head_too_long(self._data[:head_bytes_max], head_bytes_max))
            return
        head = parse_request_head(bytes(self._data[:end]))
        if head is not None and head.path == self._context.settings.http.path and head.is_websocket_upgrade():
            try:
                protocol = self._accept_websocket(head)
            except HttpError as error:
                self._reject(error, head)
                return
            self._enter_stage(ConnectionStage.NEW)  # a SETUP is awaited
            self._transport.set_protocol(protocol)
            rest = bytes(self._data[end:])
            self._data.clear()
            if rest:
                protocol.data_received(rest)
        elif self._context.http_factory.done():
            self._delegate_to_http(self._context.http_factory)
        else:
            # Paused, so that nothing more gathers here than was read with the head; a peer that leaves is not noticed.
            self._transport.pause_reading()
            self._set_timeout(
                self._context.settings.connections.http_head_seconds, HttpPortProtocol._on_http_load_timeout
            )
            self._context.http_factory.add_done_callback(self._on_http_loaded)

    def _enter_stage(self, stage: ConnectionStage) -> None:
        """It is at this now, and for how long is counted from where it came to it."""
        if self._slot is not None and self._slot.stage is not stage:
            self._slot.enter_stage(stage)

    def _on_http_loaded(self, http: asyncio.Future[Callable[[], asyncio.Protocol]]) -> None:
        if self._transport.is_closing():
            return  # the connection was lost in the same round
        self._transport.resume_reading()
        self._delegate_to_http(http)

    def _delegate_to_http(self, http: asyncio.Future[Callable[[], asyncio.Protocol]]) -> None:
        """Hand what has come on to aiohttp, and all that will."""
        if http.cancelled():
            self._reject(HttpError(503, "there is no HTTP here now; try again, or see what the service's log says"))
            return
        if self._slot is not None and not self._slot.enter_stage(ConnectionStage.HTTP):
            self._reject(TOO_MANY_CONNECTIONS)
            return
        protocol = http.result()()
        self.on_request()
        protocol.connection_made(self._transport)
        self._delegates.append(protocol)
        data = bytes(self._data)
        self._data.clear()
        protocol.data_received(data)

    def _accept_websocket(self, head: RequestHead) -> asyncio.Protocol:
        """Agree to the upgrade. Raises Refusal."""
        context = self._context
        try:
            if head.method != "GET":
                raise HttpError(405, "a WebSocket handshake is a GET", {"Allow": "GET"})
            check_origin(head.get("origin"), head.get("host"), context.settings)
            response, make_protocol = context.accept_websocket(head)
        except HttpError as error:
            context.metrics.connections_refused["origin" if error.status == 403 else "handshake"] += 1
            if error.status == 403:
                log.warn_once_per_minute(
                    "a web page may not connect: its origin is not in http.origins",
                    loggable_origin(head.get("origin") or ""),
                    client=self._slot.address if self._slot is not None else "",
                )
            raise
        assert self._slot is not None
        if self._is_proxy and not self._slot.assign_address(head.client_address(self._peer, context.proxies)):
            raise TOO_MANY_CONNECTIONS
        self._slot.enter_stage(ConnectionStage.NEW)
        context.timer_wheel.schedule(self, None)
        protocol = make_protocol(self._slot)
        self._slot = None
        protocol.connection_made(self._transport)
        self._transport.write(response)
        return protocol

    def upgrade(self, head: RequestHead) -> asyncio.Protocol:
        """Become a WebSocket after all: everything goes to the protocol returned. Raises Refusal."""
        protocol = self._accept_websocket(head)
        self._delegates.append(protocol)
        self.closed = self._context.loop.create_future()
        return protocol

    def _reject(self, error: HttpError, head: RequestHead | None = None) -> None:
        context = self._context
        context.metrics.http_responses[str(error.status)] += 1
        self._data.clear()
        self.discard_input()
        self._transport.write(error.to_response(head))
        # What the peer still sends is read and dropped for a moment: a connection closed over unread bytes is reset,
        # and the reset can overtake the answer.
        half_close(self._transport)
        self._set_timeout(context.settings.connections.close_seconds, HttpPortProtocol._abort)

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        if self._delegates:
            self._delegates[-1].pause_writing()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        if self._delegates:
            self._delegates[-1].resume_writing()

    def eof_received(self) -> bool | None:
        """The peer has closed its half."""
        return self._delegates[-1].eof_received() if self._delegates else None

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._context.timer_wheel.schedule(self, None)
        self._context.http_factory.remove_done_callback(self._on_http_loaded)
        slot, self._slot = self._slot, None  # what is still being answered asks for no more time
        if slot is not None:
            slot.release()
        for protocol in self._delegates:
            protocol.connection_lost(exc)
        self._delegates.clear()  # they refer to this as well
        if self.closed is not None and not self.closed.done():
            self.closed.set_result(None)
