"""A room with a long log, made once and kept: `python -m bench.long_log 1000000 FOLDER`.

The store makes the database, the room and the index; the rows between are written in bulk, since a million messages
that are each answered would take minutes. They are the rows that the store would write (a test compares them).

The texts are of about 100 bytes, half of them in Latin and half in Chinese letters, made of words drawn by a seeded
generator. In each half one word is common (every third message) and one is rare (five messages).
"""

import asyncio
import hashlib
import random
import shutil
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw

from bench.run import CACHE, run_json
from tidings.contract import v1
from tidings.stores.sqlite.limits import DEFAULT_LIMITS
from tidings.stores.sqlite.schema import known_migrations, open_writer
from tidings.stores.sqlite.search.index_file import INDEX_VERSION, find_lagging_rooms, index_room, open_index
from tidings.stores.sqlite.store import SqliteStore
from tidings.stores.tables import POSTED, SEQ_BITS

ROOM = "log"
COMMON, RARE = "morning", "zanzibar"
COMMON_CJK, RARE_CJK = "早安", "麒麟"
RARE_MESSAGES = 5
ROOM_NUMBER = 1  # of the first room in a new database
ROWS_PER_TRANSACTION = 50_000  # rows in a transaction, of the logs and of the index
INSERT = "INSERT INTO events (id, kind, actor, client_id, at_ms, latest, target, data) VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
FIRST_MS = 1_700_000_000_000


def _cache_path(events: int) -> Path:
    recipe = (
        "".join(migration.checksum for migration in known_migrations())
        + str(INDEX_VERSION)
        + Path(__file__).read_text()
    )
    return CACHE / f"log-{events}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"


def exists(events: int) -> bool:
    """Whether it has been made."""
    return _cache_path(events).exists()


def log_directory(events: int) -> Path:
    """The data directory of a log of so many messages; made if it is not there yet."""
    path = _cache_path(events)
    if not path.exists():
        for old in CACHE.glob(f"log-{events}-*"):
            shutil.rmtree(old, ignore_errors=True)  # of an older recipe
        unfinished = path.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        run_json([sys.executable, "-m", "bench.long_log", str(events), str(unfinished)], None, seconds_max=3_600)
        unfinished.rename(path)
    return path


class MessageTexts:
    """The texts, by number."""

    def __init__(self, events: int) -> None:
        chance = random.Random(1)
        letters = "aeiounrstlmd"
        self._words = ["".join(chance.choices(letters, k=chance.randint(3, 9))) for _ in range(5_000)]
        self._characters = [chr(0x4E00 + n) for n in range(1_000)]
        self._random = chance
        self._rare_every = max(events // RARE_MESSAGES, 2) // 2 * 2

    def __getitem__(self, number: int) -> str:
        """The text of one message; to be asked for in order."""
        rare = number % self._rare_every in (0, 1)
        if number % 2:
            some = self._random.choices(self._characters, k=29)
            said = RARE_CJK if rare else COMMON_CJK if number % 6 == 1 else "".join(some[:2])
            return "".join((*some[:10], said, *some[10:]))
        words = self._random.choices(self._words, k=13)
        words[5] = RARE if rare else COMMON if number % 6 == 0 else words[5]
        return " ".join(words)


EventRow = tuple[int, int, str, str, int, int, bytes]


def event_rows(first_seq: int, last_seq: int) -> Iterator[EventRow]:
    """What the store would write for these messages."""
    texts = MessageTexts(last_seq)
    for number, seq in enumerate(range(first_seq, last_seq + 1)):
        actor, client_id, at_ms = f"user{number % 1_000}", f"{number}", FIRST_MS + number * 100
        event = v1.Event(room=ROOM, seq=seq, at_ms=at_ms, actor=actor, client_id=client_id)
        event.posted.text = texts[number]
        yield ROOM_NUMBER << SEQ_BITS | seq, POSTED, actor, client_id, at_ms, seq, event.SerializeToString()


async def create_room(path: Path) -> int:
    """A new database with the room in it; how many events that took."""
    store = await SqliteStore.open(path)
    await store.create_room(ROOM, kind=v1.OPEN, title="", creator="bench", members=(), at_ms=FIRST_MS)
    head = await store.head(ROOM)
    await store.close()
    return head.seq


def write_log(events: int, path: Path) -> None:
    """Write the log, and index all of it."""
    database = path / "tidings.sqlite"
    made = event_rows(asyncio.run(create_room(path)) + 1, events)
    connection = open_writer(database, DEFAULT_LIMITS)
    while some := list(islice(made, ROWS_PER_TRANSACTION)):
        with connection:
            connection.executemany(INSERT, some)
    connection.close()
    index = open_index(path / "search.sqlite", database)
    for number, head in find_lagging_rooms(index).items():
        while not index_room(index, number, head, ROWS_PER_TRANSACTION, sys.maxsize, print).is_complete:
            pass
    index.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    index.close()
    print(events)


if __name__ == "__main__":
    write_log(int(sys.argv[1]), Path(sys.argv[2]))
