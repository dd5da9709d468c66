"""The store that forgets."""

from pathlib import Path

from kits.store.kit import StoreKit
from tidings.domain.ports.store import Store
from tidings.stores.memory.store import MemoryStore


class TestMemoryStore(StoreKit):
    """It is held to what every store must do."""

    async def start(self, data: Path) -> Store:
        return MemoryStore()
