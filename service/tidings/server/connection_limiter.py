"""How many may be here at once, and how many of one address that have not said who they are."""

import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from ipaddress import IPv6Address
from typing import Final

from tidings.log import log
from tidings.metrics.registry import Metrics
from tidings.server.proxies import parse_address
from tidings.server.settings import ConnectionLimits

RESERVED_FILES: Final = 512  # the database, its readers, HTTP clients of ours, and what libraries open


class ConnectionStage(Enum):
    """What a connection of a unauthenticated connection is at."""

    NEW = "a head or a SETUP is awaited"
    PARTIAL = "a part of a head or a SETUP has come"
    HTTP = "an HTTP request is read or answered"
    IDLE = "all HTTP requests are answered"


HTTP_STAGES: Final = (ConnectionStage.HTTP, ConnectionStage.IDLE)


class ConnectionSlot:
    """One connection, from accept to its end. All methods are idempotent.

    `address` is the client's, in the form of `address_key`: that of the socket's peer, until a trusted proxy has
    said whom it speaks for. `on_evict` is called when the connection is to be closed at once in favour of another.
    """

    __slots__ = ("_limiter", "address", "group", "is_released", "on_evict", "stage", "stage_since")

    def __init__(self, limiter: "ConnectionLimiter", address: str) -> None:
        self._limiter = limiter
        self.address = address
        self.stage = ConnectionStage.NEW
        self.on_evict: Callable[[], object] = _no_op
        self.is_released = False
        self.stage_since = 0.0  # on the limiter's clock: when it began what it is at
        self.group: _UnauthenticatedGroup | None = None  # of its address, while it is one of them

    def assign_address(self, address: str) -> bool:
        """It is a client of that address, by a trusted proxy; whether there is room for one more of it."""
        return self._limiter.assign_address(self, address)

    def enter_stage(self, stage: ConnectionStage) -> bool:
        """What it is at now; whether there is room for that."""
        return self._limiter.enter_stage(self, stage)

    def mark_authenticated(self) -> None:
        """It is known who this is."""
        self._limiter.remove_unauthenticated(self)

    def release(self) -> None:
        """The connection is gone."""
        if not self.is_released:
            self.is_released = True
            self.on_evict = _no_op
            self._limiter.remove_unauthenticated(self)
            self._limiter.connection_count -= 1


def _no_op() -> None:
    """A connection that nobody has set up yet has nothing to close."""


class _UnauthenticatedGroup:
    """Connections that have not said who they are, by what they are at, the oldest of each stage first."""

    __slots__ = ("_by_stage",)

    def __init__(self) -> None:
        self._by_stage: dict[ConnectionStage, dict[ConnectionSlot, None]] = {stage: {} for stage in ConnectionStage}

    def __len__(self) -> int:
        return sum(map(len, self._by_stage.values()))

    @property
    def http_count(self) -> int:
        """How many of them speak HTTP."""
        return sum(len(self._by_stage[stage]) for stage in HTTP_STAGES)

    def add(self, slot: ConnectionSlot) -> None:
        self._by_stage[slot.stage][slot] = None

    def remove(self, slot: ConnectionSlot) -> None:
        self._by_stage[slot.stage].pop(slot, None)

    def oldest_evictable(
        self, since_max: float, stages: Iterable[ConnectionStage] = ConnectionStage
    ) -> ConnectionSlot | None:
        """The oldest idle one, else the oldest partial one; else the oldest of these stages that began by `latest`."""
        for stage in (ConnectionStage.IDLE, ConnectionStage.PARTIAL):
            if stage in stages:
                for slot in self._by_stage[stage]:
                    return slot
        oldest = [next(iter(self._by_stage[stage])) for stage in stages if self._by_stage[stage]]
        return min(
            (slot for slot in oldest if slot.stage_since <= since_max), key=lambda slot: slot.stage_since, default=None
        )


class ConnectionLimiter:
    """Counts. A connection that is one too many is closed before anything is read from it.

    Half-open connections cost an attacker nothing. So where all places are taken, a newcomer gets that of the oldest
    idle unauthenticated connection, or else of the oldest one that has sent a part of a head or of a SETUP: clients
    send them whole, so
    the rest is there within a moment, or never comes. A connection that has sent nothing may be that of a client a
    round trip away, so it makes room only when it has had time enough (`evictable_after_seconds`); if none has, the
    newcomer
    is turned away. HTTP has fewer places than there are, so that it never takes those of clients that come to sign in.
    """

    def __init__(self, limits: ConnectionLimits, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections_max = raise_open_files_limit(limits.connections_max)
        self._unauthenticated_max = limits.unauthenticated_connections_per_address_max
        self._http_max = limits.http_connections_per_address_max
        self._evictable_after_seconds = limits.evictable_after_seconds
        self._metrics = metrics
        self._clock = clock
        self._by_address: dict[str, _UnauthenticatedGroup] = {}
        self._unauthenticated = _UnauthenticatedGroup()
        self.connection_count = 0

    def acquire(self, peer: object, *, is_proxy: bool = False) -> ConnectionSlot | None:
        """A place for a new connection from a socket's peer name, or None: close it.

        One of a trusted proxy counts for no address until it is known whom it speaks for
        (`ConnectionSlot.assign_address`).
        """
        if self.connection_count >= self._connections_max and not self._evict(self._unauthenticated):
            self._metrics.connections_refused["connections_max"] += 1
            return None
        slot = ConnectionSlot(self, address_key(peer))
        if not is_proxy and not self._add(slot):
            return None
        self.connection_count += 1
        return slot

    def assign_address(self, slot: ConnectionSlot, address: str) -> bool:
        """See `ConnectionSlot.assign_address`."""
        slot.address = address_key((address, 0))
        return slot.is_released or slot.group is not None or self._add(slot)

    def _add(self, slot: ConnectionSlot) -> bool:
        """Count it among the unauthenticated connections of its address; whether there is room."""
        group = self._by_address.get(slot.address)
        if group is not None and len(group) >= self._unauthenticated_max and not self._evict(group):
            self._metrics.connections_refused["unauthenticated_connections_per_address_max"] += 1
            return False
        slot.stage_since = self._clock()
        slot.group = self._by_address.setdefault(slot.address, _UnauthenticatedGroup())
        slot.group.add(slot)
        self._unauthenticated.add(slot)
        return True

    def _evict(self, group: _UnauthenticatedGroup, stages: Iterable[ConnectionStage] = ConnectionStage) -> bool:
        """Make room among them; whether there is some now."""
        slot = group.oldest_evictable(self._clock() - self._evictable_after_seconds, stages)
        if slot is None:
            return False
        self._metrics.connections_refused["evicted"] += 1
        on_evict = slot.on_evict
        slot.release()
        on_evict()
        return True

    def enter_stage(self, slot: ConnectionSlot, stage: ConnectionStage) -> bool:
        """See `ConnectionSlot.enter_stage`."""
        if slot.group is None:
            return True
        becomes_http = stage in HTTP_STAGES and slot.stage not in HTTP_STAGES
        if becomes_http and slot.group.http_count >= self._http_max and not self._evict(slot.group, HTTP_STAGES):
            self._metrics.connections_refused["http_connections_per_address_max"] += 1
            return False
        for group in (slot.group, self._unauthenticated):
            group.remove(slot)
        slot.stage, slot.stage_since = stage, self._clock()
        for group in (slot.group, self._unauthenticated):
            group.add(slot)
        return True

    def remove_unauthenticated(self, slot: ConnectionSlot) -> None:
        """One unauthenticated connection fewer."""
        group, slot.group = slot.group, None
        if group is not None:
            group.remove(slot)
            self._unauthenticated.remove(slot)
            if not group:
                del self._by_address[slot.address]


def raise_open_files_limit(requested: int) -> int:
    """How many connections the system lets this process have, `wanted` at most; asks it for more if it must.

    One file too many and accept fails for everybody, so it is better to turn people away before that.
    """
    if sys.platform == "win32":
        return requested
    import resource

    needed = requested + RESERVED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return requested
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    except (OSError, ValueError):
        limit = soft
    possible = max(1, min(requested, limit - RESERVED_FILES))
    if possible < requested:
        log.warning("fewer connections are possible than connections_max", possible=possible, open_files_max=limit)
    return possible


def address_key(peer: object) -> str:
    """What one customer of a network has for himself: an IPv4 address, or the first 64 bits of an IPv6 one."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    address = parse_address(host)
    if address is None:
        return host
    return address.exploded[:19] if isinstance(address, IPv6Address) else str(address)
