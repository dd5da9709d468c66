"""Writing a file of the user completely or not at all.

A regular file is replaced once the new content is complete. Until then the content is in a private file beside it.
The file keeps its mode and owner; a file with further hard links, or one whose folder cannot be written, keeps its
inode and gets the content copied. A symlink is followed, and stays. A device, a pipe or a socket is written directly.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from tidings.cli.errors import CliError

NEW_FILE_MODE: Final = 0o666  # minus the umask, as with `open`
TEMPORARY_SUFFIX: Final = ".part"
TEMPORARY_NAME_CHARS_MAX: Final = 60  # of the target's name in the temporary one; file systems allow 255 bytes


@contextlib.contextmanager
def open_atomic(path: Path) -> Iterator[IO[str]]:
    """A text file in UTF-8 to write to; `path` has the content when the block ends without an error.

    Raises CliError for a folder, and OSError with the file's name for an error of the system.
    """
    target = Path(os.path.realpath(path))
    try:
        found = target.stat()
    except FileNotFoundError:
        found = None
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise CliError(f"{path} is a folder; name a file")
    if found is not None and not stat.S_ISREG(found.st_mode):
        with target.open("w", encoding="utf-8") as file:
            yield file
        return
    with _temporary_file(target, exists=found is not None) as (file, name):
        yield file
        file.flush()
        os.fsync(file.fileno())
        if name and (found is None or _can_replace(file, found)):
            os.fchmod(file.fileno(), NEW_FILE_MODE & ~_umask() if found is None else stat.S_IMODE(found.st_mode))
            os.replace(name, target)
        else:
            _copy_into(file, target)


@contextlib.contextmanager
def _temporary_file(target: Path, *, exists: bool) -> Iterator[tuple[IO[str], str]]:
    """A private file beside the target, and its name.

    Where the folder is not writable and the target exists, a file without a name: its content is copied at the end.
    """
    try:
        descriptor, name = tempfile.mkstemp(
            TEMPORARY_SUFFIX, f".{target.name[:TEMPORARY_NAME_CHARS_MAX]}.", target.parent
        )
    except PermissionError:
        if not exists:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target)) from None
        with tempfile.TemporaryFile("w+", encoding="utf-8") as unnamed:
            yield unnamed, ""
        return
    except FileNotFoundError:
        raise CliError(f"cannot write {target}: there is no folder {target.parent}") from None
    try:
        with os.fdopen(descriptor, "w+", encoding="utf-8") as file:
            yield file, name
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _copy_into(file: IO[str], target: Path) -> None:
    """Copy the complete content into the target, which keeps its inode."""
    file.seek(0)
    with target.open("r+", encoding="utf-8") as old:
        shutil.copyfileobj(file, old)
        old.truncate()
        old.flush()
        os.fsync(old.fileno())


def _can_replace(file: IO[str], found: os.stat_result) -> bool:
    """Whether the temporary file can take the target's place: one link, and the same owner."""
    if found.st_nlink > 1:
        return False
    own = os.fstat(file.fileno())
    if (own.st_uid, own.st_gid) == (found.st_uid, found.st_gid):
        return True
    try:
        os.fchown(file.fileno(), found.st_uid, found.st_gid)
    except PermissionError:
        return False
    return True


def _umask() -> int:
    """The process's umask; it can be read only by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
