"""Two nodes on one store, joined by a bus that loses, delays, repeats and reorders notices as a seed says.

Each user is connected to the node that the name begins with (`0-ann`). Time is the test's; a store on disk answers in
real time, which `settle` waits for.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from domain.harness import ConnectedUser, DomainHarness, settle
from tidings.contract import v1
from tidings.domain.ports.commit_feed import FeedListener, Notice, RoomCommit, notice_handlers
from tidings.domain.ports.store import CommitListener, MemberChange, Store, StoredEvent
from tidings.hub import HubLimits

HEAD_CHECK_SECONDS = 10.0
ROLE_SECONDS = 10.0


class NodeFeed:
    """A `CommitFeed`: own notices at once, those of the other node when the bus delivers them."""

    is_lossless = False

    def __init__(self, bus: "FaultyBus") -> None:
        self.handlers: Mapping[type[Any], Callable[[Any], None]] = {}
        self.listener: FeedListener | None = None
        self._bus = bus

    def subscribe(self, listener: FeedListener) -> None:
        self.listener = listener
        self.handlers = notice_handlers(listener)

    def publish(self, notice: Notice) -> None:
        self.handlers[type(notice)](notice)
        self._bus.send(self, notice)


class FaultyBus:
    """Carries notices between feeds. `loss`, `repeat`: probabilities; the order is any."""

    def __init__(self, random: Random, *, loss: float = 0.25, repeat: float = 0.25) -> None:
        self.feeds = [NodeFeed(self), NodeFeed(self)]
        self._random = random
        self._loss = loss
        self._repeat = repeat
        self._pending: list[tuple[NodeFeed, Notice]] = []

    def send(self, sender: NodeFeed, notice: Notice) -> None:
        if isinstance(notice, RoomCommit) and self._random.random() < 0.5:
            notice = notice.without_bytes()
        for feed in self.feeds:
            if feed is not sender and self._random.random() >= self._loss:
                self._pending += [(feed, notice)] * (2 if self._random.random() < self._repeat else 1)

    def deliver_some(self) -> None:
        """Some of what is on its way, in any order."""
        self._random.shuffle(self._pending)
        for _ in range(self._random.randint(0, len(self._pending))):
            feed, notice = self._pending.pop()
            feed.handlers[type(notice)](notice)

    def lose_all(self) -> None:
        """Nothing that is on its way arrives."""
        self._pending.clear()

    def report_gap(self) -> None:
        """The bus says that it lost something."""
        for feed in self.feeds:
            assert feed.listener is not None
            feed.listener.on_gap()


class NodeStore:
    """The shared store as one node sees it; `commit_listener` hears of this node's commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.commit_listener: CommitListener | None = None

    def on_committed(self, listener: CommitListener) -> None:
        self.commit_listener = listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Cluster:
    """The nodes, their users, and a clock for both."""

    def __init__(self, store: Store, random: Random, *, is_on_disk: bool, **faults: float) -> None:
        self.store = store
        self.bus = FaultyBus(random, **faults)
        self._is_on_disk = is_on_disk
        self._stores = [NodeStore(store), NodeStore(store)]
        hub = HubLimits(tail_events_max=16, head_check_seconds=HEAD_CHECK_SECONDS)
        self.nodes = [
            DomainHarness(node_store, feed=feed, hub=hub, cached_role_seconds=ROLE_SECONDS)  # type: ignore[arg-type]
            for node_store, feed in zip(self._stores, self.bus.feeds, strict=True)
        ]
        store.on_committed(self._on_committed)

    def connect(self, user: str) -> ConnectedUser:
        return self.nodes[int(user[0])].connect(user)

    async def settle(self) -> None:
        await settle()
        if self._is_on_disk:
            await asyncio.sleep(0.02)
            await settle()

    async def advance(self, seconds: int) -> None:
        """Let time pass on both nodes, second by second."""
        for _ in range(seconds):
            for node in self.nodes:
                await node.advance_time(1.0)
            await self.settle()

    def assert_no_faults(self) -> None:
        assert [node.reported_errors for node in self.nodes] == [[], []]

    def _on_committed(
        self,
        room: str,
        epoch: str,
        events: Sequence[StoredEvent],
        rewritten: Sequence[StoredEvent],
        members: Sequence[MemberChange],
    ) -> None:
        # A commit of a busy store may hold events of both nodes; it counts as one of the node of the first.
        actor = v1.Event.FromString(events[0].data).actor if events else members[0].member.user
        listener = self._stores[int(actor[0])].commit_listener
        assert listener is not None
        listener(room, epoch, events, rewritten, members)
