"""The bare limit of the disk: the same rows in the same tables, committed in the same batches by apsw alone.

    python -m bench.peers.bare_disk '{"batch": 300, "rooms": 5, "seconds": 3}'

The rows are made before the clock starts. Prints rows per second, or for a batch of one the median of a commit in ms.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tidings.contract import v1
from tidings.stores.sqlite.limits import DEFAULT_LIMITS
from tidings.stores.sqlite.schema import open_writer
from tidings.stores.sqlite.tables import INSERT_COLUMNS

EventRow = tuple[int, int, str, str, int, int, int, bytes]
POSTED = 10
# The plain statement: the service has longer ones, which spare its threads a hand-over and SQLite nothing.
INSERT = f"INSERT INTO events{INSERT_COLUMNS} VALUES (?,?,?,?,?,?,?,?)"
AT_MS = 1_700_000_000_000
ROOM_BITS = 36
ACTORS = 50
WARMUP_FRACTION = 0.2  # before the clock starts, as with the service
ROWS_MAX = 400_000
ROWS_PER_SECOND, COMMITS_PER_SECOND = 100_000, 5_000  # prepared; what is measured ends with them or with the time


def event_rows(count: int, rooms: int) -> list[EventRow]:
    """What the service would write for so many messages."""
    made: list[EventRow] = []
    for number in range(count):
        room, seq = 1 + number % rooms, 1 + number // rooms
        actor, client_id = f"caller{number % ACTORS}", f"01234567-{number}"
        event = v1.Event(room=f"call{room}", seq=seq, at_ms=AT_MS, actor=actor, client_id=client_id)
        event.posted.text = "x" * 100
        data = event.SerializeToString()
        made.append((room << ROOM_BITS | seq, POSTED, actor, client_id, AT_MS, seq, 0, data))
    return made


def measure(batch: int, rooms: int, seconds: float) -> float:
    """Rows a second; for a batch of one, the median of a commit in ms."""
    pace = COMMITS_PER_SECOND if batch == 1 else ROWS_PER_SECOND
    warm = seconds * WARMUP_FRACTION
    made = event_rows(min(ROWS_MAX, int(pace * (warm + seconds)) + batch * 20), rooms)
    # Rooms one after the other, as the service has them: it touches fewer pages.
    batches = [sorted(made[start : start + batch]) for start in range(0, len(made), batch)]
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        connection = open_writer(Path(folder) / "bare.sqlite", DEFAULT_LIMITS)
        connection.wal_autocheckpoint(DEFAULT_LIMITS.wal_pages_max)
        took: list[float] = []
        begin = time.perf_counter() + warm
        counted = 0
        for some in batches:
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT, some)
            connection.execute("COMMIT")
            end = time.perf_counter()
            if start >= begin:
                took.append(end - start)
                counted += len(some)
            if end - begin > seconds:
                break
        connection.close()
    return statistics.median(took) * 1e3 if batch == 1 else counted / sum(took)


if __name__ == "__main__":
    print(json.dumps({"value": measure(**json.loads(sys.argv[1]))}))
