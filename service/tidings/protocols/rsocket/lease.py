"""Leases: so many requests within so many milliseconds. Both sides of a connection may have to hold one.

`Lease` is the number itself, the same whether we gave it or got it. A side that gave one refuses what goes beyond;
a side that got one keeps the requests that do not fit in `PendingRequests`, bounded, and sends them when the next LEASE
comes. (The protocol knows no time limit for that, so neither do we; the caller may cancel a waiting stream.)
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from tidings.protocols.rsocket.codec import TransportHeader
from tidings.protocols.rsocket.errors import LocalProtocolError
from tidings.protocols.rsocket.frames import FLAG_BITS, FrameType
from tidings.protocols.rsocket.limits import Limits

_HEADER_LEASE: Final = Struct(">IHII")


def lease_frame(ttl_ms: int, requests: int, transport_header: TransportHeader) -> bytes:
    """LEASE: `requests` requests within `ttl_ms`, counted from reception."""
    return transport_header(14) + _HEADER_LEASE.pack(0, FrameType.LEASE << FLAG_BITS, ttl_ms, requests)


class Lease:
    """None left until the first one comes; the last one replaces the others; expired means none left."""

    __slots__ = ("expires_at", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.expires_at = float("-inf")

    def replace(self, ttl_ms: int, requests: int, now: float) -> None:
        self.requests = requests
        self.expires_at = now + ttl_ms / 1000

    def deadline(self) -> float:
        """When what is left expires."""
        return self.expires_at if self.requests else float("inf")

    def expire(self, now: float) -> None:
        if now >= self.expires_at:
            self.requests = 0

    def acquire(self, now: float) -> bool:
        """Use one. A fragmented request takes one, with its first fragment."""
        if self.requests <= 0 or now >= self.expires_at:
            return False
        self.requests -= 1
        return True


class PendingRequests:
    """Requests that have no lease yet, oldest first, as the frames they will be."""

    __slots__ = ("_frames", "_limits", "held_bytes")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._frames: dict[int, list[bytes]] = {}
        self.held_bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, stream_id: int) -> bool:
        return stream_id in self._frames

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def add(self, stream_id: int, frames: list[bytes]) -> None:
        """Keep a request. LocalProtocolError when there is no room: refused here, nothing was sent."""
        size = sum(map(len, frames))
        if len(self._frames) >= self._limits.lease_pending_requests_max:
            raise LocalProtocolError(f"{len(self._frames)} requests wait for a lease already")
        if self.held_bytes + size > self._limits.lease_pending_bytes_max:
            raise LocalProtocolError(f"requests of {self.held_bytes} bytes wait for a lease already")
        self._frames[stream_id] = frames
        self.held_bytes += size

    def append(self, stream_id: int, frame: bytes) -> None:
        """A later frame of a request that waits: REQUEST_N, or the end of a channel's half. A few bytes each."""
        self._frames[stream_id].append(frame)
        self.held_bytes += len(frame)

    def pop(self, stream_id: int) -> list[bytes]:
        frames = self._frames.pop(stream_id, [])
        self.held_bytes -= sum(map(len, frames))
        return frames

    def clear(self) -> None:
        self._frames.clear()
        self.held_bytes = 0
