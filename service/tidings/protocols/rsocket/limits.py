"""What one connection may cost, in bytes, frames and seconds. Every collection that a peer can grow is here."""

from dataclasses import dataclass
from typing import Final

from tidings.protocols.rsocket.frames import FRAME_BYTES_MAX

FRAGMENT_BYTES_MIN: Final = 64  # rsocket-java refuses smaller ones ("Fragment is too small")


@dataclass(frozen=True, slots=True)
class Limits:
    """One object for many connections. Bytes are of RSocket frames, without the transport's envelope."""

    # Frames and fragments.
    frame_bytes_max: int = FRAME_BYTES_MAX  # what we accept; announced by nobody, so lower it with care
    fragment_bytes: int = 65_536  # what we send at most in one frame: a keepalive waits for 64 KiB, not for 16 MiB
    reassembly_bytes_max: int = FRAME_BYTES_MAX  # one payload in pieces may be as big as one that came whole
    # Payloads of one connection that are not complete, two of the biggest at once; each counts as its bytes and
    # `reassembly.PARTIAL_PAYLOAD_BYTES`. The service sets 4 MiB, seven of the largest requests.
    reassembly_connection_bytes_max: int = 33_554_432
    fragments_max: int = 262_144  # 16 MiB in pieces of 64 bytes; smaller pieces are an attack on the processor

    # Streams and requests.
    streams_max: int = 4_096  # a stream costs ~150 bytes here and a hundred times that in an application
    held_requests_max: int = 128  # frames that may wait behind SETUP; clients pipeline a page's worth, 10 to 30
    held_bytes_max: int = 1_048_576  # not yet authenticated, so a hundredth of what a known client may hold
    lease_pending_requests_max: int = (
        256  # our own requests that wait for the peer's LEASE; the next one is refused here
    )
    lease_pending_bytes_max: int = 4_194_304  # the same in bytes: 16 KiB each on average

    # Time.
    first_frame_seconds: float = (
        10.0  # SETUP comes in the first packet after the handshake; 10 s is a lost-packet storm
    )
    authentication_seconds: float = (
        15.0  # a key fetched over a bad network and one retry; then the client is told to come back
    )
    keepalive_seconds_min: float = 0.1  # a client that declares 1 ms must not make us send 1,000 frames a second
    keepalive_seconds_max: float = 60.0  # ours go out this often however rarely the client wants to send its own
    lifetime_seconds_max: float = 600.0  # a client may declare 24 days; ten unanswered minutes are a dead one

    # Outbound.
    outbound_bytes_pause: int = 262_144  # ~2 ms at 1 Gbit/s: enough to keep the socket busy, little to lose
    outbound_bytes_max: int = (
        67_108_864  # four of the biggest payloads; answers cannot be held back, so there is an end
    )

    # Floods.
    keepalive_data_bytes_max: int = 4_096  # echoed verbatim, so it is our memory; no known client sends any
    keepalive_echoes_queued_max: int = 16  # for a full socket; who reads again needs the news of one
    keepalives_per_second_max: int = 100  # answered; the rest is dropped (a client that sends every 10 ms is a test)
    metadata_push_per_second_max: int = 20  # nothing answers a push, so nothing else slows it down
    # Frames of a client that change nothing: for streams that are over or unknown, of extensions, keepalives and pushes
    # beyond their rates. Frames that crossed with an answer are a few hundred; beyond this the connection ends.
    ignored_frames_per_second_max: int = 10_000
    error_text_bytes_max: int = 4_096  # ERROR cannot be fragmented, and nobody reads longer ones

    def __post_init__(self) -> None:
        if not FRAGMENT_BYTES_MIN <= self.fragment_bytes <= FRAME_BYTES_MAX:
            raise ValueError(
                f"fragment_bytes is {self.fragment_bytes}; it must be {FRAGMENT_BYTES_MIN} to {FRAME_BYTES_MAX}"
            )
        if not FRAGMENT_BYTES_MIN <= self.frame_bytes_max <= FRAME_BYTES_MAX:
            raise ValueError(
                f"frame_bytes_max is {self.frame_bytes_max}; it must be {FRAGMENT_BYTES_MIN} to {FRAME_BYTES_MAX}"
            )


class FixedWindowLimiter:
    """So many a second, counted in whole windows: twice the number can pass at a seam, never more."""

    __slots__ = ("_per_second_max", "_remaining", "_window_start")

    def __init__(self, per_second_max: int) -> None:
        self._per_second_max = per_second_max
        self._remaining = per_second_max
        self._window_start = float("-inf")

    def acquire(self, now: float, count: int = 1) -> bool:
        """Whether one more may pass at `now`; or `count` more, all of them or none."""
        if now - self._window_start >= 1.0:
            self._window_start = now
            self._remaining = self._per_second_max
        if self._remaining < count:
            return False
        self._remaining -= count
        return True
