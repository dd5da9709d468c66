"""Messages to many readers."""

import asyncio
import socket
import time
from typing import Any

from bench import wire
from bench.load.opening import HOST, PATH, WAIT_SECONDS, Speaker, faults, open_all, seat_readers, watching
from bench.load.processor import cpu_us
from bench.sockets import Room, Socket

ROOMS_AT_ONCE = 50  # rooms that are spoken in at the same time


class Stopped(Socket):
    """Asks for everything and takes nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """With a small window, so that it is full soon."""
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        super().connection_made(transport)

    def received(self, data: bytes) -> None:
        """No more."""
        self.transport.pause_reading()


async def fanout(
    port: int,
    readers: int,
    seconds: float,
    pid: int = 0,
    rooms: int = 1,
    burst: int = 1,
    tls: bool = False,
    stopped: int = 0,
    **_: Any,
) -> dict[str, Any]:
    """Deliveries per second: `rooms` rooms of `readers` readers each. The next burst of a room begins when its last
    one has reached everybody, so no queue is measured."""
    finished: asyncio.Queue[Room] = asyncio.Queue()
    places = [Room(f"fan{n}-{readers}", finished.put_nowait) for n in range(rooms)]
    speaker = await Speaker.opened(port, tls=tls)
    await speaker.create([place.name for place in places])
    await seat_readers(port, places, readers, tls=tls)
    for number in range(stopped):
        first = wire.masked(wire.setup(f"stopped{number}")) + watching(places[0].name)
        await open_all(port, [lambda first=first: Stopped(HOST, PATH, first)], tls=tls)  # type: ignore[misc]
    sent = dict.fromkeys(places, 0)

    def speak(place: Room) -> None:
        sent[place] += burst
        place.done = finished.put_nowait
        place.expect(1 + sent[place])
        speaker.caller.ask("chat.send", *speaker.messages(place.name, burst))

    waiting = places[ROOMS_AT_ONCE:]
    spent = cpu_us(pid)
    begin = time.perf_counter()
    for place in places[:ROOMS_AT_ONCE]:
        speak(place)
    deliveries, busy = 0, min(len(places), ROOMS_AT_ONCE)
    while busy:
        place = await asyncio.wait_for(finished.get(), WAIT_SECONDS)
        deliveries += burst * readers
        if time.perf_counter() - begin < seconds:
            waiting.append(place)
            speak(waiting.pop(0))
        else:
            busy -= 1
    took, spent = time.perf_counter() - begin, cpu_us(pid) - spent
    return {
        "value": deliveries / took,
        "deliveries": deliveries,
        "cpu_us": spent / deliveries,
        "wrong": faults(places, sent) + speaker.complaints,
    }
