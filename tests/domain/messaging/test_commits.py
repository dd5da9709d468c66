"""What follows a commit, and in which order."""

from typing import Any

import pytest

from domain.harness import DomainHarness, settle
from tidings.contract import v1
from tidings.domain.ports.commit_feed import FeedListener, Notice, RoomCommit, notice_handlers


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


class BytelessFeed:
    """A `CommitFeed` on which all commits come as those of another node, without their bytes."""

    is_lossless = False

    def __init__(self) -> None:
        self.listener: FeedListener | None = None

    def subscribe(self, listener: FeedListener) -> None:
        self.listener = listener

    def publish(self, notice: Notice) -> None:
        assert self.listener is not None
        if isinstance(notice, RoomCommit):
            notice = notice.without_bytes()
        notice_handlers(self.listener)[type(notice)](notice)


@pytest.mark.asyncio
async def test_commits_without_bytes_reach_readers_and_replaced_events_leave_their_pages() -> None:
    harness = DomainHarness(feed=BytelessFeed())
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    seqs = [await alice.send("secret") for _ in range(5)]
    live = await alice.watch_room()
    waiting = await alice.watch("chat.watch", v1.WatchRequest(room="den", after=v1.Cursor(seq=seqs[0])), credit=1)
    await settle()
    assert waiting.seqs == [seqs[1]], "the rest of its page waits"
    request = v1.DeleteRequest(room="den", client_id=alice.new_client_id(), target=seqs[3])
    await alice.call("chat.delete", request)
    waiting.request(100)
    await settle()
    assert waiting.seqs == [*seqs[1:], seqs[-1] + 1]
    assert [event.posted.text for event in waiting.events if event.seq in seqs] == ["secret", "secret", "", "secret"]
    assert live.seqs == [seqs[-1] + 1]
    assert not harness.reported_errors


@pytest.mark.asyncio
async def test_a_commit_that_came_before_is_not_applied_again() -> None:
    feed = BytelessFeed()
    harness = DomainHarness(feed=feed)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP, "bob")
    await settle()
    commits: list[RoomCommit] = []
    publish = feed.publish
    feed.publish = lambda notice: (commits.append(notice), publish(notice))  # type: ignore[method-assign,arg-type,func-returns-value]
    await alice.leave_room(user="bob")
    await alice.join_room(user="bob")
    reader = await bob.watch_room()
    await settle()
    assert feed.listener is not None
    reads: list[str] = []
    members = harness.store.members
    harness.store.members = lambda room, **page: (reads.append(room), members(room, **page))[1]  # type: ignore[method-assign,assignment,func-returns-value]
    feed.listener.on_commit(commits[0].without_bytes())
    await settle()
    assert reads == [], "nothing is missing, so nothing is read again"
    await bob.send()
    await settle()
    assert not reader.ended
    assert len(reader.seqs) == 1
