"""A room with a long log, written once through the store itself and kept: `python -m bench.log 1000000 FOLDER`.

The texts are of about 100 bytes, half of them in Latin and half in Chinese letters, made of words drawn by a seeded
generator. In each half one word is common (every third message) and one is rare (five messages).
"""

import asyncio
import hashlib
import random
import shutil
import sys
from pathlib import Path

from bench.run import CACHE, spoken
from tidings.contract import v1
from tidings.stores.index_file import VERSION
from tidings.stores.schema import known_migrations
from tidings.stores.sqlite import SqliteStore

ROOM = "log"
COMMON, RARE = "morning", "zanzibar"
COMMON_CJK, RARE_CJK = "早安", "麒麟"
RARE_TIMES = 5
TOGETHER = 2_048
FIRST_MS = 1_700_000_000_000


def folder(events: int) -> Path:
    """The data directory of a log of so many messages; made if it is not there yet."""
    recipe = "".join(migration.checksum for migration in known_migrations()) + str(VERSION) + Path(__file__).read_text()
    path = CACHE / f"log-{events}-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"
    if not path.exists():
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


async def write(events: int, path: Path) -> None:
    """Write the log and wait until all of it can be searched."""
    texts = Texts(events)
    store = await SqliteStore.open(path)
    await store.create_room(ROOM, kind=v1.OPEN, title="", creator="bench", members=(), at_ms=FIRST_MS)
    head = (await store.head(ROOM)).seq
    number = 0
    while head + number < events:
        drafts = []
        for _ in range(min(TOGETHER, events - head - number)):
            draft = v1.Event(
                room=ROOM, actor=f"user{number % 1_000}", client_id=f"{number}", at_ms=FIRST_MS + number * 100
            )
            draft.posted.text = texts[number]
            drafts.append(draft)
            number += 1
        await asyncio.gather(*[store.append(draft) for draft in drafts])
    await store.search(RARE, rooms=(ROOM,), sender="", page="", limit=1)
    await store.close()
    print(events)


if __name__ == "__main__":
    import uvloop

    uvloop.run(write(int(sys.argv[1]), Path(sys.argv[2])))
