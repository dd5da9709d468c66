"""What one connection may cost, in bytes, frames and seconds. Every collection that a peer can grow is here."""

from dataclasses import dataclass
from typing import Final

from tidings.protocols.rsocket.frames import FRAME_BYTES_MAX

FRAGMENT_BYTES_MIN: Final = 64  # rsocket-java refuses smaller ones ("Fragment is too small")


@dataclass(frozen=True, slots=True)
class Limits:
    """One object for many connections. Bytes are of RSocket frames, without the transport's envelope."""

    # Frames and fragments.
    frame_bytes_max: int = FRAME_BYTES_MAX  # what we accept; the protocol cannot announce it, so lower it with care
    fragment_bytes: int = (
        65_536  # what we send at most in one frame: a keepalive waits for 64 KiB at most, not for 16 MiB
    )
    reassembly_bytes_max: int = FRAME_BYTES_MAX  # one payload in pieces may be as large as one in a single frame
    # Incomplete payloads of one connection, two of the largest at once; each counts as its bytes and
    # `reassembly.PARTIAL_PAYLOAD_BYTES`. The service sets 4 MiB, seven of the largest requests.
    reassembly_connection_bytes_max: int = 33_554_432
    fragments_max: int = 262_144  # 16 MiB in pieces of 64 bytes; smaller pieces are an attack on the processor

    # Streams and requests.
    streams_max: int = 4_096  # a stream costs ~150 bytes here and a hundred times that in an application
    held_requests_max: int = 128  # frames that may wait for authentication; clients send 10 to 30 at once
    held_bytes_max: int = 1_048_576  # not yet authenticated, so a hundredth of what an authenticated client may hold
    lease_pending_requests_max: int = (
        256  # our own requests that wait for the peer's LEASE; the next one is rejected locally
    )
    lease_pending_bytes_max: int = 4_194_304  # the same in bytes: 16 KiB each on average

    # Time.
    first_frame_seconds: float = (
        10.0  # SETUP is in the first packet after the handshake; 10 s allow for several lost packets
    )
    authentication_seconds: float = 15.0  # allows for fetching a key over a bad network and one retry
    keepalive_seconds_min: float = 0.1  # a client that declares 1 ms must not make us send 1,000 frames a second
    keepalive_seconds_max: float = 60.0  # we send them at least this often, whatever interval the client declares
    lifetime_seconds_max: float = 600.0  # a client may declare 24 days; ten silent minutes mean a dead connection

    # Outbound.
    outbound_bytes_pause: int = 262_144  # ~2 ms at 1 Gbit/s: enough to keep the socket busy, little to lose
    outbound_bytes_max: int = (
        67_108_864  # four of the largest payloads; replies cannot be held back, so there must be a limit
    )

    # Floods.
    keepalive_data_bytes_max: int = 4_096  # echoed verbatim, so it is our memory; no known client sends any
    keepalive_echoes_queued_max: int = 16  # while the socket is full; one is enough for a peer that reads again
    keepalives_per_second_max: int = (
        100  # these are acknowledged, the rest is dropped (a client that sends every 10 ms is a test)
    )
    metadata_push_per_second_max: int = 20  # a push has no reply, so no other limit applies
    # Frames of a client without effect: for closed or unknown streams, of extensions, keepalives and pushes beyond
    # their rates. A few hundred may cross with our own frames; above this rate the connection ends.
    ignored_frames_per_second_max: int = 10_000
    error_text_bytes_max: int = 4_096  # ERROR cannot be fragmented, and longer texts are of no use

    def __post_init__(self) -> None:
        if not FRAGMENT_BYTES_MIN <= self.fragment_bytes <= FRAME_BYTES_MAX:
            raise ValueError(
                f"fragment_bytes is {self.fragment_bytes}; it must be {FRAGMENT_BYTES_MIN} to {FRAME_BYTES_MAX}"
            )
        if not FRAGMENT_BYTES_MIN <= self.frame_bytes_max <= FRAME_BYTES_MAX:
            raise ValueError(
                f"frame_bytes_max is {self.frame_bytes_max}; it must be {FRAGMENT_BYTES_MIN} to {FRAME_BYTES_MAX}"
            )
