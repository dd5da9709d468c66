"""Keeping the write-ahead log short without making anybody wait for it.

SQLite appends every commit to the WAL, and now and then its pages have to be copied into the database. A thread of its
own does that beside the one that writes. While it copies, new pages come in behind, so it runs again until few are
left; those few the writer copies itself, between two commits, and the next commit starts the WAL from its beginning.

An error here is an error of the disk that holds what was acknowledged: it ends writing (`faults.is_fatal`), except that
a full disk is tried again once the WAL has grown further.
"""

import contextlib
import threading
from collections.abc import Callable

import apsw

from tidings.stores.faults import is_busy, is_full, log

LEFT_PAGES_MAX = 500  # 2 MiB: a few milliseconds for the writer
ROUNDS_MAX = 8  # a reader that stays on an old page keeps pages behind; that is no reason to spin


class Checkpoints:
    """`after_commit` belongs to the thread that writes; everything else happens in a thread of its own."""

    def __init__(
        self, writer: apsw.Connection, copier: apsw.Connection, wal_pages: int, failed: Callable[[], None]
    ) -> None:
        """`failed` is called in the copying thread: the next `after_commit` will raise, so let there be one."""
        self._writer = writer
        self._copier = copier
        self._wal_pages = wal_pages
        self._failed = failed
        self._pages = 0
        self._next_at = wal_pages
        self._wanted = threading.Event()
        self._few_left = False
        self._closed = False
        self._error: Exception | None = None
        writer.set_wal_hook(self._grown)
        self._thread = threading.Thread(target=self._run, name="tidings-checkpoints", daemon=True)
        self._thread.start()

    def _grown(self, connection: apsw.Connection, database: str, pages: int) -> int:
        """SQLite's hook after each commit that wrote something."""
        if pages < self._pages:
            self._next_at = self._wal_pages  # it started anew
        self._pages = pages
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Start copying, or finish it. Raises what the copying thread met."""
        if self._error is not None:
            raise self._error
        if self._few_left:
            self._few_left = False
            with contextlib.suppress(apsw.BusyError):  # the other thread is copying again
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if self._pages >= self._next_at:
            self._next_at = self._pages + self._wal_pages
            self._wanted.set()

    def stop(self) -> None:
        """No more copying. Blocks until a copy that has begun is done; idempotent."""
        self._closed = True
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._closed:
                self._copier.close()
                return
            try:
                self._copy()
            except Exception as error:
                if is_full(error):
                    log.error("the disk is full: the WAL could not be copied into the database")
                elif not is_busy(error):  # the writer is copying at this moment
                    self._error = error
                    self._failed()

    def _copy(self) -> None:
        for _ in range(ROUNDS_MAX):
            pages, copied = self._copier.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages - copied <= LEFT_PAGES_MAX or self._closed:
                break
        self._few_left = True
