"""The store on disk, held to what every store must do; what only disks can do is in the files beside this one."""

from pathlib import Path

from kits.store.kit import DurableStoreKit
from tidings.domain.ports.store import Store
from tidings.stores.sqlite.store import SqliteStore


class TestSqliteStore(DurableStoreKit):
    """It is held to what every store must do, also after a restart."""

    async def start(self, data: Path) -> Store:
        return await SqliteStore.open(data)
