"""From the moment a message was due until its readers have it, at a fixed pace."""

import asyncio
import ctypes
import os
import time
from array import array
from collections.abc import Callable
from typing import Any

from bench.load.clients import WAIT_SECONDS, MessageSender, connect_readers, delivery_errors
from bench.sockets import EventReader, ReaderGroup
from tidings.contract import v1

IN_FLIGHT = 32
CLOCK_MONOTONIC, TFD_NONBLOCK = 1, os.O_NONBLOCK


class IntervalTimer:
    """Calls every so often, exact to microseconds: the timers of event loops know milliseconds only."""

    def __init__(self, interval_seconds: float, on_tick: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        whole, part = divmod(round(interval_seconds * 1e9), 10**9)
        libc.timerfd_settime(self._file, 0, (ctypes.c_long * 4)(whole, part, whole, part), None)
        self._on_tick = on_tick
        asyncio.get_running_loop().add_reader(self._file, self._on_readable)

    def _on_readable(self) -> None:
        os.read(self._file, 8)
        self._on_tick()

    def stop(self) -> None:
        """No more."""
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)


class TimedReader:
    """Notes when how many bytes had come to a reader."""

    def __init__(self, reader: EventReader) -> None:
        self.bytes = array("q")
        self.times = array("d")
        received = reader.on_data

        def timed(data: bytes) -> None:
            received(data)
            self.bytes.append(reader.bytes)
            self.times.append(time.perf_counter())

        reader.on_data = timed  # type: ignore[method-assign]

    def arrivals(self, ends: list[int]) -> list[float]:
        """When each of the messages that end at these bytes was here."""
        place = 0
        found = []
        for end in ends:
            while self.bytes[place] < end:
                place += 1
            found.append(self.times[place])
        return found


async def paced(port: int, readers: int, seconds: float, **_: Any) -> dict[str, Any]:
    """p50, p99 and p99.9 in ms of all (message, reader) pairs, at half of what the service can do at most."""
    finished = asyncio.Event()
    room = ReaderGroup(f"paced-{readers}", lambda _: None)
    sender = await MessageSender.connect(port)
    await sender.create_rooms([room.name])
    seated = await connect_readers(port, [room], readers)
    room.on_done = lambda _: finished.set()
    per_second_max, sent = await measure_max_rate(sender, room, finished, seconds / 2)

    timed = [TimedReader(reader) for reader in seated]
    interval = 2 / per_second_max
    count = max(1, int(seconds / interval))
    messages = sender.next_messages(room.name, count)
    begin = time.perf_counter() + 0.05
    at = 0

    def send_due() -> None:
        nonlocal at
        upto = min(count, int((time.perf_counter() - begin) / interval) + 1)
        if upto > at:
            sender.client.send_requests("chat.send", *messages[at:upto])
            at = upto

    finished.clear()
    room.expect(1 + sent + count)
    ticks = IntervalTimer(interval, send_due)
    await asyncio.wait_for(finished.wait(), seconds + WAIT_SECONDS)
    ticks.stop()

    reference = room.reference
    assert reference is not None
    ends = [end for _, end in reference.message_spans[-count:]]
    numbers = [
        int(v1.WatchItem.FromString(data).event.client_id.rpartition("-")[2])
        for data in list(reference.payloads())[-count:]
    ]
    first = min(numbers)
    dues = [begin + (number - first) * interval for number in numbers]
    delays = sorted(
        moment - was_due for reader in timed for moment, was_due in zip(reader.arrivals(ends), dues, strict=True)
    )
    percentiles = {
        name: delays[int(len(delays) * part)] * 1e3 for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    }
    wrong = delivery_errors([room], {room: sent + count}) + sender.errors
    return {**percentiles, "per_second_max": per_second_max, "samples": len(delays), "errors": wrong}


async def measure_max_rate(
    sender: MessageSender, room: ReaderGroup, finished: asyncio.Event, seconds: float
) -> tuple[float, int]:
    """Messages a second, each handful delivered to everybody before the next one; and how many they were."""
    sent = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        sent += IN_FLIGHT
        finished.clear()
        room.expect(1 + sent)
        sender.client.send_requests("chat.send", *sender.next_messages(room.name, IN_FLIGHT))
        await asyncio.wait_for(finished.wait(), WAIT_SECONDS)
    return sent / (time.perf_counter() - begin), sent
