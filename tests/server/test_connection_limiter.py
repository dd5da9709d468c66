"""Places: who takes one, and when it is free again."""

import resource
from collections.abc import Callable

import pytest

from tidings.metrics.registry import Metrics
from tidings.server.connection_limiter import (
    RESERVED_FILES,
    ConnectionLimiter,
    ConnectionSlot,
    ConnectionStage,
    address_key,
    raise_open_files_limit,
)
from tidings.server.settings import ConnectionLimits


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
    assert address_key(peer) == address


def test_a_place_is_free_again_once_however_often_it_is_given_back() -> None:
    limiter = ConnectionLimiter(
        ConnectionLimits(connections_max=2, unauthenticated_connections_per_address_max=1), Metrics()
    )
    peer = ("192.0.2.1", 1)
    first = limiter.acquire(peer)
    assert first is not None
    assert limiter.acquire(peer) is None
    assert limiter.acquire(("192.0.2.2", 1)) is not None
    first.mark_authenticated()
    first.mark_authenticated()
    assert limiter.acquire(("192.0.2.3", 1)) is None
    first.release()
    first.release()
    assert limiter.connection_count == 1
    again = limiter.acquire(peer)
    assert again is not None
    again.release()
    again.mark_authenticated()
    assert limiter.connection_count == 1
    assert limiter.acquire(peer) is not None


def test_no_more_connections_are_taken_than_the_system_has_files_for() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_open_files_limit(10) == 10
    if hard != resource.RLIM_INFINITY:
        assert raise_open_files_limit(hard) == hard - RESERVED_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- who makes room ---------------------------------------------------------------------------------------------


class FullLimiter:
    """A connection limiter with three places for each address and six for all, and a clock that tests move."""

    def __init__(self) -> None:
        self.now = 100.0
        limits = ConnectionLimits(
            connections_max=6, unauthenticated_connections_per_address_max=3, evictable_after_seconds=1.0
        )
        self.metrics = Metrics()
        self.limiter = ConnectionLimiter(limits, self.metrics, lambda: self.now)
        self.closed: list[str] = []

    def acquire(self, name: str, address: str = "192.0.2.1", *, proxy: bool = False) -> ConnectionSlot | None:
        slot = self.limiter.acquire((address, 1), is_proxy=proxy)
        if slot is not None:
            slot.on_evict = self.on_evict_recorder(name)
        return slot

    def on_evict_recorder(self, name: str) -> Callable[[], None]:
        return lambda: self.closed.append(name)

    def acquired(self, name: str, address: str = "192.0.2.1", *, proxy: bool = False) -> ConnectionSlot:
        slot = self.acquire(name, address, proxy=proxy)
        assert slot is not None
        return slot


def test_who_has_said_nothing_for_long_makes_room_and_the_oldest_first() -> None:
    full = FullLimiter()
    for name in ("a", "b", "c"):
        full.acquired(name)
        full.now += 0.1
    assert full.acquire("d") is None
    full.now = 101.05
    full.acquired("d")
    assert full.closed == ["a"]
    assert full.acquire("e") is None  # b came 0.95 s ago
    full.now += 0.1
    full.acquired("e")
    assert full.closed == ["a", "b"]
    assert full.metrics.connections_refused == {"unauthenticated_connections_per_address_max": 2, "evicted": 2}
    assert full.limiter.connection_count == 3


def test_idle_connections_make_room_at_once_and_before_all_others() -> None:
    full = FullLimiter()
    full.acquired("old")
    full.now += 5
    slots = [full.acquired("one"), full.acquired("two")]
    for slot in reversed(slots):
        slot.enter_stage(ConnectionStage.IDLE)
    full.acquired("new")
    full.acquired("newer")
    full.acquired("newest")
    assert full.closed == ["two", "one", "old"]


def test_who_asks_again_is_idle_no_longer_and_begins_anew() -> None:
    full = FullLimiter()
    one = full.acquired("one")
    full.now += 5
    full.acquired("two")
    one.enter_stage(ConnectionStage.IDLE)
    one.enter_stage(ConnectionStage.HTTP)
    full.now += 2
    full.acquired("three")
    full.acquired("four")
    assert full.closed == ["two"]  # it has been at it for as long as `one`, and came before it asked again


def test_those_who_said_who_they_are_never_make_room() -> None:
    full = FullLimiter()
    for name in ("a", "b", "c"):
        full.acquired(name).mark_authenticated()
    full.now += 60
    for name in ("d", "e", "f"):
        full.acquired(name, "192.0.2.2").mark_authenticated()
    assert full.acquire("g", "192.0.2.3") is None
    assert full.closed == []
    assert full.metrics.connections_refused == {"connections_max": 1}


def test_where_all_places_are_taken_the_oldest_stranger_of_any_address_makes_room() -> None:
    full = FullLimiter()
    for number in range(3):
        full.acquired(f"a{number}")
        full.acquired(f"b{number}", "192.0.2.2")
    assert full.acquire("early", "192.0.2.3") is None
    full.now += 2
    full.acquired("late", "192.0.2.3")
    assert full.closed == ["a0"]
    assert full.limiter.connection_count == 6


def test_what_a_trusted_proxy_brings_counts_for_the_client_when_that_is_known() -> None:
    full = FullLimiter()
    brought = [full.acquired(f"p{number}", "10.0.0.1", proxy=True) for number in range(5)]
    assert all(slot.assign_address("203.0.113.9") for slot in brought[:3])
    assert not brought[3].assign_address("203.0.113.9")
    assert brought[3].assign_address("203.0.113.10")
    assert brought[4].assign_address("2001:db8:1:2::9")
    assert [slot.address for slot in brought] == [*["203.0.113.9"] * 3, "203.0.113.10", "2001:0db8:0001:0002"]
    for slot in brought:
        slot.release()
    assert full.limiter.connection_count == 0
    assert all(full.acquired(str(number), "203.0.113.9") for number in range(3))


def test_a_connection_that_made_room_gives_its_place_back_once() -> None:
    full = FullLimiter()
    first = full.acquired("first")
    full.acquired("second")
    full.acquired("third")
    full.now += 2
    full.acquired("fourth")
    first.release()
    first.mark_authenticated()
    first.enter_stage(ConnectionStage.IDLE)
    assert full.limiter.connection_count == 3
    assert full.acquire("fifth") is not None
    assert full.acquire("sixth") is not None
    assert full.acquire("seventh") is None


def test_http_has_fewer_places_than_there_are_so_that_others_can_come_to_sign_in() -> None:
    full = FullLimiter()
    full.limiter._http_max = 2
    slots = [full.acquired(name) for name in ("a", "b", "c")]
    assert [slot.enter_stage(ConnectionStage.HTTP) for slot in slots] == [True, True, False]
    assert full.metrics.connections_refused == {"http_connections_per_address_max": 1}
    full.now += 2
    assert slots[2].enter_stage(ConnectionStage.HTTP)
    assert full.closed == ["a"]
    slots[1].enter_stage(ConnectionStage.IDLE)
    full.now = 102.5
    fourth = full.acquired("d")
    assert fourth.enter_stage(ConnectionStage.HTTP)
    assert full.closed == ["a", "b"]
    assert fourth.enter_stage(ConnectionStage.IDLE)  # who speaks HTTP already goes on
    assert fourth.enter_stage(ConnectionStage.NEW)  # a WebSocket on a connection that was used before


def test_a_new_connection_makes_no_room_for_http() -> None:
    full = FullLimiter()
    full.limiter._http_max = 1
    full.acquired("waiting")
    full.now += 2
    full.acquired("asking").enter_stage(ConnectionStage.HTTP)
    assert not full.acquired("late").enter_stage(ConnectionStage.HTTP)
    assert full.closed == []


def test_who_has_sent_a_part_makes_room_at_once_before_those_who_have_sent_nothing() -> None:
    full = FullLimiter()
    full.acquired("silent")
    one, two = full.acquired("one"), full.acquired("two")
    two.enter_stage(ConnectionStage.PARTIAL)
    one.enter_stage(ConnectionStage.PARTIAL)
    full.acquired("new").enter_stage(ConnectionStage.IDLE)
    assert full.closed == ["two"]
    full.acquired("newer")
    full.acquired("newest")
    assert full.closed == ["two", "new", "one"]
    assert full.acquire("too many") is None


def test_a_head_that_is_whole_is_protected_again() -> None:
    full = FullLimiter()
    for name in ("a", "b", "c"):
        slot = full.acquired(name)
        slot.enter_stage(ConnectionStage.PARTIAL)
        slot.enter_stage(ConnectionStage.NEW)
    assert full.acquire("d") is None


def test_what_came_in_part_does_not_make_room_for_http() -> None:
    full = FullLimiter()
    full.limiter._http_max = 1
    full.acquired("partial").enter_stage(ConnectionStage.PARTIAL)
    full.acquired("asking").enter_stage(ConnectionStage.HTTP)
    assert not full.acquired("late").enter_stage(ConnectionStage.HTTP)
    assert full.closed == []
