"""Items 11 to 24: SETUP, versions, MIME types, rejection, what waits behind it."""

import pytest

from rsocket_harness import (
    COMPOSITE,
    SETUP,
    assert_ended,
    begin,
    cancel,
    error,
    fire_and_forget,
    frame,
    fresh_server,
    keepalive,
    lease,
    only_event,
    open_client,
    open_server,
    payload,
    receive_all,
    request_channel,
    request_n,
    request_response,
    request_stream,
    sent,
    sent_one,
    setup,
)
from tidings.protocols.rsocket import (
    Connection,
    ConnectionState,
    ErrorCode,
    FrameType,
    Limits,
    LocalProtocolError,
    Setup,
    decode,
    events,
)
from tidings.protocols.rsocket.frames import LEASE_ENABLED, METADATA, RESUME_ENABLED

RESUME = frame(
    FrameType.RESUME, major=1, minor=0, resume_token=b"token", last_server_position=0, first_client_position=0
)


@pytest.mark.parametrize(
    "first",
    [
        request_response(1),
        keepalive(),
        payload(1, b"x"),
        error(0, ErrorCode.CONNECTION_ERROR),
        lease(1000, 1),
        b"",
        bytes.fromhex("00000000f800"),  # unknown type 0x3E
        bytes.fromhex("00000000fa00"),  # the same with the ignore flag
    ],
)
def test_item_11_anything_but_setup_first_is_invalid_setup_and_the_end(first: bytes) -> None:
    server = fresh_server()
    assert_ended(server, server.receive(first, 0.0), ErrorCode.INVALID_SETUP)


def test_item_11_setup_on_a_stream_is_invalid_setup_and_the_end() -> None:
    server = fresh_server()
    raw = (1).to_bytes(4, "big") + setup()[4:]
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.INVALID_SETUP)


def test_item_11_resume_on_a_stream_is_invalid_setup_and_the_end() -> None:
    server = fresh_server()
    raw = (1).to_bytes(4, "big") + RESUME[4:]
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.INVALID_SETUP)


def test_item_11_client_begins_with_setup_on_stream_zero() -> None:
    client = Connection(server=False, now=0.0, setup=SETUP)
    first = sent_one(client)
    assert (first.type, first.stream_id) == (FrameType.SETUP, 0)
    assert (first.fields["metadata_mime"], first.fields["data_mime"]) == (SETUP.metadata_mime, SETUP.data_mime)


@pytest.mark.parametrize("version", [(0, 1), (0, 2), (1, 1), (2, 0), (9, 9)])
def test_item_12_other_version_is_invalid_setup(version: tuple[int, int]) -> None:
    server = fresh_server()
    told = server.receive(setup(major=version[0], minor=version[1]), 0.0)
    assert server.close_reason == (ErrorCode.INVALID_SETUP, f"Unsupported version: {version[0]}.{version[1]}")
    assert_ended(server, told, ErrorCode.INVALID_SETUP)


@pytest.mark.parametrize("period", [{"keepalive_ms": 0}, {"lifetime_ms": 0}, {"keepalive_ms": 0, "lifetime_ms": 0}])
def test_item_13_period_of_zero_is_invalid_setup(period: dict[str, int | str | bytes]) -> None:
    server = fresh_server()
    assert_ended(server, server.receive(setup(**period), 0.0), ErrorCode.INVALID_SETUP)


def test_item_13_top_bit_of_a_period_is_masked() -> None:
    raw = bytearray(setup(keepalive_ms=1000))
    raw[10] |= 0x80  # header 6, version 4, then the interval
    assert only_event(fresh_server().receive(bytes(raw), 0.0), events.SetupReceived).setup.keepalive_ms == 1000


def test_item_13_client_refuses_to_declare_zero() -> None:
    with pytest.raises(ValueError, match="keepalive_ms"):
        Connection(server=False, now=0.0, setup=Setup(0, 1, "a/b", "c/d"))


def test_item_14_resume_flag_goes_with_a_token_of_16_bit_length() -> None:
    token = bytes(range(256)) * 255 + bytes(255)  # 65,535 opaque bytes
    raw = setup(RESUME_ENABLED, resume_token=token)
    assert raw[18:20] == b"\xff\xff"
    assert decode(raw).fields["resume_token"] == token
    assert "resume_token" not in decode(setup()).fields


def test_item_14_token_cut_short_is_invalid_setup() -> None:
    server = fresh_server()
    raw = setup(RESUME_ENABLED, resume_token=b"t" * 100)[:60]
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.INVALID_SETUP)


def test_item_15_mime_types_have_8_bit_lengths_up_to_255() -> None:
    long = "application/" + "x" * 243
    said = only_event(fresh_server().receive(setup(metadata_mime=long, data_mime=""), 0.0), events.SetupReceived).setup
    assert (said.metadata_mime, said.data_mime) == (long, "")
    client = Connection(server=False, now=0.0, setup=SETUP._replace(metadata_mime=long))
    assert sent_one(client).fields["metadata_mime"] == long


def test_item_15_metadata_mime_comes_first() -> None:
    raw = setup(metadata_mime="m/m", data_mime="dd/d")
    assert raw[18:] == b"\x03m/m\x04dd/d"


@pytest.mark.parametrize("raw", [setup()[:-1], setup()[:20], setup()[:18], setup()[:12]])
def test_item_15_mime_type_cut_short_is_invalid_setup(raw: bytes) -> None:
    server = fresh_server()
    assert_ended(server, server.receive(raw, 0.0), ErrorCode.INVALID_SETUP)


def test_item_15_mime_type_that_is_not_ascii_is_invalid_setup() -> None:
    server = fresh_server()
    assert_ended(server, server.receive(setup(data_mime="a/b")[:-1] + b"\xff", 0.0), ErrorCode.INVALID_SETUP)


@pytest.mark.parametrize("mime", [COMPOSITE, "message/x.rsocket.routing.v0", "text/plain", "no such thing"])
def test_item_16_engine_hands_mime_types_over_and_reads_nothing_into_them(mime: str) -> None:
    server = fresh_server()
    told = server.receive(setup(metadata_mime=mime, metadata=b"\xff\xff not composite"), 0.0)
    assert only_event(told, events.SetupReceived).setup.metadata_mime == mime
    server.accept(0.0)
    assert (
        only_event(server.receive(request_response(1, b"", b"\xff"), 0.0), events.RequestReceived).metadata == b"\xff"
    )


@pytest.mark.parametrize("code", [ErrorCode.INVALID_SETUP, ErrorCode.UNSUPPORTED_SETUP, ErrorCode.REJECTED_SETUP])
def test_item_17_rejection_is_error_on_stream_zero_then_the_end(code: ErrorCode) -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    server.receive(request_response(1), 0.0)
    server.reject(code, "who are you?")
    assert server.closing
    assert server.close_reason == (code, "who are you?")
    said = sent_one(server)
    assert (said.type, said.stream_id, said.fields["code"], said.data) == (FrameType.ERROR, 0, code, b"who are you?")
    assert server.receive(request_response(3), 0.0) == ()
    assert server.outgoing() == []


def test_item_17_rejection_is_told_once() -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    server.reject(ErrorCode.REJECTED_SETUP, "no")
    assert list(server.transport_lost(0.0)) == [events.ConnectionTerminated(ErrorCode.REJECTED_SETUP, "no", False)]
    assert list(server.transport_lost(0.0)) == []
    assert list(server.tick(1.0)) == []


def test_item_18_resumable_setup_is_rejected_setup_and_the_end() -> None:
    server = fresh_server()
    told = server.receive(setup(RESUME_ENABLED, resume_token=b"token"), 0.0)
    assert_ended(server, told, ErrorCode.REJECTED_SETUP)


def test_item_19_accepted_setup_with_lease_is_followed_by_a_lease() -> None:
    server = fresh_server()
    assert only_event(server.receive(setup(LEASE_ENABLED), 0.0), events.SetupReceived).setup.lease
    server.accept(0.0)
    server.grant_lease(10_000, 5, 0.0)
    assert sent_one(server).fields == {"ttl_ms": 10_000, "requests": 5}


def test_item_19_application_without_leases_rejects_them() -> None:
    server = fresh_server()
    server.receive(setup(LEASE_ENABLED), 0.0)
    server.reject(ErrorCode.UNSUPPORTED_SETUP, "no leases here")
    assert sent_one(server).fields["code"] == ErrorCode.UNSUPPORTED_SETUP


def test_item_20_second_setup_is_ignored() -> None:
    server = open_server()
    assert server.receive(setup(metadata=b"somebody else"), 0.0) == ()
    assert server.outgoing() == []
    assert server.setup is not None
    assert server.setup.metadata is None
    begin(server, request_response(1))


def test_item_20_second_setup_is_ignored_while_the_first_is_looked_at() -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    assert server.receive(setup(metadata=b"somebody else"), 0.0) == ()
    assert not server.closing


def test_item_20_resume_after_setup_is_a_connection_error() -> None:
    server = open_server()
    assert_ended(server, server.receive(RESUME, 0.0), ErrorCode.CONNECTION_ERROR)


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_item_21_server_ignores_setup_errors(code: int) -> None:
    server = open_server()
    assert server.receive(error(0, code, "I reject you"), 0.0) == ()
    assert not server.closing
    begin(server, request_response(1))


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_item_21_client_ends_on_a_setup_error_only_before_it_is_accepted(code: int) -> None:
    client = open_client()
    stream = client.request_response(b"?")
    told = client.receive(error(0, code, "no"), 0.0)
    assert told == [events.Failed(stream, code, "no"), events.ConnectionTerminated(code, "no", True)]
    established = open_client()
    established.request_stream(5, b"?")
    established.receive(payload(1, b"item"), 0.0)
    assert established.receive(error(0, code, "no"), 0.0) == ()
    assert established.state is ConnectionState.OPEN


def test_item_21_client_ignores_a_setup_frame() -> None:
    client = open_client()
    assert client.receive(setup(), 0.0) == ()
    assert not client.closing


def test_item_22_requests_behind_setup_are_held_and_come_in_order_when_accepted() -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    pipelined = [
        request_response(1, b"one"),
        request_stream(3, 5, b"two"),
        request_n(3, 7),
        fire_and_forget(5, b"three"),
    ]
    assert receive_all(server, pipelined) == []
    assert server.outgoing() == []
    told = server.accept(1.0)
    assert [(type(event).__name__, getattr(event, "data", None)) for event in told] == [
        ("RequestReceived", b"one"),
        ("RequestReceived", b"two"),
        ("CreditGranted", None),
        ("RequestReceived", b"three"),
    ]  # fmt: skip
    assert server.streams[3].credit == 12
    assert server.held_frames == []


def test_item_22_request_cancelled_while_it_was_held_is_over_when_accepted() -> None:
    server = fresh_server()
    receive_all(server, [setup(), request_stream(1, 5), cancel(1)])
    request, cancelled = server.accept(1.0)
    assert isinstance(request, events.RequestReceived)
    assert isinstance(cancelled, events.Cancelled)
    assert request.stream.closed
    assert server.streams == {}


def test_item_22_held_requests_are_dropped_on_rejection() -> None:
    server = fresh_server()
    receive_all(server, [setup(), request_response(1), request_channel(3, 5)])
    server.reject(ErrorCode.REJECTED_SETUP, "no")
    assert (server.held_frames, server.held_bytes, server.streams) == ([], 0, {})
    assert sent_one(server).stream_id == 0


def test_item_22_held_frames_are_bounded_in_number() -> None:
    server = fresh_server(Limits(held_requests_max=3))
    receive_all(server, [setup(), *(request_response(1 + 2 * number) for number in range(3))])
    assert not server.closing
    assert_ended(server, server.receive(request_response(7), 0.0), ErrorCode.REJECTED_SETUP)


def test_item_22_held_frames_are_bounded_in_bytes() -> None:
    server = fresh_server(Limits(held_bytes_max=1000))
    receive_all(server, [setup(), request_response(1, bytes(900))])
    assert not server.closing
    assert_ended(server, server.receive(request_response(3, bytes(100)), 0.0), ErrorCode.REJECTED_SETUP)


def test_item_22_broken_frame_that_was_held_ends_the_connection_when_accepted() -> None:
    server = fresh_server()
    receive_all(server, [setup(), request_response(1), request_response(2), request_response(3)])
    told = server.accept(0.0)  # stream 2 is not a client's to open
    assert [type(event) for event in told] == [events.RequestReceived, events.Cancelled, events.ConnectionTerminated]
    assert_ended(server, told, ErrorCode.CONNECTION_ERROR)


def test_item_22_keepalive_is_answered_while_requests_are_held() -> None:
    server = fresh_server()
    receive_all(server, [setup(), request_response(1), keepalive(b"still there?")])
    assert sent_one(server).data == b"still there?"


def test_item_22_server_makes_no_requests_before_it_has_accepted() -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    with pytest.raises(LocalProtocolError):
        server.request_response(b"?")
    server.accept(0.0)
    assert server.request_response(b"?").id == 2


def test_item_22_application_that_never_decides_is_a_rejection() -> None:
    server = fresh_server(Limits(authentication_seconds=5))
    server.receive(setup(), 1.0)
    assert server.deadline() == 6.0
    assert server.tick(5.9) == ()
    told = server.tick(6.0)
    assert told == [
        events.ConnectionTerminated(
            ErrorCode.REJECTED_SETUP, "authentication took longer than 5 s (authentication_seconds)", False
        )
    ]
    assert sent_one(server).fields["code"] == ErrorCode.REJECTED_SETUP
    assert server.accept(7.0) == ()


def test_item_22_client_sends_requests_right_behind_setup() -> None:
    client = Connection(server=False, now=0.0, setup=SETUP)
    client.fire_and_forget(b"!")
    assert [each.type for each in sent(client)] == [FrameType.SETUP, FrameType.REQUEST_FNF]


def test_item_23_silence_before_setup_ends_the_connection() -> None:
    server = fresh_server(Limits(first_frame_seconds=10))
    assert server.deadline() == 10.0
    assert server.tick(9.9) == ()
    assert_ended(server, server.tick(10.0), ErrorCode.INVALID_SETUP)


def test_item_23_setup_in_time_stops_that_timer() -> None:
    server = open_server(Limits(first_frame_seconds=10))
    server.tick(10.0)
    assert not server.closing


def test_item_24_setup_carries_metadata_and_data() -> None:
    said = only_event(
        fresh_server().receive(setup(metadata=b"route, token", data=b"hello"), 0.0), events.SetupReceived
    ).setup
    assert (said.metadata, said.data) == (b"route, token", b"hello")
    client = Connection(server=False, now=0.0, setup=SETUP._replace(metadata=b"m", data=b"d"))
    first = sent_one(client)
    assert (first.flags & METADATA, first.metadata, first.data) == (METADATA, b"m", b"d")
