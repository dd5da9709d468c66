"""An RSocket 1.0 engine: bytes in, facts out.

No socket, no clock, no logger, nothing but the standard library. Both roles, all four interactions, credit in
both directions, fragmentation, leases, keepalives, draining. `connection.py` is the manual.
"""

from tidings.rsocket import facts, metadata
from tidings.rsocket.codec import (
    Envelope,
    decode,
    encode,
    no_envelope,
    payload_frames,
    run_frames,
    tcp_envelope,
)
from tidings.rsocket.connection import Connection
from tidings.rsocket.errors import Declined, ErrorCode, LocalProtocolError, ProtocolError
from tidings.rsocket.frames import UNBOUNDED, Frame, FrameType, Interaction
from tidings.rsocket.limits import Limits
from tidings.rsocket.setup import Setup
from tidings.rsocket.splitter import FrameSplitter
from tidings.rsocket.states import State
from tidings.rsocket.stream import Stream

__all__ = [
    "UNBOUNDED",
    "Connection",
    "Declined",
    "Envelope",
    "ErrorCode",
    "Frame",
    "FrameSplitter",
    "FrameType",
    "Interaction",
    "Limits",
    "LocalProtocolError",
    "ProtocolError",
    "Setup",
    "State",
    "Stream",
    "decode",
    "encode",
    "facts",
    "metadata",
    "no_envelope",
    "payload_frames",
    "run_frames",
    "tcp_envelope",
]
