"""Frames of streams, as they arrive: requests, items, credit, cancellation, errors.

One function per verb of `states.py`. The first lines of the common ones read the frame by offset, and go straight
to the end when nothing is unusual; whatever is unusual (a fragment, a lease, a wrong or used id, no room) goes
through `_screen`, which knows all the reasons in their order.

What a peer may do wrong, from mild to grave:
- frames for a stream that is over, unknown or busy: ignored, since they may have crossed with our own, up to a rate
  (`Endpoint.ignore`);
- a rule of one stream broken (more items than granted, an empty fragment): that stream ends, with ERROR if
  we are its responder, with CANCEL if we are its requester, and `Failed` tells the application;
- a frame that cannot be read, a stream id of the wrong parity: the connection ends (ProtocolError).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from tidings.rsocket.codec import cancel_frame
from tidings.rsocket.endpoint import NOTHING, Endpoint
from tidings.rsocket.errors import Declined, ErrorCode, ProtocolError, Unreadable
from tidings.rsocket.facts import Cancelled, Completed, CreditGranted, Fact, Failed, PayloadReceived, RequestReceived
from tidings.rsocket.fragments import Refusal, Run
from tidings.rsocket.frames import (
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
from tidings.rsocket.states import BEGIN, HALVES, KEEP, RECEIVING, SENDING, Event, Side, State
from tidings.rsocket.stream import Stream

_RESPONSE: Final = Interaction.REQUEST_RESPONSE
_FORGET: Final = Interaction.FIRE_AND_FORGET
_STREAM: Final = Interaction.REQUEST_STREAM
_CHANNEL: Final = Interaction.REQUEST_CHANNEL
_PAYLOAD: Final = FrameType.PAYLOAD

_BEGIN_RESPONSE: Final = BEGIN[Side.RESPONDER, _RESPONSE]
_BEGIN_STREAM: Final = BEGIN[Side.RESPONDER, _STREAM]
_BEGIN_CHANNEL: Final = BEGIN[Side.RESPONDER, _CHANNEL]
_AFTER_COMPLETE: Final = KEEP[Side.REQUESTER, Event.COMPLETE_RECEIVED] | ~HALVES
_AFTER_CANCEL_OF_REQUESTER: Final = KEEP[Side.REQUESTER, Event.CANCEL_RECEIVED] | ~HALVES

_FIELD: Final = Struct(">6xI")  # the 32-bit field behind the header
# The 24 bits behind the header where there is no such field.
_metadata_length: Callable[[bytes], tuple[int, int]] = Struct(">6xBH").unpack_from
_REJECTED_TEXT: Final = "no more requests on this connection"


def _read_payload(frame: bytes, at: int, flags: int) -> tuple[bytes | None, bytes]:
    """Metadata (None if absent; empty is not absent) and data from offset `at`."""
    if not flags & METADATA:
        return None, frame[at:]
    begin = at + 3
    end = begin + int.from_bytes(frame[at:begin], "big")
    if end > len(frame):
        raise Unreadable("metadata length points beyond the frame")
    return frame[begin:end], frame[end:]


# --- requests ---------------------------------------------------------------------------------------------------


def on_request_response(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Answer a REQUEST_RESPONSE at once, or begin it."""
    if flags & METADATA:
        high, low = _metadata_length(frame)
        at = 9 + (high << 16 | low)
        if at > len(frame):
            raise Unreadable("metadata length points beyond the frame")
        metadata: bytes | None = frame[9:at]
        data = frame[at:]
    else:
        metadata = None
        data = frame[6:]
    streams = end.streams
    if (
        flags & FOLLOWS
        or stream_id & 1 != end.peer_parity
        or stream_id in streams
        or not stream_id
        or len(streams) >= end.streams_max
        or end.lease_given is not None
        or end.runs
    ):
        return _screen(end, _RESPONSE, stream_id, flags, 1, metadata, data)
    at_once = end.at_once
    if at_once is not None:
        try:
            answer = at_once(metadata, data)
        except Declined as declined:
            return _reject(end, _RESPONSE, stream_id, declined.code, str(declined))
        if answer is not None:
            end.send_payload(stream_id, answer, None, complete=True)
            return NOTHING
    stream = streams[stream_id] = Stream(end, stream_id, _RESPONSE, False, _BEGIN_RESPONSE, 1, 0)
    return (RequestReceived(stream, metadata, data, True),)


def on_fire_and_forget(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Report a FIRE_AND_FORGET; its stream is over already."""
    metadata, data = _read_payload(frame, 6, flags)
    return _screen(end, _FORGET, stream_id, flags, 0, metadata, data)


def on_request_stream(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Begin a REQUEST_STREAM with its initial credit."""
    credit = min(UNBOUNDED, _FIELD.unpack_from(frame)[0] & U31)  # one object for all who ask for everything
    metadata, data = _read_payload(frame, 10, flags)
    streams = end.streams
    if (
        flags & FOLLOWS
        or not credit
        or stream_id & 1 != end.peer_parity
        or stream_id in streams
        or not stream_id
        or len(streams) >= end.streams_max
        or end.lease_given is not None
        or end.runs
    ):
        return _screen(end, _STREAM, stream_id, flags, credit, metadata, data)
    stream = streams[stream_id] = Stream(end, stream_id, _STREAM, False, _BEGIN_STREAM, credit, 0)
    return (RequestReceived(stream, metadata, data, True),)


def on_request_channel(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Begin a REQUEST_CHANNEL with its initial credit; C ends the requester's half at once."""
    credit = _FIELD.unpack_from(frame)[0] & U31
    metadata, data = _read_payload(frame, 10, flags)
    return _screen(end, _CHANNEL, stream_id, flags, credit, metadata, data)


def on_refused_request(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """A request while draining. An id in use is not answered: the ERROR would hit the stream that lives there."""
    _check_parity(end, stream_id)
    if stream_id in end.streams or stream_id in end.runs:
        return end.ignore()
    return _reject(end, _interaction(frame), stream_id, ErrorCode.REJECTED, _REJECTED_TEXT)


def _screen(
    end: Endpoint,
    interaction: Interaction,
    stream_id: int,
    flags: int,
    credit: int,
    metadata: bytes | None,
    data: bytes,
) -> Sequence[Fact]:
    """A request of any kind: every reason to refuse it, then its first fragment kept or its stream begun."""
    _check_parity(end, stream_id)
    if stream_id in end.streams or stream_id in end.runs:
        return end.ignore()
    lease = end.lease_given
    if lease is not None and not lease.take(end.now):
        return _reject(end, interaction, stream_id, ErrorCode.REJECTED, "no lease for this request")
    if len(end.streams) + len(end.runs) >= end.streams_max:
        return _reject(
            end,
            interaction,
            stream_id,
            ErrorCode.REJECTED,
            f"{end.streams_max} streams are open (streams_max); try again later",
        )
    if not credit and interaction >= _STREAM:
        return _reject(end, interaction, stream_id, ErrorCode.INVALID, "initial request n must be above 0")
    if flags & FOLLOWS:
        try:
            end.reassembly.begin(stream_id, FrameType(interaction), credit, flags, metadata, data)
        except Refusal as refusal:
            return _reject(end, interaction, stream_id, refusal.code, str(refusal))
        return NOTHING
    return _begin(end, interaction, stream_id, credit, metadata, data, bool(flags & COMPLETE))


def _begin(
    end: Endpoint,
    interaction: Interaction,
    stream_id: int,
    credit: int,
    metadata: bytes | None,
    data: bytes,
    complete: bool,
) -> Sequence[Fact]:
    state = BEGIN[Side.RESPONDER, interaction]
    stream = Stream(end, stream_id, interaction, False, state, credit, 0)
    if state:
        end.streams[stream_id] = stream
    if interaction is not _CHANNEL:
        complete = True
    elif complete:
        stream.state &= _AFTER_COMPLETE
    else:
        end.unanswered[stream_id] = stream
    return (RequestReceived(stream, metadata, data, complete),)


def _check_parity(end: Endpoint, stream_id: int) -> None:
    if not stream_id or stream_id & 1 != end.peer_parity:
        raise ProtocolError(f"stream id {stream_id} is not the peer's to open")


def _interaction(frame: bytes) -> Interaction:
    return Interaction(frame[4] >> FLAG_BITS - 8)


def _reject(end: Endpoint, interaction: Interaction, stream_id: int, code: int, text: str) -> Sequence[Fact]:
    """Nothing is ever sent back for a FIRE_AND_FORGET, not even this."""
    if interaction is not _FORGET:
        end.send_error(stream_id, code, text)
    return NOTHING


# --- items ------------------------------------------------------------------------------------------------------


def on_payload(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """An item, a piece of one, or the end of the peer's half."""
    if flags & METADATA:
        metadata, data = _read_payload(frame, 6, flags)
    else:
        metadata, data = None, frame[6:]
    if end.runs and stream_id in end.runs:
        return _on_piece(end, stream_id, flags, metadata, data)
    stream = end.streams.get(stream_id)
    if stream is None or not stream.state & RECEIVING:
        return end.ignore()
    if flags & (FOLLOWS | COMPLETE) == FOLLOWS:  # with C, F means nothing
        return _on_first_piece(end, stream, flags, metadata, data)
    if not flags & NEXT:
        if flags & COMPLETE:
            _complete(end, stream)
            return (Completed(stream),)
        return _end_stream(end, stream, ErrorCode.INVALID, "PAYLOAD with neither N nor C")
    granted = stream.granted
    if granted != UNBOUNDED:
        if not granted:
            return _too_many(end, stream)
        stream.granted = granted - 1
    if flags & COMPLETE or stream.interaction is _RESPONSE:
        _complete(end, stream)
        return (PayloadReceived(stream, metadata, data, True),)
    return (PayloadReceived(stream, metadata, data, False),)


def _on_first_piece(end: Endpoint, stream: Stream, flags: int, metadata: bytes | None, data: bytes) -> Sequence[Fact]:
    """The item is paid for now: one that exceeds the credit is not worth gathering."""
    if stream.granted != UNBOUNDED:
        if not stream.granted:
            return _too_many(end, stream)
        stream.granted -= 1
    try:
        end.reassembly.begin(stream.id, _PAYLOAD, 0, flags, metadata, data)
    except Refusal as refusal:
        return _end_stream(end, stream, refusal.code, str(refusal))
    return NOTHING


def _on_piece(end: Endpoint, stream_id: int, flags: int, metadata: bytes | None, data: bytes) -> Sequence[Fact]:
    frame_type = end.runs[stream_id].frame_type
    try:
        if flags & (FOLLOWS | COMPLETE) == FOLLOWS:
            end.reassembly.more(stream_id, flags, metadata, data)
            return NOTHING
        run = end.reassembly.last(stream_id, flags, metadata, data)
    except Refusal as refusal:
        if frame_type is _PAYLOAD:
            return _end_stream(end, end.streams[stream_id], refusal.code, str(refusal))
        return _reject(end, Interaction(frame_type), stream_id, refusal.code, str(refusal))
    return _on_whole(end, stream_id, run)


def _on_whole(end: Endpoint, stream_id: int, run: Run) -> Sequence[Fact]:
    metadata = None if run.metadata is None else bytes(run.metadata)
    data = bytes(run.data)
    if run.frame_type is not _PAYLOAD:
        interaction = Interaction(run.frame_type)
        if end.state is State.DRAINING:
            return _reject(end, interaction, stream_id, ErrorCode.REJECTED, _REJECTED_TEXT)
        return _begin(end, interaction, stream_id, run.credit, metadata, data, run.complete)
    stream = end.streams[stream_id]
    complete = run.complete or stream.interaction is _RESPONSE
    if complete:
        _complete(end, stream)
    return (PayloadReceived(stream, metadata, data, complete),)


def _complete(end: Endpoint, stream: Stream) -> None:
    """The peer's half is over."""
    stream.granted = 0
    stream.state &= _AFTER_COMPLETE
    if not stream.state & SENDING:
        end.forget(stream)


def _too_many(end: Endpoint, stream: Stream) -> Sequence[Fact]:
    # rsocket-java's words, so that what people find when they search for them fits.
    return _end_stream(end, stream, ErrorCode.CANCELED, "The number of messages received exceeds the number requested")


def _end_stream(end: Endpoint, stream: Stream, code: ErrorCode, text: str) -> Sequence[Fact]:
    """The peer broke a rule of this stream: over in both directions."""
    stream.state &= ~HALVES
    stream.credit = stream.granted = 0
    if stream.requester:
        end.send(cancel_frame(stream.id, end.envelope))
    else:
        end.send_error(stream.id, code, text)
    end.forget(stream)
    return (Failed(stream, code, text),)


# --- credit and ends --------------------------------------------------------------------------------------------


def on_request_n(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """Add credit; what is over or unknown does not need any."""
    n = _FIELD.unpack_from(frame)[0] & U31
    stream = end.streams.get(stream_id)
    if stream is None:
        run = end.runs.get(stream_id)
        if run is not None:  # it has no business inside a run, but credit is never taken back
            run.credit = min(run.credit + n, UNBOUNDED)
        return end.ignore()
    if not stream.state & SENDING or stream.interaction is _RESPONSE or not n:
        return end.ignore()
    credit = stream.credit + n
    stream.credit = credit if credit < UNBOUNDED else UNBOUNDED
    return (CreditGranted(stream, n),)


def on_cancel(end: Endpoint, frame: bytes, stream_id: int, flags: int) -> Sequence[Fact]:
    """The peer wants no more from us."""
    stream = end.streams.get(stream_id)
    if stream is None:
        if end.runs:
            end.reassembly.discard(stream_id)
        return end.ignore()
    if stream.requester:
        if not stream.state & SENDING:
            return end.ignore()
        stream.state &= _AFTER_CANCEL_OF_REQUESTER
        if not stream.state & RECEIVING:
            end.forget(stream)
    else:
        stream.state &= ~HALVES
        stream.granted = 0
        end.forget(stream)
    stream.credit = 0
    return (Cancelled(stream),)


def on_stream_error(end: Endpoint, frame: bytes, stream_id: int) -> Sequence[Fact]:
    """ERROR on a stream: over in both directions, whatever the code."""
    code, text = read_error(frame, end.limits.error_text_bytes_max)
    stream = end.streams.get(stream_id)
    if stream is None:
        if end.runs:
            end.reassembly.discard(stream_id)
        return end.ignore()
    stream.state &= ~HALVES
    stream.credit = stream.granted = 0
    end.forget(stream)
    return (Failed(stream, code, text),)


def read_error(frame: bytes, text_bytes_max: int) -> tuple[int, str]:
    """Any 32-bit code, and so much of the text as anybody would read."""
    return _FIELD.unpack_from(frame)[0], frame[10 : 10 + text_bytes_max].decode("utf-8", "replace")
