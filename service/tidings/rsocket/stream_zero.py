"""Frames of the connection itself: SETUP and what stands in for it, keepalives, leases, pushed metadata, the end.

Frames of these types on another stream than 0 are ignored, except SETUP and RESUME, which nobody sends by
accident.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from tidings.rsocket.endpoint import NOTHING, Endpoint
from tidings.rsocket.errors import SETUP_CODES, ErrorCode, ProtocolError, Unreadable
from tidings.rsocket.facts import Fact, Failed, KeepaliveReceived, LeaseReceived, MetadataPushed, SetupReceived
from tidings.rsocket.frames import FLAG_BITS, FLAGS_MASK, HEADER_BYTES, IGNORE, RESPOND, U31, FrameType
from tidings.rsocket.inbound import on_stream_error, read_error
from tidings.rsocket.keepalive import Keepalive, keepalive_frame
from tidings.rsocket.lease import Lease
from tidings.rsocket.setup import read_setup
from tidings.rsocket.states import OVER, WAITING, State

_POSITION: Final = Struct(">6xQ")
_LEASE: Final = Struct(">6xII")

# --- the first frame --------------------------------------------------------------------------------------------


def on_setup(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Server: read SETUP, refuse what cannot be, and ask the application about the rest."""
    if stream_id:
        raise ProtocolError("SETUP belongs on stream 0", ErrorCode.INVALID_SETUP)
    setup = read_setup(frame)
    if setup.resume_token is not None:
        # Clients take any code here: Java sends UNSUPPORTED_SETUP, rsocket-js and the specification REJECTED_SETUP.
        raise ProtocolError(
            "resumption is not offered; connect without a resume token, and resume a watch with its cursor",
            ErrorCode.REJECTED_SETUP,
        )
    end.setup = setup
    end.opened_at = end.now
    end.keepalives = Keepalive(setup.keepalive_ms, setup.lifetime_ms, end.limits, end.now, server=True)
    if setup.lease:
        end.lease_given = Lease()
        end.lease_got = Lease()
    end.become(State.ADMITTING)
    return (SetupReceived(setup),)


def on_no_setup(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Server: anything but SETUP or RESUME came first."""
    raise ProtocolError("the first frame must be SETUP", ErrorCode.INVALID_SETUP)


def on_no_resume(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Server: RESUME, which is not offered."""
    if stream_id:
        raise ProtocolError("RESUME belongs on stream 0", ErrorCode.INVALID_SETUP)
    raise ProtocolError(
        "resumption is not offered; send SETUP, and resume a watch with its cursor", ErrorCode.REJECTED_RESUME
    )


def on_held(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """The application has not decided yet. Held frames are whole and unread: they are received when it has."""
    if not stream_id and frame[4] >> FLAG_BITS - 8 == FrameType.ERROR:
        return on_error(end, frame, stream_id, flags)
    limits = end.limits
    size = end.held_bytes + len(frame)
    if len(end.held) >= limits.held_requests_max or size > limits.held_bytes_max:
        raise ProtocolError(
            f"more than {limits.held_requests_max} frames (held_requests_max) or {limits.held_bytes_max} bytes "
            "(held_bytes_max) were sent before SETUP was accepted",
            ErrorCode.REJECTED_SETUP,
        )
    end.held.append(frame)
    end.held_bytes = size
    return NOTHING


def on_established(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Client: there is no SETUP_OK; the first LEASE, request or answer says that the server has accepted."""
    end.become(State.OPEN)
    return end.handlers[frame[4] >> FLAG_BITS - 8](end, frame, stream_id, flags)


# --- while it lives ---------------------------------------------------------------------------------------------


def on_keepalive(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Answer one that wants an answer; report one that is an answer."""
    if stream_id:
        return end.ignore()
    _POSITION.unpack_from(frame)  # too short is an error; the position itself matters to resumption alone
    data = frame[14:]
    if not flags & RESPOND:
        end.ignore()  # the answer to one of ours; nothing keeps a peer from answering what was never asked
        return (KeepaliveReceived(data),)
    if len(data) > end.limits.keepalive_data_bytes_max:
        raise ProtocolError(
            f"KEEPALIVE carries more than {end.limits.keepalive_data_bytes_max} bytes (keepalive_data_bytes_max)"
        )
    if end.congested and end.urgent_frames >= end.limits.keepalive_echoes_waiting_max:
        return end.ignore()
    if end.keepalives is not None and not end.keepalives.may_answer(end.now):
        return end.ignore()
    end.send_first(keepalive_frame(data, end.envelope, respond=False))
    return NOTHING


def on_lease(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Take the lease, and send what waited for it. Without leases in SETUP it means nothing."""
    ttl_ms, requests = _LEASE.unpack_from(frame)
    lease = end.lease_got
    end.ignore()  # one in a minute is plenty
    if stream_id or lease is None:
        return NOTHING
    ttl_ms, requests = ttl_ms & U31, requests & U31
    lease.replace(ttl_ms, requests, end.now)
    send_waiting(end, lease)
    return (LeaseReceived(ttl_ms, requests),)


def send_waiting(end: Endpoint, lease: Lease) -> None:
    """Send the requests that the lease has room for, oldest first."""
    for stream_id in list(end.waiting):
        if not lease.take(end.now):
            break
        stream = end.streams.get(stream_id)
        if stream is not None:
            stream.state &= ~WAITING
        end.send_all(end.waiting.pop(stream_id))


def drop_waiting(end: Endpoint, text: str) -> list[Fact]:
    """No lease will come any more. What waits was never sent, so the application may try it elsewhere."""
    facts: list[Fact] = []
    for stream_id in end.waiting:
        stream = end.streams.pop(stream_id, None)
        if stream is not None:
            stream.state = OVER
            stream.credit = stream.granted = 0
            facts.append(Failed(stream, ErrorCode.REJECTED, text))
    end.waiting.clear()
    return facts


def on_metadata_push(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """M may be clear: rsocket-js 0.0.x sends it so. Beyond the rate it is dropped; there is nobody to tell."""
    if stream_id or not end.pushes.take(end.now):
        return end.ignore()
    return (MetadataPushed(frame[6:]),)


# --- the end ----------------------------------------------------------------------------------------------------


def on_error(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """ERROR on a stream, or on stream 0, where it ends the connection."""
    if stream_id:
        return on_stream_error(end, frame, stream_id)
    code, text = read_error(frame, end.limits.error_text_bytes_max)
    if code in SETUP_CODES and (end.server or end.state is not State.AWAITING):
        return end.ignore()  # only a server refuses a SETUP, and only before it has accepted it
    if code == ErrorCode.CONNECTION_CLOSE:
        return drained_by_peer(end, text)
    return end.ended_by_peer(code, text)


def drained_by_peer(end: Endpoint, text: str) -> Sequence[Fact]:
    """The peer wants to leave and waits for what is outstanding; so do we."""
    if end.state is not State.DRAINING:
        end.drain_text = text
        end.drained_by_peer = True
    facts = drop_waiting(end, text)
    if end.streams:
        end.become(State.DRAINING)
    else:
        facts += end.finish_drain()
    return facts


def on_nothing(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Ignore the frame."""
    return end.ignore()


def on_misplaced(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """A frame that this side or this state has no use for."""
    number = frame[4] >> FLAG_BITS - 8
    raise ProtocolError(f"frame type 0x{number:02x} does not belong here")


def on_unknown(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Includes EXT: no extension is known. With I set it is skipped (see `Connection.receive`)."""
    number = frame[4] >> FLAG_BITS - 8
    raise Unreadable(f"unknown frame type 0x{number:02x}")


def may_be_skipped(frame: bytes) -> bool:
    """Whether a frame that cannot be understood says that it does not matter."""
    return len(frame) >= HEADER_BYTES and bool(int.from_bytes(frame[4:6], "big") & FLAGS_MASK & IGNORE)
