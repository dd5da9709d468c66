"""Frames of streams, as they arrive: requests, items, credit, cancellation, errors.

One function per action of `states.py`. The frequent ones read the frame by offset and return early in the common
case; everything else (a fragment, a lease, a wrong or used id, a limit) goes through `_accept_request`, which checks
all reasons for rejection in order.

Errors of a peer, in order of severity:
- frames for a closed, unknown or busy stream are ignored up to a rate, because they may have crossed with our own
  (`ConnectionBase.ignore_frame`);
- a protocol error of one stream (more items than granted, an empty fragment) ends that stream, with ERROR if we are its
  responder, with CANCEL if we are its requester, and with the event `Failed`;
- a malformed frame or a stream id of the wrong parity ends the connection (RemoteProtocolError).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from tidings.protocols.rsocket.codec import cancel_frame
from tidings.protocols.rsocket.connection_base import NO_EVENTS, ConnectionBase
from tidings.protocols.rsocket.errors import ErrorCode, InlineError, MalformedFrameError, RemoteProtocolError
from tidings.protocols.rsocket.events import (
    Cancelled,
    Completed,
    CreditGranted,
    Failed,
    PayloadReceived,
    ProtocolEvent,
    RequestReceived,
)
from tidings.protocols.rsocket.frames import (
    COMPLETE,
    FLAG_BITS,
    FOLLOWS,
    METADATA,
    NEXT,
    U31,
    UNBOUNDED,
    FrameType,
    Interaction,
)
from tidings.protocols.rsocket.reassembly import PartialPayload, ReassemblyError
from tidings.protocols.rsocket.states import (
    HALVES,
    HALVES_AFTER,
    INITIAL_HALVES,
    RECEIVING,
    SENDING,
    ConnectionState,
    HalfTransition,
    Side,
)
from tidings.protocols.rsocket.stream import Stream

_REQUEST_RESPONSE: Final = Interaction.REQUEST_RESPONSE
_FIRE_AND_FORGET: Final = Interaction.FIRE_AND_FORGET
_REQUEST_STREAM: Final = Interaction.REQUEST_STREAM
_REQUEST_CHANNEL: Final = Interaction.REQUEST_CHANNEL
_PAYLOAD: Final = FrameType.PAYLOAD

_INITIAL_RESPONSE: Final = INITIAL_HALVES[Side.RESPONDER, _REQUEST_RESPONSE]
_INITIAL_STREAM: Final = INITIAL_HALVES[Side.RESPONDER, _REQUEST_STREAM]
_INITIAL_CHANNEL: Final = INITIAL_HALVES[Side.RESPONDER, _REQUEST_CHANNEL]
_AFTER_COMPLETE: Final = HALVES_AFTER[Side.REQUESTER, HalfTransition.COMPLETE_RECEIVED] | ~HALVES
_AFTER_CANCEL_OF_REQUESTER: Final = HALVES_AFTER[Side.REQUESTER, HalfTransition.CANCEL_RECEIVED] | ~HALVES

_U32_AFTER_HEADER: Final = Struct(">6xI")  # the 32-bit field behind the header
# The 24 bits behind the header where there is no such field.
_metadata_length: Callable[[bytes], tuple[int, int]] = Struct(">6xBH").unpack_from
_REJECTED_TEXT: Final = "no more requests on this connection"


def _read_payload(frame: bytes, offset: int, flags: int) -> tuple[bytes | None, bytes]:
    """Metadata (None if absent; empty is not absent) and data from `offset` on."""
    if not flags & METADATA:
        return None, frame[offset:]
    begin = offset + 3
    end = begin + int.from_bytes(frame[offset:begin], "big")
    if end > len(frame):
        raise MalformedFrameError("metadata length points beyond the frame")
    return frame[begin:end], frame[end:]


# --- requests ---------------------------------------------------------------------------------------------------


def on_request_response(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Reply to a REQUEST_RESPONSE inline, or open its stream."""
    if flags & METADATA:
        high, low = _metadata_length(frame)
        offset = 9 + (high << 16 | low)
        if offset > len(frame):
            raise MalformedFrameError("metadata length points beyond the frame")
        metadata: bytes | None = frame[9:offset]
        data = frame[offset:]
    else:
        metadata = None
        data = frame[6:]
    streams = conn.streams
    if (
        flags & FOLLOWS
        or stream_id & 1 != conn.peer_parity
        or stream_id in streams
        or not stream_id
        or len(streams) >= conn.streams_max
        or conn.granted_lease is not None
        or conn.partial_payloads
    ):
        return _accept_request(conn, _REQUEST_RESPONSE, stream_id, flags, 1, metadata, data)
    inline_handler = conn.inline_handler
    context: object = None
    if inline_handler is not None:
        try:
            context = inline_handler(metadata, data)
        except InlineError as error:
            return _reject(conn, _REQUEST_RESPONSE, stream_id, error.code, str(error))
        if context.__class__ is bytes:
            conn.send_payload(stream_id, context, None, complete=True)
            return NO_EVENTS
    stream = streams[stream_id] = Stream(conn, stream_id, _REQUEST_RESPONSE, False, _INITIAL_RESPONSE, 1, 0, context)
    return (RequestReceived(stream, metadata, data, True),)


def on_fire_and_forget(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Report a FIRE_AND_FORGET; its stream is closed already."""
    metadata, data = _read_payload(frame, 6, flags)
    return _accept_request(conn, _FIRE_AND_FORGET, stream_id, flags, 0, metadata, data)


def on_request_stream(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Open a REQUEST_STREAM with its initial credit."""
    credit = min(UNBOUNDED, _U32_AFTER_HEADER.unpack_from(frame)[0] & U31)  # one object for all unbounded streams
    metadata, data = _read_payload(frame, 10, flags)
    streams = conn.streams
    if (
        flags & FOLLOWS
        or not credit
        or stream_id & 1 != conn.peer_parity
        or stream_id in streams
        or not stream_id
        or len(streams) >= conn.streams_max
        or conn.granted_lease is not None
        or conn.partial_payloads
    ):
        return _accept_request(conn, _REQUEST_STREAM, stream_id, flags, credit, metadata, data)
    stream = streams[stream_id] = Stream(conn, stream_id, _REQUEST_STREAM, False, _INITIAL_STREAM, credit, 0)
    return (RequestReceived(stream, metadata, data, True),)


def on_request_channel(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Open a REQUEST_CHANNEL with its initial credit; C closes the requester's half at once."""
    credit = _U32_AFTER_HEADER.unpack_from(frame)[0] & U31
    metadata, data = _read_payload(frame, 10, flags)
    return _accept_request(conn, _REQUEST_CHANNEL, stream_id, flags, credit, metadata, data)


def on_rejected_request(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """A request while draining. With an id in use it is ignored: the ERROR would end the stream of that id."""
    _check_parity(conn, stream_id)
    if stream_id in conn.streams or stream_id in conn.partial_payloads:
        return conn.ignore_frame()
    return _reject(conn, _interaction_of(frame), stream_id, ErrorCode.REJECTED, _REJECTED_TEXT)


def _accept_request(
    conn: ConnectionBase,
    interaction: Interaction,
    stream_id: int,
    flags: int,
    credit: int,
    metadata: bytes | None,
    data: bytes,
) -> Sequence[ProtocolEvent]:
    """A request of any kind: check every reason to reject it, then hold its first fragment or open its stream."""
    _check_parity(conn, stream_id)
    if stream_id in conn.streams or stream_id in conn.partial_payloads:
        return conn.ignore_frame()
    lease = conn.granted_lease
    if lease is not None and not lease.acquire(conn.now):
        text = "there is no lease for this request; wait for LEASE"
        return _reject(conn, interaction, stream_id, ErrorCode.REJECTED, text)
    if len(conn.streams) + len(conn.partial_payloads) >= conn.streams_max:
        text = f"{conn.streams_max} streams are open (streams_max); try again later"
        return _reject(conn, interaction, stream_id, ErrorCode.REJECTED, text)
    if not credit and interaction >= _REQUEST_STREAM:
        return _reject(conn, interaction, stream_id, ErrorCode.INVALID, "initial request n must be above 0")
    if flags & FOLLOWS:
        try:
            conn.reassembler.start(stream_id, FrameType(interaction), credit, flags, metadata, data)
        except ReassemblyError as error:
            return _reject(conn, interaction, stream_id, error.code, str(error))
        return NO_EVENTS
    return _open_stream(conn, interaction, stream_id, credit, metadata, data, bool(flags & COMPLETE))


def _open_stream(
    conn: ConnectionBase,
    interaction: Interaction,
    stream_id: int,
    credit: int,
    metadata: bytes | None,
    data: bytes,
    complete: bool,
) -> Sequence[ProtocolEvent]:
    state = INITIAL_HALVES[Side.RESPONDER, interaction]
    stream = Stream(conn, stream_id, interaction, False, state, credit, 0)
    if state:
        conn.streams[stream_id] = stream
    if interaction is not _REQUEST_CHANNEL:
        complete = True
    elif complete:
        stream.state &= _AFTER_COMPLETE
    else:
        conn.uncredited_channels[stream_id] = stream
    return (RequestReceived(stream, metadata, data, complete),)


def _check_parity(conn: ConnectionBase, stream_id: int) -> None:
    if not stream_id or stream_id & 1 != conn.peer_parity:
        raise RemoteProtocolError(f"stream id {stream_id} has the parity of this side; the peer must not open it")


def _interaction_of(frame: bytes) -> Interaction:
    return Interaction(frame[4] >> FLAG_BITS - 8)


def _reject(
    conn: ConnectionBase, interaction: Interaction, stream_id: int, code: int, text: str
) -> Sequence[ProtocolEvent]:
    """Send ERROR, except for a FIRE_AND_FORGET, which never has a reply."""
    if interaction is not _FIRE_AND_FORGET:
        conn.send_error(stream_id, code, text)
    return NO_EVENTS


# --- items ------------------------------------------------------------------------------------------------------


def on_payload(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """An item, a fragment of one, or the end of the peer's half."""
    if flags & METADATA:
        metadata, data = _read_payload(frame, 6, flags)
    else:
        metadata, data = None, frame[6:]
    if conn.partial_payloads and stream_id in conn.partial_payloads:
        return _on_fragment(conn, stream_id, flags, metadata, data)
    stream = conn.streams.get(stream_id)
    if stream is None or not stream.state & RECEIVING:
        return conn.ignore_frame()
    if flags & (FOLLOWS | COMPLETE) == FOLLOWS:  # with C, F means nothing
        return _on_first_fragment(conn, stream, flags, metadata, data)
    if not flags & NEXT:
        if flags & COMPLETE:
            _close_peer_half(conn, stream)
            return (Completed(stream),)
        return _fail_stream(conn, stream, ErrorCode.INVALID, "PAYLOAD with neither N nor C")
    granted = stream.granted
    if granted != UNBOUNDED:
        if not granted:
            return _credit_exceeded(conn, stream)
        stream.granted = granted - 1
    if flags & COMPLETE or stream.interaction is _REQUEST_RESPONSE:
        _close_peer_half(conn, stream)
        return (PayloadReceived(stream, metadata, data, True),)
    return (PayloadReceived(stream, metadata, data, False),)


def _on_first_fragment(
    conn: ConnectionBase, stream: Stream, flags: int, metadata: bytes | None, data: bytes
) -> Sequence[ProtocolEvent]:
    """The credit is used now: an item beyond it is not worth reassembling."""
    if stream.granted != UNBOUNDED:
        if not stream.granted:
            return _credit_exceeded(conn, stream)
        stream.granted -= 1
    try:
        conn.reassembler.start(stream.id, _PAYLOAD, 0, flags, metadata, data)
    except ReassemblyError as error:
        return _fail_stream(conn, stream, error.code, str(error))
    return NO_EVENTS


def _on_fragment(
    conn: ConnectionBase, stream_id: int, flags: int, metadata: bytes | None, data: bytes
) -> Sequence[ProtocolEvent]:
    frame_type = conn.partial_payloads[stream_id].frame_type
    try:
        if flags & (FOLLOWS | COMPLETE) == FOLLOWS:
            conn.reassembler.add(stream_id, flags, metadata, data)
            return NO_EVENTS
        payload = conn.reassembler.finish(stream_id, flags, metadata, data)
    except ReassemblyError as error:
        if frame_type is _PAYLOAD:
            return _fail_stream(conn, conn.streams[stream_id], error.code, str(error))
        return _reject(conn, Interaction(frame_type), stream_id, error.code, str(error))
    return _on_reassembled(conn, stream_id, payload)


def _on_reassembled(conn: ConnectionBase, stream_id: int, payload: PartialPayload) -> Sequence[ProtocolEvent]:
    metadata = None if payload.metadata is None else bytes(payload.metadata)
    data = bytes(payload.data)
    if payload.frame_type is not _PAYLOAD:
        interaction = Interaction(payload.frame_type)
        if conn.state is ConnectionState.DRAINING:
            return _reject(conn, interaction, stream_id, ErrorCode.REJECTED, _REJECTED_TEXT)
        return _open_stream(conn, interaction, stream_id, payload.credit, metadata, data, payload.complete)
    stream = conn.streams[stream_id]
    complete = payload.complete or stream.interaction is _REQUEST_RESPONSE
    if complete:
        _close_peer_half(conn, stream)
    return (PayloadReceived(stream, metadata, data, complete),)


def _close_peer_half(conn: ConnectionBase, stream: Stream) -> None:
    """Close the peer's half."""
    stream.granted = 0
    stream.state &= _AFTER_COMPLETE
    if not stream.state & SENDING:
        conn.remove_stream(stream)


def _credit_exceeded(conn: ConnectionBase, stream: Stream) -> Sequence[ProtocolEvent]:
    # The text of rsocket-java, so that a search for it finds answers.
    return _fail_stream(
        conn, stream, ErrorCode.CANCELED, "The number of messages received exceeds the number requested"
    )


def _fail_stream(conn: ConnectionBase, stream: Stream, code: ErrorCode, text: str) -> Sequence[ProtocolEvent]:
    """Close the stream in both directions after a protocol error of the peer."""
    stream.state &= ~HALVES
    stream.credit = stream.granted = 0
    if stream.is_requester:
        conn.send(cancel_frame(stream.id, conn.transport_header))
    else:
        conn.send_error(stream.id, code, text)
    conn.remove_stream(stream)
    return (Failed(stream, code, text),)


# --- credit and ends --------------------------------------------------------------------------------------------


def on_request_n(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """Add credit; ignored for closed and unknown streams."""
    n = _U32_AFTER_HEADER.unpack_from(frame)[0] & U31
    stream = conn.streams.get(stream_id)
    if stream is None:
        payload = conn.partial_payloads.get(stream_id)
        if payload is not None:  # it has no business inside a run, but credit is never taken back
            payload.credit = min(payload.credit + n, UNBOUNDED)
        return conn.ignore_frame()
    if not stream.state & SENDING or stream.interaction is _REQUEST_RESPONSE or not n:
        return conn.ignore_frame()
    credit = stream.credit + n
    stream.credit = credit if credit < UNBOUNDED else UNBOUNDED
    return (CreditGranted(stream, n),)


def on_cancel(conn: ConnectionBase, frame: bytes, stream_id: int, flags: int) -> Sequence[ProtocolEvent]:
    """The peer cancels."""
    stream = conn.streams.get(stream_id)
    if stream is None:
        if conn.partial_payloads:
            conn.reassembler.discard(stream_id)
        return conn.ignore_frame()
    if stream.is_requester:
        if not stream.state & SENDING:
            return conn.ignore_frame()
        stream.state &= _AFTER_CANCEL_OF_REQUESTER
        if not stream.state & RECEIVING:
            conn.remove_stream(stream)
    else:
        stream.state &= ~HALVES
        stream.granted = 0
        conn.remove_stream(stream)
    stream.credit = 0
    return (Cancelled(stream),)


def on_stream_error(conn: ConnectionBase, frame: bytes, stream_id: int) -> Sequence[ProtocolEvent]:
    """ERROR on a stream closes it in both directions, whatever the code."""
    code, text = read_error(frame, conn.limits.error_text_bytes_max)
    stream = conn.streams.get(stream_id)
    if stream is None:
        if conn.partial_payloads:
            conn.reassembler.discard(stream_id)
        return conn.ignore_frame()
    stream.state &= ~HALVES
    stream.credit = stream.granted = 0
    conn.remove_stream(stream)
    return (Failed(stream, code, text),)


def read_error(frame: bytes, text_bytes_max: int) -> tuple[int, str]:
    """The 32-bit code, and the text up to `text_bytes_max`."""
    return _U32_AFTER_HEADER.unpack_from(frame)[0], frame[10 : 10 + text_bytes_max].decode("utf-8", "replace")
