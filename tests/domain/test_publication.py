"""What follows a commit, and in which order."""

from typing import Any

import pytest

from domain.stage import House, settled
from tidings.contract import v1


@pytest.mark.asyncio
async def test_nobody_hears_of_a_message_before_it_is_written_and_everybody_has_before_the_sender_does() -> None:
    house = House()
    (alice,) = house.people("alice")
    await alice.create()
    reader = await alice.read()
    await settled()
    heads: list[int] = []
    notify = house.product.hub.notify

    def notified(room: str, epoch: str, events: Any) -> None:
        heads.append(house.store._tables.rooms[room].head)  # type: ignore[attr-defined]
        notify(room, epoch, events)

    house.product.hub.notify = notified  # type: ignore[method-assign]
    seq = await alice.send()
    assert heads == [seq]
    await settled()
    assert reader.seqs == [seq]


@pytest.mark.asyncio
async def test_a_sender_does_not_wait_for_a_reader() -> None:
    house = House()
    (alice,) = house.people("alice")
    await alice.create()
    stopped = await alice.watch("chat.watch", v1.WatchRequest(room="den"), credit=0)
    for _ in range(2_000):
        await alice.send()
    assert stopped.items == []
    stopped.take(3_000)
    await settled()
    assert stopped.seqs == list(range(3, 2_003))


@pytest.mark.asyncio
async def test_who_is_removed_is_out_before_the_next_event_is_told() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP, "bob")
    readers = [
        await bob.read(),
        await bob.watch("presence.watch", v1.PresenceWatchRequest(room="den")),
        await bob.watch("history.read", v1.ReadRequest(room="den"), 0),
    ]
    await settled()
    for reader in readers:
        reader.drain()
    # The removal and what follows it come in one turn of the loop.
    await alice.quit(user="bob")
    await alice.send("secret")
    await alice.mark(read=4)
    await settled()
    for reader in readers:
        assert reader.items == []
        assert len(reader.errors) == 1
