"""What every store must do. The test of a new store only says how to open it:

    class TestMyStore(StoreKit):
        async def start(self, data: Path) -> Store: ...

A durable store inherits `DurableStoreKit`, which also tests restarts.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kits.store.assertions import raises_api_error
from kits.store.directory_kit import DirectoryKit
from kits.store.factories import create_group, create_open_room, new_deletion, new_edit, new_message, read_all, texts
from kits.store.log_kit import LogKit
from kits.store.search_kit import SearchKit
from tidings.contract.errors import Code
from tidings.domain.ports.store import Store


class StoreKit(LogKit, DirectoryKit, SearchKit):
    """All of it."""

    async def start(self, data: Path) -> Store:
        """A store that keeps what it has below `data`."""
        raise AssertionError("define how to open the store")

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
        room = await create_open_room(store)
        await store.close()
        with raises_api_error(Code.UNAVAILABLE):
            await store.append(new_message(room, "ann", "too late"))


class DurableStoreKit(StoreKit):
    """What a store must keep over a restart."""

    @pytest_asyncio.fixture
    async def restart(self, tmp_path: Path, store: Store) -> AsyncIterator["StoreRestart"]:
        """Closes the store and opens it again."""
        restart = StoreRestart(self, tmp_path / "data", store)
        yield restart
        await restart.store.close()

    @pytest.mark.asyncio
    async def test_everything_is_there_after_a_restart(self, restart: "StoreRestart") -> None:
        store = restart.store
        room = await create_group(store, "team", "ann", "bob")
        for number in range(5):
            await store.append(new_message(room, "ann", f"word{number}"))
        await store.append(new_edit(room, "ann", 4, "edited"))
        await store.append(new_deletion(room, "ann", 5))
        await store.advance_positions(room, "bob", delivered=6, read=5)
        await store.set_last_seen("bob", 77)
        log, record, inbox = (
            await read_all(store, room),
            await store.room(room),
            await store.room_list_page("bob", after="", limit=9),
        )
        found = await store.search("edited", rooms=[room], sender="", page_token="", limit=9)

        store = await restart()

        assert await read_all(store, room) == log
        assert await store.room(room) == record
        assert await store.room_list_page("bob", after="", limit=9) == inbox
        assert await store.last_seen(["bob"]) == {"bob": 77}
        assert await store.search("edited", rooms=[room], sender="", page_token="", limit=9) == found
        assert texts(found.events) == ["edited"]

    @pytest.mark.asyncio
    async def test_numbers_go_on_after_a_restart(self, restart: "StoreRestart") -> None:
        room = await create_open_room(restart.store)
        before = await restart.store.append(new_message(room, "ann", "one"))
        store = await restart()
        after = await store.append(new_message(room, "ann", "two"))
        assert (after.epoch, after.seq) == (before.epoch, 2)

    @pytest.mark.asyncio
    async def test_keys_are_remembered_after_a_restart(self, restart: "StoreRestart") -> None:
        room = await create_open_room(restart.store)
        first = await restart.store.append(new_message(room, "ann", "one", client_id="a"))
        await restart.store.append(new_edit(room, "ann", 1, "uno", client_id="b"))
        store = await restart()
        repeated = await store.append(new_message(room, "ann", "one", client_id="a"))
        assert (repeated.seq, repeated.at_ms, repeated.duplicate) == (first.seq, first.at_ms, True)
        with raises_api_error(Code.CONFLICT):
            await store.append(new_message(room, "ann", "uno", client_id="a"))

    @pytest.mark.asyncio
    async def test_a_page_of_a_search_goes_on_after_a_restart(self, restart: "StoreRestart") -> None:
        room = await create_open_room(restart.store)
        for number in range(4):
            await restart.store.append(new_message(room, "ann", f"word {number}"))
        first = await restart.store.search("word", rooms=[room], sender="", page_token="", limit=3)
        store = await restart()
        second = await store.search("word", rooms=[room], sender="", page_token=first.next_page_token, limit=3)
        assert texts(second.events) == ["word 0"]

    @pytest.mark.asyncio
    async def test_what_was_not_indexed_before_the_end_is_found_after_it(self, restart: "StoreRestart") -> None:
        room = await create_open_room(restart.store)
        await restart.store.append(new_message(room, "ann", "left behind"))
        store = await restart()
        assert texts((await store.search("behind", rooms=[room], sender="", page_token="", limit=9)).events) == [
            "left behind"
        ]


class StoreRestart:
    """Call it to close the store and open it again."""

    def __init__(self, kit: StoreKit, data: Path, store: Store) -> None:
        self._kit = kit
        self._data = data
        self.store = store

    async def __call__(self) -> Store:
        await self.store.close()
        self.store = await self._kit.start(self._data)
        return self.store
