"""Every interaction of RSocket, through the eyes of clients that other people wrote."""

import asyncio
from typing import Any

import pytest

from interop.credentials import ALICE, BOB
from interop.foreign_clients import Connect

pytestmark = pytest.mark.asyncio(loop_scope="module")


def send_request(room: str, number: int, text: str | None = None) -> dict[str, Any]:
    return {"room": room, "clientId": f"message-{number}", "text": text or f"text {number}"}


def events(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events alone: where among them a watch went live is its own affair."""
    return [item["event"] for item in items if "event" in item]


def texts(items: list[dict[str, Any]]) -> list[str]:
    return [event["posted"]["text"] for event in events(items) if "posted" in event]


async def test_a_message_is_answered_with_its_place_in_the_log(connect: Connect, room: str) -> None:
    alice = await connect()
    first = await alice.call("chat.send", send_request(room, 1))
    second = await alice.call("chat.send", send_request(room, 2))
    assert first["cursor"]["epoch"] == second["cursor"]["epoch"] != ""
    assert int(second["cursor"]["seq"]) == int(first["cursor"]["seq"]) + 1
    assert await alice.call("chat.send", send_request(room, 1)) == {**first, "duplicate": True}


async def test_a_watcher_sees_what_was_said_before_and_what_is_said_now(connect: Connect, room: str) -> None:
    alice, bob = await connect(), await connect(auth=BOB)
    await alice.call("chat.send", send_request(room, 1))
    watch = await bob.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=100)
    items = [await watch.next()]
    while "live" not in items[-1]:
        items.append(await watch.next())
    assert texts(items) == ["text 1"]
    sent = await alice.call("chat.send", send_request(room, 2))
    event = (await watch.next())["event"]
    assert (event["actor"], event["seq"], event["posted"]["text"]) == ("alice", sent["cursor"]["seq"], "text 2")


async def test_no_more_items_arrive_than_were_requested(connect: Connect, room: str) -> None:
    alice = await connect()
    watch = await alice.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=3)
    other = await alice.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=1_000)
    for number in range(10):
        await alice.call("chat.send", send_request(room, number))
    # What the other watch has seen was due on this one as well, and the call's answer came after it on the same wire.
    seen: list[dict[str, Any]] = []
    while texts(seen)[-1:] != ["text 9"] or not any("live" in item for item in seen):
        seen.append(await other.next())
    await alice.call("session.ping")
    first = await watch.take(3)
    assert watch.received_count == 3
    await watch.request(2)
    more = await watch.take(2)
    await alice.call("session.ping")
    assert watch.received_count == 5
    await watch.request(1_000)
    rest = await watch.take(len(seen) - 5)
    assert events(first + more + rest) == events(seen)


async def test_nothing_arrives_after_a_cancel(connect: Connect, room: str) -> None:
    alice = await connect()
    watch = await alice.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=1_000)
    while "live" not in await watch.next():
        pass
    await watch.cancel()
    arrived = watch.received_count
    await alice.call("chat.send", send_request(room, 1))
    other = await alice.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=1_000)
    while "live" not in await other.next():
        pass
    assert (watch.received_count, watch.is_ended) == (arrived, False)


async def test_a_channel_carries_commands_answers_and_events(connect: Connect, room: str) -> None:
    alice = await connect()
    channel = await alice.channel("chat.channel", {"ref": "1", "open": {"room": room}}, n=1_000)
    await channel.send({"ref": "2", "send": send_request(room, 1)})
    await channel.send({"ref": "3", "typing": {"room": room}})
    await channel.send({"ref": "4", "send": {"room": room, "clientId": "empty", "text": ""}})
    await channel.send({"ref": "5", "mark": {"room": room, "read": "1"}})
    answers: dict[str, dict[str, Any]] = {}
    happened: list[dict[str, Any]] = []
    while len(answers) < 5 or not texts(happened):
        item = await channel.next()
        if "ref" in item:
            answers[item["ref"]] = item
        elif "event" in item:
            happened.append(item["event"])
    assert "done" in answers["1"]
    assert int(answers["2"]["sent"]["cursor"]["seq"]) > 0
    assert "done" in answers["3"]
    assert answers["4"]["error"]["code"] == "INVALID_ARGUMENT"
    assert answers["5"]["marked"]["read"] == "1"
    assert texts(happened) == ["text 1"]


async def test_a_channel_that_has_no_more_commands_goes_on_until_its_last_room_is_closed(
    connect: Connect, room: str
) -> None:
    alice = await connect()
    channel = await alice.channel("chat.channel", {"ref": "1", "open": {"room": room}}, n=1_000)
    while "ref" not in await channel.next():
        pass
    await channel.complete()
    await alice.call("chat.send", send_request(room, 1))
    happened: list[dict[str, Any]] = []
    while not texts(happened):
        happened.append((await channel.next()).get("event", {}))
    await channel.cancel()
    channel = await alice.channel("chat.channel", {"ref": "1", "open": {"room": room}}, n=1_000)
    await channel.send({"ref": "2", "close": {"room": room}})
    await channel.complete()
    assert await channel.wait_end() is None


async def test_a_channel_keeps_to_its_credit(connect: Connect, room: str) -> None:
    alice = await connect()
    channel = await alice.channel("chat.channel", {"ref": "1", "open": {"room": room}}, n=1)
    for number in range(2, 6):
        await channel.send({"ref": str(number), "send": send_request(room, number)})
    items = [await channel.next()]
    await alice.call("session.ping")
    assert channel.received_count == 1
    await channel.request(1_000)
    answered: set[str] = set()
    while answered < {"1", "2", "3", "4", "5"}:
        items.append(await channel.next())
        answered = {item["ref"] for item in items if "ref" in item}
    await channel.cancel()


async def test_fire_and_forget_is_carried_out(connect: Connect, room: str) -> None:
    alice = await connect()
    watch = await alice.watch("chat.watch", {"room": room}, n=10)
    assert "live" in await watch.next()
    await alice.fire("chat.send", send_request(room, 1))
    assert texts([await watch.next()]) == ["text 1"]
    page = await alice.call("history.page", {"room": room, "limit": 1})
    assert page["events"][0]["posted"]["text"] == "text 1"


async def test_history_comes_in_pages(connect: Connect, room: str) -> None:
    alice = await connect()
    for number in range(7):
        await alice.call("chat.send", send_request(room, number))
    newest = await alice.call("history.page", {"room": room, "limit": 3})
    assert [event["posted"]["text"] for event in newest["events"]] == ["text 4", "text 5", "text 6"]
    assert newest["more"] is True
    assert newest["head"]["seq"] == newest["events"][-1]["seq"]
    before = await alice.call("history.page", {"room": room, "before": newest["events"][0]["seq"], "limit": 2})
    assert [event["posted"]["text"] for event in before["events"]] == ["text 2", "text 3"]
    after = await alice.call("history.page", {"room": room, "after": before["events"][-1]["seq"], "limit": 100})
    assert after["events"] == newest["events"]
    assert "more" not in after


async def test_a_range_of_history_completes_at_its_end(connect: Connect, room: str) -> None:
    alice = await connect()
    for number in range(5):
        await alice.call("chat.send", send_request(room, number))
    stream = await alice.watch("history.read", {"room": room}, n=2)
    items = await stream.take(2)
    await stream.request(1_000)
    assert await stream.wait_end() is None
    items += await stream.take(stream.received_count - 2)
    assert texts(items) == [f"text {number}" for number in range(5)]


async def test_one_connection_carries_many_interactions_at_once(connect: Connect, room: str) -> None:
    alice = await connect()
    watches = [await alice.watch("chat.watch", {"room": room}, n=1_000) for _ in range(20)]
    for watch in watches:
        assert "live" in await watch.next()
    await asyncio.gather(*(alice.call("chat.send", send_request(room, number)) for number in range(20)))
    seen = [texts(await watch.take(20)) for watch in watches]
    assert sorted(seen[0]) == sorted(f"text {number}" for number in range(20))
    assert all(order == seen[0] for order in seen)


async def test_presence_tells_who_came_and_who_left(connect: Connect, room: str) -> None:
    alice = await connect(auth=ALICE)
    watch = await alice.watch("presence.watch", {"users": ["carol-of-" + room]}, n=100)
    carol = await connect(auth={"user": "carol-of-" + room, "password": "any"})
    await carol.call("session.ping")
    states = [await watch.next()]
    while states[-1].get("user", {}).get("status") != "ONLINE":
        states.append(await watch.next())
    assert states[-1]["user"]["user"] == "carol-of-" + room
