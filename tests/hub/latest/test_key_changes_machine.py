"""Whatever happens in whatever order: each reader of a board ends with the latest state, and every cursor is safe.

Each reader keeps what it was told, as a client would. At every item: whatever it is interested in and changed up to the
item's cursor, it knows. It may go away at any moment and resume from its last cursor; what it knew counts on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from hub.harness import UNBOUNDED, FakeLoop, RecordingSink
from tidings.hub import Batch, KeyChangeHub, KeyChangeLimits, KeySubscription

KEYS = [f"k{n}" for n in range(4)]
HIDDEN = 7  # a value that renders to nothing
Item = tuple[str, int, int]  # key, value, cursor; the live mark: "", 0, version
Done = Callable[[Sequence[int] | Exception], None]
keys = st.sets(st.sampled_from(KEYS), max_size=4)


@dataclass(eq=False)
class Client:
    """A reader over several subscriptions: what it knows, and the cursor it would resume from."""

    reader: RecordingSink[Item]
    min_interval_seconds: float
    known: dict[str, int] = field(default_factory=dict)
    cursor: int | None = None
    lives: int = 0
    rendered: list[tuple[str, int]] = field(default_factory=list)
    subscription: KeySubscription[int, Item] | None = None


class KeyChangeMachine(RuleBasedStateMachine):
    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeLoop()
        self.hub = KeyChangeHub(
            epoch="b1",
            schedule=self.loop.call_soon,
            schedule_later=self.loop.call_later,
            clock=self.loop.clock,
            limits=KeyChangeLimits(batch_items_max=2, round_subscriptions_max=2),
        )
        self.rows = dict.fromkeys(KEYS, 0)  # the store
        self.fetches: list[tuple[Sequence[str], Done]] = []
        self.all: list[Client] = []
        self.released: set[str] = set()  # a board cannot say since when these are as they are

    # what a client sees

    def subscribe(self, client: Client, interest: set[str]) -> None:
        client.lives = 0
        client.rendered = []
        client.reader.on_deliver = lambda batch: self.check(client, batch)
        common: dict[str, Any] = {
            "live": lambda epoch, version: ("", 0, version),
            "after": client.cursor,
            "epoch": "b1",
            "min_interval_seconds": client.min_interval_seconds,
        }

        def render(key: str, value: int, cursor: int) -> Item | None:
            client.rendered.append((key, value))
            return None if value == HIDDEN else (key, value, cursor)

        client.subscription = KeySubscription(
            self.hub, interest, client.reader, fetch=self.fetch, render=render, **common
        )

    def fetch(self, wanted: Sequence[str], done: Done) -> None:
        self.fetches.append((wanted, done))

    def check(self, client: Client, batch: Batch[Item]) -> None:
        assert client.subscription
        for key, value, cursor in batch.items:
            assert cursor >= (client.cursor or 0) or client.lives == 0, "a cursor never goes back"
            client.cursor = cursor
            if key:
                assert key in client.subscription.keys
                client.known[key] = value
            else:
                client.lives += 1
                assert client.lives == 1
        # What rendered to nothing is known too; with the whole batch taken, the last cursor must be safe.
        client.known.update(client.rendered)
        client.rendered = []
        assert client.cursor is not None
        for key in client.subscription.keys - self.released:
            if self.hub.versions.get(key, 0) <= client.cursor and client.lives:
                assert client.known.get(key) == self.rows[key], "the cursor is safe to resume from"

    # rules

    @rule(key=st.sampled_from(KEYS), value=st.integers(0, 9))
    def publish(self, key: str, value: int) -> None:
        self.rows[key] = value
        self.hub.mark_changed(key)
        self.released.discard(key)

    @rule(key=st.sampled_from(KEYS))
    def release(self, key: str) -> None:
        self.hub.release(key)
        self.released.add(key)

    @rule(
        target=clients,
        interest=keys,
        credit=st.sampled_from([0, 1, 3, UNBOUNDED]),
        min_interval_seconds=st.sampled_from([0.0, 0.0, 1.0, 3.0]),
    )
    def watch(self, interest: set[str], credit: int, min_interval_seconds: float) -> Client:
        client = Client(RecordingSink(credit), min_interval_seconds)
        self.subscribe(client, interest)
        self.all.append(client)
        return client

    @rule(client=clients, credit=st.sampled_from([1, 2, UNBOUNDED]))
    def grant(self, client: Client, credit: int) -> None:
        client.reader.credit = min(client.reader.credit + credit, UNBOUNDED)
        assert client.subscription
        client.subscription.wake()

    @rule(client=clients)
    def starve(self, client: Client) -> None:
        client.reader.credit = 0

    @rule(client=clients, more=keys)
    def add(self, client: Client, more: set[str]) -> None:
        assert client.subscription
        client.subscription.add(sorted(more))

    @rule(client=clients, less=keys)
    def discard(self, client: Client, less: set[str]) -> None:
        assert client.subscription
        client.subscription.discard(less)
        for key in less:
            client.known.pop(key, None)

    @rule(client=clients)
    def reconnect(self, client: Client) -> None:
        assert client.subscription
        interest = set(client.subscription.keys)
        client.subscription.close()
        if not client.lives:
            client.known, client.cursor = {}, None  # a client without a whole snapshot starts again
        self.subscribe(client, interest)

    @rule(client=consumes(clients))
    def close(self, client: Client) -> None:
        assert client.subscription
        client.subscription.close()
        self.all.remove(client)

    @rule()
    def run_round(self) -> None:
        self.loop.run_round()

    @rule()
    def run(self) -> None:
        self.loop.run()

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.5]))
    def advance(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @precondition(lambda self: self.fetches)
    @rule(pick=st.integers(0, 5))
    def answer(self, pick: int) -> None:
        wanted, done = self.fetches.pop(pick % len(self.fetches))
        done([self.rows[key] for key in wanted])

    @invariant()
    def dirty_sets_are_within_the_interest_and_ordered(self) -> None:
        for client in self.all:
            assert client.subscription
            dirty = client.subscription.dirty
            assert dirty.keys() <= client.subscription.keys
            assert list(dirty.values()) == sorted(dirty.values())

    def teardown(self) -> None:
        for client in self.all:
            if client.reader.credit != UNBOUNDED:  # the others must get everything without being woken
                self.grant(client, UNBOUNDED)
        while self.fetches or self.loop.callbacks or self.loop.timers:
            while self.fetches:
                self.answer(0)
            self.loop.run()
            self.loop.advance(10)
        for client in self.all:
            assert client.lives == 1
            assert client.subscription
            client.known.update(client.rendered)
            for key in client.subscription.keys:
                assert client.known.get(key) == self.rows[key]
            assert not client.reader.errors
            client.subscription.close()
        assert self.hub.subscription_count == 0
        assert not self.hub._subscribers


TestKeyChanges = KeyChangeMachine.TestCase
TestKeyChanges.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
