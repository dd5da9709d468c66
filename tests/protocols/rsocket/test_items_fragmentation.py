"""Items 59 to 65: payloads in pieces."""

import gc
import sys

import pytest

from rsocket_harness import (
    ConnectionPair,
    begin,
    cancel,
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
from tidings.protocols.rsocket import (
    UNBOUNDED,
    ErrorCode,
    Frame,
    FrameType,
    Limits,
    decode,
    events,
    no_transport_header,
)
from tidings.protocols.rsocket.codec import fragment_payload
from tidings.protocols.rsocket.frames import COMPLETE, FOLLOWS, METADATA, NEXT
from tidings.protocols.rsocket.reassembly import PARTIAL_PAYLOAD_BYTES

SMALL = Limits(fragment_bytes=64)


def fragments(data: bytes, metadata: bytes | None = None, *, complete: bool = False) -> list[Frame]:
    return [
        decode(each)
        for each in fragment_payload(FrameType.PAYLOAD, 1, None, data, metadata, no_transport_header, 64, complete)
    ]


# --- what we send -----------------------------------------------------------------------------------------------


def test_item_59_first_fragment_has_the_type_and_the_rest_are_payloads() -> None:
    client = open_client(SMALL)
    client.request_stream(7, bytes(150))
    first, *rest = sent(client)
    assert (first.type, first.flags, first.fields) == (FrameType.REQUEST_STREAM, FOLLOWS, {"initial_n": 7})
    assert [(each.type, each.flags, each.fields) for each in rest] == [
        (FrameType.PAYLOAD, FOLLOWS | NEXT, {}), (FrameType.PAYLOAD, NEXT, {}),
    ]  # fmt: skip
    assert b"".join(each.data for each in (first, *rest)) == bytes(150)


@pytest.mark.parametrize("size", [0, 1, 57, 58, 59, 115, 116, 117, 1000])
def test_item_59_all_interactions_survive_fragmentation_both_ways(size: int) -> None:
    data = bytes(range(256)) * 4
    pair = ConnectionPair(client_limits=SMALL, server_limits=SMALL)
    pair.client.request_response(data[:size], data[:size])
    pair.client.fire_and_forget(data[:size], data[:size])
    pair.client.request_stream(5, data[:size], data[:size])
    pair.client.request_channel(5, data[:size], data[:size])
    told = [event for event in pair.take_server_events() if isinstance(event, events.RequestReceived)]
    assert [(event.data, event.metadata) for event in told] == [(data[:size], data[:size])] * 4
    for event in told:
        event.stream.next(data[:size], data[:size])
    answers = [event for event in pair.take_client_events() if isinstance(event, events.PayloadReceived)]
    assert [(event.data, event.metadata) for event in answers] == [(data[:size], data[:size])] * 3


def test_item_60_all_metadata_comes_before_any_data() -> None:
    frames = fragments(b"d" * 100, b"m" * 100)
    assert [(len(each.metadata or b""), len(each.data)) for each in frames] == [(55, 0), (45, 10), (0, 58), (0, 32)]
    assert [bool(each.flags & METADATA) for each in frames] == [True, True, False, False]


def test_item_60_every_payload_fragment_has_next() -> None:
    assert all(each.flags & NEXT for each in fragments(bytes(1000), bytes(1000), complete=True))


def test_item_60_metadata_that_ends_with_a_fragment_is_followed_by_data_without_metadata() -> None:
    frames = fragments(b"d" * 10, b"m" * 55)
    assert [(each.metadata, each.data) for each in frames] == [(b"m" * 55, b""), (None, b"d" * 10)]


def test_item_60_late_metadata_from_a_peer_is_still_metadata() -> None:
    server = open_server()
    told = receive_all(server, [request_response(1, b"d", flags=FOLLOWS), payload(1, b"d", NEXT, metadata=b"m")])
    assert [(event.metadata, event.data) for event in told if isinstance(event, events.RequestReceived)] == [
        (b"m", b"dd")
    ]


def test_item_61_complete_is_on_the_last_fragment_only() -> None:
    frames = fragments(bytes(1000), complete=True)
    assert [each.flags & COMPLETE for each in frames] == [0] * (len(frames) - 1) + [COMPLETE]
    client = open_client(SMALL)
    client.request_channel(5, bytes(100), complete=True)
    assert [each.flags for each in sent(client)] == [FOLLOWS, NEXT | COMPLETE]


@pytest.mark.parametrize(("on_first", "on_last"), [(COMPLETE, 0), (0, COMPLETE), (COMPLETE, COMPLETE)])
def test_item_61_complete_of_a_fragmented_channel_request_is_taken_from_first_or_last(
    on_first: int, on_last: int
) -> None:
    server = open_server()
    server.receive(request_channel(1, 5, b"a", flags=FOLLOWS | on_first), 0.0)
    event = only_event(server.receive(payload(1, b"b", NEXT | on_last), 0.0), events.RequestReceived)
    assert (event.data, event.complete, event.stream.receiving_closed) == (b"ab", True, True)


def test_item_61_complete_of_a_fragmented_payload_is_taken_from_the_last() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    told = receive_all(client, [payload(1, b"a", NEXT | FOLLOWS), payload(1, b"b", NEXT | COMPLETE)])
    assert told == [events.PayloadReceived(stream, None, b"ab", True)]


@pytest.mark.parametrize("size", [*range(50, 130), 1000])
@pytest.mark.parametrize("metadata_bytes", [None, 0, 1, 54, 55, 56, 110])
def test_item_62_fragments_are_full_and_the_last_is_never_empty(size: int, metadata_bytes: int | None) -> None:
    metadata = None if metadata_bytes is None else b"m" * metadata_bytes
    raw = fragment_payload(FrameType.PAYLOAD, 1, None, b"d" * size, metadata, no_transport_header, 64, True)
    frames = [decode(each) for each in raw]
    assert all(len(each) == 64 for each in raw[:-1])
    assert len(raw[-1]) <= 64
    assert frames[-1].data or frames[-1].metadata
    assert b"".join(each.data for each in frames) == b"d" * size
    if metadata is not None:
        assert b"".join(each.metadata or b"" for each in frames) == metadata


def test_item_62_fragments_below_64_bytes_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="fragment_bytes"):
        Limits(fragment_bytes=63)
    with pytest.raises(ValueError, match="fragment_bytes"):
        Limits(fragment_bytes=16_777_216)


def test_item_62_small_fragments_and_an_empty_last_one_from_a_peer_are_taken() -> None:
    server = open_server()
    told = receive_all(server, [request_response(1, b"a", flags=FOLLOWS), payload(1, b"b", FOLLOWS | NEXT), payload(1)])
    assert only_event(told, events.RequestReceived).data == b"ab"


# --- what we hold -----------------------------------------------------------------------------------------------


def test_item_63_reassembly_of_one_request_is_bounded() -> None:
    server = open_server(Limits(reassembly_bytes_max=1000))
    server.receive(request_response(1, bytes(600), flags=FOLLOWS), 0.0)
    assert server.reassembler.held_bytes == PARTIAL_PAYLOAD_BYTES + 600
    assert server.receive(payload(1, bytes(401), FOLLOWS | NEXT), 0.0) == ()
    said = sent_one(server)
    assert (said.type, said.stream_id, said.fields["code"]) == (FrameType.ERROR, 1, ErrorCode.INVALID)
    assert server.reassembler.held_bytes == 0
    assert receive_all(server, [payload(1, bytes(400), FOLLOWS | NEXT), payload(1, b"end")]) == []
    assert server.outgoing() == []  # what still comes of it is ignored
    assert not server.closing


def test_item_63_reassembly_of_one_item_is_bounded() -> None:
    client = open_client(Limits(reassembly_bytes_max=1000))
    stream = client.request_stream(5, b"?")
    client.outgoing()
    client.receive(payload(1, bytes(600), FOLLOWS | NEXT), 0.0)
    assert only_event(client.receive(payload(1, bytes(600)), 0.0), events.Failed).stream is stream
    assert sent_one(client).type is FrameType.CANCEL


def test_item_63_reassembly_of_a_connection_is_bounded() -> None:
    server = open_server(Limits(reassembly_connection_bytes_max=1000 + 2 * PARTIAL_PAYLOAD_BYTES))
    server.receive(request_response(1, bytes(600), flags=FOLLOWS), 0.0)
    server.receive(request_response(3, bytes(600), flags=FOLLOWS), 0.0)
    said = sent_one(server)
    assert (said.stream_id, said.fields["code"]) == (3, ErrorCode.REJECTED)
    assert len(only_event(server.receive(payload(1, b"end"), 0.0), events.RequestReceived).data) == 603


def test_item_63_an_unfinished_payload_counts_as_more_than_its_bytes_until_it_ends() -> None:
    server = open_server(Limits(reassembly_connection_bytes_max=3 * PARTIAL_PAYLOAD_BYTES))
    for stream_id in (1, 3, 5):
        server.receive(request_response(stream_id, b"x", flags=FOLLOWS), 0.0)
    said = sent_one(server)
    assert (said.stream_id, said.fields["code"]) == (5, ErrorCode.REJECTED)
    assert server.reassembler.held_bytes == 2 * (PARTIAL_PAYLOAD_BYTES + 1)
    server.receive(cancel(1), 0.0)
    assert server.reassembler.held_bytes == PARTIAL_PAYLOAD_BYTES + 1
    server.receive(payload(3, b"end"), 0.0)
    assert server.reassembler.held_bytes == 0


def test_item_63_number_of_fragments_is_bounded() -> None:
    server = open_server(Limits(fragments_max=10))
    server.receive(request_response(1, b"x", flags=FOLLOWS), 0.0)
    for _ in range(10):
        server.receive(payload(1, b"x", FOLLOWS | NEXT), 0.0)
    assert sent_one(server).fields["code"] == ErrorCode.INVALID


def test_item_63_number_of_unfinished_requests_is_bounded() -> None:
    server = open_server(Limits(streams_max=3))
    begin(server, request_stream(1, 5))
    for stream_id in (3, 5, 7):
        server.receive(request_response(stream_id, b"x", flags=FOLLOWS), 0.0)
    said = sent_one(server)
    assert (said.stream_id, said.fields["code"]) == (7, ErrorCode.REJECTED)


@pytest.mark.parametrize("metadata", [None, b""])
def test_item_63_empty_fragment_that_others_follow_is_refused(metadata: bytes | None) -> None:
    server = open_server()
    server.receive(request_response(1, b"", metadata, flags=FOLLOWS), 0.0)
    assert sent_one(server).fields["code"] == ErrorCode.INVALID
    server.receive(request_response(3, b"x", flags=FOLLOWS), 0.0)
    server.receive(payload(3, b"", FOLLOWS | NEXT, metadata), 0.0)
    assert sent_one(server).fields["code"] == ErrorCode.INVALID
    assert server.reassembler.partial_payloads == {}


def test_item_63_refused_fire_and_forget_is_dropped_in_silence() -> None:
    server = open_server()
    server.receive(fire_and_forget(1, b"", flags=FOLLOWS), 0.0)
    assert server.outgoing() == []


def test_item_63_tiny_fragments_cost_no_more_memory_than_their_bytes() -> None:
    server = open_server()
    server.receive(request_response(1, b"x", flags=FOLLOWS), 0.0)
    for _ in range(10_000):
        server.receive(payload(1, b"x", FOLLOWS | NEXT), 0.0)
    run = server.reassembler.partial_payloads[1]
    assert (run.size, len(run.data)) == (10_001, 10_001)


# --- runs -------------------------------------------------------------------------------------------------------


def test_item_64_no_frame_of_the_same_stream_comes_inside_a_run() -> None:
    server = open_server(SMALL)
    stream = begin(server, request_channel(1, UNBOUNDED))
    other = begin(server, request_stream(3, UNBOUNDED))
    for number in range(5):
        stream.next(bytes([number]) * 200)
        stream.request(1)
        other.next(bytes(200))
    stream.fail(0x301, "end")
    inside = False
    for each in (decode(raw) for size in (1, 70, 200, 10_000) * 100 for raw in server.outgoing(size)):
        if each.stream_id == 1:
            assert each.type is FrameType.PAYLOAD or not inside
            inside = each.type is FrameType.PAYLOAD and bool(each.flags & FOLLOWS)


def test_item_64_items_of_one_stream_arrive_whole_whatever_else_is_sent() -> None:
    pair = ConnectionPair(server_limits=SMALL)
    pair.client.request_stream(100, b"?")
    stream = only_event(pair.take_server_events(), events.RequestReceived).stream
    sent_items = [bytes([number]) * (50 * number) for number in range(20)]
    for item in sent_items:
        stream.next(item, item)
    told = pair.take_client_events()
    assert [(event.metadata, event.data) for event in told if isinstance(event, events.PayloadReceived)] == [
        (item, item) for item in sent_items
    ]


def test_item_64_runs_of_different_streams_may_be_interleaved_by_a_peer() -> None:
    server = open_server()
    told = receive_all(server, [
        request_response(1, b"a", flags=FOLLOWS), request_response(3, b"x", flags=FOLLOWS),
        payload(1, b"b", FOLLOWS | NEXT), payload(3, b"y", FOLLOWS | NEXT), payload(3, b"z"), payload(1, b"c"),
    ])  # fmt: skip
    assert [event.data for event in told if isinstance(event, events.RequestReceived)] == [b"xyz", b"abc"]


def test_item_65_cancel_discards_an_unfinished_request() -> None:
    server = open_server()
    receive_all(server, [request_response(1, bytes(500), flags=FOLLOWS), cancel(1)])
    assert (server.reassembler.partial_payloads, server.reassembler.held_bytes) == ({}, 0)
    assert server.receive(payload(1, b"end"), 0.0) == ()


def test_item_65_error_discards_an_unfinished_request() -> None:
    server = open_server()
    receive_all(server, [request_response(1, bytes(500), flags=FOLLOWS), error(1, 0x201)])
    assert (server.reassembler.partial_payloads, server.reassembler.held_bytes) == ({}, 0)


@pytest.mark.parametrize("end", [cancel(1), error(1, 0x201)])
def test_item_65_cancel_and_error_discard_an_unfinished_item(end: bytes) -> None:
    server = open_server()
    begin(server, request_channel(1, 5)).request(5)
    receive_all(server, [payload(1, bytes(500), FOLLOWS | NEXT), end])
    assert (server.reassembler.partial_payloads, server.reassembler.held_bytes) == ({}, 0)


def test_item_65_our_own_cancel_discards_an_unfinished_item() -> None:
    client = open_client()
    stream = client.request_stream(5, b"?")
    client.receive(payload(1, bytes(500), FOLLOWS | NEXT), 0.0)
    stream.cancel()
    assert (client.reassembler.partial_payloads, client.reassembler.held_bytes) == ({}, 0)
    assert client.receive(payload(1, b"end"), 0.0) == ()


def test_item_65_half_cancelled_channel_discards_an_unfinished_item() -> None:
    server = open_server()
    stream = begin(server, request_channel(1, 5))
    stream.request(5)
    server.receive(payload(1, bytes(500), FOLLOWS | NEXT), 0.0)
    stream.cancel()
    assert server.reassembler.held_bytes == 0
    assert server.receive(payload(1, b"end"), 0.0) == ()


def test_credit_that_comes_inside_a_run_is_not_lost() -> None:
    server = open_server()
    receive_all(server, [request_stream(1, 5, b"a", flags=FOLLOWS), request_n(1, 3)])
    assert begin(server, payload(1, b"b")).credit == 8


def test_the_end_of_the_connection_frees_every_run() -> None:
    server = open_server()
    server.receive(request_response(1, bytes(500), flags=FOLLOWS), 0.0)
    server.transport_lost(1.0)
    assert (server.reassembler.partial_payloads, server.reassembler.held_bytes) == ({}, 0)


def test_a_refused_payload_is_let_go_at_once_and_not_when_the_collector_looks() -> None:
    server = open_server(Limits(reassembly_bytes_max=1000))
    server.receive(request_response(1, bytes(900), flags=FOLLOWS), 0.0)
    run = server.partial_payloads[1]
    gc.disable()
    try:
        server.receive(payload(1, bytes(200), FOLLOWS | NEXT), 0.0)
        assert sys.getrefcount(run) == 2, "this variable, and the argument of getrefcount"
    finally:
        gc.enable()
