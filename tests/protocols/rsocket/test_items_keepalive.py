"""Items 25 to 31: who is still there."""

import pytest

from rsocket_harness import (
    SETUP,
    assert_ended,
    begin,
    frame,
    fresh_server,
    keepalive,
    only_event,
    open_client,
    open_server,
    request_n,
    request_response,
    request_stream,
    sent,
    sent_one,
    setup,
)
from tidings.protocols.rsocket import ErrorCode, FrameType, Limits, events
from tidings.protocols.rsocket.frames import RESPOND


def test_item_25_client_sends_keepalive_at_the_interval_it_declared() -> None:
    client = open_client(setup=SETUP._replace(keepalive_ms=500, lifetime_ms=60_000))
    assert client.deadline() == 0.5
    assert client.tick(0.49) == ()
    assert client.outgoing() == []
    for now in (0.5, 1.0, 1.5):
        client.tick(now)
        said = sent_one(client)
        assert (said.type, said.stream_id, said.flags) == (FrameType.KEEPALIVE, 0, RESPOND)
    assert client.deadline() == 2.0


def test_item_25_declared_interval_is_the_one_in_setup() -> None:
    client = open_client(setup=SETUP._replace(keepalive_ms=500))
    assert client.setup is not None
    assert client.setup.keepalive_ms == 500


def test_item_26_keepalive_with_respond_is_echoed_without_respond() -> None:
    server = open_server()
    assert server.receive(keepalive(b"\x00data\xff"), 1.0) == ()
    said = sent_one(server)
    assert (said.type, said.stream_id, said.flags, said.data) == (FrameType.KEEPALIVE, 0, 0, b"\x00data\xff")


def test_item_26_keepalive_without_respond_is_never_answered() -> None:
    server = open_server()
    assert only_event(server.receive(keepalive(b"pong", respond=False), 1.0), events.KeepaliveReceived).data == b"pong"
    assert server.outgoing() == []


def test_item_27_server_sends_keepalive_at_the_clients_interval() -> None:
    server = open_server(first=setup(keepalive_ms=20_000))
    assert server.deadline() == 20.0
    server.tick(20.0)
    assert sent_one(server).flags == RESPOND
    assert server.deadline() == 40.0


def test_item_27_server_sends_none_before_it_has_accepted() -> None:
    server = fresh_server()
    server.receive(setup(keepalive_ms=1000), 0.0)
    server.tick(5.0)
    assert server.outgoing() == []


def test_item_27_tiny_interval_does_not_make_the_server_a_flood() -> None:
    server = open_server(Limits(keepalive_seconds_min=0.5), first=setup(keepalive_ms=1))
    assert server.deadline() == 0.5


def test_item_27_huge_interval_does_not_stop_the_servers_own() -> None:
    server = open_server(Limits(keepalive_seconds_max=60), first=setup(keepalive_ms=0x7FFFFFFF, lifetime_ms=0x7FFFFFFF))
    assert server.deadline() == 60.0


def test_item_28_position_is_63_bits_and_zero_without_resumption() -> None:
    server = open_server()
    server.receive(keepalive(position=0x7FFFFFFFFFFFFFFF), 0.0)
    assert sent_one(server).fields["position"] == 0
    raw = frame(FrameType.KEEPALIVE, position=1)
    assert raw[6:14] == bytes(7) + b"\x01"


def test_item_29_silent_client_is_dead_after_its_lifetime() -> None:
    server = open_server(first=setup(keepalive_ms=100, lifetime_ms=300))
    stream = begin(server, request_stream(1, 5), now=1.0)
    server.tick(1.2)
    assert server.tick(1.29) == ()
    told = server.tick(1.3)
    assert told[0] == events.Cancelled(stream)
    assert server.close_reason == (ErrorCode.CONNECTION_ERROR, "No keep-alive acks for 300 ms")
    assert_ended(server, told, ErrorCode.CONNECTION_ERROR)


def test_item_29_lifetime_of_24_days_is_cut() -> None:
    server = open_server(Limits(lifetime_seconds_max=600), first=setup(lifetime_ms=0x7FFFFFFF))
    server.tick(599.0)
    assert not server.closing
    assert_ended(server, server.tick(600.0), ErrorCode.CONNECTION_ERROR)


def test_item_29_silence_is_not_held_against_a_peer_while_a_full_socket_keeps_us_from_reading() -> None:
    server = open_server(Limits(lifetime_seconds_max=600), first=setup(keepalive_ms=20_000, lifetime_ms=90_000))
    server.writable = False
    for seconds in range(20, 581, 20):
        server.tick(float(seconds))
    server.writable = True
    server.tick(590.0)
    assert not server.closing
    server.receive(keepalive(), 595.0)
    server.tick(684.0)
    assert not server.closing
    server.tick(685.0)
    assert server.closing


def test_item_29_even_then_silence_has_an_end() -> None:
    server = open_server(Limits(lifetime_seconds_max=600))
    server.writable = False
    for seconds in range(20, 600, 20):
        server.tick(float(seconds))
        assert not server.closing
    assert server.deadline() == 600.0
    server.tick(600.0)
    assert server.closing


def test_item_29_client_declares_a_silent_server_dead() -> None:
    client = open_client(setup=SETUP._replace(keepalive_ms=100, lifetime_ms=300))
    stream = client.request_response(b"?")
    client.tick(0.29)
    failed, ended = client.tick(0.3)
    assert isinstance(failed, events.Failed)
    assert failed.stream is stream
    assert isinstance(ended, events.ConnectionTerminated)


@pytest.mark.parametrize(
    "alive", [keepalive(), keepalive(respond=False), request_n(1, 1), request_response(3), frame(FrameType.CANCEL, 9)]
)
def test_item_30_any_frame_is_a_sign_of_life(alive: bytes) -> None:
    server = open_server(first=setup(lifetime_ms=1000))
    server.receive(alive, 0.9)
    server.tick(1.8)
    assert not server.closing
    server.tick(1.9)
    assert server.closing


def test_item_30_keepalive_is_answered_at_once_however_much_is_queued() -> None:
    server = open_server()
    stream = begin(server, request_stream(1, 1000))
    while stream.available_credit():
        stream.next(bytes(10_000))
    assert server.congested
    server.receive(keepalive(b"?"), 1.0)
    assert sent(server)[0].data == b"?"


def test_item_31_keepalive_on_a_stream_is_ignored() -> None:
    server = open_server()
    assert server.receive((1).to_bytes(4, "big") + keepalive()[4:], 0.0) == ()
    assert server.outgoing() == []
    assert not server.closing


def test_item_31_keepalive_data_is_capped() -> None:
    server = open_server(Limits(keepalive_data_bytes_max=100))
    server.receive(keepalive(bytes(100)), 0.0)
    assert len(sent_one(server).data) == 100
    assert_ended(server, server.receive(keepalive(bytes(101)), 0.0), ErrorCode.CONNECTION_ERROR)


def test_item_31_answers_are_capped_per_second() -> None:
    server = open_server(Limits(keepalives_per_second_max=10))
    for number in range(1000):
        server.receive(keepalive(), 1.0 + number / 2000)
    assert len(server.outgoing()) == 10
    server.receive(keepalive(), 2.5)
    assert len(server.outgoing()) == 1


def test_item_31_unread_answers_are_bounded_in_bytes() -> None:
    limits = Limits(outbound_bytes_max=10_000, keepalives_per_second_max=1_000_000)
    server = open_server(limits)
    server.writable = False
    for _ in range(1000):
        server.receive(keepalive(bytes(1000)), 1.0)
        assert server.outbound_bytes <= 10_000
    assert server.closing


def test_item_31_a_few_answers_wait_for_a_full_socket_and_no_more() -> None:
    server = open_server(Limits(keepalive_echoes_queued_max=3))
    server.writable = False
    for _ in range(10):
        server.receive(keepalive(), 1.0)
    server.writable = True
    assert len(server.outgoing()) == 3
    server.receive(keepalive(), 1.0)
    assert len(server.outgoing()) == 1
