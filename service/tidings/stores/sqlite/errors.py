"""What SQLite's errors mean to a caller."""

import secrets

import apsw

from tidings.contract.errors import ApiError, internal, resource_exhausted, unavailable
from tidings.log import log

FULL_RETRY_MS = 5_000  # somebody has to make room; nobody needs to ask more often
# The shared index of the WAL could not grow. Nothing was written then, as with a full disk, which is what it means.
_FULL_EXTENDED_CODES = {apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN}
_FATAL_ERRORS = (
    apsw.IOError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.PermissionsError,
    apsw.NoMemError,
    OSError,
    MemoryError,
)


class StoreError(Exception):
    """The data directory or its database cannot be used. One line: the reason and what to do."""


def is_full(error: BaseException) -> bool:
    """No space: nothing was written, and the next attempt may succeed."""
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) in _FULL_EXTENDED_CODES


def is_busy(error: BaseException) -> bool:
    """Another program keeps the database locked. Nothing was written."""
    return isinstance(error, apsw.BusyError | apsw.LockedError)


def is_fatal(error: BaseException) -> bool:
    """Whether what the disk holds is unknown from now on.

    After a failed fsync the kernel may drop what it could not write and report success the next time: whoever tries
    again acknowledges what is lost. So there is no second attempt.
    """
    return isinstance(error, _FATAL_ERRORS) and not is_full(error)


def translate_store_error(error: Exception) -> ApiError:
    """What a caller hears of an error that is not a `Failure` already."""
    if isinstance(error, ApiError):
        return error
    if is_full(error):
        return resource_exhausted("the disk of the service is full; try again later", retry_after_ms=FULL_RETRY_MS)
    if isinstance(error, apsw.Error | OSError):
        log.error("the store failed", exc_info=error)
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            return internal("the database of the service is damaged; ask its operator to restore a backup")
        return unavailable("the storage of the service failed; try again later")
    correlation_id = secrets.token_hex(4)
    log.error("an unexpected error in the store", id=correlation_id, exc_info=error)
    return internal(f"unexpected error in the store, correlation id {correlation_id}; try again")
