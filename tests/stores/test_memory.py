"""The store that forgets."""

from pathlib import Path

from stores.kit import StoreKit
from tidings.domain.ports import Store
from tidings.stores.memory import MemoryStore


class TestMemoryStore(StoreKit):
    """It is held to what every store must do."""

    async def start(self, data: Path) -> Store:
        return MemoryStore()
