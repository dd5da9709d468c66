"""history.*: pages, a range as a stream, words."""

import asyncio

import pytest

from domain.stage import House, Reader, refused, settled
from tidings.contract import v1
from tidings.contract.errors import Code
from tidings.domain.reading import DELIVERED_BYTES_MAX
from tidings.hub import PAUSED
from tidings.stores.memory import MemoryStore


async def house_with_events(events: int) -> House:
    """A room `den` of alice's with so many events, of which all but two are messages."""
    house = House()
    (alice,) = house.people("alice")
    await alice.create()
    for number in range(events - 2):
        await alice.send(f"number {number}")
    return house


def seqs(page: v1.PageReply) -> list[int]:
    return [event.seq for event in page.events]


@pytest.mark.asyncio
async def test_pages_go_back_and_forth_and_begin_with_the_newest() -> None:
    house = await house_with_events(60)
    alice = house.connect("alice")
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
    alice = (await house_with_events(60)).connect("alice")
    page = await alice.page(after=0, limit=3)
    assert (seqs(page), page.more) == ([1, 2, 3], True)
    page = await alice.page(before=0)
    assert (seqs(page), page.more, page.head.seq) == ([], False, 60)
    with refused(Code.INVALID_ARGUMENT, "before and after"):
        await alice.page(before=0, after=0)


@pytest.mark.asyncio
async def test_a_range_up_to_0_is_empty_and_completes() -> None:
    reader = await read(await house_with_events(5), to=0)
    assert (reader.seqs, reader.completed) == ([], True)


@pytest.mark.asyncio
async def test_a_page_is_before_or_after_a_seq_and_has_a_limit() -> None:
    alice = (await house_with_events(3)).connect("alice")
    with refused(Code.INVALID_ARGUMENT, "before and after"):
        await alice.page(before=3, after=1)
    with refused(Code.INVALID_ARGUMENT, "1000"):
        await alice.page(limit=1001)


async def read(house: House, credit: int = 0x7FFFFFFF, **request: object) -> Reader:
    reader = await house.connect("alice").watch("history.read", v1.ReadRequest(room="den", **request), credit)  # type: ignore[arg-type]
    await settled()
    return reader


@pytest.mark.asyncio
async def test_a_range_is_read_to_its_end_and_completes() -> None:
    house = await house_with_events(100)
    reader = await read(house)
    assert (reader.seqs, reader.completed) == (list(range(1, 101)), True)
    reader = await read(house, after=v1.Cursor(seq=20), to=30)
    assert (reader.seqs, reader.completed) == (list(range(21, 31)), True)
    assert {item.cursor.seq for item in reader.items} == set(range(21, 31))


@pytest.mark.asyncio
async def test_a_range_ends_at_what_was_the_head_when_it_began() -> None:
    house = await house_with_events(5)
    reader = await read(house, credit=1)
    await house.connect("alice").send("too late")
    reader.take(100)
    await settled()
    assert (reader.seqs, reader.completed) == ([1, 2, 3, 4, 5], True)


@pytest.mark.asyncio
@pytest.mark.parametrize(("after", "to"), [(5, None), (5, 5), (4, 2), (0, 99)])
async def test_an_empty_range_completes_at_once_and_one_beyond_the_head_ends_there(after: int, to: int | None) -> None:
    reader = await read(await house_with_events(5), after=v1.Cursor(seq=after), to=to)
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
    house = House(store, read_events_min=10, read_events_max=40)
    alice = house.connect("alice")
    await alice.create()
    for _ in range(98):
        await alice.send()
    reader = await read(house, credit=0)
    assert store.reads == []
    reader.take(1)
    await settled()
    assert store.reads == [(0, 10)]
    for _ in range(9):
        reader.take(1)
        await settled()
    assert (store.reads, reader.seqs[-1]) == ([(0, 10)], 10)
    reader.take(1_000)
    await settled()
    assert store.reads == [(0, 10), (10, 40), (50, 40), (90, 10)]
    assert (reader.seqs, reader.completed) == (list(range(1, 101)), True)


@pytest.mark.asyncio
async def test_the_rest_of_a_page_is_kept_where_it_is_small_and_read_again_where_it_is_not() -> None:
    for text, reads in (("s" * 100, [(0, 4)]), ("l" * 1_000, [(0, 4), (1, 4), (2, 4)])):
        store = CountingStore()
        house = House(store, read_events_min=4, read_held_bytes_max=2_000)
        alice = house.connect("alice")
        await alice.create()
        for _ in range(8):
            await alice.send(text)
        reader = await read(house, credit=1, after=v1.Cursor(seq=2))
        for _ in range(2):
            reader.take(1)
            await settled()
        assert reader.seqs == [3, 4, 5]
        assert store.reads == [(2 + after, limit) for after, limit in reads]


async def house_with_texts(texts: int, text_bytes: int, store: MemoryStore) -> House:
    """A room with so many messages of so many bytes."""
    house = House(store)
    alice = house.connect("alice")
    await alice.create()
    for _ in range(texts):
        await alice.send("x" * text_bytes)
    return house


@pytest.mark.asyncio
@pytest.mark.parametrize("text_bytes", [1, 100, 300, 1_000, 5_000])
async def test_nothing_is_read_twice_for_who_takes_what_was_asked_for(text_bytes: int) -> None:
    store = CountingStore()
    reader = await read(await house_with_texts(399, text_bytes, store), credit=64)
    while not reader.completed:
        reader.take(64)
        await settled()
    assert reader.seqs == list(range(1, 402))
    ends = [after + limit for after, limit in store.reads]
    assert ends[:-1] == [after for after, _ in store.reads[1:]]


@pytest.mark.asyncio
async def test_what_was_read_for_a_paused_reader_is_kept_for_its_turn() -> None:
    store = CountingStore()
    house = await house_with_texts(30, 5_000, store)
    reader = await read(house, credit=0)
    assert reader.source is not None
    reader.credit = 0x7FFFFFFF
    reader.source.wake()
    await asyncio.sleep(0)
    reader.credit = PAUSED
    await settled()
    reads = list(store.reads)
    for _ in range(3):
        reader.source.wake()
        await settled()
    assert (len(reads), store.reads, reader.seqs) == (1, reads, [])
    reader.credit = 0x7FFFFFFF
    reader.source.wake()
    await settled()
    assert (reader.seqs, reader.completed) == (list(range(1, 33)), True)


@pytest.mark.asyncio
async def test_a_range_comes_in_small_steps() -> None:
    reader = await read(await house_with_texts(30, 5_000, CountingStore()))
    assert reader.seqs == list(range(1, 33))
    assert max(sum(len(item.protobuf) for item in batch.items) for batch in reader.batches) <= DELIVERED_BYTES_MAX


class LateStore(CountingStore):
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
    store = LateStore()
    reader = await read(await house_with_texts(100, text_bytes, store), credit=100)
    await settled()
    reader.credit = 0
    store.may.set()
    await settled()
    reader.take(100)
    await settled()
    assert reader.seqs == list(range(1, 101))
    assert [after for after, _ in store.reads] == ([0] if held else [0, 0])


@pytest.mark.asyncio
async def test_a_reading_that_is_closed_gets_nothing_more() -> None:
    house = await house_with_events(50)
    reader = await read(house, credit=3)
    reader.close()
    reader.take(10)
    await settled()
    assert reader.seqs == [1, 2, 3]
    assert not reader.ended


@pytest.mark.asyncio
async def test_a_reading_ends_when_the_right_to_read_does() -> None:
    house = await house_with_events(50)
    alice, bob = house.people("alice", "bob")
    await alice.join(user="bob")
    reader = await bob.watch("history.read", v1.ReadRequest(room="den"), 3)
    await settled()
    await alice.quit(user="bob")
    assert reader.failure.code is Code.PERMISSION_DENIED
    reader.take(10)
    await settled()
    assert reader.seqs == [1, 2, 3]


@pytest.mark.asyncio
async def test_a_cursor_of_another_log_is_lost() -> None:
    alice = (await house_with_events(5)).connect("alice")
    for cursor in (v1.Cursor(epoch="another", seq=1), v1.Cursor(seq=6)):
        with refused(Code.CURSOR_LOST):
            await alice.watch("history.read", v1.ReadRequest(room="den", after=cursor))


class ForgetfulStore(MemoryStore):
    """Keeps no events but a few, as retention would."""

    async def read(self, room: str, after: int, limit: int):  # type: ignore[no-untyped-def]
        return [event for event in await super().read(room, after, limit) if event.seq in (4, 5, 8)]


@pytest.mark.asyncio
async def test_what_retention_removed_is_a_gap_and_the_end_is_reached_all_the_same() -> None:
    house = House(ForgetfulStore(), read_events_min=4, read_events_max=4)
    alice = house.connect("alice")
    await alice.create()
    for _ in range(8):
        await alice.send()
    reader = await read(house)
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

    house = House(BrokenStore())
    await house.connect("alice").create()
    reader = await read(house)
    assert [str(error) for error in reader.errors] == ["no disk"]


async def found(house: House, user: str, query: str, **request: object) -> list[tuple[str, int]]:
    reply = await house.connect(user).call("history.search", v1.SearchRequest(query=query, **request))  # type: ignore[arg-type]
    return [(event.room, event.seq) for event in reply.events]


@pytest.mark.asyncio
async def test_words_are_found_in_rooms_that_the_caller_may_read_only() -> None:
    house = House()
    alice, bob = house.people("alice", "bob")
    await alice.create("den", v1.GROUP)
    await alice.create("square", v1.OPEN)
    secret = await alice.send("the secret word", room="den")
    public = await bob.send("a word in public", room="square")
    assert await found(house, "alice", "word") == [("square", public), ("den", secret)]
    assert await found(house, "alice", "word", **{"from": "alice"}) == [("den", secret)]
    # Without a room: those one is a member of. An open room can be named by anybody.
    assert await found(house, "bob", "word") == []
    assert await found(house, "bob", "word", room="square") == [("square", public)]
    with refused(Code.NOT_FOUND):
        await found(house, "bob", "word", room="den")


@pytest.mark.asyncio
async def test_results_come_in_pages() -> None:
    house = await house_with_events(12)
    alice = house.connect("alice")
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
    alice = (await house_with_events(3)).connect("alice")
    with refused(Code.INVALID_ARGUMENT):
        await alice.call("history.search", v1.SearchRequest(**{"query": "x", **broken}))  # type: ignore[arg-type]
