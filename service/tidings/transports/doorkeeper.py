"""How many may be here at once, and how many of one address that have not said who they are."""

import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from ipaddress import IPv6Address
from typing import Final

from tidings.log import log
from tidings.metrics import Metrics
from tidings.transports.proxies import read_address
from tidings.transports.settings import ConnectionLimits

OTHER_FILES: Final = 512  # the database, its readers, HTTP clients of ours, and what libraries open


class Stage(Enum):
    """What a connection of a stranger is at."""

    NEW = "a head or a SETUP is awaited"
    PARTIAL = "a part of a head or a SETUP has come"
    HTTP = "an HTTP request is read or answered"
    IDLE = "all HTTP requests are answered"


SPEAKS_HTTP: Final = (Stage.HTTP, Stage.IDLE)


class Visit:
    """One connection, from accept to its end. All methods are idempotent.

    `address` is the client's, in the form of `shared_address`: that of the socket's peer, until a trusted proxy has
    said whom it speaks for. `make_way` is called when the connection is to be closed at once in favour of another.
    """

    __slots__ = ("_doorkeeper", "address", "make_way", "over", "since", "stage", "strangers")

    def __init__(self, doorkeeper: "Doorkeeper", address: str) -> None:
        self._doorkeeper = doorkeeper
        self.address = address
        self.stage = Stage.NEW
        self.make_way: Callable[[], object] = _nothing
        self.over = False
        self.since = 0.0  # on the doorkeeper's clock: when it began what it is at
        self.strangers: _Strangers | None = None  # of its address, while it is one of them

    def of(self, address: str) -> bool:
        """It is a client of that address, by a trusted proxy; whether there is room for one more of it."""
        return self._doorkeeper.assign(self, address)

    def at(self, stage: Stage) -> bool:
        """What it is at now; whether there is room for that."""
        return self._doorkeeper.note(self, stage)

    def admitted(self) -> None:
        """It is known who this is."""
        self._doorkeeper.release(self)

    def ended(self) -> None:
        """The connection is gone."""
        if not self.over:
            self.over = True
            self.make_way = _nothing
            self._doorkeeper.release(self)
            self._doorkeeper.present -= 1


def _nothing() -> None:
    """A connection that nobody has set up yet has nothing to close."""


class _Strangers:
    """Connections that have not said who they are, by what they are at, the oldest of each stage first."""

    __slots__ = ("_by_stage",)

    def __init__(self) -> None:
        self._by_stage: dict[Stage, dict[Visit, None]] = {stage: {} for stage in Stage}

    def __len__(self) -> int:
        return sum(map(len, self._by_stage.values()))

    @property
    def http(self) -> int:
        """How many of them speak HTTP."""
        return sum(len(self._by_stage[stage]) for stage in SPEAKS_HTTP)

    def add(self, visit: Visit) -> None:
        self._by_stage[visit.stage][visit] = None

    def remove(self, visit: Visit) -> None:
        self._by_stage[visit.stage].pop(visit, None)

    def evictable(self, latest: float, stages: Iterable[Stage] = Stage) -> Visit | None:
        """The oldest idle one, else the oldest partial one; else the oldest of these stages that began by `latest`."""
        for stage in (Stage.IDLE, Stage.PARTIAL):
            if stage in stages:
                for visit in self._by_stage[stage]:
                    return visit
        oldest = [next(iter(self._by_stage[stage])) for stage in stages if self._by_stage[stage]]
        return min((visit for visit in oldest if visit.since <= latest), key=lambda visit: visit.since, default=None)


class Doorkeeper:
    """Counts. A connection that is one too many is closed before anything is read from it.

    Half-open connections cost an attacker nothing. So where all places are taken, a newcomer gets that of the oldest
    idle stranger, or else of the oldest one that has sent a part of a head or of a SETUP: clients send them whole, so
    the rest is there within a moment, or never comes. A connection that has sent nothing may be that of a client a
    round trip away, so it makes room only when it has had time enough (`evictable_seconds`); if none has, the newcomer
    is turned away. HTTP has fewer places than there are, so that it never takes those of clients that come to sign in.
    """

    def __init__(self, limits: ConnectionLimits, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections_max = places(limits.connections_max)
        self._strangers_max = limits.strangers_per_address_max
        self._http_max = limits.http_connections_per_address_max
        self._evictable_seconds = limits.evictable_seconds
        self._metrics = metrics
        self._clock = clock
        self._by_address: dict[str, _Strangers] = {}
        self._all = _Strangers()
        self.present = 0

    def enter(self, peer: object, *, proxy: bool = False) -> Visit | None:
        """A place for a new connection from a socket's peer name, or None: close it.

        One of a trusted proxy counts for no address until it is known whom it speaks for (`Visit.of`).
        """
        if self.present >= self._connections_max and not self._evict(self._all):
            self._metrics.refused["connections_max"] += 1
            return None
        visit = Visit(self, shared_address(peer))
        if not proxy and not self._add(visit):
            return None
        self.present += 1
        return visit

    def assign(self, visit: Visit, address: str) -> bool:
        """See `Visit.of`."""
        visit.address = shared_address((address, 0))
        return visit.over or visit.strangers is not None or self._add(visit)

    def _add(self, visit: Visit) -> bool:
        """Count it among the strangers of its address; whether there is room."""
        strangers = self._by_address.get(visit.address)
        if strangers is not None and len(strangers) >= self._strangers_max and not self._evict(strangers):
            self._metrics.refused["strangers_per_address_max"] += 1
            return False
        visit.since = self._clock()
        visit.strangers = self._by_address.setdefault(visit.address, _Strangers())
        visit.strangers.add(visit)
        self._all.add(visit)
        return True

    def _evict(self, strangers: _Strangers, stages: Iterable[Stage] = Stage) -> bool:
        """Make room among them; whether there is some now."""
        visit = strangers.evictable(self._clock() - self._evictable_seconds, stages)
        if visit is None:
            return False
        self._metrics.refused["evicted"] += 1
        make_way = visit.make_way
        visit.ended()
        make_way()
        return True

    def note(self, visit: Visit, stage: Stage) -> bool:
        """See `Visit.at`."""
        if visit.strangers is None:
            return True
        more = stage in SPEAKS_HTTP and visit.stage not in SPEAKS_HTTP
        if more and visit.strangers.http >= self._http_max and not self._evict(visit.strangers, SPEAKS_HTTP):
            self._metrics.refused["http_connections_per_address_max"] += 1
            return False
        for strangers in (visit.strangers, self._all):
            strangers.remove(visit)
        visit.stage, visit.since = stage, self._clock()
        for strangers in (visit.strangers, self._all):
            strangers.add(visit)
        return True

    def release(self, visit: Visit) -> None:
        """One stranger fewer."""
        strangers, visit.strangers = visit.strangers, None
        if strangers is not None:
            strangers.remove(visit)
            self._all.remove(visit)
            if not strangers:
                del self._by_address[visit.address]


def places(wanted: int) -> int:
    """How many connections the system lets this process have, `wanted` at most; asks it for more if it must.

    One file too many and accept fails for everybody, so it is better to turn people away before that.
    """
    if sys.platform == "win32":
        return wanted
    import resource

    needed = wanted + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        most = soft
    possible = max(1, min(wanted, most - OTHER_FILES))
    if possible < wanted:
        log.warning("fewer connections are possible than connections_max", possible=possible, open_files_max=most)
    return possible


def shared_address(peer: object) -> str:
    """What one customer of a network has for himself: an IPv4 address, or the first 64 bits of an IPv6 one."""
    host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    address = read_address(host)
    if address is None:
        return host
    return address.exploded[:19] if isinstance(address, IPv6Address) else str(address)
