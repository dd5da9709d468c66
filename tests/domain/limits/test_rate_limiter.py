"""How fast one user may write, and one connection ask."""

import contextlib
from typing import Any

import pytest

from domain.harness import DomainHarness, FakeClock, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import ApiError, Code
from tidings.domain.limits.limits import DomainLimits
from tidings.domain.limits.rate_limiter import RateLimiter, WriteLimiter


def test_a_burst_is_allowed_then_the_pace_holds() -> None:
    clock = FakeClock()
    limiter = RateLimiter(4.0, 10, 100, clock.monotonic, "messages per second")
    for _ in range(10):
        limiter.acquire("alice")
    with raises_error(Code.RESOURCE_EXHAUSTED, "4 messages per second"):
        limiter.acquire("alice")
    taken = 0
    for _ in range(100):
        clock.scheduler.advance_by(0.1)
        try:
            limiter.acquire("alice")
            taken += 1
        except ApiError:
            pass
    assert taken == 40
    limiter.acquire("bob")


def test_a_refusal_says_when_to_try_again_and_costs_nothing() -> None:
    clock = FakeClock()
    limiter = RateLimiter(2.0, 1, 100, clock.monotonic, "messages per second")
    limiter.acquire("alice")
    for _ in range(5):
        with pytest.raises(ApiError) as caught:
            limiter.acquire("alice")
        assert caught.value.retry_after_ms == 500
    clock.scheduler.advance_by(0.5)
    limiter.acquire("alice")


def test_silence_fills_the_bucket_no_further_than_its_size() -> None:
    clock = FakeClock()
    limiter = RateLimiter(1.0, 3, 100, clock.monotonic, "messages per second")
    limiter.acquire("alice")
    clock.scheduler.advance_by(1_000)
    for _ in range(3):
        limiter.acquire("alice")
    with raises_error(Code.RESOURCE_EXHAUSTED):
        limiter.acquire("alice")


def test_without_a_pace_everything_goes() -> None:
    limiter = RateLimiter(0.0, 1, 100, FakeClock().monotonic, "messages per second")
    for _ in range(1_000):
        limiter.acquire("alice")


def test_what_is_heavier_than_the_burst_is_allowed_once_and_owed() -> None:
    clock = FakeClock()
    limiter = RateLimiter(10.0, 20, 100, clock.monotonic, "messages per second")
    limiter.acquire("alice", 500)
    with pytest.raises(ApiError) as caught:
        limiter.acquire("alice")
    assert caught.value.retry_after_ms == 48_100
    clock.scheduler.advance_by(48.1)
    limiter.acquire("alice")
    with pytest.raises(ApiError):
        limiter.acquire("alice")


def write_limiter(clock: FakeClock, sends: int = 100, stored_bytes: int = 10_000_000) -> WriteLimiter:
    limits = DomainLimits(sends_per_second_max=1.0, sends_burst_max=sends, stored_bytes_per_day_max=stored_bytes)
    return WriteLimiter(limits, clock.monotonic, is_disabled=False)


def test_a_long_text_weighs_as_much_as_many_short_ones() -> None:
    clock = FakeClock()
    writes = write_limiter(clock)
    event = v1.Event(actor="alice", edited=v1.Edited(target=1, text="x" * 65_536))
    taken = 0
    while taken < 100:
        try:
            writes.acquire(event)
        except ApiError:
            break
        taken += 1
    assert taken == 6  # of 17 each


def test_what_one_user_stores_in_a_day_ends_and_comes_back_over_the_day() -> None:
    clock = FakeClock()
    writes = write_limiter(clock, 1_000_000, 1_000_000)
    event = v1.Event(actor="alice", posted=v1.Posted(text="x" * 50_000))
    for _ in range(4):  # 250,000 each, with their index
        writes.acquire(event)
    with raises_error(Code.RESOURCE_EXHAUSTED, "more than 1,000,000 bytes stored in a day (stored_bytes_per_day_max)"):
        writes.acquire(event)
    writes.acquire(v1.Event(actor="bob", posted=event.posted))
    clock.scheduler.advance_by(86_400)
    for _ in range(3):
        writes.acquire(event)


@pytest.mark.parametrize(
    ("what", "stored_bytes"),
    [
        ({"posted": v1.Posted(text="x" * 3_000)}, 15_000),
        ({"posted": v1.Posted(text="\u4e2d" * 1_000)}, 48_000),  # three bytes each in the log, 45 in the index
        ({"edited": v1.Edited(target=1, text="x" * 3_000)}, 18_000),  # in the event and in the message
    ],
    ids=["ASCII", "Chinese", "an edit"],
)
def test_a_text_counts_as_stored_with_what_it_takes_in_the_search_index(what: Any, stored_bytes: int) -> None:
    event = v1.Event(actor="alice", **what)
    overhead_bytes = 300  # of the event's row
    for limit, allowed in ((stored_bytes, 1), (stored_bytes + overhead_bytes, 2)):
        writes = write_limiter(FakeClock(), 1_000, limit)
        for _ in range(allowed):
            writes.acquire(event)
        with raises_error(Code.RESOURCE_EXHAUSTED, "stored_bytes_per_day_max"):
            writes.acquire(event)


def test_what_is_refused_for_its_pace_does_not_count_as_stored() -> None:
    clock = FakeClock()
    writes = write_limiter(clock, 1, 100_000)
    event = v1.Event(actor="alice", posted=v1.Posted(text="hi"))
    for _ in range(1_000):
        with contextlib.suppress(ApiError):
            writes.acquire(event)
    clock.scheduler.advance_by(1)
    writes.acquire(event)


def test_each_of_the_two_limits_can_be_switched_off() -> None:
    clock = FakeClock()
    event = v1.Event(actor="alice", posted=v1.Posted(text="x" * 5_000))
    endless = DomainLimits(sends_per_second_max=0.0, stored_bytes_per_day_max=50_000)
    for limits, taken_max in ((endless, 2), (DomainLimits(sends_burst_max=4, stored_bytes_per_day_max=0), 2)):
        writes = WriteLimiter(limits, clock.monotonic, is_disabled=False)
        for _ in range(taken_max):
            writes.acquire(event)
        with raises_error(Code.RESOURCE_EXHAUSTED):
            writes.acquire(event)
    lifted = WriteLimiter(endless, clock.monotonic, is_disabled=True)
    for _ in range(100):
        lifted.acquire(event)


@pytest.mark.asyncio
async def test_a_room_with_many_members_is_made_once_and_then_paid_for() -> None:
    harness = DomainHarness(dev=False)
    (alice,) = harness.connect_all("alice")
    members = [f"user{number}" for number in range(500)]
    await alice.call("rooms.create", v1.CreateRequest(kind=v1.GROUP, members=members))
    with raises_error(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await alice.call("rooms.create", v1.CreateRequest(kind=v1.GROUP))
    await harness.advance_time(23)
    await alice.call("rooms.create", v1.CreateRequest(kind=v1.GROUP))


@pytest.mark.asyncio
async def test_a_user_makes_so_many_rooms() -> None:
    harness = DomainHarness(created_rooms_max=2)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("a", v1.OPEN)
    await alice.create_room("", v1.DIRECT, "bob")
    with raises_error(Code.RESOURCE_EXHAUSTED, "created_rooms_max"):
        await alice.create_room("b", v1.OPEN)
    await alice.create_room("a", v1.OPEN)
    await bob.create_room("b", v1.OPEN)
    (carol,) = DomainHarness(created_rooms_max=0).connect_all("carol")
    for number in range(5):
        await carol.create_room(f"room{number}", v1.OPEN)


@pytest.mark.asyncio
async def test_a_change_pays_for_what_it_makes_the_store_write_again() -> None:
    harness = DomainHarness(dev=False, sends_per_second_max=1.0, sends_burst_max=60)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.OPEN)
    seq = await alice.send("x" * 60_000)
    for number in range(4):
        request = v1.ReactRequest(room="den", client_id=f"r{number}", target=seq, emoji="👍", remove=number % 2 == 1)
        await bob.call("chat.react", request)
    with raises_error(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await bob.send()


UPDATES: dict[str, Any] = {
    "presence.typing": v1.TypingRequest(room="den"),
    "presence.set": v1.SetPresenceRequest(status=v1.AWAY),
    "receipts.mark": v1.MarkRequest(room="den", read=1),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("route", UPDATES)
async def test_updates_weigh_as_much_as_there_are_readers_who_are_told(route: str) -> None:
    harness = DomainHarness(dev=False, updates_per_second_max=1.0, updates_burst_max=9, update_cost_readers=2)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    phones = [await bob.watch("presence.watch", v1.PresenceWatchRequest(room="den")) for _ in range(4)]
    await settle()
    for _ in range(3):
        await alice.call(route, UPDATES[route])
    with raises_error(Code.RESOURCE_EXHAUSTED, "(updates_per_second_max)"):
        await alice.call(route, UPDATES[route])
    await bob.call(route, UPDATES[route])
    for phone in phones:
        phone.close()


@pytest.mark.asyncio
async def test_positions_weigh_nothing_more_where_members_are_only_counted() -> None:
    harness = DomainHarness(
        dev=False,
        updates_per_second_max=1.0,
        updates_burst_max=9,
        update_cost_readers=1,
        presence_room_members_max=1,
    )
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    phones = [await bob.watch("presence.watch", v1.PresenceWatchRequest(room="den")) for _ in range(8)]
    await settle()
    for _ in range(9):
        await alice.mark(read=1)
    with raises_error(Code.RESOURCE_EXHAUSTED, "(updates_per_second_max)"):
        await alice.mark(read=1)
    for phone in phones:
        phone.close()


@pytest.mark.asyncio
async def test_a_user_whose_bucket_was_evicted_starts_with_a_full_one() -> None:
    harness = DomainHarness(dev=False, sends_per_second_max=1.0, sends_burst_max=2, rate_limited_users_max=1)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.OPEN)
    with raises_error(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await alice.send()
    await bob.send()
    assert await alice.send()


@pytest.mark.asyncio
async def test_calls_of_one_user_over_all_connections_have_a_rate() -> None:
    harness = DomainHarness(dev=False, calls_per_second_max=10.0, calls_burst_max=3)
    alice, phone = harness.connect_all("alice", "alice")
    await alice.create_room("den")
    await alice.page()
    await alice.mark(read=1)
    asking: dict[str, Any] = {
        "rooms.create": v1.CreateRequest(room="den", kind=v1.GROUP),
        "rooms.get": v1.GetRequest(room="den"),
        "rooms.join": v1.JoinRequest(room="den"),
        "rooms.leave": v1.LeaveRequest(room="den"),
        "rooms.hide": v1.HideRequest(room="den"),
        "rooms.members": v1.MembersRequest(room="den"),
        "rooms.list": v1.ListRequest(),
        "presence.set": v1.SetPresenceRequest(status=v1.AWAY),
        "presence.typing": v1.TypingRequest(room="den"),
        "receipts.mark": v1.MarkRequest(room="den"),
        "history.page": v1.PageRequest(room="den"),
        "history.search": v1.SearchRequest(query="x"),
    }
    watching: dict[str, Any] = {
        "chat.watch": v1.WatchRequest(room="den"),
        "rooms.watch": v1.RoomsWatchRequest(),
        "presence.watch": v1.PresenceWatchRequest(room="den"),
        "history.read": v1.ReadRequest(room="den"),
    }
    for route, request in asking.items():
        with raises_error(Code.RESOURCE_EXHAUSTED, "(calls_per_second_max); try again in 100 ms"):
            await alice.call(route, request)
    for route, request in watching.items():
        with raises_error(Code.RESOURCE_EXHAUSTED, "(calls_per_second_max); try again in 100 ms"):
            await alice.watch(route, request)
    rest = harness.methods.keys() - asking.keys() - watching.keys()
    assert rest == {"chat.send", "chat.edit", "chat.delete", "chat.react", "chat.channel"} | {
        "session.info",
        "session.ping",
        "session.refresh",
    }
    await alice.call("session.ping", v1.PingRequest())
    await alice.send()
    with raises_error(Code.RESOURCE_EXHAUSTED, "(calls_per_second_max); try again in 100 ms"):
        await phone.page()
    await harness.advance_time(0.1)
    await phone.page()


@pytest.mark.asyncio
async def test_one_user_searches_so_often_over_all_connections() -> None:
    harness = DomainHarness(dev=False, searches_per_second_max=4.0, searches_burst_max=2)
    alice, phone, bob = harness.connect_all("alice", "alice", "bob")
    await alice.create_room("den", v1.OPEN)
    search = v1.SearchRequest(query="x", room="den")
    await alice.call("history.search", search)
    await phone.call("history.search", search)
    for device in (alice, phone):
        with raises_error(
            Code.RESOURCE_EXHAUSTED, "4 searches per second (searches_per_second_max); try again in 250 ms"
        ):
            await device.call("history.search", search)
    await bob.call("history.search", search)
    await alice.page()
    await harness.advance_time(0.25)
    await phone.call("history.search", search)


@pytest.mark.asyncio
async def test_what_is_asked_on_a_channel_counts_as_well() -> None:
    harness = DomainHarness(dev=False, calls_per_second_max=10.0, calls_burst_max=2)
    (alice,) = harness.connect_all("alice")
    await alice.create_room("den")
    channel = alice.channel()
    commands: list[dict[str, Any]] = [
        {"mark": v1.MarkRequest(room="den", read=1)},
        {"mark": v1.MarkRequest(room="den", read=2)},
        {"typing": v1.TypingRequest(room="den")},
        {"open": v1.WatchRequest(room="den")},
    ]
    refs = [channel.send_command(**command) for command in commands]
    await settle()
    answers = [channel.reply(ref) for ref in refs]
    failed = [answer.error.code for answer in answers if answer.HasField("error")]
    assert failed == [v1.RESOURCE_EXHAUSTED] * 3
