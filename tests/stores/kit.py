"""What every store must do. A newcomer's test says only how to start it:

    class TestMyStore(StoreKit):
        async def start(self, data: Path) -> Store: ...

A store that survives its end inherits `DurableStoreKit` and gets the tests of that, too.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from stores.drafts import deleted, edited, group, open_room, posted, texts, whole_log
from stores.kit_directory import DirectoryKit
from stores.kit_log import LogKit
from stores.kit_search import SearchKit
from stores.refusals import refused
from tidings.contract.errors import Code
from tidings.domain.ports import Store


class StoreKit(LogKit, DirectoryKit, SearchKit):
    """All of it."""

    async def start(self, data: Path) -> Store:
        """A store that keeps what it has below `data`."""
        raise AssertionError("say how to start the store")

    @pytest_asyncio.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        """A store at its beginning."""
        store = await self.start(tmp_path / "data")
        yield store
        await store.close()

    @pytest.mark.asyncio
    async def test_a_store_can_be_closed_twice(self, store: Store) -> None:
        await store.close()
        await store.close()

    @pytest.mark.asyncio
    async def test_a_closed_store_takes_nothing_more(self, store: Store) -> None:
        room = await open_room(store)
        await store.close()
        with refused(Code.UNAVAILABLE):
            await store.append(posted(room, "ann", "too late"))


class DurableStoreKit(StoreKit):
    """What is there again after a restart."""

    @pytest_asyncio.fixture
    async def again(self, tmp_path: Path, store: Store) -> AsyncIterator["Restart"]:
        """Ends the store and starts it anew."""
        restart = Restart(self, tmp_path / "data", store)
        yield restart
        await restart.store.close()

    @pytest.mark.asyncio
    async def test_everything_is_there_after_a_restart(self, again: "Restart") -> None:
        store = again.store
        room = await group(store, "team", "ann", "bob")
        for number in range(5):
            await store.append(posted(room, "ann", f"word{number}"))
        await store.append(edited(room, "ann", 4, "edited"))
        await store.append(deleted(room, "ann", 5))
        await store.mark(room, "bob", delivered=6, read=5)
        await store.saw("bob", 77)
        log, record, inbox = (
            await whole_log(store, room),
            await store.room(room),
            await store.rooms_of("bob", after="", limit=9),
        )
        found = await store.search("edited", rooms=[room], sender="", page="", limit=9)

        store = await again()

        assert await whole_log(store, room) == log
        assert await store.room(room) == record
        assert await store.rooms_of("bob", after="", limit=9) == inbox
        assert await store.last_seen(["bob"]) == {"bob": 77}
        assert await store.search("edited", rooms=[room], sender="", page="", limit=9) == found
        assert texts(found.events) == ["edited"]

    @pytest.mark.asyncio
    async def test_numbers_go_on_after_a_restart(self, again: "Restart") -> None:
        room = await open_room(again.store)
        before = await again.store.append(posted(room, "ann", "one"))
        store = await again()
        after = await store.append(posted(room, "ann", "two"))
        assert (after.epoch, after.seq) == (before.epoch, 2)

    @pytest.mark.asyncio
    async def test_keys_are_remembered_after_a_restart(self, again: "Restart") -> None:
        room = await open_room(again.store)
        first = await again.store.append(posted(room, "ann", "one", client_id="a"))
        await again.store.append(edited(room, "ann", 1, "uno", client_id="b"))
        store = await again()
        repeated = await store.append(posted(room, "ann", "one", client_id="a"))
        assert (repeated.seq, repeated.at_ms, repeated.duplicate) == (first.seq, first.at_ms, True)
        with refused(Code.CONFLICT):
            await store.append(posted(room, "ann", "uno", client_id="a"))

    @pytest.mark.asyncio
    async def test_a_page_of_a_search_goes_on_after_a_restart(self, again: "Restart") -> None:
        room = await open_room(again.store)
        for number in range(4):
            await again.store.append(posted(room, "ann", f"word {number}"))
        first = await again.store.search("word", rooms=[room], sender="", page="", limit=3)
        store = await again()
        second = await store.search("word", rooms=[room], sender="", page=first.next, limit=3)
        assert texts(second.events) == ["word 0"]

    @pytest.mark.asyncio
    async def test_what_was_not_indexed_before_the_end_is_found_after_it(self, again: "Restart") -> None:
        room = await open_room(again.store)
        await again.store.append(posted(room, "ann", "left behind"))
        store = await again()
        assert texts((await store.search("behind", rooms=[room], sender="", page="", limit=9)).events) == [
            "left behind"
        ]


class Restart:
    """Call it to end the store and start it anew."""

    def __init__(self, kit: StoreKit, data: Path, store: Store) -> None:
        self._kit = kit
        self._data = data
        self.store = store

    async def __call__(self) -> Store:
        await self.store.close()
        self.store = await self._kit.start(self._data)
        return self.store
