"""history.*: pages, a range as a stream, words."""

import asyncio

import pytest

from domain.harness import DomainHarness, RecordingSink, raises_error, settle
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.history.range_stream import BATCH_BYTES_MAX
from tidings.hub import PAUSED
from tidings.stores.memory.store import MemoryStore


async def harness_with_events(events: int) -> DomainHarness:
    """A room `den` of alice's with so many events, of which all but two are messages."""
    harness = DomainHarness()
    (alice,) = harness.connect_all("alice")
    await alice.create_room()
    for number in range(events - 2):
        await alice.send(f"number {number}")
    return harness


def seqs(page: v1.PageReply) -> list[int]:
    return [event.seq for event in page.events]


@pytest.mark.asyncio
async def test_pages_go_back_and_forth_and_begin_with_the_newest() -> None:
    harness = await harness_with_events(60)
    alice = harness.connect("alice")
    page = await alice.page()
    assert (seqs(page), page.more, page.head.seq) == (list(range(11, 61)), True, 60)
    assert seqs(await alice.page(before=11)) == list(range(1, 11))
    page = await alice.page(after=55, limit=3)
    assert (seqs(page), page.more) == ([56, 57, 58], True)
    page = await alice.page(after=58, limit=3)
    assert (seqs(page), page.more) == ([59, 60], False)
    assert seqs(await alice.page(after=2**64 - 1)) == []
    assert len(seqs(await alice.page(before=2**64 - 1, limit=1000))) == 60


@pytest.mark.asyncio
async def test_a_page_after_0_is_the_beginning_and_one_before_0_is_empty() -> None:
    alice = (await harness_with_events(60)).connect("alice")
    page = await alice.page(after=0, limit=3)
    assert (seqs(page), page.more) == ([1, 2, 3], True)
    page = await alice.page(before=0)
    assert (seqs(page), page.more, page.head.seq) == ([], False, 60)
    with raises_error(Code.INVALID_ARGUMENT, "before and after"):
        await alice.page(before=0, after=0)


@pytest.mark.asyncio
async def test_a_range_up_to_0_is_empty_and_completes() -> None:
    reader = await read(await harness_with_events(5), to=0)
    assert (reader.seqs, reader.completed) == ([], True)


@pytest.mark.asyncio
async def test_a_page_is_before_or_after_a_seq_and_has_a_limit() -> None:
    alice = (await harness_with_events(3)).connect("alice")
    with raises_error(Code.INVALID_ARGUMENT, "before and after"):
        await alice.page(before=3, after=1)
    with raises_error(Code.INVALID_ARGUMENT, "1000"):
        await alice.page(limit=1001)


async def read(harness: DomainHarness, credit: int = 0x7FFFFFFF, **request: object) -> RecordingSink:
    reader = await harness.connect("alice").watch("history.read", v1.ReadRequest(room="den", **request), credit)  # type: ignore[arg-type]
    await settle()
    return reader


@pytest.mark.asyncio
async def test_a_range_is_read_to_its_end_and_completes() -> None:
    harness = await harness_with_events(100)
    reader = await read(harness)
    assert (reader.seqs, reader.completed) == (list(range(1, 101)), True)
    reader = await read(harness, after=v1.Cursor(seq=20), to=30)
    assert (reader.seqs, reader.completed) == (list(range(21, 31)), True)
    assert {item.cursor.seq for item in reader.items} == set(range(21, 31))


@pytest.mark.asyncio
async def test_a_range_ends_at_what_was_the_head_when_it_began() -> None:
    harness = await harness_with_events(5)
    reader = await read(harness, credit=1)
    await harness.connect("alice").send("too late")
    reader.request(100)
    await settle()
    assert (reader.seqs, reader.completed) == ([1, 2, 3, 4, 5], True)


@pytest.mark.asyncio
@pytest.mark.parametrize(("after", "to"), [(5, None), (5, 5), (4, 2), (0, 99)])
async def test_an_empty_range_completes_at_once_and_one_beyond_the_head_ends_there(after: int, to: int | None) -> None:
    reader = await read(await harness_with_events(5), after=v1.Cursor(seq=after), to=to)
    assert reader.completed
    assert reader.seqs == list(range(after + 1, 6 if to == 99 else after + 1))


class CountingStore(MemoryStore):
    """Notes what was read of the log, and at what pace."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, int]] = []

    async def read(self, room: str, after: int, limit: int):  # type: ignore[no-untyped-def]
        self.reads.append((after, limit))
        return await super().read(room, after, limit)


@pytest.mark.asyncio
async def test_nothing_is_read_for_who_asks_for_nothing_and_one_page_at_most_for_who_asks_for_little() -> None:
    store = CountingStore()
    harness = DomainHarness(store, read_events_min=10, read_events_max=40)
    alice = harness.connect("alice")
    await alice.create_room()
    for _ in range(98):
        await alice.send()
    reader = await read(harness, credit=0)
    assert store.reads == []
    reader.request(1)
    await settle()
    assert store.reads == [(0, 10)]
    for _ in range(9):
        reader.request(1)
        await settle()
    assert (store.reads, reader.seqs[-1]) == ([(0, 10)], 10)
    reader.request(1_000)
    await settle()
    assert store.reads == [(0, 10), (10, 40), (50, 40), (90, 10)]
    assert (reader.seqs, reader.completed) == (list(range(1, 101)), True)


@pytest.mark.asyncio
async def test_the_rest_of_a_page_is_kept_where_it_is_small_and_read_again_where_it_is_not() -> None:
    for text, reads in (("s" * 100, [(0, 4)]), ("l" * 1_000, [(0, 4), (1, 4), (2, 4)])):
        store = CountingStore()
        harness = DomainHarness(store, read_events_min=4, read_buffer_bytes_max=2_000)
        alice = harness.connect("alice")
        await alice.create_room()
        for _ in range(8):
            await alice.send(text)
        reader = await read(harness, credit=1, after=v1.Cursor(seq=2))
        for _ in range(2):
            reader.request(1)
            await settle()
        assert reader.seqs == [3, 4, 5]
        assert store.reads == [(2 + after, limit) for after, limit in reads]


async def harness_with_texts(texts: int, text_bytes: int, store: MemoryStore) -> DomainHarness:
    """A room with so many messages of so many bytes."""
    harness = DomainHarness(store)
    alice = harness.connect("alice")
    await alice.create_room()
    for _ in range(texts):
        await alice.send("x" * text_bytes)
    return harness


@pytest.mark.asyncio
@pytest.mark.parametrize("text_bytes", [1, 100, 300, 1_000, 5_000])
async def test_nothing_is_read_twice_for_who_takes_what_was_asked_for(text_bytes: int) -> None:
    store = CountingStore()
    reader = await read(await harness_with_texts(399, text_bytes, store), credit=64)
    while not reader.completed:
        reader.request(64)
        await settle()
    assert reader.seqs == list(range(1, 402))
    ends = [after + limit for after, limit in store.reads]
    assert ends[:-1] == [after for after, _ in store.reads[1:]]


@pytest.mark.asyncio
async def test_what_was_read_for_a_paused_reader_is_kept_for_its_turn() -> None:
    store = CountingStore()
    harness = await harness_with_texts(30, 5_000, store)
    reader = await read(harness, credit=0)
    assert reader.subscription is not None
    reader.demanded = 0x7FFFFFFF
    reader.subscription.wake()
    await asyncio.sleep(0)
    reader.demanded = PAUSED
    await settle()
    reads = list(store.reads)
    for _ in range(3):
        reader.subscription.wake()
        await settle()
    assert (len(reads), store.reads, reader.seqs) == (1, reads, [])
    reader.demanded = 0x7FFFFFFF
    reader.subscription.wake()
    await settle()
    assert (reader.seqs, reader.completed) == (list(range(1, 33)), True)


@pytest.mark.asyncio
async def test_a_range_comes_in_small_steps() -> None:
    reader = await read(await harness_with_texts(30, 5_000, CountingStore()))
    assert reader.seqs == list(range(1, 33))
    assert max(sum(len(item.protobuf) for item in batch.items) for batch in reader.batches) <= BATCH_BYTES_MAX


class SlowStore(CountingStore):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may = asyncio.Event()

    async def read(self, room: str, after: int, limit: int):  # type: ignore[no-untyped-def]
        answer = await super().read(room, after, limit)
        await self.may.wait()
        return answer


@pytest.mark.asyncio
@pytest.mark.parametrize(("text_bytes", "held"), [(100, True), (2_000, False)])
async def test_a_large_page_is_not_held_for_a_reader_that_takes_nothing_by_the_time_it_comes(
    text_bytes: int, held: bool
) -> None:
    store = SlowStore()
    reader = await read(await harness_with_texts(100, text_bytes, store), credit=100)
    await settle()
    reader.demanded = 0
    store.may.set()
    await settle()
    reader.request(100)
    await settle()
    assert reader.seqs == list(range(1, 101))
    assert [after for after, _ in store.reads] == ([0] if held else [0, 0])


@pytest.mark.asyncio
async def test_a_reading_that_is_closed_gets_nothing_more() -> None:
    harness = await harness_with_events(50)
    reader = await read(harness, credit=3)
    reader.close()
    reader.request(10)
    await settle()
    assert reader.seqs == [1, 2, 3]
    assert not reader.ended


@pytest.mark.asyncio
async def test_a_reading_ends_when_the_right_to_read_does() -> None:
    harness = await harness_with_events(50)
    alice, bob = harness.connect_all("alice", "bob")
    await alice.join_room(user="bob")
    reader = await bob.watch("history.read", v1.ReadRequest(room="den"), 3)
    await settle()
    await alice.leave_room(user="bob")
    assert reader.api_error.code is Code.PERMISSION_DENIED
    reader.request(10)
    await settle()
    assert reader.seqs == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_cursor_of_another_log_is_lost() -> None:
    alice = (await harness_with_events(5)).connect("alice")
    for cursor in (v1.Cursor(epoch="another", seq=1), v1.Cursor(seq=6)):
        with raises_error(Code.CURSOR_LOST):
            await alice.watch("history.read", v1.ReadRequest(room="den", after=cursor))


class StoreWithHoles(MemoryStore):
    """Keeps no events but a few, as retention would."""

    async def read(self, room: str, after: int, limit: int):  # type: ignore[no-untyped-def]
        return [event for event in await super().read(room, after, limit) if event.seq in (4, 5, 8)]


@pytest.mark.asyncio
async def test_what_retention_removed_is_a_gap_and_the_end_is_reached_all_the_same() -> None:
    harness = DomainHarness(StoreWithHoles(), read_events_min=4, read_events_max=4)
    alice = harness.connect("alice")
    await alice.create_room()
    for _ in range(8):
        await alice.send()
    reader = await read(harness)
    told = [
        item.event.seq if item.HasField("event") else (getattr(item.gap, "from"), item.gap.to) for item in reader.items
    ]
    assert told[0] == (1, 3)
    covered = [seq for each in told for seq in ([each] if isinstance(each, int) else range(each[0], each[1] + 1))]
    assert covered == list(range(1, 11))
    assert [each for each in told if isinstance(each, int)] == [4, 5, 8]
    assert reader.completed


@pytest.mark.asyncio
async def test_a_store_that_fails_ends_the_reading_with_its_failure() -> None:
    class BrokenStore(MemoryStore):
        async def read(self, room: str, after: int, limit: int):  # type: ignore[no-untyped-def]
            raise OSError("no disk")

    harness = DomainHarness(BrokenStore())
    await harness.connect("alice").create_room()
    reader = await read(harness)
    assert [str(error) for error in reader.errors] == ["no disk"]


async def search_hits(harness: DomainHarness, user: str, query: str, **request: object) -> list[tuple[str, int]]:
    reply = await harness.connect(user).call("history.search", v1.SearchRequest(query=query, **request))  # type: ignore[arg-type]
    return [(event.room, event.seq) for event in reply.events]


@pytest.mark.asyncio
async def test_words_are_found_in_rooms_that_the_caller_may_read_only() -> None:
    harness = DomainHarness()
    alice, bob = harness.connect_all("alice", "bob")
    await alice.create_room("den", v1.GROUP)
    await alice.create_room("square", v1.OPEN)
    secret = await alice.send("the secret word", room="den")
    public = await bob.send("a word in public", room="square")
    assert await search_hits(harness, "alice", "word") == [("square", public), ("den", secret)]
    assert await search_hits(harness, "alice", "word", **{"from": "alice"}) == [("den", secret)]
    # Without a room: those one is a member of. An open room can be named by anybody.
    assert await search_hits(harness, "bob", "word") == []
    assert await search_hits(harness, "bob", "word", room="square") == [("square", public)]
    with raises_error(Code.NOT_FOUND):
        await search_hits(harness, "bob", "word", room="den")


@pytest.mark.asyncio
async def test_results_come_in_pages() -> None:
    harness = await harness_with_events(12)
    alice = harness.connect("alice")
    seen: list[int] = []
    page = ""
    while True:
        reply = await alice.call("history.search", v1.SearchRequest(query="number", limit=4, page=page))
        seen += [event.seq for event in reply.events]
        page = reply.next
        if not page:
            break
    assert seen == list(range(12, 2, -1))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "broken", [{"query": ""}, {"query": "x" * 257}, {"limit": 101}, {"from": "a b"}, {"page": "?"}]
)
async def test_a_search_that_breaks_a_rule_is_refused(broken: dict[str, object]) -> None:
    alice = (await harness_with_events(3)).connect("alice")
    with raises_error(Code.INVALID_ARGUMENT):
        await alice.call("history.search", v1.SearchRequest(**{"query": "x", **broken}))  # type: ignore[arg-type]
