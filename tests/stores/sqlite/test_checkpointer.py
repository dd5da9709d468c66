"""The write-ahead log stays short, whichever thread the machine gives its cores to."""

from pathlib import Path

import apsw

from tidings.stores.sqlite.checkpointer import PAGES_MIN, Checkpointer

PAGE_BYTES = 4_096
WAL_PAGES = 100


def test_the_wal_stays_short_though_the_copying_thread_never_gets_a_turn(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    writer, checkpoint_connection = apsw.Connection(str(path)), apsw.Connection(str(path))
    writer.pragma("journal_mode", "wal")
    writer.wal_autocheckpoint(0)
    writer.execute("CREATE TABLE texts (text)")
    checkpoints = Checkpointer(writer, checkpoint_connection, WAL_PAGES, lambda: None, 3_600.0)
    checkpoints.stop()  # as if it were asleep for ever
    for _ in range(4 * PAGES_MIN):
        writer.execute("INSERT INTO texts VALUES (?)", ("x" * PAGE_BYTES,))
        checkpoints.after_commit()
    assert path.stat().st_size > 4 * PAGES_MIN * PAGE_BYTES - 100 * PAGE_BYTES
    assert Path(f"{path}-wal").stat().st_size < 1.1 * (2 * WAL_PAGES + PAGES_MIN) * PAGE_BYTES
    writer.close()
