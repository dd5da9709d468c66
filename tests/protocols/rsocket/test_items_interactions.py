"""Items 43 to 53: the lives of the four interactions."""

import pytest

from rsocket_harness import (
    ConnectionPair,
    begin,
    cancel,
    complete,
    error,
    fire_and_forget,
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
from tidings.protocols.rsocket import ErrorCode, FrameType, LocalProtocolError, events
from tidings.protocols.rsocket.frames import COMPLETE, FOLLOWS, NEXT

# --- 43: request-response ---------------------------------------------------------------------------------------


def test_item_43_answer_has_next_and_complete_in_one_frame() -> None:
    server = open_server()
    begin(server, request_response(1)).next(b"answer")
    (raw,) = server.outgoing()
    assert raw == bytes.fromhex("000000012860") + b"answer"  # stream 1, PAYLOAD, C and N


def test_item_43_answer_without_a_payload_is_an_empty_one_never_complete_alone() -> None:
    server = open_server()
    begin(server, request_response(1)).complete()
    said = sent_one(server)
    assert (said.flags, said.data) == (NEXT | COMPLETE, b"")


def test_item_43_stream_is_over_after_the_answer() -> None:
    server = open_server()
    stream = begin(server, request_response(1))
    stream.next(b"answer")
    assert stream.closed
    assert server.streams == {}
    with pytest.raises(LocalProtocolError):
        stream.next(b"again")
    assert len(server.outgoing()) == 1


def test_item_43_payload_without_complete_is_the_answer_all_the_same() -> None:
    client = open_client()
    stream = client.request_response(b"?")
    assert client.receive(payload(1, b"answer"), 0.0) == (events.PayloadReceived(stream, None, b"answer", True),)
    assert client.streams == {}
    assert client.receive(payload(1, b"more"), 0.0) == ()


def test_item_43_complete_alone_is_an_answer_without_a_payload() -> None:
    client = open_client()
    stream = client.request_response(b"?")
    assert client.receive(complete(1), 0.0) == (events.Completed(stream),)
    assert client.streams == {}


def test_item_43_error_is_the_answer() -> None:
    server, client = open_server(), open_client()
    begin(server, request_response(1)).fail(ErrorCode.APPLICATION_ERROR, "no")
    stream = client.request_response(b"?")
    client.outgoing()
    (raw,) = server.outgoing()
    assert client.receive(raw, 0.0) == (events.Failed(stream, ErrorCode.APPLICATION_ERROR, "no"),)


def test_item_43_nothing_is_sent_after_cancel() -> None:
    server = open_server()
    stream = begin(server, request_response(1))
    assert server.receive(cancel(1), 0.0) == (events.Cancelled(stream),)
    stream.next(b"too late")  # they crossed on the wire: not a mistake of ours
    stream.complete()
    stream.fail(ErrorCode.APPLICATION_ERROR, "too late")
    stream.cancel()
    assert server.outgoing() == []


def test_item_43_requester_cancels() -> None:
    client = open_client()
    stream = client.request_response(b"?")
    client.outgoing()
    stream.cancel()
    stream.cancel()
    assert sent_one(client).type is FrameType.CANCEL
    assert client.receive(payload(1, b"late", NEXT | COMPLETE), 0.0) == ()


# --- 44: fire and forget ----------------------------------------------------------------------------------------


def test_item_44_fire_and_forget_is_over_on_receipt_and_nothing_goes_back() -> None:
    server = open_server()
    event = only_event(server.receive(fire_and_forget(1, b"!"), 0.0), events.RequestReceived)
    assert (event.data, event.complete, event.stream.closed) == (b"!", True, True)
    event.stream.next(b"an answer")
    event.stream.complete()
    event.stream.fail(ErrorCode.APPLICATION_ERROR, "the handler failed")
    event.stream.cancel()
    event.stream.request(1)
    assert server.outgoing() == []
    assert server.streams == {}


def test_item_44_sender_keeps_nothing() -> None:
    client = open_client()
    client.fire_and_forget(b"!", b"m")
    said = sent_one(client)
    assert (said.type, said.metadata, said.data) == (FrameType.REQUEST_FNF, b"m", b"!")
    assert client.streams == {}


# --- 45: stream -------------------------------------------------------------------------------------------------


def test_item_45_stream_is_items_then_complete() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_stream(10, b"?")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.next(b"a")
    answering.next(b"b", b"m")
    answering.complete()
    assert pair.take_client_events() == [
        events.PayloadReceived(asking, None, b"a", False),
        events.PayloadReceived(asking, b"m", b"b", False),
        events.Completed(asking),
    ]
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_45_last_item_may_complete() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_stream(10, b"?")
    only_event(pair.take_server_events(), events.RequestReceived).stream.next(b"only", complete=True)
    assert pair.take_client_events() == [events.PayloadReceived(asking, None, b"only", True)]
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_45_stream_is_over_after_error_or_cancel() -> None:
    pair = ConnectionPair()
    failing = pair.client.request_stream(10, b"?")
    only_event(pair.take_server_events(), events.RequestReceived).stream.fail(0x301, "no such room")
    assert pair.take_client_events() == [events.Failed(failing, 0x301, "no such room")]
    cancelling = pair.client.request_stream(10, b"?")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    cancelling.cancel()
    assert pair.take_server_events() == [events.Cancelled(answering)]
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_45_nothing_follows_complete() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 10))
    stream.complete()
    server.outgoing()
    with pytest.raises(LocalProtocolError):
        stream.next(b"after the end")
    with pytest.raises(LocalProtocolError):
        stream.complete()
    with pytest.raises(LocalProtocolError):
        stream.fail(ErrorCode.APPLICATION_ERROR, "after the end")
    assert server.outgoing() == []


# --- 46 to 48: channel ------------------------------------------------------------------------------------------


def test_item_46_channel_is_one_request_then_payloads() -> None:
    client = open_client()
    stream = client.request_channel(5, b"first")
    client.receive(request_n(1, 2), 0.0)
    stream.next(b"second")
    stream.next(b"third")
    assert [(each.type, each.data) for each in sent(client)] == [
        (FrameType.REQUEST_CHANNEL, b"first"), (FrameType.PAYLOAD, b"second"), (FrameType.PAYLOAD, b"third"),
    ]  # fmt: skip


def test_item_46_requester_sends_no_item_before_the_first_request_n() -> None:
    client = open_client()
    stream = client.request_channel(5, b"first")
    assert stream.available_credit() == 0
    with pytest.raises(LocalProtocolError, match="credit"):
        stream.next(b"second")


def test_item_46_responder_answers_with_request_n_of_what_the_application_asks_for() -> None:
    server = open_server()
    begin(server, request_channel(1, 5)).request(16)
    said = sent_one(server)
    assert (said.type, said.stream_id, said.fields) == (FrameType.REQUEST_N, 1, {"n": 16})


def test_item_46_responder_answers_with_request_n_even_when_the_application_does_not_ask() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    assert sent_one(server).fields == {"n": 1}
    assert stream.granted == 1
    stream.request(3)  # the one that went ahead is part of these
    assert sent_one(server).fields == {"n": 2}
    stream.request(3)
    assert sent_one(server).fields == {"n": 3}
    assert stream.granted == 6


def test_item_46_request_n_is_not_owed_to_a_requester_that_is_done() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5, flags=COMPLETE))
    stream.request(3)
    assert server.outgoing() == []


def test_item_47_requester_reads_without_waiting_for_a_request_n() -> None:
    client = open_client()
    stream = client.request_channel(5, b"the only item asked for")
    told = receive_all(client, [payload(1, b"a"), payload(1, b"b", NEXT | COMPLETE)])
    assert [type(event) for event in told] == [events.PayloadReceived, events.PayloadReceived]
    stream.complete()
    assert stream.closed


def test_item_48_complete_in_the_request_ends_the_requesters_half_only() -> None:
    server = open_server()
    event = only_event(server.receive(request_channel(1, 5, flags=COMPLETE), 0.0), events.RequestReceived)
    assert (event.complete, event.stream.receiving_closed, event.stream.sending_closed) == (True, True, False)
    assert server.receive(payload(1, b"must not come"), 0.0) == ()
    event.stream.next(b"still talking")
    server.receive(request_n(1, 3), 0.0)
    assert event.stream.credit == 7
    event.stream.complete()
    assert server.streams == {}


def test_item_48_complete_in_a_payload_ends_the_requesters_half_only() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    stream.request(10)
    told = server.receive(payload(1, b"last", NEXT | COMPLETE), 0.0)
    assert told == (events.PayloadReceived(stream, None, b"last", True),)
    assert server.receive(payload(1, b"after the end"), 0.0) == ()
    assert not stream.closed
    stream.next(b"still talking", complete=True)
    assert stream.closed
    assert server.streams == {}


def test_item_48_channel_is_over_when_both_have_completed_whoever_was_first() -> None:
    for responder_first in (True, False):
        pair = ConnectionPair()
        asking = pair.client.request_channel(5, b"first")
        answering = only_event(pair.take_server_events(), events.RequestReceived).stream
        first, second = (answering, asking) if responder_first else (asking, answering)
        first.complete()
        pair.pump()
        assert not first.closed
        assert not second.closed
        second.complete()
        pair.pump()
        assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_48_our_request_may_complete_our_half() -> None:
    client = open_client()
    stream = client.request_channel(5, b"all I have", complete=True)
    said = sent_one(client)
    assert (said.type, said.flags) == (FrameType.REQUEST_CHANNEL, COMPLETE)
    with pytest.raises(LocalProtocolError):
        stream.next(b"more")
    assert client.receive(request_n(1, 5), 0.0) == ()
    only_event(client.receive(complete(1), 0.0), events.Completed)
    assert client.streams == {}


# --- 49 to 51: ERROR and CANCEL ---------------------------------------------------------------------------------


@pytest.mark.parametrize("from_requester", [True, False])
def test_item_49_error_from_either_side_ends_both_directions(from_requester: bool) -> None:
    pair = ConnectionPair()
    asking = pair.client.request_channel(5, b"first")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.request(1)
    pair.take_client_events()
    failing, told = (asking, pair.take_server_events) if from_requester else (answering, pair.take_client_events)
    other = answering if from_requester else asking
    failing.fail(0x305, "conflict")
    assert told() == [events.Failed(other, 0x305, "conflict")]
    assert failing.closed
    assert other.closed
    other.next(b"the publisher has not noticed yet")
    assert (pair.take_client_events(), pair.take_server_events()) == ([], [])


def test_item_49_requester_of_a_stream_that_fails_cancels() -> None:
    client = open_client()
    client.request_stream(5, b"?").fail(0x301, "I cannot read this")
    assert [each.type for each in sent(client)] == [FrameType.REQUEST_STREAM, FrameType.CANCEL]


def test_item_50_cancel_from_the_requester_ends_both_directions() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_channel(5, b"first")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.request(1)
    pair.take_client_events()
    asking.cancel()
    assert asking.closed
    assert pair.take_server_events() == [events.Cancelled(answering)]
    assert answering.closed
    assert answering.available_credit() == 0
    answering.next(b"late")
    answering.request(5)
    assert pair.take_client_events() == []
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_50_cancel_before_anything_was_sent_leaves_no_stream() -> None:
    server = open_server()
    for request in (request_response(1), request_stream(3, 5), request_channel(5, 5)):
        stream = begin(server, request)
        assert server.receive(cancel(stream.id), 0.0) == (events.Cancelled(stream),)
    assert server.streams == {}
    assert server.outgoing() == []


def test_item_51_cancel_from_the_responder_stops_the_requesters_half_only() -> None:
    pair = ConnectionPair()
    asking = pair.client.request_channel(5, b"first")
    answering = only_event(pair.take_server_events(), events.RequestReceived).stream
    answering.request(10)
    pair.pump()
    answering.cancel()
    assert [event for event in pair.take_client_events() if isinstance(event, events.Cancelled)] == [
        events.Cancelled(asking)
    ]
    assert (asking.sending_closed, asking.receiving_closed) == (True, False)
    asking.next(b"late")  # crossed with the CANCEL: dropped
    answering.next(b"still talking")
    assert pair.take_client_events() == [events.PayloadReceived(asking, None, b"still talking", False)]
    assert pair.take_server_events() == []
    answering.complete()
    pair.pump()
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_item_51_cancel_means_nothing_to_the_requester_of_a_stream() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    assert client.receive(cancel(1), 0.0) == ()
    assert not stream.closed


def test_item_51_item_that_crossed_with_our_cancel_is_ignored() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    stream.request(5)
    stream.cancel()
    assert server.receive(payload(1, b"crossed"), 0.0) == ()
    assert not stream.closed
    server.receive(request_n(1, 1), 0.0)
    assert stream.credit == 6


# --- 52 and 53 --------------------------------------------------------------------------------------------------


def test_item_52_next_may_carry_nothing() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    assert client.receive(payload(1, b"", NEXT), 0.0) == (events.PayloadReceived(stream, None, b"", False),)
    server = open_server()
    begin(server, request_stream(1, 5)).next(b"")
    assert (sent_one(server).flags) == NEXT


def test_item_52_payload_with_neither_next_nor_complete_ends_the_stream() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    client.outgoing()
    assert only_event(client.receive(payload(1, b"what is this", 0), 0.0), events.Failed).stream is stream
    assert sent_one(client).type is FrameType.CANCEL
    server = open_server()
    begin(server, request_channel(1, 5)).request(5)
    server.outgoing()
    only_event(server.receive(payload(1, b"what is this", 0), 0.0), events.Failed)
    assert sent_one(server).fields["code"] == ErrorCode.INVALID


def test_item_52_follows_is_ignored_together_with_complete() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    told = client.receive(payload(1, b"last", NEXT | COMPLETE | FOLLOWS), 0.0)
    assert told == (events.PayloadReceived(stream, None, b"last", True),)
    assert client.streams == {}


def test_item_52_follows_with_complete_ends_a_fragment_run() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    told = receive_all(client, [payload(1, b"la", NEXT | FOLLOWS), payload(1, b"st", NEXT | FOLLOWS | COMPLETE)])
    assert told == [events.PayloadReceived(stream, None, b"last", True)]


def test_item_53_transport_loss_ends_every_stream() -> None:
    pair = ConnectionPair()
    response = pair.client.request_response(b"?")
    stream = pair.client.request_stream(5, b"?")
    channel = pair.client.request_channel(5, b"?")
    answering = [event.stream for event in pair.take_server_events() if isinstance(event, events.RequestReceived)]
    code, text = ErrorCode.CONNECTION_ERROR, "the transport was lost"
    ended = events.ConnectionTerminated(code, text, True)
    assert pair.server.transport_lost(1.0) == [*map(events.Cancelled, answering), ended]
    assert pair.client.transport_lost(1.0) == [
        *(events.Failed(each, code, text) for each in (response, stream, channel)), ended,
    ]  # fmt: skip
    assert all(each.closed for each in (response, stream, channel, *answering))


def test_item_53_what_is_produced_after_the_loss_goes_nowhere() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 1_000_000))
    server.writable = False
    server.transport_lost(1.0)
    assert stream.available_credit() == 0
    for _ in range(100):
        stream.next(bytes(1000))
    stream.complete()
    assert server.outbound_bytes == 0
    assert server.outgoing() == []


def test_item_53_loss_is_told_once() -> None:
    server = open_server()
    assert len(server.transport_lost(1.0)) == 1
    assert len(server.transport_lost(1.0)) == 0
    assert server.receive(request_response(1), 1.0) == ()
    assert server.deadline() is None


def test_item_53_server_that_asked_is_told_failure_and_client_that_answered_cancellation() -> None:
    pair = ConnectionPair()
    asking = pair.server.request_stream(5, b"?")
    answering = only_event(pair.take_client_events(), events.RequestReceived).stream
    assert pair.server.transport_lost(1.0)[0] == events.Failed(
        asking, ErrorCode.CONNECTION_ERROR, "the transport was lost"
    )
    assert pair.client.transport_lost(1.0)[0] == events.Cancelled(answering)


def test_requester_of_a_response_has_nothing_to_send() -> None:
    client = open_client()
    stream = client.request_response(b"?")
    with pytest.raises(LocalProtocolError):
        stream.next(b"more")


def test_error_from_the_peer_is_told_with_any_code() -> None:
    client = open_client()
    client.request_response(b"?")
    assert only_event(client.receive(error(1, 0xFFFFFFFE, "x"), 0.0), events.Failed).code == 0xFFFFFFFE
