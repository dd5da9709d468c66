"""Items 32 to 35: leases, given and got."""

import pytest

from rsocket_harness import (
    SETUP,
    begin,
    complete,
    error,
    fire_and_forget,
    fresh_server,
    lease,
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
    setup,
)
from tidings.protocols.rsocket import Connection, ErrorCode, FrameType, Limits, LocalProtocolError, events
from tidings.protocols.rsocket.frames import FOLLOWS, LEASE_ENABLED, NEXT

LEASING = SETUP._replace(lease=True)


def leasing_server(limits: Limits = Limits()) -> Connection:
    return open_server(limits, first=setup(LEASE_ENABLED))


def test_item_32_client_sends_no_request_before_a_lease() -> None:
    client = open_client(setup=LEASING)
    client.request_response(b"one")
    client.fire_and_forget(b"two")
    client.request_stream(5, b"three")
    client.request_channel(5, b"four")
    assert client.outgoing() == []
    assert only_event(client.receive(lease(10_000, 3), 0.0), events.LeaseReceived) == (10_000, 3)
    assert [each.data for each in sent(client)] == [b"one", b"two", b"three"]
    client.receive(lease(10_000, 3), 0.0)
    assert [each.data for each in sent(client)] == [b"four"]


def test_item_32_server_as_requester_waits_for_the_clients_lease() -> None:
    server = leasing_server()
    server.request_response(b"?")
    assert server.outgoing() == []
    server.receive(lease(10_000, 1), 0.0)
    assert (sent_one(server).type, server.streams[2].is_requester) == (FrameType.REQUEST_RESPONSE, True)


def test_item_32_client_grants_a_lease_after_setup() -> None:
    client = open_client(setup=LEASING)
    client.grant_lease(1000, 5, 0.0)
    assert sent_one(client).type is FrameType.LEASE


def test_item_32_lease_that_comes_before_the_application_has_decided_counts() -> None:
    server = fresh_server()
    receive_all(server, [setup(LEASE_ENABLED), lease(10_000, 1)])
    server.accept(0.0)
    server.request_response(b"?")
    assert len(server.outgoing()) == 1


def test_item_32_without_the_flag_there_are_no_leases() -> None:
    server = open_server()
    with pytest.raises(LocalProtocolError):
        server.grant_lease(1000, 5, 0.0)
    assert server.receive(lease(1000, 5), 0.0) == ()
    begin(server, request_response(1))


def test_item_33_lease_is_on_stream_zero_with_ttl_and_number() -> None:
    server = leasing_server()
    server.grant_lease(0x01020304, 0x7FFFFFFF, 0.0)
    (raw,) = server.outgoing()
    assert raw == bytes.fromhex("000000000800010203047fffffff")


@pytest.mark.parametrize(("ttl_ms", "requests"), [(0, 1), (1, 0), (-1, 1), (1, 0x80000000)])
def test_item_33_lease_of_nothing_is_never_sent(ttl_ms: int, requests: int) -> None:
    server = leasing_server()
    with pytest.raises(LocalProtocolError):
        server.grant_lease(ttl_ms, requests, 0.0)
    assert server.outgoing() == []


def test_item_33_received_lease_of_zero_stops_all_requests() -> None:
    client = open_client(setup=LEASING)
    client.receive(lease(10_000, 5), 0.0)
    client.receive(lease(10_000, 0), 0.0)
    client.request_response(b"?")
    assert client.outgoing() == []


def test_item_33_last_lease_replaces_the_others() -> None:
    server = leasing_server()
    server.grant_lease(10_000, 5, 0.0)
    server.grant_lease(10_000, 1, 0.0)
    server.outgoing()
    begin(server, request_response(1))
    assert server.receive(request_response(3), 0.0) == ()
    assert sent_one(server).fields["code"] == ErrorCode.REJECTED


def test_item_33_ttl_counts_from_reception_and_expired_means_none_left() -> None:
    client = open_client(setup=LEASING)
    client.receive(lease(1000, 5), 3.0)
    assert client.deadline() == 4.0
    client.request_response(b"in time")
    client.tick(4.0)
    client.request_response(b"late")
    assert [each.data for each in sent(client)] == [b"in time"]


def test_item_34_request_beyond_the_lease_is_rejected_on_its_stream() -> None:
    server = leasing_server()
    server.grant_lease(10_000, 1, 0.0)
    server.outgoing()
    begin(server, request_response(1))
    for request in (request_response(3), request_stream(5, 1), request_channel(7, 1)):
        assert server.receive(request, 0.0) == ()
    assert [(each.stream_id, each.fields["code"]) for each in sent(server)] == [
        (3, ErrorCode.REJECTED), (5, ErrorCode.REJECTED), (7, ErrorCode.REJECTED),
    ]  # fmt: skip
    assert not server.closing


def test_item_34_request_before_the_first_lease_is_rejected() -> None:
    server = leasing_server()
    assert server.receive(request_response(1), 0.0) == ()
    assert sent_one(server).fields["code"] == ErrorCode.REJECTED


def test_item_34_request_after_expiry_is_rejected() -> None:
    server = leasing_server()
    server.grant_lease(1000, 5, 0.0)
    server.outgoing()
    begin(server, request_response(1), now=0.999)
    assert server.receive(request_response(3), 1.0) == ()
    assert sent_one(server).fields["code"] == ErrorCode.REJECTED


def test_item_34_fire_and_forget_beyond_the_lease_is_dropped() -> None:
    server = leasing_server()
    assert server.receive(fire_and_forget(1), 0.0) == ()
    assert server.outgoing() == []


def test_item_34_client_never_exceeds_the_lease() -> None:
    client = open_client(setup=LEASING)
    client.receive(lease(10_000, 7), 0.0)
    for _ in range(20):
        client.request_response(b"?")
    assert len(client.outgoing()) == 7


def test_item_35_fragmented_request_counts_once() -> None:
    server = leasing_server()
    server.grant_lease(10_000, 2, 0.0)
    server.outgoing()
    receive_all(server, [request_response(1, b"a", flags=FOLLOWS), payload(1, b"b", FOLLOWS | NEXT), payload(1, b"c")])
    begin(server, request_response(3))
    assert server.receive(request_response(5), 0.0) == ()
    client = open_client(Limits(fragment_bytes=64), setup=LEASING)
    client.receive(lease(10_000, 2), 0.0)
    client.request_response(bytes(500))
    client.request_response(b"two")
    client.request_response(b"three")
    assert {each.stream_id for each in sent(client)} == {1, 3}


def test_item_35_lack_of_a_lease_is_not_timed_out() -> None:
    client = open_client(setup=LEASING._replace(lifetime_ms=0x7FFFFFFF))
    stream = client.request_response(b"?")
    for hour in range(1, 24):
        client.tick(hour * 3600.0)
    assert not stream.closed
    assert FrameType.REQUEST_RESPONSE not in {each.type for each in sent(client)}


def test_item_35_waiting_requests_are_bounded_and_the_next_is_refused_here() -> None:
    client = open_client(Limits(lease_pending_requests_max=2), setup=LEASING)
    client.request_response(b"one")
    client.fire_and_forget(b"two")
    with pytest.raises(LocalProtocolError, match="wait for a lease"):
        client.request_response(b"three")
    assert len(client.streams) == 1
    client.receive(lease(10_000, 9), 0.0)
    assert len(client.outgoing()) == 2
    client.request_response(b"four")
    assert sent_one(client).data == b"four"


def test_item_35_waiting_requests_are_bounded_in_bytes() -> None:
    client = open_client(Limits(lease_pending_bytes_max=1000), setup=LEASING)
    with pytest.raises(LocalProtocolError, match="bytes wait"):
        client.request_response(bytes(1000))


def test_waiting_request_that_is_cancelled_is_never_sent() -> None:
    client = open_client(setup=LEASING)
    client.request_response(b"one").cancel()
    client.request_response(b"two")
    client.receive(lease(10_000, 5), 0.0)
    assert [each.data for each in sent(client)] == [b"two"]
    assert list(client.streams) == [3]


def test_what_follows_a_waiting_request_follows_it_onto_the_wire() -> None:
    client = open_client(setup=LEASING)
    channel = client.request_channel(1, b"first")
    channel.request(4)
    channel.complete()
    client.receive(lease(10_000, 5), 0.0)
    assert [each.type for each in sent(client)] == [FrameType.REQUEST_CHANNEL, FrameType.REQUEST_N, FrameType.PAYLOAD]


def test_waiting_request_that_an_error_hits_is_never_sent() -> None:
    client = open_client(setup=LEASING)
    stream = client.request_response(b"?")
    only_event(client.receive(error(1, ErrorCode.INVALID), 0.0), events.Failed)
    assert stream.closed
    client.receive(lease(10_000, 5), 0.0)
    assert client.outgoing() == []


def test_draining_fails_what_waits_for_a_lease() -> None:
    client = open_client(setup=LEASING)
    stream = client.request_response(b"?")
    client.drain(1.0, "leaving")
    assert list(client.tick(1.0)) == [
        events.Failed(stream, ErrorCode.REJECTED, "leaving"),
        events.ConnectionTerminated(ErrorCode.CONNECTION_CLOSE, "leaving", False),
    ]


def test_stream_ended_by_the_peer_before_its_lease_came_leaves_nothing_behind() -> None:
    client = open_client(setup=LEASING)
    client.request_stream(1, b"?")
    client.receive(complete(1), 0.0)
    assert len(client.pending_requests) == 0


@pytest.mark.parametrize(("now", "outcome"), [(0.999, "sent"), (1.0, "held"), (1.001, "held")])
def test_item_33_a_lease_is_valid_until_just_before_its_last_moment(now: float, outcome: str) -> None:
    client = open_client(setup=LEASING)
    client.receive(lease(1000, 5), 0.0)
    client.tick(now)
    client.request_response(b"?")
    assert ("sent" if client.outgoing() else "held") == outcome
    server = leasing_server()
    server.grant_lease(1000, 5, 0.0)
    server.outgoing()
    events_received = server.receive(request_response(1), now)
    assert ("sent" if events_received else "held") == outcome


def test_item_33_a_lease_of_one_request_allows_one() -> None:
    client = open_client(setup=LEASING)
    client.receive(lease(1000, 1), 0.0)
    client.request_response(b"first")
    client.request_response(b"second")
    assert [each.data for each in sent(client)] == [b"first"]


@pytest.mark.parametrize(("ttl_ms", "requests"), [(1, 1), (2**31 - 1, 2**31 - 1)])
def test_item_33_the_smallest_and_the_largest_lease_are_granted(ttl_ms: int, requests: int) -> None:
    server = leasing_server()
    server.grant_lease(ttl_ms, requests, 0.0)
    assert sent_one(server).fields == {"ttl_ms": ttl_ms, "requests": requests}


@pytest.mark.parametrize(("ttl_ms", "requests"), [(0, 1), (1, 0), (2**31, 1), (1, 2**31)])
def test_item_33_a_lease_that_the_frame_cannot_hold_is_a_local_error(ttl_ms: int, requests: int) -> None:
    server = leasing_server()
    with pytest.raises(LocalProtocolError, match=r"must be 1 to 2\*\*31 - 1"):
        server.grant_lease(ttl_ms, requests, 0.0)
    assert server.outgoing() == []
