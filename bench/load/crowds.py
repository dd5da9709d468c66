"""Very many connections: what each of them costs at rest, and what happens when all of them come back at once."""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bench import wire
from bench.load.opening import HOST, PATH, WAIT_SECONDS, Speaker, faults, open_all, seat_readers, watching
from bench.load.processor import resident_bytes
from bench.sockets import Reader, Room, Socket, Witness
from tidings.contract import v1

SETTLE_SECONDS = 1.0
READERS_PER_ROOM = 100
# A crowd comes from many addresses; one address may have so many strangers at once, and no more.
READERS_PER_ADDRESS = 100


class Idler(Socket):
    """Subscribed, and waits for its live mark."""

    def __init__(self, first: bytes) -> None:
        super().__init__(HOST, PATH, first)
        self.live = asyncio.Event()

    def received(self, data: bytes) -> None:
        """The mark is all that comes."""
        self.live.set()


async def idle(port: int, pid: int, connections: int, **_: Any) -> dict[str, Any]:
    """KiB of the service's memory for each idle, subscribed connection."""
    await (await Speaker.opened(port)).create(["idle"])
    before = resident_bytes(pid)
    asked = watching("idle")
    makers = [partial(Idler, wire.masked(wire.setup(f"idler{n}")) + asked) for n in range(connections)]
    opened = await open_all(port, makers)
    for idler in opened:
        await asyncio.wait_for(idler.live.wait(), WAIT_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    return {"value": (resident_bytes(pid) - before) / connections / 1024}


async def reconnect(port: int, clients: int, missed: int, **_: Any) -> dict[str, Any]:
    """Seconds until all clients are live again after all were cut off and have missed some messages."""
    rooms = [Room(f"crowd{n}-{clients}", lambda _: None) for n in range(max(1, clients // READERS_PER_ROOM))]
    readers = clients // len(rooms)
    speaker = await Speaker.opened(port)
    await speaker.create([room.name for room in rooms])
    cut_off = await seat_readers(port, rooms, readers)
    cursors = {room.name: live_cursor(room) for room in rooms}
    for reader in cut_off:
        reader.transport.abort()
    for room in rooms:
        await speaker.ask("chat.send", *speaker.messages(room.name, missed))

    again = [Room(room.name, lambda _: None) for room in rooms]
    began = time.perf_counter()
    await asyncio.wait_for(come_back(port, again, readers, cursors, missed), WAIT_SECONDS)
    took = time.perf_counter() - began
    wrong = faults(again, dict.fromkeys(again, missed)) + speaker.complaints
    for room in again:
        assert room.witness is not None
        first = v1.WatchItem.FromString(next(room.witness.payloads())).event.seq
        if first != cursors[room.name].seq + 1:
            wrong.append(f"{room.name}: after {cursors[room.name].seq} came {first}")
    return {"value": took, "wrong": wrong}


def live_cursor(room: Room) -> v1.Cursor:
    """Where the readers of a room stand."""
    assert room.witness is not None
    return v1.WatchItem.FromString(list(room.witness.payloads())[-1]).cursor


async def come_back(port: int, rooms: list[Room], readers: int, cursors: dict[str, v1.Cursor], missed: int) -> None:
    """Connect everybody at once, each from its cursor, and wait until all have what they missed and the live mark."""
    loop = asyncio.get_running_loop()
    missing = set(rooms)
    everybody = asyncio.Event()

    def arrived(room: Room) -> None:
        missing.discard(room)
        if not missing:
            everybody.set()

    opening: list[Coroutine[Any, Any, object]] = []
    for room in rooms:
        asked = watching(room.name, cursors[room.name])
        for number in range(readers):
            place = len(opening)
            kind = Reader if number else Witness
            reader = kind(HOST, PATH, wire.masked(wire.setup(f"reader{place}")) + asked, room)
            room.readers.append(reader)
            if isinstance(reader, Witness):
                room.witness = reader
            source = (f"127.0.1.{1 + place // READERS_PER_ADDRESS % 250}", 0)
            opening.append(loop.create_connection(partial(_same, reader), HOST, port, local_addr=source))
        room.done = arrived
        room.expect(missed + 1)
    await asyncio.gather(*opening)
    await everybody.wait()


def _same(reader: Reader) -> Reader:
    return reader
