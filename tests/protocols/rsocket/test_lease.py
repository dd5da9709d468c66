"""The bounds of leases and of the requests that wait for one."""

import pytest

from tidings.protocols.rsocket import Limits, LocalProtocolError
from tidings.protocols.rsocket.lease import Lease, PendingRequests


def test_a_lease_expires_at_its_last_moment_and_not_before() -> None:
    lease = Lease()
    lease.replace(1000, 2, 0.0)
    lease.expire(0.999)
    assert (lease.requests, lease.deadline()) == (2, 1.0)
    lease.expire(1.0)
    assert (lease.requests, lease.deadline()) == (0, float("inf"))


def test_pending_requests_hold_exactly_their_limit_of_bytes() -> None:
    pending = PendingRequests(Limits(lease_pending_bytes_max=10))
    pending.add(1, [b"12345"])
    pending.add(3, [b"123", b"45"])
    assert pending.held_bytes == 10
    with pytest.raises(LocalProtocolError, match="lease_pending_bytes_max"):
        pending.add(5, [b"1"])
    assert (5 in pending, pending.held_bytes) == (False, 10)


def test_pending_requests_have_exactly_their_limit_in_number() -> None:
    pending = PendingRequests(Limits(lease_pending_requests_max=2))
    pending.add(1, [b"1"])
    pending.add(3, [b"2"])
    with pytest.raises(LocalProtocolError, match="lease_pending_requests_max"):
        pending.add(5, [b"3"])


def test_the_bytes_of_a_pending_request_are_released_with_it() -> None:
    pending = PendingRequests(Limits())
    pending.add(1, [b"12345"])
    pending.append(1, b"678")
    pending.add(3, [b"9"])
    assert pending.held_bytes == 9
    assert pending.pop(1) == [b"12345", b"678"]
    assert pending.held_bytes == 1
    assert pending.pop(1) == []
    pending.clear()
    assert (len(pending), pending.held_bytes) == (0, 0)
