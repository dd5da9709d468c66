"""Leases: a number of requests within a number of milliseconds. Both sides of a connection may need one.

`Lease` is the same for a granted and a received one. The side that granted it rejects requests beyond it; the side
that received it holds such requests in `PendingRequests`, which is bounded, and sends them with the next LEASE. (The
protocol has no time limit for that, so there is none here; the caller may cancel a waiting stream.)
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
    """No requests are left before the first LEASE and after expiry; a new one replaces the last."""

    __slots__ = ("expires_at", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.expires_at = float("-inf")

    def replace(self, ttl_ms: int, requests: int, now: float) -> None:
        self.requests = requests
        self.expires_at = now + ttl_ms / 1000

    def deadline(self) -> float:
        """When the remaining requests expire; infinity if none remain."""
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
    """Encoded requests that wait for a lease, oldest first."""

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
        """Hold a request. Raises LocalProtocolError above a limit; nothing was sent."""
        size = sum(map(len, frames))
        if len(self._frames) >= self._limits.lease_pending_requests_max:
            raise LocalProtocolError(
                f"{len(self._frames)} requests wait for a lease (lease_pending_requests_max); wait for some of them"
            )
        if self.held_bytes + size > self._limits.lease_pending_bytes_max:
            raise LocalProtocolError(
                f"requests of {self.held_bytes} bytes wait for a lease (lease_pending_bytes_max); wait for some of them"
            )
        self._frames[stream_id] = frames
        self.held_bytes += size

    def append(self, stream_id: int, frame: bytes) -> None:
        """Add a later frame of a pending request: REQUEST_N, or the end of a channel's half. A few bytes each."""
        self._frames[stream_id].append(frame)
        self.held_bytes += len(frame)

    def pop(self, stream_id: int) -> list[bytes]:
        frames = self._frames.pop(stream_id, [])
        self.held_bytes -= sum(map(len, frames))
        return frames

    def clear(self) -> None:
        self._frames.clear()
        self.held_bytes = 0
