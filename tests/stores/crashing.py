"""A process that writes as fast as it can until it is killed. Every line it prints is an acknowledged message."""

import asyncio
import sys

from stores.drafts import open_room, posted
from tidings.stores.sqlite import SqliteStore

SPEAKERS = 40
ROOMS = 5


async def main(data: str, run: str) -> None:
    """Open the store of this directory and talk."""
    store = await SqliteStore.open(data)
    for number in range(ROOMS):
        await open_room(store, f"room{number}")
    print("begun", flush=True)

    async def talk(speaker: int) -> None:
        number = 0
        while True:
            room, key = f"room{(speaker + number) % ROOMS}", f"{run}-{number}"
            written = await store.append(posted(room, f"user{speaker}", f"text {key}", client_id=key))
            sys.stdout.write(f"{room} {written.seq} user{speaker} {key}\n")
            sys.stdout.flush()
            number += 1

    await asyncio.gather(*(talk(speaker) for speaker in range(SPEAKERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
