"""Places: who takes one, and when it is free again."""

import resource
from collections.abc import Callable

import pytest

from tidings.metrics import Metrics
from tidings.transports.doorkeeper import OTHER_FILES, Doorkeeper, Stage, Visit, places, shared_address
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


# --- who makes room ---------------------------------------------------------------------------------------------


class Full:
    """A doorkeeper with three places for each address and six for all, and a clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0
        limits = ConnectionLimits(connections_max=6, strangers_per_address_max=3, evictable_seconds=1.0)
        self.metrics = Metrics()
        self.doorkeeper = Doorkeeper(limits, self.metrics, lambda: self.now)
        self.closed: list[str] = []

    def enter(self, name: str, address: str = "192.0.2.1", *, proxy: bool = False) -> Visit | None:
        visit = self.doorkeeper.enter((address, 1), proxy=proxy)
        if visit is not None:
            visit.make_way = self.noting(name)
        return visit

    def noting(self, name: str) -> Callable[[], None]:
        return lambda: self.closed.append(name)

    def entered(self, name: str, address: str = "192.0.2.1", *, proxy: bool = False) -> Visit:
        visit = self.enter(name, address, proxy=proxy)
        assert visit is not None
        return visit


def test_who_has_said_nothing_for_long_makes_room_and_the_oldest_first() -> None:
    full = Full()
    for name in ("a", "b", "c"):
        full.entered(name)
        full.now += 0.1
    assert full.enter("d") is None
    full.now = 101.05
    full.entered("d")
    assert full.closed == ["a"]
    assert full.enter("e") is None  # b came 0.95 s ago
    full.now += 0.1
    full.entered("e")
    assert full.closed == ["a", "b"]
    assert full.metrics.refused == {"strangers_per_address_max": 2, "evicted": 2}
    assert full.doorkeeper.present == 3


def test_idle_connections_make_room_at_once_and_before_all_others() -> None:
    full = Full()
    full.entered("old")
    full.now += 5
    visits = [full.entered("one"), full.entered("two")]
    for visit in reversed(visits):
        visit.at(Stage.IDLE)
    full.entered("new")
    full.entered("newer")
    full.entered("newest")
    assert full.closed == ["two", "one", "old"]


def test_who_asks_again_is_idle_no_longer_and_begins_anew() -> None:
    full = Full()
    one = full.entered("one")
    full.now += 5
    full.entered("two")
    one.at(Stage.IDLE)
    one.at(Stage.HTTP)
    full.now += 2
    full.entered("three")
    full.entered("four")
    assert full.closed == ["two"]  # it has been at it for as long as `one`, and came before it asked again


def test_those_who_said_who_they_are_never_make_room() -> None:
    full = Full()
    for name in ("a", "b", "c"):
        full.entered(name).admitted()
    full.now += 60
    for name in ("d", "e", "f"):
        full.entered(name, "192.0.2.2").admitted()
    assert full.enter("g", "192.0.2.3") is None
    assert full.closed == []
    assert full.metrics.refused == {"connections_max": 1}


def test_where_all_places_are_taken_the_oldest_stranger_of_any_address_makes_room() -> None:
    full = Full()
    for number in range(3):
        full.entered(f"a{number}")
        full.entered(f"b{number}", "192.0.2.2")
    assert full.enter("early", "192.0.2.3") is None
    full.now += 2
    full.entered("late", "192.0.2.3")
    assert full.closed == ["a0"]
    assert full.doorkeeper.present == 6


def test_what_a_trusted_proxy_brings_counts_for_the_client_when_that_is_known() -> None:
    full = Full()
    brought = [full.entered(f"p{number}", "10.0.0.1", proxy=True) for number in range(5)]
    assert all(visit.of("203.0.113.9") for visit in brought[:3])
    assert not brought[3].of("203.0.113.9")
    assert brought[3].of("203.0.113.10")
    assert brought[4].of("2001:db8:1:2::9")
    assert [visit.address for visit in brought] == [*["203.0.113.9"] * 3, "203.0.113.10", "2001:0db8:0001:0002"]
    for visit in brought:
        visit.ended()
    assert full.doorkeeper.present == 0
    assert all(full.entered(str(number), "203.0.113.9") for number in range(3))


def test_a_connection_that_made_room_gives_its_place_back_once() -> None:
    full = Full()
    first = full.entered("first")
    full.entered("second")
    full.entered("third")
    full.now += 2
    full.entered("fourth")
    first.ended()
    first.admitted()
    first.at(Stage.IDLE)
    assert full.doorkeeper.present == 3
    assert full.enter("fifth") is not None
    assert full.enter("sixth") is not None
    assert full.enter("seventh") is None


def test_http_has_fewer_places_than_there_are_so_that_others_can_come_to_sign_in() -> None:
    full = Full()
    full.doorkeeper._http_max = 2
    visits = [full.entered(name) for name in ("a", "b", "c")]
    assert [visit.at(Stage.HTTP) for visit in visits] == [True, True, False]
    assert full.metrics.refused == {"http_connections_per_address_max": 1}
    full.now += 2
    assert visits[2].at(Stage.HTTP)
    assert full.closed == ["a"]
    visits[1].at(Stage.IDLE)
    full.now = 102.5
    fourth = full.entered("d")
    assert fourth.at(Stage.HTTP)
    assert full.closed == ["a", "b"]
    assert fourth.at(Stage.IDLE)  # who speaks HTTP already goes on
    assert fourth.at(Stage.NEW)  # a WebSocket on a connection that was used before


def test_a_new_connection_makes_no_room_for_http() -> None:
    full = Full()
    full.doorkeeper._http_max = 1
    full.entered("waiting")
    full.now += 2
    full.entered("asking").at(Stage.HTTP)
    assert not full.entered("late").at(Stage.HTTP)
    assert full.closed == []


def test_who_has_sent_a_part_makes_room_at_once_before_those_who_have_sent_nothing() -> None:
    full = Full()
    full.entered("silent")
    one, two = full.entered("one"), full.entered("two")
    two.at(Stage.PARTIAL)
    one.at(Stage.PARTIAL)
    full.entered("new").at(Stage.IDLE)
    assert full.closed == ["two"]
    full.entered("newer")
    full.entered("newest")
    assert full.closed == ["two", "new", "one"]
    assert full.enter("too many") is None


def test_a_head_that_is_whole_is_protected_again() -> None:
    full = Full()
    for name in ("a", "b", "c"):
        visit = full.entered(name)
        visit.at(Stage.PARTIAL)
        visit.at(Stage.NEW)
    assert full.enter("d") is None


def test_what_came_in_part_does_not_make_room_for_http() -> None:
    full = Full()
    full.doorkeeper._http_max = 1
    full.entered("partial").at(Stage.PARTIAL)
    full.entered("asking").at(Stage.HTTP)
    assert not full.entered("late").at(Stage.HTTP)
    assert full.closed == []
