"""Items 54 to 58: what ends a connection, what ends a stream, and how it is said."""

import pytest

from rsocket_harness import (
    ConnectionPair,
    begin,
    error,
    frame,
    only_event,
    open_client,
    open_server,
    payload,
    receive_all,
    request_channel,
    request_response,
    request_stream,
    sent,
    sent_one,
)
from tidings.protocols.rsocket import ConnectionState, ErrorCode, FrameType, Limits, LocalProtocolError, events
from tidings.protocols.rsocket.frames import COMPLETE, FOLLOWS, NEXT


def test_item_54_codes_of_stream_zero() -> None:
    assert [int(code) for code in list(ErrorCode)[:6]] == [0x001, 0x002, 0x003, 0x004, 0x101, 0x102]


def test_item_54_connection_error_ends_at_once_and_drops_what_is_queued() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    stream.next(b"queued")
    server.close(ErrorCode.CONNECTION_ERROR, "enough")
    assert server.closing
    said = sent_one(server)
    assert (said.stream_id, said.fields["code"], said.data) == (0, ErrorCode.CONNECTION_ERROR, b"enough")
    assert server.transport_lost(0.0) == [
        events.Cancelled(stream), events.ConnectionTerminated(ErrorCode.CONNECTION_ERROR, "enough", False),
    ]  # fmt: skip


def test_item_54_connection_error_from_the_peer_ends_every_stream() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    assert client.receive(error(0, ErrorCode.CONNECTION_ERROR, "bye"), 0.0) == [
        events.Failed(stream, ErrorCode.CONNECTION_ERROR, "bye"),
        events.ConnectionTerminated(ErrorCode.CONNECTION_ERROR, "bye", True),
    ]
    assert client.closing
    assert client.outgoing() == []  # nothing is answered to an ERROR


def test_item_54_connection_close_from_the_peer_waits_for_outstanding_streams() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    assert receive_all(server, [error(0, ErrorCode.CONNECTION_CLOSE, "bye")]) == []
    assert not server.closing
    stream.next(b"still answering")
    stream.complete()
    assert server.closing
    assert [each.type for each in sent(server)] == [FrameType.PAYLOAD, FrameType.PAYLOAD]
    assert server.deadline() is not None
    assert list(server.tick(0.0)) == [events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "bye", True)]


def test_item_54_connection_close_from_the_peer_ends_at_once_when_nothing_is_outstanding() -> None:
    client = open_client()
    assert client.receive(error(0, ErrorCode.CONNECTION_CLOSE, "bye"), 0.0) == [
        events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "bye", True)
    ]
    assert client.closing


def test_item_54_no_new_requests_after_connection_close() -> None:
    client = open_client()
    client.request_stream(5, b"?")
    client.outgoing()
    client.receive(error(0, ErrorCode.CONNECTION_CLOSE, "bye"), 0.0)
    with pytest.raises(LocalProtocolError):
        client.request_response(b"?")
    assert client.receive(request_response(2), 0.0) == ()
    assert sent_one(client).fields["code"] == ErrorCode.REJECTED


def test_item_55_codes_of_streams() -> None:
    assert [int(code) for code in list(ErrorCode)[6:]] == [0x201, 0x202, 0x203, 0x204]


@pytest.mark.parametrize("code", [0, 0x1, 0x3, 0x101, 0x102, 0x200, 0x205, 0x300, 0x80000000, 0xFFFFFFFF, -1])
def test_item_55_a_stream_never_fails_with_a_code_of_stream_zero(code: int) -> None:
    server = open_server()
    stream = begin(server, request_response(1))
    with pytest.raises(LocalProtocolError):
        stream.fail(code, "no")
    assert server.outgoing() == []
    assert not stream.closed


def test_item_55_nothing_a_peer_does_makes_us_send_a_stream_code_on_stream_zero() -> None:
    server = open_server()
    provocations = [
        payload(0, b"x"), frame(FrameType.METADATA_PUSH, metadata=b"x"), error(0, 0x204, "x"),
    ]  # fmt: skip
    receive_all(server, provocations)
    assert server.outgoing() == []


@pytest.mark.parametrize("code", [0x301, 0x305, 0x7FFFFFFF])
def test_item_56_application_codes_go_through(code: int) -> None:
    pair = ConnectionPair()
    asking = pair.client.request_response(b"?")
    only_event(pair.take_server_events(), events.RequestReceived).stream.fail(code, "why")
    assert pair.take_client_events() == [events.Failed(asking, code, "why")]


@pytest.mark.parametrize("code", [0, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF])
def test_item_56_any_code_from_a_peer_reaches_the_caller(code: int) -> None:
    client = open_client()
    stream = client.request_response(b"?")
    assert client.receive(error(1, code, "why"), 0.0) == (events.Failed(stream, code, "why"),)


def test_item_56_codes_above_31_bits_are_never_sent() -> None:
    server = open_server()
    with pytest.raises(LocalProtocolError):
        begin(server, request_response(1)).fail(0x80000000, "rsocket-js closes the connection on this")


def test_item_57_error_text_is_utf_8_without_nul() -> None:
    server = open_server()
    begin(server, request_response(1)).fail(0x301, "Zimmer \0„Küche“ \ud800 \U0001f512")
    assert sent_one(server).data == "Zimmer „Küche“ ? \U0001f512".encode()


def test_item_57_error_text_is_cut_between_characters() -> None:
    server = open_server(Limits(error_text_bytes_max=10))
    begin(server, request_response(1)).fail(0x301, "ab" + "é" * 10)
    assert sent_one(server).data == ("ab" + "é" * 4).encode()
    begin(server, request_response(3)).fail(0x301, "abc" + "é" * 10)
    assert sent_one(server).data == ("abc" + "é" * 3).encode()


def test_item_57_text_that_is_not_utf_8_does_not_break_the_reader() -> None:
    client = open_client(Limits(error_text_bytes_max=10))
    client.request_response(b"?")
    raw = frame(FrameType.ERROR, 1, data=b"\xff\xfe" + b"x" * 100, code=0x201)
    failed = only_event(client.receive(raw, 0.0), events.Failed)
    assert failed.text == "\ufffd\ufffdxxxxxxxx"


@pytest.mark.parametrize("code", [0x101, 0x201, 0x204, 0x301, 0x105, 0, 0xFFFFFFFF])
def test_item_58_any_error_on_stream_zero_ends_the_connection(code: int) -> None:
    client = open_client()
    client.receive(payload(9, b""), 0.0)  # accepted
    assert client.receive(error(0, code, "bye"), 0.0) == [events.ConnectionTerminated(code, "bye", True)]
    assert client.closing


def test_item_58_drain_lets_outstanding_streams_finish_then_says_connection_close() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    channel = begin(server, request_channel(3, 5, flags=COMPLETE))
    server.drain(1.0, "restarting")
    assert server.state is ConnectionState.DRAINING
    assert server.outgoing() == []  # an ERROR now would end the streams at every known client
    stream.next(b"finishing")
    stream.complete()
    assert not server.closing
    channel.complete()
    assert server.closing
    assert server.close_reason == (ErrorCode.CONNECTION_CLOSE, "restarting")
    frames = sent(server)
    assert [each.type for each in frames] == [FrameType.PAYLOAD] * 3 + [FrameType.ERROR]
    assert (frames[-1].stream_id, frames[-1].fields["code"]) == (0, ErrorCode.CONNECTION_CLOSE)
    ended = events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "restarting", False)
    assert list(server.transport_lost(2.0)) == [ended]


def test_item_58_drain_refuses_new_requests_as_safe_to_retry() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    server.drain(1.0, "restarting")
    for refused in (request_response(3), request_stream(5, 1), request_channel(7, 1)):
        assert server.receive(refused, 1.0) == ()
    assert [(each.stream_id, each.fields["code"]) for each in sent(server)] == [(3, 0x202), (5, 0x202), (7, 0x202)]
    assert server.receive(request_response(1), 1.0) == ()  # in use: an ERROR would hit the living stream
    assert server.receive(frame(FrameType.REQUEST_FNF, 9), 1.0) == ()
    assert server.outgoing() == []
    assert not stream.closed


def test_item_58_drain_with_nothing_outstanding_ends_at_once() -> None:
    server = open_server()
    server.drain(1.0, "restarting")
    assert server.closing
    assert sent_one(server).fields["code"] == ErrorCode.CONNECTION_CLOSE


def test_item_58_drain_ends_when_the_peer_ends_the_last_stream() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    server.drain(1.0, "restarting")
    assert server.receive(frame(FrameType.CANCEL, 1), 1.0) == (events.Cancelled(stream),)
    assert server.closing
    assert sent_one(server).fields["code"] == ErrorCode.CONNECTION_CLOSE


def test_item_58_drain_still_answers_keepalives_and_notices_a_dead_peer() -> None:
    server = open_server()
    begin(server, request_stream(1, 5))
    server.drain(1.0, "restarting")
    server.receive(frame(FrameType.KEEPALIVE, 0, 0x80, position=0), 2.0)
    assert sent_one(server).type is FrameType.KEEPALIVE
    server.tick(92.0)
    assert server.closing


def test_item_58_request_whose_fragments_were_on_the_way_is_refused() -> None:
    server = open_server()
    begin(server, request_stream(1, 5))
    server.receive(request_response(3, b"a", flags=FOLLOWS), 0.0)
    server.drain(1.0, "restarting")
    assert server.receive(payload(3, b"b", NEXT), 1.0) == ()
    assert (sent_one(server).fields["code"]) == ErrorCode.REJECTED


def test_item_58_client_drains_too() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_stream(5, b"?")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    pair.client.drain(1.0, "page closed")
    with pytest.raises(LocalProtocolError):
        pair.client.request_response(b"?")
    answering.next(b"last", complete=True)
    told = pair.take_client_events()
    assert told == [events.PayloadReceived(asking, None, b"last", True)]
    ended = events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "page closed", True)
    assert pair.take_server_events() == [ended]


def test_answer_and_farewell_leave_in_that_order_even_one_by_one() -> None:
    server = open_server()
    stream = begin(server, request_response(1))
    server.drain(1.0, "restarting")
    stream.next(b"answer")
    assert [each[:4] for each in (server.outgoing(1)[0], server.outgoing(1)[0])] == [b"\0\0\0\1", b"\0\0\0\0"]
    assert server.outgoing(1) == []
    assert server.outbound_bytes == 0


def test_closing_twice_says_it_once() -> None:
    server = open_server()
    server.close(ErrorCode.CONNECTION_ERROR, "first")
    server.close(ErrorCode.CONNECTION_CLOSE, "second")
    server.drain(1.0, "third")
    assert sent_one(server).data == b"first"
    assert len(server.transport_lost(1.0)) == 1


def test_facts_of_a_local_end_come_with_the_next_tick() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    server.close(ErrorCode.CONNECTION_ERROR, "enough")
    assert server.deadline() == 0.0
    cancelled, ended = server.tick(0.1)
    assert cancelled == events.Cancelled(stream)
    assert isinstance(ended, events.ConnectionTerminated)
    assert server.deadline() is None
    assert list(server.tick(0.2)) == []


def test_complete_flag_is_worth_one_frame() -> None:
    server = open_server()
    begin(server, request_stream(1, 5)).next(b"x", complete=True)
    assert sent_one(server).flags == NEXT | COMPLETE
