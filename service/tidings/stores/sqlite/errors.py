"""Classifies SQLite's errors and translates them for callers."""

import secrets

import apsw

from tidings.contract.errors import ApiError, internal, resource_exhausted, unavailable
from tidings.log import log

FULL_RETRY_MS = 5_000  # an operator has to free space, which takes longer
# The shared index of the WAL could not grow: the disk is full, and nothing was written.
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
    """Whether the disk is full: nothing was written, and a later attempt may succeed."""
    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) in _FULL_EXTENDED_CODES


def is_busy(error: BaseException) -> bool:
    """Whether another program has locked the database. Nothing was written."""
    return isinstance(error, apsw.BusyError | apsw.LockedError)


def is_fatal(error: BaseException) -> bool:
    """Whether the content of the disk is unknown from now on.

    After a failed fsync the kernel may drop the pages that it could not write and report success the next time: a
    second attempt could acknowledge lost data. So there is none.
    """
    return isinstance(error, _FATAL_ERRORS) and not is_full(error)


def translate_store_error(error: Exception) -> ApiError:
    """The `ApiError` for an error of the store; an `ApiError` is returned as it is. Others are logged."""
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
