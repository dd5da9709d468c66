"""A connection as its shell sees it: what is refused, what closes, what waits, in cases no checklist number has."""

import gc
import tracemalloc

import pytest

from rsocket_harness import (
    SETUP,
    ConnectionPair,
    begin,
    cancel,
    complete,
    fresh_server,
    keepalive,
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
    UNBOUNDED,
    Connection,
    ConnectionState,
    ErrorCode,
    FrameType,
    Limits,
    LocalProtocolError,
    events,
    payload_frames,
    tcp_length_prefix,
)
from tidings.protocols.rsocket.frames import FOLLOWS, NEXT


def test_client_needs_a_setup_and_a_server_must_not_have_one() -> None:
    with pytest.raises(ValueError, match="setup"):
        Connection(server=False, now=0.0)
    with pytest.raises(ValueError, match="setup"):
        Connection(server=True, now=0.0, setup=SETUP)


def test_client_may_declare_itself_resumable() -> None:
    client = Connection(server=False, now=0.0, setup=SETUP._replace(resume_token=b"token"))
    assert sent_one(client).fields["resume_token"] == b"token"


def test_accepting_what_nobody_asked_is_a_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        fresh_server().accept(0.0)
    with pytest.raises(LocalProtocolError):
        open_server().accept(0.0)


def test_accepting_too_late_is_not() -> None:
    server = fresh_server()
    server.receive(setup(), 0.0)
    server.transport_lost(1.0)
    assert server.accept(2.0) == ()


def test_whole_life_on_a_wire_with_envelopes() -> None:
    client = Connection(server=False, now=0.0, setup=SETUP, transport_header=tcp_length_prefix)
    client.request_response(b"?", b"m")
    for chunk in client.outgoing():
        assert int.from_bytes(chunk[:3], "big") == len(chunk) - 3


def test_shared_frames_leave_as_they_are() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, UNBOUNDED))
    shared = b"".join(payload_frames(1, bytes([number]), None, tcp_length_prefix, 65_536) for number in range(3))
    stream.send_frames(shared, 3)
    assert server.outgoing() == [shared]
    assert stream.credit == UNBOUNDED


def test_close_with_connection_close_lets_the_queue_leave_first() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    stream.next(b"queued")
    stream.fail(0x302, "UNAUTHENTICATED: the token has expired")
    begin(server, request_response(3))
    server.close(ErrorCode.CONNECTION_CLOSE, "the token has expired")
    assert server.closing
    assert [(each.type, each.stream_id) for each in sent(server)] == [
        (FrameType.PAYLOAD, 1), (FrameType.ERROR, 1), (FrameType.ERROR, 0),
    ]  # fmt: skip
    cancelled, ended = server.transport_lost(0.0)
    assert isinstance(cancelled, events.Cancelled)
    assert ended == events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "the token has expired", False)


def test_nothing_is_asked_of_a_connection_that_is_over() -> None:
    client = open_client()
    client.close(ErrorCode.CONNECTION_ERROR, "over")
    client.outgoing()
    for ask in (client.request_response, client.fire_and_forget, client.metadata_push):
        with pytest.raises(LocalProtocolError):
            ask(b"?")
    client.keepalive()
    assert client.outgoing() == []


def test_stream_that_ends_inside_a_batch_of_facts_is_closed_already() -> None:
    server = fresh_server()
    receive_all(server, [setup(), request_stream(1, 5), cancel(1), request_response(3)])
    first, _, second = server.accept(0.0)
    assert isinstance(first, events.RequestReceived)
    assert first.stream.closed
    first.stream.next(b"dropped")
    assert isinstance(second, events.RequestReceived)
    second.stream.next(b"answer")
    assert sent_one(server).stream_id == 3


def test_first_piece_that_is_refused_ends_its_stream() -> None:
    client = open_client(Limits(reassembly_bytes_max=100))
    stream = client.request_stream(5, b"?")
    client.outgoing()
    assert only_event(client.receive(payload(1, bytes(101), NEXT | FOLLOWS), 0.0), events.Failed).stream is stream
    assert sent_one(client).type is FrameType.CANCEL


def test_responder_that_cancels_and_completes_ends_its_channel() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    stream.complete()
    stream.cancel()
    assert stream.closed
    assert server.streams == {}


def test_channel_whose_requester_is_cancelled_after_the_responder_is_done_is_over() -> None:
    client = open_client()
    stream = client.request_channel(5, b"?")
    receive_all(client, [request_n(1, 5), complete(1)])
    assert not stream.closed
    assert client.receive(cancel(1), 0.0) == (events.Cancelled(stream),)
    assert stream.closed
    assert client.streams == {}


def test_send_frames_after_our_end_is_a_mistake_and_after_theirs_is_not() -> None:
    server = open_server()
    ours = begin(server, request_stream(1, 5))
    ours.complete()
    with pytest.raises(LocalProtocolError):
        ours.send_frames(b"xxxxxx", 1)
    theirs = begin(server, request_stream(3, 5))
    server.receive(cancel(3), 0.0)
    server.outgoing()
    theirs.send_frames(b"xxxxxx", 1)
    assert server.outgoing() == []


def test_request_that_overflows_the_connection_comes_back_closed() -> None:
    client = open_client(Limits(outbound_bytes_max=1000))
    stream = client.request_response(bytes(2000))
    assert stream.closed
    assert client.closing
    failed, ended = client.tick(0.0)
    assert isinstance(failed, events.Failed)
    assert isinstance(ended, events.ConnectionTerminated)


def test_streams_and_unfinished_requests_share_one_limit() -> None:
    server = open_server(Limits(streams_max=2))
    begin(server, request_stream(1, 5))
    begin(server, request_stream(3, 5))
    assert server.receive(request_stream(5, 5), 0.0) == ()
    assert sent_one(server).fields["code"] == ErrorCode.REJECTED
    server.receive(cancel(1), 0.0)
    begin(server, request_stream(7, 5))


def test_context_is_the_callers_own() -> None:
    client = open_client()
    mine = object()
    assert client.request_response(b"?", context=mine).context is mine
    assert client.request_stream(1, b"?", context=mine).context is mine
    assert client.request_channel(1, b"?", context=mine).context is mine
    assert begin(open_server(), request_response(1)).context is None


def test_server_asks_its_client() -> None:
    pair = ConnectionPair()
    asking = pair.server.request_channel(5, b"?")
    answering = only_event(pair.take_client_events(), events.RequestReceived).stream
    answering.request(3)
    answering.next(b"!", complete=True)
    assert [type(event) for event in pair.take_server_events()] == [
        events.CreditGranted,
        events.CreditGranted,
        events.PayloadReceived,
    ]
    assert asking.credit == 3
    asking.next(b"more", complete=True)
    assert only_event(pair.take_client_events(), events.PayloadReceived).data == b"more"
    assert (pair.client.streams, pair.server.streams) == ({}, {})


def test_state_walks_one_way() -> None:
    server = fresh_server()
    walked = [server.state]
    server.receive(setup(), 0.0)
    walked.append(server.state)
    server.accept(0.0)
    walked.append(server.state)
    stream = begin(server, request_stream(1, 5))
    server.drain(0.0, "restarting")
    walked.append(server.state)
    stream.complete()
    walked.append(server.state)
    assert walked == [
        ConnectionState.EXPECT_SETUP,
        ConnectionState.AUTHENTICATING,
        ConnectionState.OPEN,
        ConnectionState.DRAINING,
        ConnectionState.CLOSED,
    ]


def test_outgoing_gives_at_least_one_chunk_and_counts_what_is_left() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 100))
    for size in (100, 200, 300):
        stream.next(bytes(size - 6))
    assert server.outbound_bytes == 600
    assert [len(each) for each in server.outgoing(1)] == [100]
    assert [len(each) for each in server.outgoing(499)] == [200]
    assert server.outbound_bytes == 300
    assert [len(each) for each in server.outgoing(300)] == [300]
    assert server.outgoing(300) == []
    assert server.outbound_bytes == 0


def test_frames_may_pass_an_empty_queue_and_cost_their_credits() -> None:
    stream = begin(open_server(), request_stream(1, 5))
    assert stream.reserve_direct_write(3)
    assert stream.credit == 2
    assert not stream.reserve_direct_write(3)
    assert stream.credit == 2


def test_unbounded_credit_is_not_used_up_by_what_passes_the_queue() -> None:
    stream = begin(open_server(), request_stream(1, UNBOUNDED))
    assert stream.reserve_direct_write(3)
    assert stream.credit == UNBOUNDED


def test_nothing_passes_what_is_queued() -> None:
    server = open_server()
    stream, other = begin(server, request_stream(1, 5)), begin(server, request_stream(3, 5))
    other.next(b"first")
    assert not stream.reserve_direct_write(1)
    server.outgoing()
    server.receive(keepalive(b"?"), 0.0)
    assert not stream.reserve_direct_write(1)
    server.outgoing()
    assert stream.reserve_direct_write(1)


def test_nothing_passes_into_a_full_socket_or_a_closed_stream() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    server.writable = False
    assert not stream.reserve_direct_write(1)
    server.writable = True
    stream.complete()
    server.outgoing()
    assert not stream.reserve_direct_write(1)


def test_farewell_is_given_once_even_when_it_does_not_fit() -> None:
    server = open_server()
    server.close(ErrorCode.CONNECTION_ERROR, "a long reason " * 10)
    assert len(server.outgoing(10)) == 1
    assert server.outgoing(10) == []
    assert server.outgoing() == []
    assert server.outbound_bytes == 0


def test_idle_connection_is_small() -> None:
    """The number is the engine's part of an idle connection; 20,000 of them must not be a question of memory."""
    limits = Limits()
    warm = open_server(limits)
    assert warm.state is ConnectionState.OPEN
    gc.collect()
    tracemalloc.start()
    kept = [open_server(limits) for _ in range(100)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size / len(kept) < 4096
