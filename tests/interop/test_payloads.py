"""Both encodings, chosen for a connection or for one request, and payloads larger than a frame."""

import pytest

from interop.credentials import BOB
from interop.foreign_clients import Combination, Connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json"
PROTOBUF = "application/vnd.google.protobuf"
# Four bytes, three bytes, two bytes, a combining mark, a quote and a backslash that JSON must escape.
DIFFICULT = 'vier 🐎, drei 馬, zwei ñ, "quoted" \\ and\ttabbed\nlines'
TEXT_BYTES_MAX = 65_536


@pytest.mark.parametrize("mime", [PROTOBUF, "application/x-protobuf", "application/octet-stream", JSON])
async def test_setup_chooses_the_encoding(connect: Connect, room: str, mime: str) -> None:
    alice = await connect(data_mime=mime)
    watch = await alice.watch("chat.watch", {"room": room}, n=10)
    assert "live" in await watch.next()
    sent = await alice.call("chat.send", {"room": room, "clientId": "a", "text": DIFFICULT})
    event = (await watch.next())["event"]
    assert event["posted"]["text"] == DIFFICULT
    assert event["seq"] == sent["cursor"]["seq"]


@pytest.mark.parametrize(("connection", "request_"), [(PROTOBUF, JSON), (JSON, PROTOBUF)], ids=["json", "protobuf"])
async def test_one_request_may_choose_another_encoding(
    connect: Connect, room: str, connection: str, request_: str
) -> None:
    alice = await connect(data_mime=connection)
    watch = await alice.watch("chat.watch", {"room": room}, n=10, mime=request_)
    assert "live" in await watch.next()
    sent = await alice.call("chat.send", {"room": room, "clientId": "a", "text": DIFFICULT}, mime=request_)
    assert (await watch.next())["event"]["seq"] == sent["cursor"]["seq"]
    page = await alice.call("history.page", {"room": room, "limit": 1})
    assert page["events"][0]["posted"]["text"] == DIFFICULT


async def test_clients_of_both_encodings_talk_with_each_other(connect: Connect, room: str) -> None:
    alice, bob = await connect(data_mime=JSON), await connect(data_mime=PROTOBUF, auth=BOB)
    watches = [await client.watch("chat.watch", {"room": room}, n=10) for client in (alice, bob)]
    for watch in watches:
        assert "live" in await watch.next()
    sent = await alice.call("chat.send", {"room": room, "clientId": "a", "text": DIFFICULT})
    answer = {"room": room, "clientId": "a", "text": DIFFICULT, "replyTo": sent["cursor"]["seq"]}
    await bob.call("chat.send", answer)
    assert await watches[0].take(2) == await watches[1].take(2)


@pytest.mark.parametrize("mime", [PROTOBUF, JSON], ids=["protobuf", "json"])
async def test_a_reply_of_more_than_a_mebibyte_arrives_whole(connect: Connect, room: str, mime: str) -> None:
    alice = await connect(data_mime=mime)
    texts = [f"{number:02}" * 30_000 for number in range(30)]
    for number, text in enumerate(texts):
        await alice.call("chat.send", {"room": room, "clientId": str(number), "text": text})
    page = await alice.call("history.page", {"room": room, "limit": len(texts)})
    assert [event["posted"]["text"] for event in page["events"]] == texts


async def test_items_of_64_kib_arrive_whole_on_a_stream(connect: Connect, room: str) -> None:
    alice = await connect()
    texts = [f"{number:02}" * (TEXT_BYTES_MAX // 2) for number in range(10)]
    watch = await alice.watch("chat.watch", {"room": room}, n=100)
    assert "live" in await watch.next()
    for number, text in enumerate(texts):
        await alice.call("chat.send", {"room": room, "clientId": str(number), "text": text})
    assert [item["event"]["posted"]["text"] for item in await watch.take(len(texts))] == texts


@pytest.mark.parametrize("fragment_bytes", [1_000, 64_000], ids=lambda size: f"in pieces of {size:,} bytes")
async def test_a_request_of_64_kib_is_understood(
    connect: Connect, combination: Combination, room: str, fragment_bytes: int
) -> None:
    # rsocket-js 0.0.27 cannot fragment what it sends and sends one frame.
    alice = await connect(fragment_bytes=fragment_bytes if combination.library.supports_fragments else None)
    text = "wide " * (TEXT_BYTES_MAX // 5)
    await alice.call("chat.send", {"room": room, "clientId": "a", "text": text})
    await alice.fire("chat.send", {"room": room, "clientId": "b", "text": text})
    stream = await alice.watch("chat.watch", {"room": room, "after": {"seq": "0"}}, n=100)
    arrived: list[str] = []
    while len(arrived) < 2:
        posted = (await stream.next()).get("event", {}).get("posted")
        arrived += [posted["text"]] if posted else []
    assert arrived == [text, text]
