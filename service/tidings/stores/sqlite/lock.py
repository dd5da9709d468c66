"""The lock that allows one service per data directory."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from tidings.stores.sqlite.errors import StoreError

LOCK_FILE = "lock"


class DataLock:
    """Held from `acquire` to `release`. The kernel releases it when the process ends, also by a crash."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, directory: Path) -> "DataLock":
        """Create the directory if it is missing, and lock it; StoreError when it cannot be used or is in use."""
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except (FileExistsError, NotADirectoryError):
            raise StoreError(f"{directory} is not a directory; name one for the data (--data)") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StoreError(
                f"{directory} cannot be used for the data ({reason}); name one that this user may write to (--data)"
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{directory} is in use by another Tidings (process {holder}); stop it, or name another with --data"
            ) from None
        with contextlib.suppress(OSError):  # a full disk: the lock is held, only the process id is missing
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(directory / LOCK_FILE, descriptor)

    def is_intact(self) -> bool:
        """Whether the lock file at the path is still the locked one."""
        if self._descriptor is None:
            return True
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False
        except OSError:
            return True  # unknown: not taken for lost
        return os.path.samestat(found, os.fstat(self._descriptor))

    def reacquire(self) -> None:
        """Lock the directory again after its lock file was removed; StoreError when another service has locked it."""
        new_lock = DataLock.acquire(self._path.parent)
        self.release()
        self._descriptor = new_lock._descriptor

    def release(self) -> None:
        """Release the lock. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
