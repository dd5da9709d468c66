"""The files of the data directory: their modes, their identity, and the errors for missing ones."""

import contextlib
import os
import shlex
import stat
import time
from pathlib import Path
from typing import NamedTuple

from tidings.log import log
from tidings.stores.sqlite.errors import StoreError

OTHER_USERS = stat.S_IRWXG | stat.S_IRWXO
RESCUE_FILE_PATTERN = "rescued-*.sqlite"


class DatabaseLostError(OSError):
    """The database file was removed, replaced or emptied: writes would be lost at the next start."""


def check_database_file(path: Path) -> None:
    """Raise StoreError for a database whose content is lost, where SQLite would create an empty one."""
    wal = path.with_name(f"{path.name}-wal")
    try:
        empty, missing = path.stat().st_size == 0, False
    except FileNotFoundError:
        empty, missing = False, True
    if empty:
        raise StoreError(
            f"{path} is empty (0 bytes), so its content is lost; restore a backup, or remove the file to start without "
            "rooms"
        )
    if not missing:
        return
    rescued = sorted(path.parent.glob(RESCUE_FILE_PATTERN))
    if rescued:
        raise StoreError(
            f"{path} is missing; to continue with the copy made when it was removed, run: "
            f"{recovery_command(path, rescued[-1])}"
        )
    if wal.exists() and wal.stat().st_size:
        raise StoreError(
            f"{path} is missing, but {wal.name} is there: put the database back beside it, or restore a backup, or "
            f"remove {wal.name} to start without rooms"
        )


def recovery_command(database: Path, rescue_file: Path) -> str:
    """The shell command that moves a rescued database to its place."""
    name = database.name
    return (
        f"cd {shlex.quote(str(database.parent.absolute()))} && rm -f {name} {name}-wal {name}-shm && "
        f"mv {rescue_file.name} {name}"
    )


def create_rescue_file(directory: Path) -> Path:
    """Create a private, empty file to copy a removed database to."""
    path = directory / RESCUE_FILE_PATTERN.replace("*", str(int(time.time())))
    make_private(path)
    return path


def make_private(path: Path) -> None:
    """Create the file if it is missing, readable by its owner only. SQLite gives its other files the same mode."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def warn_about_file_modes(directory: Path) -> None:
    """Log the files that other users of the machine can read or write."""
    files: list[str] = []
    for path in (directory, *sorted(directory.iterdir())):
        with contextlib.suppress(OSError):  # it was removed meanwhile
            mode = path.stat().st_mode & 0o777
            if mode & OTHER_USERS:
                files.append(f"{path} ({mode:04o})")
    if files:
        log.warning(
            "other users of this machine may read or change the data",
            files=files,
            fix=f"chmod -R go-rwx {shlex.quote(str(directory))}",
        )


class OpenedFile(NamedTuple):
    """The identity of a file when it was opened."""

    path: Path
    device: int
    inode: int

    @classmethod
    def at_path(cls, path: Path) -> "OpenedFile":
        """The file at this path now."""
        found = path.stat()
        return cls(path, found.st_dev, found.st_ino)

    def loss_reason(self) -> str:
        """How the file was lost since it was opened; empty when it is still there."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return "was removed"
        except OSError:
            return ""  # unknown: not taken for lost
        if (found.st_dev, found.st_ino) != (self.device, self.inode):
            return "was replaced by another file"
        return "" if found.st_size else "was emptied"
