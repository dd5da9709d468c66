"""Frames of the connection itself: SETUP and RESUME, keepalives, leases, metadata pushes, ERROR.

Frames of these types on another stream than 0 are ignored, except SETUP and RESUME, which are
protocol errors there.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from tidings.protocols.rsocket.connection_base import NO_EVENTS, ConnectionBase
from tidings.protocols.rsocket.errors import SETUP_CODES, ErrorCode, MalformedFrameError, RemoteProtocolError
from tidings.protocols.rsocket.events import (
    Failed,
    KeepaliveReceived,
    LeaseReceived,
    MetadataPushed,
    ProtocolEvent,
    SetupReceived,
)
from tidings.protocols.rsocket.frames import FLAG_BITS, FLAGS_MASK, HEADER_BYTES, IGNORE, RESPOND, U31, FrameType
from tidings.protocols.rsocket.keepalive import Keepalive, keepalive_frame
from tidings.protocols.rsocket.lease import Lease
from tidings.protocols.rsocket.setup import read_setup
from tidings.protocols.rsocket.states import AWAITING_LEASE, CLOSED_BOTH, ConnectionState
from tidings.protocols.rsocket.stream_frames import on_stream_error, read_error

_POSITION: Final = Struct(">6xQ")
_LEASE: Final = Struct(">6xII")

# --- the first frame --------------------------------------------------------------------------------------------


def on_setup(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Server: read SETUP, reject what is not supported, and ask the application about the rest."""
    if stream_id:
        raise RemoteProtocolError("SETUP belongs on stream 0", ErrorCode.INVALID_SETUP)
    setup = read_setup(frame)
    if setup.resume_token is not None:
        # Clients accept any code here: Java sends UNSUPPORTED_SETUP, rsocket-js and the specification REJECTED_SETUP.
        raise RemoteProtocolError(
            "resumption is not offered; connect without a resume token, and resume a watch with its cursor",
            ErrorCode.REJECTED_SETUP,
        )
    conn.setup = setup
    conn.opened_at = conn.now
    conn.keepalives = Keepalive(setup.keepalive_ms, setup.lifetime_ms, conn.limits, conn.now, server=True)
    if setup.lease:
        conn.granted_lease = Lease()
        conn.received_lease = Lease()
    conn.set_state(ConnectionState.AUTHENTICATING)
    return (SetupReceived(setup),)


def reject_no_setup(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Server: the first frame is neither SETUP nor RESUME."""
    raise RemoteProtocolError("the first frame must be SETUP", ErrorCode.INVALID_SETUP)


def reject_resume(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Server: RESUME, which is not offered."""
    if stream_id:
        raise RemoteProtocolError("RESUME belongs on stream 0", ErrorCode.INVALID_SETUP)
    raise RemoteProtocolError(
        "resumption is not offered; send SETUP, and resume a watch with its cursor", ErrorCode.REJECTED_RESUME
    )


def hold_frame(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """The application has not accepted SETUP yet. Hold the frame; `Connection.accept` handles it."""
    if not stream_id and frame[4] >> FLAG_BITS - 8 == FrameType.ERROR:
        return on_error(conn, frame, stream_id, flags)
    limits = conn.limits
    size = conn.held_bytes + len(frame)
    if len(conn.held_frames) >= limits.held_requests_max or size > limits.held_bytes_max:
        raise RemoteProtocolError(
            f"more than {limits.held_requests_max} frames (held_requests_max) or {limits.held_bytes_max} bytes "
            "(held_bytes_max) were sent before SETUP was accepted",
            ErrorCode.REJECTED_SETUP,
        )
    conn.held_frames.append(frame)
    conn.held_bytes = size
    return NO_EVENTS


def on_established(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Client: there is no SETUP_OK; the first LEASE, request or reply means that the server has accepted."""
    conn.set_state(ConnectionState.OPEN)
    return conn.handlers[frame[4] >> FLAG_BITS - 8](conn, frame, stream_id, flags)


# --- while it is open ---------------------------------------------------------------------------------------------


def on_keepalive(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Reply to a KEEPALIVE that requires it; report one that is a reply."""
    if stream_id:
        return conn.ignore_frame()
    _POSITION.unpack_from(frame)  # a short frame is an error; the position is for resumption only
    data = frame[14:]
    if not flags & RESPOND:
        conn.ignore_frame()  # the reply to one of ours; a peer can send replies without limit
        return (KeepaliveReceived(data),)
    if len(data) > conn.limits.keepalive_data_bytes_max:
        raise RemoteProtocolError(
            f"KEEPALIVE carries more than {conn.limits.keepalive_data_bytes_max} bytes (keepalive_data_bytes_max)"
        )
    if conn.congested and conn.priority_frames >= conn.limits.keepalive_echoes_queued_max:
        return conn.ignore_frame()
    if conn.keepalives is not None and not conn.keepalives.may_echo(conn.now):
        return conn.ignore_frame()
    conn.send_priority(keepalive_frame(data, conn.transport_header, respond=False))
    return NO_EVENTS


def on_lease(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Store the lease and send the requests that waited for it. Ignored if SETUP does not enable leases."""
    ttl_ms, requests = _LEASE.unpack_from(frame)
    lease = conn.received_lease
    conn.ignore_frame()  # one per minute is enough
    if stream_id or lease is None:
        return NO_EVENTS
    ttl_ms, requests = ttl_ms & U31, requests & U31
    lease.replace(ttl_ms, requests, conn.now)
    send_pending_requests(conn, lease)
    return (LeaseReceived(ttl_ms, requests),)


def send_pending_requests(conn: ConnectionBase, lease: Lease) -> None:
    """Send the requests that the lease has room for, oldest first."""
    for stream_id in list(conn.pending_requests):
        if not lease.acquire(conn.now):
            break
        stream = conn.streams.get(stream_id)
        if stream is not None:
            stream.state &= ~AWAITING_LEASE
        conn.send_all(conn.pending_requests.pop(stream_id))


def fail_pending_requests(conn: ConnectionBase, text: str) -> list[ProtocolEvent]:
    """Fail the requests that wait for a lease. They were never sent, so the application may retry them elsewhere."""
    events: list[ProtocolEvent] = []
    for stream_id in conn.pending_requests:
        stream = conn.streams.pop(stream_id, None)
        if stream is not None:
            stream.state = CLOSED_BOTH
            stream.credit = stream.granted = 0
            events.append(Failed(stream, ErrorCode.REJECTED, text))
    conn.pending_requests.clear()
    return events


def on_metadata_push(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """M may be clear: rsocket-js 0.0.x sends it so. Beyond the rate it is dropped, because there is no reply."""
    if stream_id or not conn.metadata_push_limiter.acquire(conn.now):
        return conn.ignore_frame()
    return (MetadataPushed(frame[6:]),)


# --- the end ----------------------------------------------------------------------------------------------------


def on_error(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """ERROR on a stream, or on stream 0, where it ends the connection."""
    if stream_id:
        return on_stream_error(conn, frame, stream_id)
    code, text = read_error(frame, conn.limits.error_text_bytes_max)
    if code in SETUP_CODES and (conn.server or conn.state is not ConnectionState.SETUP_SENT):
        return conn.ignore_frame()  # only a server rejects SETUP, and only before it has accepted it
    if code == ErrorCode.CONNECTION_CLOSE:
        return on_peer_drain(conn, text)
    return conn.on_closed_by_peer(code, text)


def on_peer_drain(conn: ConnectionBase, text: str) -> Sequence[ProtocolEvent]:
    """The peer is closing after the open streams have ended; so do we."""
    if conn.state is not ConnectionState.DRAINING:
        conn.drain_text = text
        conn.drained_by_peer = True
    events = fail_pending_requests(conn, text)
    if conn.streams:
        conn.set_state(ConnectionState.DRAINING)
    else:
        events += conn.finish_drain()
    return events


def ignore_frame(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Ignore the frame."""
    return conn.ignore_frame()


def on_unexpected_frame(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """A frame that is not allowed on this side or in this state."""
    number = frame[4] >> FLAG_BITS - 8
    raise RemoteProtocolError(f"frame type 0x{number:02x} is not allowed here")


def on_unknown_frame(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Includes EXT: no extension is known. With I set it is skipped (see `Connection.receive`)."""
    number = frame[4] >> FLAG_BITS - 8
    raise MalformedFrameError(f"unknown frame type 0x{number:02x}")


def is_ignorable(frame: bytes) -> bool:
    """Whether a malformed frame has the I flag, so that it may be skipped."""
    return len(frame) >= HEADER_BYTES and bool(int.from_bytes(frame[4:6], "big") & FLAGS_MASK & IGNORE)
