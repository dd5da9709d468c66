"""Copies the write-ahead log (WAL) into the database without delaying commits.

SQLite appends every commit to the WAL, whose pages must be copied into the database from time to time (a checkpoint). A
separate thread does this beside the writer. While it copies, new pages arrive, so it repeats until few are left; the
writer copies those between two commits, and the next commit restarts the WAL at its beginning. If the copying thread
gets too little processor time, the writer waits for it and copies the rest: the WAL is at most twice the length that is
worth a checkpoint plus 4 MiB, unless a reader keeps an old page all the time.

When to copy depends on the commits. Commits of few pages are copied early: a short file is soon overwritten from its
beginning, and a commit that makes a file longer costs the file system a journal entry (0.3 instead of 0.2 ms). Commits
of many pages are copied late, since they change the same pages repeatedly.

Deleted and edited texts are overwritten in the database by the next checkpoint, but stay in the WAL until its pages are
overwritten. So `erase_seconds` after such a commit the WAL is copied and truncated, and once after the start, for texts
left by a crash.

An error here concerns the disk that holds acknowledged data: it ends writing (`errors.is_fatal`). On a full disk the
checkpoint is tried again once the WAL has grown further.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import apsw

from tidings.log import log
from tidings.stores.sqlite.errors import is_busy, is_full

COMMITS_PER_CHECKPOINT = 16  # this many commits of the recent mean size are worth a checkpoint …
PAGES_MIN = 1_000  # … but at least 4 MiB, SQLite's default
REMAINING_PAGES_MAX = 500  # 2 MiB: a few milliseconds for the writer
ERASE_BUSY_MS = 100  # to wait for running reads; nothing can be written meanwhile
ERASE_RETRY_SECONDS = 0.5
FULL_RETRY_SECONDS = 5.0
PASSES_MAX = 8  # a reader on an old page keeps pages from being copied; repeating would not help


class Checkpointer:
    """`after_commit` and `schedule_erase` are called by the writer thread; the rest runs in the checkpoint thread."""

    def __init__(
        self,
        writer: apsw.Connection,
        checkpoint_connection: apsw.Connection,
        wal_pages_max: int,
        on_error: Callable[[], None],
        erase_seconds: float,
    ) -> None:
        """`on_error` is called in the checkpoint thread. It must cause a commit: `after_commit` raises the error."""
        self._writer = writer
        self._connection = checkpoint_connection
        self._connection.set_busy_timeout(ERASE_BUSY_MS)
        self._pages_max = wal_pages_max
        self._on_error = on_error
        self._erase_seconds = erase_seconds
        # When to truncate the WAL, on the monotonic clock; None: it holds no deleted text.
        self._erase_at: float | None = time.monotonic() + erase_seconds
        # Pages: in the WAL now; at the last request for a checkpoint; at the writer's last one; mean of recent commits.
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
        """SQLite's hook, called after each commit that wrote pages."""
        if pages < self._wal_pages:  # the WAL was restarted
            self._wal_pages = self._requested_at_pages = self._writer_copied_at_pages = 0
        self._mean_commit_pages += (pages - self._wal_pages - self._mean_commit_pages) / COMMITS_PER_CHECKPOINT
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """Request a checkpoint, or finish one. Raises the error of the checkpoint thread, if any."""
        if self._error is not None:
            raise self._error
        if self._is_remainder_small:
            self._is_remainder_small = False
            with contextlib.suppress(apsw.BusyError):  # the checkpoint thread is copying again
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        due = min(self._pages_max, max(PAGES_MIN, COMMITS_PER_CHECKPOINT * self._mean_commit_pages))
        if self._wal_pages - self._requested_at_pages >= due:
            self._requested_at_pages = self._wal_pages
            self._is_checkpoint_requested = True
            self._wake.set()
        if self._wal_pages - self._writer_copied_at_pages >= 2 * due + PAGES_MIN:
            self._writer_copied_at_pages = self._wal_pages
            with self._checkpoint_lock:  # no new pages arrive meanwhile, so it is short
                self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def schedule_erase(self) -> None:
        """The last commit deleted or replaced text: erase it from the WAL within `erase_seconds`."""
        if self._erase_at is None:
            self._erase_at = time.monotonic() + self._erase_seconds
            self._wake.set()

    def disable(self) -> None:
        """Stop checkpoints, since the content of the WAL may not be on the disk."""
        self._closed = True
        self._wake.set()

    def stop(self) -> None:
        """Stop checkpoints and wait until a running one is done. Idempotent."""
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
                elif not is_busy(error):  # the writer is copying
                    self._error = error
                    self._on_error()

    def _seconds_to_erase(self) -> float | None:
        return None if self._erase_at is None else max(0.0, self._erase_at - time.monotonic())

    def _truncate_wal(self) -> None:
        """Copy the WAL and truncate it; retried later while a reader holds an old page or the writer is busy."""
        try:
            self._checkpoint()
            self._erase_at = None  # for texts deleted from now on
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
