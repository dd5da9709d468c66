"""How many may be here at once, and how many of one address that have not said who they are."""

import sys
from ipaddress import IPv6Address, ip_address
from typing import Final

from tidings.log import log
from tidings.metrics import Metrics
from tidings.transports.settings import ConnectionLimits

OTHER_FILES: Final = 512  # the database, its readers, HTTP clients of ours, and what libraries open


class Visit:
    """One connection, from accept to its end. Both methods are idempotent."""

    __slots__ = ("_doorkeeper", "address", "known", "over")

    def __init__(self, doorkeeper: "Doorkeeper", address: str) -> None:
        self._doorkeeper = doorkeeper
        self.address = address
        self.known = False
        self.over = False

    def admitted(self) -> None:
        """It is known who this is."""
        if not self.known and not self.over:
            self.known = True
            self._doorkeeper.release(self.address)

    def ended(self) -> None:
        """The connection is gone."""
        if not self.over:
            self.admitted()
            self.over = True
            self._doorkeeper.present -= 1


class Doorkeeper:
    """Counts. A connection that is one too many is closed before anything is read from it."""

    def __init__(self, limits: ConnectionLimits, metrics: Metrics) -> None:
        self._connections_max = places(limits.connections_max)
        self._strangers_max = limits.strangers_per_address_max
        self._metrics = metrics
        self._strangers: dict[str, int] = {}
        self.present = 0

    def enter(self, peer: object) -> Visit | None:
        """A place for a new connection from a socket's peer name, or None: close it."""
        address = shared_address(peer)
        strangers = self._strangers.get(address, 0)
        reason = ""
        if self.present >= self._connections_max:
            reason = "connections_max"
        elif strangers >= self._strangers_max:
            reason = "strangers_per_address_max"
        if reason:
            self._metrics.refused[reason] += 1
            return None
        self.present += 1
        self._strangers[address] = strangers + 1
        return Visit(self, address)

    def release(self, address: str) -> None:
        """One stranger fewer."""
        left = self._strangers[address] - 1
        if left:
            self._strangers[address] = left
        else:
            del self._strangers[address]


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
    if ":" not in host:
        return host
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return address.exploded[:19]
    return host
