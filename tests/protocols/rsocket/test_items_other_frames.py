"""Items 66 to 73: pushed metadata, extensions, unknown streams, stream ids."""

import pytest

from rsocket_harness import (
    assert_ended,
    begin,
    cancel,
    complete,
    error,
    fire_and_forget,
    frame,
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
from tidings.protocols.rsocket import ErrorCode, FrameType, Limits, events
from tidings.protocols.rsocket.frames import FOLLOWS, IGNORE, METADATA, NEXT, STREAM_ID_MAX

PUSH = frame(FrameType.METADATA_PUSH, metadata=b"pushed")


def test_item_66_metadata_push_is_metadata_and_nothing_else_on_stream_zero() -> None:
    server = open_server()
    assert server.receive(PUSH, 0.0) == (events.MetadataPushed(b"pushed"),)
    client = open_client()
    client.metadata_push(b"pushed")
    said = sent_one(client)
    assert (said.type, said.stream_id, said.flags, said.metadata) == (FrameType.METADATA_PUSH, 0, METADATA, b"pushed")
    assert bytes.fromhex("000000003100") + b"pushed" == PUSH  # METADATA_PUSH, M, no length


def test_item_66_metadata_push_without_its_flag_is_taken() -> None:
    raw = bytes.fromhex("000000003000") + b"pushed"  # as rsocket-js 0.0.x sends it
    assert open_server().receive(raw, 0.0) == (events.MetadataPushed(b"pushed"),)


def test_item_66_metadata_push_on_a_stream_is_ignored() -> None:
    server = open_server()
    assert server.receive(b"\0\0\0\1" + PUSH[4:], 0.0) == ()
    assert not server.closing


def test_item_67_metadata_pushes_are_limited_per_second_and_never_answered() -> None:
    server = open_server(Limits(metadata_push_per_second_max=5))
    told = [event for number in range(100) for event in server.receive(PUSH, 1.0 + number / 1000)]
    assert len(told) == 5
    assert len(server.receive(PUSH, 2.1)) == 1
    assert server.outgoing() == []


def test_item_68_extension_frame_respects_the_ignore_flag() -> None:
    server = open_server()
    ext = frame(FrameType.EXT, 0, IGNORE, data=b"?", extended_type=1)
    assert ext == bytes.fromhex("00000000fe0000000001") + b"?"
    assert server.receive(ext, 0.0) == ()
    assert not server.closing
    told = server.receive(frame(FrameType.EXT, 0, data=b"?", extended_type=1), 0.0)
    assert_ended(server, told, ErrorCode.CONNECTION_ERROR)


def test_item_68_no_extension_frame_and_no_pushed_metadata_is_ever_sent_unasked() -> None:
    server = open_server()
    frames = []
    for request in (request_response(1), request_stream(3, 5), request_channel(5, 5)):
        stream = begin(server, request)
        stream.next(bytes(200_000), bytes(100_000))
        if not stream.closed:
            stream.fail(0x301, "end")
    server.tick(20.0)
    server.drain(21.0, "end")
    frames += sent(server)
    assert {each.type for each in frames} == {FrameType.PAYLOAD, FrameType.ERROR, FrameType.KEEPALIVE}


def test_item_69_request_on_an_id_in_use_is_ignored() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 5))
    for again in (request_response(1), fire_and_forget(1), request_stream(1, 9), request_channel(1, 9)):
        assert server.receive(again, 0.0) == ()
    assert server.outgoing() == []  # an ERROR[REJECTED] would kill the living stream at the requester
    assert server.streams == {1: stream}
    assert stream.credit == 5


def test_item_69_request_on_the_id_of_an_unfinished_request_is_ignored() -> None:
    server = open_server()
    receive_all(server, [request_response(1, b"a", flags=FOLLOWS), request_stream(1, 5, b"other")])
    assert only_event(server.receive(payload(1, b"b"), 0.0), events.RequestReceived).data == b"ab"
    assert server.outgoing() == []


@pytest.mark.parametrize("stream_id", [0, 1, 2, 99, STREAM_ID_MAX])
def test_item_69_frames_for_unknown_streams_are_ignored(stream_id: int) -> None:
    server = open_server()
    frames = [
        cancel(stream_id), payload(stream_id, b"x"), complete(stream_id), request_n(stream_id, 1),
        payload(stream_id, b"x", NEXT | FOLLOWS),
    ]  # fmt: skip
    if stream_id:
        frames.append(error(stream_id, ErrorCode.APPLICATION_ERROR, "x"))
    assert receive_all(server, frames) == []
    assert server.outgoing() == []
    assert not server.closing
    assert server.reassembler.held_bytes == 0


def test_item_70_every_frame_sent_is_on_a_stream_the_peer_knows() -> None:
    server = open_server()
    opened = set()
    for number, request in enumerate((request_response(7), request_stream(1, 5), request_channel(3, 5))):
        stream = begin(server, request)
        opened.add(stream.id)
        stream.next(b"x")
        if number:
            stream.complete()
    receive_all(server, [cancel(9), request_n(11, 5), payload(13, b"x"), error(15, 0x201)])
    assert {each.stream_id for each in sent(server)} == opened


# --- stream ids -------------------------------------------------------------------------------------------------


def test_item_71_client_streams_are_odd_from_1_and_server_streams_even_from_2() -> None:
    client, server = open_client(), open_server()
    client.fire_and_forget(b"!")
    assert [client.request_response(b"?").id for _ in range(3)] == [3, 5, 7]
    assert [server.request_response(b"?").id for _ in range(3)] == [2, 4, 6]


@pytest.mark.parametrize("stream_id", [0, 2, 4, 0x7FFFFFFE])
@pytest.mark.parametrize("draining", [True, False])
def test_item_71_server_refuses_even_ids_and_zero(stream_id: int, draining: bool) -> None:
    for request in (
        request_response(stream_id), fire_and_forget(stream_id), request_stream(stream_id, 1),
        request_channel(stream_id, 1), request_response(stream_id, flags=FOLLOWS),
    ):  # fmt: skip
        server = open_server()
        begin(server, request_stream(1, 5))
        if draining:
            server.drain(0.0, "restarting")
        assert_ended(server, server.receive(request, 0.0), ErrorCode.CONNECTION_ERROR)


def test_item_71_client_refuses_odd_ids_and_zero() -> None:
    for stream_id in (0, 1, 3):
        client = open_client()
        assert_ended(client, client.receive(request_response(stream_id), 0.0), ErrorCode.CONNECTION_ERROR)
    assert begin(open_client(), request_response(2)).id == 2


def test_item_72_ids_need_not_come_in_order_or_without_gaps() -> None:
    server = open_server()
    for stream_id in (7, 3, 1001, 1, 999, STREAM_ID_MAX):
        assert begin(server, request_response(stream_id)).id == stream_id


def test_item_73_ids_wrap_and_skip_those_in_use() -> None:
    client = open_client()
    living = [client.request_stream(5, b"?").id for _ in range(2)]
    assert living == [1, 3]
    client.next_stream_id = STREAM_ID_MAX
    assert [client.request_response(b"?").id for _ in range(3)] == [STREAM_ID_MAX, 5, 7]
    server = open_server()
    server.next_stream_id = STREAM_ID_MAX - 1
    assert [server.request_response(b"?").id for _ in range(2)] == [STREAM_ID_MAX - 1, 2]


def test_item_73_ids_may_be_used_again_once_they_are_free() -> None:
    server = open_server()
    for _ in range(3):
        begin(server, request_response(1)).next(b"answer")
    assert len(server.outgoing()) == 3


# --- frames that change nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wasted",
    [
        cancel(7),
        request_n(7, 1),
        payload(7),
        error(7, 0x201),
        lease(1_000, 1),
        keepalive(respond=False),
        setup(),
        bytes((0, 0, 0, 0, 0xFE, 0x00)),  # EXT that may be ignored
    ],
    ids=["CANCEL", "REQUEST_N", "PAYLOAD", "ERROR", "LEASE", "KEEPALIVE", "SETUP", "EXT"],
)
def test_a_client_that_floods_with_frames_that_change_nothing_is_ended(wasted: bytes) -> None:
    server = open_server(Limits(ignored_frames_per_second_max=50))
    for _ in range(50):
        server.receive(wasted, 10.0)
    assert not server.closing
    for _ in range(50):
        server.receive(wasted, 11.0)
    assert not server.closing, "so many in each second"
    found = server.receive(wasted, 11.5)
    assert server.close_reason is not None
    assert "ignored_frames_per_second_max" in server.close_reason[1]
    assert_ended(server, found, ErrorCode.CONNECTION_ERROR)


def test_a_client_does_not_count_what_was_under_way_when_it_cancelled() -> None:
    client = open_client(Limits(ignored_frames_per_second_max=50))
    for _ in range(500):
        client.receive(payload(7), 10.0)
    assert not client.closing
