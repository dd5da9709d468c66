"""A process that writes as fast as it can until it is killed. Every line it prints is an acknowledged message."""

import asyncio
import sys

from kits.store.factories import create_open_room, new_message
from tidings.stores.sqlite.store import SqliteStore

SENDERS = 40
ROOMS = 5


async def main(data: str, run: str) -> None:
    """Open the store of this directory and talk."""
    store = await SqliteStore.open(data)
    for number in range(ROOMS):
        await create_open_room(store, f"room{number}")
    print("begun", flush=True)

    async def send_messages(sender: int) -> None:
        number = 0
        while True:
            room, key = f"room{(sender + number) % ROOMS}", f"{run}-{number}"
            written = await store.append(new_message(room, f"user{sender}", f"text {key}", client_id=key))
            sys.stdout.write(f"{room} {written.seq} user{sender} {key}\n")
            sys.stdout.flush()
            number += 1

    await asyncio.gather(*(send_messages(speaker) for speaker in range(SENDERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
