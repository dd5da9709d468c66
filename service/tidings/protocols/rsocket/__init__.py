"""An RSocket 1.0 engine: bytes in, events out.

No socket, no clock, no logger, nothing but the standard library. Both roles, all four interactions, credit in
both directions, fragmentation, leases, keepalives, draining. `connection.py` is the manual.
"""

from tidings.protocols.rsocket import events, metadata
from tidings.protocols.rsocket.codec import (
    TransportHeader,
    decode,
    encode,
    multi_payload_frames,
    no_transport_header,
    payload_frames,
    tcp_length_prefix,
)
from tidings.protocols.rsocket.connection import Connection
from tidings.protocols.rsocket.errors import ErrorCode, InlineError, LocalProtocolError, RemoteProtocolError
from tidings.protocols.rsocket.frame_decoder import LengthFieldDecoder
from tidings.protocols.rsocket.frames import UNBOUNDED, Frame, FrameType, Interaction
from tidings.protocols.rsocket.limits import Limits
from tidings.protocols.rsocket.setup import Setup
from tidings.protocols.rsocket.states import ConnectionState
from tidings.protocols.rsocket.stream import Stream

__all__ = [
    "UNBOUNDED",
    "Connection",
    "ConnectionState",
    "ErrorCode",
    "Frame",
    "FrameType",
    "InlineError",
    "Interaction",
    "LengthFieldDecoder",
    "Limits",
    "LocalProtocolError",
    "RemoteProtocolError",
    "Setup",
    "Stream",
    "TransportHeader",
    "decode",
    "encode",
    "events",
    "metadata",
    "multi_payload_frames",
    "no_transport_header",
    "payload_frames",
    "tcp_length_prefix",
]
