"""Who is still there: one timer per connection, the same on both ends.

A client sends KEEPALIVE at the interval of its SETUP, and must. A server may, and does, at the same interval: browsers
stretch the timers of a tab in the background, and a resumed rsocket-js 1.0-alpha never sends one again, but every
client answers ours. Clients count only KEEPALIVE frames as a sign of life, so they are answered at once and leave
before anything else; we count any frame.
"""

from struct import Struct
from typing import Final

from tidings.rsocket.codec import Envelope
from tidings.rsocket.frames import FLAG_BITS, RESPOND, FrameType
from tidings.rsocket.limits import Limits, PerSecond

_KEEPALIVE: Final = FrameType.KEEPALIVE << FLAG_BITS
_HEADER_POSITION: Final = Struct(">IHQ")


def keepalive_frame(data: bytes, envelope: Envelope, *, respond: bool, position: int = 0) -> bytes:
    """KEEPALIVE. `position` is 0 while the connection is not resumable."""
    type_and_flags = _KEEPALIVE | RESPOND if respond else _KEEPALIVE
    return envelope(14 + len(data)) + _HEADER_POSITION.pack(0, type_and_flags, position) + data


class Keepalive:
    """When to send the next one, and how long the peer may be silent. Seconds, on the caller's clock."""

    __slots__ = ("_answers", "_every_seconds", "lifetime_seconds", "next_at")

    def __init__(self, keepalive_ms: int, lifetime_ms: int, limits: Limits, now: float, *, server: bool) -> None:
        every, lifetime = keepalive_ms / 1000, lifetime_ms / 1000
        if server:
            # The client is bound by what it declared; we only by what is good for both.
            every = min(max(every, limits.keepalive_seconds_min), limits.keepalive_seconds_max)
            lifetime = min(lifetime, limits.lifetime_seconds_max)
        self._every_seconds = every
        self.next_at = now + every
        self.lifetime_seconds = lifetime
        self._answers = PerSecond(limits.keepalives_per_second_max)

    def is_due(self, now: float) -> bool:
        """Whether one is to be sent now; if so the next is an interval away, however late this one is."""
        if now < self.next_at:
            return False
        self.next_at = now + self._every_seconds
        return True

    def may_answer(self, now: float) -> bool:
        """Whether one more echo fits in this second."""
        return self._answers.take(now)
