"""The store on disk and the one in memory are given the same to do, at random: they must answer alike."""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kits.store.factories import (
    NOW_MS,
    new_deletion,
    new_edit,
    new_membership,
    new_message,
    new_reaction,
    parse,
    read_all,
)
from tidings.contract import v1
from tidings.contract.errors import ApiError
from tidings.domain.ports.store import AppendResult, LogHead, RoomListEntry, RoomRecord, Store
from tidings.stores.memory.store import MemoryStore
from tidings.stores.sqlite.limits import SqliteLimits
from tidings.stores.sqlite.store import SqliteStore

ROOMS = st.sampled_from(["one", "two", "three"])
USERS = st.sampled_from(["ann", "bob", "cem"])
KEYS = st.sampled_from(["", "a", "b", "c", "d", "e"])
TEXTS = st.sampled_from(["apple", "apple pie", "banana", "天気予報", "hello world", "x" * 3_000])
SEQS = st.integers(0, 12)
EMOJI = st.sampled_from(["👍", "🎉"])
LIMITS = SqliteLimits(
    cached_rooms_max=2,
    cached_consents_max=2,
    wal_pages_max=10,
    read_bytes_max=6_000,
    page_bytes_max=8_000,
    index_delay_seconds=0.001,
)

DRAFTS = st.one_of(
    st.builds(
        new_message, ROOMS, USERS, TEXTS, client_id=KEYS, reply_to=st.sampled_from([0, 0, 0, 1, 2]),
        at_ms=st.integers(NOW_MS, NOW_MS + 3),
    ),
    st.builds(new_edit, ROOMS, USERS, SEQS, TEXTS, client_id=KEYS),
    st.builds(new_deletion, ROOMS, USERS, SEQS, client_id=KEYS),
    st.builds(new_reaction, ROOMS, USERS, SEQS, EMOJI, removed=st.booleans(), client_id=KEYS),
    st.builds(new_membership, ROOMS, USERS, USERS, st.integers(0, 4), left=st.booleans()),
)  # fmt: skip


def comparable(answer: Any) -> Any:
    """An answer without what is made of chance: epochs, the pages of a search; failures as their codes."""
    match answer:
        case ApiError():
            return answer.code
        case LogHead():
            return answer.seq
        case AppendResult():
            return (answer.seq, answer.at_ms, answer.duplicate, answer.event, sorted(answer.rewritten))
        case RoomRecord():
            return (answer.room, answer.kind, answer.title, answer.creator, answer.head.seq, answer.members)
        case RoomListEntry():
            return (comparable(answer.room), answer.role, answer.last, answer.delivered, answer.read, answer.unread)
        case list() | tuple():
            return [comparable(part) for part in answer]
    return answer


class TwoStores(RuleBasedStateMachine):
    """One on disk, one in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.data = tempfile.mkdtemp()
        self.memory = MemoryStore(read_bytes_max=LIMITS.read_bytes_max, page_bytes_max=LIMITS.page_bytes_max)
        self.disk = self.loop.run_until_complete(SqliteStore.open(self.data, LIMITS))

    def teardown(self) -> None:
        self.loop.run_until_complete(self.disk.close())
        self.loop.close()
        shutil.rmtree(self.data)

    def both(self, call: Callable[[Store], Awaitable[Any]]) -> Any:
        """What both answer."""

        async def answers() -> list[Any]:
            return [await asyncio.gather(call(store), return_exceptions=True) for store in (self.disk, self.memory)]

        on_disk, in_memory = self.loop.run_until_complete(answers())
        assert comparable(on_disk) == comparable(in_memory)
        return in_memory[0]

    @initialize()
    def rooms(self) -> None:
        self.create("one", "ann", ["bob"], v1.GROUP)

    @rule(room=ROOMS, creator=USERS, members=st.lists(USERS, max_size=2), kind=st.integers(1, 3))
    def create(self, room: str, creator: str, members: list[str], kind: int) -> None:
        self.both(
            lambda store: store.create_room(room, kind=kind, title="", creator=creator, members=members, at_ms=NOW_MS)
        )

    @rule(drafts=st.lists(st.tuples(DRAFTS, st.booleans()), min_size=1, max_size=8))
    def append(self, drafts: list[tuple[v1.Event, bool]]) -> None:
        """Several at the same moment, which on disk become one commit."""

        async def together(store: Store) -> list[Any]:
            copies = [v1.Event.FromString(draft.SerializeToString()) for draft, _ in drafts]
            return await asyncio.gather(
                *(store.append(copy, moderates=moderates) for copy, (_, moderates) in zip(copies, drafts, strict=True)),
                return_exceptions=True,
            )

        self.both(together)

    @rule(room=ROOMS, user=USERS, delivered=SEQS, read=SEQS)
    def mark(self, room: str, user: str, delivered: int, read: int) -> None:
        self.both(lambda store: store.advance_positions(room, user, delivered=delivered, read=read))

    @rule(room=ROOMS, before=SEQS, after=SEQS, limit=st.integers(1, 5))
    def read(self, room: str, before: int, after: int, limit: int) -> None:
        self.both(lambda store: store.page(room, before=before, after=None, limit=limit))
        self.both(lambda store: store.page(room, before=None, after=after, limit=limit))
        self.both(lambda store: store.read(room, after, limit))

    @rule(
        words=st.sampled_from(["app", "apple", '"apple pie"', "天気", "気", "wor hello", "x", "pie apple"]),
        sender=USERS,
    )
    def search(self, words: str, sender: str) -> None:
        for author in ("", sender):
            for rooms in (["one"], ["one", "two", "three"]):
                found = self.both(
                    lambda store, rooms=rooms, author=author: _search_all(store, words, rooms, author)  # type: ignore[misc]
                )
                assert all(parse(event).posted.text for event in found)

    @rule(user=USERS)
    def compare_directory(self, user: str) -> None:
        self.both(lambda store: store.room_list_page(user, after="", limit=9))
        self.both(lambda store: store.room_list_entries(user, ["two", "one"]))
        self.both(lambda store: store.room_names_of(user))
        self.both(lambda store: store.public_rooms(after="", limit=9))

    @rule()
    def restart(self) -> None:
        self.loop.run_until_complete(self.disk.close())
        self.disk = self.loop.run_until_complete(SqliteStore.open(self.data, LIMITS))

    @invariant()
    def rooms_are_equal(self) -> None:
        for room in ("one", "two", "three"):
            if self.both(lambda store, room=room: store.room(room)) is not None:  # type: ignore[misc]
                self.both(lambda store, room=room: read_all(store, room))  # type: ignore[misc]
                self.both(lambda store, room=room: store.members(room, after="", limit=9))  # type: ignore[misc]


async def _search_all(store: Store, words: str, rooms: list[str], sender: str) -> list[Any]:
    found: list[Any] = []
    page = ""
    while True:
        answer = await store.search(words, rooms=rooms, sender=sender, page_token=page, limit=2)
        found += answer.events
        page = answer.next_page_token
        if not page:
            return found


TestTwoStores = TwoStores.TestCase
TestTwoStores.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
