"""What the engine's tests share: frames by name, engines in a given state, a pair of engines with a wire between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tidings.protocols.rsocket import (
    Connection,
    ErrorCode,
    Frame,
    FrameType,
    Limits,
    Setup,
    Stream,
    decode,
    encode,
    events,
)
from tidings.protocols.rsocket.frames import COMPLETE, METADATA, NEXT, RESPOND

PROTOBUF = "application/vnd.google.protobuf"
COMPOSITE = "message/x.rsocket.composite-metadata.v0"
SETUP = Setup(keepalive_ms=20_000, lifetime_ms=90_000, metadata_mime=COMPOSITE, data_mime=PROTOBUF)


# --- frames, by name --------------------------------------------------------------------------------------------


def frame(
    frame_type: FrameType,
    stream_id: int = 0,
    flags: int = 0,
    metadata: bytes | None = None,
    data: bytes = b"",
    **fields: int | str | bytes,
) -> bytes:
    """Bytes of any frame; M is set when there is metadata."""
    if metadata is not None:
        flags |= METADATA
    return encode(Frame(frame_type, stream_id, flags, fields, metadata, data))


def request_response(stream_id: int, data: bytes = b"?", metadata: bytes | None = None, flags: int = 0) -> bytes:
    return frame(FrameType.REQUEST_RESPONSE, stream_id, flags, metadata, data)


def fire_and_forget(stream_id: int, data: bytes = b"!", flags: int = 0) -> bytes:
    return frame(FrameType.REQUEST_FNF, stream_id, flags, None, data)


def request_stream(stream_id: int, n: int, data: bytes = b"?", flags: int = 0) -> bytes:
    return frame(FrameType.REQUEST_STREAM, stream_id, flags, None, data, initial_n=n)


def request_channel(stream_id: int, n: int, data: bytes = b"?", flags: int = 0) -> bytes:
    return frame(FrameType.REQUEST_CHANNEL, stream_id, flags, None, data, initial_n=n)


def request_n(stream_id: int, n: int) -> bytes:
    return frame(FrameType.REQUEST_N, stream_id, n=n)


def cancel(stream_id: int) -> bytes:
    return frame(FrameType.CANCEL, stream_id)


def payload(stream_id: int, data: bytes = b"", flags: int = NEXT, metadata: bytes | None = None) -> bytes:
    return frame(FrameType.PAYLOAD, stream_id, flags, metadata, data)


def complete(stream_id: int) -> bytes:
    return frame(FrameType.PAYLOAD, stream_id, COMPLETE)


def error(stream_id: int, code: int, text: str = "") -> bytes:
    return frame(FrameType.ERROR, stream_id, data=text.encode(), code=code)


def keepalive(data: bytes = b"", *, respond: bool = True, position: int = 0) -> bytes:
    return frame(FrameType.KEEPALIVE, 0, RESPOND if respond else 0, data=data, position=position)


def lease(ttl_ms: int, requests: int) -> bytes:
    return frame(FrameType.LEASE, ttl_ms=ttl_ms, requests=requests)


def setup(flags: int = 0, metadata: bytes | None = None, data: bytes = b"", **fields: int | str | bytes) -> bytes:
    defaults: dict[str, int | str | bytes] = {
        "major": 1,
        "minor": 0,
        "keepalive_ms": 20_000,
        "lifetime_ms": 90_000,
        "metadata_mime": COMPOSITE,
        "data_mime": PROTOBUF,
    }
    return frame(FrameType.SETUP, 0, flags, metadata, data, **(defaults | fields))


# --- engines ----------------------------------------------------------------------------------------------------


def fresh_server(limits: Limits = Limits()) -> Connection:
    """A server that has read nothing yet."""
    return Connection(server=True, now=0.0, limits=limits)


def open_server(limits: Limits = Limits(), first: bytes | None = None) -> Connection:
    """A server whose client was accepted at 0.0; nothing is left to send."""
    server = fresh_server(limits)
    (fact,) = server.receive(setup() if first is None else first, 0.0)
    assert isinstance(fact, events.SetupReceived)
    assert server.accept(0.0) == []
    assert server.outgoing() == []
    return server


def open_client(limits: Limits = Limits(), setup: Setup = SETUP) -> Connection:
    """A client whose SETUP has left."""
    client = Connection(server=False, now=0.0, limits=limits, setup=setup)
    client.outgoing()
    return client


def sent(connection: Connection) -> list[Frame]:
    """What the connection wants to write, in readable form."""
    return [decode(each) for each in connection.outgoing()]


def sent_one(connection: Connection) -> Frame:
    (frame,) = sent(connection)
    return frame


def only_event(events: Sequence[events.ProtocolEvent], event_type: type[Any]) -> Any:
    """The one fact there is, of that kind."""
    (event,) = events
    assert isinstance(event, event_type), event
    return event


def begin(connection: Connection, request: bytes, now: float = 0.0) -> Stream:
    """The stream that this request begins."""
    fact = only_event(connection.receive(request, now), events.RequestReceived)
    stream = fact.stream
    assert isinstance(stream, Stream)
    return stream


def receive_all(connection: Connection, frames: Iterable[bytes], now: float = 0.0) -> list[events.ProtocolEvent]:
    return [fact for each in frames for fact in connection.receive(each, now)]


def assert_ended(connection: Connection, found: Sequence[events.ProtocolEvent], code: ErrorCode) -> None:
    """The peer broke a rule: the last fact says so, ERROR on stream 0 is the last frame, and then the end."""
    ended = found[-1]
    assert isinstance(ended, events.ConnectionTerminated)
    assert (ended.code, ended.remote) == (code, True)
    assert connection.closing
    assert connection.close_reason is not None
    assert connection.close_reason[0] is code
    last = sent(connection)[-1]
    assert (last.type, last.stream_id, last.fields["code"]) == (FrameType.ERROR, 0, code)
    assert connection.receive(request_response(101), 1.0) == ()
    assert connection.outgoing() == []


class ConnectionPair:
    """A client and a server with a wire between them that can be held, and a log of what each was told."""

    def __init__(
        self, setup: Setup = SETUP, client_limits: Limits = Limits(), server_limits: Limits = Limits()
    ) -> None:
        self.now = 0.0
        self.client = Connection(server=False, now=0.0, limits=client_limits, setup=setup)
        self.server = Connection(server=True, now=0.0, limits=server_limits)
        self.client_events: list[events.ProtocolEvent] = []
        self.server_events: list[events.ProtocolEvent] = []
        self.pump()
        assert self.server.accept(self.now) == []
        self.server_events.clear()

    def pump(self) -> None:
        """Carry frames to and fro until nobody has any left."""
        while True:
            to_server, to_client = self.client.outgoing(), self.server.outgoing()
            if not to_server and not to_client:
                return
            for each in to_server:
                self.server_events += self.server.receive(each, self.now)
            for each in to_client:
                self.client_events += self.client.receive(each, self.now)

    def take_server_events(self) -> list[events.ProtocolEvent]:
        """What the server has been told since the last time."""
        self.pump()
        events, self.server_events = self.server_events, []
        return events

    def take_client_events(self) -> list[events.ProtocolEvent]:
        self.pump()
        events, self.client_events = self.client_events, []
        return events
