"""A search tells nothing about rooms that the caller may not read, not even by how long it takes.

Time is not measured here: what is counted is what takes it, the steps of SQLite's virtual machine and the pages that
it reads, of everything that one search executes.
"""

import string
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest
import pytest_asyncio

from kits.store.factories import create_open_room, new_message
from tidings.stores.sqlite.connections import open_reader
from tidings.stores.sqlite.limits import DEFAULT_LIMITS
from tidings.stores.sqlite.search import fts_query
from tidings.stores.sqlite.search.index_file import attach_index
from tidings.stores.sqlite.store import DATABASE_FILE, INDEX_FILE, SqliteStore
from tidings.stores.tokenizer import parse_query

SECRET = "qwertyhorse77"
SECRETS = [SECRET, "天気予報", "horse staple"]
OTHERS = ["mnbvcxzlkjh31", "習習習習", "mouse simple"]  # as long, in letters and bytes
OWN = [f"own{number}" for number in range(6)]


class SearchCost(NamedTuple):
    """What a search answered, and what it took."""

    seqs: list[int]
    steps: int
    pages: int


class SearchedStore:
    """Six rooms of the caller and one that the caller may not read, in which these texts were said."""

    def __init__(self, reader: apsw.Connection) -> None:
        self._reader = reader

    def measure(self, query: str, rooms: Sequence[int], sender: str = "") -> SearchCost:
        """One search, the second of its kind, so that everything it needs is prepared and cached."""
        wanted = parse_query(query)
        fts_query.search_messages(self._reader, rooms, wanted, sender, None, 21)
        steps = 0

        def count() -> bool:
            nonlocal steps
            steps += 1
            return False

        before = self._pages()
        self._reader.set_progress_handler(count, 1)
        found = fts_query.search_messages(self._reader, rooms, wanted, sender, None, 21)
        self._reader.set_progress_handler(None)
        return SearchCost([one.event.seq for one in found], steps, self._pages() - before)

    def _pages(self) -> int:
        return sum(
            self._reader.status(what, False)[0]
            for what in (apsw.SQLITE_DBSTATUS_CACHE_HIT, apsw.SQLITE_DBSTATUS_CACHE_MISS)
        )

    def close(self) -> None:
        """Let go of the files."""
        self._reader.close()


async def searched_store(data: Path, texts: Sequence[str]) -> SearchedStore:
    """Make it."""
    store = await SqliteStore.open(data)
    for room in [*OWN, "private"]:
        await create_open_room(store, room)
    for number, room in enumerate(OWN):
        for text in ("apple pie", "apple tree", f"quince {number}", "気分がいい"):
            await store.append(new_message(room, "ann", text))
    for text in texts:
        for _ in range(20):
            await store.append(new_message("private", "bob", text))
    # Searching the private room waits for it to be indexed.
    await store.search("x", rooms=[*OWN, "private"], sender="", page_token="", limit=1)
    await store.close()
    reader = open_reader(data / DATABASE_FILE, DEFAULT_LIMITS)
    attach_index(reader, data / INDEX_FILE)
    return SearchedStore(reader)


@pytest_asyncio.fixture
async def searched_stores(tmp_path: Path) -> AsyncIterator[tuple[SearchedStore, SearchedStore]]:
    """One in which the secret was said, one in which something else was."""
    made = await searched_store(tmp_path / "one", SECRETS), await searched_store(tmp_path / "two", OTHERS)
    yield made
    for one in made:
        one.close()


QUERIES = [
    *(SECRET[:end] for end in range(1, len(SECRET) + 1)),
    *(f'"{SECRET[:end]}"' for end in range(1, len(SECRET) + 1)),
    f'"{SECRET}"',
    *("天気予報"[:end] for end in range(1, 5)),
    '"horse staple"',
    '"horse sta',
    "horse apple",
    f"apple {SECRET}",
    "apple",
    "app",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("count", [1, 3, 6])
async def test_a_word_of_a_private_room_changes_neither_the_answer_nor_the_work(
    searched_stores: tuple[SearchedStore, SearchedStore], monkeypatch: pytest.MonkeyPatch, large: bool, count: int
) -> None:
    if large:
        monkeypatch.setattr(fts_query, "LARGE_ROOM_EVENTS_MIN", 0)
    rooms = list(range(1, count + 1))
    for query in QUERIES:
        for sender in ("", "bob", "ann"):
            there, elsewhere = (one.measure(query, rooms, sender) for one in searched_stores)
            assert there == elsewhere, (query, sender)
            assert there.steps > 0


@pytest.mark.asyncio
@pytest.mark.parametrize("large", [False, True])
async def test_a_private_word_cannot_be_tried_letter_by_letter(
    searched_stores: tuple[SearchedStore, SearchedStore], monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """The attack: from the first three letters on, go on with the letter whose search takes another time."""
    if large:
        monkeypatch.setattr(fts_query, "LARGE_ROOM_EVENTS_MIN", 0)
    world, _ = searched_stores
    known = SECRET[:3]
    while True:
        work = {letter: world.measure(known + letter, [1, 2]) for letter in string.ascii_lowercase + string.digits}
        usual = Counter((one.steps, one.pages) for one in work.values())
        ((common, _),) = usual.most_common(1)
        odd = [letter for letter, one in work.items() if (one.steps, one.pages) != common]
        if len(odd) != 1:
            break
        known += odd[0]
    assert known == SECRET[:3]


@pytest.mark.asyncio
async def test_whoever_may_read_the_room_finds_the_word(searched_stores: tuple[SearchedStore, SearchedStore]) -> None:
    there, elsewhere = (one.measure(SECRET, list(range(1, 8))) for one in searched_stores)
    assert (len(there.seqs), len(elsewhere.seqs)) == (20, 0)
