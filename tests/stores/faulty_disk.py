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


class Cut(NamedTuple):
    """A file that was made shorter."""

    file: str
    size: int


class Synced(NamedTuple):
    """All that was done to a file before `since` is safe."""

    file: str
    since: int


class Deleted(NamedTuple):
    """A file that is no more."""

    file: str


class Answered(NamedTuple):
    """Somebody was told that something is durable."""

    what: object


Deed = Write | Cut | Synced | Deleted | Answered


class FaultyDisk(apsw.VFS):
    """Pass its `name` to the store. Faults are switched on and off by setting its attributes."""

    def __init__(self) -> None:
        self.name = f"faulty-disk-{next(_names)}"
        super().__init__(self.name, "")
        self.deeds: list[Deed] = []
        self.is_full = False
        # Whether there is no space for a file of this name; how often a write was refused for want of space, by file.
        self.full_for: Callable[[str], bool] = lambda file: False
        self.refusals: Counter[str] = Counter()
        # Whether syncing, or writing, a file of this name fails.
        self.sync_fails: Callable[[str], bool] = lambda file: False
        self.write_fails: Callable[[str], bool] = lambda file: False

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FaultyFile":
        """SQLite opens a file."""
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """SQLite deletes a file."""
        super().xDelete(filename, syncdir)
        self.deeds.append(Deleted(filename))

    def answered(self, what: object) -> None:
        """Note that somebody was told."""
        self.deeds.append(Answered(what))

    def after_power_cut(self, moment: int, target: Path, dice: random.Random) -> None:
        """Put into `target` what is on the disk when the power goes before the deed number `moment`."""
        safe: dict[str, int] = {}
        for deed in self.deeds[:moment]:
            if isinstance(deed, Synced):
                safe[deed.file] = max(safe.get(deed.file, 0), deed.since)
        files: dict[str, bytearray] = {}
        for number, deed in enumerate(self.deeds[:moment]):
            if isinstance(deed, Deleted):
                files.pop(deed.file, None)
            elif isinstance(deed, Write | Cut):
                content = files.setdefault(deed.file, bytearray())
                if number < safe.get(deed.file, 0):
                    _apply(content, deed)
                elif dice.random() < 0.5:
                    _apply(content, _torn(deed, dice))
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
        if self._disk.is_full or self._disk.full_for(self._file):
            self._disk.refusals[Path(self._file).name] += 1
            raise apsw.FullError("no space left")
        if self._disk.write_fails(self._file):
            raise apsw.IOError("a write failed")
        super().xWrite(data, offset)
        self._disk.deeds.append(Write(self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        """SQLite makes a file shorter."""
        super().xTruncate(newsize)
        self._disk.deeds.append(Cut(self._file, newsize))

    def xSync(self, flags: int) -> None:
        """SQLite wants everything to be safe."""
        since = len(self._disk.deeds)
        if self._disk.sync_fails(self._file):
            raise apsw.IOError("a sync failed")
        super().xSync(flags)
        self._disk.deeds.append(Synced(self._file, since))


def _apply(content: bytearray, deed: Write | Cut) -> None:
    if isinstance(deed, Cut):
        del content[deed.size :]
        return
    end = deed.offset + len(deed.data)
    content.extend(bytes(max(0, end - len(content))))
    content[deed.offset : end] = deed.data


def _torn(deed: Write | Cut, dice: random.Random) -> Write | Cut:
    """A write of which only a beginning reached the disk, or all of it."""
    if isinstance(deed, Cut) or dice.random() < 0.5:
        return deed
    sectors = dice.randint(0, len(deed.data) // SECTOR_BYTES)
    return deed._replace(data=deed.data[: sectors * SECTOR_BYTES])
