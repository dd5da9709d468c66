"""Keepalive: one timer per connection, the same on both ends.

A client must send KEEPALIVE at the interval of its SETUP. A server may, and ours does, at the same interval: browsers
slow down the timers of background tabs, and a resumed rsocket-js 1.0-alpha never sends one again, but every client
replies to ours. Clients count only KEEPALIVE frames as a sign of life, so replies are immediate and leave before
anything else; we count any frame.
"""

from struct import Struct
from typing import Final

from tidings.protocols.rsocket.codec import TransportHeader
from tidings.protocols.rsocket.frames import FLAG_BITS, RESPOND, FrameType
from tidings.protocols.rsocket.limits import Limits
from tidings.protocols.rsocket.rate import FixedWindowLimiter

_KEEPALIVE: Final = FrameType.KEEPALIVE << FLAG_BITS
_HEADER_POSITION: Final = Struct(">IHQ")


def keepalive_frame(data: bytes, transport_header: TransportHeader, *, respond: bool, position: int = 0) -> bytes:
    """KEEPALIVE. `position` is 0 while the connection is not resumable."""
    type_and_flags = _KEEPALIVE | RESPOND if respond else _KEEPALIVE
    return transport_header(14 + len(data)) + _HEADER_POSITION.pack(0, type_and_flags, position) + data


class Keepalive:
    """When to send the next one, and how long the peer may be silent. Seconds, on the caller's clock."""

    __slots__ = ("_echo_limiter", "_interval_seconds", "lifetime_seconds", "next_send_at")

    def __init__(self, keepalive_ms: int, lifetime_ms: int, limits: Limits, now: float, *, server: bool) -> None:
        interval, lifetime = keepalive_ms / 1000, lifetime_ms / 1000
        if server:
            # The client's interval and lifetime, within our limits.
            interval = min(max(interval, limits.keepalive_seconds_min), limits.keepalive_seconds_max)
            lifetime = min(lifetime, limits.lifetime_seconds_max)
        self._interval_seconds = interval
        self.next_send_at = now + interval
        self.lifetime_seconds = lifetime
        self._echo_limiter = FixedWindowLimiter(limits.keepalives_per_second_max)

    def is_due(self, now: float) -> bool:
        """Whether one must be sent now; if so, the next is due one interval after `now`."""
        if now < self.next_send_at:
            return False
        self.next_send_at = now + self._interval_seconds
        return True

    def may_echo(self, now: float) -> bool:
        """Whether one more reply is allowed in this second."""
        return self._echo_limiter.acquire(now)
