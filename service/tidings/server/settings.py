"""Where the transports listen, and what one of their connections may cost. `tidings.config` fills it in."""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final

from tidings.protocols.rsocket import Limits

# host[:port] (RFC 6454, section 7; RFC 9110, section 7.2): a name or a number, or an IPv6 number in brackets.
AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^][@:/?#\s]+)(?::[0-9]{1,5})?")
LOOPBACK_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether a host (a name or a number, brackets or not) can be nothing but this machine."""
    name = host.strip("[]").lower()
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in LOOPBACK_NAMES


def host_of(authority: str) -> str:
    """The host of `host[:port]` (a Host header, an Origin); "" where it is malformed."""
    parts = AUTHORITY.fullmatch(authority)
    return parts["host"] if parts is not None else ""


def is_unspecified(host: str) -> bool:
    """Whether a host means every address of this machine, which is none that anybody could connect to."""
    try:
        return not host or ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The port that HTTP and RSocket over WebSocket share."""

    host: str = "127.0.0.1"  # beyond loopback only with TLS, or behind a proxy that has it (`tls.terminated_by_proxy`)
    port: int = 7878  # 0 = any free one
    path: str = "/rsocket"  # of the WebSocket
    # Origins of web pages that may connect, whole: https://chat.example.org. Programs send none and are let in; they
    # bring a token, and there are no cookies that a foreign page could use.
    origins: tuple[str, ...] = ()
    # Addresses or networks of proxies in front. Whom a request comes from is read of `forwarded_header` only where
    # the connection comes from one of them; anybody else could write anything there.
    trusted_proxies: tuple[str, ...] = ()
    # Of the two headers, the one that these proxies write: x-forwarded-for, forwarded (RFC 7239). They pass the other
    # one on as the client wrote it, so it is not read.
    forwarded_header: str = "x-forwarded-for"
    metrics_access: str = "loopback"  # who may read /metrics: loopback (clients of this machine), anyone, none


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """The port of RSocket over TCP."""

    enabled: bool = True
    host: str = ""  # empty = as for HTTP
    port: int = 7879  # 0 = any free one


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """Encryption of both ports."""

    certificate: str = ""  # PEM file with the chain; empty = no TLS
    key: str = ""  # PEM file; empty = the key is in the certificate's file
    terminated_by_proxy: bool = False  # a proxy in front encrypts, so plain text beyond loopback is fine


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of the connections themselves, below RSocket."""

    connections_max: int = 18_000  # a process may open about 20,000 sockets; some are needed elsewhere
    # Connections of one address (IPv6: one /64) that have not said who they are. A place is free again as soon as they
    # have, so a whole office behind one address fits, even when it reconnects at once.
    unauthenticated_connections_per_address_max: int = 1_024
    # Of these, connections that speak HTTP, so that they leave room for those that come to sign in. A browser opens
    # six, and the idle ones of an office make room for one another.
    http_connections_per_address_max: int = 256
    # Where all places of an address are taken, the oldest one that has sent a part of a head or a SETUP makes room for
    # the next one; else the oldest that has said nothing for so long: both come within two round trips.
    evictable_after_seconds: float = 1.0
    http_head_bytes_max: int = 8_192  # of an HTTP request; browsers send 1 to 2 KiB
    http_head_seconds: float = 10.0  # for the whole head, and for TLS before it: a slow phone needs one or two
    # An HTTP connection that asks for nothing more. Browsers use one again within seconds; idle ones are the first to
    # make room when an address has too many.
    http_idle_seconds: float = 15.0
    http_proxy_idle_seconds: float = 75.0  # of a trusted proxy: longer than the 60 s of most, so that they close first
    http_response_seconds: float = (
        60.0  # for an HTTP request to be answered and the answer to be taken: 200 KB at 30 kbit/s
    )
    # Events for WebSocket readers who negotiated it; smaller ones gain too little. 0 = compression is never agreed on.
    compression_threshold_bytes: int = 1_024
    # One compressed message of a client, before and after: nobody asks for more than `request_bytes_max`, and a
    # kilobyte may inflate to a thousand times its size.
    inflated_bytes_max: int = 1_048_576
    first_message_bytes_max: int = 65_536  # SETUP with the largest token in use, from somebody unknown
    requests_in_flight_max: int = 1_024  # of one connection, those that wait for something
    # Reading a request takes the loop from everybody else: so much JSON takes 1 to 5 ms, metadata comes at 2 MB/s.
    request_bytes_max: int = 524_288  # a text of 64 KiB in which JSON escapes every character has six times as much
    metadata_bytes_max: int = 65_536  # the largest token in use, eight times
    metadata_entries_max: int = 64  # clients send 1 to 5; also routing tags, and accepted MIME types
    # Of one user over all connections, or of one address before sign-in: frames and payloads that are not complete.
    # 28 of the largest requests at once. A connection holds one read of its socket besides (`receive_buffer_bytes`).
    # Where unauthenticated connections of one address hold more, those with more than an equal part of it are ended.
    incomplete_bytes_max: int = 16_777_216
    discarded_bytes_max: int = 1_048_576  # of a peer that goes on sending after it was told the end; then it is cut off
    # Pings, pongs and empty pieces of messages, of one connection: clients send one in 20 s.
    control_frames_per_second_max: int = 100
    # What is read for one user, over all connections, before the event loop looks at the others (`read_scheduler.py`).
    # An answer takes about three rounds of the loop, so this much more in each is not felt.
    read_slice_ms: float = 2.0
    read_round_ms: float = 4.0  # the same for all together who want more than one turn
    # Processor time of the event loop for what one user sends, over all connections; beyond it reading pauses.
    # 0 = no limit. A person's client takes 1 ms in a second, 1,000 watches that are opened again 200 ms once.
    user_cpu_ms_per_second_max: float = 250.0
    # The same for all connections of one address that are not signed in: 1,000 sign-ins in a second.
    address_cpu_ms_per_second_max: float = 500.0
    cpu_burst_ms_max: float = 2_000.0  # of either, at once: 5,000 sign-ins, or 10,000 watches
    # Requests that wait until a full socket takes answers again; beyond it nothing more is read, not even a keepalive.
    deferred_frames_max: int = 256
    deferred_bytes_max: int = (
        65_536  # the same in bytes, so that a full socket costs no more memory than its buffer does
    )
    lease_requests: int = 65_536  # in a lease, for clients that ask for leases; renewed when half of them are used
    lease_seconds: float = 60.0  # of a lease; renewed when half of them have passed
    write_buffer_bytes: int = 131_072  # above it the socket counts as full: about what a phone takes in a second
    kernel_unsent_bytes: int = (
        131_072  # the same inside the kernel (TCP_NOTSENT_LOWAT), so that keepalives do not queue
    )
    # What the kernel receives ahead of our reading (SO_RCVBUF), and so about what one read brings, which is held while
    # a connection waits for its turn. 900 connections of one address that flood hold 20 MiB instead of 120; over a
    # round trip of 100 ms one connection still sends 300 KB in a second.
    receive_buffer_bytes: int = 32_768
    # A socket that takes nothing for so long is closed. The keepalive usually finds out first; this is for peers
    # that keep sending and do not read.
    write_stall_seconds: float = 60.0
    close_seconds: float = 3.0  # for the peer to take the last words and close its end
    clock_skew_seconds: float = 5.0  # clocks differ; after it nothing more is sent to who has an old token
    timer_tick_seconds: float = 0.1  # how exactly all these are kept
    backlog_connections: int = 4_096  # that wait for accept when everybody comes back at once


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """All of it."""

    dev: bool = False
    http: HttpSettings = field(default_factory=HttpSettings)
    tcp: TcpSettings = field(default_factory=TcpSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    rsocket: Limits = field(default_factory=Limits)

    @property
    def tcp_host(self) -> str:
        """Where RSocket over TCP listens."""
        return self.tcp.host or self.http.host
