"""The bare limit of the disk: the same rows in the same tables, committed in the same batches by apsw alone.

    python -m bench.peers.bare_disk '{"batch": 300, "rooms": 5, "seconds": 3}'

The rows are made before the clock starts. Prints rows per second, or for a batch of one the median of a commit in ms.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tidings.contract import v1
from tidings.stores.limits import DEFAULTS
from tidings.stores.schema import open_writer
from tidings.stores.sql_tables import GROUPS, INSERT

Row = tuple[int, int, str, str, int, int, int, bytes]
POSTED = 10
AT_MS = 1_700_000_000_000
ROOM_BITS = 36


def rows(count: int, rooms: int) -> list[Row]:
    """What the service would write for so many messages."""
    made: list[Row] = []
    for number in range(count):
        room, seq = 1 + number % rooms, 1 + number // rooms
        client_id = f"01234567-{number}"
        event = v1.Event(room=f"call{room}", seq=seq, at_ms=AT_MS, actor="bench", client_id=client_id)
        event.posted.text = "x" * 100
        data = event.SerializeToString()
        made.append((room << ROOM_BITS | seq, POSTED, "bench", client_id, AT_MS, seq, 0, data))
    return made


def grouped(batch: list[Row]) -> Iterator[tuple[str, list[object]]]:
    """The statements for a batch: many rows in each, which is the fastest way that SQLite has."""
    batch = sorted(batch)
    start = 0
    for size in GROUPS:
        while len(batch) - start >= size:
            yield INSERT[size], list(chain.from_iterable(batch[start : start + size]))
            start += size


def measure(batch: int, rooms: int, seconds: float, rows_max: int = 400_000) -> float:
    """Rows a second; for a batch of one, the median of a commit in ms."""
    made = rows(
        min(rows_max, max(batch * 40, int(60_000 * seconds))) if batch > 1 else int(5_000 * seconds) + 50, rooms
    )
    statements = [list(grouped(made[start : start + batch])) for start in range(0, len(made), batch)]
    with tempfile.TemporaryDirectory(prefix="tidings-bench-") as folder:
        connection = open_writer(Path(folder) / "bare.sqlite", DEFAULTS)
        connection.wal_autocheckpoint(DEFAULTS.wal_pages)
        took: list[float] = []
        begin = time.perf_counter()
        for some in statements:
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            for sql, values in some:
                connection.execute(sql, values)
            connection.execute("COMMIT")
            took.append(time.perf_counter() - start)
            if time.perf_counter() - begin > seconds:
                break
        whole = time.perf_counter() - begin
        connection.close()
    return statistics.median(took) * 1e3 if batch == 1 else len(took) * batch / whole


if __name__ == "__main__":
    print(json.dumps({"value": measure(**json.loads(sys.argv[1]))}))
