"""A room with a long log, made once and kept: `python -m bench.log 1000000 FOLDER`.

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

from bench.run import CACHE, spoken
from tidings.contract import v1
from tidings.stores.index_file import VERSION, index_room, open_index, unindexed
from tidings.stores.limits import DEFAULTS
from tidings.stores.rows import POSTED, SEQ_BITS
from tidings.stores.schema import known_migrations, open_writer
from tidings.stores.sqlite import SqliteStore

ROOM = "log"
COMMON, RARE = "morning", "zanzibar"
COMMON_CJK, RARE_CJK = "早安", "麒麟"
RARE_TIMES = 5
ROOM_NUMBER = 1  # of the first room in a new database
TOGETHER = 50_000  # rows in a transaction, of the logs and of the index
INSERT = "INSERT INTO events (id, kind, actor, client_id, at_ms, latest, target, data) VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
FIRST_MS = 1_700_000_000_000


def _place(events: int) -> Path:
    recipe = "".join(migration.checksum for migration in known_migrations()) + str(VERSION) + Path(__file__).read_text()
    return CACHE / f"log-{events}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"


def is_there(events: int) -> bool:
    """Whether it has been made."""
    return _place(events).exists()


def folder(events: int) -> Path:
    """The data directory of a log of so many messages; made if it is not there yet."""
    path = _place(events)
    if not path.exists():
        for old in CACHE.glob(f"log-{events}-*"):
            shutil.rmtree(old, ignore_errors=True)  # of an older recipe
        unfinished = path.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        spoken([sys.executable, "-m", "bench.log", str(events), str(unfinished)], None, seconds_max=3_600)
        unfinished.rename(path)
    return path


class Texts:
    """The texts, by number."""

    def __init__(self, events: int) -> None:
        chance = random.Random(1)
        letters = "aeiounrstlmd"
        self._words = ["".join(chance.choices(letters, k=chance.randint(3, 9))) for _ in range(5_000)]
        self._characters = [chr(0x4E00 + n) for n in range(1_000)]
        self._chance = chance
        self._rare_every = max(events // RARE_TIMES, 2) // 2 * 2

    def __getitem__(self, number: int) -> str:
        """The text of one message; to be asked for in order."""
        rare = number % self._rare_every in (0, 1)
        if number % 2:
            some = self._chance.choices(self._characters, k=29)
            said = RARE_CJK if rare else COMMON_CJK if number % 6 == 1 else "".join(some[:2])
            return "".join((*some[:10], said, *some[10:]))
        words = self._chance.choices(self._words, k=13)
        words[5] = RARE if rare else COMMON if number % 6 == 0 else words[5]
        return " ".join(words)


Row = tuple[int, int, str, str, int, int, bytes]


def rows(first_seq: int, last_seq: int) -> Iterator[Row]:
    """What the store would write for these messages."""
    texts = Texts(last_seq)
    for number, seq in enumerate(range(first_seq, last_seq + 1)):
        actor, client_id, at_ms = f"user{number % 1_000}", f"{number}", FIRST_MS + number * 100
        event = v1.Event(room=ROOM, seq=seq, at_ms=at_ms, actor=actor, client_id=client_id)
        event.posted.text = texts[number]
        yield ROOM_NUMBER << SEQ_BITS | seq, POSTED, actor, client_id, at_ms, seq, event.SerializeToString()


async def begin(path: Path) -> int:
    """A new database with the room in it; how many events that took."""
    store = await SqliteStore.open(path)
    await store.create_room(ROOM, kind=v1.OPEN, title="", creator="bench", members=(), at_ms=FIRST_MS)
    head = await store.head(ROOM)
    await store.close()
    return head.seq


def write(events: int, path: Path) -> None:
    """Write the log, and index all of it."""
    database = path / "tidings.sqlite"
    made = rows(asyncio.run(begin(path)) + 1, events)
    connection = open_writer(database, DEFAULTS)
    while some := list(islice(made, TOGETHER)):
        with connection:
            connection.executemany(INSERT, some)
    connection.close()
    index = open_index(path / "search.sqlite", database)
    for number, head in unindexed(index).items():
        while not index_room(index, number, head, TOGETHER, sys.maxsize, print).complete:
            pass
    index.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    index.close()
    print(events)


if __name__ == "__main__":
    write(int(sys.argv[1]), Path(sys.argv[2]))
