"""Very many connections: what each of them costs at rest, and what happens when all of them come back at once."""

import asyncio
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from bench import codec
from bench.load.clients import (
    HOST,
    PATH,
    WAIT_SECONDS,
    MessageSender,
    connect_all,
    connect_readers,
    delivery_errors,
    watch_request,
)
from bench.load.process_stats import resident_bytes
from bench.sockets import EventReader, ReaderGroup, ReferenceReader, WebSocketClient
from tidings.contract import v1

SETTLE_SECONDS = 1.0
READERS_PER_ROOM = 100
# A crowd comes from many addresses; one address may have so many strangers at once, and no more.
READERS_PER_ADDRESS = 100


class IdleClient(WebSocketClient):
    """A subscribed client that waits for its live marker."""

    def __init__(self, first: bytes) -> None:
        super().__init__(HOST, PATH, first)
        self.live = asyncio.Event()

    def on_data(self, data: bytes) -> None:
        """The marker is the only item."""
        self.live.set()


async def idle(port: int, pid: int, connections: int, **_: Any) -> dict[str, Any]:
    """KiB of the service's memory for each idle, subscribed connection."""
    await (await MessageSender.connect(port)).create_rooms(["idle"])
    before = resident_bytes(pid)
    asked = watch_request("idle")
    makers = [
        partial(IdleClient, codec.websocket_message(codec.setup(f"idler{n}")) + asked) for n in range(connections)
    ]
    opened = await connect_all(port, makers)
    for idler in opened:
        await asyncio.wait_for(idler.live.wait(), WAIT_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)
    return {"value": (resident_bytes(pid) - before) / connections / 1024}


async def reconnect(port: int, clients: int, missed: int, **_: Any) -> dict[str, Any]:
    """Seconds until all clients are live again after all were cut off and have missed some messages."""
    rooms = [ReaderGroup(f"crowd{n}-{clients}", lambda _: None) for n in range(max(1, clients // READERS_PER_ROOM))]
    readers = clients // len(rooms)
    sender = await MessageSender.connect(port)
    await sender.create_rooms([room.name for room in rooms])
    disconnected = await connect_readers(port, rooms, readers)
    cursors = {room.name: live_cursor(room) for room in rooms}
    for reader in disconnected:
        reader.transport.abort()
    for room in rooms:
        await sender.request("chat.send", *sender.next_messages(room.name, missed))

    new_groups = [ReaderGroup(room.name, lambda _: None) for room in rooms]
    began = time.perf_counter()
    await asyncio.wait_for(reconnect_all(port, new_groups, readers, cursors, missed), WAIT_SECONDS)
    took = time.perf_counter() - began
    wrong = delivery_errors(new_groups, dict.fromkeys(new_groups, missed)) + sender.errors
    for room in new_groups:
        assert room.reference is not None
        first = v1.WatchItem.FromString(next(room.reference.payloads())).event.seq
        if first != cursors[room.name].seq + 1:
            wrong.append(f"{room.name}: after {cursors[room.name].seq} came {first}")
    return {"value": took, "errors": wrong}


def live_cursor(room: ReaderGroup) -> v1.Cursor:
    """Where the readers of a room stand."""
    assert room.reference is not None
    return v1.WatchItem.FromString(list(room.reference.payloads())[-1]).cursor


async def reconnect_all(
    port: int, rooms: list[ReaderGroup], readers: int, cursors: dict[str, v1.Cursor], missed: int
) -> None:
    """Connect all clients at once, each with its cursor; wait until all have the missed events and the live marker."""
    loop = asyncio.get_running_loop()
    missing = set(rooms)
    all_live = asyncio.Event()

    def arrived(room: ReaderGroup) -> None:
        missing.discard(room)
        if not missing:
            all_live.set()

    opening: list[Coroutine[Any, Any, object]] = []
    for room in rooms:
        asked = watch_request(room.name, cursors[room.name])
        for number in range(readers):
            place = len(opening)
            kind = EventReader if number else ReferenceReader
            reader = kind(HOST, PATH, codec.websocket_message(codec.setup(f"reader{place}")) + asked, room)
            room.readers.append(reader)
            if isinstance(reader, ReferenceReader):
                room.reference = reader
            source = (f"127.0.1.{1 + place // READERS_PER_ADDRESS % 250}", 0)
            opening.append(loop.create_connection(partial(_protocol, reader), HOST, port, local_addr=source))
        room.on_done = arrived
        room.expect(missed + 1)
    await asyncio.gather(*opening)
    await all_live.wait()


def _protocol(reader: EventReader) -> EventReader:
    return reader
