"""A disk in the hands of the test: it can run full, fail, and lose power.

It is a SQLite VFS over the real one. Everything that is written through it is remembered in order, so that the state of
the disk after a power cut at any moment can be made: of every file what was synced before, and of the rest whatever the
test's dice leave, down to single sectors.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import apsw

SECTOR_BYTES = 512
_names = itertools.count(1)


class Write(NamedTuple):
    """Bytes that went to a file, synced or not."""

    file: str
    offset: int
    data: bytes


class Truncate(NamedTuple):
    """A file that was made shorter."""

    file: str
    size: int


class Sync(NamedTuple):
    """All that was done to a file before `since` is safe."""

    file: str
    operation_count: int


class Delete(NamedTuple):
    """A file that is no more."""

    file: str


class Acknowledged(NamedTuple):
    """A write was acknowledged as durable."""

    value: object


Operation = Write | Truncate | Sync | Delete | Acknowledged


class FaultyDisk(apsw.VFS):
    """Pass its `name` to the store. Faults are switched on and off by setting its attributes."""

    def __init__(self) -> None:
        self.name = f"faulty-disk-{next(_names)}"
        super().__init__(self.name, "")
        self.operations: list[Operation] = []
        self.is_full = False
        # Whether there is no space for a file of this name; how often a write was refused for want of space, by file.
        self.is_full_for: Callable[[str], bool] = lambda file: False
        self.full_errors: Counter[str] = Counter()
        # Whether syncing, or writing, a file of this name fails.
        self.sync_fails: Callable[[str], bool] = lambda file: False
        self.write_fails: Callable[[str], bool] = lambda file: False

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FaultyFile":
        """SQLite opens a file."""
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """SQLite deletes a file."""
        super().xDelete(filename, syncdir)
        self.operations.append(Delete(filename))

    def acknowledge(self, value: object) -> None:
        """Record an acknowledgement."""
        self.operations.append(Acknowledged(value))

    def after_power_cut(self, operation_count: int, target: Path, random_source: random.Random) -> None:
        """Put into `target` what is on the disk when the power goes before the deed number `moment`."""
        synced: dict[str, int] = {}
        for operation in self.operations[:operation_count]:
            if isinstance(operation, Sync):
                synced[operation.file] = max(synced.get(operation.file, 0), operation.operation_count)
        files: dict[str, bytearray] = {}
        for number, operation in enumerate(self.operations[:operation_count]):
            if isinstance(operation, Delete):
                files.pop(operation.file, None)
            elif isinstance(operation, Write | Truncate):
                content = files.setdefault(operation.file, bytearray())
                if number < synced.get(operation.file, 0):
                    _apply(content, operation)
                elif random_source.random() < 0.5:
                    _apply(content, _torn_write(operation, random_source))
        target.mkdir(parents=True)
        for file, content in files.items():
            (target / Path(file).name).write_bytes(content)


class FaultyFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)  # type: ignore[arg-type]
        self._disk = disk
        self._file = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:
        """SQLite writes."""
        if self._disk.is_full or self._disk.is_full_for(self._file):
            self._disk.full_errors[Path(self._file).name] += 1
            raise apsw.FullError("no space left")
        if self._disk.write_fails(self._file):
            raise apsw.IOError("a write failed")
        super().xWrite(data, offset)
        self._disk.operations.append(Write(self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        """SQLite makes a file shorter."""
        super().xTruncate(newsize)
        self._disk.operations.append(Truncate(self._file, newsize))

    def xSync(self, flags: int) -> None:
        """SQLite wants everything to be safe."""
        since = len(self._disk.operations)
        if self._disk.sync_fails(self._file):
            raise apsw.IOError("a sync failed")
        super().xSync(flags)
        self._disk.operations.append(Sync(self._file, since))


def _apply(content: bytearray, operation: Write | Truncate) -> None:
    if isinstance(operation, Truncate):
        del content[operation.size :]
        return
    end = operation.offset + len(operation.data)
    content.extend(bytes(max(0, end - len(content))))
    content[operation.offset : end] = operation.data


def _torn_write(operation: Write | Truncate, random_source: random.Random) -> Write | Truncate:
    """A write of which only a beginning reached the disk, or all of it."""
    if isinstance(operation, Truncate) or random_source.random() < 0.5:
        return operation
    sectors = random_source.randint(0, len(operation.data) // SECTOR_BYTES)
    return operation._replace(data=operation.data[: sectors * SECTOR_BYTES])
