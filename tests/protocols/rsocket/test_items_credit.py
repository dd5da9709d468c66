"""Items 36 to 42: request(n)."""

import pytest

from rsocket_harness import (
    ConnectionPair,
    begin,
    cancel,
    complete,
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
)
from tidings.protocols.rsocket import UNBOUNDED, ErrorCode, FrameType, Limits, LocalProtocolError, events
from tidings.protocols.rsocket.frames import COMPLETE, FOLLOWS, NEXT


def test_item_36_initial_n_of_zero_is_an_invalid_request() -> None:
    server = open_server()
    for raw in (request_stream(1, 0), request_channel(3, 0)):
        assert server.receive(raw, 0.0) == ()
        said = sent_one(server)
        assert (said.type, said.fields["code"]) == (FrameType.ERROR, ErrorCode.INVALID)
    assert server.streams == {}


def test_item_36_request_n_of_zero_is_ignored() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 1))
    assert server.receive(request_n(1, 0), 0.0) == ()
    assert stream.credit == 1


def test_item_36_top_bit_of_n_is_masked() -> None:
    server = open_server()
    # stream 1, REQUEST_STREAM, n = 0x80000002
    stream = begin(server, bytes.fromhex("00000001180080000002"))
    assert stream.credit == 2
    server.receive(bytes.fromhex("00000001200080000003"), 0.0)  # REQUEST_N
    assert stream.credit == 5
    assert server.receive(bytes.fromhex("00000001200080000000"), 0.0) == ()  # 0 once it is masked


def test_item_36_we_never_ask_for_less_than_one() -> None:
    client = open_client()
    with pytest.raises(LocalProtocolError):
        client.request_stream(0, b"?")
    with pytest.raises(LocalProtocolError):
        client.request_channel(-1, b"?")
    with pytest.raises(LocalProtocolError):
        client.request_stream(1, b"?").request(0)


def test_item_37_credit_adds_up() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 2))
    assert only_event(server.receive(request_n(1, 3), 0.0), events.CreditGranted) == (stream, 3)
    assert stream.available_credit() == 5


def test_item_37_nothing_is_sent_when_credit_is_spent() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 2))
    stream.next(b"a")
    stream.next(b"b")
    assert stream.available_credit() == 0
    with pytest.raises(LocalProtocolError, match="credit"):
        stream.next(b"c")
    with pytest.raises(LocalProtocolError, match="credit"):
        stream.send_frames(b"c", 1)
    assert [each.data for each in sent(server)] == [b"a", b"b"]


def test_item_37_shared_frames_cost_as_many_credits_as_they_carry() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    stream.send_frames(payload(1, b"a") + payload(1, b"b"), 2)
    assert stream.credit == 3
    with pytest.raises(LocalProtocolError, match="credit"):
        stream.send_frames(b"xxxx", 4)
    assert stream.credit == 3


def test_item_37_complete_and_error_cost_nothing() -> None:
    server = open_server()
    spent = begin(server, request_stream(1, 1))
    spent.next(b"a")
    spent.complete()
    failing = begin(server, request_stream(3, 1))
    failing.next(b"a")
    failing.fail(ErrorCode.APPLICATION_ERROR, "oh")
    assert [each.type for each in sent(server)] == [FrameType.PAYLOAD] * 3 + [FrameType.ERROR]


def test_item_38_all_of_31_bits_is_unbounded_and_never_used_up() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, UNBOUNDED))
    assert stream.credit == UNBOUNDED
    for _ in range(100):
        stream.next(b"x")
    assert stream.credit == UNBOUNDED
    server.receive(request_n(1, 5), 0.0)
    assert stream.credit == UNBOUNDED


def test_item_38_addition_saturates() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, UNBOUNDED - 1))
    assert stream.credit != UNBOUNDED
    server.receive(request_n(1, UNBOUNDED - 1), 0.0)
    assert stream.credit == UNBOUNDED
    client = open_client()
    asked = client.request_stream(UNBOUNDED - 1, b"?")
    asked.request(UNBOUNDED)
    assert asked.granted == UNBOUNDED
    client.outgoing()
    asked.request(5)  # everything is granted; there is nothing to add
    assert client.outgoing() == []
    for _ in range(5):
        client.receive(payload(asked.id, b"x"), 0.0)
    assert asked.granted == UNBOUNDED


def test_item_39_a_channel_has_two_independent_credits() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_channel(3, b"first")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.request(5)
    pair.pump()
    assert (answering.credit, answering.granted, asking.credit, asking.granted) == (3, 5, 5, 3)
    asking.next(b"a")
    pair.pump()
    assert (answering.credit, answering.granted, asking.credit, asking.granted) == (3, 4, 4, 3)
    answering.next(b"b")
    pair.pump()
    assert (answering.credit, answering.granted, asking.credit, asking.granted) == (2, 4, 4, 2)


def test_item_39_fragmented_payload_costs_one_credit_on_both_ends() -> None:
    pair = ConnectionPair(server_limits=Limits(fragment_bytes=64))
    asking = pair.client.request_stream(2, b"?")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.next(bytes(1000))
    assert answering.credit == 1
    assert len(only_event(pair.take_client_events(), events.PayloadReceived).data) == 1000
    assert asking.granted == 1


def test_item_40_responder_ends_a_channel_that_sends_more_than_was_granted() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    stream.request(2)
    server.outgoing()
    receive_all(server, [payload(1, b"a"), payload(1, b"b")])
    failed = only_event(server.receive(payload(1, b"c"), 0.0), events.Failed)
    assert (failed.stream, failed.code) == (stream, ErrorCode.CANCELED)
    said = sent_one(server)
    assert (said.type, said.fields["code"]) == (FrameType.ERROR, ErrorCode.CANCELED)
    assert said.data == b"The number of messages received exceeds the number requested"
    assert server.streams == {}


def test_item_40_requester_cancels_a_stream_that_sends_more_than_was_granted() -> None:
    client = open_client()
    stream = client.request_stream(1, b"?")
    client.outgoing()
    client.receive(payload(1, b"a"), 0.0)
    assert only_event(client.receive(payload(1, b"b"), 0.0), events.Failed).stream is stream
    assert sent_one(client).type is FrameType.CANCEL


def test_item_40_first_fragment_beyond_the_credit_is_enough() -> None:
    server = open_server()
    begin(server, request_channel(1, 5))
    only_event(server.receive(payload(1, b"a", FOLLOWS | NEXT), 0.0), events.Failed)
    assert server.reassembler.held_bytes == 0


def test_item_40_completion_needs_no_credit() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    assert only_event(server.receive(complete(1), 0.0), events.Completed).stream is stream


def test_item_41_missing_request_n_is_waited_for_forever() -> None:
    server = open_server(Limits(lifetime_seconds_max=1e9))
    stream = begin(server, request_stream(1, 1))
    stream.next(b"a")
    for hour in range(1, 24):
        server.receive(request_n(99, 1), hour * 3600.0)
        server.tick(hour * 3600.0)
    assert not stream.closed
    assert not stream.sending_closed


def test_item_41_request_n_for_what_is_unknown_or_over_is_ignored() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 1))
    stream.complete()
    begin(server, request_response(3))
    server.outgoing()
    for stream_id in (0, 1, 3, 5, 2):
        assert server.receive(request_n(stream_id, 5), 0.0) == ()
    assert server.outgoing() == []
    assert not server.closing


def test_item_42_producers_are_not_asked_while_the_socket_is_full() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 100))
    server.writable = False
    assert server.congested
    assert stream.available_credit() == 0
    server.writable = True
    assert stream.available_credit() == 100


def test_item_42_producers_are_not_asked_above_the_pause_mark() -> None:
    server = open_server(Limits(outbound_bytes_pause=1000))
    stream = begin(server, request_stream(1, UNBOUNDED))
    other = begin(server, request_stream(3, UNBOUNDED))
    made = 0
    while stream.available_credit():
        stream.next(bytes(94))
        made += 1
    assert (made, server.outbound_bytes, server.congested) == (10, 1000, True)
    assert other.available_credit() == 0
    server.outgoing()
    assert (server.outbound_bytes, server.congested, other.available_credit()) == (0, False, UNBOUNDED)


def test_item_42_outbound_bytes_have_an_end() -> None:
    server = open_server(Limits(outbound_bytes_max=10_000))
    stream = begin(server, request_stream(1, UNBOUNDED))
    for _ in range(20):
        stream.next(bytes(994))  # a producer that never looks at sendable()
        assert server.outbound_bytes <= 10_000
    assert server.closing
    assert stream.closed
    last = sent_one(server)
    assert (last.type, last.stream_id, last.fields["code"]) == (FrameType.ERROR, 0, ErrorCode.CONNECTION_ERROR)
    cancelled, ended = server.transport_lost(0.0)
    assert cancelled == events.Cancelled(stream)
    assert isinstance(ended, events.ConnectionTerminated)


def test_item_42_unread_answers_end_the_connection_too() -> None:
    server = open_server(Limits(outbound_bytes_max=10_000))
    server.writable = False
    for number in range(10_000):
        for event in server.receive(request_response(1 + 2 * number), 0.0):
            if isinstance(event, events.RequestReceived):
                event.stream.next(bytes(100))
        assert server.outbound_bytes <= 10_000
    assert server.closing


def test_item_42_refusals_are_counted_as_well() -> None:
    server = open_server(Limits(outbound_bytes_max=10_000, streams_max=1))
    server.writable = False
    begin(server, request_response(1))
    for number in range(1, 10_000):
        server.receive(request_response(1 + 2 * number), 0.0)
        assert server.outbound_bytes <= 10_000
    assert server.closing


def test_item_42_channels_opened_and_cancelled_leave_nothing_behind() -> None:
    server = open_server()
    for number in range(1000):
        receive_all(server, [request_channel(1 + 2 * number, 1), cancel(1 + 2 * number)])
    assert server.outgoing() == []
    assert (server.streams, server.uncredited_channels) == ({}, {})


def test_sendable_is_zero_once_our_half_is_closed() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 100))
    stream.complete()
    assert stream.available_credit() == 0
    assert not stream.closed


def test_answer_to_a_request_response_counts_as_one() -> None:
    server = open_server()
    stream = begin(server, request_response(1))
    assert stream.available_credit() == 1
    stream.next(b"a")
    assert stream.available_credit() == 0


def test_completion_with_an_item_needs_credit_for_the_item() -> None:
    client = open_client()
    stream = client.request_stream(1, b"?")
    told = client.receive(payload(1, b"last", NEXT | COMPLETE), 0.0)
    assert told == (events.PayloadReceived(stream, None, b"last", True),)
