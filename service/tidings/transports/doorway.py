"""What stands behind a port: one protocol per connection, until it is known whose it is."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from tidings.log import log
from tidings.transports.doorkeeper import Doorkeeper, Stage, Visit
from tidings.transports.head import END, Head, Refusal, read_head, too_long
from tidings.transports.proxies import TrustedProxies
from tidings.transports.rsocket_service import RSocketService
from tidings.transports.rsocket_tcp import TLS_HELLO, RSocketTcp
from tidings.transports.rsocket_wire import half_close
from tidings.transports.rsocket_ws import RSocketWebSocket, accept
from tidings.transports.settings import ListenerSettings, host_of, is_loopback

# How RSocket over TCP begins: the length of a SETUP below 65,536 bytes. No request of HTTP begins so.
RSOCKET_LENGTH: Final = b"\0"
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]{1,30}://(?:\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z._-]{1,253})(?::[0-9]{1,5})?"
)

TOO_MANY: Final = Refusal(
    503,
    "too many connections of this address have not signed in (strangers_per_address_max, or for HTTP "
    "http_connections_per_address_max); close some, or try again in a moment",
    {"Retry-After": "1"},
)


@dataclass(frozen=True, slots=True)
class Reception:
    """What a connection may be handed on to. `http` makes a protocol of aiohttp's, once that is there (`late_http`)."""

    settings: ListenerSettings
    proxies: TrustedProxies
    doorkeeper: Doorkeeper
    service: RSocketService
    http: asyncio.Future[Callable[[], asyncio.Protocol]]

    def enter(self, peername: object) -> Visit | None:
        """A place for a new connection that may be a proxy's, or None: close it."""
        return self.doorkeeper.enter(peername, proxy=self.proxies.trust(peer_host(peername)))


def peer_host(peername: object) -> str:
    """The address in a socket's peer name; "" where there is none."""
    return str(peername[0]) if isinstance(peername, tuple) else ""


class TcpDoorway(asyncio.Protocol):
    """A connection to the TCP port: it is RSocket's if there is room for it, or it has a place already (`visit`)."""

    __slots__ = ("_reception", "_visit")

    def __init__(self, reception: Reception, visit: Visit | None = None) -> None:
        self._reception = reception
        self._visit = visit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        transport = cast(asyncio.Transport, transport)
        visit = self._visit or self._reception.doorkeeper.enter(transport.get_extra_info("peername"))
        if visit is None or visit.over:
            transport.abort()
            return
        protocol = RSocketTcp(self._reception.service, visit)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


class Doorway(asyncio.Protocol):
    """A connection to the HTTP port.

    It reads the head of the first request. If that asks for our WebSocket, the transport becomes the WebSocket's own
    and the doorway is done. Else it stays, and passes everything on to aiohttp; so a client that asks for a WebSocket
    later, on a connection it has used for something else (aiohttp's client does, and proxies that keep connections),
    can still get one: then everything is passed on to that.

    Whatever the connection is at, there is a moment at which it must be done with it (`_give`). What speaks HTTP says
    what that is: `asks`, `rests`, `begins`.
    """

    __slots__ = (
        "_data",
        "_dropped_bytes",
        "_drops_input",
        "_late",
        "_next",
        "_peer",
        "_proxy",
        "_reception",
        "_transport",
        "_visit",
        "ended",
        "slot",
    )

    def __init__(self, reception: Reception, visit: Visit | None = None) -> None:
        self._reception = reception
        self._data = bytearray()
        self._next: list[asyncio.Protocol] = []  # the last one hears what comes; all hear of the end
        self._drops_input = False  # the last answer is decided on, so nothing more is read
        self._dropped_bytes = 0
        self._peer = ""  # the socket's other end: the client, or a proxy
        self._proxy = False  # a trusted one
        self._visit = visit  # it has a place already, or takes one when it is made
        self._late: Callable[[Doorway], None] = Doorway._head_is_late  # what is done when it lasts too long
        self._transport: asyncio.Transport
        self.ended: asyncio.Future[None] | None = None
        self.slot = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted by the kernel."""
        self._transport = cast(asyncio.Transport, transport)
        peername = transport.get_extra_info("peername")
        self._peer = peer_host(peername)
        self._proxy = self._reception.proxies.trust(self._peer)
        self._visit = self._visit or self._reception.enter(peername)
        if self._visit is None or self._visit.over:
            self._transport.abort()
            return
        self._visit.make_way = self._transport.abort
        self._give(self._reception.settings.connections.head_seconds, Doorway._head_is_late)

    # --- time ---------------------------------------------------------------------------------------------------

    def _give(self, seconds: float, late: "Callable[[Doorway], None]") -> None:
        """So much time, after which `late` is called: a function, since a bound method would be a cycle."""
        service = self._reception.service
        self._late = late
        service.deadlines.put(self, service.clock() + seconds)

    def due(self, now: float) -> None:
        """The time is over."""
        self._late(self)

    def _head_is_late(self) -> None:
        self._refuse(Refusal(408, "the head of the request did not come in time"))

    def _http_is_late(self) -> None:
        self._reception.http.remove_done_callback(self._http_is_there)
        self._transport.resume_reading()
        self._refuse(Refusal(503, "HTTP is still being loaded; try again in a moment"))

    def _hang_up(self) -> None:
        self._transport.close()
        self._give(self._reception.settings.connections.close_seconds, Doorway._abort)  # of a peer that takes nothing

    def _abort(self) -> None:
        self._transport.abort()

    def begins(self) -> None:
        """What speaks HTTP has a part of a head."""
        if self._visit is not None:
            self._visit.at(Stage.HTTP)
            self._give(self._reception.settings.connections.head_seconds, Doorway._head_is_late)

    def refuse_head(self, bytes_max: int) -> None:
        """The head that began is longer than it may be."""
        self._refuse(too_long(b"", bytes_max))

    def asks(self) -> None:
        """What speaks HTTP has a request to answer, the next one."""
        if self._visit is not None:
            self._visit.at(Stage.HTTP)
            self._give(self._reception.settings.connections.answer_seconds, Doorway._abort)

    def rests(self) -> None:
        """What speaks HTTP has answered all there was."""
        if self._visit is not None:
            self._visit.at(Stage.IDLE)
            limits = self._reception.settings.connections
            self._give(limits.proxy_idle_seconds if self._proxy else limits.idle_seconds, Doorway._hang_up)

    def drop_input(self) -> None:
        """Nothing is answered but what was read already: what still comes is counted and dropped."""
        self._drops_input = True

    # --- the first head -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of the socket."""
        if self._drops_input:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > self._reception.settings.connections.closing_bytes_max:
                self._transport.abort()
            return
        if self._next:
            self._next[-1].data_received(data)
            return
        if not self._data and data.startswith(TLS_HELLO):
            # What is no TLS is an answer as well, and ends the client's waiting for one.
            self._refuse(Refusal(400, "this port has no TLS; write ws:// or http:// instead of wss:// or https://"))
            return
        if not self._data and data.startswith(RSOCKET_LENGTH):
            self._refuse(
                Refusal(400, "this port has HTTP and WebSocket; RSocket over TCP has a port of its own (tcp.port)")
            )
            return
        begin = max(0, len(self._data) - len(END) + 1)
        self._data += data
        end = self._data.find(END, begin) + len(END)
        head_bytes_max = self._reception.settings.connections.head_bytes_max
        if end < len(END) and len(self._data) <= head_bytes_max:
            self._at(Stage.PARTIAL)
            return
        if end < len(END) or end > head_bytes_max:
            self._refuse(too_long(self._data[:head_bytes_max], head_bytes_max))
            return
        head = read_head(bytes(self._data[:end]))
        if head is not None and head.path == self._reception.settings.http.path and head.asks_for_websocket():
            try:
                protocol = self._websocket(head)
            except Refusal as refusal:
                self._refuse(refusal, head)
                return
            self._at(Stage.NEW)  # a SETUP is awaited
            self._transport.set_protocol(protocol)
            rest = bytes(self._data[end:])
            self._data.clear()
            if rest:
                protocol.data_received(rest)
        elif self._reception.http.done():
            self._to_http(self._reception.http)
        else:
            # Paused, so that nothing more gathers here than was read with the head; a peer that leaves is not noticed.
            self._transport.pause_reading()
            self._give(self._reception.settings.connections.head_seconds, Doorway._http_is_late)
            self._reception.http.add_done_callback(self._http_is_there)

    def _at(self, stage: Stage) -> None:
        """It is at this now, and for how long is counted from where it came to it."""
        if self._visit is not None and self._visit.stage is not stage:
            self._visit.at(stage)

    def _http_is_there(self, http: asyncio.Future[Callable[[], asyncio.Protocol]]) -> None:
        if self._transport.is_closing():
            return  # the connection was lost in the same round
        self._transport.resume_reading()
        self._to_http(http)

    def _to_http(self, http: asyncio.Future[Callable[[], asyncio.Protocol]]) -> None:
        """Hand what has come on to aiohttp, and all that will."""
        if http.cancelled():
            self._refuse(Refusal(503, "there is no HTTP here now; try again, or see what the service's log says"))
            return
        if self._visit is not None and not self._visit.at(Stage.HTTP):
            self._refuse(TOO_MANY)
            return
        protocol = http.result()()
        self.asks()
        protocol.connection_made(self._transport)
        self._next.append(protocol)
        data = bytes(self._data)
        self._data.clear()
        protocol.data_received(data)

    def _websocket(self, head: Head) -> asyncio.Protocol:
        """Agree to the upgrade. Raises Refusal."""
        reception = self._reception
        try:
            if head.method != "GET":
                raise Refusal(405, "a WebSocket handshake is a GET", {"Allow": "GET"})
            check_origin(head.one("origin"), head.one("host"), reception.settings)
            agreement = reception.service.negotiation.agree(head.items("sec-websocket-extensions"))
            response = accept(head, agreement)
        except Refusal as refusal:
            reception.service.metrics.refused["origin" if refusal.status == 403 else "handshake"] += 1
            if refusal.status == 403:
                log.once_a_minute(
                    "a web page may not connect: its origin is not in http.origins",
                    origin_shown(head.one("origin") or ""),
                    client=self._visit.address if self._visit is not None else "",
                )
            raise
        assert self._visit is not None
        if self._proxy and not self._visit.of(head.client(self._peer, reception.proxies)):
            raise TOO_MANY
        self._visit.at(Stage.NEW)
        reception.service.deadlines.put(self, None)
        protocol = RSocketWebSocket(reception.service, self._visit, agreement)
        self._visit = None
        protocol.connection_made(self._transport)
        self._transport.write(response)
        return protocol

    def upgrade(self, head: Head) -> asyncio.Protocol:
        """Become a WebSocket after all: everything goes to the protocol returned. Raises Refusal."""
        protocol = self._websocket(head)
        self._next.append(protocol)
        self.ended = self._reception.service.loop.create_future()
        return protocol

    def _refuse(self, refusal: Refusal, head: Head | None = None) -> None:
        service = self._reception.service
        service.metrics.http_responses[str(refusal.status)] += 1
        self._data.clear()
        self.drop_input()
        self._transport.write(refusal.response(head))
        # What the peer still sends is read and dropped for a moment: a connection closed over unread bytes is reset,
        # and the reset can overtake the answer.
        half_close(self._transport)
        self._give(service.connections.close_seconds, Doorway._abort)

    def pause_writing(self) -> None:
        """The transport holds more than its mark."""
        if self._next:
            self._next[-1].pause_writing()

    def resume_writing(self) -> None:
        """The transport holds little again."""
        if self._next:
            self._next[-1].resume_writing()

    def eof_received(self) -> bool | None:
        """The peer has closed its half."""
        return self._next[-1].eof_received() if self._next else None

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._reception.service.deadlines.put(self, None)
        self._reception.http.remove_done_callback(self._http_is_there)
        visit, self._visit = self._visit, None  # what is still being answered asks for no more time
        if visit is not None:
            visit.ended()
        for protocol in self._next:
            protocol.connection_lost(exc)
        self._next.clear()  # they refer to this as well
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)


def origin_shown(origin: str) -> str:
    """An origin as the log tells it; what is none is not told."""
    return origin if origin == "null" or _ORIGIN.fullmatch(origin) else "(no origin)"


def check_origin(origin: str | None, host: str | None, settings: ListenerSettings) -> None:
    """Refusal(403) for a web page that may not connect.

    Programs send no Origin. A page's must be in the list, letter for letter, or be the `host` that was asked for: then
    it is the page that this service serves at /. In development, where a name is enough, that would let in names that
    an attacker points at this machine; pages of this machine are let in instead. `null` (a file, a sandboxed frame) is
    nobody.
    """
    if origin is None or origin in settings.http.origins:
        return
    scheme, separator, authority = origin.partition("://")
    if separator and scheme in {"http", "https"}:
        own = authority.lower() == (host or "").lower() and authority != ""
        if is_loopback(host_of(authority)) if settings.dev else own:
            return
    raise Refusal(403, f"pages of {ascii(origin[:200])[1:-1]} may not connect; add the origin to http.origins")
