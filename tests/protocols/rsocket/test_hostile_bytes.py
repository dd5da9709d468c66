"""Whatever bytes come: no exception, no endless loop, no unbounded memory, and nothing but whole frames out."""

from hypothesis import given
from hypothesis import strategies as st

from rsocket_harness import open_client, open_server, setup
from tidings.protocols.rsocket import Connection, FrameType, Limits, LocalProtocolError, decode, events
from tidings.protocols.rsocket.frames import LEASE_ENABLED
from tidings.protocols.rsocket.reassembly import PARTIAL_PAYLOAD_BYTES

TIGHT = Limits(
    fragment_bytes=64,
    reassembly_bytes_max=300,
    reassembly_connection_bytes_max=500 + 2 * PARTIAL_PAYLOAD_BYTES,
    fragments_max=8,
    streams_max=3,
    held_requests_max=4,
    held_bytes_max=300,
    outbound_bytes_pause=1000,
    outbound_bytes_max=4000,
    error_text_bytes_max=20,
    keepalive_data_bytes_max=50,
)


@st.composite
def likely_frame(draw: st.DrawFn) -> bytes:
    """Bytes that look like a frame: a known type, few stream ids, any flags, a body of about the right length."""
    stream_id = draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3, 3, 5, 7, 9, 0x80000001]))
    number = draw(st.sampled_from([*FrameType, 0x00, 0x30]))
    body = draw(st.sampled_from([b"", bytes(4), b"\0\0\0\5", b"\0\0\2mm", bytes(8), b"x" * 120])) + draw(
        st.binary(max_size=40)
    )
    return stream_id.to_bytes(4, "big") + (number << 10 | draw(st.integers(0, 0x3FF))).to_bytes(2, "big") + body


FRAMES = st.lists(likely_frame() | st.binary(max_size=30), max_size=40)


def provoke(connection: Connection, frames: list[bytes], *, lazy: bool) -> None:
    """Receive everything, answer what can be answered, and look at what the connection holds after each frame."""
    ends = 0
    for number, raw in enumerate(frames):
        for event in connection.receive(raw, number / 10):
            if isinstance(event, events.SetupReceived):
                connection.accept(number / 10)
            elif isinstance(event, events.RequestReceived):
                event.stream.request(2)
                if event.stream.available_credit():
                    event.stream.next(bytes(200))
            elif isinstance(event, events.ConnectionTerminated):
                ends += 1
        limits = connection.limits
        assert (
            len(connection.streams) + len(connection.partial_payloads) <= limits.streams_max + 2
        )  # two requests are our own
        assert connection.reassembler.held_bytes <= limits.reassembly_connection_bytes_max
        assert connection.reassembler.held_bytes == sum(
            PARTIAL_PAYLOAD_BYTES + run.size for run in connection.partial_payloads.values()
        )
        assert connection.held_bytes <= limits.held_bytes_max
        assert connection.outbound_bytes <= limits.outbound_bytes_max
        if not lazy:
            for each in connection.outgoing():
                decode(each)
    for each in connection.outgoing():
        decode(each)
    ends += sum(isinstance(event, events.ConnectionTerminated) for event in connection.transport_lost(99.0))
    assert ends == 1
    assert connection.streams == {}
    assert connection.outbound_bytes == 0


@given(FRAMES, st.booleans())
def test_server_survives_any_first_frames(frames: list[bytes], lazy: bool) -> None:
    provoke(Connection(server=True, now=0.0, limits=TIGHT), frames, lazy=lazy)


@given(FRAMES, st.booleans(), st.booleans())
def test_open_server_survives_anything(frames: list[bytes], lazy: bool, leased: bool) -> None:
    server = open_server(TIGHT, first=setup(LEASE_ENABLED if leased else 0))
    if leased:
        server.grant_lease(1000, 5, 0.0)
    provoke(server, frames, lazy=lazy)


@given(FRAMES, st.booleans())
def test_server_that_has_not_decided_survives_anything(frames: list[bytes], lazy: bool) -> None:
    server = Connection(server=True, now=0.0, limits=TIGHT)
    server.receive(setup(), 0.0)
    provoke(server, frames, lazy=lazy)


@given(FRAMES, st.booleans())
def test_client_survives_anything(frames: list[bytes], lazy: bool) -> None:
    client = open_client(TIGHT)
    client.request_stream(3, b"?")
    client.request_channel(3, b"?")
    provoke(client, frames, lazy=lazy)


@given(FRAMES)
def test_draining_server_survives_anything(frames: list[bytes]) -> None:
    server = open_server(TIGHT)
    server.receive(bytes.fromhex("00000001180000000005"), 0.0)  # REQUEST_STREAM, n = 5
    server.drain(0.0, "restarting")
    provoke(server, frames, lazy=False)


@given(FRAMES)
def test_whatever_came_the_program_may_still_call_every_method(frames: list[bytes]) -> None:
    client = open_client(TIGHT)
    streams = [client.request_response(b"?"), client.request_stream(1, b"?"), client.request_channel(1, b"?")]
    for raw in frames:
        client.receive(raw, 1.0)
    calls = [call for each in streams for call in (
        lambda s=each: s.request(1), lambda s=each: s.next(b"x"), lambda s=each: s.complete(),
        lambda s=each: s.cancel(), lambda s=each: s.fail(0x301, "x"), lambda s=each: s.send_frames(b"x", 1),
    )]  # fmt: skip
    calls += [lambda: client.keepalive(), lambda: client.metadata_push(b"x"), lambda: client.drain(2.0, "x")]
    calls += [lambda: client.request_response(b"?"), lambda: client.grant_lease(1, 1, 1.0), lambda: client.accept(2.0)]
    for call in calls:
        try:
            call()
        except LocalProtocolError as refused:
            assert str(refused)
    client.tick(3.0)
    client.transport_lost(4.0)
