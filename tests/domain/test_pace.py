"""How fast one user may write, and one connection ask."""

from typing import Any

import pytest

from domain.stage import House, StageClock, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code, Failure
from tidings.domain.pace import Pace


def test_a_burst_is_allowed_then_the_pace_holds() -> None:
    clock = StageClock()
    pace = Pace(4.0, 10, 100, clock.monotonic, "messages per second")
    for _ in range(10):
        pace.take("alice")
    with refused(Code.RESOURCE_EXHAUSTED, "4 messages per second"):
        pace.take("alice")
    taken = 0
    for _ in range(100):
        clock.scheduler.advance_by(0.1)
        try:
            pace.take("alice")
            taken += 1
        except Failure:
            pass
    assert taken == 40
    pace.take("bob")


def test_a_refusal_says_when_to_try_again_and_costs_nothing() -> None:
    clock = StageClock()
    pace = Pace(2.0, 1, 100, clock.monotonic, "messages per second")
    pace.take("alice")
    for _ in range(5):
        with pytest.raises(Failure) as caught:
            pace.take("alice")
        assert caught.value.retry_after_ms == 500
    clock.scheduler.advance_by(0.5)
    pace.take("alice")


def test_silence_fills_the_bucket_no_further_than_its_size() -> None:
    clock = StageClock()
    pace = Pace(1.0, 3, 100, clock.monotonic, "messages per second")
    pace.take("alice")
    clock.scheduler.advance_by(1_000)
    for _ in range(3):
        pace.take("alice")
    with refused(Code.RESOURCE_EXHAUSTED):
        pace.take("alice")


def test_without_a_pace_everything_goes() -> None:
    pace = Pace(0.0, 1, 100, StageClock().monotonic, "messages per second")
    for _ in range(1_000):
        pace.take("alice")


@pytest.mark.asyncio
async def test_who_is_forgotten_for_others_starts_with_a_full_bucket() -> None:
    house = House(dev=False, sends_per_second_max=1.0, sends_burst_max=2, paced_users_max=1)
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.OPEN)
    await alice.send()
    with refused(Code.RESOURCE_EXHAUSTED, "sends_per_second_max"):
        await alice.send()
    await bob.send()
    assert await alice.send()


@pytest.mark.asyncio
async def test_one_connection_asks_so_often_and_is_told_when_to_try_again() -> None:
    house = House(dev=False, calls_per_second_max=10.0, calls_burst_max=3)
    alice, phone = house.people("alice", "alice")
    await alice.create("den")
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
        with refused(Code.RESOURCE_EXHAUSTED, "(calls_per_second_max); try again in 100 ms"):
            await alice.call(route, request)
    for route, request in watching.items():
        with refused(Code.RESOURCE_EXHAUSTED, "(calls_per_second_max); try again in 100 ms"):
            await alice.watch(route, request)
    rest = house.rows.keys() - asking.keys() - watching.keys()
    assert rest == {"chat.send", "chat.edit", "chat.delete", "chat.react", "chat.channel"} | {
        "session.info",
        "session.ping",
        "session.refresh",
    }
    await alice.call("session.ping", v1.PingRequest())
    await alice.send()
    await phone.page()
    await house.pass_time(0.1)
    await alice.page()


@pytest.mark.asyncio
async def test_one_user_searches_so_often_over_all_connections() -> None:
    house = House(dev=False, searches_per_second_max=4.0, searches_burst_max=2)
    alice, phone, bob = house.people("alice", "alice", "bob")
    await alice.create("den", v1.OPEN)
    search = v1.SearchRequest(query="x", room="den")
    await alice.call("history.search", search)
    await phone.call("history.search", search)
    for device in (alice, phone):
        with refused(Code.RESOURCE_EXHAUSTED, "4 searches per second (searches_per_second_max); try again in 250 ms"):
            await device.call("history.search", search)
    await bob.call("history.search", search)
    await alice.page()
    await house.pass_time(0.25)
    await phone.call("history.search", search)


@pytest.mark.asyncio
async def test_what_is_asked_on_a_channel_counts_as_well() -> None:
    house = House(dev=False, calls_per_second_max=10.0, calls_burst_max=2)
    (alice,) = house.people("alice")
    await alice.create("den")
    channel = alice.channel()
    commands: list[dict[str, Any]] = [
        {"mark": v1.MarkRequest(room="den", read=1)},
        {"mark": v1.MarkRequest(room="den", read=2)},
        {"typing": v1.TypingRequest(room="den")},
        {"open": v1.WatchRequest(room="den")},
    ]
    refs = [channel.say(**command) for command in commands]
    await settled()
    answers = [channel.answer(ref) for ref in refs]
    failed = [answer.error.code for answer in answers if answer.HasField("error")]
    assert failed == [v1.RESOURCE_EXHAUSTED] * 3
