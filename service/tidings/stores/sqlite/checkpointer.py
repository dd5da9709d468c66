"""Keeping the write-ahead log short without making anybody wait for it.

SQLite appends every commit to the WAL, and now and then its pages have to be copied into the database. A thread of its
own does that beside the one that writes. While it copies, new pages come in behind, so it runs again until few are
left; those few the writer copies itself, between two commits, and the next commit starts the WAL from its beginning.
Where the machine gives the copying thread too few turns, the writer waits for it and copies all the rest: the WAL is
never longer than twice what is worth a copy and 4 MiB, unless somebody reads an old page all the while.

When it is time depends on what is written. Commits of a few pages are copied early, since a short file is soon written
over from its beginning, and a commit that makes a file longer costs the file system an entry in its own journal (0.3
instead of 0.2 ms alone). Commits of many pages are copied late, since the same pages come again and again.

What was deleted or edited is overwritten in the database by the next copy, but stays in the WAL until it is written
over. So some time after such a commit (`erase_seconds`) the WAL is copied and cut off, whatever its length, and once
after the start, for what a crash left behind.

An error here is an error of the disk that holds what was acknowledged: it ends writing (`errors.is_fatal`), except that
a full disk is tried again once the WAL has grown further.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import apsw

from tidings.log import log
from tidings.stores.sqlite.errors import is_busy, is_full

COMMITS_PER_CHECKPOINT = 16  # so many commits of the size of late are worth a copy …
PAGES_MIN = 1_000  # … but never fewer pages than these 4 MiB, SQLite's own measure
REMAINING_PAGES_MAX = 500  # 2 MiB: a few milliseconds for the writer
ERASE_BUSY_MS = 100  # to wait for reads that have begun; nothing can be written meanwhile
ERASE_RETRY_SECONDS = 0.5
FULL_RETRY_SECONDS = 5.0
PASSES_MAX = 8  # a reader that stays on an old page keeps pages behind; that is no reason to spin


class Checkpointer:
    """`after_commit` belongs to the thread that writes; everything else happens in a thread of its own."""

    def __init__(
        self,
        writer: apsw.Connection,
        checkpoint_connection: apsw.Connection,
        wal_pages_max: int,
        on_error: Callable[[], None],
        erase_seconds: float,
    ) -> None:
        """`on_error` is called in the copying thread: the next `after_commit` will raise, so let there be one."""
        self._writer = writer
        self._connection = checkpoint_connection
        self._connection.set_busy_timeout(ERASE_BUSY_MS)
        self._pages_max = wal_pages_max
        self._on_error = on_error
        self._erase_seconds = erase_seconds
        # When the WAL has to be cut off, on the monotonic clock; None: it holds nothing that was deleted.
        self._erase_at: float | None = time.monotonic() + erase_seconds
        # In the WAL now; when a copy was asked for last, and when the writer made one itself; in a commit of late.
        self._wal_pages = 0
        self._requested_at_pages = 0
        self._writer_copied_at_pages = 0
        self._mean_commit_pages = 0.0
        self._checkpoint_lock = threading.Lock()
        self._wake = threading.Event()
        self._is_checkpoint_requested = False
        self._is_remainder_small = False
        self._closed = False
        self._error: Exception | None = None
        writer.set_wal_hook(self._on_wal_commit)
        self._thread = threading.Thread(target=self._run, name="tidings-checkpoints", daemon=True)
        self._thread.start()

    def _on_wal_commit(self, connection: apsw.Connection, database: str, pages: int) -> int:
        """SQLite's hook after each commit that wrote something."""
        if pages < self._wal_pages:  # it started anew
            self._wal_pages = self._requested_at_pages = self._writer_copied_at_pages = 0
        self._mean_commit_pages += (pages - self._wal_pages - self._mean_commit_pages) / COMMITS_PER_CHECKPOINT
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Start copying, or finish it. Raises what the copying thread met."""
        if self._error is not None:
            raise self._error
        if self._is_remainder_small:
            self._is_remainder_small = False
            with contextlib.suppress(apsw.BusyError):  # the other thread is copying again
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        due = min(self._pages_max, max(PAGES_MIN, COMMITS_PER_CHECKPOINT * self._mean_commit_pages))
        if self._wal_pages - self._requested_at_pages >= due:
            self._requested_at_pages = self._wal_pages
            self._is_checkpoint_requested = True
            self._wake.set()
        if self._wal_pages - self._writer_copied_at_pages >= 2 * due + PAGES_MIN:
            self._writer_copied_at_pages = self._wal_pages
            with self._checkpoint_lock:  # nothing comes in behind meanwhile, so that it is soon done
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def schedule_erase(self) -> None:
        """Text was deleted or replaced by the last commit: it leaves the WAL within `erase_seconds`."""
        if self._erase_at is None:
            self._erase_at = time.monotonic() + self._erase_seconds
            self._wake.set()

    def disable(self) -> None:
        """Nothing may be copied any more, since what the WAL holds may not be on the disk."""
        self._closed = True
        self._wake.set()

    def stop(self) -> None:
        """No more copying. Blocks until a copy that has begun is done; idempotent."""
        self.disable()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait(self._seconds_to_erase())
            self._wake.clear()
            if self._closed:
                self._connection.close()
                return
            is_requested, self._is_checkpoint_requested = self._is_checkpoint_requested, False
            try:
                with self._checkpoint_lock:
                    if is_requested:
                        self._checkpoint()
                    if self._seconds_to_erase() == 0:
                        self._truncate_wal()
            except Exception as error:
                if is_full(error):
                    log.error("the disk is full: the WAL could not be copied into the database")
                elif not is_busy(error):  # the writer is copying at this moment
                    self._error = error
                    self._on_error()

    def _seconds_to_erase(self) -> float | None:
        return None if self._erase_at is None else max(0.0, self._erase_at - time.monotonic())

    def _truncate_wal(self) -> None:
        """Copy what there is, then cut the file off; later, while a reader holds an old page or the writer is busy."""
        try:
            self._checkpoint()
            self._erase_at = None  # for what comes from now on
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            self._erase_at = time.monotonic() + ERASE_RETRY_SECONDS
        except apsw.Error as error:
            self._erase_at = time.monotonic() + FULL_RETRY_SECONDS if is_full(error) else None
            raise

    def _checkpoint(self) -> None:
        for _ in range(PASSES_MAX):
            pages, copied = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages - copied <= REMAINING_PAGES_MAX or self._closed:
                break
        self._is_remainder_small = True
