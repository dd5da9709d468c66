"""What follows a commit, and in which order."""

from typing import Any

import pytest

from domain.harness import DomainHarness, settle
from tidings.contract import v1


@pytest.mark.asyncio
async def test_readers_are_notified_after_the_commit_and_before_the_sender() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    reader = await alice.watch_room()
    await settle()
    heads: list[int] = []
    notify = harness.services.hub.notify

    def notified(room: str, epoch: str, events: Any) -> None:
        heads.append(harness.store._tables.rooms[room].head)  # type: ignore[attr-defined]
        notify(room, epoch, events)

    harness.services.hub.notify = notified  # type: ignore[method-assign]
    seq = await alice.send()
    assert heads == [seq]
    await settle()
    assert reader.seqs == [seq]


@pytest.mark.asyncio
async def test_a_sender_does_not_wait_for_a_reader() -> None:
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    stopped = await alice.watch("chat.watch", v1.WatchRequest(room="den"), credit=0)
    for _ in range(2_000):
        await alice.send()
    assert stopped.items == []
    stopped.request(3_000)
    await settle()
    assert stopped.seqs == list(range(3, 2_003))


@pytest.mark.asyncio
async def test_a_removed_member_loses_access_before_the_next_event() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    readers = [
        await bob.watch_room(),
        await bob.watch("presence.watch", v1.PresenceWatchRequest(room="den")),
        await bob.watch("history.read", v1.ReadRequest(room="den"), 0),
    ]
    await settle()
    for reader in readers:
        reader.take_items()
    # The removal and what follows it come in one turn of the loop.
    await alice.leave_room(user="bob")
    await alice.send("secret")
    await alice.mark(read=4)
    await settle()
    for reader in readers:
        assert reader.items == []
        assert len(reader.errors) == 1
