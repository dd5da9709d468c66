"""Places: who takes one, and when it is free again."""

import resource

import pytest

from tidings.metrics import Metrics
from tidings.transports.doorkeeper import OTHER_FILES, Doorkeeper, places, shared_address
from tidings.transports.settings import ConnectionLimits


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.1", 1), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 1, 0, 0), "2001:0db8:0001:0002"),
        (("2001:db8:1:2::9", 1, 0, 0), "2001:0db8:0001:0002"),
        (("::ffff:192.0.2.1", 1, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 1, 0, 2), "fe80:0000:0000:0000"),
        ("", ""),
        (None, ""),
    ],
)
def test_an_address_is_what_one_customer_has(peer: object, address: str) -> None:
    assert shared_address(peer) == address


def test_a_place_is_free_again_once_however_often_it_is_given_back() -> None:
    doorkeeper = Doorkeeper(ConnectionLimits(connections_max=2, strangers_per_address_max=1), Metrics())
    peer = ("192.0.2.1", 1)
    first = doorkeeper.enter(peer)
    assert first is not None
    assert doorkeeper.enter(peer) is None
    assert doorkeeper.enter(("192.0.2.2", 1)) is not None
    first.admitted()
    first.admitted()
    assert doorkeeper.enter(("192.0.2.3", 1)) is None
    first.ended()
    first.ended()
    assert doorkeeper.present == 1
    again = doorkeeper.enter(peer)
    assert again is not None
    again.ended()
    again.admitted()
    assert doorkeeper.present == 1
    assert doorkeeper.enter(peer) is not None


def test_no_more_connections_are_taken_than_the_system_has_files_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert places(10) == 10
    if hard != resource.RLIM_INFINITY:
        assert places(hard) == hard - OTHER_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
